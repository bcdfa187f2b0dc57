//! What a verify must know of each key, one cache line per digest, readable while it is written.

mod slot;

#[cfg(test)]
mod modelled;

use std::{
    fmt, hint,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError, atomic},
    thread,
};

use prefetch_index::prefetch_index;

use self::slot::Slot;
use super::pages;
use super::table::Full;

const _: () = assert!(size_of::<Slot>() == 64 && align_of::<Slot>() == 64);

/// Rows of the first chunk: an idle server spends 64 KiB on them.
const FIRST_CHUNK: u32 = 1 << 10;
/// Rows of a grown chunk (4 MiB): making one costs the writer about a millisecond.
const CHUNK: u32 = 1 << 16;
/// Chunks smaller than `CHUNK`: the first one, and then doublings up to `CHUNK` rows in all.
const SMALL_CHUNKS: u32 = CHUNK.ilog2() - FIRST_CHUNK.ilog2() + 1;
/// All chunks, small and grown.
pub(super) const CHUNKS: u32 = SMALL_CHUNKS + Rows::LIMIT / CHUNK - 1;
/// Looks at a row under write before the reader gives its time slice to the writer.
const SPINS: u32 = 128;

/// What is remembered of one digest. All of it is read at once or not at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The first 16 bytes of the digest; forging one takes 2^128 tries per live key.
    pub digest: [u64; 2],
    /// The key's id.
    pub key: u128,
    /// The owner's number in the table of owners.
    pub owner: u32,
    /// The number of the interned access.
    pub access: u32,
    /// The number of the interned bounds (networks, origins, audience).
    pub bounds: u32,
    /// State and kind bits, defined by the keyring.
    pub flags: u32,
    /// The instant of expiry in Unix milliseconds; `i64::MAX` is never, and `i64::MIN` is no
    /// instant but the sign of a vacant row.
    pub expires: i64,
    /// The revision of the key that this row shows.
    pub revision: u32,
}

impl Row {
    /// What a row holds while no key uses it: no digest, and expired before time began.
    pub const VACANT: Self = Self {
        digest: [0; 2],
        key: 0,
        owner: 0,
        access: 0,
        bounds: 0,
        flags: 0,
        expires: i64::MIN,
        revision: 0,
    };

