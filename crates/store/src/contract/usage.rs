//! Usage: it adds up, tells the last granted use, and is forgotten in time.

use std::net::IpAddr;

use keyholt_core::actor::{Permit, WriteKeys};
use keyholt_core::id::KeyId;
use keyholt_core::key::Key;
use keyholt_core::time::{Moment, Span};

use super::world::World;
use crate::{LastUse, Store, USAGE_KEPT, Usage, UsageDelta, UseOutcome};

const HOUR: i64 = 3_600_000;

/// So many uses of a key at an instant.
pub(super) fn uses(key: KeyId, outcome: UseOutcome, count: u64, at: Moment, address: Option<IpAddr>) -> UsageDelta {
    UsageDelta {
        key,
        hour: at.hour(),
        outcome,
        count,
        first_at: at,
        at,
        address,
    }
}

fn address(last: u8) -> Option<IpAddr> {
    Some([192, 0, 2, last].into())
}

async fn keys_of_ada(store: &dyn Store) -> (World, Key, Key) {
    let mut world = World::founded(store).await;
    let record = world.user(world.acme.id, "ada");
    let (_, owner) = world.enrolled(store, record).await;
    let one = world.key(store, world.wish(owner, "one")).await;
    let other = world.key(store, world.wish(owner, "other")).await;
    (world, one, other)
}

/// Counts of the same hour and outcome add up, across calls and within one; each project sees its own.
pub async fn uses_add_up(store: &dyn Store) {
    let (world, one, other) = keys_of_ada(store).await;
    let (start, hour) = (world.now, world.now.hour());
    let next = Moment::from_ms(start.ms() + HOUR);
    let (granted, denied) = (UseOutcome::Granted, UseOutcome::DeniedScope);
    let first = [
        uses(one.id, granted, 3, next, address(1)),
        uses(other.id, granted, 1, start, None),
        uses(one.id, denied, 2, start, address(2)),
        uses(one.id, granted, 4, start, address(3)),
    ];
    store.note_usage(&first).await.expect("usage is noted");
    store
        .note_usage(&[uses(one.id, granted, 10, start, address(4))])
        .await
        .expect("usage is noted");
    store.note_usage(&[]).await.expect("nothing is noted");

    let all = store
        .usage(world.acme.id, one.id, hour, hour + 2)
        .await
        .expect("a read");
    assert_eq!(
        all.hours,
        [(hour, granted, 14), (hour, denied, 2), (hour + 1, granted, 3)]
    );
    let second = store
        .usage(world.acme.id, one.id, hour + 1, hour + 2)
        .await
        .expect("a read");
    assert_eq!(second.hours, [(hour + 1, granted, 3)]);
    let none = store
        .usage(world.acme.id, one.id, hour - 9, hour)
        .await
        .expect("a read");
    assert_eq!(
        (none.hours.len(), none.last),
        (0, all.last),
        "the last use is told over all time"
    );
    let foreign = store
        .usage(world.globex.id, one.id, hour, hour + 2)
        .await
        .expect("a read");
    assert_eq!(foreign, Usage::default());
}

/// Only granted uses are uses; the latest instant counts, whatever the order in which they are told.
pub async fn the_last_use_is_the_latest_granted_one(store: &dyn Store) {
    let (world, one, other) = keys_of_ada(store).await;
    let at = |minutes: i64| Moment::from_ms(world.now.ms() + minutes * 60_000);
    let granted = UseOutcome::Granted;
    store
        .note_usage(&[uses(one.id, UseOutcome::DeniedBounds, 1, at(90), address(9))])
        .await
        .expect("usage is noted");
    assert!(
        store.last_uses(&[one.id]).await.expect("a read").is_empty(),
        "a denied use is none"
    );

    let noted = [
        uses(one.id, granted, 1, at(50), address(5)),
        uses(one.id, UseOutcome::GrantedRetiring, 1, at(70), address(7)),
        uses(one.id, granted, 1, at(40), address(4)),
    ];
    store.note_usage(&noted).await.expect("usage is noted");
    store
        .note_usage(&[UsageDelta {
            first_at: at(20),
            ..uses(one.id, granted, 3, at(30), address(3))
        }])
        .await
        .expect("usage is noted");
    let last = LastUse {
        first_at: at(20),
        last_at: at(70),
        address: address(7),
    };
    let found = store.last_uses(&[other.id, one.id]).await.expect("a read");
    assert_eq!(found, [(one.id, last)]);
    let told = store.usage(world.acme.id, one.id, 0, 0).await.expect("a read");
    assert_eq!(told.last, Some(last));

    let same_instant = [
        uses(one.id, granted, 1, at(70), address(8)),
        uses(one.id, granted, 1, at(70), None),
    ];
    store.note_usage(&same_instant).await.expect("usage is noted");
    let found = store.last_uses(&[one.id]).await.expect("a read");
    assert_eq!(
        found[0].1.address, None,
        "the last one told is the most recent, and nobody knows from where it came"
    );
    let v6: IpAddr = "2001:db8::7".parse().expect("an address");
    store
        .note_usage(&[uses(one.id, granted, 1, at(71), Some(v6))])
        .await
        .expect("usage is noted");
    assert_eq!(store.last_uses(&[one.id]).await.expect("a read")[0].1.address, Some(v6));
}

