//! How a run ends: the three exit codes, which mean the same for every command.

use std::process::ExitCode;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It was done; the key is valid. Exit code 0.
    Yes,
    /// The question was well asked and the answer is no. Exit code 1.
    No,
    /// There is no answer: a mistake in the command, an outage, a server that cannot be understood. Exit code 2.
    Trouble,
}

impl Exit {
    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Yes => 0,
            Self::No => 1,
            Self::Trouble => 2,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
