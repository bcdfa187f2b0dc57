//! All that comes from outside, handed in by `main`: arguments, environment, streams, a person, time and chance.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write};
use std::path::PathBuf;

use keyholt_core::entropy::Entropy;
use keyholt_server::clock::Clock;
use zeroize::Zeroizing;

use crate::login::Vault;
use crate::person::Person;

/// The world around one run.
pub struct World {
    /// The words of the command line, the program's name first.
    pub arguments: Vec<OsString>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
    /// Where secrets can be piped in.
    pub stdin: Box<dyn Read>,
    /// Where data goes.
    pub stdout: Stream,
    /// Where talk goes.
    pub stderr: Stream,
    /// Somebody who can answer questions; nobody where stdin is not a terminal.
    pub person: Option<Box<dyn Person>>,
    /// The system's keyring.
    pub vault: Box<dyn Vault>,
    /// What time it is.
    pub clock: Box<dyn Clock>,
    /// The operating system's randomness.
    pub entropy: Box<dyn Entropy + Send>,
}

/// A stream to write to.
pub struct Stream {
    /// Takes the bytes.
    pub to: Box<dyn Write>,
    /// Who reads them.
    pub reader: Reader,
}

/// Who reads a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// A person, at a terminal of this width.
    Person {
        /// Columns of the terminal.
        columns: u16,
    },
    /// A program or a file.
    Program,
}

/// The environment variables of the command line, and the few of others that it heeds.
#[derive(Default)]
pub(crate) struct Environment {
    /// `KEYHOLT_SERVER`.
    pub server: Option<String>,
    /// `KEYHOLT_PROJECT`.
    pub project: Option<String>,
    /// `KEYHOLT_CREDENTIAL`.
    pub credential: Option<Zeroizing<String>>,
    /// `KEYHOLT_CREDENTIAL_FILE`.
    pub credential_file: Option<PathBuf>,
    /// `KEYHOLT_CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// The folder of Keyholt's own settings: `$XDG_CONFIG_HOME/keyholt` or `$HOME/.config/keyholt`.
    pub folder: Option<PathBuf>,
    /// Whether `NO_COLOR` or `TERM=dumb` asks for none.
    pub colours: Colours,
}

/// Whether colours are wanted where a person reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Colours {
    /// They are.
    #[default]
    Wanted,
    /// They are not.
    Unwanted,
}

/// What the command line reads from the environment, and what for; the server's settings have other names.
pub(crate) const VARIABLES: [(&str, &str); 5] = [
    (
        "KEYHOLT_SERVER",
        "Address of the server, where `--server` is not given.",
    ),
    ("KEYHOLT_PROJECT", "The project, where `--project` is not given."),
    (
        "KEYHOLT_CREDENTIAL",
        "The secret of the key to use instead of the stored one.",
    ),
    ("KEYHOLT_CREDENTIAL_FILE", "A file that holds nothing but that secret."),
    (
        "KEYHOLT_CA_FILE",
        "Certificates (PEM) to trust beside the system's, where `--ca-file` is not given.",
    ),
];

impl Environment {
    /// Picks from the environment what the command line heeds. Empty variables count as missing.
    pub fn read(variables: &[(OsString, OsString)]) -> Self {
        let set = |name: &str| {
            let found = variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        // What is not UTF-8 is kept readable: the address or name then fails with a message of its own.
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        let config = set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".config")));
        let plain = set("NO_COLOR").is_some() || set("TERM").as_deref() == Some(OsStr::new("dumb"));
        Self {
            server: text("KEYHOLT_SERVER"),
            project: text("KEYHOLT_PROJECT"),
            credential: text("KEYHOLT_CREDENTIAL").map(Zeroizing::new),
            credential_file: set("KEYHOLT_CREDENTIAL_FILE").map(PathBuf::from),
            ca_file: set("KEYHOLT_CA_FILE").map(PathBuf::from),
            folder: config.map(|folder| folder.join("keyholt")),
            colours: if plain { Colours::Unwanted } else { Colours::Wanted },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Environment {
        let variables: Vec<(OsString, OsString)> = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Environment::read(&variables)
    }

    #[test]
    fn an_empty_variable_is_a_missing_one() {
        let environment = read(&[("KEYHOLT_SERVER", ""), ("NO_COLOR", ""), ("HOME", "/home/ada")]);
        assert_eq!(environment.server, None);
        assert_eq!(environment.colours, Colours::Wanted);
        assert_eq!(environment.folder, Some(PathBuf::from("/home/ada/.config/keyholt")));
    }

    #[test]
    fn settings_lie_where_xdg_says_unless_it_is_relative() {
        let folder = |xdg| read(&[("XDG_CONFIG_HOME", xdg), ("HOME", "/home/ada")]).folder;
        assert_eq!(folder("/etc/ada"), Some(PathBuf::from("/etc/ada/keyholt")));
        assert_eq!(folder("ada"), Some(PathBuf::from("/home/ada/.config/keyholt")));
    }
}
