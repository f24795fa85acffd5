//! `countersign crl`.

use std::path::PathBuf;

use clap::Args;
use jiff::SignedDuration;
use keys::file::{Replace, write_public};
use pki::crl::CertificateRevocationList;

use crate::context::{Context, DIM};
use crate::failure::{Exit, OrFail as _, Outcome};
use crate::home::Home;

/// Write the certificate revocation list
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign crl --out lists.pem
      # for nginx's ssl_crl, Node.js's crl, openssl -CRLfile
  countersign crl --der --out issuing.crl
      # the issuing CA's list alone, as HTTP serves it
  countersign crl | openssl crl -noout -text")]
pub(crate) struct Crl {
    /// Where it goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write DER, and the issuing CA's list alone: a DER file holds one list
    #[arg(long)]
    der: bool,

    /// How long the issuing CA's list is good
    #[arg(long = "for", value_name = "TIME", default_value = "7d", value_parser = crate::duration::parse)]
    lifetime: SignedDuration,

    /// The passphrase of the authority's keys, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Crl {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let home = Home::of(context)?;
        let authority = home.open(context, self.passphrase_file.as_deref())?;
        let now = context.now();
        let issuing = authority.crl(now, self.lifetime).or_refuse()?;
        let list = CertificateRevocationList::from_der(&issuing).or_refuse()?;
        let bytes = if self.der {
            issuing
        } else {
            // OpenSSL's -crl_check_all, nginx and Node.js refuse every client unless each CA of the path has a list,
            // the root included.
            let root =
                home.root_crl(context, &authority, self.passphrase_file.as_deref(), now, self.lifetime)?;
            let lists = std::iter::once(&issuing).chain(&root);
            lists.map(|list| pki::pem::encode("X509 CRL", list)).collect::<String>().into_bytes()
        };
        match &self.out {
            Some(file) => {
                write_public(file, &bytes, Replace::Yes).or_usage()?;
                context.say(format!(
                    "Wrote {}: {} revoked, good until {}",
                    file.display(),
                    list.len(),
                    list.next_update().map(|next| next.to_string()).unwrap_or_default()
                ));
                context.say(format!(
                    "{DIM}A list past that date refuses every client: write it again before.{DIM:#}"
                ));
            }
            None => context.bytes(&bytes),
        }
        Ok(Exit::Done)
    }
}
