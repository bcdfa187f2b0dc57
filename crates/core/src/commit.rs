//! Commits: a change together with the audit event that explains it. Only verbs make them; the store keeps both or neither.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::actor::{Action, Permit};
use crate::audit::{Event, Noun, Outcome, Target};
use crate::id::{KeyId, ProjectId, SYSTEM};
use crate::key::Key;
use crate::owner::{Owner, Service, Team, User};
use crate::password::Password;
use crate::project::Project;
use crate::role::Role;
use crate::setup::Setup;
use crate::signing::SigningKey;
use crate::text::{Cause, RequestKey};
use crate::time::Moment;
use crate::token::RevokedToken;

/// How often a record was changed: the first version is 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Revision(u32);

impl Revision {
    /// The revision of a new record.
    pub const FIRST: Self = Self(1);

    /// The revision with this number.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Anything that is kept.
#[derive(Clone, Debug)]
pub enum Record {
    /// The set-up.
    Setup(Setup),
    /// A project.
    Project(Project),
    /// A role.
    Role(Role),
    /// A user.
    User(User),
    /// A team.
    Team(Team),
    /// A service.
    Service(Service),
    /// A user's password.
    Password(Password),
    /// A key that signs access tokens.
    SigningKey(Box<SigningKey>),
    /// An access token that was revoked before its end.
    Token(RevokedToken),
    /// A key.
    Key(Box<Key>),
}

/// The id of the one set-up record.
const SETUP: Uuid = SYSTEM.uuid();

impl Record {
    /// What kind of thing.
    pub fn noun(&self) -> Noun {
        match self {
            Self::Setup(_) => Noun::Setup,
            Self::Project(_) => Noun::Project,
            Self::Role(_) => Noun::Role,
            Self::User(_) => Noun::User,
            Self::Team(_) => Noun::Team,
            Self::Service(_) => Noun::Service,
            Self::Password(_) => Noun::Password,
            Self::SigningKey(_) => Noun::SigningKey,
            Self::Token(_) => Noun::Token,
            Self::Key(_) => Noun::Key,
        }
    }

    /// Which.
    pub fn id(&self) -> Uuid {
        match self {
            Self::Setup(_) => SETUP,
            Self::Project(project) => project.id.uuid(),
            Self::Role(role) => role.id.uuid(),
            Self::User(user) => user.id.uuid(),
            Self::Team(team) => team.id.uuid(),
            Self::Service(service) => service.id.uuid(),
            Self::Password(password) => password.user.uuid(),
            Self::SigningKey(key) => key.id.uuid(),
            Self::Token(token) => token.id.uuid(),
            Self::Key(key) => key.id.uuid(),
        }
    }

    /// The project that it belongs to; a project and the set-up belong to the system.
    pub fn project(&self) -> ProjectId {
        match self {
            Self::Setup(_) | Self::Project(_) => SYSTEM,
            Self::Role(role) => role.project,
            Self::User(user) => user.project,
            Self::Team(team) => team.project,
            Self::Service(service) => service.project,
            Self::Password(password) => password.project,
            Self::SigningKey(key) => key.project,
            Self::Token(token) => token.project,
            Self::Key(key) => key.project,
        }
    }

    /// The handle by which people name it, unique among its kind in its project; keys and passwords have none.
    pub fn handle(&self) -> Option<&str> {
        match self {
            Self::Setup(_) => Some("setup"),
            Self::Project(project) => Some(project.slug.as_str()),
            Self::Role(role) => Some(role.name.as_str()),
            Self::User(user) => Some(user.external_id.as_str()),
            Self::Team(team) => Some(team.external_id.as_str()),
            Self::Service(service) => Some(service.name.as_str()),
            Self::SigningKey(key) => Some(key.place.as_str()),
            Self::Password(_) | Self::Token(_) | Self::Key(_) => None,
        }
    }

    /// The handle under which it is stored: what people do not name goes by its id.
    pub fn stored_handle(&self) -> Cow<'_, str> {
        match self.handle() {
            Some(handle) => Cow::Borrowed(handle),
            None => Cow::Owned(self.id().to_string()),
        }
    }

    /// How often it was changed.
    pub fn revision(&self) -> Revision {
        match self {
            Self::Setup(setup) => setup.revision,
            Self::Project(project) => project.revision,
            Self::Role(role) => role.revision,
            Self::User(user) => user.revision,
            Self::Team(team) => team.revision,
            Self::Service(service) => service.revision,
            Self::Password(password) => password.revision,
            Self::SigningKey(key) => key.revision,
            Self::Token(token) => token.revision,
            Self::Key(key) => key.revision,
        }
    }

    /// Whom it belongs to, where it belongs to somebody.
    pub fn owner(&self) -> Option<Owner> {
        match self {
            Self::Setup(_) | Self::Project(_) | Self::Role(_) | Self::SigningKey(_) => None,
            Self::User(user) => Some(Owner::User(user.id)),
            Self::Team(team) => Some(Owner::Team(team.id)),
            Self::Service(service) => Some(Owner::Service(service.id)),
            Self::Password(password) => Some(Owner::User(password.user)),
            Self::Token(token) => Some(token.owner),
            Self::Key(key) => Some(key.owner),
        }
    }

