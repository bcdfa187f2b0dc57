//! The lines of a dump: a store's content without an engine's form, for backups and for moving between engines.

use std::net::IpAddr;

use keyholt_core::audit::Noun;
use keyholt_core::bond::Bond;
use keyholt_core::commit::Revision;
use keyholt_core::id::{KeyId, ProjectId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{EventNumber, Hex32, KeyColumns, NumberedEvent, Touched, UseOutcome};

/// The form of dumps that this program writes and reads.
pub const DUMP_FORMAT: u32 = 1;

/// One line of a dump. A dump has its kinds of line in this order, records in the order of [`Noun::ALL`] and events in
/// the order of their numbers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum DumpLine {
    /// The first line.
    Begin {
        /// [`DUMP_FORMAT`].
        format: u32,
        /// What binds the store to its master keys; `None` where it was not bound yet.
        #[serde(rename = "master_check")]
        bond: Option<Bond>,
    },
    /// A record other than a key.
    Record {
        /// Its project.
        project: ProjectId,
        /// What kind of thing.
        noun: Noun,
        /// Which.
        id: Uuid,
        /// Its name among its kind in its project.
        handle: String,
        /// How often it was changed.
        revision: Revision,
        /// The record as JSON, to the letter: the seal covers it.
        body: String,
        /// The seal.
        seal: Hex32,
    },
    /// A key.
    Key(Box<KeyColumns>),
    /// An audit event.
    Event {
        /// The event with its number.
        #[serde(flatten)]
        numbered: NumberedEvent,
        /// The records that its commit made, replaced or removed.
        touched: Vec<Touched>,
    },
    /// The first and last use of a key.
    LastUse {
        /// The key.
        key: KeyId,
        /// The first use, in milliseconds.
        first_at: i64,
        /// The last use, in milliseconds.
        last_at: i64,
        /// From where the last use came, if that is known.
        address: Option<IpAddr>,
    },
    /// How often a key was used in one hour.
    Hour {
        /// The key.
        key: KeyId,
        /// The hour since 1970.
        hour: i64,
        /// How it fared.
        outcome: UseOutcome,
        /// How often.
        count: u64,
    },
    /// The last line.
    End {
        /// The number of the last commit.
        head: EventNumber,
        /// How many lines there are between the first and this one.
        lines: u64,
    },
}
