//! Rows of SQLite read as the values that they stand for.

use keyholt_core::audit::Noun;
use keyholt_core::commit::Revision;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Kind;
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::seal::Seal;
use rusqlite::Row;
use rusqlite::types::{FromSqlError, Type};
use uuid::Uuid;

use crate::{Hex32, KeyColumns, StoredRecord};

/// A key's columns in the order in which [`key_columns`] reads them.
macro_rules! key_column_names {
    () => {
        "k.id, k.project, k.owner_kind, k.owner, k.kind, k.access, k.bounds, k.expires_at, k.state, k.state_at, \
         k.current, k.retiring, k.retiring_until, k.created_by, k.revision, k.seal, \
         a.cause, a.name, a.description, a.metadata, a.tags, a.hint, a.created_at"
    };
}
pub(super) use key_column_names;

/// How many columns that are; a statement may ask for more behind them.
pub(super) const COLUMNS: usize = 23;

/// One key with its number behind its columns.
pub(super) const KEY_BY_ID: &str = concat!(
    "SELECT ",
    key_column_names!(),
    ", k.number FROM keys k JOIN abouts a USING (number) WHERE k.id = ?1"
);

/// Reads a key, every text as it is.
pub(super) fn key_columns(row: &Row<'_>) -> rusqlite::Result<KeyColumns> {
    Ok(KeyColumns {
        id: KeyId::from_uuid(row.get(0)?),
        project: ProjectId::from_uuid(row.get(1)?),
        owner: owner(row, 2)?,
        kind: kind(row, 4)?,
        access: row.get(5)?,
        bounds: row.get(6)?,
        expires_at: row.get(7)?,
        state: row.get(8)?,
        state_at: row.get(9)?,
        current: Hex32(row.get(10)?),
        retiring: row.get::<_, Option<[u8; 32]>>(11)?.map(Hex32),
        retiring_until: row.get(12)?,
        created_by: row.get::<_, Option<Uuid>>(13)?.map(KeyId::from_uuid),
        revision: Revision::from_number(row.get(14)?),
        seal: Hex32(row.get(15)?),
        cause: row.get(16)?,
        name: row.get(17)?,
        description: row.get(18)?,
        metadata: row.get(19)?,
        tags: row.get(20)?,
        hint: row.get(21)?,
        created_at: row.get(22)?,
    })
}

/// A key's name and description, as they stand in the row.
pub(super) fn texts<'r>(row: &'r Row<'_>) -> rusqlite::Result<(&'r str, &'r str)> {
    Ok((row.get_ref(17)?.as_str()?, row.get_ref(18)?.as_str()?))
}

/// An owner in two columns, its kind first.
pub(super) fn owner(row: &Row<'_>, at: usize) -> rusqlite::Result<Owner> {
    let kind = word(row, at, OwnerKind::parse)?;
    Ok(Owner::new(kind, row.get(at + 1)?))
}

/// The kind of a key.
pub(super) fn kind(row: &Row<'_>, at: usize) -> rusqlite::Result<Kind> {
    word(row, at, Kind::parse)
}

/// A word of the vocabulary.
pub(super) fn word<T>(row: &Row<'_>, at: usize, parse: impl FnOnce(&str) -> Option<T>) -> rusqlite::Result<T> {
    parse(row.get_ref(at)?.as_str()?)
        .ok_or_else(|| rusqlite::Error::FromSqlConversionFailure(at, Type::Text, Box::new(FromSqlError::InvalidType)))
}

/// The columns that [`record`] reads.
pub(super) const RECORD: &str = "project, noun, id, revision, body, seal";

/// Reads a record other than a key.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    Ok(StoredRecord {
        project: ProjectId::from_uuid(row.get(0)?),
        noun: word(row, 1, Noun::parse)?,
        id: row.get(2)?,
        revision: Revision::from_number(row.get(3)?),
        body: row.get(4)?,
        seal: Seal::from_bytes(row.get(5)?),
    })
}
