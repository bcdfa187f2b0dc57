//! A store in somebody else's hands: several keepers may use it, it may answer late, and be exchanged for a forged copy.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use keyholt_core::audit::Noun;
use keyholt_core::bond::Bond;
use keyholt_core::commit::Replay;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Key;
use keyholt_core::seal::Seal;
use keyholt_core::text::RequestKey;
use keyholt_core::time::Moment;
use keyholt_store::{
    CommitError, DumpLine, EventNumber, EventQuery, Faulty, FeedEntry, KeyQuery, LastUse, Limit, Loaded, Memory,
    NumberedEvent, Page, RecordQuery, Sharing, Store, StoreError, StoredRecord, TimeKept, Usage, UsageDelta, Write,
};
use tokio::sync::oneshot;
use uuid::Uuid;

/// A store that fails on demand, counts its calls, and is in somebody else's hands.
pub type Stage = Faulty<Relay>;

/// Passes every call on to the store behind it.
#[derive(Clone)]
pub struct Relay {
    behind: Arc<RwLock<Arc<dyn Store>>>,
    late: Arc<Mutex<LateAnswers>>,
}

#[derive(Default)]
struct LateAnswers {
    commit: Option<Held>,
    key: Option<Held>,
}

struct Held {
    ready: oneshot::Sender<()>,
    answer: oneshot::Receiver<()>,
}

/// An answer that is held back.
pub struct Late {
    /// Comes when the store has done its part.
    pub ready: oneshot::Receiver<()>,
    /// Lets the answer go.
    pub answer: oneshot::Sender<()>,
}

impl Relay {
    /// To an empty memory store.
    pub fn new() -> Self {
        Self {
            behind: Arc::new(RwLock::new(Arc::new(Memory::new()))),
            late: Arc::default(),
        }
    }

    /// Another store for one keeper alone, on the same data.
    pub fn lone(&self) -> Arc<Stage> {
        Arc::new(Faulty::new(self.clone()))
    }

    /// Another store for one keeper of several, on the same data.
    pub fn shared(&self) -> Arc<Stage> {
        Arc::new(Faulty::new(self.clone()).shared())
    }

    /// Writes the next commit, but holds the answer back.
    pub fn answer_the_next_commit_late(&self) -> Late {
        let (late, held) = late();
        self.late.lock().unwrap_or_else(PoisonError::into_inner).commit = Some(held);
        late
    }

    /// Reads the next key, but holds the answer back.
    pub fn answer_the_next_key_late(&self) -> Late {
        let (late, held) = late();
        self.late.lock().unwrap_or_else(PoisonError::into_inner).key = Some(held);
        late
    }

    /// Everything in the store.
    pub async fn dump(&self) -> Vec<DumpLine> {
        let mut lines = Vec::new();
        Store::dump(self, &mut |line| lines.push(line)).await.unwrap();
        lines
    }

    /// Somebody with access to the database changes it.
    pub async fn forge(&self, forge: impl FnOnce(&mut Vec<DumpLine>)) {
        let mut lines = self.dump().await;
        let (first, last) = (lines.remove(0), lines.pop());
        forge(&mut lines);
        let events = lines.iter().filter(|line| matches!(line, DumpLine::Event { .. }));
        let head = EventNumber(events.count() as u64);
        assert!(matches!(last, Some(DumpLine::End { .. })));
        let last = DumpLine::End {
            head,
            lines: lines.len() as u64,
        };
        let forged = Memory::new();
        let lines = std::iter::once(first).chain(lines).chain([last]).collect();
        forged.fill(lines).await.unwrap();
        *self.behind.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(forged);
    }

