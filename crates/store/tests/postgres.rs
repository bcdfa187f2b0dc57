//! PostgreSQL: what several nodes on one database may rely on. Needs a server; `make test` starts one.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use keyholt_core::audit::Noun;
use keyholt_core::bond::Bond;
use keyholt_core::commit::Record;
use keyholt_core::id::KeyId;
use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_core::secret::Fingerprint;
use keyholt_store::{
    ANSWER_WITHIN, CommitError, EventNumber, EventQuery, KeyQuery, Limit, Loaded, Owners, Postgres, RecordQuery, Store,
    StoreError,
};
use support::database::Database;
use support::world::{Seeded, World};
use tokio::time::Instant;

keyholt_store::contract!(contract, Database::with_node());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_walk_meets_every_key_that_stays_once() {
    let (node, database) = Database::with_node().await;
    let multiply = async |key: KeyId, others: Vec<KeyId>| {
        let others: Vec<_> = others.into_iter().map(KeyId::uuid).collect();
        let again = "INSERT INTO keys SELECT (jsonb_populate_record(k, \
                     jsonb_build_object('id', other, 'current', sha256(other::text::bytea)))).* \
                     FROM keys k, unnest($2::uuid[]) AS other WHERE k.id = $1";
        let rows = database.plain().await.execute(again, &[&key.uuid(), &others]).await;
        assert_eq!(rows.expect("a hundred thousand rows"), 100_000);
    };
    keyholt_store::contract::keys::a_long_walk_meets_every_key_that_stays_once(&node, multiply).await;
    node.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_on_an_empty_database_all_succeed() {
    let database = Database::make().await;
    let starts = (0..8).map(|seed| {
        let url = database.url.clone();
        tokio::spawn(async move {
            let node = Postgres::connect(&url, &mut Seeded::new(seed)).await?;
            node.rebind(None, Bond::to([9; 32])).await
        })
    });
    let bound = join_all(starts).await.into_iter().map(|start| start.unwrap().unwrap());
    let first = bound.filter(|first| *first).count();
    assert_eq!(first, 1, "one node binds the store, the others find it bound");
    let node = database.node().await;
    assert_eq!(node.bond().await.unwrap(), Some(Bond::to([9; 32])));
    assert!(!node.rebind(Some(Bond::to([8; 32])), Bond::to([8; 32])).await.unwrap());
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone() {
    let database = Database::make().await;
    database.node().await.close().await;
    let plain = database.plain().await;
    plain
        .batch_execute("UPDATE meta SET value = '7001' WHERE name = 'schema'")
        .await
        .unwrap();
    let refused = Postgres::connect(&database.url, &mut Seeded::new(1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::TooNew { found: 7001, .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_never_sees_a_number_before_all_smaller_ones() {
    const COMMITTERS: u64 = 12;
    const EACH: usize = 40;
    let database = Database::make().await;
    let nodes = [Arc::new(database.node().await), Arc::new(database.node().await)];
    let follower = database.node().await;
    let committers = (0..COMMITTERS).map(|seed| {
        let node = Arc::clone(&nodes[usize::try_from(seed % 2).unwrap()]);
        tokio::spawn(async move {
            let mut world = World::new(seed);
            let owner = world.somebody();
            let mut numbers = Vec::new();
            for place in 0..EACH {
                let (_, write) = world.issue(owner, &format!("key {place}"));
                numbers.extend(node.commit(vec![write]).await.unwrap());
            }
            numbers
        })
    });
    let committers = tokio::spawn(join_all(committers));
    let mut seen = EventNumber(0);
    while !committers.is_finished() || seen.0 < COMMITTERS * EACH as u64 {
        for entry in follower.feed(seen, Limit::LARGEST).await.unwrap() {
            assert_eq!(entry.number.0, seen.0 + 1, "the feed has a gap");
            seen = entry.number;
        }
    }
    let mut given: Vec<u64> = Vec::new();
    for numbers in committers.await.unwrap() {
        let numbers: Vec<u64> = numbers.unwrap().into_iter().map(|number| number.0).collect();
        assert!(
            numbers.is_sorted(),
            "one after the other means one number after the other"
        );
        given.extend(numbers);
    }
    given.sort_unstable();
    assert_eq!(given, (1..=COMMITTERS * EACH as u64).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_on_keys_holds_however_many_nodes_create_at_once() {
    let database = Database::make().await;
    let nodes = [database.node().await, database.node().await];
    let mut world = World::new(1);
    world.project.policy.keys_per_owner = 10;
    let (owner, other) = (world.somebody(), world.somebody());
    let writes: Vec<_> = (0..80)
        .map(|place| {
            let owner = if place % 8 == 0 { other } else { owner };
            (place, world.issue(owner, &format!("key {place}")).1)
        })
        .collect();
    let outcomes = join_all(
        writes
            .into_iter()
            .map(|(place, write)| nodes[place % 2].commit(vec![write])),
    )
    .await;
    let refused = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(CommitError::TooManyKeys)))
        .count();
    let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!((done, refused), (20, 60), "ten for each of the two owners");

    // What is revoked counts no longer.
    let held = keys_of(&nodes[0], &world, owner).await;
    let (_, revoking) = world.revoke(&held[0]);
    nodes[0].commit(vec![revoking]).await.unwrap();
    nodes[1].commit(vec![world.issue(owner, "one more").1]).await.unwrap();
    let too_many = nodes[0].commit(vec![world.issue(owner, "two more").1]).await;
    assert!(matches!(too_many, Err(CommitError::TooManyKeys)), "{too_many:?}");
}

async fn keys_of(node: &Postgres, world: &World, owner: Owner) -> Vec<keyholt_core::key::Key> {
    let query = KeyQuery {
        owners: Owners::These(vec![owner]),
        limit: Limit::LARGEST,
        ..KeyQuery::default()
    };
    let page = node.keys(world.project.id, &query).await.unwrap();
    page.entries.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_commits_based_on_the_same_revision_one_wins() {
    let database = Database::make().await;
    let nodes = [database.node().await, database.node().await];
    let mut world = World::new(1);
    let (user, enrolment) = world.enrol("ada");
    nodes[0].commit(vec![enrolment]).await.unwrap();
    let outcomes = join_all((0..50).map(|place| {
        let (_, write) = world.suspend(&user);
        nodes[place % 2].commit(vec![write])
    }))
    .await;
    let stale = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Err(CommitError::Stale { noun: Noun::User })))
        .count();
    assert_eq!(
        (outcomes.iter().filter(|outcome| outcome.is_ok()).count(), stale),
        (1, 49)
    );
    let feed = nodes[1].feed(EventNumber(0), Limit::LARGEST).await.unwrap();
    assert_eq!(feed.len(), 2, "a commit that came to nothing leaves no event");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_cannot_be_does_not_hurt_those_written_together_with_it() {
    let database = Database::make().await;
    let node = database.node().await;
    let mut world = World::new(1);
    let owner = world.somebody();
    let taken = Fingerprint::of(b"a secret that two keys want to have");
    node.commit(vec![world.import(owner, Kind::Standard, "first", taken).1])
        .await
        .unwrap();
    node.commit(vec![world.enrol("ada").1]).await.unwrap();
    let (bob, enrolment) = world.enrol("bob");
    node.commit(vec![enrolment]).await.unwrap();
    let statics = world.somebody();
    let fresh = |world: &mut World, place: usize| world.issue(owner, &format!("key {place}")).1;
    let writes: Vec<_> = (0..64)
        .map(|place| match place {
            10 => world.import(owner, Kind::Standard, "second", taken).1,
            20 => world.enrol("ada").1,
            30 | 35 => world.suspend(&bob).1,
            40 | 50 => {
                world
                    .import(statics, Kind::Static, "static", Fingerprint::of(&[place]))
                    .1
            }
            _ => fresh(&mut world, usize::from(place)),
        })
        .collect();
    let outcomes = join_all(writes.into_iter().map(|write| node.commit(vec![write]))).await;
    assert!(
        matches!(outcomes[10], Err(CommitError::SecretTaken)),
        "{:?}",
        outcomes[10]
    );
    assert!(
        matches!(outcomes[20], Err(CommitError::HandleTaken { noun: Noun::User })),
        "{:?}",
        outcomes[20]
    );
    for (one, other) in [(30, 35), (40, 50)] {
        let done = [one, other]
            .into_iter()
            .filter(|place| outcomes[*place].is_ok())
            .count();
        assert_eq!(done, 1, "{:?} and {:?}", outcomes[one], outcomes[other]);
    }
    let refused: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| Some(outcome.as_ref().err()?.to_string()))
        .collect();
    assert_eq!(refused.len(), 4, "{refused:?}");
}

#[tokio::test]
async fn commits_in_one_transaction_are_all_written_or_none() {
    let database = Database::make().await;
    let node = database.node().await;
    let mut world = World::new(1);
    let (ada, enrolment) = world.enrol("ada");
    let (suspended, suspension) = world.suspend(&ada);
    let numbers = node.commit(vec![enrolment, suspension]).await.unwrap();
    assert_eq!(
        numbers,
        [EventNumber(1), EventNumber(2)],
        "the second builds on the first"
    );
    let stored = node
        .record(world.project.id, Noun::User, ada.id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.revision, suspended.revision());

    let (bob, enrolment) = world.enrol("bob");
    let refused = node.commit(vec![enrolment, world.suspend(&ada).1]).await;
    assert!(
        matches!(refused, Err(CommitError::Stale { noun: Noun::User })),
        "{refused:?}"
    );
    assert!(
        node.record(world.project.id, Noun::User, bob.id())
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(node.commit(Vec::new()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_loaded_is_what_the_feed_told_up_to_its_number() {
    let database = Database::make().await;
    let node = Arc::new(database.node().await);
    let busy = Arc::clone(&node);
    let committer = tokio::spawn(async move {
        let mut world = World::new(1);
        let owner = world.somebody();
        for place in 0..300 {
            let (_, write) = world.issue(owner, &format!("key {place}"));
            busy.commit(vec![write]).await.unwrap();
        }
    });
    let mut loads = 0;
    while !committer.is_finished() || loads == 0 {
        let mut keys = 0;
        let number = node
            .load(&mut |loaded| keys += u64::from(matches!(loaded, Loaded::Key(..))))
            .await
            .unwrap();
        // Each commit so far made one key.
        assert_eq!(keys, number.0, "the number and the rows are of one instant");
        loads += 1;
    }
    committer.await.unwrap();
}

#[tokio::test]
async fn keys_and_records_come_back_with_seals_that_hold() {
    let database = Database::make().await;
    let node = database.node().await;
    let mut world = World::new(1);
    let founding = world.sealed(world.founding.clone());
    let (ada, enrolment) = world.enrol("ada");
    let owner = world.somebody();
    let (key, issuing) = world.issue(owner, "deploy");
    node.commit(vec![founding, enrolment, issuing]).await.unwrap();
    let (read, seal) = node.key(world.project.id, key.id).await.unwrap().unwrap();
    assert!(read.row(&read.at_rest()).is_sealed_by(&world.sealer, &seal));
    assert_eq!(read.about, key.about);
    let mut nouns = Vec::new();
    node.load(&mut |loaded| match loaded {
        Loaded::Ahead(_) => {}
        Loaded::Record(stored) => {
            nouns.push(stored.noun);
            let record = stored.open(&world.sealer).unwrap();
            if let Record::User(user) = record {
                assert_eq!(user.id.uuid(), ada.id());
            }
        }
        Loaded::Key(row, seal) => {
            nouns.push(Noun::Key);
            assert!(row.is_sealed_by(&world.sealer, &seal));
        }
    })
    .await
    .unwrap();
    let place = |noun: &Noun| Noun::ALL.iter().position(|known| known == noun);
    assert!(nouns.is_sorted_by_key(place), "{nouns:?}");
    assert_eq!(nouns.len(), 1 + 4 + 1 + 1);
}

#[tokio::test]
async fn a_text_that_postgresql_cannot_hold_finds_nothing() {
    let database = Database::make().await;
    let node = database.node().await;
    let project = World::new(1).project.id;
    assert!(
        node.record_by_handle(project, Noun::User, "a\0b")
            .await
            .unwrap()
            .is_none()
    );
    let records = RecordQuery {
        handle_prefix: Some("a\0".to_owned()),
        after: None,
        limit: Limit::DEFAULT,
    };
    assert!(
        node.records(project, Noun::User, &records)
            .await
            .unwrap()
            .entries
            .is_empty()
    );
    for action in ["key\0", "key\0.*"] {
        let events = EventQuery {
            action: Some(action.to_owned()),
            target: None,
            actor: None,
            owner: None,
            refused: None,
            since: None,
            until: None,
            after: None,
            limit: Limit::DEFAULT,
        };
        assert!(node.events(project, &events).await.unwrap().entries.is_empty());
    }
    let keys = KeyQuery {
        text: Some("a\0b".to_owned()),
        ..KeyQuery::default()
    };
    assert!(node.keys(project, &keys).await.unwrap().entries.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_longer_than_agreed_behind_a_lock_that_is_not_given_back() {
    let database = Database::make().await;
    let node = database.node().await;
    let mut world = World::new(1);
    let owner = world.somebody();
    let holder = database.plain().await;
    holder
        .batch_execute("BEGIN; SELECT number FROM feed_head FOR UPDATE")
        .await
        .unwrap();
    let started = Instant::now();
    let writes: Vec<_> = (0..40)
        .map(|place| world.issue(owner, &format!("key {place}")).1)
        .collect();
    for outcome in join_all(writes.into_iter().map(|write| node.commit(vec![write]))).await {
        assert!(
            matches!(outcome, Err(CommitError::Store(StoreError::Unavailable(_)))),
            "{outcome:?}"
        );
    }
    assert!(started.elapsed() <= ANSWER_WITHIN, "{:?}", started.elapsed());
    holder.batch_execute("ROLLBACK").await.unwrap();
    let number = soon(|| node.commit(vec![world.issue(owner, "afterwards").1])).await;
    assert_eq!(number, [EventNumber(1)], "nothing of the others was written");
}

/// Tries until it works, within the time in which a store must be itself again.
async fn soon<T, F: Future<Output = Result<T, CommitError>>>(mut attempt: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < deadline, "still: {error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_store_that_was_closed_wrote_what_was_queued_and_takes_no_more() {
    let database = Database::make().await;
    let node = Arc::new(database.node().await);
    let mut world = World::new(1);
    let owner = world.somebody();
    let writes: Vec<_> = (0..20)
        .map(|place| world.issue(owner, &format!("key {place}")).1)
        .collect();
    let mut queued = join_all(writes.into_iter().map(|write| node.commit(vec![write])));
    // Polled once, all of them are in the queue.
    assert!(futures_util::poll!(&mut queued).is_pending());
    node.close().await;
    let numbers: BTreeSet<u64> = queued.await.into_iter().map(|outcome| outcome.unwrap()[0].0).collect();
    assert_eq!(numbers.len(), 20);
    assert!(matches!(
        node.commit(vec![world.issue(owner, "late").1]).await,
        Err(CommitError::Store(StoreError::Unavailable(_)))
    ));
    assert!(node.ping().await.is_err());
}
