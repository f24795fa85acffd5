//! `countersign ca`: the authority as a service, and its own life.

mod acme;
mod notify;
mod serve;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Outcome;

/// Run the authority as a service
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign ca serve --name ca.dev.test --listen 0.0.0.0:8444
      # invites, ACME, EST, lists, the API")]
pub(crate) enum Ca {
    /// Serve the authority: invites, renewal, ACME, EST, lists, OCSP, the API
    Serve(serve::Serve),
}

impl Ca {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Ca::Serve(command) => command.run(context),
        }
    }
}
