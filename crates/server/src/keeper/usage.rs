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
                    at: note.at,
                    address: note.address,
                });
                sum.count += 1;
                if note.at >= sum.at {
                    sum.at = note.at;
                    sum.address = note.address.or(sum.address);
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
                    if delta.at > sum.at {
                        (sum.at, sum.address) = (delta.at, delta.address);
                    }
                })
                .or_insert(delta);
        }
    }
}
