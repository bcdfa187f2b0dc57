//! Usage: counted in memory where keys are verified, written in batches by a task; verify never waits for it.
//!
//! An ordinary use, granted and without an address, is counted in a word beside the key's row. What has more to tell is
//! noted in a list. The task goes through both in the order of the keys, in batches, and rests after each so that writing
//! takes a small share of the machine however many keys are in use.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keyholt_core::id::KeyId;
use keyholt_core::time::Moment;
use keyholt_store::{Store, StoreError, UsageDelta, UseOutcome};
use tokio::time::Instant;

use crate::keyring::ring::{Found, Keyring};
use crate::keyring::tallies::{Counted, Tally};

/// Uses are gathered in this many places, so that threads rarely meet.
const SHARDS: usize = 16;
/// Most notes in one place before they are gathered; beyond it, notes are counted as lost.
const NOTES_MAX: usize = 1 << 20;
/// Most sums kept while the store does not take them.
const SUMS_MAX: usize = 1 << 22;
/// Most sums in one write.
const BATCH: u32 = 10_000;
/// After a full write the task rests so many times as long as the write took.
const REST: u32 = 49;

/// How usage is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// With rests, for as long as the server runs.
    Steady,
    /// At once, because somebody waits for it.
    AtOnce,
}

/// Some uses of a key that are counted together.
#[derive(Clone, Copy)]
struct Note {
    key: KeyId,
    outcome: UseOutcome,
    count: u64,
    first_at: Moment,
    at: Moment,
    address: Option<IpAddr>,
}

/// What one thread or a few gather.
#[derive(Default)]
struct Shard {
    notes: Vec<Note>,
    /// Rows whose words were empty before, with the first use since.
    rows: Vec<(u32, Moment)>,
}

/// What is counted together.
type Sum = (KeyId, i64, UseOutcome);

/// Uses that are not written yet.
pub struct UsageBook {
    shards: [Mutex<Shard>; SHARDS],
    /// Rows whose words are to be written, the last of them first.
    rows: Mutex<Vec<(u32, Moment)>>,
    sums: Mutex<HashMap<Sum, UsageDelta>>,
    lost: AtomicU64,
}

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: usize = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

