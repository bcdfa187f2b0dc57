//! Uses counted beside the rows, one word for each, until somebody writes them down.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use keyholt_core::id::KeyId;
use keyholt_core::time::Moment;
use prefetch_index::prefetch_index;

use super::rows::{CHUNKS, chunk_length, place};

/// Most uses in one word.
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const COUNT_BITS: u32 = 11;
/// Milliseconds since 1970, as far as the year 3084.
const AT_BITS: u32 = 45;
const AT_MAX: u64 = (1 << AT_BITS) - 1;

/// How often a key was used within one hour, and when last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tally {
    /// How often.
    pub count: u64,
    /// When last.
    pub at: Moment,
}

/// What a use came upon.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// The first one since the word was taken: the row must be remembered.
    First,
    /// Others were counted before.
    More,
    /// What was counted before does not go together with it, and is handed out instead.
    Instead(Tally),
}

/// A word for each row.
///
/// A word also holds a piece of the key's id: a row that was freed is used again, and uses of the key that is gone must
/// not become those of the next one.
pub struct Tallies {
    chunks: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl Default for Tallies {
    /// No memory is taken before the first use.
    fn default() -> Self {
        Self {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
        }
    }
}

impl Tallies {
    /// Counts a use of the key in a row.
    pub fn count(&self, number: u32, key: KeyId, now: Moment) -> Counted {
        let (chunk, offset) = place(number);
        let words = self
            .chunks
            .get(chunk)
            .map(|words| words.get_or_init(|| (0..chunk_length(chunk)).map(|_| AtomicU64::new(0)).collect()));
        let Some(word) = words.and_then(|words| words.get(offset)) else {
            return Counted::Instead(Tally { count: 1, at: now });
        };
        let one = pack(key, Tally { count: 1, at: now });
        let mut before = word.load(Relaxed);
        loop {
            let known = unpack(key, before);
            let (next, counted) = match known {
                None if before == 0 => (one, Counted::First),
                // Uses of a key that is gone are dropped.
                None => (one, Counted::More),
                Some(known) if known.count < COUNT_MAX && known.at.hour() == now.hour() => {
                    let at = known.at.max(now);
                    (
                        pack(
                            key,
                            Tally {
                                count: known.count + 1,
                                at,
                            },
                        ),
                        Counted::More,
                    )
                }
                Some(known) => (one, Counted::Instead(known)),
            };
            match word.compare_exchange_weak(before, next, Relaxed, Relaxed) {
                Ok(_) => return counted,
                Err(other) => before = other,
            }
        }
    }

    /// Takes what was counted for the key that is in a row now.
    pub fn take(&self, number: u32, key: KeyId) -> Option<Tally> {
        unpack(key, self.word(number)?.swap(0, Relaxed))
    }

    /// Asks for a row's word without waiting for it.
    #[inline]
    pub fn touch(&self, number: u32) {
        let (chunk, offset) = place(number);
        if let Some(words) = self.chunks.get(chunk).and_then(OnceLock::get) {
            prefetch_index(words, offset);
        }
    }

    /// Drops what was counted for a row that no key is in.
    pub fn clear(&self, number: u32) {
        if let Some(word) = self.word(number) {
            word.store(0, Relaxed);
        }
    }

    fn word(&self, number: u32) -> Option<&AtomicU64> {
        let (chunk, offset) = place(number);
        self.chunks.get(chunk)?.get()?.get(offset)
    }
}

fn mark(key: KeyId) -> u64 {
    // The last byte of an id is random.
    u64::from(key.uuid().as_bytes()[15])
}

fn pack(key: KeyId, tally: Tally) -> u64 {
    let at = u64::try_from(tally.at.ms()).unwrap_or(0).min(AT_MAX);
    mark(key) << (COUNT_BITS + AT_BITS) | tally.count.min(COUNT_MAX) << AT_BITS | at
}

fn unpack(key: KeyId, word: u64) -> Option<Tally> {
    let count = word >> AT_BITS & COUNT_MAX;
    (count > 0 && word >> (COUNT_BITS + AT_BITS) == mark(key)).then(|| Tally {
        count,
        at: Moment::from_ms((word & AT_MAX).cast_signed()),
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const NOON: i64 = 1_800_000_000_000;

    fn key(last: u128) -> KeyId {
        KeyId::from_uuid(Uuid::from_u128(last))
    }

    fn at(ms: i64) -> Moment {
        Moment::from_ms(NOON + ms)
    }

    #[test]
    fn uses_add_up_until_they_are_taken() {
        let tallies = Tallies::default();
        assert_eq!(tallies.count(70_000, key(1), at(0)), Counted::First);
        assert_eq!(tallies.count(70_000, key(1), at(7)), Counted::More);
        assert_eq!(tallies.count(70_000, key(1), at(5)), Counted::More);
        let taken = Tally { count: 3, at: at(7) };
        assert_eq!(tallies.take(70_000, key(1)), Some(taken));
        assert_eq!(tallies.take(70_000, key(1)), None);
        assert_eq!(tallies.take(3, key(1)), None);
        assert_eq!(tallies.count(70_000, key(1), at(8)), Counted::First);
    }

    #[test]
    fn another_hour_or_a_full_word_hands_out_what_was_counted() {
        let tallies = Tallies::default();
        tallies.count(0, key(1), at(0));
        let before = Tally { count: 1, at: at(0) };
        assert_eq!(tallies.count(0, key(1), at(3_600_000)), Counted::Instead(before));
        for _ in 1..COUNT_MAX {
            assert_eq!(tallies.count(0, key(1), at(3_600_000)), Counted::More);
        }
        let full = Tally {
            count: COUNT_MAX,
            at: at(3_600_000),
        };
        assert_eq!(tallies.count(0, key(1), at(3_600_001)), Counted::Instead(full));
        assert_eq!(tallies.take(0, key(1)).map(|tally| tally.count), Some(1));
    }

    #[test]
    fn a_row_that_is_used_again_does_not_inherit_uses() {
        let tallies = Tallies::default();
        tallies.count(0, key(1), at(0));
        assert_eq!(tallies.take(0, key(2)), None);
        tallies.count(0, key(1), at(0));
        assert_eq!(tallies.count(0, key(2), at(1)), Counted::More);
        assert_eq!(tallies.take(0, key(2)), Some(Tally { count: 1, at: at(1) }));
    }
}
