//! `keyholt serve` and `keyholt config`: the server itself, with a flag for every setting that may stand in a process list.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Subcommand};
use keyholt_server::config::{Fallback, SETTINGS};

use crate::exit::Exit;
use crate::serve::{self, Given};
use crate::trouble::Trouble;
use crate::world::VARIABLES;

/// What can be done on the machine of the server.
#[derive(Subcommand)]
pub enum ServerCommand {
    /// Start the server
    #[command(
        after_help = "Settings come from a file, the environment and flags, the last one first.\n\n\
                            Example:\n  keyholt serve --listen 127.0.0.1:7311 --data ./data"
    )]
    Serve(Settings),
    /// The server's settings
    #[command(subcommand)]
    Config(Config),
}

/// What can be done with the settings.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  keyholt config show")]
pub enum Config {
    /// Show every setting, its value and where it comes from, secrets hidden
    #[command(after_help = "Example:\n  keyholt config show --data ./data")]
    Show(Settings),
}

/// The settings that were given as flags.
pub struct Settings(Vec<(String, String)>);

impl ServerCommand {
    /// Runs the command. Its log and its greeting are the server's own.
    pub fn run(self, arguments: &[OsString], environment: Vec<(OsString, OsString)>) -> Result<Exit, Trouble> {
        let program = arguments.first().map(|name| name.to_string_lossy().into_owned());
        let given = |Settings(flags)| Given {
            program: program.unwrap_or_else(|| "keyholt".to_owned()),
            environment,
            flags,
            foreign: &FOREIGN,
        };
        let ended = match self {
            Self::Serve(settings) => serve::run(given(settings)),
            Self::Config(Config::Show(settings)) => serve::show(given(settings)),
        };
        match ended {
            Ok(code) if code == ExitCode::SUCCESS => Ok(Exit::Yes),
            Ok(_) => Ok(Exit::Trouble),
            Err(error) => {
                let trouble = Trouble::new(error.to_string());
                Err(error
                    .chain()
                    .skip(1)
                    .fold(trouble, |trouble, cause| trouble.caused_by(cause.to_string())))
            }
        }
    }
}

/// The variables that are the client's and no settings of the server.
pub(super) static FOREIGN: [&str; VARIABLES.len()] = {
    let mut names = [""; VARIABLES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = VARIABLES[at].0;
        at += 1;
    }
    names
};

impl Args for Settings {
    fn augment_args(command: Command) -> Command {
        let flags = SETTINGS.iter().filter_map(|setting| {
            let default = match setting.default {
                Fallback::Text("") => String::new(),
                Fallback::Text(text) => format!(" [default: {text}]"),
                Fallback::Unset(words) => format!(" [default: {words}]"),
            };
            let about = setting.about.trim_end_matches('.');
            let argument = Arg::new(setting.name)
                .long(setting.flag()?)
                .value_name("VALUE")
                .help(format!("{about}{default}"));
            Some(argument)
        });
        command.args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let flag = setting.flag()?;
            let value = matches.get_one::<String>(setting.name)?;
            Some((flag, value.clone()))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
