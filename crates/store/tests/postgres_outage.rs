//! PostgreSQL gone, frozen and back: nobody hangs, nobody is told a wrong thing, and the store is itself again soon.

#[expect(dead_code, reason = "this test program uses a part of it")]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use keyholt_core::id::KeyId;
use keyholt_core::owner::Owner;
use keyholt_rig::postgres::Server;
use keyholt_store::{ANSWER_WITHIN, CommitError, EventNumber, Limit, Loaded, Postgres, Store, StoreError};
use support::database::Database;
use support::world::World;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

/// How soon after its server a store must be back.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// What a busy machine may add to an agreed time.
const TOLERANCE: Duration = Duration::from_millis(500);

/// How a commit of one key ended, as its caller was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    Written,
    NotWritten,
    Uncertain,
}

/// Committers that do not stop at errors, and keep book of what they were told.
struct Committers {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Book>>,
}

#[derive(Default)]
struct Book {
    told: BTreeMap<KeyId, Told>,
    longest: Duration,
}

impl Committers {
    fn start(node: &Arc<Postgres>, count: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = (0..count)
            .map(|seed| tokio::spawn(commit_until(Arc::clone(node), seed, Arc::clone(&stop))))
            .collect();
        Self { stop, tasks }
    }

    async fn stop(self) -> Book {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Book::default();
        for book in join_all(self.tasks).await {
            let book = book.unwrap();
            all.told.extend(book.told);
            all.longest = all.longest.max(book.longest);
        }
        all
    }
}

