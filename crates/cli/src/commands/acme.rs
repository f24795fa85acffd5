//! `countersign acme`: who may have accounts.

mod eab;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Outcome;

/// Administer the authority's ACME: external account keys
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign acme eab add alice
      # one account, for client certificates of alice
  countersign acme eab list")]
pub(crate) enum Acme {
    /// External account keys: give out, list, revoke
    #[command(subcommand)]
    Eab(eab::Eab),
}

impl Acme {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        match self {
            Acme::Eab(command) => command.run(context),
        }
    }
}
