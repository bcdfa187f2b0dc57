//! Questions with one answer: a record, a key, the feed, usage.

use keyholt_core::audit::Noun;
use keyholt_core::bond::Bond;
use keyholt_core::commit::Replay;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Key;
use keyholt_core::seal::Seal;
use keyholt_core::text::RequestKey;
use keyholt_core::time::Moment;
use uuid::Uuid;

use super::columns::{self, Reading};
use super::find::is_unheard_of;
use super::line::Session;
use super::trouble;
use crate::{EventNumber, FeedEntry, LastUse, Limit, StoreError, StoredRecord, USAGE_HOURS_MAX, Usage, UseOutcome};

const RECORD: &str =
    "SELECT project, noun, id, revision, body, seal FROM records WHERE project = $1 AND noun = $2 AND id = $3";
const RECORD_BY_HANDLE: &str =
    "SELECT project, noun, id, revision, body, seal FROM records WHERE project = $1 AND noun = $2 AND handle = $3";
const KEY: &str = "\
SELECT k.id, k.project, k.owner_kind, k.owner, k.kind, k.access, k.bounds, k.expires_at, k.state, k.state_at, k.cause,
       k.current, k.retiring, k.retiring_until, k.name, k.description, k.metadata, k.tags, k.hint, k.created_at,
       k.created_by, k.revision, k.seal
FROM keys k WHERE k.id = $1 AND k.project = $2";
const FEED: &str = "SELECT number, at, touched FROM events WHERE number > $1 ORDER BY number LIMIT $2";
const REPLAY: &str = "SELECT question, made, at FROM replays WHERE actor = $1 AND request = $2";
const LAST_USE: &str = "\
SELECT u.first_at, u.last_at, u.address FROM keys k JOIN usage_last u ON u.key = k.id
WHERE k.id = $1 AND k.project = $2";
const HOURS: &str = "\
SELECT h.hour, h.outcome, h.count FROM keys k JOIN usage_hours h ON h.key = k.id
WHERE k.id = $1 AND k.project = $2 AND h.hour >= $3 AND h.hour < $4";
const LAST_USES: &str = "SELECT key, first_at, last_at, address FROM usage_last WHERE key = ANY($1)";
/// Of the events only the last: a clock that was wrong once and was put right must not count for ever.
const LATEST_TIME: &str = "\
SELECT greatest((SELECT value::bigint FROM meta WHERE name = 'latest_time'),
                (SELECT at FROM events
                 WHERE number > coalesce((SELECT value::bigint FROM meta WHERE name = 'time_anew_after'), 0)
                 ORDER BY number DESC LIMIT 1))";
const BIND: &str = "\
INSERT INTO meta (name, value)
SELECT 'master_check', $1::text WHERE NOT EXISTS (SELECT 1 FROM meta WHERE name = 'filling')
ON CONFLICT (name) DO NOTHING
RETURNING name";
const REBIND: &str = "\
UPDATE meta SET value = $2 WHERE name = 'master_check' AND value = $1
AND NOT EXISTS (SELECT 1 FROM meta WHERE name = 'filling')
RETURNING name";
const BOND: &str = "what the store is bound to";
const BOUND: &str = "SELECT name, value FROM meta WHERE name IN ('master_check', 'filling')";

pub(super) async fn record(
    session: &Session,
    project: ProjectId,
    noun: Noun,
    id: Uuid,
) -> Result<Option<StoredRecord>, StoreError> {
    let rows = session.query(RECORD, &[&project.uuid(), &noun.as_str(), &id]).await?;
    rows.first().map(columns::record).transpose()
}

pub(super) async fn record_by_handle(
    session: &Session,
    project: ProjectId,
    noun: Noun,
    handle: &str,
) -> Result<Option<StoredRecord>, StoreError> {
    if is_unheard_of(handle) {
        return Ok(None);
    }
    let rows = session
        .query(RECORD_BY_HANDLE, &[&project.uuid(), &noun.as_str(), &handle])
        .await?;
    rows.first().map(columns::record).transpose()
}

