//! One row's cache line of atomics and the seqlock that keeps readers from seeing half a write.
//!
//! Reads `atomic` and `Row` from its parent so that the same text also runs under the model
//! checker (see `modelled.rs`).

use super::{
    Row,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
};

/// A row in shared memory: seven words of it, and one with its revision above the count of
/// writes, which is odd while a write is under way.
///
/// Eight words instead of a field each, because a look-up costs what it loads.
#[repr(align(64))]
pub(super) struct Slot {
    words: [AtomicU64; 7],
    stamp: AtomicU64,
}

impl Slot {
    /// A line that holds `Row::VACANT`.
    pub(super) fn vacant() -> Self {
        Self {
            words: words(&Row::VACANT).map(AtomicU64::new),
            stamp: AtomicU64::new(pair(Row::VACANT.revision, 0)),
        }
    }

    /// A whole row as one write left it, or `None` when a write was under way.
    ///
    /// The copy is taken between two looks at the stamp. The first is an acquire, so the copy is
    /// not older than the write that the stamp names; the fence keeps the second look behind the
    /// copy, so if any part of the copy came from a later write, that write's odd count is seen.
    /// (A reader that sleeps for exactly 2^31 writes of one row would be fooled; at one write per
    /// microsecond that is 36 minutes inside these few instructions.)
    #[inline]
    pub(super) fn try_read(&self) -> Option<Row> {
        let stamp = self.stamp.load(Acquire);
        if stamp & 1 == 1 {
            return None;
        }
        let [digest0, digest1, key0, key1, expires, references, rest] =
            [0, 1, 2, 3, 4, 5, 6].map(|word: usize| self.words[word].load(Relaxed));
        fence(Acquire);
        if self.stamp.load(Relaxed) != stamp {
            return None;
        }
        Some(Row {
            digest: [digest0, digest1],
            key: (u128::from(key0) << 64) | u128::from(key1),
            expires: expires.cast_signed(),
            owner: upper(references),
            access: lower(references),
            bounds: upper(rest),
            flags: lower(rest),
            revision: upper(stamp),
        })
    }

    /// Replaces the row. Only one thread at a time may write.
    pub(super) fn write(&self, row: &Row) {
        let stamp = self.stamp.load(Relaxed);
        let writes = lower(stamp);
        let under_way = pair(upper(stamp), writes.wrapping_add(1));
        self.stamp.store(under_way, Relaxed);
        // Whoever sees a word of the new row also sees the odd count.
        fence(Release);
        for (word, value) in self.words.iter().zip(words(row)) {
            word.store(value, Relaxed);
        }
        let done = pair(row.revision, writes.wrapping_add(2));
        self.stamp.store(done, Release);
    }
}

fn words(row: &Row) -> [u64; 7] {
    [
        row.digest[0],
        row.digest[1],
        (row.key >> 64) as u64,
        row.key as u64,
        row.expires.cast_unsigned(),
        pair(row.owner, row.access),
        pair(row.bounds, row.flags),
    ]
}

fn pair(upper: u32, lower: u32) -> u64 {
    (u64::from(upper) << 32) | u64::from(lower)
}

fn upper(pair: u64) -> u32 {
    (pair >> 32) as u32
}

fn lower(pair: u64) -> u32 {
    pair as u32
}
