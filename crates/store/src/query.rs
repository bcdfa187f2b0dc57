//! Questions to the store: filters, order and pages, all bounded.

use keyholt_core::audit::Noun;
use keyholt_core::id::KeyId;
use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_core::scope::Scope;
use keyholt_core::text::Tag;
use keyholt_core::time::Moment;
use uuid::Uuid;

/// How many entries a page has at most: 1 to 1000.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit(u16);

impl Limit {
    /// The largest page.
    pub const MOST: u16 = 1000;
    /// The page of a question that does not say.
    pub const DEFAULT: Self = Self(100);
    /// One entry.
    pub const ONE: Self = Self(1);
    /// The largest page there is.
    pub const LARGEST: Self = Self(Self::MOST);

    /// A page of that many entries, if that is allowed.
    pub fn new(entries: u64) -> Option<Self> {
        u16::try_from(entries)
            .ok()
            .filter(|entries| (1..=Self::MOST).contains(entries))
            .map(Self)
    }

    /// The number of entries.
    pub fn entries(self) -> usize {
        usize::from(self.0)
    }
}

/// A page of entries, and where the next one starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page starts; `None` when this is the last one.
    pub next: Option<After>,
}

/// The last entry of a page: the value that the order goes by, and the id that breaks ties.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct After {
    /// The value that the order goes by: an instant in milliseconds or an event's number; 0 where the id alone orders.
    pub value: i64,
    /// The id.
    pub id: Uuid,
}

/// Which keys are wanted. Filters are joined by *and*.
///
/// Order: soonest end first with `expiring_before`; longest unused first with `unused_since`; else newest first, by id.
#[derive(Clone, Debug)]
pub struct KeyQuery {
    /// Whose.
    pub owners: Owners,
    /// Of which kind; `None` is every kind but sessions, which are found by owner, state and end only.
    pub kind: Option<Kind>,
    /// In which state.
    pub state: Option<StateFilter>,
    /// With this scope written in their access.
    pub scope: Option<Scope>,
    /// With this tag.
    pub tag: Option<Tag>,
    /// With these words in name or description; the last may be the beginning of a word. [`crate::words`] tells what a
    /// word is. A text without a word finds nothing.
    pub text: Option<String>,
    /// Neither used nor made since this instant.
    pub unused_since: Option<Moment>,
    /// Ending before this instant.
    pub expiring_before: Option<Moment>,
    /// Made with this key.
    pub created_by: Option<KeyId>,
    /// Starting after this entry.
    pub after: Option<After>,
    /// How many.
    pub limit: Limit,
}

/// Whose keys are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Owners {
    /// Anybody's.
    Anybody,
    /// One of these owners'. Nobody named, nothing found.
    These(Vec<Owner>),
}

/// In which state keys are wanted. A key whose time is over is expired, whatever else it is short of revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateFilter {
    /// Active, and not expired at this instant.
    Active {
        /// Now.
        now: Moment,
    },
    /// Suspended.
    Suspended,
    /// Revoked.
    Revoked,
    /// Not revoked, and expired at this instant.
    Expired {
        /// Now.
        now: Moment,
    },
}

impl Default for KeyQuery {
    fn default() -> Self {
        Self {
            owners: Owners::Anybody,
            kind: None,
            state: None,
            scope: None,
            tag: None,
            text: None,
            unused_since: None,
            expiring_before: None,
            created_by: None,
            after: None,
            limit: Limit::DEFAULT,
        }
    }
}

/// Which records other than keys are wanted, oldest first.
#[derive(Clone, Debug)]
pub struct RecordQuery {
    /// Whose handle starts with this.
    pub handle_prefix: Option<String>,
    /// Starting after this entry.
    pub after: Option<After>,
    /// How many.
    pub limit: Limit,
}

/// Which audit events are wanted, newest first. Filters are joined by *and*.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// With this action, or, ending in `.*`, of this kind: `key.*`.
    pub action: Option<String>,
    /// About this thing.
    pub target: Option<(Noun, Uuid)>,
    /// Done with this key.
    pub actor: Option<KeyId>,
    /// About something of this owner.
    pub owner: Option<Owner>,
    /// Refused attempts only, or done things only.
    pub refused: Option<Refused>,
    /// From this instant on.
    pub since: Option<Moment>,
    /// Before this instant.
    pub until: Option<Moment>,
    /// Starting after (that is, older than) this entry.
    pub after: Option<After>,
    /// How many.
    pub limit: Limit,
}

/// Whether refused attempts or done things are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// Refused attempts.
    Only,
    /// Done things.
    Not,
}
