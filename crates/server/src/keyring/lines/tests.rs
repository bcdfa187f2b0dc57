//! The index against a plain map, under growth, under storms of removals and under readers.

use std::{
    cell::Cell,
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use proptest::prelude::*;

use super::{
    super::rows::{Row, Rows},
    *,
};

/// A well-spread hash of a small number (splitmix64).
fn spread(n: u32) -> u64 {
    let mut z = u64::from(n).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Rows that are their own content: row `n` has the hash `spread(n)`.
fn writer(lines: &Lines) -> LinesWriter<'_, impl Fn(u32) -> Option<u64>> {
    lines.writer(|row| Some(spread(row)))
}

fn finds(lines: &Lines, row: u32) -> bool {
    lines
        .now()
        .lookup(spread(row), |found| (found == row).then_some(()))
        .is_some()
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Remove(u16),
    Look(u16),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..900_u16).prop_map(Step::Insert),
        3 => (0..900_u16).prop_map(Step::Remove),
        3 => (0..900_u16).prop_map(Step::Look),
        1 => Just(Step::Settle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_history_leaves_what_a_plain_map_would_hold(
        steps in prop::collection::vec(step(), 0..2_500),
        // Few homes and few fingerprints: full lines, long probes, look-alikes.
        (homes, prints) in prop_oneof![Just((u64::MAX, u64::MAX)), Just((3, 2)), Just((40, 5))],
    ) {
        let hash = |n: u16| {
            let spread = spread(n.into());
            (((spread >> 32) % homes) << 58) | ((spread & 0xffff_ffff) % prints)
        };
        let lines = Lines::with_capacity(0);
        let mut writer = lines.writer(|row| Some(hash(row as u16)));
        let mut map = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(n) => {
                    map.entry(n).or_insert_with(|| writer.insert(hash(n), n.into()));
                }
                Step::Remove(n) => {
                    prop_assert_eq!(writer.remove(hash(n), n.into()), map.remove(&n).is_some());
                }
                Step::Look(n) => {
                    let found = lines.now().lookup(hash(n), |row| (row == u32::from(n)).then_some(()));
                    prop_assert_eq!(found.is_some(), map.contains_key(&n));
                }
                Step::Settle => writer.settle(),
            }
        }
        drop(writer);
        prop_assert_eq!(lines.shape().entries, map.len());
        for n in 0..900 {
            let mut found = 0;
            let _: Option<()> = lines.now().lookup(hash(n), |row| {
                found += u32::from(row == u32::from(n));
                None
            });
            prop_assert_eq!(found, u32::from(map.contains_key(&n)), "entry {}", n);
        }
    }
}

#[test]
fn the_index_grows_by_a_quarter_and_is_never_fuller_than_four_fifths() {
    let lines = Lines::with_capacity(0);
    let mut sizes = vec![lines.published.load().lines.len()];
    for row in 0..300_000 {
        let mut writer = writer(&lines);
        writer.insert(spread(row), row);
        let Counted { array, entries, .. } = &writer.state.current;
        let size = array.lines.len();
        assert!(
            size < 100 || *entries * 10 <= size * SLOTS * 8,
            "{entries} entries in {size} lines"
        );
        if sizes.last() != Some(&size) {
            sizes.push(size);
        }
    }
    assert!(sizes.len() > 30, "{sizes:?}");
    for pair in sizes.windows(2).filter(|pair| pair[0] > 1_000) {
        let factor = pair[1] as f64 / pair[0] as f64;
        assert!((1.2..1.3).contains(&factor), "{pair:?}");
    }
    assert!((0..300_000).all(|row| finds(&lines, row)));
    assert!((300_000..400_000).all(|row| !finds(&lines, row)));
}

#[test]
fn no_single_insert_does_the_work_of_a_whole_rebuild() {
    let lines = Lines::with_capacity(0);
    let asked = Cell::new(0);
    let mut writer = lines.writer(|row| {
        asked.set(asked.get() + 1);
        Some(spread(row))
    });
    for row in 0..200_000 {
        asked.set(0);
        writer.insert(spread(row), row);
        assert!(asked.get() <= COPIED_PER_INSERT * SLOTS, "{} rows copied", asked.get());
    }
}

