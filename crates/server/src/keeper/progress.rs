//! How far the keyring has come: which commits are in it, how old its view can be, and what must not come back into it.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keyholt_store::{EventNumber, Sharing};
use tokio::sync::Notify;
use uuid::Uuid;

/// What is known about the keyring's view of the store.
pub(super) struct Progress {
    sharing: Sharing,
    staleness_max: Duration,
    /// By the keeper's monotonic clock, in milliseconds: when the view was last proven to be whole.
    proven_ms: AtomicU64,
    /// Whether the fate of a commit of this process was ever unknown.
    doubtful: AtomicBool,
    /// Whether the view is of no use any more, because the data belong to another master key.
    given_up: AtomicBool,
    doubted: Notify,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Every commit up to this one is in the view.
    seen: u64,
    /// Commits beyond it that are in the view too, because they were written here.
    ahead: BTreeSet<u64>,
    next_turn: u64,
    turns: BTreeSet<u64>,
    gone: HashSet<Uuid>,
    /// The same ids, in the order in which they went, each with the turn that was next then.
    went: VecDeque<(u64, Uuid)>,
}

impl Progress {
    /// A view that is whole at `now_ms`.
    pub(super) fn new(sharing: Sharing, staleness_max: Duration, now_ms: u64) -> Self {
        Self {
            sharing,
            staleness_max,
            proven_ms: AtomicU64::new(now_ms),
            doubtful: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            doubted: Notify::new(),
            known: Mutex::default(),
        }
    }

    /// Whether commits may become visible that this keeper does not learn of by making them.
    ///
    /// Where others write, always. Where nobody else does, from the first commit on whose fate is unknown: it may become
    /// visible at any later time, exactly as if somebody else had made it.
    pub(super) fn follows(&self) -> bool {
        self.sharing == Sharing::Shared || self.doubtful.load(Ordering::Acquire)
    }

    /// Waits until there is something to follow.
    pub(super) async fn until_following(&self) {
        while !self.follows() {
            self.doubted.notified().await;
        }
    }

    /// Whether the view is young enough to answer from.
    pub(super) fn is_fresh(&self, now_ms: impl FnOnce() -> u64) -> bool {
        if !self.follows() {
            return true;
        }
        if self.given_up.load(Ordering::Acquire) {
            return false;
        }
        let age = now_ms().saturating_sub(self.proven_ms.load(Ordering::Acquire));
        u128::from(age) <= self.staleness_max.as_millis()
    }

    /// From now on nothing is answered from the view. Tells whether that is new.
    pub(super) fn give_up(&self) -> bool {
        !self.given_up.swap(true, Ordering::AcqRel)
    }

    /// How old a view may be that is answered from.
    pub(super) fn staleness_max(&self) -> Duration {
        self.staleness_max
    }

    /// The view holds everything that was visible at that time.
    pub(super) fn proven_at(&self, asked_ms: u64) {
        self.proven_ms.fetch_max(asked_ms, Ordering::AcqRel);
    }

    /// The last commit up to which the view is whole.
    pub(super) fn seen(&self) -> EventNumber {
        EventNumber(self.known().seen)
    }

    /// Whether a commit is in the view already.
    pub(super) fn has(&self, number: EventNumber) -> bool {
        let known = self.known();
        number.0 <= known.seen || known.ahead.contains(&number.0)
    }

    /// The view holds everything up to this commit.
    pub(super) fn seen_up_to(&self, number: EventNumber) {
        let mut known = self.known();
        known.seen = known.seen.max(number.0);
        known.close_up();
    }

    /// Begins to write or read what will be applied. Nothing that goes from now on comes back with it.
    pub(super) fn begin(&self) -> Turn<'_> {
        let mut known = self.known();
        let number = known.next_turn;
        known.next_turn += 1;
        known.turns.insert(number);
        Turn { progress: self, number }
    }

    /// Takes note that a commit begins. Unless the doubt is settled, its fate counts as unknown.
    pub(super) fn doubt(&self, began_ms: u64) -> Doubt<'_> {
        Doubt {
            progress: self,
            began_ms,
            settled: false,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn close_up(&mut self) {
        self.ahead = self.ahead.split_off(&(self.seen + 1));
        while self.ahead.remove(&(self.seen + 1)) {
            self.seen += 1;
        }
    }
}

