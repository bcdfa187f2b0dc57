//! Writes one prepared commit, statement by statement, inside the writer's transaction.

use std::collections::BTreeSet;

use keyholt_core::audit::Noun;
use keyholt_core::commit::{Guard, Replay, Revision};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::owner::{Owner, OwnerKind};
use rusqlite::{Connection, OptionalExtension, Params, params};
use uuid::Uuid;

use super::error::{Refusal, is_taken};
use super::labels::{self, Label};
use super::prepare::{BasedOn, EventColumns, Prepared, PreparedChange, RecordColumns};
use super::row;
use crate::{CommitError, EventNumber, Hex32, KeyColumns};

/// Where the feed stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tip {
    number: i64,
    latest_at: i64,
    most_late: i64,
}

impl Tip {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let last = "SELECT number, latest_at, most_late FROM events ORDER BY number DESC LIMIT 1";
        let tip = connection.prepare_cached(last)?.query_row([], |row| {
            Ok(Self {
                number: row.get(0)?,
                latest_at: row.get(1)?,
                most_late: row.get(2)?,
            })
        });
        Ok(tip.optional()?.unwrap_or_default())
    }

    pub(super) fn number(self) -> EventNumber {
        EventNumber(self.number.cast_unsigned())
    }

    fn with(self, at: i64) -> Self {
        let latest_at = self.latest_at.max(at);
        Self {
            number: self.number + 1,
            latest_at,
            most_late: self.most_late.max(latest_at - at),
        }
    }
}

fn run(connection: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(params)
}

/// Writes a commit, in the order that the contract names: the repeated request, the changes, the guard, the maker, the
/// event.
pub(super) fn write(connection: &Connection, commit: &Prepared, tip: &mut Tip) -> Result<EventNumber, Refusal> {
    if let Some(replay) = &commit.replay {
        remember(connection, replay)?;
    }
    for change in &commit.changes {
        match change {
            PreparedChange::PutRecord { columns, based_on } => put_record(connection, columns, *based_on)?,
            PreparedChange::RemoveRecord {
                project,
                noun,
                id,
                revision,
            } => remove_record(connection, *project, *noun, *id, *revision)?,
            PreparedChange::PutKey {
                columns,
                labels,
                based_on,
            } => put_key(connection, columns, labels, *based_on)?,
            PreparedChange::RemoveKey { project, id, revision } => remove_key(connection, *project, *id, *revision)?,
        }
    }
    if let Some(Guard::KeysPerOwner { project, owner, most }) = commit.guard
        && live_keys(connection, project, owner)? > i64::from(most)
    {
        return Err(CommitError::TooManyKeys.into());
    }
    if let Some(maker) = commit.maker
        && !is_live(connection, maker)?
    {
        return Err(CommitError::MakerEnded.into());
    }
    Ok(append_event(connection, &commit.event, tip)?)
}

fn remember(connection: &Connection, replay: &Replay) -> Result<(), Refusal> {
    let sql = "INSERT INTO replays (actor, request, question, made, at) VALUES (?1, ?2, ?3, ?4, ?5)";
    let (actor, request) = (replay.actor.uuid(), replay.request.as_str());
    let written = run(
        connection,
        sql,
        params![actor, request, replay.question, replay.made, replay.at.ms()],
    );
    match written {
        Err(error) if is_taken(&error) => Err(CommitError::ReplayTaken.into()),
        written => Ok(written.map(drop)?),
    }
}

pub(super) fn append_event(
    connection: &Connection,
    event: &EventColumns,
    tip: &mut Tip,
) -> rusqlite::Result<EventNumber> {
    let sql = "INSERT INTO events (number, project, at, latest_at, most_late, action, refused, actor, target_noun, \
               target, owner_kind, owner, body, touched) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    let next = tip.with(event.at);
    let params = params![
        next.number,
        event.project.uuid(),
        event.at,
        next.latest_at,
        next.most_late,
        event.action,
        event.refused,
        event.actor.map(KeyId::uuid),
        event.target_noun.as_str(),
        event.target,
        event.owner_kind,
        event.owner,
        event.body,
        event.touched,
    ];
    run(connection, sql, params)?;
    *tip = next;
    Ok(next.number())
}

