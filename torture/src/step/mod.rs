//! The steps, in the order in which they are taken.

mod bad_input;
mod clock;
mod disk;
mod drain;
mod flips;
mod kill;
mod outage;
mod overload;
mod race;
mod seals;
mod timing;

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
    Step {
        name: "seals",
        about: "somebody writes to the database without the master key",
        take: seals::take,
    },
    Step {
        name: "flips",
        about: "random bytes of the database flipped",
        take: flips::take,
    },
    Step {
        name: "clock",
        about: "the wall clock set back and forward",
        take: clock::take,
    },
    Step {
        name: "outage",
        about: "PostgreSQL frozen, killed and cut off",
        take: outage::take,
    },
    Step {
        name: "disk",
        about: "the disk fails, is full, and loses power",
        take: disk::take,
    },
    Step {
        name: "drain",
        about: "SIGTERM and kill -9 under load",
        take: drain::take,
    },
    Step {
        name: "overload",
        about: "more load than can be carried, and slow clients",
        take: overload::take,
    },
    Step {
        name: "timing",
        about: "what the time of an answer tells",
        take: timing::take,
    },
    Step {
        name: "bad-input",
        about: "bad input, directly and through HAProxy",
        take: bad_input::take,
    },
];
