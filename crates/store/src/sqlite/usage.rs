//! Usage of keys: added in one sorted transaction, read by key, forgotten by hour.

use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::time::Moment;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::row;
use crate::{LastUse, StoreError, USAGE_KEPT, Usage, UsageDelta, UseOutcome};

/// Most rows that are forgotten at once.
const FORGOTTEN_AT_ONCE: i64 = 20_000;

pub(super) fn note(connection: &mut Connection, usage: &[UsageDelta]) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut number = transaction.prepare_cached("SELECT number FROM keys WHERE id = ?1")?;
        let mut hour = transaction.prepare_cached(
            "INSERT INTO hours (hour, number, outcome, count) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (hour, number, outcome) DO UPDATE SET count = count + ?4",
        )?;
        let mut last = transaction.prepare_cached(
            "UPDATE activity SET active_at = max(active_at, ?2), first_at = min(coalesce(first_at, ?4), ?4), \
             address = CASE WHEN last_at > ?2 THEN address ELSE ?3 END, last_at = max(coalesce(last_at, ?2), ?2) \
             WHERE number = ?1",
        )?;
        for delta in usage {
            let Some(key) = number
                .query_row([delta.key.uuid()], |row| row.get::<_, i64>(0))
                .optional()?
            else {
                continue;
            };
            hour.execute(params![
                delta.hour,
                key,
                delta.outcome.as_str(),
                delta.count.cast_signed()
            ])?;
            if delta.outcome.is_granted() {
                last.execute(params![
                    key,
                    delta.at.ms(),
                    delta.address.map(|address| address.to_string()),
                    delta.first_at.ms()
                ])?;
            }
        }
    }
    Ok(transaction.commit()?)
}

pub(super) fn of_key(
    connection: &Connection,
    project: ProjectId,
    key: KeyId,
    from_hour: i64,
    to_hour: i64,
) -> Result<Usage, StoreError> {
    let instant = connection.unchecked_transaction()?;
    let sql = "SELECT u.first_at, u.last_at, u.address, k.number FROM keys k JOIN activity u USING (number) \
               WHERE k.id = ?1 AND k.project = ?2";
    let found = instant
        .prepare_cached(sql)?
        .query_row(params![key.uuid(), project.uuid()], |row| {
            Ok((last_use(row)?, row.get::<_, i64>(3)?))
        })
        .optional()?;
    let Some((last, number)) = found else {
        return Ok(Usage::default());
    };
    let mut hours = Vec::new();
    let mut one_hour = instant.prepare_cached("SELECT outcome, count FROM hours WHERE hour = ?1 AND number = ?2")?;
    // From one hour that has any usage to the next: hours in which nobody used anything cost nothing.
    let mut next_hour = instant.prepare_cached("SELECT min(hour) FROM hours WHERE hour >= ?1")?;
    let mut from = from_hour;
    while let Some(hour) = next_hour
        .query_row([from], |row| row.get::<_, Option<i64>>(0))?
        .filter(|hour| *hour < to_hour)
    {
        let mut rows = one_hour.query([hour, number])?;
        let first = hours.len();
        while let Some(row) = rows.next()? {
            let count: i64 = row.get(1)?;
            hours.push((hour, row::word(row, 0, UseOutcome::parse)?, count.cast_unsigned()));
        }
        if let Some(of_hour) = hours.get_mut(first..) {
            of_hour.sort_unstable();
        }
        from = hour.saturating_add(1);
    }
    Ok(Usage { last, hours })
}

pub(super) fn last_uses(connection: &Connection, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, StoreError> {
    let sql = "SELECT u.first_at, u.last_at, u.address FROM keys k JOIN activity u USING (number) WHERE k.id = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        if let Some(last) = statement.query_row([key.uuid()], last_use).optional()?.flatten() {
            found.push((*key, last));
        }
    }
    Ok(found)
}

/// Three columns: first use, last use, address.
fn last_use(row: &Row<'_>) -> rusqlite::Result<Option<LastUse>> {
    let (Some(first_at), Some(last_at)) = (row.get(0)?, row.get(1)?) else {
        return Ok(None);
    };
    let address = match row.get_ref(2)?.as_str_or_null()? {
        None => None,
        Some(_) => Some(row::word(row, 2, |text| text.parse().ok())?),
    };
    Ok(Some(LastUse {
        first_at: Moment::from_ms(first_at),
        last_at: Moment::from_ms(last_at),
        address,
    }))
}

/// Whether there may be more to forget.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Forgot {
    Some,
    All,
}

pub(super) fn forget_some(connection: &mut Connection, moment: Moment) -> Result<Forgot, StoreError> {
    let first_hour = moment.minus(USAGE_KEPT).hour();
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let replays = "DELETE FROM replays WHERE (actor, request) IN \
                   (SELECT actor, request FROM replays WHERE at < ?1 LIMIT ?2)";
    let hours = "DELETE FROM hours WHERE (hour, number, outcome) IN \
                 (SELECT hour, number, outcome FROM hours WHERE hour < ?1 LIMIT ?2)";
    let mut gone = 0;
    for (sql, before) in [(replays, moment.ms()), (hours, first_hour)] {
        gone += transaction.prepare_cached(sql)?.execute([before, FORGOTTEN_AT_ONCE])?;
    }
    transaction.commit()?;
    Ok(if gone == 0 { Forgot::All } else { Forgot::Some })
}
