//! Remembers. Decides nothing: a few reads, usage counts, and one audited write.
//!
//! One trait, three stores: memory is the reference meaning, SQLite and PostgreSQL must agree with it.

mod columns;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod dump;
#[cfg(any(test, feature = "contract"))]
mod faulty;
mod memory;
mod postgres;
mod query;
mod sqlite;
pub mod words;
mod write;

pub use columns::{Hex32, KeyColumns};
pub use dump::{DUMP_FORMAT, DumpLine};
#[cfg(any(test, feature = "contract"))]
pub use faulty::{Fault, Faulty};
pub use memory::Memory;
pub use postgres::Postgres;
pub use query::{After, EventQuery, KeyQuery, Limit, Owners, Page, RecordQuery, Refused, StateFilter};
pub use sqlite::{Held, Sqlite, SqliteToRead};
pub use write::{BrokenSeal, Row, StoredRecord, Write};

use std::time::Duration;

use async_trait::async_trait;
use keyholt_core::audit::{Event, Noun};
use keyholt_core::bond::Bond;
use keyholt_core::commit::Replay;
use keyholt_core::denial::DenialCode;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{Key, KeyRow};
use keyholt_core::seal::Seal;
use keyholt_core::text::RequestKey;
use keyholt_core::time::{Moment, Span};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

/// A place that remembers.
///
/// Every read names its project and finds nothing of another one. Reads see every commit that was acknowledged before.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Writes commits in one transaction: all of them, with their audit events, or none.
    ///
    /// Returns the number of each commit's event; numbers grow without gaps in the order in which commits become visible.
    /// When this returns, the commits survive a power loss. The first thing that stands against a commit is named; it is
    /// looked for in this order: the repeated request (or the repeat would be told of its own effect), each change in turn
    /// (stale, handle or secret taken, static taken), the guard, the maker. A digest may stand in one place only; a replacement in
    /// another project than the record's is stale, and so is the making of what is there.
    ///
    /// Whoever stops waiting does not know whether it was written: that is [`CommitError::Uncertain`] for them.
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<EventNumber>, CommitError>;

    /// Reads everything that judging needs, as of one instant, and tells the number of the last commit in it.
    ///
    /// Records come before the records that refer to them, in the order of [`Noun::ALL`]; keys come last.
    async fn load(&self, each: &mut (dyn for<'a> FnMut(Loaded<'a>) + Send)) -> Result<EventNumber, StoreError>;

    /// The commits after a number, oldest first: what other nodes follow.
    async fn feed(&self, after: EventNumber, limit: Limit) -> Result<Vec<FeedEntry>, StoreError>;

    /// One record other than a key.
    async fn record(&self, project: ProjectId, noun: Noun, id: Uuid) -> Result<Option<StoredRecord>, StoreError>;

    /// One record other than a key, by the handle that is unique among its kind in its project.
    async fn record_by_handle(
        &self,
        project: ProjectId,
        noun: Noun,
        handle: &str,
    ) -> Result<Option<StoredRecord>, StoreError>;

    /// Records of one kind, in order of their ids (oldest first).
    async fn records(
        &self,
        project: ProjectId,
        noun: Noun,
        query: &RecordQuery,
    ) -> Result<Page<StoredRecord>, StoreError>;

    /// One key with its seal.
    async fn key(&self, project: ProjectId, id: KeyId) -> Result<Option<(Key, Seal)>, StoreError>;

    /// Keys that a query finds, in the query's order.
    async fn keys(&self, project: ProjectId, query: &KeyQuery) -> Result<Page<(Key, Seal)>, StoreError>;

    /// Audit events, newest first.
    async fn events(&self, project: ProjectId, query: &EventQuery) -> Result<Page<NumberedEvent>, StoreError>;

    /// What is remembered of a repeated request.
    async fn replay(&self, actor: KeyId, request: &RequestKey) -> Result<Option<Replay>, StoreError>;

    /// Adds usage that was gathered in memory, in one transaction. Usage of a key that is gone is dropped.
    ///
    /// Of several uses of a key at the same instant, the last one given is the most recent.
    async fn note_usage(&self, usage: &[UsageDelta]) -> Result<(), StoreError>;

    /// A key's usage in the hours from `from` up to but not including `to`; at most a year of hours.
    async fn usage(&self, project: ProjectId, key: KeyId, from_hour: i64, to_hour: i64) -> Result<Usage, StoreError>;

    /// The most recent use of each of these keys, as far as they were used.
    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, StoreError>;

    /// Forgets repeated requests made before this instant, and hours of usage that are [`USAGE_KEPT`] older still.
    async fn forget_before(&self, moment: Moment) -> Result<(), StoreError>;

    /// Remembers that this instant was reached, so that a machine's clock that was set back is recognised at the next start.
    async fn keep_time(&self, reached: Moment, kept: TimeKept) -> Result<(), StoreError>;

    /// The latest instant that was kept, or that of the last commit where it is later; `None` where nothing was written yet.
    async fn latest_time(&self) -> Result<Option<Moment>, StoreError>;

    /// To which master keys the data belong; `None` where the store is new.
    async fn bond(&self) -> Result<Option<Bond>, StoreError>;

    /// Gives the data another bond, provided that they have the expected one; tells whether they had.
    async fn rebind(&self, expected: Option<Bond>, bond: Bond) -> Result<bool, StoreError>;

    /// Reads everything as of one instant, for a backup, and tells the number of the last commit in it.
    ///
    /// Lines come in the order of [`DumpLine`]; repeated requests are not in it, they are forgotten within a day anyway.
    /// A store that holds a part of a dump only is not dumped again: that is [`StoreError::HalfFilled`].
    async fn dump(&self, each: &mut (dyn FnMut(DumpLine) + Send)) -> Result<EventNumber, StoreError>;

    /// Writes the next lines of a dump, each call in one transaction.
    ///
    /// [`DumpLine::Begin`] demands a store in which nothing was ever written ([`StoreError::NotEmpty`]). Until
    /// [`DumpLine::End`] is written, and agrees in number with what came, [`Store::bond`] answers
    /// [`StoreError::HalfFilled`], so that nobody starts on a part of a backup.
    async fn fill(&self, lines: Vec<DumpLine>) -> Result<(), StoreError>;

    /// Whether other processes may write to the same data.
    fn sharing(&self) -> Sharing;

    /// Answers when the store does.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Finishes what is queued and closes.
    async fn close(&self);
}

