//! The audit trail: filters, spans of time, pages.

use keyholt_core::actor::{Permit, WriteKeys};
use keyholt_core::audit::Noun;
use keyholt_core::id::{KeyId, SYSTEM};
use keyholt_core::owner::Owner;
use keyholt_core::revoke::revoke;
use keyholt_core::time::Moment;
use uuid::Uuid;

use super::commits::all_events;
use super::world::{World, cause};
use crate::{EventQuery, Limit, Refused, Store};

async fn numbers(store: &dyn Store, world: &World, query: EventQuery) -> Vec<u64> {
    let page = store.events(world.acme.id, &query).await.expect("a read");
    page.entries.iter().map(|event| event.number.0).collect()
}

/// Each filter finds what it names, alone and with others, newest first, in its own project.
pub async fn each_filter_finds_its_events(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let (ada, bob) = (world.user(acme, "ada"), world.user(acme, "bob"));
    let (ada_record, ada) = world.enrolled(store, ada).await; // 4
    let (_, bob) = world.enrolled(store, bob).await; // 5
    let key = world.key(store, world.wish(ada, "of ada")).await; // 6
    world.key(store, world.wish(bob, "of bob")).await; // 7
    world
        .commit(store, world.refusal(acme, "key.rotate"))
        .await
        .expect("a refusal"); // 8
    let (_, revocation) = revoke(&world.leave(acme), &key, cause("lost"), world.now).expect("a live key");
    world.commit(store, revocation).await.expect("a revocation"); // 9
    let somebody = KeyId::from_uuid(Uuid::from_u128(5));
    world.operator.key = somebody;
    let (_, change) = world.replacement(&ada_record, ada_record.clone());
    store.commit(vec![change]).await.expect("a change"); // 10
    world
        .commit(store, world.refusal(world.globex.id, "key.rotate"))
        .await
        .expect("a refusal"); // 11, elsewhere

    let action = |action: &str| EventQuery {
        action: Some(action.to_owned()),
        ..all_events()
    };
    let of = |noun, id| EventQuery {
        target: Some((noun, id)),
        ..all_events()
    };
    let owner = |owner: Owner| EventQuery {
        owner: Some(owner),
        ..all_events()
    };
    let refused = |refused| EventQuery {
        refused: Some(refused),
        ..all_events()
    };
    let actor = |key| EventQuery {
        actor: Some(key),
        ..all_events()
    };
    let operator = world.operator.owner;
    for (query, expected) in [
        (all_events(), vec![10, 9, 8, 7, 6, 5, 4]),
        (action("key.issue"), vec![7, 6]),
        (action("key.*"), vec![9, 8, 7, 6]),
        (action("user.*"), vec![10, 5, 4]),
        (action("ke.*"), vec![]),
        (action("key"), vec![]),
        (action("nothing.*"), vec![]),
        (of(Noun::Key, key.id.uuid()), vec![9, 6]),
        (of(Noun::User, key.id.uuid()), vec![]),
        (owner(ada), vec![10, 9, 6, 4]),
        (owner(bob), vec![7, 5]),
        (owner(operator), vec![8]),
        (refused(Refused::Only), vec![8]),
        (refused(Refused::Not), vec![10, 9, 7, 6, 5, 4]),
        (actor(somebody), vec![10]),
        (actor(KeyId::from_uuid(Uuid::from_u128(6))), vec![]),
        (
            EventQuery {
                refused: Some(Refused::Not),
                ..action("key.*")
            },
            vec![9, 7, 6],
        ),
        (
            EventQuery {
                owner: Some(ada),
                ..action("key.*")
            },
            vec![9, 6],
        ),
        (
            EventQuery {
                target: Some((Noun::Key, key.id.uuid())),
                ..owner(bob)
            },
            vec![],
        ),
    ] {
        let told = format!("{query:?}");
        assert_eq!(numbers(store, &world, query).await, expected, "{told}");
    }
    let system = store.events(SYSTEM, &all_events()).await.expect("a read").entries;
    assert_eq!(system.iter().map(|event| event.number.0).collect::<Vec<_>>(), [3, 2, 1]);
}

/// A span of time has the events whose own instants lie in it, although commits do not come in the order of instants.
pub async fn a_span_of_time_is_found_although_clocks_differ(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let dawn = world.now.ms();
    let mut dice = super::world::Dice::new(11);
    let mut all: Vec<(u64, i64)> = Vec::new();
    for n in 0..200_i64 {
        // Mostly forward, with neighbours out of order, and once a clock that is far behind.
        let late = if n == 120 {
            60_000
        } else {
            i64::try_from(dice.below(30)).expect("small")
        };
        let at = dawn + n * 10 - late;
        world.now = Moment::from_ms(at);
        let number = world
            .commit(store, world.refusal(world.acme.id, "key.issue"))
            .await
            .expect("a refusal");
        all.push((number.0, at));
    }
    all.reverse();
    for (since, until) in [
        (Some(0), None),
        (Some(500), None),
        (Some(1_990), None),
        (Some(99_999), None),
        (None, Some(1)),
        (None, Some(0)),
        (None, Some(1_000)),
        (None, Some(99_999)),
        (Some(300), Some(1_200)),
        (Some(1_200), Some(300)),
        (Some(-70_000), Some(-30_000)),
    ] {
        let instant = |offset: Option<i64>| offset.map(|offset| Moment::from_ms(dawn + offset));
        let query = EventQuery {
            since: instant(since),
            until: instant(until),
            ..all_events()
        };
        let fits =
            |at: i64| since.is_none_or(|since| at >= dawn + since) && until.is_none_or(|until| at < dawn + until);
        let expected: Vec<u64> = all
            .iter()
            .filter(|(_, at)| fits(*at))
            .map(|(number, _)| *number)
            .collect();
        assert_eq!(
            numbers(store, &world, query).await,
            expected,
            "since {since:?} until {until:?}"
        );
    }
}

/// Every event is on one page, also while new ones come.
pub async fn the_trail_is_read_page_by_page(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let record = world.user(acme, "ada");
    let (_, owner) = world.enrolled(store, record).await;
    let mut expected = Vec::new();
    for n in 0..25 {
        let key = world.key(store, world.wish(owner, "k")).await;
        if n % 2 == 0 {
            let leave: Permit<WriteKeys> = world.leave(acme);
            let delete = keyholt_core::remove::delete(&leave, &key, None, world.now);
            expected.push(world.commit(store, delete).await.expect("a deletion").0);
        }
    }
    expected.reverse();
    let mut query = EventQuery {
        action: Some("key.delete".to_owned()),
        limit: Limit::new(4).expect("a limit"),
        ..all_events()
    };
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = store.events(acme, &query).await.expect("a read");
        seen.extend(page.entries.iter().map(|event| event.number.0));
        pages += 1;
        world
            .commit(store, world.refusal(acme, "key.delete"))
            .await
            .expect("a new event");
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (expected, 4));
}