impl UsageBook {
    /// No uses yet.
    pub fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            rows: Mutex::default(),
            sums: Mutex::default(),
            lost: AtomicU64::new(0),
        }
    }

    /// Counts an ordinary use, granted and without an address, beside the key's row.
    pub fn count(&self, keyring: &Keyring, found: &Found, at: Moment) {
        let key = found.key();
        match keyring.tallies().count(found.number(), key, at) {
            Counted::More => {}
            Counted::First => self.shard(|shard| shard.rows.push((found.number(), at))),
            Counted::Instead(Tally { count, at }) => self.write_down(Note {
                key,
                outcome: UseOutcome::Granted,
                count,
                first_at: at,
                at,
                address: None,
            }),
        }
    }

    /// Notes one use. Takes a lock that nobody else holds but for the moment in which notes are taken away.
    pub fn note(&self, key: KeyId, outcome: UseOutcome, at: Moment, address: Option<IpAddr>) {
        self.write_down(Note {
            key,
            outcome,
            count: 1,
            first_at: at,
            at,
            address,
        });
    }

    fn write_down(&self, note: Note) {
        self.shard(|shard| {
            // A gateway's own key is used again and again.
            if let Some(last) = shard.notes.last_mut()
                && (last.key, last.outcome, last.address) == (note.key, note.outcome, note.address)
                && last.at.hour() == note.at.hour()
            {
                last.count += note.count;
                last.first_at = last.first_at.min(note.first_at);
                last.at = last.at.max(note.at);
            } else if shard.notes.len() < NOTES_MAX {
                shard.notes.push(note);
            } else {
                self.lost.fetch_add(note.count, Ordering::Relaxed);
            }
        });
    }

    fn shard(&self, with: impl FnOnce(&mut Shard)) {
        if let Some(shard) = SHARD.with(|shard| self.shards.get(*shard)) {
            with(&mut lock(shard));
        }
    }

    /// How many uses were not counted because nobody wrote them down for too long.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Adds the notes up. Cheap, and called often, so that notes take little memory whatever the store does.
    pub fn gather(&self) {
        let mut sums = lock(&self.sums);
        for shard in &self.shards {
            let notes = std::mem::take(&mut lock(shard).notes);
            for note in notes {
                let place = (note.key, note.at.hour(), note.outcome);
                if sums.len() >= SUMS_MAX && !sums.contains_key(&place) {
                    self.lost.fetch_add(note.count, Ordering::Relaxed);
                    continue;
                }
                let sum = sums.entry(place).or_insert(UsageDelta {
                    key: note.key,
                    hour: note.at.hour(),
                    outcome: note.outcome,
                    count: 0,
                    first_at: note.first_at,
                    at: note.at,
                    address: note.address,
                });
                sum.count += note.count;
                sum.first_at = sum.first_at.min(note.first_at);
                if note.at >= sum.at {
                    (sum.at, sum.address) = (note.at, note.address);
                }
            }
        }
    }

    /// Writes what was gathered. What the store does not take is kept for the next time.
    pub async fn flush(&self, store: &dyn Store, keyring: &Keyring, pace: Pace) -> Result<(), StoreError> {
        self.gather();
        self.line_up();
        loop {
            let mut batch = self.counted(keyring);
            if batch.is_empty() {
                batch = self.summed();
            }
            if batch.is_empty() {
                return Ok(());
            }
            in_order(&mut batch);
            let began = Instant::now();
            if let Err(error) = store.note_usage(&batch).await {
                self.put_back(batch);
                return Err(error);
            }
            if pace == Pace::Steady {
                tokio::time::sleep(rest(began.elapsed(), batch.len())).await;
            }
        }
    }

    /// Writes what was gathered of one key, for somebody who wants to read it.
    pub async fn flush_key(&self, store: &dyn Store, keyring: &Keyring, found: &Found) -> Result<(), StoreError> {
        self.gather();
        self.line_up();
        let (key, number) = (found.key(), found.number());
        let of_key = lock(&self.sums)
            .extract_if(|sum, _| sum.0 == key)
            .map(|(_, delta)| delta)
            .collect();
        let mut batch: Vec<UsageDelta> = of_key;
        if let Some(tally) = keyring.tallies().take(number, key) {
            let first = lock(&self.rows)
                .iter()
                .filter(|row| row.0 == number)
                .map(|row| row.1)
                .min();
            batch.push(granted(key, first.unwrap_or(tally.at), tally));
        }
        if batch.is_empty() {
            return Ok(());
        }
        in_order(&mut batch);
        if let Err(error) = store.note_usage(&batch).await {
            self.put_back(batch);
            return Err(error);
        }
        Ok(())
    }

    /// Puts the rows whose words are not empty in a line, so that neighbours in the store are written together.
    fn line_up(&self) {
        let mut rows = lock(&self.rows);
        for shard in &self.shards {
            rows.append(&mut lock(shard).rows);
        }
        rows.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// The next words beside the rows.
    fn counted(&self, keyring: &Keyring) -> Vec<UsageDelta> {
        let mut rows = lock(&self.rows);
        let mut deltas = Vec::new();
        while deltas.len() < BATCH as usize
            && let Some((number, first_at)) = rows.pop()
        {
            let Some(key) = keyring.key_in(number) else {
                keyring.tallies().clear(number);
                continue;
            };
            deltas.extend(
                keyring
                    .tallies()
                    .take(number, key)
                    .map(|tally| granted(key, first_at, tally)),
            );
        }
        deltas
    }

    /// The next sums of notes.
    fn summed(&self) -> Vec<UsageDelta> {
        let mut sums = lock(&self.sums);
        let places: Vec<Sum> = sums.keys().take(BATCH as usize).copied().collect();
        places.iter().filter_map(|place| sums.remove(place)).collect()
    }

    fn put_back(&self, batch: Vec<UsageDelta>) {
        let mut sums = lock(&self.sums);
        for delta in batch {
            sums.entry((delta.key, delta.hour, delta.outcome))
                .and_modify(|sum| {
                    sum.count += delta.count;
                    sum.first_at = sum.first_at.min(delta.first_at);
                    if delta.at > sum.at {
                        (sum.at, sum.address) = (delta.at, delta.address);
                    }
                })
                .or_insert(delta);
        }
    }
}

