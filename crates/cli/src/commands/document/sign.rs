//! `countersign document sign`.

use std::path::{Path, PathBuf};

use clap::Args;
use keys::file::{Replace, write_public};
use pki::cms::{DocumentPurpose, Draft, HashAlgorithm};
use pki::key::{KeyAlgorithm, SignatureAlgorithm, SigningKey as _};
use serde_json::json;

use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input;

/// Make a detached CMS signature over a file
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign document sign contract.pdf --cert alice.pem
      # contract.pdf.p7s
  countersign document sign release.tar --cert ci.pem --out release.sig \\
      --key 'pkcs11:token=ci;object=release?pin-source=file:/etc/ci.pin'
  tar c src | countersign document sign - --cert alice.pem --out src.p7s")]
pub(crate) struct Sign {
    /// The document; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The signer's certificate, with the issuers that go along
    #[arg(short = 'E', long, value_name = "FILE")]
    cert: PathBuf,

    /// Its private key: a file, or pkcs11:…, command:… or https+signer:… [default: NAME-key.pem beside the certificate]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    /// The passphrase of the key, in the first line of this file
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Where the signature goes [default: FILE.p7s]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Sign with RSA-PSS instead of PKCS#1 v1.5; for RSA keys
    #[arg(long)]
    pss: bool,

    /// Write PEM instead of DER
    #[arg(long)]
    pem: bool,

    /// Replace a signature that is there
    #[arg(long)]
    force: bool,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,
}

impl Sign {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let out = match &self.out {
            Some(out) => out.clone(),
            None if self.file == Path::new("-") => {
                return Err(Failure::usage(
                    "the document has no name that the signature could be named after",
                )
                .hint("--out FILE.p7s"));
            }
            None => PathBuf::from(format!("{}.p7s", self.file.display())),
        };
        if out.exists() && !self.force {
            return Err(Failure::refused(format!(
                "{} is there already, and nothing was signed",
                out.display()
            ))
            .hint("--out FILE writes elsewhere; --force replaces it"));
        }
        let key = self.key.clone().or_else(|| beside(&self.cert)).unwrap_or_else(|| self.cert.clone());
        let passphrase = input::passphrase(context, self.passphrase_file.as_deref())?;
        let (chain, key) = input::credentials(context, &self.cert, &key, passphrase.as_ref())?;
        let now = context.now();
        let certificate = &chain[0];
        if now > certificate.not_after() || now < certificate.not_before() {
            return Err(Failure::refused(format!(
                "the certificate of '{}' is good from {} to {}, and a signature made now would be worth nothing",
                certificate.short_name(),
                certificate.not_before(),
                certificate.not_after()
            )));
        }
        DocumentPurpose::Signer.judge(certificate).or_refuse()?;
        let algorithm = self.algorithm(&key)?;
        let hash = HashAlgorithm::for_signature(algorithm);
        let content = super::hash_file(&self.file, &[hash])?;
        // It was hashed by this one.
        let digest = content.by(hash).unwrap_or_default();
        let draft = Draft { certificate, chain: &chain[1..], algorithm, digest, signing_time: now };
        let signature = draft.sign(&key).or_refuse()?;
        let written = if self.pem { pki::pem::encode("CMS", &signature).into_bytes() } else { signature };
        write_public(&out, &written, if self.force { Replace::Yes } else { Replace::No }).or_usage()?;
        self.tell(context, &out, certificate, algorithm, now);
        Ok(Exit::Done)
    }

    fn algorithm(&self, key: &crate::key::OwnKey) -> Result<SignatureAlgorithm, Failure> {
        let offered = key.signature_algorithms();
        let kind = key.public_key().algorithm();
        let is_rsa = matches!(kind, KeyAlgorithm::Rsa(_));
        if self.pss && !is_rsa {
            return Err(Failure::usage(format!("--pss is for RSA keys, and this key is {kind}")));
        }
        let wanted = match (is_rsa, self.pss) {
            (true, true) => SignatureAlgorithm::RsaPssSha256,
            (true, false) => SignatureAlgorithm::RsaPkcs1Sha256,
            (false, _) => key.signature_algorithm(),
        };
        if offered.contains(&wanted) {
            return Ok(wanted);
        }
        let names: Vec<String> = offered.iter().map(ToString::to_string).collect();
        Err(Failure::usage(format!("the key does not sign with {wanted}; it offers {}", names.join(", "))))
    }

    fn tell(
        &self,
        context: &Context,
        out: &Path,
        certificate: &pki::Certificate,
        algorithm: SignatureAlgorithm,
        now: jiff::Timestamp,
    ) {
        if self.json {
            context.json(&json!({
                "document": self.file,
                "signature": out,
                "signer": certificate.short_name(),
                "serial_number": certificate.serial_hex(),
                "algorithm": algorithm.to_string(),
                "signing_time": now.to_string(),
            }));
            return;
        }
        context.say(format!(
            "Signed {BOLD}{}{BOLD:#} as {} with {algorithm}",
            self.file.display(),
            certificate.short_name()
        ));
        context.data(format!("{}\n", out.display()));
        context.say(format!(
            "{DIM}countersign document verify {} --signature {} --cacert rootCA.pem{DIM:#}",
            self.file.display(),
            out.display()
        ));
    }
}

/// The key that `issue` writes beside a certificate.
fn beside(certificate: &Path) -> Option<PathBuf> {
    crate::material::Files::beside(certificate)?.key_if_there()
}
