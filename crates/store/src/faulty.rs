//! A store that fails on demand and counts its calls, for the tests of what is built on a store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
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
use uuid::Uuid;

use crate::{
    CommitError, DumpLine, EventNumber, EventQuery, FeedEntry, KeyQuery, LastUse, Limit, Loaded, NumberedEvent, Page,
    RecordQuery, Sharing, Store, StoreError, StoredRecord, TimeKept, Usage, UsageDelta, Write,
};

/// How a [`Faulty`] store fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Fault {
    /// It does not.
    #[default]
    None,
    /// Commits are not written, and the caller is told so. Everything else works.
    CommitsUnavailable,
    /// Commits are written, but the answer is lost.
    AnswersLost,
    /// There is no room for commits.
    Full,
    /// Reads never answer. Commits work.
    ReadsHang,
    /// Reading the feed fails. Everything else works.
    FeedUnavailable,
    /// Usage cannot be noted. Everything else works.
    UsageUnavailable,
    /// Noting usage takes so long, however little it is. Everything works.
    UsageSlow(Duration),
    /// Nothing works.
    Unavailable,
}

/// A store around another one that fails on demand and counts its calls.
#[derive(Debug, Default)]
pub struct Faulty<S> {
    inner: S,
    sharing: Option<Sharing>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Fault,
    refusals: VecDeque<CommitError>,
    calls: BTreeMap<&'static str, u64>,
}

impl<S: Store> Faulty<S> {
    /// A store that works until it is told otherwise.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            sharing: None,
            state: Mutex::default(),
        }
    }

    /// The same store, which says that others may write to its data.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.sharing = Some(Sharing::Shared);
        self
    }

    /// The store around which this one is.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Fails like this from now on.
    pub fn fail(&self, fault: Fault) {
        self.state().fault = fault;
    }

    /// Refuses the next commit with this error; called again, the one after it.
    pub fn refuse_next_commit(&self, error: CommitError) {
        self.state().refusals.push_back(error);
    }

    /// How many calls there were so far, of all methods that answer later.
    pub fn calls(&self) -> u64 {
        self.state().calls.values().sum()
    }

    /// How many calls of this method there were so far.
    pub fn calls_of(&self, method: &str) -> u64 {
        self.state().calls.get(method).copied().unwrap_or(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self, method: &'static str) -> Fault {
        let mut state = self.state();
        *state.calls.entry(method).or_default() += 1;
        state.fault
    }

    async fn read(&self, method: &'static str) -> Result<(), StoreError> {
        match self.called(method) {
            Fault::ReadsHang => std::future::pending().await,
            Fault::Unavailable => Err(unavailable()),
            _ => Ok(()),
        }
    }

    fn write(&self, method: &'static str) -> Result<(), StoreError> {
        match self.called(method) {
            Fault::Unavailable => Err(unavailable()),
            _ => Ok(()),
        }
    }
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("told to fail".to_owned())
}

#[async_trait]
impl<S: Store> Store for Faulty<S> {
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<EventNumber>, CommitError> {
        let fault = self.called("commit");
        let refusal = self.state().refusals.pop_front();
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        match fault {
            Fault::CommitsUnavailable | Fault::Unavailable => Err(unavailable().into()),
            Fault::Full => Err(CommitError::Full),
            Fault::AnswersLost => {
                self.inner.commit(writes).await?;
                Err(CommitError::Uncertain(unavailable()))
            }
            _ => self.inner.commit(writes).await,
        }
    }

    async fn load(&self, each: &mut (dyn for<'a> FnMut(Loaded<'a>) + Send)) -> Result<EventNumber, StoreError> {
        self.read("load").await?;
        self.inner.load(each).await
    }

    async fn feed(&self, after: EventNumber, limit: Limit) -> Result<Vec<FeedEntry>, StoreError> {
        self.read("feed").await?;
        if self.state().fault == Fault::FeedUnavailable {
            return Err(unavailable());
        }
        self.inner.feed(after, limit).await
    }

    async fn record(&self, project: ProjectId, noun: Noun, id: Uuid) -> Result<Option<StoredRecord>, StoreError> {
        self.read("record").await?;
        self.inner.record(project, noun, id).await
    }

    async fn record_by_handle(
        &self,
        project: ProjectId,
        noun: Noun,
        handle: &str,
    ) -> Result<Option<StoredRecord>, StoreError> {
        self.read("record_by_handle").await?;
        self.inner.record_by_handle(project, noun, handle).await
    }

    async fn records(
        &self,
        project: ProjectId,
        noun: Noun,
        query: &RecordQuery,
    ) -> Result<Page<StoredRecord>, StoreError> {
        self.read("records").await?;
        self.inner.records(project, noun, query).await
    }

    async fn key(&self, project: ProjectId, id: KeyId) -> Result<Option<(Key, Seal)>, StoreError> {
        self.read("key").await?;
        self.inner.key(project, id).await
    }

    async fn keys(&self, project: ProjectId, query: &KeyQuery) -> Result<Page<(Key, Seal)>, StoreError> {
        self.read("keys").await?;
        self.inner.keys(project, query).await
    }

    async fn events(&self, project: ProjectId, query: &EventQuery) -> Result<Page<NumberedEvent>, StoreError> {
        self.read("events").await?;
        self.inner.events(project, query).await
    }

    async fn replay(&self, actor: KeyId, request: &RequestKey) -> Result<Option<Replay>, StoreError> {
        self.read("replay").await?;
        self.inner.replay(actor, request).await
    }

    async fn note_usage(&self, usage: &[UsageDelta]) -> Result<(), StoreError> {
        self.write("note_usage")?;
        let fault = self.state().fault;
        match fault {
            Fault::UsageUnavailable => return Err(unavailable()),
            Fault::UsageSlow(takes) => tokio::time::sleep(takes).await,
            _ => {}
        }
        self.inner.note_usage(usage).await
    }

    async fn usage(&self, project: ProjectId, key: KeyId, from_hour: i64, to_hour: i64) -> Result<Usage, StoreError> {
        self.read("usage").await?;
        self.inner.usage(project, key, from_hour, to_hour).await
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, StoreError> {
        self.read("last_uses").await?;
        self.inner.last_uses(keys).await
    }

    async fn forget_before(&self, moment: Moment) -> Result<(), StoreError> {
        self.write("forget_before")?;
        self.inner.forget_before(moment).await
    }

    async fn keep_time(&self, reached: Moment, kept: TimeKept) -> Result<(), StoreError> {
        self.write("keep_time")?;
        self.inner.keep_time(reached, kept).await
    }

    async fn latest_time(&self) -> Result<Option<Moment>, StoreError> {
        self.read("latest_time").await?;
        self.inner.latest_time().await
    }

    async fn bond(&self) -> Result<Option<Bond>, StoreError> {
        self.read("bond").await?;
        self.inner.bond().await
    }

    async fn rebind(&self, expected: Option<Bond>, bond: Bond) -> Result<bool, StoreError> {
        self.write("rebind")?;
        self.inner.rebind(expected, bond).await
    }

    async fn dump(&self, each: &mut (dyn FnMut(DumpLine) + Send)) -> Result<EventNumber, StoreError> {
        self.read("dump").await?;
        self.inner.dump(each).await
    }

    async fn fill(&self, lines: Vec<DumpLine>) -> Result<(), StoreError> {
        self.write("fill")?;
        self.inner.fill(lines).await
    }

    fn sharing(&self) -> Sharing {
        self.sharing.unwrap_or_else(|| self.inner.sharing())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read("ping").await?;
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
