//! From a 64-bit hash to row numbers in about one cache miss, without a lock for readers.

use std::{
    array, iter,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
            fence,
        },
    },
};

use arc_swap::{ArcSwap, Guard};
use prefetch_index::prefetch_index;

/// Entries of one line: eight words are one cache line.
const SLOTS: usize = 8;
/// The smallest index: half a kilobyte.
const FEWEST_LINES: usize = 8;
/// Growth begins when this share of the slots is taken; it is over before 80 %.
const GROW_AT_PERCENT: usize = 78;
/// Rebuilding also begins at this share of set marks; about so many look-ups of unknown hashes
/// read a second line. It takes removals to get there: 78 % of entries alone set 8 % of the marks.
const REBUILD_AT_PERCENT_MARKED: usize = 25;
/// How full a rebuilt index is: from 78 % it has grown to 1.25 times the lines.
const REBUILT_PERCENT: usize = 63;
/// How full an index is that was made for a known number of entries.
const LOADED_PERCENT: usize = 70;
/// Empty lines that one insert adds to an index under construction (16 KiB).
const CLEARED_PER_INSERT: usize = 256;
/// Lines that one insert copies: about a hundred entries, some microseconds.
const COPIED_PER_INSERT: usize = 16;

/// In a slot's word: entries whose fingerprint chooses this slot had to pass this line by.
const PASSED: u64 = 1 << 31;
/// In a slot's word: the row number.
const ROW: u64 = PASSED - 1;

/// An index from hashes to row numbers.
///
/// A slot is one word, fingerprint above row number, so one store publishes an entry and no
/// reader can pair the fingerprint of one key with the row of another. An entry lives in the
/// line that its hash names or, if that was full, in the next with room. Each line it passed by
/// is marked, one of eight marks by fingerprint, and a look-up goes on only past a line that has
/// its mark; so a miss costs one line, however full the index is, and a removed entry simply
/// leaves an empty slot. Marks stay until the next rebuild, which comes when they are too many.
///
/// The index never stops to grow: each insert moves a few lines to the larger array that is
/// being built beside it, and the last one swaps the two. Readers go on in the old one meanwhile.
pub struct Lines {
    published: ArcSwap<Array>,
    state: Mutex<State>,
}

impl Lines {
    /// Row numbers in the index are smaller than this.
    pub const ROW_LIMIT: u32 = ROW as u32 + 1;

    /// An index that holds `entries` before it has to grow.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        let array = Arc::new(Array::empty(lines_for(entries, LOADED_PERCENT)));
        Self {
            published: ArcSwap::new(Arc::clone(&array)),
            state: Mutex::new(State {
                current: Counted::new(array),
                growth: Growth::Resting,
                retired: Vec::new(),
            }),
        }
    }

    /// Makes an empty index so large that it holds `entries` before it has to grow. One with entries stays as it is.
    pub fn make_room(&self, entries: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.current.entries == 0 {
            let array = Arc::new(Array::empty(lines_for(entries, LOADED_PERCENT)));
            self.published.store(Arc::clone(&array));
            state.current = Counted::new(array);
            state.growth = Growth::Resting;
        }
    }

    /// The index as it is now. Entries added later may be missing from it, so use it for one
    /// request (a batch takes it once) and drop it.
    #[must_use]
    pub fn now(&self) -> Now {
        self.published.load()
    }

    /// The one writer; others wait until it is dropped.
    ///
    /// `hash_of` tells the hash of a row that is in the index and is asked when lines are copied.
    /// Entries of which it knows nothing, or another hash, belong to no key any more and are not
    /// copied.
    pub fn writer<F: Fn(u32) -> Option<u64>>(&self, hash_of: F) -> LinesWriter<'_, F> {
        LinesWriter {
            published: &self.published,
            // `hash_of` may panic, but is asked before anything is changed.
            state: self.state.lock().unwrap_or_else(PoisonError::into_inner),
            hash_of,
        }
    }

    /// Size and condition of the index, by a walk over all of it: for diagnosis, not per request.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Counted { array, entries, marks } = &state.current;
        let lines = array.lines.len();
        let looks = |home: usize, slot: usize| {
            let marked = |step: usize| array.lines[(home + step) % lines].is_marked(slot);
            1 + (0..lines).take_while(|step| marked(*step)).count()
        };
        let (total, longest) = (0..lines * SLOTS)
            .map(|place| looks(place / SLOTS, place % SLOTS))
            .fold((0, 0), |(total, longest), looks| (total + looks, longest.max(looks)));
        let building = match &state.growth {
            Growth::Resting => 0,
            Growth::Clearing { lines, .. } => lines.len(),
            Growth::Copying { next, .. } => next.array.lines.len(),
        };
        Shape {
            lines,
            entries: *entries,
            marks: *marks,
            mean_miss: total as f64 / (lines * SLOTS) as f64,
            longest_miss: longest,
            bytes: (lines + building) * size_of::<Line>(),
        }
    }
}

