//! Commits made ready for PostgreSQL by whoever asks for them, so that the one writer only has to send them.

use keyholt_core::audit::{Event, Noun, Outcome};
use keyholt_core::commit::{Change, Guard, Record, Replay};
use keyholt_core::id::KeyId;
use keyholt_core::key::{Key, Kind};
use keyholt_core::scope::Access;
use uuid::Uuid;

use crate::{Hex32, KeyColumns, Row, Touched, Write, words};

/// A commit as columns.
pub(super) struct Ready {
    pub changes: Vec<ReadyChange>,
    pub event: ReadyEvent,
    pub guard: Option<Guard>,
    pub maker: Option<Uuid>,
    pub replay: Option<Replay>,
}

/// What happens to one row.
pub(super) struct ReadyChange {
    pub doing: Doing,
    pub item: Item,
}

/// Whether a row comes, is replaced or goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Doing {
    Insert,
    Replace,
    Remove,
}

/// The row.
pub(super) enum Item {
    Record(RecordItem),
    Key(Box<KeyItem>),
}

/// A record other than a key.
pub(super) struct RecordItem {
    pub project: Uuid,
    pub noun: Noun,
    pub id: Uuid,
    pub handle: String,
    pub revision: i64,
    pub body: String,
    pub seal: Hex32,
    /// The revision that must be there now; of no meaning for a new record.
    pub expected: i64,
}

/// A key, and what it is found by.
pub(super) struct KeyItem {
    pub columns: KeyColumns,
    /// What it is found by, one per line.
    pub labels: String,
    /// The revision that must be there now; of no meaning for a new key.
    pub expected: i64,
}

impl KeyItem {
    /// Whether it counts against its owner's limit.
    pub fn is_counted(&self) -> bool {
        self.columns.is_counted()
    }
}

/// An audit event.
pub(super) struct ReadyEvent {
    pub project: Uuid,
    pub at: i64,
    pub action: String,
    pub refused: bool,
    pub actor: Option<Uuid>,
    pub target_noun: Noun,
    pub target: Option<Uuid>,
    pub owner_kind: Option<&'static str>,
    pub owner: Option<Uuid>,
    pub touched: String,
    pub body: String,
}

impl Ready {
    /// Puts a commit into columns.
    pub fn new(write: &Write) -> Self {
        let commit = write.commit();
        Self {
            changes: write
                .rows()
                .map(|(change, row)| ReadyChange::new(change, row))
                .collect(),
            event: ReadyEvent::new(commit.event(), &write.touched()),
            guard: commit.guard().copied(),
            maker: commit.maker().map(KeyId::uuid),
            replay: commit.replay().cloned(),
        }
    }
}

impl ReadyChange {
    fn new(change: &Change, row: &Row) -> Self {
        let (doing, expected) = match change {
            Change::Insert(_) => (Doing::Insert, 0),
            Change::Replace { expected, .. } => (Doing::Replace, expected.number()),
            Change::Remove { record } => (Doing::Remove, record.revision().number()),
        };
        let expected = i64::from(expected);
        let item = match change.record() {
            Record::Key(key) => Item::Key(Box::new(KeyItem {
                labels: labels(key),
                columns: KeyColumns::new(key, &row.seal),
                expected,
            })),
            record => Item::Record(RecordItem {
                project: record.project().uuid(),
                noun: record.noun(),
                id: record.id(),
                handle: record.stored_handle().into_owned(),
                revision: i64::from(record.revision().number()),
                body: row.body.clone(),
                seal: Hex32(*row.seal.as_bytes()),
                expected,
            }),
        };
        Self { doing, item }
    }
}

impl ReadyEvent {
    /// Puts an event into columns.
    pub fn new(event: &Event, touched: &[Touched]) -> Self {
        Self {
            project: event.project.uuid(),
            at: event.at.ms(),
            action: event.action.clone(),
            refused: event.outcome != Outcome::Done,
            actor: event.actor.map(|actor| actor.key.uuid()),
            target_noun: event.target.noun,
            target: event.target.id,
            owner_kind: event.owner.map(|owner| owner.kind().as_str()),
            owner: event.owner.map(keyholt_core::owner::Owner::uuid),
            // Both have string keys only, so writing them cannot fail.
            touched: serde_json::to_string(touched).unwrap_or_default(),
            body: serde_json::to_string(event).unwrap_or_default(),
        }
    }
}

/// What a key is found by: its scopes, its tags, its words; one per line, for none of them has a line feed in it.
///
/// Sessions are never searched: they would crowd the words out that keys are found by.
pub(super) fn labels(key: &Key) -> String {
    if key.kind == Kind::Session {
        return String::new();
    }
    let scopes = match &key.access {
        Access::Everything => None,
        Access::Only(scopes) => Some(scopes.iter().map(|scope| scope_label(scope.as_str()))),
    };
    let tags = key.about.tags.iter().map(|tag| tag_label(tag.as_str()));
    let words = words::of_key(&key.about).into_iter().map(|word| word_label(&word));
    let all: Vec<String> = scopes.into_iter().flatten().chain(tags).chain(words).collect();
    all.join("\n")
}

/// The label of a key with this scope written in its access.
pub(super) fn scope_label(scope: &str) -> String {
    format!("scope {scope}")
}

/// The label of a key with this tag.
pub(super) fn tag_label(tag: &str) -> String {
    format!("tag {tag}")
}

/// The label of a key with this word; the labels of the words that begin so begin with it.
pub(super) fn word_label(word: &str) -> String {
    format!("word {word}")
}
