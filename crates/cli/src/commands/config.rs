//! `countersign config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::{Config as Meant, show};
use crate::context::{Context, GOOD};
use crate::failure::{Exit, Outcome};

/// Check and show the configuration file of `serve`
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign config check countersign.toml
  countersign config show countersign.toml

A file that puts two services on one port:
  admin = \"127.0.0.1:9901\"

  [revocation]
  lists = [\"http://ca.acme.test/issuing.crl\"]

  # who is let in, and who no longer, as an authority says at each moment
  [feed]
  url = \"https://ca.acme.test\"
  cert = \"gateway.pem\"
  key = \"gateway-key.pem\"
  ca = \"rootCA.pem\"
  allow = true             # its rules too (countersign policy publish)
  max_age = \"10m\"        # silent for longer: the lists above vouch
  fallback = \"lists\"

  [upstreams.api]
  to = [\"http://127.0.0.1:3000\", \"http://127.0.0.1:3001\"]

  [[listeners]]
  address = \"0.0.0.0:8443\"
  certificates = [{ cert = \"api.pem\", key = \"api-key.pem\" }]
  client_ca = [\"partners.pem\"]
  client_certificate = \"optional\"

  [[listeners.routes]]
  name = \"public\"
  path = \"/public\"
  dir = \"public\"
  without_certificate = \"allow\"

  [[listeners.routes]]
  name = \"pay\"
  path = \"/pay\"
  upstream = \"api\"
  allow = [\"uri spiffe://acme.test/partners/**\"]
  rules = [{ deny = \"ou Interns\", methods = [\"DELETE\"] }]
  rate = \"100/s burst 20\"")]
pub(crate) enum Config {
    /// Say whether a file is right, or what is wrong with its line and column
    Check(Check),
    /// Print what a file means, as JSON, with every default filled in
    Show(Show),
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The file
    #[arg(value_name = "FILE", default_value = "countersign.toml")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The file
    #[arg(value_name = "FILE", default_value = "countersign.toml")]
    file: PathBuf,
}

impl Config {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Config::Check(Check { file }) => {
                let config = Meant::read(&file)?;
                let missing: Vec<PathBuf> =
                    config.files().into_iter().filter(|file| !file.exists()).collect();
                for file in &missing {
                    context.warn(format!("{} is not there", file.display()));
                }
                let routes: usize = config.listeners.iter().map(|listener| listener.routes.len()).sum();
                context.data(format!(
                    "{GOOD}right{GOOD:#}  {}: {} listener(s), {routes} route(s)\n",
                    file.display(),
                    config.listeners.len()
                ));
                Ok(if missing.is_empty() { Exit::Done } else { Exit::Refused })
            }
            Config::Show(Show { file }) => {
                context.json(&show::json(&Meant::read(&file)?));
                Ok(Exit::Done)
            }
        }
    }
}
