//! PostgreSQL 15 or newer: one database for several nodes.
//!
//! ```text
//!   commit ──► queue ──► writer ──► one connection, many commits in one transaction
//!   reads  ───────────────────────► a few connections, each with many questions on the way at once
//!   usage  ───────────────────────► one connection that does not wait for the disk
//!   load, dump, fill ─────────────► a connection of their own, given up afterwards
//! ```
//!
//! Every commit changes the one row of `feed_head` first and holds its lock until the end. So the commits of all nodes
//! come one after the other, their events are numbered without gaps in the order in which they become visible, and
//! whatever a commit looks up inside its transaction stays true. This needs neither triggers nor advisory locks nor
//! sequences nor a stricter isolation than READ COMMITTED, so it works on PostgreSQL's distributed relatives too.

mod address;
mod columns;
mod dump;
mod find;
mod line;
mod load;
mod pipeline;
mod plan;
mod read;
mod ready;
mod schema;
mod statements;
mod trouble;
mod usage;
mod writer;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use keyholt_core::audit::Noun;
use keyholt_core::bond::Bond;
use keyholt_core::commit::Replay;
use keyholt_core::entropy::Entropy;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Key;
use keyholt_core::seal::Seal;
use keyholt_core::text::RequestKey;
use keyholt_core::time::Moment;
use uuid::Uuid;

use crate::{
    CommitError, DumpLine, EventNumber, EventQuery, FeedEntry, KeyQuery, LastUse, Limit, Loaded, NumberedEvent, Page,
    RecordQuery, Sharing, Store, StoreError, StoredRecord, TimeKept, Usage, UsageDelta, Write,
};
use address::Address;
use line::{Duty, Line, Session};
use ready::Ready;
use writer::Writer;

/// How many connections answer questions.
const READERS: usize = 3;

/// A store in a PostgreSQL database, which other nodes may use at the same time.
pub struct Postgres {
    address: Arc<Address>,
    writer: Writer,
    readers: Vec<Line>,
    usage: Line,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address holds a password.
        f.write_str("Postgres(…)")
    }
}

impl Postgres {
    /// Connects to the database at a URL, and makes or changes its tables where that is needed.
    ///
    /// `sslmode` in the URL is `disable`, `prefer`, `require` or `verify-full`; `sslrootcert` names the authorities.
    /// The entropy spreads the attempts of many nodes to reach a server that comes back.
    pub async fn connect(url: &str, entropy: &mut (dyn Entropy + Send)) -> Result<Self, StoreError> {
        let address = Arc::new(Address::parse(url)?);
        let mut seed = [0; 8];
        entropy.fill(&mut seed);
        let seed = u64::from_ne_bytes(seed);
        schema::migrate(&address).await?;
        let open = |duty, place: u64| Line::open(Arc::clone(&address), duty, seed.wrapping_add(place));
        let mut readers = Vec::with_capacity(READERS);
        for place in 0..READERS as u64 {
            readers.push(open(Duty::Read, place + 2).await?);
        }
        let store = Self {
            writer: Writer::start(open(Duty::Write, 0).await?),
            usage: open(Duty::Usage, 1).await?,
            readers,
            address: Arc::clone(&address),
        };
        store.warn_of_careless_settings().await?;
        Ok(store)
    }

    /// A database that does not wait for its disk breaks the promise that acknowledged commits survive a power loss.
    async fn warn_of_careless_settings(&self) -> Result<(), StoreError> {
        let settings = "SELECT name FROM (VALUES ('fsync'), ('full_page_writes')) AS s(name) \
                        WHERE current_setting(name, true) = 'off'";
        for row in &self.reader()?.query(settings, &[]).await? {
            let setting: &str = row.try_get(0).map_err(|error| trouble::store_error(&error))?;
            tracing::warn!(
                setting,
                "PostgreSQL runs with this off: a power loss may undo or destroy commits"
            );
        }
        Ok(())
    }