    /// Whether this row is about that digest, in constant time.
    #[inline]
    #[must_use]
    pub fn answers_to(&self, digest: [u64; 2]) -> bool {
        (self.digest[0] ^ digest[0]) | (self.digest[1] ^ digest[1]) == 0
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("key", &format_args!("{:032x}", self.key))
            .field("owner", &self.owner)
            .field("access", &self.access)
            .field("bounds", &self.bounds)
            .field("flags", &self.flags)
            .field("expires", &self.expires)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

/// All rows, numbered; they never move, and a freed one is used again at once.
///
/// Using a freed row at once is safe because a reader never trusts a row for its number: it
/// takes a whole copy and compares the digest (or key id) *in that copy*. A reader that still
/// holds the number of a freed row finds it vacant or about another digest, and answers
/// "unknown", which is true by then. So no epochs and no waiting for readers are needed.
pub struct Rows {
    chunks: Box<[OnceLock<Box<[Slot]>>]>,
    ledger: Mutex<Ledger>,
}

impl Rows {
    /// The most rows: 34 GB of them. Beyond one machine's memory, keys are split over nodes.
    pub const LIMIT: u32 = 1 << 29;

    /// No rows yet; memory is taken as they are allocated.
    #[must_use]
    pub fn new() -> Self {
        Self {
            chunks: (0..CHUNKS).map(|_| OnceLock::new()).collect(),
            ledger: Mutex::default(),
        }
    }

    /// A consistent copy of a row, or `None` for a number that no key uses.
    ///
    /// Waits only if the writer is inside the few stores of this very row.
    #[inline]
    #[must_use]
    pub fn read(&self, number: u32) -> Option<Row> {
        let slot = self.slot(number)?;
        loop {
            for _ in 0..SPINS {
                if let Some(row) = slot.try_read() {
                    return (row.expires != Row::VACANT.expires).then_some(row);
                }
                hint::spin_loop();
            }
            // The writer lost the processor in mid-write; on a busy machine only this helps.
            thread::yield_now();
        }
    }

    /// Asks for a row's cache line without waiting for it.
    ///
    /// A batch touches all its rows first and reads them afterwards, so that the misses overlap.
    #[inline]
    pub fn touch(&self, number: u32) {
        let (chunk, offset) = place(number);
        if let Some(slots) = self.chunks.get(chunk).and_then(OnceLock::get) {
            prefetch_index(slots, offset);
        }
    }

    /// The one writer; others wait until it is dropped.
    #[must_use]
    pub fn writer(&self) -> RowsWriter<'_> {
        RowsWriter {
            rows: self,
            // Nothing in the ledger's methods can panic half-way.
            ledger: self.ledger.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Bytes held for rows, used and free.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter().filter_map(OnceLock::get);
        size_of_val(&*self.chunks) + chunks.map(|chunk| size_of_val(&**chunk)).sum::<usize>()
    }

    #[inline]
    fn slot(&self, number: u32) -> Option<&Slot> {
        let (chunk, offset) = place(number);
        self.chunks.get(chunk)?.get()?.get(offset)
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}

/// The right to change rows; there is one at a time.
pub struct RowsWriter<'a> {
    rows: &'a Rows,
    ledger: MutexGuard<'a, Ledger>,
}

impl RowsWriter<'_> {
    /// Puts a row into a free place and returns its number, which nobody knew before.
    pub fn allocate(&mut self, row: &Row) -> Result<u32, Full> {
        let full = Full { limit: Rows::LIMIT };
        let number = self.ledger.take().ok_or(full)?;
        let (chunk, offset) = place(number);
        let slots = self.rows.chunks[chunk].get_or_init(|| {
            pages::for_keys(number as usize);
            (0..chunk_length(chunk)).map(|_| Slot::vacant()).collect()
        });
        slots[offset].write(row);
        Ok(number)
    }

    /// Replaces a row that is in use; `false` if it is not, and then nothing changes.
    pub fn write(&mut self, number: u32, row: &Row) -> bool {
        let taken = self.ledger.is_taken(number);
        if let Some(slot) = self.rows.slot(number).filter(|_| taken) {
            slot.write(row);
        }
        taken
    }

    /// Empties a row for the next key; `false` if it was not in use.
    ///
    /// Take its entries out of the index first; what is left there is only ballast.
    pub fn free(&mut self, number: u32) -> bool {
        let freed = self.write(number, &Row::VACANT);
        if freed {
            self.ledger.give_back(number);
        }
        freed
    }

    /// One more than the largest number of a row that was ever in use.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.ledger.next
    }

    /// How many rows are in use.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.ledger.next - self.ledger.free.len() as u32
    }
}

/// Which rows are in use. The bits make a second `free` of a row harmless: without them two
/// keys would come to share it.
#[derive(Default)]
struct Ledger {
    next: u32,
    free: Vec<u32>,
    taken: Vec<u64>,
}

impl Ledger {
    fn take(&mut self) -> Option<u32> {
        let number = self.free.pop().or_else(|| {
            let number = self.next;
            (number < Rows::LIMIT).then(|| {
                self.next += 1;
                number
            })
        })?;
        let (word, bit) = bit(number);
        if word == self.taken.len() {
            self.taken.push(0);
        }
        self.taken[word] |= bit;
        Some(number)
    }

    fn give_back(&mut self, number: u32) {
        let (word, bit) = bit(number);
        self.taken[word] &= !bit;
        self.free.push(number);
    }

