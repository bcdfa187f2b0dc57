//! The store in one file: SQLite with a writer thread of its own, group commit, and a few readers.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use keyholt_core::audit::Noun;
use keyholt_core::bond::Bond;
use keyholt_core::commit::Replay;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Key;
use keyholt_core::seal::Seal;
use keyholt_core::text::RequestKey;
use keyholt_core::time::Moment;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use crate::{
    CommitError, DumpLine, EventNumber, EventQuery, FeedEntry, KeyQuery, LastUse, Limit, Loaded, NumberedEvent, Page,
    RecordQuery, Sharing, Store, StoreError, StoredRecord, TimeKept, USAGE_HOURS_MAX, Usage, UsageDelta, Write,
};

mod apply;
mod dump;
mod error;
mod events;
mod held;
mod keys;
mod labels;
mod load;
mod log;
mod prepare;
mod reader;
mod records;
mod reserve;
mod row;
mod schema;
mod source;
#[cfg(test)]
mod tests;
mod time;
mod usage;
mod writer;

pub use held::{Held, SqliteToRead};
use reader::Readers;
use writer::Writer;

/// The oldest SQLite that is good enough: before it, two connections could corrupt a file in WAL mode.
const OLDEST: i32 = 3_051_003;

/// Reader threads: enough that one long read does not hold up the others.
const READERS: usize = 3;
/// What each of them remembers of the database's pages.
const READER_CACHE_KIB: i64 = 16 * 1024;

/// A store in a file of its own.
#[derive(Debug)]
pub struct Sqlite {
    writer: Writer,
    readers: Readers,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Sqlite {
    /// Opens the file, or makes it (mode 0600) together with its folder (mode 0700).
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let version = good_enough()?;
        let place = Arc::new(Place::take(path)?);
        let mut connection = place.connect(Role::Writer)?;
        schema::bring_up(&mut connection)?;
        let mut threads = Vec::with_capacity(READERS + 1);
        let writer = Writer::start(Arc::clone(&place), connection, &mut threads)?;
        let readers = Readers::start(&place, Role::Reader, READERS, &mut threads)?;
        tracing::info!(version, readers = READERS, "opened the SQLite store");
        Ok(Self {
            writer,
            readers,
            threads: Mutex::new(threads),
        })
    }

    /// Ends the threads, and with the last of them the lock on the file.
    ///
    /// The writer goes last: of connections that close at the same moment each would leave it to the others to copy the
    /// log into the database, and the log would stay.
    fn end(&self) {
        let mut writer = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let readers = writer.split_off(writer.len().min(1));
        self.readers.close();
        join(readers);
        self.writer.close();
        join(writer);
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the SQLite store had panicked");
        }
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        // Whoever drops the store may open the file again at once.
        self.end();
    }
}

/// The version of SQLite that is built in.
fn good_enough() -> Result<&'static str, StoreError> {
    let version = rusqlite::version();
    if rusqlite::version_number() < OLDEST {
        return Err(StoreError::Unavailable(format!(
            "SQLite {version} is too old: 3.51.3 is needed"
        )));
    }
    Ok(version)
}

/// The file, and how this process stands to it until the last thread that works on it lets go.
#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// The database file, to flush it. It stays open as long as any connection: closing a file lets go of the locks that SQLite
    /// has on it.
    database: Option<File>,
    /// The lock that makes this process the only one to write; `None` beside a server, to read.
    _lock: Option<File>,
}

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Writer,
    Reader,
    /// Reads beside another process, and leaves every write to it: no checkpoint when it closes.
    Guest,
}

