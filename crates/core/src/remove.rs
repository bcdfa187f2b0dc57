//! Removes things: the record goes, the audit trail stays.

use crate::actor::{Permit, WriteKeys};
use crate::commit::{Change, Commit, Record};
use crate::key::Key;
use crate::text::Cause;
use crate::time::Moment;

/// Deletes a key. Its holder is told `unknown` from then on.
pub fn delete(permit: &Permit<WriteKeys>, key: &Key, cause: Option<Cause>, now: Moment) -> Commit {
    let record = Record::Key(Box::new(key.clone()));
    Commit::by(
        permit,
        "key.delete",
        Some(&record),
        Change::Remove { record: record.clone() },
        cause,
        now,
    )
}

/// Deletes a key whose row somebody changed in the database.
///
/// SECURITY: whose it is, and of which project, is what the row says, and so nobody knows. Whoever calls this must have every
/// key of every project in reach.
pub fn delete_tampered(permit: &Permit<WriteKeys>, row: &Key, cause: Option<Cause>, now: Moment) -> Commit {
    delete(permit, row, cause, now).about_tampered()
}
