//! The steps, in the order in which they are taken.

mod kill;
mod race;

use crate::figure::Figure;
use crate::setting::Setting;

/// A step: something that is done to Keyholt, and what must come of it.
pub struct Step {
    /// How it is called on the command line.
    pub name: &'static str,
    /// What is done.
    pub about: &'static str,
    /// Does it.
    pub take: fn(&Setting) -> anyhow::Result<Vec<Figure>>,
}

/// All steps.
pub const STEPS: &[Step] = &[
    Step {
        name: "kill",
        about: "kill -9 at write and sync system calls",
        take: kill::take,
    },
    Step {
        name: "race",
        about: "one key hammered while it is revoked",
        take: race::take,
    },
];
