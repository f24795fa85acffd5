//! `countersign man`.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use crate::context::Context;
use crate::failure::{Exit, Failure, Outcome};

/// Write the manual pages
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign man | man -l -
      # read the page of countersign
  countersign man issue-client | man -l -
      # read the page of one command
  countersign man --dir ~/.local/share/man/man1
      # write all pages")]
pub(crate) struct Man {
    /// The command whose page to print, its words joined by hyphens [default: countersign itself]
    #[arg(value_name = "COMMAND", conflicts_with = "dir")]
    command: Option<String>,

    /// Write every page into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let mut root = crate::Arguments::command();
        root.build();
        if let Some(dir) = &self.dir {
            std::fs::create_dir_all(dir).map_err(|error| cannot_write(dir, &error))?;
            clap_mangen::generate_to(root, dir).map_err(|error| cannot_write(dir, &error))?;
            context.say(format!("Wrote the manual pages to {}.", dir.display()));
            return Ok(Exit::Done);
        }
        let command = match &self.command {
            None => root,
            Some(words) => find(&root, words)
                .cloned()
                .ok_or_else(|| Failure::usage(format!("there is no command '{words}'")))?,
        };
        let mut page = Vec::new();
        // Writing to memory does not fail.
        let _ = clap_mangen::Man::new(command).render(&mut page);
        context.bytes(&page);
        Ok(Exit::Done)
    }
}

fn find<'a>(root: &'a clap::Command, words: &str) -> Option<&'a clap::Command> {
    let words = words.strip_prefix("countersign-").unwrap_or(words);
    words.split('-').try_fold(root, |command, word| command.find_subcommand(word))
}

fn cannot_write(dir: &std::path::Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("cannot write the manual pages to {}: {error}", dir.display()))
}
