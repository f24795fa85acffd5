//! `countersign store`.

use clap::{Args, Subcommand};

use crate::context::{BOLD, Context};
use crate::failure::{Exit, OrFail as _, Outcome};
use crate::home::Place;

/// Copy the authority's memory into another database
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign store move sqlite:ca.db postgres://countersign@db/ca
      # then: countersign --store postgres://… ca serve
  countersign store move postgres://countersign@db/ca sqlite:backup.db
      # a backup that any machine can open")]
pub(crate) enum Store {
    /// Copy everything, and check that the audit trail ends with the same hash
    Move(Move),
}

/// Copy everything, and check that the audit trail ends with the same hash
#[derive(Debug, Args)]
pub(crate) struct Move {
    /// The memory to copy from; stop what writes to it first
    #[arg(value_name = "FROM")]
    from: String,

    /// The empty memory to copy into
    #[arg(value_name = "TO")]
    to: String,
}

impl Store {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let Store::Move(command) = self;
        let from = Place::of(&command.from)?.open()?;
        let to = Place::of(&command.to)?.create()?;
        let copied = store::copy::copy(&*from, &*to).or_refuse()?;
        context.say(format!(
            "Copied {BOLD}{}{BOLD:#} certificates, {} records and {} audit events; the trails end with the same hash",
            copied.certificates, copied.records, copied.events
        ));
        context.data(format!("{}\n", pki::hex(&copied.hash)));
        context.say("What was copied from is as it was: see that nothing writes to it any more.");
        Ok(Exit::Done)
    }
}
