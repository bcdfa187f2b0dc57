//! Commits made ready to be written: every text is made before the writer's turn comes.

use std::collections::BTreeSet;

use keyholt_core::audit::{Noun, Outcome};
use keyholt_core::commit::{Change, Guard, Record, Replay, Revision};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::seal::Seal;
use serde::Serialize;
use uuid::Uuid;

use super::labels::{self, Label};
use crate::{KeyColumns, NumberedEvent, Row, StoreError, Touched, Write};

/// One commit, ready to be written.
#[derive(Debug)]
pub(super) struct Prepared {
    pub replay: Option<Replay>,
    pub changes: Vec<PreparedChange>,
    pub guard: Option<Guard>,
    pub maker: Option<KeyId>,
    pub event: EventColumns,
}

/// One change, ready to be written.
#[derive(Debug)]
pub(super) enum PreparedChange {
    PutRecord {
        columns: RecordColumns,
        based_on: BasedOn,
    },
    RemoveRecord {
        project: ProjectId,
        noun: Noun,
        id: Uuid,
        revision: Revision,
    },
    PutKey {
        columns: Box<KeyColumns>,
        labels: BTreeSet<Label>,
        based_on: BasedOn,
    },
    RemoveKey {
        project: ProjectId,
        id: KeyId,
        revision: Revision,
    },
}

/// What a change expects to find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BasedOn {
    Nothing,
    Revision(Revision),
}

/// A record as columns.
#[derive(Debug)]
pub(super) struct RecordColumns {
    pub project: ProjectId,
    pub noun: Noun,
    pub id: Uuid,
    pub handle: String,
    pub revision: Revision,
    pub body: String,
    pub seal: Seal,
}

/// An event as columns.
#[derive(Debug)]
pub(super) struct EventColumns {
    pub project: ProjectId,
    pub at: i64,
    pub action: String,
    pub refused: bool,
    pub actor: Option<KeyId>,
    pub target_noun: Noun,
    pub target: Option<Uuid>,
    pub owner_kind: Option<&'static str>,
    pub owner: Option<Uuid>,
    pub body: String,
    pub touched: String,
}

impl Prepared {
    pub(super) fn new(write: &Write) -> Result<Self, StoreError> {
        let commit = write.commit();
        Ok(Self {
            replay: commit.replay().cloned(),
            changes: write.rows().map(|(change, row)| prepare(change, row)).collect(),
            guard: commit.guard().copied(),
            maker: commit.maker(),
            event: EventColumns::new(commit.event(), &write.touched())?,
        })
    }
}

fn prepare(change: &Change, row: &Row) -> PreparedChange {
    let based_on = match change {
        Change::Replace { expected, .. } => BasedOn::Revision(*expected),
        Change::Insert(_) | Change::Remove { .. } => BasedOn::Nothing,
    };
    match (change, change.record()) {
        (Change::Remove { .. }, Record::Key(key)) => PreparedChange::RemoveKey {
            project: key.project,
            id: key.id,
            revision: key.revision,
        },
        (Change::Remove { .. }, record) => PreparedChange::RemoveRecord {
            project: record.project(),
            noun: record.noun(),
            id: record.id(),
            revision: record.revision(),
        },
        (_, Record::Key(key)) => PreparedChange::PutKey {
            columns: Box::new(KeyColumns::new(key, &row.seal)),
            labels: labels::of_key(key),
            based_on,
        },
        (_, record) => PreparedChange::PutRecord {
            columns: RecordColumns {
                project: record.project(),
                noun: record.noun(),
                id: record.id(),
                handle: record.stored_handle().into_owned(),
                revision: record.revision(),
                body: row.body.clone(),
                seal: row.seal,
            },
            based_on,
        },
    }
}

impl EventColumns {
    fn new(event: &keyholt_core::audit::Event, touched: &[Touched]) -> Result<Self, StoreError> {
        Ok(Self {
            project: event.project,
            at: event.at.ms(),
            action: event.action.clone(),
            refused: event.outcome != Outcome::Done,
            actor: event.actor.map(|actor| actor.key),
            target_noun: event.target.noun,
            target: event.target.id,
            owner_kind: event.owner.map(|owner| owner.kind().as_str()),
            owner: event.owner.map(keyholt_core::owner::Owner::uuid),
            body: json(event)?,
            touched: json(&touched)?,
        })
    }

    pub(super) fn of_numbered(numbered: &NumberedEvent, touched: &[Touched]) -> Result<Self, StoreError> {
        Self::new(&numbered.event, touched)
    }
}

fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Unavailable(error.to_string()))
}