/// Usage that comes after its key went is dropped, and a new key does not inherit any.
pub async fn usage_of_a_key_that_is_gone_is_dropped(store: &dyn Store) {
    let (mut world, one, other) = keys_of_ada(store).await;
    let (acme, hour, now) = (world.acme.id, world.now.hour(), world.now);
    let both = [
        uses(one.id, UseOutcome::Granted, 5, now, None),
        uses(other.id, UseOutcome::Granted, 1, now, None),
    ];
    store.note_usage(&both).await.expect("usage is noted");
    let leave: Permit<WriteKeys> = world.leave(acme);
    for key in [&one, &other] {
        world
            .commit(store, keyholt_core::remove::delete(&leave, key, None, now))
            .await
            .expect("a deletion");
    }
    store.note_usage(&both).await.expect("late usage is no error");
    assert!(store.last_uses(&[one.id]).await.expect("a read").is_empty());
    assert_eq!(
        store.usage(acme, one.id, hour, hour + 1).await.expect("a read"),
        Usage::default()
    );
    let heir = world.key(store, world.wish(one.owner, "heir")).await;
    assert_eq!(
        store.usage(acme, heir.id, hour, hour + 1).await.expect("a read"),
        Usage::default()
    );
}

/// Requests are forgotten from the given instant back, hours of usage a year later; the last use stays.
pub async fn what_is_old_is_forgotten(store: &dyn Store) {
    let (mut world, one, _) = keys_of_ada(store).await;
    let (acme, start) = (world.acme.id, world.now);
    let year = Span::hours(USAGE_KEPT.ms() / 3_600_000);
    for (minute, request) in [(0, "r-0"), (1, "r-1"), (1, "r-2")] {
        world.later(minute * 60_000);
        let replay = world.replay(request, one.id.uuid());
        let commit = world.refusal(acme, "key.issue").remembered(replay);
        world.commit(store, commit).await.expect("a commit");
    }
    let next = Moment::from_ms(start.ms() + HOUR);
    let granted = UseOutcome::Granted;
    let both = [
        uses(one.id, granted, 1, start, None),
        uses(one.id, granted, 2, next, None),
    ];
    store.note_usage(&both).await.expect("usage is noted");

    store
        .forget_before(Moment::from_ms(start.ms() + 60_000))
        .await
        .expect("old things are forgotten");
    let replay = async |name: &str| {
        let request = world.replay(name, one.id.uuid()).request;
        store.replay(world.operator.key, &request).await.expect("a read")
    };
    assert!(replay("r-0").await.is_none());
    assert!(
        replay("r-1").await.is_some(),
        "what was made at that instant is not before it"
    );
    assert!(replay("r-2").await.is_some());
    let hours = async || {
        store
            .usage(acme, one.id, start.hour(), start.hour() + 2)
            .await
            .expect("a read")
    };
    assert_eq!(hours().await.hours.len(), 2);

    store
        .forget_before(next.plus(year))
        .await
        .expect("old things are forgotten");
    let left = hours().await;
    assert_eq!(left.hours, [(next.hour(), granted, 2)]);
    assert_eq!(left.last.map(|last| last.first_at), Some(start));
    assert!(replay("r-2").await.is_none());
}