/// The index at one moment, in one reader's hand.
pub type Now = Guard<Arc<Array>>;

/// The index at one moment.
pub struct Array {
    lines: Vec<Line>,
}

impl Array {
    /// What `confirm` makes of the first row under this hash that it accepts.
    ///
    /// `confirm` gets the rows with the right fingerprint: mostly one, and for an unknown key one
    /// in half a billion. It must compare the full digest or id in its copy of the row.
    #[inline]
    pub fn lookup<R>(&self, hash: u64, mut confirm: impl FnMut(u32) -> Option<R>) -> Option<R> {
        let sought = fingerprint(hash);
        let mut at = self.home(hash);
        for _ in 0..self.lines.len() {
            let line = &self.lines[at];
            let mut candidates = line.candidates(sought);
            if candidates != 0 {
                // The row was written before its number was put here.
                fence(Acquire);
            }
            while candidates != 0 {
                let word = line.slots[candidates.trailing_zeros() as usize].load(Relaxed);
                if let Some(found) = confirm((word & ROW) as u32) {
                    return Some(found);
                }
                candidates &= candidates - 1;
            }
            if !line.is_marked(mark(hash)) {
                break;
            }
            at = if at + 1 == self.lines.len() { 0 } else { at + 1 };
        }
        None
    }

    /// Asks for the line of this hash without waiting for it, so that the misses of a batch overlap.
    #[inline]
    pub fn touch(&self, hash: u64) {
        prefetch_index(&self.lines, self.home(hash));
    }

    fn empty(lines: usize) -> Self {
        Self {
            lines: (0..lines).map(|_| Line::default()).collect(),
        }
    }

    /// Multiply-shift: any number of lines will do, and neighbours in the hash stay neighbours.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.lines.len() as u128) >> 64) as usize
    }

    /// Each line once, from the home of the hash on.
    fn probe(&self, hash: u64) -> impl Iterator<Item = (usize, &Line)> {
        let (before, after) = self.lines.split_at(self.home(hash));
        iter::zip(before.len().., after).chain(iter::zip(0.., before))
    }
}

/// The right to change the index; there is one at a time.
pub struct LinesWriter<'a, F> {
    published: &'a ArcSwap<Array>,
    state: MutexGuard<'a, State>,
    hash_of: F,
}

