//! What went wrong with PostgreSQL, in the words of the contract; never with values in them.

use std::error::Error as _;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::StoreError;

/// What happened, without the values that PostgreSQL puts into details.
pub(super) fn words(error: &Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{} ({})", told.message(), told.code().code()),
        None => match error.source() {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// The same as an error of the store.
pub(super) fn store_error(error: &Error) -> StoreError {
    let unreadable = error
        .source()
        .is_some_and(|cause| cause.is::<tokio_postgres::types::WrongType>() || cause.is::<std::str::Utf8Error>());
    if unreadable {
        StoreError::Corrupt(words(error))
    } else {
        StoreError::Unavailable(words(error))
    }
}

/// No answer came in time.
pub(super) fn silent(within: Duration) -> StoreError {
    StoreError::Unavailable(format!("PostgreSQL did not answer within {} ms", within.as_millis()))
}

/// There is no connection.
pub(super) fn down() -> StoreError {
    StoreError::Unavailable("there is no connection to PostgreSQL".to_owned())
}

/// Something that is kept cannot be read.
pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(what.to_owned())
}

/// Whether the connection is of no more use.
pub(super) fn ends_session(error: &Error) -> bool {
    let Some(told) = error.as_db_error() else {
        return error.is_closed() || error.source().is_some_and(|cause| cause.is::<std::io::Error>());
    };
    // A server that became a standby, a plan that outlived a migration, a pooler that forgot our statements.
    let stranded = [
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::INVALID_SQL_STATEMENT_NAME,
        SqlState::FEATURE_NOT_SUPPORTED,
    ];
    is_last_word(told) || stranded.contains(told.code())
}

/// Whether the server said this and hung up.
pub(super) fn is_last_word(told: &DbError) -> bool {
    matches!(told.parsed_severity(), Some(Severity::Fatal | Severity::Panic))
        || told.code().code().starts_with("57P0")
        || told.code().code().starts_with("08")
}

/// Whether the same transaction may well succeed when it is tried again.
pub(super) fn is_passing(told: &DbError) -> bool {
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(told.code())
}
