//! What SQLite's errors mean to those who use the store.

use rusqlite::{Error, ErrorCode};

use crate::{CommitError, StoreError};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt(error.to_string()),
            Some(_) => Self::Unavailable(error.to_string()),
            // A column that is not what it should be.
            None => Self::Corrupt(error.to_string()),
        }
    }
}

/// Why one request was not written.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request itself is at fault: others in the same transaction are not.
    Conflict(CommitError),
    /// The engine could not.
    Engine(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        Self::Conflict(error)
    }
}

/// Why a whole transaction was not written; each request in it is told.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// There is no room.
    Full,
    /// Nothing was written.
    NotWritten(String),
    /// The disk failed while the transaction was being made durable.
    Uncertain(String),
}

impl Failure {
    /// What an error before the commit means: nothing is written yet.
    pub(super) fn before_commit(error: &Error) -> Self {
        if is_full(error) {
            Self::Full
        } else {
            Self::NotWritten(error.to_string())
        }
    }

    /// What an error of the commit itself means.
    pub(super) fn of_commit(error: &Error) -> Self {
        match error.sqlite_error_code() {
            // The write-ahead log was not extended; the commit mark is the last thing in it.
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy) => Self::NotWritten(error.to_string()),
            _ => Self::Uncertain(error.to_string()),
        }
    }

    pub(super) fn told(&self) -> CommitError {
        match self {
            Self::Full => CommitError::Full,
            Self::NotWritten(why) => CommitError::Store(StoreError::Unavailable(why.clone())),
            Self::Uncertain(why) => CommitError::Uncertain(StoreError::Unavailable(why.clone())),
        }
    }
}

pub(super) fn is_full(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

pub(super) fn is_taken(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
