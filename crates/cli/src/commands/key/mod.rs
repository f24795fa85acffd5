//! `countersign key`: private keys from one form into another, and what belongs together.

mod convert;
mod matching;
mod material;
mod output;
mod public;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Outcome;

/// Private keys: convert, encrypt, decrypt, compare, and show the public half
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign key convert old.p12 --passphrase-file pass.txt \\
      --out alice-key.pem --certs alice.pem
  countersign key convert alice-key.pem --cert alice.pem --to pkcs12 \\
      --target apple --new-passphrase-file pass.txt --out alice.p12
  countersign key convert roots.pem --to pkcs12 --target java \\
      --new-passphrase-file pass.txt --out truststore.p12
  countersign key encrypt alice-key.pem --new-passphrase-file prompt --out enc.pem
  countersign key match alice.pem alice-key.pem alice.csr
  countersign key public alice-key.pem --to jwk

A passphrase comes from the first line of a file, from a descriptor (fd:3), from
a systemd credential (credential:NAME) or from the terminal (prompt); never from
an argument or a variable.")]
pub(crate) enum Key {
    /// Write a key in another form: PKCS#8, PKCS#1, SEC 1, PKCS#12 or JWK, as PEM or DER
    Convert(convert::Convert),
    /// Encrypt a key (PKCS#8, AES-256)
    Encrypt(convert::Encrypt),
    /// Write an encrypted key in the clear
    Decrypt(convert::Decrypt),
    /// Say whether keys, certificates and requests belong together
    Match(matching::Match),
    /// Write the public half of a key, certificate or request
    Public(public::Public),
}

impl Key {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Key::Convert(command) => command.run(context),
            Key::Encrypt(command) => command.run(context),
            Key::Decrypt(command) => command.run(context),
            Key::Match(command) => command.run(context),
            Key::Public(command) => command.run(context),
        }
    }
}
