//! `keyholt completions`: a script with which a shell completes commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// For which shell.
#[derive(Args)]
#[command(after_help = "Example:\n  keyholt completions bash > ~/.local/share/bash-completion/completions/keyholt")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    /// Runs the command.
    pub fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "keyholt", &mut script);
        context.printer.verbatim(&script)?;
        Ok(Exit::Yes)
    }
}
