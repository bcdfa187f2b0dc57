//! Measures the keyring's memory: nanoseconds per look-up and bytes per key, for a number of
//! keys given as the argument (10000, 1000000, 10000000, …).

#![expect(clippy::disallowed_macros, reason = "a measurement prints its result")]

use std::{env, fs, hint::black_box, time::Duration, time::Instant};

use keyholt_server::keyring::{
    lines::{Array, KeyHash, Lines},
    rows::{Row, Rows},
};

const LOOKUPS: u32 = 4_000_000;
const BATCH: u32 = 100;
/// What the numbers are held against at ten million keys.
const TARGETS: &str = "targets at 10M: hit 140 ns, miss 75 ns, 90 bytes per key";

fn main() {
    let keys: u32 = match env::args().nth(1).map(|keys| keys.parse()) {
        None => 1_000_000,
        Some(Ok(keys)) if keys > 0 => keys,
        Some(_) => {
            eprintln!("usage: keyring_index [number of keys]");
            std::process::exit(2);
        }
    };
    let before = resident();
    let (ring, longest) = Ring::filled(keys);
    let grown = resident() - before;
    println!("{keys} keys; {TARGETS}");
    println!("  longest single create {longest:.1?}");
    let bytes = ring.rows.bytes() + ring.digests.shape().bytes + ring.keys.shape().bytes;
    println!(
        "  {:.1} bytes per key, {:.1} resident",
        per(bytes, keys),
        per(grown, keys)
    );
    println!("  by digest {:?}", ring.digests.shape());

    time("making a digest", || {
        (0..LOOKUPS).map(|n| digest(pick(n, keys))[0] & 1).sum()
    });
    let hits = || {
        let mut reader = ring.digests.reader();
        count(|n| ring.by_digest(reader.now(), digest(pick(n, keys))).is_some())
    };
    let misses = || {
        let mut reader = ring.digests.reader();
        count(|n| ring.by_digest(reader.now(), digest(keys + n)).is_some())
    };
    let ids = || {
        let mut reader = ring.keys.reader();
        count(|n| ring.by_key(reader.now(), key(pick(n, keys))).is_some())
    };
    time("hit by digest", hits);
    time("miss by digest", misses);
    time("hit by key id", ids);
    time("hit by digest, without a reader", || {
        count(|n| ring.by_digest(&ring.digests.now(), digest(pick(n, keys))).is_some())
    });
    time("miss by digest, without a reader", || {
        count(|n| ring.by_digest(&ring.digests.now(), digest(keys + n)).is_some())
    });
    time("hit, batch of 100", || ring.batches(keys, Early::Nothing));
    time("hit, batch, lines touched early", || ring.batches(keys, Early::Lines));
    time("hit, batch, lines and rows touched", || {
        ring.batches(keys, Early::LinesAndRows)
    });
    println!("two readers at once:");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| time("hit by digest", hits));
        }
    });
}

/// Rows with both indexes, as the keyring holds them.
struct Ring {
    rows: Rows,
    digests: Lines,
    keys: Lines,
    hash: KeyHash,
}

#[derive(Clone, Copy)]
enum Early {
    Nothing,
    Lines,
    LinesAndRows,
}

impl Ring {
    /// A ring that grew key by key, and the longest time that one key took.
    fn filled(keys: u32) -> (Self, Duration) {
        let ring = Self {
            rows: Rows::new(),
            digests: Lines::with_capacity(0),
            keys: Lines::with_capacity(0),
            hash: KeyHash::new([digest(u32::MAX)[0], digest(u32::MAX)[1]]),
        };
        let mut longest = Duration::ZERO;
        {
            let mut rows = ring.rows.writer();
            let mut digests = ring.digests.writer(|n| Some(ring.rows.read(n)?.digest[0]));
            let mut ids = ring.keys.writer(|n| Some(ring.hash.of(ring.rows.read(n)?.key)));
            for n in 0..keys {
                let row = Row {
                    digest: digest(n),
                    key: key(n),
                    owner: n / 5,
                    expires: i64::MAX,
                    ..Row::VACANT
                };
                let start = Instant::now();
                let number = rows.allocate(&row).expect("fewer keys than rows");
                digests.insert(row.digest[0], number);
                ids.insert(ring.hash.of(row.key), number);
                longest = longest.max(start.elapsed());
            }
            digests.settle();
            ids.settle();
        }
        (ring, longest)
    }

    #[inline]
    fn by_digest(&self, index: &Array, digest: [u64; 2]) -> Option<Row> {
        index.lookup(digest[0], |n| self.rows.read(n).filter(|row| row.answers_to(digest)))
    }

    #[inline]
    fn by_key(&self, index: &Array, key: u128) -> Option<Row> {
        index.lookup(self.hash.of(key), |n| self.rows.read(n).filter(|row| row.key == key))
    }

    fn batches(&self, keys: u32, early: Early) -> u64 {
        let mut hits = 0;
        for first in (0..LOOKUPS).step_by(BATCH as usize) {
            let index = self.digests.now();
            let wanted: [[u64; 2]; BATCH as usize] = std::array::from_fn(|at| digest(pick(first + at as u32, keys)));
            if !matches!(early, Early::Nothing) {
                wanted.iter().for_each(|digest| index.touch(digest[0]));
            }
            if matches!(early, Early::LinesAndRows) {
                for digest in &wanted {
                    index.lookup(digest[0], |n| {
                        self.rows.touch(n);
                        Some(())
                    });
                }
            }
            for digest in wanted {
                hits += u64::from(self.by_digest(&index, digest).is_some());
            }
        }
        hits
    }
}

fn time(what: &str, work: impl Fn() -> u64) {
    let best = (0..3).map(|_| {
        let start = Instant::now();
        let hits = black_box(work());
        (start.elapsed(), hits)
    });
    let (took, hits) = best.min().expect("three rounds");
    let each = took.as_nanos() as f64 / f64::from(LOOKUPS);
    println!(
        "  {what:36} {each:7.1} ns  ({:.0} % found)",
        per(100 * hits as usize, LOOKUPS)
    );
}

#[inline]
fn count(mut found: impl FnMut(u32) -> bool) -> u64 {
    (0..LOOKUPS).map(|n| u64::from(found(n))).sum()
}

/// A key to look for, in no order.
fn pick(n: u32, keys: u32) -> u32 {
    let chance = scramble(u64::from(n) ^ 0x5555_0000_0000) >> 32;
    ((chance * u64::from(keys)) >> 32) as u32
}

fn digest(n: u32) -> [u64; 2] {
    let first = scramble(n.into());
    [first, first.rotate_left(17).wrapping_mul(0x9e37_79b9_7f4a_7c15)]
}

/// Ids as they are born: time above, chance below.
fn key(n: u32) -> u128 {
    let time = 0x0190_0000_0000_7000 + (u128::from(n / 1_000) << 16);
    time << 64 | u128::from(scramble(!u64::from(n)))
}

fn scramble(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn per(amount: usize, keys: u32) -> f64 {
    amount as f64 / f64::from(keys)
}

/// Resident bytes of this process, or 0 where the system does not tell.
fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