/// How long the task rests after it wrote so many sums.
///
/// In proportion, because a write of few sums mostly waits for the disk: where that is slow, long rests would only add to
/// what `kill -9` loses.
fn rest(took: Duration, sums: usize) -> Duration {
    let sums = u32::try_from(sums).map_or(BATCH, |sums| sums.min(BATCH));
    took * (REST * sums) / BATCH
}

/// Neighbours in the store together; of two uses at one instant, always the same one counts as the last.
fn in_order(batch: &mut [UsageDelta]) {
    batch.sort_unstable_by_key(|sum| (sum.key, sum.hour, sum.outcome));
}

fn granted(key: KeyId, first_at: Moment, Tally { count, at }: Tally) -> UsageDelta {
    UsageDelta {
        key,
        hour: at.hour(),
        outcome: UseOutcome::Granted,
        count,
        first_at: first_at.min(at),
        at,
        address: None,
    }
}

fn lock<T>(place: &Mutex<T>) -> MutexGuard<'_, T> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use keyholt_core::time::Span;
    use keyholt_store::{Fault, Faulty, Memory};

    use super::*;

    const NOON: Moment = Moment::from_ms(12 * 3_600_000);

    fn key(n: u128) -> KeyId {
        KeyId::from_uuid(uuid::Uuid::from_u128(n))
    }

    /// A keyring for a book in which nothing is counted beside rows.
    fn nobody() -> Keyring {
        Keyring::with_capacity(8, [1, 2])
    }

    fn address(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    /// What is kept, in order.
    fn kept(book: &UsageBook) -> Vec<UsageDelta> {
        book.gather();
        let sums = book.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept: Vec<UsageDelta> = sums.values().copied().collect();
        kept.sort_unstable_by_key(|sum| (sum.key, sum.hour, sum.outcome));
        kept
    }

    #[test]
    fn notes_are_summed_by_key_hour_and_outcome_and_the_last_one_is_remembered() {
        let book = UsageBook::new();
        let later = NOON.plus(Span::secs(10));
        book.note(key(1), UseOutcome::Granted, NOON, address("192.0.2.1"));
        book.note(key(1), UseOutcome::Granted, later, address("192.0.2.2"));
        book.note(key(1), UseOutcome::Granted, NOON, address("192.0.2.3"));
        book.note(key(1), UseOutcome::DeniedScope, NOON, None);
        book.note(key(1), UseOutcome::Granted, NOON.plus(Span::hours(1)), None);
        book.note(key(2), UseOutcome::Granted, NOON, None);
        let told: Vec<_> = kept(&book)
            .iter()
            .map(|sum| (sum.key, sum.hour, sum.outcome, sum.count, sum.at, sum.address))
            .collect();
        let (one, hour) = (key(1), NOON.hour());
        assert_eq!(
            told,
            [
                (one, hour, UseOutcome::Granted, 3, later, address("192.0.2.2")),
                (one, hour, UseOutcome::DeniedScope, 1, NOON, None),
                (one, hour + 1, UseOutcome::Granted, 1, NOON.plus(Span::hours(1)), None),
                (key(2), hour, UseOutcome::Granted, 1, NOON, None),
            ]
        );
    }

    #[test]
    fn the_address_is_that_of_the_last_use_or_none() {
        let book = UsageBook::new();
        book.note(key(1), UseOutcome::Granted, NOON, address("192.0.2.1"));
        book.note(key(1), UseOutcome::Granted, NOON.plus(Span::secs(1)), None);
        assert_eq!(kept(&book)[0].address, None, "nobody is known to have been there then");
    }

    #[test]
    fn notes_of_many_threads_are_all_counted() {
        let book = UsageBook::new();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        book.note(key(1), UseOutcome::Granted, NOON, None);
                    }
                });
            }
            for _ in 0..100 {
                book.gather();
            }
        });
        assert_eq!(kept(&book)[0].count, 8_000);
        assert_eq!(book.lost(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_slow_disk_a_few_uses_are_written_soon_and_many_with_rests() {
        let takes = Duration::from_millis(50);
        for (keys, least, most) in [
            (20, takes, takes * 2),
            (2 * u128::from(BATCH), takes * 2 * (1 + REST), takes * 2 * (2 + REST)),
        ] {
            let book = UsageBook::new();
            let store = Faulty::new(Memory::new());
            store.fail(Fault::UsageSlow(takes));
            for number in 0..keys {
                book.note(key(number), UseOutcome::Granted, NOON, None);
            }
            let began = Instant::now();
            book.flush(&store, &nobody(), Pace::Steady).await.unwrap();
            let took = began.elapsed();
            assert!(least <= took && took <= most, "{keys} keys: {took:?}");
            assert!(kept(&book).is_empty());
        }
    }

    #[test]
    fn a_full_write_is_followed_by_a_long_rest_and_a_small_one_by_hardly_any() {
        let took = Duration::from_millis(40);
        assert_eq!(rest(took, BATCH as usize), took * REST);
        assert_eq!(rest(took, BATCH as usize / 2), took * REST / 2);
        assert!(rest(took, 2) < Duration::from_millis(1));
        assert_eq!(rest(took, usize::MAX), took * REST);
    }

    #[tokio::test]
    async fn what_is_not_taken_is_put_back_and_added_to_what_came_meanwhile() {
        let book = UsageBook::new();
        let store = Faulty::new(Memory::new());
        store.fail(Fault::UsageUnavailable);
        for n in 0..3 {
            let at = NOON.plus(Span::secs(n));
            book.note(key(1), UseOutcome::Granted, at, address("192.0.2.1"));
            assert!(book.flush(&store, &nobody(), Pace::AtOnce).await.is_err());
        }
        // Older than what was put back: it counts, but it is not the last.
        book.note(key(1), UseOutcome::Granted, NOON, address("192.0.2.9"));
        let sums = kept(&book);
        let last = NOON.plus(Span::secs(2));
        assert_eq!((sums.len(), sums[0].count), (1, 4));
        assert_eq!((sums[0].at, sums[0].address), (last, address("192.0.2.1")));

        store.fail(Fault::None);
        book.flush(&store, &nobody(), Pace::AtOnce).await.unwrap();
        assert!(kept(&book).is_empty());
        let before = store.calls();
        book.flush(&store, &nobody(), Pace::AtOnce).await.unwrap();
        assert_eq!(store.calls(), before, "what was written is not written again");
    }

    #[test]
    fn a_newer_use_that_came_meanwhile_stays_the_last_one() {
        let book = UsageBook::new();
        book.note(
            key(1),
            UseOutcome::Granted,
            NOON.plus(Span::secs(9)),
            address("192.0.2.9"),
        );
        book.gather();
        book.put_back(vec![UsageDelta {
            key: key(1),
            hour: NOON.hour(),
            outcome: UseOutcome::Granted,
            count: 7,
            first_at: NOON,
            at: NOON,
            address: address("192.0.2.1"),
        }]);
        let sums = kept(&book);
        assert_eq!((sums[0].count, sums[0].address), (8, address("192.0.2.9")));
        assert_eq!(sums[0].first_at, NOON, "and the older one the first");
    }

    #[tokio::test]
    async fn many_sums_are_written_in_several_batches() {
        let book = UsageBook::new();
        let store = Faulty::new(Memory::new());
        for n in 0..=2 * BATCH as u128 {
            book.note(key(n), UseOutcome::Granted, NOON, None);
        }
        book.flush(&store, &nobody(), Pace::AtOnce).await.unwrap();
        assert_eq!(store.calls_of("note_usage"), 3);
        assert!(kept(&book).is_empty());
    }

    #[test]
    fn notes_beyond_the_limit_are_counted_as_lost() {
        let book = UsageBook::new();
        let counted = || kept(&book).iter().map(|sum| sum.count).sum::<u64>();
        // Uses of one key in a row are one note, so no two are of the same key.
        for n in 0..NOTES_MAX as u128 + 5 {
            book.note(key(n), UseOutcome::Granted, NOON, None);
        }
        assert_eq!(book.lost(), 5);
        assert_eq!(counted(), NOTES_MAX as u64);
        book.note(key(1), UseOutcome::Granted, NOON, None);
        assert_eq!(
            (counted(), book.lost()),
            (NOTES_MAX as u64 + 1, 5),
            "there is room again"
        );
    }
}
