//! Rows of PostgreSQL read back into what they were written from.

use keyholt_core::audit::Noun;
use keyholt_core::commit::{Replay, Revision};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Kind;
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::seal::Seal;
use keyholt_core::text::RequestKey;
use keyholt_core::time::Moment;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::trouble;
use crate::{EventNumber, FeedEntry, Hex32, KeyColumns, LastUse, NumberedEvent, StoreError, StoredRecord};

/// The columns of a record, in the order in which [`record`] reads them.
pub(super) const RECORD: &str = "project, noun, id, revision, body, seal";

/// The columns of a key, in the order in which [`key`] reads them.
pub(super) const KEY: &str = "k.id, k.project, k.owner_kind, k.owner, k.kind, k.access, k.bounds, k.expires_at, \
    k.state, k.state_at, k.cause, k.current, k.retiring, k.retiring_until, k.name, k.description, k.metadata, k.tags, \
    k.hint, k.created_at, k.created_by, k.revision, k.seal";

/// A row that is read column by column; every surprise is told as corruption of that kind of thing.
pub(super) struct Reading<'a> {
    row: &'a Row,
    what: &'static str,
    next: usize,
}

impl<'a> Reading<'a> {
    /// Starts at the first column.
    pub fn new(row: &'a Row, what: &'static str) -> Self {
        Self { row, what, next: 0 }
    }

    /// The next column.
    pub fn next<T: FromSql<'a>>(&mut self) -> Result<T, StoreError> {
        let value = self.row.try_get(self.next).map_err(|_| self.corrupt())?;
        self.next += 1;
        Ok(value)
    }

    /// The next column, put into a form that it may not fit.
    pub fn as_<T: FromSql<'a>, U>(&mut self, form: impl FnOnce(T) -> Option<U>) -> Result<U, StoreError> {
        let value = self.next()?;
        form(value).ok_or_else(|| self.corrupt())
    }

    fn corrupt(&self) -> StoreError {
        trouble::corrupt(self.what)
    }

    fn revision(&mut self) -> Result<Revision, StoreError> {
        self.as_(|number: i64| u32::try_from(number).ok().map(Revision::from_number))
    }

    fn owner(&mut self) -> Result<Owner, StoreError> {
        let kind = self.as_(OwnerKind::parse)?;
        Ok(Owner::new(kind, self.next()?))
    }

    fn hex32(&mut self) -> Result<Hex32, StoreError> {
        self.as_(hex32)
    }
}

/// 32 bytes, if they are.
pub(super) fn hex32(bytes: &[u8]) -> Option<Hex32> {
    bytes.try_into().ok().map(Hex32)
}

/// Reads the columns of [`RECORD`].
pub(super) fn record(row: &Row) -> Result<StoredRecord, StoreError> {
    let mut row = Reading::new(row, "a record");
    Ok(StoredRecord {
        project: ProjectId::from_uuid(row.next()?),
        noun: row.as_(Noun::parse)?,
        id: row.next()?,
        revision: row.revision()?,
        body: row.next()?,
        seal: Seal::from_bytes(row.hex32()?.0),
    })
}

/// Reads the columns of [`KEY`].
pub(super) fn key(row: &Row) -> Result<KeyColumns, StoreError> {
    let mut row = Reading::new(row, "a key");
    Ok(KeyColumns {
        id: KeyId::from_uuid(row.next()?),
        project: ProjectId::from_uuid(row.next()?),
        owner: row.owner()?,
        kind: row.as_(Kind::parse)?,
        access: row.next()?,
        bounds: row.next()?,
        expires_at: row.next()?,
        state: row.next()?,
        state_at: row.next()?,
        cause: row.next()?,
        current: row.hex32()?,
        retiring: row.as_(|bytes: Option<&[u8]>| match bytes {
            None => Some(None),
            Some(bytes) => hex32(bytes).map(Some),
        })?,
        retiring_until: row.next()?,
        name: row.next()?,
        description: row.next()?,
        metadata: row.next()?,
        tags: row.next()?,
        hint: row.next()?,
        created_at: row.next()?,
        created_by: row.next::<Option<Uuid>>()?.map(KeyId::from_uuid),
        revision: row.revision()?,
        seal: row.hex32()?,
    })
}

/// Reads a number and the body of an event.
pub(super) fn event(row: &Row) -> Result<NumberedEvent, StoreError> {
    let mut row = Reading::new(row, "an audit event");
    Ok(NumberedEvent {
        number: EventNumber(row.next::<i64>()?.cast_unsigned()),
        event: row.as_(|body: &str| serde_json::from_str(body).ok())?,
    })
}

/// Reads a number and what the commit touched.
pub(super) fn feed_entry(row: &Row) -> Result<FeedEntry, StoreError> {
    let mut row = Reading::new(row, "an entry of the feed");
    Ok(FeedEntry {
        number: EventNumber(row.next::<i64>()?.cast_unsigned()),
        at: Moment::from_ms(row.next()?),
        touched: row.as_(|touched: &str| serde_json::from_str(touched).ok())?,
    })
}

/// Reads what is remembered of a repeated request: question, made, at.
pub(super) fn replay(row: &Row, actor: KeyId, request: &RequestKey) -> Result<Replay, StoreError> {
    let mut row = Reading::new(row, "a repeated request");
    Ok(Replay {
        actor,
        request: request.clone(),
        question: row.hex32()?.0,
        made: row.next()?,
        at: Moment::from_ms(row.next()?),
    })
}

/// Reads first use, last use and address.
pub(super) fn last_use(row: &mut Reading<'_>) -> Result<LastUse, StoreError> {
    Ok(LastUse {
        first_at: Moment::from_ms(row.next()?),
        last_at: Moment::from_ms(row.next()?),
        address: row.as_(|address: Option<&str>| match address {
            None => Some(None),
            Some(text) => text.parse().ok().map(Some),
        })?,
    })
}
