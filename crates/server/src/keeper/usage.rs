//! Usage: gathered in memory where keys are verified, written in batches by a task; verify never waits for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use keyholt_core::id::KeyId;
use keyholt_core::time::Moment;
use keyholt_store::{Store, StoreError, UsageDelta, UseOutcome};

/// Notes are gathered in this many places, so that threads rarely meet.
const SHARDS: usize = 16;
/// Most notes in one place before they are gathered; beyond it, notes are counted as lost.
const NOTES_MAX: usize = 1 << 20;
/// Most sums kept while the store does not take them.
const SUMS_MAX: usize = 1 << 22;
/// Most sums in one write.
const BATCH: usize = 10_000;

/// One use of a key.
#[derive(Clone, Copy)]
struct Note {
    key: KeyId,
    outcome: UseOutcome,
    at: Moment,
    address: Option<IpAddr>,
}

/// What is counted together.
type Sum = (KeyId, i64, UseOutcome);

/// Uses that are not written yet.
pub struct UsageBook {
    shards: [Mutex<Vec<Note>>; SHARDS],
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
            shards: [const { Mutex::new(Vec::new()) }; SHARDS],
            sums: Mutex::default(),
            lost: AtomicU64::new(0),
        }
    }

    /// Notes one use. Takes a lock that nobody else holds but for the moment in which the notes are taken away.
    pub fn note(&self, key: KeyId, outcome: UseOutcome, at: Moment, address: Option<IpAddr>) {
        let shard = SHARD.with(|shard| self.shards.get(*shard));
        let Some(shard) = shard else { return };
        let mut notes = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < NOTES_MAX {
            notes.push(Note {
                key,
                outcome,
                at,
                address,
            });
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many uses were not counted because nobody wrote them down for too long.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Adds the notes up. Cheap, and called often, so that notes take little memory whatever the store does.
    pub fn gather(&self) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        for shard in &self.shards {
            let notes = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            for note in notes {
                let place = (note.key, note.at.hour(), note.outcome);
                if sums.len() >= SUMS_MAX && !sums.contains_key(&place) {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let sum = sums.entry(place).or_insert(UsageDelta {
                    key: note.key,
                    hour: note.at.hour(),
                    outcome: note.outcome,
                    count: 0,
                    first_at: note.at,
                    at: note.at,
                    address: note.address,
                });
                sum.count += 1;
                sum.first_at = sum.first_at.min(note.at);
                if note.at >= sum.at {
                    (sum.at, sum.address) = (note.at, note.address);
                }
            }
        }
    }

    /// Writes what was gathered. What the store does not take is kept for the next time.
    pub async fn flush(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.gather();
        loop {
            let mut batch: Vec<UsageDelta> = {
                let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
                let places: Vec<Sum> = sums.keys().take(BATCH).copied().collect();
                places.iter().filter_map(|place| sums.remove(place)).collect()
            };
            if batch.is_empty() {
                return Ok(());
            }
            batch.sort_unstable_by_key(|sum| (sum.key, sum.hour, sum.outcome));
            if let Err(error) = store.note_usage(&batch).await {
                self.put_back(batch);
                return Err(error);
            }
        }
    }

    fn put_back(&self, batch: Vec<UsageDelta>) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
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

#[cfg(test)]
mod tests {
    use keyholt_core::time::Span;
    use keyholt_store::{Fault, Faulty, Memory};

    use super::*;

    const NOON: Moment = Moment::from_ms(12 * 3_600_000);

    fn key(n: u128) -> KeyId {
        KeyId::from_uuid(uuid::Uuid::from_u128(n))
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

    #[tokio::test]
    async fn what_is_not_taken_is_put_back_and_added_to_what_came_meanwhile() {
        let book = UsageBook::new();
        let store = Faulty::new(Memory::new());
        store.fail(Fault::UsageUnavailable);
        for n in 0..3 {
            let at = NOON.plus(Span::secs(n));
            book.note(key(1), UseOutcome::Granted, at, address("192.0.2.1"));
            assert!(book.flush(&store).await.is_err());
        }
        // Older than what was put back: it counts, but it is not the last.
        book.note(key(1), UseOutcome::Granted, NOON, address("192.0.2.9"));
        let sums = kept(&book);
        let last = NOON.plus(Span::secs(2));
        assert_eq!((sums.len(), sums[0].count), (1, 4));
        assert_eq!((sums[0].at, sums[0].address), (last, address("192.0.2.1")));

        store.fail(Fault::None);
        book.flush(&store).await.unwrap();
        assert!(kept(&book).is_empty());
        let before = store.calls();
        book.flush(&store).await.unwrap();
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
        book.flush(&store).await.unwrap();
        assert_eq!(store.calls_of("note_usage"), 3);
        assert!(kept(&book).is_empty());
    }

    #[test]
    fn notes_beyond_the_limit_are_counted_as_lost() {
        let book = UsageBook::new();
        for _ in 0..NOTES_MAX + 5 {
            book.note(key(1), UseOutcome::Granted, NOON, None);
        }
        assert_eq!(book.lost(), 5);
        assert_eq!(kept(&book)[0].count, NOTES_MAX as u64);
        book.note(key(1), UseOutcome::Granted, NOON, None);
        let room = (kept(&book)[0].count, book.lost());
        assert_eq!(room, (NOTES_MAX as u64 + 1, 5), "there is room again");
    }
}