impl<F: Fn(u32) -> Option<u64>> LinesWriter<'_, F> {
    /// Adds an entry. The row must be written already: readers can find it from here on.
    ///
    /// # Panics
    /// If the row number is not below [`Lines::ROW_LIMIT`], which no row of `Rows` can be.
    pub fn insert(&mut self, hash: u64, row: u32) {
        assert!(row < Lines::ROW_LIMIT, "no such row: {row}");
        self.advance();
        let state = &mut *self.state;
        let line = state.current.insert(hash, row);
        match &mut state.growth {
            // The line was copied before it got this entry.
            Growth::Copying { next, copied } if line < *copied => {
                next.insert(hash, row);
            }
            Growth::Resting if state.current.is_due() => {
                let wanted = lines_for(state.current.entries, REBUILT_PERCENT);
                let lines = Vec::with_capacity(wanted);
                state.growth = Growth::Clearing { lines, wanted };
            }
            _ => {}
        }
    }

    /// Takes an entry out; `false` if it was not there.
    pub fn remove(&mut self, hash: u64, row: u32) -> bool {
        let state = &mut *self.state;
        let line = state.current.remove(hash, row);
        if let Growth::Copying { next, copied } = &mut state.growth
            && line.is_some_and(|line| line < *copied)
        {
            next.remove(hash, row);
        }
        line.is_some()
    }

    /// Finishes growth that is under way, so that only one array stays in memory. For quiet
    /// moments, such as after a load.
    pub fn settle(&mut self) {
        while !matches!(self.state.growth, Growth::Resting) {
            self.advance();
        }
        self.state.retired.retain(is_read);
    }

    /// Does one insert's share of growing.
    fn advance(&mut self) {
        let state = &mut *self.state;
        state.retired.retain(is_read);
        match &mut state.growth {
            Growth::Resting => {}
            Growth::Clearing { lines, wanted } => {
                let length = (lines.len() + CLEARED_PER_INSERT).min(*wanted);
                lines.resize_with(length, Line::default);
                if length == *wanted {
                    let lines = std::mem::take(lines);
                    let next = Counted::new(Arc::new(Array { lines }));
                    state.growth = Growth::Copying { next, copied: 0 };
                }
            }
            Growth::Copying { next, copied } => {
                let lines = &state.current.array.lines[*copied..];
                for line in lines.iter().take(COPIED_PER_INSERT) {
                    for (hash, row) in line.entries(&self.hash_of).into_iter().flatten() {
                        next.insert(hash, row);
                    }
                    *copied += 1;
                }
                if *copied == state.current.array.lines.len() {
                    self.publish();
                }
            }
        }
    }

    fn publish(&mut self) {
        let state = &mut *self.state;
        if let Growth::Copying { next, .. } = std::mem::replace(&mut state.growth, Growth::Resting) {
            state.current = next;
            let old = self.published.swap(Arc::clone(&state.current.array));
            // Giving a hundred megabytes back takes milliseconds. That is not a reader's work, so
            // the writer keeps the old array until no reader has it.
            state.retired.push(old);
            state.retired.retain(is_read);
        }
    }
}

/// What [`Lines::shape`] tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Lines in use; each has eight slots and eight marks.
    pub lines: usize,
    /// Live entries.
    pub entries: usize,
    /// Marks that send look-ups on to the next line.
    pub marks: usize,
    /// Lines that a look-up of an unknown hash reads, on average.
    pub mean_miss: f64,
    /// Lines that the unluckiest look-up reads.
    pub longest_miss: usize,
    /// Bytes of all lines, with those of an array under construction.
    pub bytes: usize,
}

/// Spreads key ids over an index. Ids carry their time of birth in their upper half, and whoever
/// may import keys may choose ids, so the spread depends on two random words of this process.
#[derive(Clone, Copy)]
pub struct KeyHash {
    random: [u64; 2],
}

impl KeyHash {
    /// A spread that nobody outside can foresee, if `random` is random.
    #[must_use]
    pub fn new(random: [u64; 2]) -> Self {
        Self { random }
    }

    /// The hash of a key id.
    #[inline]
    #[must_use]
    pub fn of(&self, key: u128) -> u64 {
        let [a, b] = self.random;
        let mixed = folded((key >> 64) as u64 ^ a, key as u64 ^ b);
        folded(mixed ^ b, 0x9e37_79b9_7f4a_7c15)
    }
}

struct State {
    current: Counted,
    growth: Growth,
    /// Former arrays that some reader was still in when they were replaced.
    retired: Vec<Arc<Array>>,
}

enum Growth {
    Resting,
    /// Lines are made empty a few at a time, since even zeroing takes a while.
    Clearing {
        lines: Vec<Line>,
        wanted: usize,
    },
    /// The first `copied` lines of the current array are in `next`, and changes to them go to both.
    Copying {
        next: Counted,
        copied: usize,
    },
}

