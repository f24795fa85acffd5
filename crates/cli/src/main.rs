//! `countersign`: mutual TLS set up in a minute, run in production, and seen through. Arguments in, text out,
//! exit code; everything else is in the libraries.

mod api;
mod commands;
mod config;
mod context;
mod duration;
mod failure;
mod feed;
mod home;
mod http;
mod input;
mod material;
mod table;
mod trust;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;
use crate::context::Context;

/// Mutual TLS, set up in a minute, run in production, and seen through.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, max_term_width = 80, disable_help_subcommand = true)]
#[command(before_help = commands::TOP_EXAMPLES)]
pub(crate) struct Arguments {
    /// Where the authority lives: ca.db and keys/ [default: $COUNTERSIGN_HOME, else the data directory]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    home: Option<std::path::PathBuf>,

    /// The authority's memory: sqlite:FILE or postgres://… [default: $COUNTERSIGN_STORE, else ca.db in the home]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    store: Option<String>,

    /// Say nothing but data, warnings and errors
    #[arg(short, long, global = true, help_heading = "Everywhere")]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

/// The exit code of a bug of ours (EX_SOFTWARE of sysexits.h).
const OUR_BUG: u8 = 70;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let context = Context::from_environment(arguments.home, arguments.quiet).with_store(arguments.store);
    // The message of a panic is printed by its hook; what is left is the exit code.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arguments.command.run(&context)));
    match outcome {
        Ok(Ok(exit)) => ExitCode::from(exit.code()),
        Ok(Err(failure)) => {
            context::report(&failure);
            ExitCode::from(failure.exit.code())
        }
        Err(_) => {
            context.warn("this is a bug of countersign; please report it with the message above");
            ExitCode::from(OUR_BUG)
        }
    }
}
