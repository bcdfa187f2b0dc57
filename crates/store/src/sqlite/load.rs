//! Reads everything that judging needs: a reader thread fills batches, the caller empties them.

use keyholt_core::audit::Noun;
use keyholt_core::commit::Revision;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{KeyRow, Kind};
use keyholt_core::owner::Owner;
use keyholt_core::seal::Seal;
use keyholt_core::secret::Digest;
use rusqlite::Connection;
use tokio::sync::mpsc;

use super::READER_CACHE_KIB;
use super::apply::Tip;
use super::reader::Readers;
use super::row::{self, RECORD};
use crate::{EventNumber, Loaded, StoreError, StoredRecord};

/// Keys in one batch: enough to wake the other side seldom, few enough to need little memory.
const BATCH: usize = 256;
/// About so long are the texts of a key.
const TEXTS: usize = 64;
/// What a connection remembers of the database's pages while everything is read once.
const KIB_WHILE_LOADING: i64 = 256;
/// Most batches on their way: one is filled while another is emptied.
const BATCHES_MAX: usize = 4;

enum Batch {
    Ahead(usize),
    Records(Vec<StoredRecord>),
    Keys(Keys),
    End(Result<EventNumber, StoreError>),
}

/// Many keys with their texts in one string, so that no key needs an allocation of its own.
struct Keys {
    texts: String,
    keys: Vec<Packed>,
}

/// A key whose three texts end at these places of the batch's string; each starts where the one before ends.
struct Packed {
    id: KeyId,
    project: ProjectId,
    owner: Owner,
    kind: Kind,
    ends: [usize; 3],
    expires_at: Option<i64>,
    state_at: i64,
    current: Digest,
    retiring: Option<Digest>,
    retiring_until: Option<i64>,
    revision: Revision,
    seal: Seal,
}

pub(super) async fn load(
    readers: &Readers,
    each: &mut (dyn FnMut(Loaded<'_>) + Send),
) -> Result<EventNumber, StoreError> {
    let (sender, mut batches) = mpsc::channel(BATCHES_MAX);
    readers
        .send(Box::new(move |connection| {
            // Every page is read once, so that remembering them would only take memory.
            let end = cache(connection, KIB_WHILE_LOADING)
                .and_then(|()| read(connection, &sender))
                .and_then(|tip| cache(connection, READER_CACHE_KIB).map(|()| tip));
            // Whoever stopped listening does not want the end either.
            drop(sender.blocking_send(Batch::End(end)));
        }))
        .await?;
    while let Some(batch) = batches.recv().await {
        match batch {
            Batch::Ahead(keys) => each(Loaded::Ahead(keys)),
            Batch::Records(records) => records.into_iter().for_each(|record| each(Loaded::Record(record))),
            Batch::Keys(keys) => keys.lend(each),
            Batch::End(end) => return end,
        }
    }
    Err(StoreError::Unavailable("the reader went away".to_owned()))
}

fn cache(connection: &Connection, kib: i64) -> Result<(), StoreError> {
    connection.execute_batch("PRAGMA shrink_memory")?;
    Ok(connection.pragma_update(None, "cache_size", -kib)?)
}

fn read(connection: &Connection, to: &mpsc::Sender<Batch>) -> Result<EventNumber, StoreError> {
    let send = |batch| {
        to.blocking_send(batch)
            .map_err(|_| StoreError::Unavailable("nobody listens".to_owned()))
    };
    let instant = connection.unchecked_transaction()?;
    let tip = Tip::read(&instant)?.number();
    for noun in Noun::ALL.into_iter().filter(|noun| noun.is_judged_by()) {
        let sql = format!("SELECT {RECORD} FROM records WHERE noun = ?1 ORDER BY project, id");
        let mut statement = instant.prepare_cached(&sql)?;
        let mut rows = statement.query([noun.as_str()])?;
        let mut records = Vec::new();
        while let Some(found) = rows.next()? {
            records.push(row::record(found)?);
            if records.len() == BATCH {
                send(Batch::Records(std::mem::take(&mut records)))?;
            }
        }
        send(Batch::Records(records))?;
    }
    // From the narrowest index: some milliseconds, against hundreds for an index in memory that grows as it is filled.
    let keys: i64 = instant.query_row("SELECT count(*) FROM keys", [], |row| row.get(0))?;
    send(Batch::Ahead(usize::try_from(keys).unwrap_or(0)))?;
    let mut statement = instant.prepare_cached(
        "SELECT id, project, owner_kind, owner, kind, access, bounds, state, expires_at, state_at, current, retiring, \
         retiring_until, revision, seal FROM keys",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Keys::none();
    while let Some(found) = rows.next()? {
        keys.push(found)?;
        if keys.keys.len() == BATCH {
            send(Batch::Keys(std::mem::replace(&mut keys, Keys::none())))?;
        }
    }
    send(Batch::Keys(keys))?;
    Ok(tip)
}

impl Keys {
    fn none() -> Self {
        Self {
            texts: String::with_capacity(BATCH * TEXTS),
            keys: Vec::with_capacity(BATCH),
        }
    }

    fn push(&mut self, row: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
        let mut ends = [0; 3];
        for (end, column) in ends.iter_mut().zip([5, 6, 7]) {
            self.texts.push_str(row.get_ref(column)?.as_str()?);
            *end = self.texts.len();
        }
        self.keys.push(Packed {
            id: KeyId::from_uuid(row.get(0)?),
            project: ProjectId::from_uuid(row.get(1)?),
            owner: row::owner(row, 2)?,
            kind: row::kind(row, 4)?,
            ends,
            expires_at: row.get(8)?,
            state_at: row.get(9)?,
            current: Digest::from_bytes(row.get(10)?),
            retiring: row.get::<_, Option<[u8; 32]>>(11)?.map(Digest::from_bytes),
            retiring_until: row.get(12)?,
            revision: Revision::from_number(row.get(13)?),
            seal: Seal::from_bytes(row.get(14)?),
        });
        Ok(())
    }

    fn lend(&self, each: &mut (dyn FnMut(Loaded<'_>) + Send)) {
        let mut start = 0;
        let text = |from: usize, to: usize| self.texts.get(from..to).unwrap_or_default();
        for key in &self.keys {
            let [access, bounds, state] = key.ends;
            let row = KeyRow {
                id: key.id,
                project: key.project,
                owner: key.owner,
                kind: key.kind,
                access: text(start, access),
                bounds: text(access, bounds),
                expires_at: key.expires_at,
                state: text(bounds, state),
                state_at: key.state_at,
                current: key.current,
                retiring: key.retiring,
                retiring_until: key.retiring_until,
                revision: key.revision,
            };
            each(Loaded::Key(row, key.seal));
            start = state;
        }
    }
}
