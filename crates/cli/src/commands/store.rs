//! `countersign store`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use store::backup::Checked;

use crate::context::{BOLD, Context, DIM};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::home::{Home, Place};
use crate::input::plain;

/// Back up the authority's memory, put it back, or move it into another database
#[derive(Debug, Subcommand)]
#[command(before_help = "\
Examples:
  countersign store backup /backups/ca-monday.db
      # one moment, while the authority goes on issuing; checked
  countersign store restore /backups/ca-monday.db
      # as the memory of a home that has none
  countersign store move sqlite:ca.db postgres://countersign@db/ca
      # then: countersign --store postgres://… ca serve
  countersign store move postgres://countersign@db/ca sqlite:backup.db
      # a backup that any machine can open")]
pub(crate) enum Store {
    /// Copy a memory in SQLite as it is at one moment, while others write to it, and check the copy
    Backup(Backup),
    /// Put a backup in place as the memory, where there is none
    Restore(Restore),
    /// Copy everything, and check that the audit trail ends with the same hash
    Move(Move),
}

/// Copy a memory in SQLite as it is at one moment, and check the copy
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The new file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Put a backup in place as the memory
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The backup, which stays as it is
    #[arg(value_name = "FILE")]
    file: PathBuf,
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
        match self {
            Store::Backup(command) => backup(context, &command),
            Store::Restore(command) => restore(context, &command),
            Store::Move(command) => copy(context, &command),
        }
    }
}

/// The file of this home's memory.
fn own_file(context: &Context) -> Result<PathBuf, Failure> {
    Home::of(context)?.memory_file().ok_or_else(|| {
        Failure::usage("this memory is in PostgreSQL, which has its own way of copying it")
            .hint("pg_dump --format=custom --file=ca.dump DATABASE    (while the authority goes on)")
            .hint("pg_restore --dbname=NEW ca.dump    (into an empty database)")
    })
}

fn backup(context: &Context, command: &Backup) -> Outcome {
    let from = own_file(context)?;
    if !from.exists() {
        return Err(Failure::usage(format!("there is no memory at {}", from.display())));
    }
    let checked = store::backup::backup(&from, &command.file).or_refuse()?;
    told(context, &checked, &command.file);
    context.say(format!(
        "{DIM}The keys are not in it: keep a copy of {} apart from it, where it is guarded as they are.{DIM:#}",
        Home::of(context)?.keys().display()
    ));
    Ok(Exit::Done)
}

fn restore(context: &Context, command: &Restore) -> Outcome {
    let to = own_file(context)?;
    if to.exists() {
        return Err(Failure::refused(format!(
            "there is a memory at {} already, and it is left as it is",
            to.display()
        ))
        .hint(format!("mv {0} {0}.old", to.display())));
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(|error| {
            Failure::usage(format!("cannot make {}: {}", folder.display(), plain(&error)))
        })?;
    }
    let checked = store::backup::restore(&command.file, &to).or_refuse()?;
    told(context, &checked, &to);
    context.warn(
        "what was issued, revoked or invited after this backup is not in it. Revoke again what had been revoked, and \
         compare with a checkpoint that was kept elsewhere: countersign audit log verify --since FILE",
    );
    Ok(Exit::Done)
}

fn told(context: &Context, checked: &Checked, file: &Path) {
    context.say(format!(
        "{}: {BOLD}{}{BOLD:#} certificates in the log, {} audit events, all of it checked",
        file.display(),
        checked.certificates,
        checked.events
    ));
    context.data(format!("{}\n", pki::hex(&checked.hash)));
}

fn copy(context: &Context, command: &Move) -> Outcome {
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