pub(super) async fn key(session: &Session, project: ProjectId, id: KeyId) -> Result<Option<(Key, Seal)>, StoreError> {
    let rows = session.query(KEY, &[&id.uuid(), &project.uuid()]).await?;
    rows.first().map(|row| columns::key(row)?.read()).transpose()
}

pub(super) async fn feed(session: &Session, after: EventNumber, limit: Limit) -> Result<Vec<FeedEntry>, StoreError> {
    let Ok(after) = i64::try_from(after.0) else {
        return Ok(Vec::new());
    };
    let most = i64::try_from(limit.entries()).unwrap_or(i64::MAX);
    let rows = session.query(FEED, &[&after, &most]).await?;
    rows.iter().map(columns::feed_entry).collect()
}

pub(super) async fn replay(
    session: &Session,
    actor: KeyId,
    request: &RequestKey,
) -> Result<Option<Replay>, StoreError> {
    let rows = session.query(REPLAY, &[&actor.uuid(), &request.as_str()]).await?;
    rows.first().map(|row| columns::replay(row, actor, request)).transpose()
}

pub(super) async fn usage(
    session: &Session,
    project: ProjectId,
    key: KeyId,
    from_hour: i64,
    to_hour: i64,
) -> Result<Usage, StoreError> {
    let to_hour = to_hour.min(from_hour.saturating_add(USAGE_HOURS_MAX));
    let rows = session.query(LAST_USE, &[&key.uuid(), &project.uuid()]).await?;
    let last = rows
        .first()
        .map(|row| columns::last_use(&mut Reading::new(row, "a last use")))
        .transpose()?;
    let rows = session
        .query(HOURS, &[&key.uuid(), &project.uuid(), &from_hour, &to_hour])
        .await?;
    let mut hours = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut row = Reading::new(row, "an hour of usage");
        hours.push((
            row.next()?,
            row.as_(UseOutcome::parse)?,
            row.next::<i64>()?.cast_unsigned(),
        ));
    }
    hours.sort_unstable();
    Ok(Usage { last, hours })
}

pub(super) async fn last_uses(session: &Session, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, StoreError> {
    let ids: Vec<Uuid> = keys.iter().map(|key| key.uuid()).collect();
    let rows = session.query(LAST_USES, &[&ids]).await?;
    let mut found = std::collections::HashMap::with_capacity(rows.len());
    for row in &rows {
        let mut row = Reading::new(row, "a last use");
        let key = KeyId::from_uuid(row.next()?);
        found.insert(key, columns::last_use(&mut row)?);
    }
    Ok(keys
        .iter()
        .filter_map(|key| found.get(key).map(|last| (*key, *last)))
        .collect())
}

pub(super) async fn latest_time(session: &Session) -> Result<Option<Moment>, StoreError> {
    let rows = session.query(LATEST_TIME, &[]).await?;
    let row = rows.first().ok_or_else(|| trouble::corrupt("the latest time"))?;
    let latest: Option<i64> = Reading::new(row, "the latest time").next()?;
    Ok(latest.map(Moment::from_ms))
}

pub(super) async fn bond(session: &Session) -> Result<Option<Bond>, StoreError> {
    let mut bond = None;
    for row in &session.query(BOUND, &[]).await? {
        let mut row = Reading::new(row, BOND);
        match row.next()? {
            "filling" => return Err(StoreError::HalfFilled),
            _ => bond = Some(read_bond(row.next::<String>()?)?),
        }
    }
    Ok(bond)
}

/// The bond that a text of `meta` is.
pub(super) fn read_bond(text: String) -> Result<Bond, StoreError> {
    Bond::try_from(text).map_err(|_| trouble::corrupt(BOND))
}

pub(super) async fn rebind(session: &Session, expected: Option<Bond>, new: Bond) -> Result<bool, StoreError> {
    let new = String::from(new);
    let written = match expected {
        None => session.query(BIND, &[&new]).await?,
        Some(expected) => session.query(REBIND, &[&String::from(expected), &new]).await?,
    };
    if written.is_empty() {
        // Only to say what stands against it.
        bond(session).await?;
    }
    Ok(!written.is_empty())
}
