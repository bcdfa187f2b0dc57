//! The settings of the server as flags, made from the one table that describes them.

use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};
use keyholt_server::config::SETTINGS;

/// Flags that were given, each with its value.
#[derive(Debug)]
pub struct SettingFlags(pub Vec<(String, String)>);

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let flag = setting.flag()?;
            let value = matches.get_one::<String>(&flag)?.clone();
            Some((flag, value))
        });
        Ok(Self(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        SETTINGS.iter().fold(command, |command, setting| match setting.flag() {
            None => command,
            Some(flag) => {
                let help = format!("{} [env: {}]", setting.about, setting.variable());
                command.arg(
                    Arg::new(flag.clone())
                        .long(flag)
                        .value_name("VALUE")
                        .help(help)
                        .help_heading("Settings"),
                )
            }
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
