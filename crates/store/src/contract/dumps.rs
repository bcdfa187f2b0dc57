//! Dumps: one engine's content in another, whole or not at all.

use keyholt_core::bond::Bond;
use keyholt_core::id::KeyId;

use super::history::play;
use super::usage::uses;
use super::world::World;
use crate::{CommitError, DUMP_FORMAT, DumpLine, EventNumber, Limit, Loaded, Memory, Store, StoreError, UseOutcome};

/// Everything in a store as texts, in an order of their own: two stores with the same content have the same.
pub async fn dump_of(store: &dyn Store) -> Vec<String> {
    let mut lines = Vec::new();
    let write = |line: &DumpLine| serde_json::to_string(line).expect("a line is written");
    store.dump(&mut |line| lines.push(write(&line))).await.expect("a dump");
    lines.sort_unstable();
    lines
}

/// All lines of a dump.
pub async fn lines_of(store: &dyn Store) -> Vec<DumpLine> {
    let mut lines = Vec::new();
    store.dump(&mut |line| lines.push(line)).await.expect("a dump");
    lines
}

async fn load_of(store: &dyn Store) -> (EventNumber, Vec<String>) {
    let mut found = Vec::new();
    let head = store
        .load(&mut |loaded| {
            found.extend(match loaded {
                // What is expected is no part of what is there.
                Loaded::Ahead(_) => None,
                Loaded::Record(record) => Some(format!("{record:?} {:?}", record.seal.as_bytes())),
                Loaded::Key(row, seal) => {
                    let digests = (
                        row.current.as_bytes(),
                        row.retiring.as_ref().map(|digest| digest.as_bytes()),
                    );
                    Some(format!("{row:?} {digests:?} {:?}", seal.as_bytes()))
                }
            });
        })
        .await
        .expect("a load");
    found.sort_unstable();
    (head, found)
}

/// Memory is dumped into the engine and the engine into memory; loads, feeds and dumps stay the same.
pub async fn a_dump_fills_another_store(store: &dyn Store) {
    let (source, back) = (Memory::new(), Memory::new());
    play(&source, None, 77, 400).await;
    source.rebind(None, Bond::to([5; 32])).await.expect("a new store");
    for (from, to) in [(&source as &dyn Store, store), (store, &back as &dyn Store)] {
        let lines = lines_of(from).await;
        assert!(matches!(
            lines.first(),
            Some(DumpLine::Begin {
                format: DUMP_FORMAT,
                ..
            })
        ));
        assert!(matches!(lines.last(), Some(DumpLine::End { .. })));
        for chunk in lines.chunks(100) {
            // As a backup would: through text.
            let read = |line| serde_json::from_str(&serde_json::to_string(line).expect("written")).expect("read");
            to.fill(chunk.iter().map(read).collect()).await.expect("the next lines");
        }
        assert_eq!(load_of(to).await, load_of(from).await);
        assert_eq!(dump_of(to).await, dump_of(from).await);
        let feeds = [from, to].map(|store| store.feed(EventNumber(0), Limit::LARGEST));
        let [left, right] = feeds;
        assert_eq!(left.await.expect("a read"), right.await.expect("a read"));
        assert_eq!(to.bond().await.expect("a whole store"), Some(Bond::to([5; 32])));
    }
    // What was filled goes on like what was written.
    let (mut world, _) = World::new(78);
    let user = world.user(world.acme.id, "newcomer");
    let head = load_of(store).await.0;
    let numbers = store.commit(vec![world.enrolment(&user)]).await.expect("a new user");
    assert_eq!(numbers, [EventNumber(head.0 + 1)]);
    let again = store.commit(vec![world.enrolment(&user)]).await;
    assert!(
        matches!(again, Err(CommitError::Stale { .. } | CommitError::HandleTaken { .. })),
        "{again:?}"
    );
}

/// Nothing is ever filled into what is there.
pub async fn a_store_is_filled_only_when_it_is_empty(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let record = world.user(world.acme.id, "ada");
    let (_, owner) = world.enrolled(store, record).await;
    let key = world.key(store, world.wish(owner, "used")).await;
    store
        .note_usage(&[uses(key.id, UseOutcome::Granted, 2, world.now, None)])
        .await
        .expect("usage is noted");
    let before = dump_of(store).await;
    let lines = lines_of(store).await;
    for refused in [lines.clone(), lines[1..].to_vec(), lines[..1].to_vec()] {
        let filled = store.fill(refused).await;
        assert!(matches!(filled, Err(StoreError::NotEmpty)), "{filled:?}");
    }
    assert_eq!(dump_of(store).await, before);
}

/// Until the last line is written the store cannot be bound; a call that fails writes nothing.
pub async fn a_part_of_a_dump_is_not_a_store(store: &dyn Store) {
    let source = Memory::new();
    World::founded(&source).await;
    source.rebind(None, Bond::to([5; 32])).await.expect("a new store");
    let lines = lines_of(&source).await;
    let (last, first) = lines.split_last().expect("a dump has lines");

    let newer = DumpLine::Begin {
        format: DUMP_FORMAT + 1,
        bond: None,
    };
    let filled = store.fill(vec![newer]).await;
    assert!(matches!(filled, Err(StoreError::TooNew { .. })), "{filled:?}");
    store.fill(first.to_vec()).await.expect("all but the last line");
    assert!(matches!(store.bond().await, Err(StoreError::HalfFilled)));
    let bound = store.rebind(None, Bond::to([5; 32])).await;
    assert!(matches!(bound, Err(StoreError::HalfFilled)), "{bound:?}");
    let missing = DumpLine::End {
        head: EventNumber(3),
        lines: 99,
    };
    let filled = store.fill(vec![missing]).await;
    assert!(matches!(filled, Err(StoreError::Corrupt(_))), "{filled:?}");
    let stray = DumpLine::Hour {
        key: KeyId::from_uuid(uuid::Uuid::from_u128(1)),
        hour: 1,
        outcome: UseOutcome::Granted,
        count: 1,
    };
    let filled = store.fill(vec![stray, first[0].clone()]).await;
    assert!(matches!(filled, Err(StoreError::NotEmpty)), "{filled:?}");
    store
        .fill(vec![last.clone()])
        .await
        .expect("what failed was not counted");
    assert_eq!(store.bond().await.expect("a whole store"), Some(Bond::to([5; 32])));
    assert_eq!(dump_of(store).await, dump_of(&source).await);
}