fn put_record(connection: &Connection, new: &RecordColumns, based_on: BasedOn) -> Result<(), Refusal> {
    let noun = new.noun;
    let stale = CommitError::Stale { noun };
    let (project, id, revision) = (new.project.uuid(), new.id, new.revision.number());
    let written = match based_on {
        BasedOn::Nothing => {
            let there = "SELECT 1 FROM records WHERE project = ?1 AND noun = ?2 AND id = ?3";
            if connection
                .prepare_cached(there)?
                .exists(params![project, noun.as_str(), id])?
            {
                return Err(stale.into());
            }
            insert_record(connection, new)
        }
        BasedOn::Revision(expected) => {
            let sql = "UPDATE records SET handle = ?5, revision = ?6, body = ?7, seal = ?8 \
                       WHERE project = ?1 AND noun = ?2 AND id = ?3 AND revision = ?4";
            let (expected, seal) = (expected.number(), new.seal.as_bytes());
            let params = params![
                project,
                noun.as_str(),
                id,
                expected,
                new.handle,
                revision,
                new.body,
                seal
            ];
            run(connection, sql, params)
        }
    };
    match written {
        Ok(1) => Ok(()),
        Ok(_) => Err(stale.into()),
        Err(error) if is_taken(&error) => Err(CommitError::HandleTaken { noun }.into()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn insert_record(connection: &Connection, new: &RecordColumns) -> rusqlite::Result<usize> {
    let sql =
        "INSERT INTO records (project, noun, id, handle, revision, body, seal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (project, noun, revision) = (new.project.uuid(), new.noun.as_str(), new.revision.number());
    run(
        connection,
        sql,
        params![
            project,
            noun,
            new.id,
            new.handle,
            revision,
            new.body,
            new.seal.as_bytes()
        ],
    )
}

fn remove_record(
    connection: &Connection,
    project: ProjectId,
    noun: Noun,
    id: Uuid,
    revision: Revision,
) -> Result<(), Refusal> {
    let sql = "DELETE FROM records WHERE project = ?1 AND noun = ?2 AND id = ?3 AND revision = ?4";
    match run(
        connection,
        sql,
        params![project.uuid(), noun.as_str(), id, revision.number()],
    )? {
        1 => Ok(()),
        _ => Err(CommitError::Stale { noun }.into()),
    }
}

fn find_old(connection: &Connection, id: KeyId) -> rusqlite::Result<Option<(i64, KeyColumns)>> {
    let mut statement = connection.prepare_cached(row::KEY_BY_ID)?;
    let mut rows = statement.query([id.uuid()])?;
    rows.next()?
        .map(|found| Ok((found.get(row::COLUMNS)?, row::key_columns(found)?)))
        .transpose()
}

fn put_key(
    connection: &Connection,
    new: &KeyColumns,
    labels: &BTreeSet<Label>,
    based_on: BasedOn,
) -> Result<(), Refusal> {
    let old = find_old(connection, new.id)?;
    let number = match (&old, based_on) {
        (None, BasedOn::Nothing) => None,
        (Some((number, old)), BasedOn::Revision(expected))
            if (old.project, old.revision) == (new.project, expected) =>
        {
            Some(*number)
        }
        _ => return Err(CommitError::Stale { noun: Noun::Key }.into()),
    };
    if new.retiring == Some(new.current) {
        return Err(CommitError::SecretTaken.into());
    }
    for digest in new.digests() {
        let holder = "SELECT number FROM digests WHERE digest = ?1";
        let holder: Option<i64> = connection
            .prepare_cached(holder)?
            .query_row([digest.0], |row| row.get(0))
            .optional()?;
        if holder.is_some() && holder != number {
            return Err(CommitError::SecretTaken.into());
        }
    }
    let written = match number {
        None => insert_key(connection, new),
        Some(number) => update_key(connection, number, new).map(|()| number),
    };
    let number = match written {
        Err(error) if is_taken(&error) => return Err(CommitError::StaticTaken.into()),
        written => written?,
    };
    let old = old.map(|(_, old)| old);
    move_digests(connection, number, old.as_ref(), Some(new))?;
    move_count(connection, old.as_ref(), Some(new))?;
    match &old {
        None => {
            move_labels(connection, new, &BTreeSet::new(), labels)?;
        }
        Some(old) if searched(old) != searched(new) => {
            move_labels(connection, new, &labels::of_columns(old), labels)?;
        }
        Some(_) => {}
    }
    Ok(())
}

/// The columns that labels are made of.
fn searched(key: &KeyColumns) -> [&str; 4] {
    [&key.access, &key.name, &key.description, &key.tags]
}

/// Inserts a key's rows where nothing stands against it, and tells its number.
fn insert_key(connection: &Connection, new: &KeyColumns) -> rusqlite::Result<i64> {
    let sql = "INSERT INTO keys (id, project, owner_kind, owner, kind, access, bounds, expires_at, state, state_at, \
               current, retiring, retiring_until, created_by, revision, seal) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    let params = params![
        new.id.uuid(),
        new.project.uuid(),
        new.owner.kind().as_str(),
        new.owner.uuid(),
        new.kind.as_str(),
        new.access,
        new.bounds,
        new.expires_at,
        new.state,
        new.state_at,
        new.current.0,
        new.retiring.map(|digest| digest.0),
        new.retiring_until,
        new.created_by.map(KeyId::uuid),
        new.revision.number(),
        new.seal.0,
    ];
    let number = connection.prepare_cached(sql)?.insert(params)?;
    let sql = "INSERT INTO abouts (number, cause, name, description, metadata, tags, hint, created_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let about = params![
        number,
        new.cause,
        new.name,
        new.description,
        new.metadata,
        new.tags,
        new.hint,
        new.created_at
    ];
    run(connection, sql, about)?;
    let sql = "INSERT INTO activity (number, project, id, active_at) VALUES (?1, ?2, ?3, ?4)";
    run(
        connection,
        sql,
        params![number, new.project.uuid(), new.id.uuid(), new.created_at],
    )?;
    Ok(number)
}

/// Replaces everything that may ever differ; id, project, maker and time of making never do.
fn update_key(connection: &Connection, number: i64, new: &KeyColumns) -> rusqlite::Result<()> {
    let sql = "UPDATE keys SET owner_kind = ?2, owner = ?3, kind = ?4, access = ?5, bounds = ?6, expires_at = ?7, \
               state = ?8, state_at = ?9, current = ?10, retiring = ?11, retiring_until = ?12, revision = ?13, \
               seal = ?14 WHERE number = ?1";
    let params = params![
        number,
        new.owner.kind().as_str(),
        new.owner.uuid(),
        new.kind.as_str(),
        new.access,
        new.bounds,
        new.expires_at,
        new.state,
        new.state_at,
        new.current.0,
        new.retiring.map(|digest| digest.0),
        new.retiring_until,
        new.revision.number(),
        new.seal.0,
    ];
    run(connection, sql, params)?;
    let sql = "UPDATE abouts SET cause = ?2, name = ?3, description = ?4, metadata = ?5, tags = ?6, hint = ?7 \
               WHERE number = ?1";
    let about = params![
        number,
        new.cause,
        new.name,
        new.description,
        new.metadata,
        new.tags,
        new.hint
    ];
    run(connection, sql, about).map(drop)
}

fn remove_key(connection: &Connection, project: ProjectId, id: KeyId, revision: Revision) -> Result<(), Refusal> {
    let Some((number, old)) =
        find_old(connection, id)?.filter(|(_, old)| (old.project, old.revision) == (project, revision))
    else {
        return Err(CommitError::Stale { noun: Noun::Key }.into());
    };
    // Its hours of usage stay until they are forgotten: a number never comes back, and nothing finds them without it.
    for sql in [
        "DELETE FROM keys WHERE number = ?1",
        "DELETE FROM abouts WHERE number = ?1",
        "DELETE FROM activity WHERE number = ?1",
    ] {
        run(connection, sql, [number])?;
    }
    move_digests(connection, number, Some(&old), None)?;
    move_count(connection, Some(&old), None)?;
    move_labels(connection, &old, &labels::of_columns(&old), &BTreeSet::new())?;
    Ok(())
}

fn move_digests(
    connection: &Connection,
    number: i64,
    old: Option<&KeyColumns>,
    new: Option<&KeyColumns>,
) -> rusqlite::Result<()> {
    let all = |key: Option<&KeyColumns>| -> Vec<Hex32> { key.into_iter().flat_map(KeyColumns::digests).collect() };
    let (old, new) = (all(old), all(new));
    for gone in old.iter().filter(|digest| !new.contains(digest)) {
        run(connection, "DELETE FROM digests WHERE digest = ?1", [gone.0])?;
    }
    for come in new.iter().filter(|digest| !old.contains(digest)) {
        run(
            connection,
            "INSERT INTO digests (digest, number) VALUES (?1, ?2)",
            params![come.0, number],
        )?;
    }
    Ok(())
}

fn move_count(connection: &Connection, old: Option<&KeyColumns>, new: Option<&KeyColumns>) -> rusqlite::Result<()> {
    let counted = |key: Option<&KeyColumns>| key.filter(|key| key.is_counted()).map(|key| (key.project, key.owner));
    let (old, new) = (counted(old), counted(new));
    if old == new {
        return Ok(());
    }
    for (holder, more) in [(old, -1), (new, 1)] {
        let Some((project, owner)) = holder else { continue };
        let sql = "INSERT INTO owner_counts (project, owner_kind, owner, live) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (project, owner_kind, owner) DO UPDATE SET live = live + ?4";
        run(
            connection,
            sql,
            params![project.uuid(), owner.kind().as_str(), owner.uuid(), more],
        )?;
    }
    Ok(())
}

fn move_labels(
    connection: &Connection,
    key: &KeyColumns,
    old: &BTreeSet<Label>,
    new: &BTreeSet<Label>,
) -> rusqlite::Result<()> {
    let gone = "DELETE FROM labels WHERE project = ?1 AND sort = ?2 AND value = ?3 AND id = ?4";
    let come = "INSERT OR IGNORE INTO labels (project, sort, value, id) VALUES (?1, ?2, ?3, ?4)";
    for (sql, labels) in [(gone, old.difference(new)), (come, new.difference(old))] {
        let mut statement = connection.prepare_cached(sql)?;
        for label in labels {
            statement.execute(params![key.project.uuid(), label.sort, label.value, key.id.uuid()])?;
        }
    }
    Ok(())
}

/// Writes a key of a dump beside its digests, counts and labels.
pub(super) fn fill_key(connection: &Connection, key: &KeyColumns) -> rusqlite::Result<()> {
    let number = insert_key(connection, key)?;
    move_digests(connection, number, None, Some(key))?;
    move_count(connection, None, Some(key))?;
    move_labels(connection, key, &BTreeSet::new(), &labels::of_columns(key))
}

fn is_live(connection: &Connection, key: KeyId) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM keys WHERE id = ?1 AND state <> 'revoked'";
    connection.prepare_cached(sql)?.exists([key.uuid()])
}

fn live_keys(connection: &Connection, project: ProjectId, owner: Owner) -> rusqlite::Result<i64> {
    let sql = "SELECT live FROM owner_counts WHERE project = ?1 AND owner_kind = ?2 AND owner = ?3";
    let kind: OwnerKind = owner.kind();
    let live = connection
        .prepare_cached(sql)?
        .query_row(params![project.uuid(), kind.as_str(), owner.uuid()], |row| row.get(0))
        .optional()?;
    Ok(live.unwrap_or(0))
}