    fn is_taken(&self, number: u32) -> bool {
        let (word, bit) = bit(number);
        self.taken.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

fn bit(number: u32) -> (usize, u64) {
    ((number / u64::BITS) as usize, 1 << (number % u64::BITS))
}

/// Chunk and offset of a row.
#[inline]
pub(super) fn place(number: u32) -> (usize, usize) {
    if number >= CHUNK {
        let chunk = SMALL_CHUNKS - 1 + number / CHUNK;
        return (chunk as usize, (number % CHUNK) as usize);
    }
    match (number / FIRST_CHUNK).checked_ilog2() {
        None => (0, number as usize),
        Some(octave) => (octave as usize + 1, (number - (FIRST_CHUNK << octave)) as usize),
    }
}

/// Rows of a chunk.
pub(super) fn chunk_length(chunk: usize) -> u32 {
    match chunk {
        0 => FIRST_CHUNK,
        small if small < SMALL_CHUNKS as usize => FIRST_CHUNK << (small - 1),
        _ => CHUNK,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        sync::atomic::{AtomicBool, Ordering},
    };

    use super::*;

    /// A row whose every field says `n`.
    fn pattern(n: u32) -> Row {
        Row {
            digest: [n.into(); 2],
            key: u128::from(n) << 64 | u128::from(n),
            owner: n,
            access: n,
            bounds: n,
            flags: n,
            expires: n.into(),
            revision: n,
        }
    }

    #[test]
    fn numbers_fill_each_chunk_before_the_next_up_to_the_limit() {
        let mut number = 0;
        for chunk in 0..12 {
            let length = chunk_length(chunk);
            assert_eq!(place(number), (chunk, 0));
            assert_eq!(place(number + length - 1), (chunk, length as usize - 1));
            number += length;
        }
        let rows = Rows::new();
        assert_eq!(place(Rows::LIMIT - 1).0, rows.chunks.len() - 1);
        assert_eq!(rows.read(u32::MAX), None);
    }

    #[test]
    fn an_idle_keyring_is_small() {
        let rows = Rows::new();
        rows.writer().allocate(&pattern(1)).expect("room");
        assert!(rows.bytes() < 300_000, "{} bytes", rows.bytes());
    }

    #[test]
    fn a_row_reads_as_last_written_and_not_at_all_once_freed() {
        let rows = Rows::new();
        let mut writer = rows.writer();
        let numbers: Vec<_> = (0..70_000)
            .map(|n| writer.allocate(&pattern(n)).expect("room"))
            .collect();
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
        for (n, number) in numbers.iter().enumerate() {
            assert_eq!(rows.read(*number), Some(pattern(n as u32)));
        }
        assert!(writer.write(numbers[69_999], &pattern(5)));
        assert_eq!(rows.read(numbers[69_999]), Some(pattern(5)));
        assert!(writer.free(numbers[69_999]));
        assert_eq!(rows.read(numbers[69_999]), None);
        assert_eq!(writer.in_use(), 69_999);
    }

    #[test]
    fn a_row_freed_twice_is_given_to_one_key_only() {
        let rows = Rows::new();
        let mut writer = rows.writer();
        let number = writer.allocate(&pattern(1)).expect("room");
        assert!(writer.free(number));
        assert!(!writer.free(number));
        assert!(!writer.write(number, &pattern(2)), "a free row was written");
        assert_eq!(rows.read(number), None);
        let first = writer.allocate(&pattern(3)).expect("room");
        let second = writer.allocate(&pattern(4)).expect("room");
        assert_ne!(first, second);
        assert!(!writer.free(999), "a row that never was");
    }

    #[test]
    fn a_row_used_again_does_not_answer_to_the_digest_it_held_before() {
        let rows = Rows::new();
        let mut writer = rows.writer();
        let old = pattern(1);
        let number = writer.allocate(&old).expect("room");
        writer.free(number);
        assert_eq!(writer.allocate(&pattern(2)), Ok(number), "not used again");
        let row = rows.read(number).expect("in use");
        assert!(!row.answers_to(old.digest));
        assert!(row.answers_to([2, 2]));
        assert!(!row.answers_to([2, 3]) && !row.answers_to([3, 2]));
    }

    #[test]
    fn readers_never_see_half_of_a_write_nor_an_older_row_after_a_newer_one() {
        const WRITES: u32 = 200_000;
        let rows = Rows::new();
        let number = rows.writer().allocate(&pattern(1)).expect("room");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let readers = [0, 1].map(|_| {
                scope.spawn(|| {
                    let mut newest = 0;
                    while !done.load(Ordering::Relaxed) {
                        let row = rows.read(number).expect("in use");
                        assert!(row == pattern(row.revision), "half a write: {row:?}");
                        assert!(row.revision >= newest, "went back to {}", row.revision);
                        newest = row.revision;
                    }
                    newest
                })
            });
            let mut writer = rows.writer();
            for n in 2..=WRITES {
                writer.write(number, &pattern(n));
            }
            done.store(true, Ordering::Relaxed);
            for reader in readers {
                assert!(reader.join().expect("a reader saw only whole rows") <= WRITES);
            }
        });
        assert_eq!(rows.read(number), Some(pattern(WRITES)));
    }

    #[test]
    fn a_printed_row_shows_no_digest() {
        let mut row = pattern(1);
        row.digest = [0xdead_beef_dead_beef, 3_735_928_559];
        let printed = format!("{row:?}").to_lowercase();
        assert!(
            !printed.contains("dead") && !printed.contains("3735928559"),
            "{printed}"
        );
    }
}