async fn commit_until(node: Arc<Postgres>, seed: u64, stop: Arc<AtomicBool>) -> Book {
    let mut world = World::new(seed);
    // Nobody's limit shall be reached.
    world.project.policy.keys_per_owner = u32::MAX;
    let owner = world.somebody();
    let mut book = Book::default();
    while !stop.load(Ordering::Relaxed) {
        let (key, write) = world.issue(owner, "key");
        let started = Instant::now();
        let told = match node.commit(vec![write]).await {
            Ok(_) => Told::Written,
            Err(CommitError::Store(StoreError::Unavailable(_))) => Told::NotWritten,
            Err(CommitError::Uncertain(_)) => Told::Uncertain,
            Err(other) => panic!("{other}"),
        };
        book.longest = book.longest.max(started.elapsed());
        book.told.insert(key.id, told);
        if told != Told::Written {
            // So that an outage does not fill the book with the same line.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    book
}

impl Book {
    fn count(&self, wanted: Told) -> usize {
        self.told.values().filter(|told| **told == wanted).count()
    }

    /// Compares what the callers were told with what is there, and the feed with both.
    async fn check(&self, node: &Postgres) {
        let mut there = BTreeSet::new();
        let number = node
            .load(&mut |loaded| {
                if let Loaded::Key(row, _) = loaded {
                    there.insert(row.id);
                }
            })
            .await
            .unwrap();
        for (key, told) in &self.told {
            match told {
                Told::Written => assert!(there.contains(key), "an acknowledged key is gone"),
                Told::NotWritten => assert!(!there.contains(key), "a key that was said not to be written is there"),
                Told::Uncertain => {}
            }
        }
        assert_eq!(number.0, there.len() as u64, "one event for each key that is there");
        let mut followed = EventNumber(0);
        loop {
            let entries = node.feed(followed, Limit::LARGEST).await.unwrap();
            let Some(last) = entries.last() else { break };
            assert_eq!(last.number.0 - followed.0, entries.len() as u64, "the feed has a gap");
            followed = last.number;
        }
        assert_eq!(followed, number);
    }
}

/// Waits until a commit and a read work, and tells how long that took.
async fn back(node: &Postgres) -> Duration {
    let started = Instant::now();
    let mut world = World::new(1_000);
    let owner = world.somebody();
    loop {
        let (key, write) = world.issue(owner, "probe");
        if node.commit(vec![write]).await.is_ok() && matches!(node.key(world.project.id, key.id).await, Ok(Some(_))) {
            return started.elapsed();
        }
        assert!(started.elapsed() < BACK_WITHIN * 5, "the store does not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Commits until everybody of them was told something new, so that what is tested is under way.
async fn until_written(node: &Postgres, commits: u64) {
    while node
        .feed(EventNumber(commits - 1), Limit::LARGEST)
        .await
        .unwrap()
        .is_empty()
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loses_nothing_that_was_acknowledged_and_the_store_is_back_soon() {
    let server = spawn_blocking(Server::start).await.unwrap();
    let database = Database::make_on(&server.url()).await;
    let node = Arc::new(database.node().await);
    let committers = Committers::start(&node, 16);
    let mut slowest_return = Duration::ZERO;
    let mut written = 0;
    for _ in 0..3 {
        written += 200;
        until_written(&node, written).await;
        let server = &server;
        tokio::task::block_in_place(|| server.crash());

        let mut world = World::new(2_000);
        let owner = world.somebody();
        // The connections break with the server, so the first answers are told by that and the next ones at once.
        assert_fails_within(&node, &mut world, owner, Duration::from_secs(1)).await;
        assert_fails_within(&node, &mut world, owner, TOLERANCE).await;

        tokio::task::block_in_place(|| server.restart());
        slowest_return = slowest_return.max(back(&node).await);
        written = node.load(&mut |_| ()).await.unwrap().0;
    }
    let book = committers.stop().await;
    assert!(slowest_return <= BACK_WITHIN, "{slowest_return:?}");
    assert!(book.longest <= ANSWER_WITHIN + TOLERANCE, "{:?}", book.longest);
    assert!(book.count(Told::Written) > 600 && book.count(Told::NotWritten) > 0);
    // The probes wrote keys too, which the books do not know: they are counted with what is there.
    book.check(&node).await;
}

async fn assert_fails_within(node: &Postgres, world: &mut World, owner: Owner, within: Duration) {
    let started = Instant::now();
    let (_, write) = world.issue(owner, "key");
    assert!(node.commit(vec![write]).await.is_err());
    assert!(node.feed(EventNumber(0), Limit::DEFAULT).await.is_err());
    assert!(node.ping().await.is_err());
    assert!(started.elapsed() <= within, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let server = spawn_blocking(Server::start).await.unwrap();
    let database = Database::make_on(&server.url()).await;
    let node = Arc::new(database.node().await);
    let committers = Committers::start(&node, 16);
    until_written(&node, 100).await;
    tokio::task::block_in_place(|| server.freeze());

    let started = Instant::now();
    let mut world = World::new(3_000);
    let owner = world.somebody();
    let (_, write) = world.issue(owner, "key");
    let usage = keyholt_store::UsageDelta {
        key: KeyId::from_uuid(world.project.id.uuid()),
        hour: 1,
        outcome: keyholt_store::UseOutcome::Granted,
        count: 1,
        first_at: support::world::NOW,
        at: support::world::NOW,
        address: None,
    };
    let mut ignored = |_: Loaded<'_>| ();
    let (commit, feed, noted, loaded) = tokio::join!(
        node.commit(vec![write]),
        node.feed(EventNumber(0), Limit::DEFAULT),
        node.note_usage(std::slice::from_ref(&usage)),
        node.load(&mut ignored),
    );
    assert!(commit.is_err());
    assert!(matches!(feed, Err(StoreError::Unavailable(_))), "{feed:?}");
    assert!(matches!(noted, Err(StoreError::Unavailable(_))), "{noted:?}");
    assert!(matches!(loaded, Err(StoreError::Unavailable(_))), "{loaded:?}");
    assert!(
        started.elapsed() <= ANSWER_WITHIN + TOLERANCE,
        "{:?}",
        started.elapsed()
    );

    // Now that it is known to be silent, nobody waits at all.
    let again = Instant::now();
    assert!(node.commit(vec![world.issue(owner, "key").1]).await.is_err());
    assert!(again.elapsed() <= TOLERANCE, "{:?}", again.elapsed());

    tokio::task::block_in_place(|| server.thaw());
    let returned = back(&node).await;
    let book = committers.stop().await;
    assert!(returned <= BACK_WITHIN, "{returned:?}");
    assert!(book.longest <= ANSWER_WITHIN + TOLERANCE, "{:?}", book.longest);
    book.check(&node).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once() {
    let port = {
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        free.local_addr().unwrap().port()
    };
    let started = Instant::now();
    let url = format!("postgres://keyholt:hush@127.0.0.1:{port}/keyholt");
    let refused = Postgres::connect(&url, &mut support::world::Seeded::new(1))
        .await
        .unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(!format!("{refused} {refused:?}").contains("hush"));
    assert!(started.elapsed() <= Duration::from_secs(4));
}
