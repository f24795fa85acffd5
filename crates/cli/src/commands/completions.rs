//! `countersign completions`.

use clap::{Args, CommandFactory as _};

use crate::context::Context;
use crate::failure::{Exit, Outcome};

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign completions bash > \\
      ~/.local/share/bash-completion/completions/countersign
  countersign completions zsh > ~/.zfunc/_countersign
  countersign completions fish > ~/.config/fish/completions/countersign.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Arguments::command(), "countersign", &mut script);
        context.bytes(&script);
        Ok(Exit::Done)
    }
}
