//! Crowds: many commits at once, gapless numbers, and each conflict its own affair.

use futures_util::future::join_all;
use keyholt_core::audit::Noun;
use keyholt_core::found::{FirstOperator, found_keyholt, set_up};
use keyholt_core::id::SYSTEM;
use keyholt_core::secret::Fingerprint;
use keyholt_core::text::{ExternalId, Name};

use super::commits::all_events;
use super::world::World;
use crate::{CommitError, EventNumber, Limit, RecordQuery, Store};

/// How many commit at once.
const CROWD: usize = 64;

/// Every number is given once, the feed has them in order, and each stands beside the event of its own commit.
pub async fn numbers_have_no_gaps_however_many_commit_at_once(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let users: Vec<_> = (0..CROWD).map(|n| world.user(acme, &format!("u{n}"))).collect();
    let given = join_all(users.iter().map(|user| store.commit(vec![world.enrolment(user)]))).await;

    let mut numbers = Vec::new();
    for (user, given) in users.iter().zip(given) {
        let number = given.expect("a new user")[0];
        numbers.push((number, user.id()));
    }
    numbers.sort_unstable();
    let expected: Vec<EventNumber> = (4..).take(CROWD).map(EventNumber).collect();
    assert_eq!(numbers.iter().map(|(number, _)| *number).collect::<Vec<_>>(), expected);
    let feed = store.feed(EventNumber(3), Limit::LARGEST).await.expect("a read");
    let fed: Vec<_> = feed.iter().map(|entry| (entry.number, entry.touched[0].id)).collect();
    assert_eq!(fed, numbers);
    let mut trail = store.events(acme, &all_events()).await.expect("a read").entries;
    trail.reverse();
    let told: Vec<_> = trail
        .iter()
        .map(|event| (event.number, event.event.target.id.expect("a user")))
        .collect();
    assert_eq!(told, numbers);
}

/// Of those who want the same handle one gets it; the others in the crowd do not notice.
pub async fn one_conflict_in_a_crowd_fails_alone(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let rivals: Vec<_> = (0..CROWD / 2).map(|_| world.user(acme, "ada")).collect();
    let others: Vec<_> = (0..CROWD / 2).map(|n| world.user(acme, &format!("u{n}"))).collect();
    let mixed = rivals.iter().zip(&others).flat_map(|(rival, other)| [rival, other]);
    let answers = join_all(mixed.map(|user| store.commit(vec![world.enrolment(user)]))).await;

    let (rivals, others): (Vec<_>, Vec<_>) = answers.chunks(2).map(|pair| (&pair[0], &pair[1])).unzip();
    assert_eq!(rivals.iter().filter(|answer| answer.is_ok()).count(), 1);
    let taken =
        |answer: &&&Result<_, CommitError>| matches!(answer, Err(CommitError::HandleTaken { noun: Noun::User }));
    assert_eq!(rivals.iter().filter(taken).count(), CROWD / 2 - 1);
    assert!(others.iter().all(|answer| answer.is_ok()), "{others:?}");
    let query = RecordQuery {
        handle_prefix: None,
        after: None,
        limit: Limit::LARGEST,
    };
    let users = store.records(acme, Noun::User, &query).await.expect("a read").entries;
    assert_eq!(users.len(), CROWD / 2 + 1);
    let feed = store.feed(EventNumber(0), Limit::LARGEST).await.expect("a read");
    assert!(
        feed.iter().map(|entry| entry.number.0).eq(1..=feed.len() as u64),
        "a failed commit leaves no gap"
    );
}

/// Fifty who hold the set-up token make one operator.
pub async fn of_many_set_ups_at_once_one_wins(store: &dyn Store) {
    let (mut world, founding) = World::new(1);
    drop(founding);
    let token = Fingerprint::of(b"the set-up token");
    let source = world.operator.source.clone();
    let keyholt = found_keyholt(&token, &world.pepper, source.clone(), world.now, &mut world.dice).expect("a founding");
    let find = |noun| {
        keyholt
            .changes()
            .iter()
            .map(keyholt_core::commit::Change::record)
            .find(move |r| r.noun() == noun)
    };
    let (Some(keyholt_core::commit::Record::Setup(setup)), Some(keyholt_core::commit::Record::Project(system))) =
        (find(Noun::Setup), find(Noun::Project))
    else {
        unreachable!("Keyholt is founded with a set-up and its own project")
    };
    let (setup, system) = (setup.clone(), system.clone());
    world.commit(store, keyholt).await.expect("an empty store");

    let mut attempts = Vec::new();
    for n in 0..50 {
        let who = FirstOperator {
            name: Name::new("Operator").expect("a name"),
            external_id: ExternalId::new(&format!("op{n}")).expect("an external id"),
            email: None,
        };
        let (pepper, now) = (&world.pepper, world.now);
        let attempt = set_up(
            &setup,
            &token,
            who,
            &system,
            pepper,
            source.clone(),
            now,
            &mut world.dice,
        );
        attempts.push(world.sealed(attempt.expect("the right token").1));
    }
    let answers = join_all(attempts.into_iter().map(|attempt| store.commit(vec![attempt]))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let late = |answer: &&Result<_, CommitError>| matches!(answer, Err(CommitError::Stale { noun: Noun::Setup }));
    assert_eq!(answers.iter().filter(late).count(), 49, "{answers:?}");
    let query = RecordQuery {
        handle_prefix: None,
        after: None,
        limit: Limit::LARGEST,
    };
    assert_eq!(
        store
            .records(SYSTEM, Noun::User, &query)
            .await
            .expect("a read")
            .entries
            .len(),
        1
    );
}