/// An array with its writer's counts.
struct Counted {
    array: Arc<Array>,
    entries: usize,
    marks: usize,
}

impl Counted {
    fn new(array: Arc<Array>) -> Self {
        Self {
            array,
            entries: 0,
            marks: 0,
        }
    }

    /// Adds an entry and returns its line.
    fn insert(&mut self, hash: u64, row: u32) -> usize {
        for (at, line) in self.array.probe(hash) {
            if let Some(slot) = line.position(0) {
                line.fill(slot, fingerprint(hash) << 32 | u64::from(row));
                self.entries += 1;
                return at;
            }
            self.marks += usize::from(!line.is_marked(mark(hash)));
            line.mark(mark(hash));
        }
        unreachable!("an index grows before its last slot is taken")
    }

    /// Takes an entry out and returns the line in which it was.
    fn remove(&mut self, hash: u64, row: u32) -> Option<usize> {
        let sought = fingerprint(hash) << 32 | u64::from(row);
        for (at, line) in self.array.probe(hash) {
            if let Some(slot) = line.position(sought) {
                line.fill(slot, 0);
                self.entries -= 1;
                return Some(at);
            }
            if !line.is_marked(mark(hash)) {
                break;
            }
        }
        None
    }

    fn is_due(&self) -> bool {
        let slots = self.array.lines.len() * SLOTS;
        self.entries * 100 > slots * GROW_AT_PERCENT || self.marks * 100 > slots * REBUILD_AT_PERCENT_MARKED
    }
}

/// Eight entries, fingerprint << 32 | row (0 if empty), and in each word one of the eight marks.
#[derive(Default)]
#[repr(align(64))]
struct Line {
    slots: [AtomicU64; SLOTS],
}

impl Line {
    /// A bit for each slot with this fingerprint. Without a branch in it, so that a processor
    /// can run ahead to the next look-up while this line is on its way.
    #[inline]
    fn candidates(&self, fingerprint: u64) -> u32 {
        let bit = |slot: usize| u32::from(self.slots[slot].load(Relaxed) >> 32 == fingerprint) << slot;
        (0..SLOTS).fold(0, |bits, slot| bits | bit(slot))
    }

    #[inline]
    fn is_marked(&self, slot: usize) -> bool {
        self.slots[slot].load(Relaxed) & PASSED != 0
    }

    /// Marks are set before the entry that made them is published, so whoever can know of the
    /// entry finds the way to it.
    fn mark(&self, slot: usize) {
        let word = self.slots[slot].load(Relaxed);
        self.slots[slot].store(word | PASSED, Release);
    }

    fn fill(&self, slot: usize, entry: u64) {
        let marked = self.slots[slot].load(Relaxed) & PASSED;
        self.slots[slot].store(entry | marked, Release);
    }

    fn position(&self, entry: u64) -> Option<usize> {
        self.slots.iter().position(|slot| slot.load(Relaxed) & !PASSED == entry)
    }

    /// Hash and row of each entry that still is its row's.
    fn entries(&self, hash_of: impl Fn(u32) -> Option<u64>) -> [Option<(u64, u32)>; SLOTS] {
        array::from_fn(|slot| {
            let word = self.slots[slot].load(Relaxed);
            let row = (word & ROW) as u32;
            let hash = (word >> 32 != 0).then(|| hash_of(row)).flatten()?;
            (fingerprint(hash) == word >> 32).then_some((hash, row))
        })
    }
}

/// The lower half of a hash (the upper one chose the line), but never the 0 of an empty slot.
#[inline]
fn fingerprint(hash: u64) -> u64 {
    (hash & 0xffff_ffff).max(1)
}

/// Which of a line's marks is this hash's.
#[inline]
fn mark(hash: u64) -> usize {
    hash as usize % SLOTS
}

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

fn lines_for(entries: usize, percent: usize) -> usize {
    (entries * 100).div_ceil(SLOTS * percent).max(FEWEST_LINES)
}

fn is_read(array: &Arc<Array>) -> bool {
    Arc::strong_count(array) > 1
}

#[cfg(test)]
mod tests;
