//! Everything at once, as of one instant: for the keyring at start, and for backups.

use std::time::Duration;

use futures_util::{FutureExt, Stream, StreamExt, pin_mut};
use keyholt_core::audit::Noun;
use keyholt_core::commit::Revision;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{KeyRow, Kind};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::seal::Seal;
use keyholt_core::secret::Digest;
use tokio::time::timeout;
use tokio_postgres::Error;
use tokio_postgres::binary_copy::{BinaryCopyOutRow, BinaryCopyOutStream};
use tokio_postgres::types::{FromSql, Type};

use super::address::Address;
use super::columns::hex32;
use super::line::{Duty, Session};
use super::trouble;
use crate::{ANSWER_WITHIN, EventNumber, Loaded, StoreError, StoredRecord};

const RECORD_TYPES: [Type; 5] = [Type::UUID, Type::UUID, Type::INT8, Type::TEXT, Type::BYTEA];

const KEYS: &str = "\
COPY (SELECT id, project, owner_kind, owner, kind, access, bounds, expires_at, state, state_at, current, retiring,
             retiring_until, revision, seal FROM keys) TO STDOUT (FORMAT binary)";
const KEY_TYPES: [Type; 15] = [
    Type::UUID,
    Type::UUID,
    Type::TEXT,
    Type::UUID,
    Type::TEXT,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::TEXT,
    Type::INT8,
    Type::BYTEA,
    Type::BYTEA,
    Type::INT8,
    Type::INT8,
    Type::BYTEA,
];

/// A connection with a view of the data that does not change; it is given up after use, however that ended.
pub(super) struct Snapshot {
    session: std::sync::Arc<Session>,
    /// The number of the last commit in it.
    pub head: EventNumber,
}

impl Snapshot {
    /// Opens a connection of its own: reading everything takes long, and nobody shall wait behind it.
    pub async fn open(address: &Address) -> Result<Self, StoreError> {
        let session = Session::open(address, Duty::Load).await?;
        let head = session
            .answer(async {
                let client = session.client();
                client
                    .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?;
                client
                    .query_one("SELECT number FROM feed_head WHERE head = 1", &[])
                    .await?
                    .try_get::<_, i64>(0)
            })
            .await?;
        Ok(Self {
            session,
            head: EventNumber(head.cast_unsigned()),
        })
    }

    /// The connection.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.session.condemn();
    }
}

/// The next of many rows. The whole may take long, but never one row.
pub(super) async fn next<T>(
    mut rows: std::pin::Pin<&mut impl Stream<Item = Result<T, Error>>>,
    within: Duration,
) -> Result<Option<T>, StoreError> {
    // Usually it is here already, and a timer for each of a million rows is a noticeable price.
    let row = match rows.next().now_or_never() {
        Some(row) => row,
        None => timeout(within, rows.next())
            .await
            .map_err(|_| trouble::silent(within))?,
    };
    row.transpose().map_err(|error| trouble::store_error(&error))
}

/// Reads everything that judging needs.
pub(super) async fn load(
    address: &Address,
    each: &mut (dyn FnMut(Loaded<'_>) + Send),
) -> Result<EventNumber, StoreError> {
    let snapshot = Snapshot::open(address).await?;
    for noun in Noun::ALL
        .into_iter()
        .filter(|noun| *noun != Noun::Key && noun.is_judged_by())
    {
        let sql = format!(
            "COPY (SELECT project, id, revision, body, seal FROM records WHERE noun = '{}' ORDER BY project, id) \
             TO STDOUT (FORMAT binary)",
            noun.as_str()
        );
        copy(snapshot.session(), &sql, &RECORD_TYPES, |row| {
            each(Loaded::Record(record(row, noun)?));
            Ok(())
        })
        .await?;
    }
    copy(snapshot.session(), KEYS, &KEY_TYPES, |row| {
        let (row, seal) = key(row)?;
        each(Loaded::Key(row, seal));
        Ok(())
    })
    .await?;
    Ok(snapshot.head)
}

async fn copy(
    session: &Session,
    sql: &str,
    types: &[Type],
    mut each: impl FnMut(&BinaryCopyOutRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let stream = session.answer(session.client().copy_out(sql)).await?;
    let rows = BinaryCopyOutStream::new(stream, types);
    pin_mut!(rows);
    while let Some(row) = next(rows.as_mut(), ANSWER_WITHIN).await? {
        each(&row)?;
    }
    Ok(())
}

fn get<'a, T: FromSql<'a>>(row: &'a BinaryCopyOutRow, at: usize) -> Result<T, StoreError> {
    row.try_get(at).map_err(|error| trouble::store_error(&error))
}

fn known<T>(value: Option<T>) -> Result<T, StoreError> {
    value.ok_or_else(|| trouble::corrupt("a row"))
}

fn record(row: &BinaryCopyOutRow, noun: Noun) -> Result<StoredRecord, StoreError> {
    Ok(StoredRecord {
        project: ProjectId::from_uuid(get(row, 0)?),
        noun,
        id: get(row, 1)?,
        revision: revision(get(row, 2)?)?,
        body: get(row, 3)?,
        seal: Seal::from_bytes(known(hex32(get(row, 4)?))?.0),
    })
}

fn key(row: &BinaryCopyOutRow) -> Result<(KeyRow<'_>, Seal), StoreError> {
    let digest = |bytes| known(hex32(bytes)).map(|digest| Digest::from_bytes(digest.0));
    let columns = KeyRow {
        id: KeyId::from_uuid(get(row, 0)?),
        project: ProjectId::from_uuid(get(row, 1)?),
        owner: Owner::new(known(OwnerKind::parse(get(row, 2)?))?, get(row, 3)?),
        kind: known(Kind::parse(get(row, 4)?))?,
        access: get(row, 5)?,
        bounds: get(row, 6)?,
        expires_at: get(row, 7)?,
        state: get(row, 8)?,
        state_at: get(row, 9)?,
        current: digest(get(row, 10)?)?,
        retiring: get::<Option<&[u8]>>(row, 11)?.map(digest).transpose()?,
        retiring_until: get(row, 12)?,
        revision: revision(get(row, 13)?)?,
    };
    Ok((columns, Seal::from_bytes(known(hex32(get(row, 14)?))?.0)))
}

fn revision(number: i64) -> Result<Revision, StoreError> {
    known(u32::try_from(number).ok()).map(Revision::from_number)
}