/// From before something is written or read until it is applied.
///
/// Answers overtake each other: a key may be read, then deleted by somebody whose deletion is applied first. What goes
/// while a turn lasts is therefore remembered until the turn is over.
pub(super) struct Turn<'a> {
    progress: &'a Progress,
    number: u64,
}

impl Turn<'_> {
    /// Applies what was written or read; one at a time.
    pub(super) fn apply<R>(&self, apply: impl FnOnce(&mut Arrivals<'_>) -> R) -> R {
        apply(&mut Arrivals {
            known: self.progress.known(),
        })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut known = self.progress.known();
        known.turns.remove(&self.number);
        let oldest = known.turns.first().copied().unwrap_or(known.next_turn);
        while let Some((next, id)) = known.went.front().copied()
            && next <= oldest
        {
            known.went.pop_front();
            known.gone.remove(&id);
        }
    }
}

/// What came in, while it is being applied.
pub(super) struct Arrivals<'a> {
    known: MutexGuard<'a, Known>,
}

impl Arrivals<'_> {
    /// Whether a record went while this turn lasted. Ids are never used twice, so it does not come back.
    pub(super) fn is_gone(&self, id: Uuid) -> bool {
        self.known.gone.contains(&id)
    }

    /// A record goes.
    pub(super) fn goes(&mut self, id: Uuid) {
        let next = self.known.next_turn;
        if self.known.gone.insert(id) {
            self.known.went.push_back((next, id));
        }
    }

    /// A commit of this process is in the view.
    pub(super) fn made(&mut self, numbers: &[EventNumber]) {
        self.known.ahead.extend(numbers.iter().map(|number| number.0));
        self.known.close_up();
    }
}

/// A commit whose fate is not known yet.
pub(super) struct Doubt<'a> {
    progress: &'a Progress,
    began_ms: u64,
    settled: bool,
}

impl Doubt<'_> {
    /// It is known now whether it was written.
    pub(super) fn settle(&mut self) {
        self.settled = true;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if self.settled || self.progress.follows() {
            return;
        }
        // Nobody else wrote before: the view was whole when the commit began.
        self.progress.proven_at(self.began_ms);
        self.progress.doubtful.store(true, Ordering::Release);
        self.progress.doubted.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone() -> Progress {
        Progress::new(Sharing::Alone, Duration::from_secs(2), 0)
    }

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn what_goes_during_a_turn_is_remembered_until_the_turn_is_over() {
        let progress = alone();
        let early = progress.begin();
        let deletion = progress.begin();
        deletion.apply(|arrivals| arrivals.goes(id(1)));
        drop(deletion);
        assert!(early.apply(|arrivals| arrivals.is_gone(id(1))));
        let late = progress.begin();
        drop(early);
        assert!(!late.apply(|arrivals| arrivals.is_gone(id(1))));
        assert!(progress.known().gone.is_empty() && progress.known().went.is_empty());
    }

    #[test]
    fn commits_that_are_answered_out_of_order_close_up() {
        let progress = alone();
        let made = |numbers: &[u64]| {
            let numbers: Vec<_> = numbers.iter().copied().map(EventNumber).collect();
            progress.begin().apply(|arrivals| arrivals.made(&numbers));
        };
        made(&[2, 3]);
        assert_eq!(progress.seen(), EventNumber(0));
        assert!(progress.has(EventNumber(3)) && !progress.has(EventNumber(1)));
        made(&[1]);
        assert_eq!(progress.seen(), EventNumber(3));
        made(&[6]);
        progress.seen_up_to(EventNumber(5));
        assert_eq!(progress.seen(), EventNumber(6));
        assert!(progress.known().ahead.is_empty());
    }

    #[test]
    fn a_lone_view_is_always_fresh_until_the_fate_of_a_commit_is_unknown() {
        let progress = alone();
        assert!(progress.is_fresh(|| 1_000_000));
        progress.doubt(1_000).settle();
        assert!(progress.is_fresh(|| 1_000_000));
        drop(progress.doubt(1_000));
        assert!(progress.is_fresh(|| 3_000));
        assert!(!progress.is_fresh(|| 3_001));
        progress.proven_at(3_001);
        assert!(progress.is_fresh(|| 5_001));
    }
}
