//! `countersign key public`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use pki::key::SigningKey as _;
use pki::pem;

use super::{material, output};
use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::input;

/// A form of public keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PublicForm {
    /// SubjectPublicKeyInfo: what everything reads
    Spki,
    /// JSON Web Key
    Jwk,
}

/// Write the public half of a key, certificate or request
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign key public alice-key.pem > alice-public.pem
  countersign key public alice.pem --to jwk")]
pub(crate) struct Public {
    /// The file: a private key, certificate, request or PKCS#12; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The passphrase of the file: in the first line of a file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "SOURCE")]
    passphrase_file: Option<PathBuf>,

    /// The form to write
    #[arg(long, value_name = "FORM", value_enum, default_value_t = PublicForm::Spki)]
    to: PublicForm,

    /// DER instead of PEM
    #[arg(long, conflicts_with = "to")]
    der: bool,

    /// Where it goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

impl Public {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let passphrase = input::passphrase(context, self.passphrase_file.as_deref())?;
        let found = material::read(context, &self.file, passphrase.as_ref())?;
        let key = match (found.keys.first(), found.certificates.first(), found.publics.first()) {
            (Some(entry), ..) => entry.key.public_key().clone(),
            (None, Some(entry), _) => entry.certificate.public_key().or_usage()?.clone(),
            (None, None, Some((_, key))) => key.clone(),
            (None, None, None) => {
                return Err(Failure::usage(format!(
                    "{} holds no key, certificate or request",
                    self.file.display()
                )));
            }
        };
        let bytes = match self.to {
            PublicForm::Jwk => keys::jwk::public(&key).into_bytes(),
            PublicForm::Spki if self.der => key.spki_der().to_vec(),
            PublicForm::Spki => pem::encode("PUBLIC KEY", key.spki_der()).into_bytes(),
        };
        output::public(context, self.out.as_deref(), &bytes, self.force)?;
        Ok(Exit::Done)
    }
}
