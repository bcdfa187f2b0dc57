//! The tables of the SQLite store, and how an older file is brought up to them.

use rusqlite::{Connection, OptionalExtension};

use crate::StoreError;

/// Each step leads from one schema to the next and is written in one transaction; a step that was released never changes.
const STEPS: [&str; 1] = [include_str!("schema_1.sql")];

/// Marks a file as ours: `KHLT`.
const APPLICATION: i64 = 0x4B48_4C54;

/// Brings the file up to the schema that this program knows.
pub(super) fn bring_up(writer: &mut Connection) -> Result<(), StoreError> {
    let application: i64 = writer.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = writer.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && tables > 0 {
        return Err(StoreError::Corrupt(
            "the file is a database of another program".to_owned(),
        ));
    }
    let known = STEPS.len() as u32;
    let found = version(writer, tables)?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for (step, sql) in (1..).zip(STEPS).skip(found as usize) {
        let transaction = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.execute(
            "INSERT OR REPLACE INTO meta (name, value) VALUES ('schema_version', ?1)",
            [step],
        )?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.commit()?;
        tracing::info!(step, "brought the database to a newer schema");
    }
    Ok(())
}

/// Sees that a file has the schema that this program knows, without changing anything.
pub(super) fn expect(reader: &Connection) -> Result<(), StoreError> {
    let application: i64 = reader.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = reader.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let known = STEPS.len() as u32;
    match version(reader, tables)? {
        0 => Err(StoreError::Corrupt("there is nothing in the file yet".to_owned())),
        _ if application != APPLICATION => Err(StoreError::Corrupt(
            "the file is a database of another program".to_owned(),
        )),
        found if found > known => Err(StoreError::TooNew { found, known }),
        found if found < known => Err(StoreError::Unavailable(format!(
            "the file has schema {found}, this program reads schema {known}: start the server once, it brings the file up"
        ))),
        _ => Ok(()),
    }
}

fn version(writer: &Connection, tables: i64) -> Result<u32, StoreError> {
    if tables == 0 {
        return Ok(0);
    }
    let version: Option<u32> = writer
        .query_row("SELECT value FROM meta WHERE name = 'schema_version'", [], |row| {
            row.get(0)
        })
        .optional()?;
    version.ok_or_else(|| StoreError::Corrupt("the schema has no version".to_owned()))
}
