//! An append-only list whose entries never move, so that readers need no lock.

use std::sync::{
    Mutex, OnceLock, PoisonError,
    atomic::{AtomicU32, Ordering},
};

/// Entries of the first chunk; every later chunk is twice as long as the one before.
const FIRST_CHUNK: u32 = 64;
/// Chunks of a full table.
const CHUNKS: u32 = 25;

/// A numbered list that only grows: `push` gives a number, `get` by that number never waits.
///
/// Doubling chunks keep a small table small (nothing is allocated before the first push) and
/// a large one at 25 allocations; the alternative, one growing vector, would move its entries
/// under the readers.
pub struct Table<T> {
    chunks: [OnceLock<Box<[OnceLock<T>]>>; CHUNKS as usize],
    len: AtomicU32,
    writer: Mutex<()>,
}

impl<T> Table<T> {
    /// The most entries a table can hold.
    pub const LIMIT: u32 = FIRST_CHUNK * ((1 << CHUNKS) - 1);

    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            chunks: [const { OnceLock::new() }; CHUNKS as usize],
            len: AtomicU32::new(0),
            writer: Mutex::new(()),
        }
    }

    /// The entry with this number, if one was pushed.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&T> {
        let (chunk, offset) = place(number)?;
        self.chunks.get(chunk)?.get()?.get(offset)?.get()
    }

    /// Appends an entry and returns its number; writers take turns, readers are not held up.
    pub fn push(&self, entry: T) -> Result<u32, Full> {
        // A poisoned turn is harmless: an entry counts only once `len` says so.
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.len.load(Ordering::Relaxed);
        let full = Full { limit: Self::LIMIT };
        let (chunk, offset) = place(number).ok_or(full)?;
        let entries = self.chunks[chunk].get_or_init(|| (0..FIRST_CHUNK << chunk).map(|_| OnceLock::new()).collect());
        entries[offset].set(entry).map_err(|_| full)?;
        self.len.store(number + 1, Ordering::Release);
        Ok(number)
    }

    /// How many entries were pushed; all smaller numbers can be read.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.len.load(Ordering::Acquire)
    }

    /// Whether nothing was pushed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries pushed so far with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        (0..self.len()).filter_map(|number| Some((number, self.get(number)?)))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Nothing more can be added: the list has reached its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no room for another entry: {limit} is the limit")]
pub struct Full {
    /// The limit that was reached.
    pub limit: u32,
}

/// Chunk and offset of a number, or `None` beyond the limit.
fn place(number: u32) -> Option<(usize, usize)> {
    let shifted = number.checked_add(FIRST_CHUNK)?;
    let chunk = shifted.ilog2() - FIRST_CHUNK.ilog2();
    (chunk < CHUNKS).then(|| (chunk as usize, (shifted - (FIRST_CHUNK << chunk)) as usize))
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, thread};

    use super::*;

    #[test]
    fn numbers_fill_each_chunk_before_the_next_and_stop_at_the_limit() {
        assert_eq!(place(0), Some((0, 0)));
        assert_eq!(place(63), Some((0, 63)));
        assert_eq!(place(64), Some((1, 0)));
        assert_eq!(place(191), Some((1, 127)));
        assert_eq!(place(192), Some((2, 0)));
        let last = Table::<u8>::LIMIT - 1;
        assert_eq!(place(last), Some((24, (64 << 24) - 1)));
        assert_eq!(place(last + 1), None);
        assert_eq!(place(u32::MAX), None);
    }

    #[test]
    fn an_entry_is_found_under_its_number_and_nothing_beyond_the_last() {
        let table = Table::new();
        assert!(table.is_empty());
        assert_eq!(table.get(0), None);
        for entry in 0..1_000_u32 {
            assert_eq!(table.push(entry * 3), Ok(entry));
        }
        for (number, entry) in table.iter() {
            assert_eq!(*entry, number * 3);
        }
        assert_eq!(table.iter().count(), 1_000);
        assert_eq!(table.get(1_000), None);
        assert_eq!(table.get(u32::MAX), None);
    }

    #[test]
    fn an_entry_stays_at_its_address_while_the_table_grows() {
        let table = Table::new();
        table.push(7_u32).expect("room");
        let before: *const u32 = table.get(0).expect("pushed");
        for entry in 0..100_000 {
            table.push(entry).expect("room");
        }
        assert_eq!(before, std::ptr::from_ref(table.get(0).expect("pushed")));
    }

    #[test]
    fn readers_see_every_counted_entry_while_others_push() {
        const EACH: u32 = 20_000;
        let table = Table::new();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let writers = [0, 1].map(|_| scope.spawn(|| (0..EACH).all(|entry| table.push(entry).is_ok())));
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let len = table.len();
                    assert!(len == 0 || table.get(len - 1).is_some(), "entry {len} missing");
                }
            });
            assert!(writers.into_iter().all(|writer| writer.join().expect("a writer")));
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(table.len(), 2 * EACH);
        let sum: u64 = table.iter().map(|(_, entry)| u64::from(*entry)).sum();
        assert_eq!(sum, u64::from(EACH) * u64::from(EACH - 1));
    }
}
