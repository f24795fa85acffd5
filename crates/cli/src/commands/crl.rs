//! `countersign crl`.

use std::path::PathBuf;

use clap::Args;
use http::Method;
use jiff::SignedDuration;
use keys::file::{Replace, write_public};
use pki::crl::CertificateRevocationList;

use crate::api::RemoteArguments;
use crate::context::{Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::Home;
use crate::http::Site;

/// How long lists are good where nothing is said.
const LIFETIME: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Write the certificate revocation list
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign crl --out lists.pem
      # for nginx's ssl_crl, Node.js's crl, openssl -CRLfile
  countersign crl --der --out issuing.crl
      # the issuing CA's list alone, as HTTP serves it
  countersign crl --ca https://ca.acme.test:8444 --ca-root rootCA.pem
      # as an authority elsewhere serves them
  countersign crl | openssl crl -noout -text")]
pub(crate) struct Crl {
    /// Where it goes [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Write DER, and the issuing CA's list alone: a DER file holds one list
    #[arg(long)]
    der: bool,

    /// How long the lists are good [default: 7d; elsewhere as the authority serves them]
    #[arg(long = "for", value_name = "TIME", value_parser = crate::duration::parse, conflicts_with = "ca")]
    lifetime: Option<SignedDuration>,

    /// The passphrase of the authority's keys, in the first line of this file, or fd:N, credential:NAME, prompt
    #[arg(long, value_name = "FILE", conflicts_with = "ca")]
    passphrase_file: Option<PathBuf>,

    #[command(flatten)]
    remote: RemoteArguments,
}

/// Lists in DER.
type Ders = Vec<Vec<u8>>;

impl Crl {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let (mut of_lines, roots) = match self.remote.visit(context)? {
            Some(site) => self.elsewhere(context, &site)?,
            None => self.here(context)?,
        };
        let list = CertificateRevocationList::from_der(&of_lines[0]).or_refuse()?;
        let bytes = if self.der {
            of_lines.swap_remove(0)
        } else {
            let lists = of_lines.iter().chain(&roots);
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

    /// The issuing CAs' lists, that of the one that issues first, and the roots'. OpenSSL's -crl_check_all, nginx and Node.js
    /// refuse every client unless each CA of the path has a list, the root included.
    fn here(&self, context: &Context) -> Result<(Ders, Ders), Failure> {
        let (home, passphrase) = (Home::of(context)?, self.passphrase_file.as_deref());
        let authority = home.open(context, passphrase)?;
        let (now, lifetime) = (context.now(), self.lifetime.unwrap_or(LIFETIME));
        let of_lines = authority.crls(now, lifetime).or_refuse()?;
        let roots = match self.der {
            true => Vec::new(),
            false => home.root_crls(context, &authority, passphrase, now, lifetime)?,
        };
        Ok((of_lines, roots))
    }

    /// The same as an authority elsewhere serves them, which says where they are.
    fn elsewhere(&self, context: &Context, site: &Site) -> Result<(Ders, Ders), Failure> {
        let get = |path: &str| site.send(Method::GET, path, "", None);
        let places: serde_json::Value = serde_json::from_slice(&get("/trust")?.body).unwrap_or_default();
        let paths = |member: &str, usual: &str| -> Vec<String> {
            let all = places[member].as_array().into_iter().flatten();
            let found: Vec<String> = all.filter_map(|path| path.as_str().map(str::to_owned)).collect();
            if found.is_empty() { vec![usual.to_owned()] } else { found }
        };
        let mut of_lines = Vec::new();
        for path in paths("lists", "/crl/issuing.crl") {
            let list = get(&path)?;
            if list.status != 200 {
                return Err(Failure::refused(format!("the authority gives no list here: {}", list.detail()))
                    .hint("--ca with the address of --listen, where lists are"));
            }
            of_lines.push(list.body);
        }
        let mut roots = Vec::new();
        for path in paths("root_lists", "/crl/root.crl").iter().filter(|_| !self.der) {
            let list = get(path)?;
            if list.status == 200 {
                roots.push(list.body);
            } else {
                context.warn(
                    "the authority does not serve its root's own list; OpenSSL's -crl_check_all, nginx and Node.js \
                     refuse every client without it",
                );
            }
        }
        Ok((of_lines, roots))
    }
}
