//! Finds records other than keys.

use keyholt_core::audit::Noun;
use keyholt_core::id::ProjectId;
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::row::{self, RECORD};
use super::source::FEW;
use crate::words::after_all_with;
use crate::{After, Page, RecordQuery, StoreError, StoredRecord};

pub(super) fn by_id(
    connection: &Connection,
    project: ProjectId,
    noun: Noun,
    id: Uuid,
) -> Result<Option<StoredRecord>, StoreError> {
    let sql = format!("SELECT {RECORD} FROM records WHERE project = ?1 AND noun = ?2 AND id = ?3");
    let params = params![project.uuid(), noun.as_str(), id];
    Ok(connection
        .prepare_cached(&sql)?
        .query_row(params, row::record)
        .optional()?)
}

pub(super) fn by_handle(
    connection: &Connection,
    project: ProjectId,
    noun: Noun,
    handle: &str,
) -> Result<Option<StoredRecord>, StoreError> {
    let sql = format!("SELECT {RECORD} FROM records WHERE project = ?1 AND noun = ?2 AND handle = ?3");
    let params = params![project.uuid(), noun.as_str(), handle];
    Ok(connection
        .prepare_cached(&sql)?
        .query_row(params, row::record)
        .optional()?)
}

/// Oldest first. Where few handles begin like that they are put in order, otherwise all are walked in order.
pub(super) fn find(
    connection: &Connection,
    project: ProjectId,
    noun: Noun,
    query: &RecordQuery,
) -> Result<Page<StoredRecord>, StoreError> {
    let instant = connection.unchecked_transaction()?;
    let after = query.after.map_or(Uuid::nil(), |after| after.id);
    let prefix = query.handle_prefix.as_deref().unwrap_or_default();
    let end = after_all_with(prefix);
    let few = match &end {
        None => false,
        Some(end) => {
            let count = "SELECT count(*) FROM (SELECT 1 FROM records INDEXED BY records_by_handle \
                         WHERE project = ?1 AND noun = ?2 AND handle >= ?3 AND handle < ?4 LIMIT ?5)";
            let most = i64::try_from(FEW).unwrap_or(i64::MAX);
            let params = params![project.uuid(), noun.as_str(), prefix, end, most + 1];
            let count: i64 = instant.prepare_cached(count)?.query_row(params, |row| row.get(0))?;
            count <= most
        }
    };
    let sql = if few {
        format!(
            "SELECT {RECORD} FROM records INDEXED BY records_by_handle WHERE project = ?1 AND noun = ?2 AND id > ?3 \
             AND handle >= ?4 AND handle < ?5 ORDER BY id LIMIT ?6"
        )
    } else {
        format!(
            "SELECT {RECORD} FROM records WHERE project = ?1 AND noun = ?2 AND id > ?3 \
             AND handle >= ?4 AND (?5 IS NULL OR handle < ?5) ORDER BY id LIMIT ?6"
        )
    };
    let limit = query.limit.entries();
    let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut entries: Vec<StoredRecord> = instant
        .prepare_cached(&sql)?
        .query_map(
            params![project.uuid(), noun.as_str(), after, prefix, end, one_more],
            row::record,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries
        .last()
        .filter(|_| more)
        .map(|last| After { value: 0, id: last.id });
    Ok(Page { entries, next })
}