/// The number of an event: the position of its commit in the feed. The first commit has number 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventNumber(pub u64);

/// Whether other processes may write to the same data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sharing {
    /// This process alone: what it knows is always fresh.
    Alone,
    /// Others may: freshness must be proven by following the feed.
    Shared,
}

/// What becomes of an instant that was kept before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeKept {
    /// The later of the two stays.
    Onward,
    /// The new one stays, because somebody said that the old one was wrong.
    Anew,
}

/// One thing that [`Store::load`] found.
#[derive(Debug)]
pub enum Loaded<'a> {
    /// About so many keys will come. A store that cannot tell cheaply says nothing.
    Ahead(usize),
    /// A record other than a key.
    Record(StoredRecord),
    /// The part of a key that judges.
    Key(KeyRow<'a>, Seal),
}

/// One commit in the feed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedEntry {
    /// Its number.
    pub number: EventNumber,
    /// When its event was, by the clock of the node that wrote it.
    pub at: Moment,
    /// The records that it made, replaced or removed.
    pub touched: Vec<Touched>,
}

/// A record that a commit made, replaced or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Touched {
    /// Its project.
    pub project: ProjectId,
    /// What kind of thing.
    pub noun: Noun,
    /// Which.
    pub id: Uuid,
}

/// An audit event with its number.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NumberedEvent {
    /// Its number.
    pub number: EventNumber,
    /// The event.
    pub event: Event,
}

/// How a presented key fared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UseOutcome {
    /// It was granted.
    Granted,
    /// It was granted on the secret that a rotation retires.
    GrantedRetiring,
    /// It was denied because of its standing: revoked, suspended, expired, owner or project out of standing.
    DeniedStanding,
    /// It was denied because of where it was used: address, origin, audience, environment.
    DeniedBounds,
    /// It was denied for want of scopes.
    DeniedScope,
}

impl UseOutcome {
    /// All outcomes.
    pub const ALL: [Self; 5] = [
        Self::Granted,
        Self::GrantedRetiring,
        Self::DeniedStanding,
        Self::DeniedBounds,
        Self::DeniedScope,
    ];

