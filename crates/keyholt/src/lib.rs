//! The command line: speaks HTTP to a Keyholt server, prints data to stdout and talk to stderr.
//!
//! `main` hands in the [`world::World`]; [`run`] reads the command, runs it and tells how it ended.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod commands;
mod connection;
mod context;
mod exit;
mod intake;
mod login;
mod person;
mod printer;
mod reference;
mod serve;
mod show;
mod trouble;
pub mod world;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use keyholt_core::secret::holds_secret;

use crate::cli::Cli;
use crate::commands::{BackupCommand, ClientCommand, Command};
use crate::context::{Context, Surroundings};
use crate::printer::Printer;
use crate::trouble::Trouble;
use crate::world::{Environment, World};

pub use crate::exit::Exit;
pub use crate::login::{SystemVault, Vault, VaultError};
pub use crate::person::{AtTerminal, Consent, Person, Unanswered};
pub use crate::reference::reference_markdown;

/// Columns of help that nobody reads at a terminal.
const HELP_COLUMNS: u16 = 100;

/// Reads the command line, runs the command and tells how it ended.
pub fn run(world: World) -> Exit {
    let World {
        arguments,
        variables,
        stdout,
        stderr,
        ..
    } = world;
    let environment = Environment::read(&variables);
    let mut printer = Printer::new(stdout, stderr, environment.colours);
    if let Err(trouble) = hold_no_secret(&arguments) {
        printer.trouble(&trouble);
        return trouble.exit();
    }
    let cli = match parse(&arguments, &printer) {
        Ok(cli) => cli,
        Err(error) => return told(&error, &mut printer),
    };
    let work = match cli.command {
        Command::Server(command) => {
            return command.run(&arguments, variables).unwrap_or_else(|trouble| {
                printer.trouble(&trouble);
                trouble.exit()
            });
        }
        Command::Backup(command) => Work::Data(command, variables),
        Command::Client(command) => Work::Server(command),
    };
    let surroundings = Surroundings {
        environment,
        printer,
        stdin: world.stdin,
        person: world.person,
        vault: world.vault,
        clock: world.clock,
        entropy: world.entropy,
    };
    let mut context = Context::new(&cli.globals, surroundings);
    let ended = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work.run(&mut context)),
        Err(error) => Err(Trouble::new("cannot start").because(&error)),
    };
    ended.unwrap_or_else(|trouble| {
        context.printer.trouble(&trouble);
        trouble.exit()
    })
}

/// Work whose outcome is printed here.
enum Work {
    /// On the data themselves, found by the server's settings.
    Data(Box<BackupCommand>, Vec<(OsString, OsString)>),
    /// Asked of a server.
    Server(Box<ClientCommand>),
}

impl Work {
    async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::Data(command, variables) => command.run(context, variables).await,
            Self::Server(command) => command.run(context).await,
        }
    }
}

/// SECURITY: every user of a machine sees the arguments of every process, and an error would repeat them.
fn hold_no_secret(arguments: &[OsString]) -> Result<(), Trouble> {
    if arguments
        .iter()
        .any(|argument| holds_secret(&argument.to_string_lossy()))
    {
        return Err(Trouble::new("an argument holds a secret")
            .caused_by("other users of this machine can see arguments, and the shell may keep them")
            .hint("rotate that key; secrets are read from stdin, a file or a hidden prompt"));
    }
    Ok(())
}

fn parse(arguments: &[OsString], printer: &Printer) -> Result<Cli, clap::Error> {
    let columns = usize::from(printer.columns().unwrap_or(HELP_COLUMNS));
    let mut command = Cli::command().term_width(columns);
    let mut matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Help is an answer and goes to stdout; a mistake is told on stderr.
fn told(error: &clap::Error, printer: &mut Printer) -> Exit {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match printer.help(error) {
            Ok(()) => Exit::Yes,
            Err(trouble) => trouble.exit(),
        },
        _ => {
            printer.usage(error);
            Exit::Trouble
        }
    }
}