    /// What the audit trail may show of it: everything but secrets and digests.
    pub fn view(&self) -> Value {
        match self {
            Self::Setup(setup) => json!({ "open": setup.is_open() }),
            Self::Project(project) => json!(project),
            Self::Role(role) => json!(role),
            Self::User(user) => json!(user),
            Self::Team(team) => json!(team),
            Self::Service(service) => json!(service),
            Self::Password(password) => json!({
                "user": password.user,
                "changed_at": password.changed_at,
                "revision": password.revision,
            }),
            Self::SigningKey(key) => key.view(),
            Self::Token(token) => json!(token),
            Self::Key(key) => json!({
                "id": key.id,
                "owner": key.owner,
                "kind": key.kind,
                "access": key.access,
                "bounds": key.bounds,
                "expiry": key.expiry,
                "state": key.state,
                "retiring_until": key.credentials.retiring().map(|(_, until)| until),
                "about": key.about,
                "created_at": key.created_at,
                "created_by": key.created_by,
                "revision": key.revision,
            }),
        }
    }
}

/// What happens to one record.
#[derive(Clone, Debug)]
pub enum Change {
    /// It comes into being.
    Insert(Record),
    /// It is replaced as a whole, provided that nobody changed it meanwhile.
    Replace {
        /// The new record.
        record: Record,
        /// The revision that the new one is based on.
        expected: Revision,
    },
    /// It goes, provided that nobody changed it meanwhile.
    Remove {
        /// The record as it was last.
        record: Record,
    },
}

impl Change {
    /// The record that is made, replaced or removed.
    pub fn record(&self) -> &Record {
        match self {
            Self::Insert(record) | Self::Replace { record, .. } | Self::Remove { record } => record,
        }
    }
}

/// A condition that the store checks inside the transaction, because only there it is true for sure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guard {
    /// The owner has at most this many keys that are not revoked, the new one included.
    KeysPerOwner {
        /// The owner's project.
        project: ProjectId,
        /// The owner.
        owner: Owner,
        /// The limit.
        most: u32,
    },
}

/// Remembers which answer a repeated request gets (`Idempotency-Key`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// The key that made the request.
    pub actor: KeyId,
    /// The caller's `Idempotency-Key`.
    pub request: RequestKey,
    /// SHA-256 of what was asked: the same request key with another question is an error.
    pub question: [u8; 32],
    /// The record that was made.
    pub made: Uuid,
    /// When; it is forgotten after a day.
    pub at: Moment,
}

/// A change together with its audit event.
#[derive(Clone, Debug)]
pub struct Commit {
    changes: Vec<Change>,
    event: Event,
    guard: Option<Guard>,
    maker: Option<KeyId>,
    replay: Option<Replay>,
}

impl Commit {
    /// A refused attempt: an event without a change. This is the one commit that is not made by a verb.
    pub fn refusal(event: Event) -> Self {
        debug_assert!(event.outcome != Outcome::Done, "what is done comes with its change");
        Self {
            changes: Vec::new(),
            event,
            guard: None,
            maker: None,
            replay: None,
        }
    }

    /// What somebody with leave did to one record.
    pub(crate) fn by<A: Action>(
        permit: &Permit<A>,
        action: &str,
        before: Option<&Record>,
        change: Change,
        cause: Option<Cause>,
        now: Moment,
    ) -> Self {
        let record = change.record();
        debug_assert!(permit.reaches(record), "leave was given for something else");
        let event = Event {
            // A change to a project itself is part of that project's story.
            project: permit.project(),
            at: now,
            action: action.to_owned(),
            outcome: Outcome::Done,
            actor: Some(permit.actor().into()),
            target: Target {
                noun: record.noun(),
                id: Some(record.id()),
            },
            owner: record.owner(),
            cause: cause.or_else(|| permit.actor().cause.clone()),
            source: permit.actor().source.clone(),
            before: before.map(Record::view),
            after: match &change {
                Change::Remove { .. } => None,
                Change::Insert(record) | Change::Replace { record, .. } => Some(record.view()),
            },
        };
        Self {
            changes: vec![change],
            event,
            guard: None,
            maker: None,
            replay: None,
        }
    }

    /// What Keyholt itself did, at set-up.
    pub(crate) fn by_itself(event: Event, changes: Vec<Change>) -> Self {
        Self {
            changes,
            event,
            guard: None,
            maker: None,
            replay: None,
        }
    }

    /// The same commit about a record that somebody changed in the database: nothing that it said is told as if it were true.
    pub(crate) fn about_tampered(mut self) -> Self {
        self.event.owner = None;
        self.event.before = Some(json!({ "tampered": true }));
        self
    }

    pub(crate) fn guarded(mut self, guard: Guard) -> Self {
        self.guard = Some(guard);
        self
    }

    pub(crate) fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// The same commit, remembered under the caller's `Idempotency-Key`.
    #[must_use]
    pub fn remembered(mut self, replay: Replay) -> Self {
        self.replay = Some(replay);
        self
    }

    /// The same commit, written only while the key that it is done with is there and not revoked.
    ///
    /// SECURITY: somebody may be recognised, and be slow to say what is to be made. What a key makes is there before the key
    /// ends, so that it is found and ends with it, or is not made at all.
    #[must_use]
    pub fn made_with(mut self, maker: KeyId) -> Self {
        self.maker = Some(maker);
        self
    }

    /// What changes.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The event that explains it.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The condition to check inside the transaction.
    pub fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// The key that must not have ended before this is written.
    pub fn maker(&self) -> Option<KeyId> {
        self.maker
    }

    /// What to remember for repeated requests.
    pub fn replay(&self) -> Option<&Replay> {
        self.replay.as_ref()
    }
}
