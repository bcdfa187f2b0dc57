//! Usage counts: added in batches, and forgotten when they are old.

use std::collections::BTreeMap;

use keyholt_core::id::KeyId;
use keyholt_core::time::Moment;
use uuid::Uuid;

use super::line::Session;
use super::trouble;
use crate::{LastUse, StoreError, TimeKept, USAGE_KEPT, UsageDelta, UseOutcome};

/// How often a batch is tried again that another node stood in the way of.
const ATTEMPTS_MAX: u32 = 5;
/// Most rows that one statement forgets.
const FORGET_MOST: i64 = 5000;

/// One statement is one transaction: hours and last uses are added together or not at all.
const NOTE: &str = "\
WITH hours AS (
    INSERT INTO usage_hours AS h (key, hour, outcome, count)
    SELECT n.key, n.hour, n.outcome, n.count
    FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $4::bigint[]) AS n(key, hour, outcome, count)
    WHERE EXISTS (SELECT 1 FROM keys k WHERE k.id = n.key)
    ON CONFLICT (key, hour, outcome) DO UPDATE SET count = h.count + excluded.count)
INSERT INTO usage_last AS l (key, first_at, last_at, address)
SELECT n.key, n.first_at, n.last_at, n.address
FROM UNNEST($5::uuid[], $6::bigint[], $7::bigint[], $8::text[]) AS n(key, first_at, last_at, address)
WHERE EXISTS (SELECT 1 FROM keys k WHERE k.id = n.key)
ON CONFLICT (key) DO UPDATE SET
    first_at = LEAST(l.first_at, excluded.first_at),
    last_at = GREATEST(l.last_at, excluded.last_at),
    address = CASE WHEN excluded.last_at >= l.last_at THEN excluded.address ELSE l.address END";

const KEEP_ONWARD: &str = "\
INSERT INTO meta (name, value) VALUES ('latest_time', $1)
ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value::bigint, excluded.value::bigint)::text";
/// Events so far do not count any more.
const KEEP_ANEW: &str = "\
INSERT INTO meta (name, value)
SELECT 'latest_time', $1 UNION ALL SELECT 'time_anew_after', number::text FROM feed_head
ON CONFLICT (name) DO UPDATE SET value = excluded.value";
const FORGET_REPLAYS: &str = "\
DELETE FROM replays WHERE (actor, request) IN (SELECT actor, request FROM replays WHERE at < $1 LIMIT $2)";
const FORGET_HOURS: &str = "\
DELETE FROM usage_hours
WHERE (key, hour, outcome) IN (SELECT key, hour, outcome FROM usage_hours WHERE hour < $1 LIMIT $2)";
/// Last uses that were noted at the moment in which their key went.
const FORGET_STRAYS: &str = "\
DELETE FROM usage_last
WHERE key IN (SELECT u.key FROM usage_last u WHERE NOT EXISTS (SELECT 1 FROM keys k WHERE k.id = u.key) \
              AND u.last_at < $1 LIMIT $2)";

/// Adds usage.
pub(super) async fn note(session: &Session, usage: &[UsageDelta]) -> Result<(), StoreError> {
    let Sums { hours, last } = Sums::of(usage);
    if hours.is_empty() {
        return Ok(());
    }
    // In the order of their keys, as on every other node, so that nobody waits in a circle.
    let keys: Vec<Uuid> = hours.keys().map(|(key, _, _)| key.uuid()).collect();
    let at: Vec<i64> = hours.keys().map(|(_, hour, _)| *hour).collect();
    let outcomes: Vec<&str> = hours.keys().map(|(_, _, outcome)| outcome.as_str()).collect();
    let counts: Vec<i64> = hours
        .values()
        .map(|count| i64::try_from(*count).unwrap_or(i64::MAX))
        .collect();
    let used: Vec<Uuid> = last.keys().map(|key| key.uuid()).collect();
    let first_at: Vec<i64> = last.values().map(|last| last.first_at.ms()).collect();
    let last_at: Vec<i64> = last.values().map(|last| last.last_at.ms()).collect();
    let addresses: Vec<Option<String>> = last
        .values()
        .map(|last| last.address.map(|address| address.to_string()))
        .collect();
    session
        .answer(async {
            let mut attempt = 1;
            loop {
                let noted = session
                    .execute(
                        NOTE,
                        &[&keys, &at, &outcomes, &counts, &used, &first_at, &last_at, &addresses],
                    )
                    .await;
                match noted {
                    Err(error) if attempt < ATTEMPTS_MAX && error.as_db_error().is_some_and(trouble::is_passing) => {
                        attempt += 1;
                    }
                    other => return other.map(drop),
                }
            }
        })
        .await
}

/// What is to be added, each key and hour once: a statement cannot change a row twice.
struct Sums {
    hours: BTreeMap<(KeyId, i64, UseOutcome), u64>,
    last: BTreeMap<KeyId, LastUse>,
}

impl Sums {
    fn of(usage: &[UsageDelta]) -> Self {
        let mut hours: BTreeMap<_, u64> = BTreeMap::new();
        let mut last: BTreeMap<KeyId, LastUse> = BTreeMap::new();
        for delta in usage {
            let sum = hours.entry((delta.key, delta.hour, delta.outcome)).or_default();
            *sum = sum.saturating_add(delta.count);
            if !delta.outcome.is_granted() {
                continue;
            }
            let use_ = last.entry(delta.key).or_insert(LastUse {
                first_at: delta.first_at,
                last_at: delta.at,
                address: delta.address,
            });
            use_.first_at = use_.first_at.min(delta.first_at);
            if delta.at >= use_.last_at {
                use_.last_at = delta.at;
                use_.address = delta.address;
            }
        }
        Self { hours, last }
    }
}

/// Remembers how late it ever was.
pub(super) async fn keep_time(session: &Session, reached: Moment, kept: TimeKept) -> Result<(), StoreError> {
    let sql = match kept {
        TimeKept::Onward => KEEP_ONWARD,
        TimeKept::Anew => KEEP_ANEW,
    };
    session
        .answer(session.execute(sql, &[&reached.ms().to_string()]))
        .await
        .map(drop)
}

/// Forgets what is older than its time, some rows after the other so that nobody waits for long.
pub(super) async fn forget(session: &Session, moment: Moment) -> Result<(), StoreError> {
    let first_hour = moment.minus(USAGE_KEPT).hour();
    for (sql, bound) in [
        (FORGET_REPLAYS, moment.ms()),
        (FORGET_HOURS, first_hour),
        (FORGET_STRAYS, moment.ms()),
    ] {
        loop {
            let forgotten = session.answer(session.execute(sql, &[&bound, &FORGET_MOST])).await?;
            if forgotten < FORGET_MOST.cast_unsigned() {
                break;
            }
        }
    }
    Ok(())
}
