//! `countersign key match`.

use std::path::PathBuf;

use clap::Args;
use pki::key::{PublicKey, SigningKey as _};
use serde_json::json;

use super::material;
use crate::context::Context;
use crate::failure::{Exit, Failure, Outcome};
use crate::input;

/// Say whether keys, certificates and requests belong together
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign key match alice.pem alice-key.pem
  countersign key match alice.p12 alice.csr --passphrase-file pass.txt

Exit code 0: all have one public key; 1: they do not. Of a file with a chain the first
certificate counts.")]
pub(crate) struct Match {
    /// Private keys, certificates, requests, public keys, PKCS#12 files
    #[arg(value_name = "FILE", required = true, num_args = 2..)]
    files: Vec<PathBuf>,

    /// The passphrase of encrypted ones: in the first line of a file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "SOURCE")]
    passphrase_file: Option<PathBuf>,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

struct Half {
    file: String,
    what: String,
    key: PublicKey,
}

impl Match {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let passphrase = input::passphrase(context, self.passphrase_file.as_deref())?;
        let mut halves = Vec::new();
        for path in &self.files {
            let found = material::read(context, path, passphrase.as_ref())?;
            let before = halves.len();
            let file = path.display().to_string();
            for entry in &found.keys {
                let key = entry.key.public_key().clone();
                halves.push(Half { file: file.clone(), what: "private key".to_owned(), key });
            }
            // Beside a key all certificates of a container may be others' (issuers); alone, the first is meant.
            let own = found.certificates.iter().find(|entry| {
                found.keys.is_empty()
                    || entry.certificate.public_key().is_ok_and(|key| holds(&found.keys, key))
            });
            let first = own.or(found.certificates.first());
            if let Some(entry) = first {
                let what =
                    format!("certificate of {}", explain::escape::text(&entry.certificate.short_name()));
                let key = entry.certificate.public_key();
                let key = key.map_err(|error| Failure::usage(format!("{file}: {error}")))?.clone();
                halves.push(Half { file: file.clone(), what, key });
            }
            for (what, key) in &found.publics {
                halves.push(Half { file: file.clone(), what: (*what).to_owned(), key: key.clone() });
            }
            if halves.len() == before {
                return Err(Failure::usage(format!("{file} holds no key, certificate or request")));
            }
        }
        let same = halves.iter().all(|half| half.key == halves[0].key);
        self.tell(context, &halves, same);
        Ok(if same { Exit::Done } else { Exit::Refused })
    }

    fn tell(&self, context: &Context, halves: &[Half], same: bool) {
        if self.json {
            let files = halves.iter().map(|half| {
                json!({ "file": half.file, "what": half.what, "key": half.key.algorithm().to_string(),
                        "spki_sha256": pki::hex(&half.key.spki_sha256()) })
            });
            context.json(&json!({ "match": same, "files": files.collect::<Vec<_>>() }));
            return;
        }
        let width = halves.iter().map(|half| half.file.chars().count()).max().unwrap_or(0);
        for half in halves {
            let (file, what, kind) = (&half.file, &half.what, half.key.algorithm());
            let digits = pki::hex(&half.key.spki_sha256()[..8]);
            context.data(format!("{file:<width$}  {digits}  {what}, {kind}\n"));
        }
        context.data(if same { "they belong together\n" } else { "they do NOT belong together\n" });
    }
}

fn holds(keys: &[material::NamedKey], public: &PublicKey) -> bool {
    keys.iter().any(|entry| entry.key.public_key() == public)
}
