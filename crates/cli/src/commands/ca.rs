//! `countersign ca`: the authority as a service, and its own life.

mod acme;
mod bundle;
mod keeper;
mod notify;
mod rollover;
mod serve;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Outcome;

/// Run the authority as a service, and change its CA
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign ca serve --name ca.dev.test --listen 0.0.0.0:8444
      # invites, ACME, EST, lists, the API
  countersign ca rollover start
      # leads through a new root, step by step
  countersign ca bundle > bundle.pem
      # whom to believe now")]
pub(crate) enum Ca {
    /// Serve the authority: invites, renewal, ACME, EST, lists, OCSP, the API
    Serve(Box<serve::Serve>),
    /// Change the root, or the issuing CA, without cutting anybody off
    #[command(subcommand)]
    Rollover(rollover::Rollover),
    /// Print whom those believe who believe the authority
    Bundle(bundle::Bundle),
}

impl Ca {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Ca::Serve(command) => command.run(context),
            Ca::Rollover(command) => command.run(context),
            Ca::Bundle(command) => command.run(context),
        }
    }
}