impl Place {
    fn take(path: &Path) -> Result<Self, StoreError> {
        let failed = |what: &str, error: std::io::Error| StoreError::Unavailable(format!("cannot {what}: {error}"));
        let lock = lock(path)?;
        if held::note(path).exists() {
            return Err(StoreError::Unavailable(
                "a restore was interrupted while it put the files in place: run `keyholt backup restore` again"
                    .to_owned(),
            ));
        }
        // Made before SQLite opens it: the files beside it, -wal and -shm, take their mode from this one.
        let database = private_file(path).map_err(|error| failed("make the database file", error))?;
        for ending in ["-wal", "-shm"] {
            let left_over = beside(path, ending);
            if left_over.exists() {
                private_file(&left_over).map_err(|error| failed("keep the log private", error))?;
            }
        }
        Ok(Self {
            path: path.to_owned(),
            database: Some(database),
            _lock: Some(lock),
        })
    }

    /// Writes to the disk whatever was written to the database file.
    fn flush(&self) -> Result<(), StoreError> {
        let flushed = self.database.as_ref().map_or(Ok(()), File::sync_data);
        flushed.map_err(|error| StoreError::Unavailable(format!("cannot flush the database: {error}")))
    }

    fn connect(&self, role: Role) -> Result<Connection, StoreError> {
        // No URI, no following of links, no mutex: a connection never leaves its thread.
        let access = match role {
            Role::Writer | Role::Reader => OpenFlags::SQLITE_OPEN_READ_WRITE,
            Role::Guest => OpenFlags::SQLITE_OPEN_READ_ONLY,
        };
        let connection = Connection::open_with_flags(&self.path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.pragma_update(None, "foreign_keys", false)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        // Plans do not depend on values. Otherwise every statement whose values might matter to a partial index is
        // prepared again each time it is run, which costs more than running it.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // NORMAL would lose acknowledged commits when the power fails.
        connection.pragma_update(None, "synchronous", "FULL")?;
        // What spills over must not lie about in /tmp.
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        match role {
            Role::Writer => {
                let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
                if mode != "wal" {
                    return Err(StoreError::Unavailable(format!(
                        "the file system allows journal mode {mode} only"
                    )));
                }
                connection.pragma_update(None, "cache_size", -64 * 1024)?;
                // `log.rs` sees to it.
                connection.pragma_update(None, "wal_autocheckpoint", 0)?;
                connection.pragma_update(None, "journal_size_limit", 128 * 1024 * 1024)?;
            }
            Role::Reader | Role::Guest => {
                connection.pragma_update(None, "query_only", true)?;
                connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, role == Role::Guest)?;
            }
        }
        Ok(connection)
    }
}

/// Takes the lock beside a database file, in a folder that is made where there is none, or tells that another has it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let failed = |what: &str, error: std::io::Error| StoreError::Unavailable(format!("cannot {what}: {error}"));
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty() && !folder.exists())
    {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| failed("make the data folder", error))?;
    }
    let file = private_file(&beside(path, ".lock")).map_err(|error| failed("make the lock file", error))?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StoreError::InUse,
        TryLockError::Error(error) => failed("lock the database", error),
    })?;
    Ok(file)
}