    /// The word for it in columns and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::GrantedRetiring => "granted_retiring",
            Self::DeniedStanding => "denied_standing",
            Self::DeniedBounds => "denied_bounds",
            Self::DeniedScope => "denied_scope",
        }
    }

    /// The outcome that this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }

    /// Whether the key opened the door: only then it counts as used.
    pub const fn is_granted(self) -> bool {
        matches!(self, Self::Granted | Self::GrantedRetiring)
    }

    /// How a denial is counted; `None` for one that belongs to no key.
    pub const fn of_denial(code: DenialCode) -> Option<Self> {
        match code {
            DenialCode::Malformed | DenialCode::Unknown => None,
            DenialCode::Tampered
            | DenialCode::Revoked
            | DenialCode::Suspended
            | DenialCode::Expired
            | DenialCode::OwnerSuspended
            | DenialCode::ProjectSuspended => Some(Self::DeniedStanding),
            DenialCode::AddressNotAllowed
            | DenialCode::OriginNotAllowed
            | DenialCode::AudienceNotAllowed
            | DenialCode::EnvironmentNotAllowed => Some(Self::DeniedBounds),
            DenialCode::InsufficientScope => Some(Self::DeniedScope),
        }
    }
}

/// Usage of one key in one hour that is to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UsageDelta {
    /// The key.
    pub key: KeyId,
    /// The hour since 1970.
    pub hour: i64,
    /// How it fared.
    pub outcome: UseOutcome,
    /// How often.
    pub count: u64,
    /// When the first of them was.
    pub first_at: Moment,
    /// When the last of them was.
    pub at: Moment,
    /// From where the last of them came, if that is known.
    pub address: Option<IpAddr>,
}

/// A key's usage.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// The first and last use, over all time.
    pub last: Option<LastUse>,
    /// Counts by hour and outcome, in that order; hours without use are left out.
    pub hours: Vec<(i64, UseOutcome, u64)>,
}

/// When and from where a key was used; only granted uses count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastUse {
    /// The first use.
    pub first_at: Moment,
    /// The last use.
    pub last_at: Moment,
    /// From where the last use came, if that is known.
    pub address: Option<IpAddr>,
}

/// Why a commit was not written. Nothing of it is visible, except after [`CommitError::Uncertain`].
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else changed the record meanwhile.
    #[error("the {} was changed meanwhile", noun.as_str())]
    Stale {
        /// What kind of thing.
        noun: Noun,
    },
    /// Another record has that handle.
    #[error("another {} has that handle", noun.as_str())]
    HandleTaken {
        /// What kind of thing.
        noun: Noun,
    },
    /// Another key has that secret. Which key is never said.
    #[error("another key has that secret")]
    SecretTaken,
    /// The user has a static key already.
    #[error("the user has a static key already")]
    StaticTaken,
    /// The request key was used already.
    #[error("the request key was used already")]
    ReplayTaken,
    /// A record that a guard counts is one too many.
    #[error("the owner has as many keys as the policy allows")]
    TooManyKeys,
    /// The key that it is made with is revoked or gone.
    #[error("the key that it is made with has ended")]
    MakerEnded,
    /// There is no room left to write.
    #[error("the storage is full")]
    Full,
    /// It is not known whether it was written: the connection broke while the answer was awaited.
    #[error("it is not known whether the change was written")]
    Uncertain(#[source] StoreError),
    /// The store did not answer, and nothing was written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store cannot answer now, or its data cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or did not answer in time.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What it holds cannot be read.
    #[error("the store holds what cannot be read: {0}")]
    Corrupt(String),
    /// It was made by a newer version.
    #[error("the store has schema {found}, this program knows up to {known}: use the newer program")]
    TooNew {
        /// The schema that was found.
        found: u32,
        /// The newest schema that this program knows.
        known: u32,
    },
    /// Another process uses it.
    #[error("the store is in use by another process")]
    InUse,
    /// A dump can only be read into an empty store.
    #[error("the store is not empty: a backup is restored into an empty one")]
    NotEmpty,
    /// A dump was read in part only.
    #[error("the store holds a part of a backup: remove it and restore again")]
    HalfFilled,
}

/// How long a store may take to answer before it counts as unavailable.
///
/// Callers wait this long and no longer; a store has no clock of its own.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long hours of usage are kept: a leap year.
pub const USAGE_KEPT: Span = Span::days(366);

/// The most hours that one question about usage spans.
pub const USAGE_HOURS_MAX: i64 = 366 * 24;
