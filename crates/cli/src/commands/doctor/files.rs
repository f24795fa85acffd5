//! `countersign doctor files`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use clap::Args;
use explain::doctor::{PileFile, examine_files};
use keys::Passphrase;
use pki::key::SigningKey as _;

use crate::context::Context;
use crate::failure::Outcome;
use crate::input;

/// Examine a pile of files: what each is, what belongs together, what is missing or wrong
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign doctor files *.pem *.key *.p12 *.crl
  countersign doctor files client.p12 --passphrase-file p12.txt")]
pub(super) struct Files {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The passphrase of encrypted keys and PKCS#12 files, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

impl Files {
    pub(super) fn run(&self, context: &Context) -> Outcome {
        let passphrase = input::passphrase(context, self.passphrase_file.as_deref())?;
        let mut pile = Vec::new();
        for path in &self.files {
            if path.is_dir() {
                continue;
            }
            let bytes = input::bytes(path)?;
            let mode = std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o7777);
            let (opened, opened_keys) = open(&bytes, passphrase.as_ref());
            pile.push(PileFile { name: path.display().to_string(), bytes, mode, opened, opened_keys });
        }
        let report = examine_files(&pile, context.now());
        let what = format!("{} file(s)", pile.len());
        Ok(super::told(context, &report, &what, self.json))
    }
}

/// What a passphrase opens: the certificates in a PKCS#12, and the public halves of keys.
fn open(bytes: &[u8], passphrase: Option<&Passphrase>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let Some(passphrase) = passphrase else { return (Vec::new(), Vec::new()) };
    if let Ok(contents) = keys::pkcs12::read_pkcs12(bytes, passphrase) {
        let certificates = contents.certificates.into_iter().map(|entry| entry.der).collect();
        let keys = contents.keys.iter().map(|entry| entry.key.public_key().spki_der().to_vec()).collect();
        return (certificates, keys);
    }
    let key = keys::read::read_private_key(bytes, Some(passphrase)).ok();
    (Vec::new(), key.iter().map(|key| key.public_key().spki_der().to_vec()).collect())
}