#[test]
fn an_index_made_for_a_number_of_entries_does_not_grow_up_to_it() {
    let lines = Lines::with_capacity(50_000);
    let before = lines.shape().lines;
    let mut writer = writer(&lines);
    (0..50_000).for_each(|row| writer.insert(spread(row), row));
    drop(writer);
    assert_eq!(lines.shape().lines, before);
    assert_eq!(lines.shape().bytes, before * 64);
}

#[test]
fn readers_find_every_entry_at_every_moment_of_growth() {
    const ENTRIES: u32 = 200_000;
    let lines = Lines::with_capacity(0);
    let known = AtomicU32::new(0);
    thread::scope(|scope| {
        let readers = [1_u32, 2].map(|seed| {
            let (lines, known) = (&lines, &known);
            scope.spawn(move || {
                let mut looks = seed;
                loop {
                    let count = known.load(Ordering::Acquire);
                    if count == ENTRIES {
                        return;
                    }
                    looks = looks.wrapping_add(1);
                    if let Some(row) = (spread(looks) as u32).checked_rem(count) {
                        assert!(finds(lines, row), "missed {row} of {count}");
                        let newest = lines
                            .now()
                            .lookup(spread(count - 1), |row| (row == count - 1).then_some(()));
                        assert!(newest.is_some(), "missed the newest, {count}");
                    }
                }
            })
        });
        for row in 0..ENTRIES {
            writer(&lines).insert(spread(row), row);
            known.store(row + 1, Ordering::Release);
        }
        readers
            .into_iter()
            .for_each(|reader| reader.join().expect("a reader missed nothing"));
    });
}

#[test]
fn readers_find_the_stayers_while_others_come_and_go() {
    const STAYERS: u32 = 2_000;
    let lines = Lines::with_capacity(0);
    let mut writer = writer(&lines);
    (0..STAYERS).for_each(|row| writer.insert(spread(row), row));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = [0, 1].map(|_| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let missed = (0..STAYERS).find(|row| !finds(&lines, *row));
                    assert_eq!(missed, None);
                }
            })
        });
        for visit in 0..300_000 {
            let row = STAYERS + visit;
            writer.insert(spread(row), row);
            if visit >= 1_000 {
                assert!(writer.remove(spread(row - 1_000), row - 1_000));
            }
        }
        done.store(true, Ordering::Relaxed);
        readers
            .into_iter()
            .for_each(|reader| reader.join().expect("a reader missed nothing"));
    });
}

#[test]
fn a_storm_of_removals_leaves_short_lookups_and_gives_memory_back() {
    const LIVE: u32 = 20_000;
    let lines = Lines::with_capacity(0);
    let mut row = 0;
    for storm in 0..40 {
        let mut writer = writer(&lines);
        for _ in 0..LIVE {
            writer.insert(spread(row), row);
            if row >= LIVE {
                assert!(writer.remove(spread(row - LIVE), row - LIVE));
            }
            row += 1;
        }
        drop(writer);
        let shape = lines.shape();
        assert!(shape.mean_miss < 1.6, "storm {storm}: {shape:?}");
        assert!(shape.longest_miss < 32, "storm {storm}: {shape:?}");
        assert!(shape.lines * SLOTS < 2 * LIVE as usize, "storm {storm}: {shape:?}");
    }
    let mut writer = writer(&lines);
    ((row - LIVE)..row).for_each(|row| assert!(writer.remove(spread(row), row)));
    drop(writer);
    assert_eq!(lines.shape().entries, 0);
    let mut writer = self::writer(&lines);
    for visit in row..row + LIVE {
        writer.insert(spread(visit), visit);
        assert!(writer.remove(spread(visit), visit));
    }
    writer.settle();
    drop(writer);
    assert!(lines.shape().mean_miss < 1.5, "{:?}", lines.shape());
}

#[test]
fn entries_of_rows_that_went_or_changed_hands_do_not_survive_a_rebuild() {
    let lines = Lines::with_capacity(0);
    let known = |row: u32| match row {
        0 => None,
        1 => Some(spread(1) ^ 1),
        _ => Some(spread(row)),
    };
    let mut writer = lines.writer(known);
    (0..100).for_each(|row| writer.insert(spread(row), row));
    writer.settle();
    drop(writer);
    assert_eq!(lines.shape().entries, 98);
    assert!(!finds(&lines, 0) && !finds(&lines, 1) && finds(&lines, 2));
}