    /// The connection with the fewest questions on the way.
    fn reader(&self) -> Result<Arc<Session>, StoreError> {
        self.readers
            .iter()
            .filter_map(|line| line.session().ok())
            .min_by_key(|session| session.waiting())
            .ok_or_else(trouble::down)
    }
}

#[async_trait]
impl Store for Postgres {
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<EventNumber>, CommitError> {
        self.writer.commit(writes.iter().map(Ready::new).collect()).await
    }

    async fn load(&self, each: &mut (dyn for<'a> FnMut(Loaded<'a>) + Send)) -> Result<EventNumber, StoreError> {
        load::load(&self.address, each).await
    }

    async fn feed(&self, after: EventNumber, limit: Limit) -> Result<Vec<FeedEntry>, StoreError> {
        read::feed(&*self.reader()?, after, limit).await
    }

    async fn record(&self, project: ProjectId, noun: Noun, id: Uuid) -> Result<Option<StoredRecord>, StoreError> {
        read::record(&*self.reader()?, project, noun, id).await
    }

    async fn record_by_handle(
        &self,
        project: ProjectId,
        noun: Noun,
        handle: &str,
    ) -> Result<Option<StoredRecord>, StoreError> {
        read::record_by_handle(&*self.reader()?, project, noun, handle).await
    }

    async fn records(
        &self,
        project: ProjectId,
        noun: Noun,
        query: &RecordQuery,
    ) -> Result<Page<StoredRecord>, StoreError> {
        find::records(&*self.reader()?, project, noun, query).await
    }

    async fn key(&self, project: ProjectId, id: KeyId) -> Result<Option<(Key, Seal)>, StoreError> {
        read::key(&*self.reader()?, project, id).await
    }

    async fn keys(&self, project: ProjectId, query: &KeyQuery) -> Result<Page<(Key, Seal)>, StoreError> {
        find::keys(&*self.reader()?, project, query).await
    }

    async fn events(&self, project: ProjectId, query: &EventQuery) -> Result<Page<NumberedEvent>, StoreError> {
        find::events(&*self.reader()?, project, query).await
    }

    async fn replay(&self, actor: KeyId, request: &RequestKey) -> Result<Option<Replay>, StoreError> {
        read::replay(&*self.reader()?, actor, request).await
    }

    async fn note_usage(&self, usage: &[UsageDelta]) -> Result<(), StoreError> {
        usage::note(&*self.usage.session()?, usage).await
    }

    async fn usage(&self, project: ProjectId, key: KeyId, from_hour: i64, to_hour: i64) -> Result<Usage, StoreError> {
        read::usage(&*self.reader()?, project, key, from_hour, to_hour).await
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, StoreError> {
        read::last_uses(&*self.reader()?, keys).await
    }

    async fn forget_before(&self, moment: Moment) -> Result<(), StoreError> {
        usage::forget(&*self.usage.session()?, moment).await
    }

    async fn keep_time(&self, reached: Moment, kept: TimeKept) -> Result<(), StoreError> {
        usage::keep_time(&*self.usage.session()?, reached, kept).await
    }

    async fn latest_time(&self) -> Result<Option<Moment>, StoreError> {
        read::latest_time(&*self.reader()?).await
    }

    async fn bond(&self) -> Result<Option<Bond>, StoreError> {
        read::bond(&*self.reader()?).await
    }

    async fn rebind(&self, expected: Option<Bond>, bond: Bond) -> Result<bool, StoreError> {
        read::rebind(&*self.reader()?, expected, bond).await
    }

    async fn dump(&self, each: &mut (dyn FnMut(DumpLine) + Send)) -> Result<EventNumber, StoreError> {
        dump::dump(&self.address, each).await
    }

    async fn fill(&self, lines: Vec<DumpLine>) -> Result<(), StoreError> {
        dump::fill(&self.address, lines).await
    }

    fn sharing(&self) -> Sharing {
        Sharing::Shared
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.writer.is_up()?;
        self.reader()?.query("SELECT 1", &[]).await.map(drop)
    }

    async fn close(&self) {
        self.writer.close().await;
        self.usage.hang_up();
        self.readers.iter().for_each(Line::hang_up);
    }
}
