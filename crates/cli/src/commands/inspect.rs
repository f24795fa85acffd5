//! `countersign inspect`.

mod live;

use std::path::{Path, PathBuf};

use clap::Args;
use explain::render::{full_text, json, pem, summary_text};
use explain::{Content, Inspection, Item, Severity, describe_chain, inspect};
use jiff::Timestamp;
use keys::Passphrase;

use crate::commands::tls_arguments::TlsArguments;
use crate::context::{Context, colour_on_stdout, width};
use crate::failure::{Exit, Failure, Outcome};
use crate::input;

/// Say what certificates, requests, keys, lists and live servers are
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign inspect alice.pem alice-key.pem alice.p12
  countersign inspect --full server.crt
      # every field and extension
  countersign inspect https://localhost:8443
      # what is served, and what is asked of clients
  countersign inspect localhost:8443 --cert alice.pem
      # and how the server takes alice's certificate
  openssl s_client -connect host:443 -showcerts </dev/null | \\
      countersign inspect -")]
pub(crate) struct Inspect {
    /// Files, PEM or DER; - for standard input; host:port or a URL for a live server
    #[arg(value_name = "TARGET", required = true)]
    targets: Vec<String>,

    /// Every field and extension
    #[arg(long, conflicts_with_all = ["json", "pem"])]
    full: bool,

    /// Print the facts as JSON
    #[arg(long, conflicts_with = "pem")]
    json: bool,

    /// Print what is understood as clean PEM, and nothing else; never a private key
    #[arg(long)]
    pem: bool,

    /// The password of PKCS#12 files, in the first line of this file, or fd:N, credential:NAME, prompt: shows what is in them, too
    #[arg(long, value_name = "FILE")]
    p12_password_file: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsArguments,
}

/// One target, looked at.
struct Looked {
    inspection: Inspection,
    /// What was learned of a live server beyond its certificates.
    live: Option<live::Facts>,
}

impl Inspect {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let now = context.now();
        let password = input::passphrase(context, self.p12_password_file.as_deref())?;
        let mut looked = Vec::new();
        for target in &self.targets {
            let this = match kind(target) {
                Target::File(path) => {
                    let bytes = input::bytes(&path)?;
                    let inspection = inspect(&bytes, target, now);
                    let is_pkcs12 = |item: &Item| matches!(item.content, Content::Pkcs12(_));
                    if let (Some(password), true) = (&password, inspection.items.iter().any(is_pkcs12)) {
                        looked.push(opened(&bytes, target, password, now)?);
                    }
                    Looked { inspection, live: None }
                }
                Target::Live(address) => {
                    let (inspection, facts) = live::look(context, &address, &self.tls)?;
                    Looked { inspection, live: Some(facts) }
                }
            };
            looked.push(this);
        }
        if self.json {
            let mut values = looked.iter().map(|looked| {
                let mut value = json(&looked.inspection);
                if let Some(facts) = &looked.live {
                    value["server"] = facts.json();
                }
                value
            });
            // One target is one object; several are a list, so that a script knows what it asked for.
            let value = match looked.len() {
                1 => values.next().unwrap_or_default(),
                _ => values.collect(),
            };
            context.json(&value);
        } else if self.pem {
            for looked in &looked {
                context.data(pem(&looked.inspection));
            }
        } else {
            for (index, looked) in looked.iter().enumerate() {
                if index > 0 {
                    context.data("\n");
                }
                let render = if self.full { full_text } else { summary_text };
                context.data(render(&looked.inspection, width(), colour_on_stdout()));
                if let Some(facts) = &looked.live {
                    context.data(facts.text());
                }
            }
        }
        let understood = looked.iter().all(|looked| {
            looked.inspection.is_understood() && looked.inspection.worst() != Some(Severity::Error)
        });
        Ok(if understood { Exit::Done } else { Exit::Refused })
    }
}

/// The certificates within a PKCS#12.
fn opened(bytes: &[u8], target: &str, password: &Passphrase, now: Timestamp) -> Result<Looked, Failure> {
    let contents = keys::pkcs12::read_pkcs12(bytes, password)
        .map_err(|error| Failure::refused(format!("{target}: {error}")))?;
    let chain: Vec<Vec<u8>> = contents.certificates.into_iter().map(|entry| entry.der).collect();
    let what = match contents.keys.len() {
        0 => "no private key".to_owned(),
        1 => "a private key".to_owned(),
        several => format!("{several} private keys"),
    };
    let inspection = describe_chain(&chain, &format!("in {target}, with {what}"), now);
    Ok(Looked { inspection, live: None })
}

enum Target {
    File(PathBuf),
    Live(String),
}

/// A file that is there is a file; `https://…` and `host:port` are servers.
fn kind(target: &str) -> Target {
    let path = Path::new(target);
    if target == "-" || path.exists() {
        return Target::File(path.to_owned());
    }
    if target.starts_with("https://") {
        return Target::Live(target.to_owned());
    }
    let is_address = target
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok());
    if is_address { Target::Live(format!("https://{target}")) } else { Target::File(path.to_owned()) }
}