#[test]
fn a_panic_while_copying_loses_no_entry() {
    let lines = Lines::with_capacity(0);
    let mut last = 0;
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut writer = lines.writer(|_| panic!("the row cannot be read"));
        loop {
            writer.insert(spread(last), last);
            last += 1;
        }
    }));
    assert!(panicked.is_err() && last > 40);
    let mut writer = writer(&lines);
    (last..1_000).for_each(|row| writer.insert(spread(row), row));
    assert!((0..1_000).all(|row| finds(&lines, row)));
}

#[test]
fn an_old_view_goes_on_and_its_array_is_freed_by_the_writer_once_it_is_dropped() {
    let lines = Lines::with_capacity(0);
    writer(&lines).insert(spread(0), 0);
    let view = lines.now();
    let mut writer = writer(&lines);
    (1..1_000).for_each(|row| writer.insert(spread(row), row));
    assert_eq!(view.lookup(spread(0), Some), Some(0));
    assert_eq!(writer.state.retired.len(), 1);
    drop(view);
    writer.settle();
    assert!(writer.state.retired.is_empty());
}

#[test]
fn a_row_used_again_never_answers_for_the_digest_it_held_before() {
    const KEYS: u32 = 64;
    let row_of = |generation: u32, n: u32| Row {
        // All generations of a row share a hash, so that only the rest of the digest can differ.
        digest: [spread(n), generation.into()],
        key: n.into(),
        revision: generation,
        expires: i64::MAX,
        ..Row::VACANT
    };
    let (rows, lines) = (Rows::new(), Lines::with_capacity(0));
    let look = |digest: [u64; 2]| {
        lines.now().lookup(digest[0], |number| {
            rows.read(number).filter(|row| row.answers_to(digest))
        })
    };
    let oldest = AtomicU32::new(0);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for n in 0..KEYS {
                    let ended = oldest.load(Ordering::Acquire);
                    if let Some(generation) = ended.checked_sub(1) {
                        let row = look(row_of(generation, n).digest);
                        assert!(row.is_none(), "{n} of {generation} after {ended}: {row:?}");
                    }
                    if let Some(row) = look(row_of(ended, n).digest) {
                        assert!(row == row_of(ended, n));
                    }
                }
            }
        });
        let mut rows_writer = rows.writer();
        let mut lines_writer = lines.writer(|number| rows.read(number).map(|row| row.digest[0]));
        for generation in 0..1_000 {
            let numbers: Vec<_> = (0..KEYS)
                .map(|n| {
                    let row = row_of(generation, n);
                    let number = rows_writer.allocate(&row).expect("room");
                    lines_writer.insert(row.digest[0], number);
                    assert!(look(row.digest) == Some(row));
                    number
                })
                .collect();
            assert!(numbers.iter().all(|number| *number < KEYS), "rows are not used again");
            for (n, number) in (0..KEYS).zip(numbers) {
                assert!(lines_writer.remove(spread(n), number));
                assert!(rows_writer.free(number));
                assert!(look(row_of(generation, n).digest).is_none());
            }
            oldest.store(generation + 1, Ordering::Release);
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("no old digest was answered");
    });
}

#[test]
fn ids_born_one_after_the_other_are_spread_as_well_as_random_ones() {
    let hash = KeyHash::new([0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210]);
    let id = |row: u32| (0x0190_0000_0000_7000_8000_0000_0000_0000 + u128::from(row)) ^ (u128::from(row / 7) << 80);
    let lines = Lines::with_capacity(0);
    let mut writer = lines.writer(|row| Some(hash.of(id(row))));
    (0..100_000).for_each(|row| writer.insert(hash.of(id(row)), row));
    drop(writer);
    let shape = lines.shape();
    assert!(shape.mean_miss < 1.25 && shape.longest_miss < 16, "{shape:?}");
    let other = KeyHash::new([1, 2]);
    assert_ne!(hash.of(id(1)), other.of(id(1)), "the random words do not count");
}