    fn behind(&self) -> Arc<dyn Store> {
        Arc::clone(&self.behind.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn held(&self, which: fn(&mut LateAnswers) -> &mut Option<Held>) -> Option<Held> {
        which(&mut self.late.lock().unwrap_or_else(PoisonError::into_inner)).take()
    }
}

fn late() -> (Late, Held) {
    let (ready, is_ready) = oneshot::channel();
    let (answer, may_answer) = oneshot::channel();
    (
        Late {
            ready: is_ready,
            answer,
        },
        Held {
            ready,
            answer: may_answer,
        },
    )
}

impl Held {
    async fn back(held: Option<Self>) {
        if let Some(Self { ready, answer }) = held {
            let _ = ready.send(());
            let _ = answer.await;
        }
    }
}

#[async_trait]
impl Store for Relay {
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<EventNumber>, CommitError> {
        let held = self.held(|late| &mut late.commit);
        let numbers = self.behind().commit(writes).await;
        Held::back(held).await;
        numbers
    }

    async fn load(&self, each: &mut (dyn for<'a> FnMut(Loaded<'a>) + Send)) -> Result<EventNumber, StoreError> {
        self.behind().load(each).await
    }

    async fn feed(&self, after: EventNumber, limit: Limit) -> Result<Vec<FeedEntry>, StoreError> {
        self.behind().feed(after, limit).await
    }

    async fn record(&self, project: ProjectId, noun: Noun, id: Uuid) -> Result<Option<StoredRecord>, StoreError> {
        self.behind().record(project, noun, id).await
    }

    async fn record_by_handle(
        &self,
        project: ProjectId,
        noun: Noun,
        handle: &str,
    ) -> Result<Option<StoredRecord>, StoreError> {
        self.behind().record_by_handle(project, noun, handle).await
    }

    async fn records(
        &self,
        project: ProjectId,
        noun: Noun,
        query: &RecordQuery,
    ) -> Result<Page<StoredRecord>, StoreError> {
        self.behind().records(project, noun, query).await
    }

    async fn key(&self, project: ProjectId, id: KeyId) -> Result<Option<(Key, Seal)>, StoreError> {
        let held = self.held(|late| &mut late.key);
        let key = self.behind().key(project, id).await;
        Held::back(held).await;
        key
    }

    async fn keys(&self, project: ProjectId, query: &KeyQuery) -> Result<Page<(Key, Seal)>, StoreError> {
        self.behind().keys(project, query).await
    }

    async fn events(&self, project: ProjectId, query: &EventQuery) -> Result<Page<NumberedEvent>, StoreError> {
        self.behind().events(project, query).await
    }

    async fn replay(&self, actor: KeyId, request: &RequestKey) -> Result<Option<Replay>, StoreError> {
        self.behind().replay(actor, request).await
    }

    async fn note_usage(&self, usage: &[UsageDelta]) -> Result<(), StoreError> {
        self.behind().note_usage(usage).await
    }

    async fn usage(&self, project: ProjectId, key: KeyId, from_hour: i64, to_hour: i64) -> Result<Usage, StoreError> {
        self.behind().usage(project, key, from_hour, to_hour).await
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, StoreError> {
        self.behind().last_uses(keys).await
    }

    async fn forget_before(&self, moment: Moment) -> Result<(), StoreError> {
        self.behind().forget_before(moment).await
    }

    async fn keep_time(&self, reached: Moment, kept: TimeKept) -> Result<(), StoreError> {
        self.behind().keep_time(reached, kept).await
    }

    async fn latest_time(&self) -> Result<Option<Moment>, StoreError> {
        self.behind().latest_time().await
    }

    async fn bond(&self) -> Result<Option<Bond>, StoreError> {
        self.behind().bond().await
    }

    async fn rebind(&self, expected: Option<Bond>, bond: Bond) -> Result<bool, StoreError> {
        self.behind().rebind(expected, bond).await
    }

    async fn dump(&self, each: &mut (dyn FnMut(DumpLine) + Send)) -> Result<EventNumber, StoreError> {
        self.behind().dump(each).await
    }

    async fn fill(&self, lines: Vec<DumpLine>) -> Result<(), StoreError> {
        self.behind().fill(lines).await
    }

    fn sharing(&self) -> Sharing {
        self.behind().sharing()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.behind().ping().await
    }

    async fn close(&self) {
        self.behind().close().await;
    }
}
