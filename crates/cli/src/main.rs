//! `countersign`: mutual TLS set up in a minute, run in production, and seen through. Arguments in, text out,
//! exit code; everything else is in the libraries.

mod api;
mod commands;
mod config;
mod context;
mod duration;
mod failure;
mod feed;
mod handover;
mod hardening;
mod home;
mod http;
mod input;
mod key;
mod material;
mod names;
mod passphrase;
#[cfg(test)]
mod printed_commands;
mod report;
mod service_manager;
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
    hardening::keep_memory_private();
    let arguments = Arguments::parse();
    let context = Context::from_environment(arguments.home, arguments.quiet).with_store(arguments.store);
    // The message of a panic is printed by its hook; what is left is the exit code.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        hardening::check_limits()?;
        arguments.command.run(&context)
    }));
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

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::*;

    /// A subcommand's option of a global one's name takes its place in the parser, and what reads the global one panics.
    fn shadows(command: &Command, global: &[String], found: &mut Vec<String>) {
        for child in command.get_subcommands() {
            for argument in child.get_arguments().map(|argument| argument.get_id().to_string()) {
                if global.contains(&argument) {
                    found.push(format!("{} --{argument}", child.get_name()));
                }
            }
            shadows(child, global, found);
        }
    }

    #[test]
    fn no_subcommand_has_an_option_by_the_name_of_a_global_one() {
        let command = Arguments::command();
        let globals = command.get_arguments().filter(|argument| argument.is_global_set());
        let globals: Vec<String> = globals.map(|argument| argument.get_id().to_string()).collect();
        assert!(globals.iter().any(|name| name == "home"), "{globals:?}");
        let mut found = Vec::new();
        shadows(&command, &globals, &mut found);
        assert!(found.is_empty(), "{found:?}");
    }
}