/// The file beside another one whose name goes on with `ending`.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Opens or makes a file that only its owner can read or write, whatever the umask is.
fn private_file(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.permissions().mode() & 0o177 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[async_trait]
impl Store for Sqlite {
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<EventNumber>, CommitError> {
        self.writer.commit(writes).await
    }

    async fn load(&self, each: &mut (dyn for<'a> FnMut(Loaded<'a>) + Send)) -> Result<EventNumber, StoreError> {
        load::load(&self.readers, each).await
    }

    async fn feed(&self, after: EventNumber, limit: Limit) -> Result<Vec<FeedEntry>, StoreError> {
        self.readers
            .ask(move |connection| events::feed(connection, after, limit))
            .await
    }

    async fn record(&self, project: ProjectId, noun: Noun, id: Uuid) -> Result<Option<StoredRecord>, StoreError> {
        self.readers
            .ask(move |connection| records::by_id(connection, project, noun, id))
            .await
    }

    async fn record_by_handle(
        &self,
        project: ProjectId,
        noun: Noun,
        handle: &str,
    ) -> Result<Option<StoredRecord>, StoreError> {
        let handle = handle.to_owned();
        self.readers
            .ask(move |connection| records::by_handle(connection, project, noun, &handle))
            .await
    }

    async fn records(
        &self,
        project: ProjectId,
        noun: Noun,
        query: &RecordQuery,
    ) -> Result<Page<StoredRecord>, StoreError> {
        let query = query.clone();
        self.readers
            .ask(move |connection| records::find(connection, project, noun, &query))
            .await
    }

    async fn key(&self, project: ProjectId, id: KeyId) -> Result<Option<(Key, Seal)>, StoreError> {
        self.readers
            .ask(move |connection| keys::by_id(connection, project, id))
            .await
    }

    async fn keys(&self, project: ProjectId, query: &KeyQuery) -> Result<Page<(Key, Seal)>, StoreError> {
        let query = query.clone();
        self.readers
            .ask(move |connection| keys::find(connection, project, &query))
            .await
    }

    async fn events(&self, project: ProjectId, query: &EventQuery) -> Result<Page<NumberedEvent>, StoreError> {
        let query = query.clone();
        self.readers
            .ask(move |connection| events::find(connection, project, &query))
            .await
    }

    async fn replay(&self, actor: KeyId, request: &RequestKey) -> Result<Option<Replay>, StoreError> {
        let request = request.clone();
        self.readers
            .ask(move |connection| events::replay(connection, actor, &request))
            .await
    }

    async fn note_usage(&self, usage: &[UsageDelta]) -> Result<(), StoreError> {
        let mut usage = usage.to_vec();
        // Neighbours lie on the same pages; a stable sort keeps the order of one key's uses.
        usage.sort_by_key(|delta| delta.key);
        self.writer
            .run_with_room(move |connection| usage::note(connection, &usage))
            .await
    }

    async fn usage(&self, project: ProjectId, key: KeyId, from_hour: i64, to_hour: i64) -> Result<Usage, StoreError> {
        let to_hour = to_hour.min(from_hour.saturating_add(USAGE_HOURS_MAX));
        self.readers
            .ask(move |connection| usage::of_key(connection, project, key, from_hour, to_hour))
            .await
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, StoreError> {
        let keys = keys.to_vec();
        self.readers
            .ask(move |connection| usage::last_uses(connection, &keys))
            .await
    }

    async fn forget_before(&self, moment: Moment) -> Result<(), StoreError> {
        // Piece by piece, so that commits get their turn in between.
        while self
            .writer
            .run(move |connection| usage::forget_some(connection, moment))
            .await?
            == usage::Forgot::Some
        {}
        Ok(())
    }

    async fn keep_time(&self, reached: Moment, kept: TimeKept) -> Result<(), StoreError> {
        self.writer
            .run_with_room(move |connection| time::keep(connection, reached, kept))
            .await
    }

    async fn latest_time(&self) -> Result<Option<Moment>, StoreError> {
        self.readers.ask(time::latest).await
    }

    async fn bond(&self) -> Result<Option<Bond>, StoreError> {
        self.readers.ask(dump::bond).await
    }

    async fn rebind(&self, expected: Option<Bond>, bond: Bond) -> Result<bool, StoreError> {
        self.writer
            .run(move |connection| dump::rebind(connection, expected, bond))
            .await
    }

    async fn dump(&self, each: &mut (dyn FnMut(DumpLine) + Send)) -> Result<EventNumber, StoreError> {
        dump::dump(&self.readers, each).await
    }

    async fn fill(&self, lines: Vec<DumpLine>) -> Result<(), StoreError> {
        self.writer.run(move |connection| dump::fill(connection, lines)).await
    }

    fn sharing(&self) -> Sharing {
        Sharing::Alone
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.readers
            .ask(|connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?))
            .await
    }

    async fn close(&self) {
        self.writer.finish().await;
        self.end();
    }
}
