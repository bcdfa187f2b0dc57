//! Lists of keys: pages, filters and order.

use std::collections::BTreeSet;

use keyholt_core::actor::{Permit, WriteKeys};
use keyholt_core::id::KeyId;
use keyholt_core::issue::{Life, SecretOrigin, Wish};
use keyholt_core::key::{Key, Kind};
use keyholt_core::owner::Owner;
use keyholt_core::pause::suspend;
use keyholt_core::remove::delete;
use keyholt_core::revoke::revoke;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::text::Tag;
use keyholt_core::time::Moment;

use super::history::{a_key_query, a_wish};
use super::usage::uses;
use super::world::{World, cause};
use crate::{KeyQuery, Limit, Memory, Owners, StateFilter, Store, UseOutcome, Write};

pub(super) async fn ids(store: &dyn Store, world: &World, query: &KeyQuery) -> Vec<KeyId> {
    let page = store.keys(world.acme.id, query).await.expect("a read");
    page.entries.iter().map(|(key, _)| key.id).collect()
}

/// All ids that a query finds, page by page.
pub(super) async fn all_ids(store: &dyn Store, world: &World, mut query: KeyQuery) -> Vec<KeyId> {
    let mut found = Vec::new();
    loop {
        let page = store.keys(world.acme.id, &query).await.expect("a read");
        assert!(page.entries.len() <= query.limit.entries());
        assert!(
            page.next.is_none() || page.entries.len() == query.limit.entries(),
            "only the last page is short"
        );
        found.extend(page.entries.iter().map(|(key, _)| key.id));
        query.after = page.next;
        if query.after.is_none() {
            return found;
        }
    }
}

pub(super) fn newest_first(keys: impl IntoIterator<Item = KeyId>) -> Vec<KeyId> {
    let mut keys: Vec<KeyId> = keys.into_iter().collect();
    keys.sort_unstable();
    keys.reverse();
    keys
}

/// Three thousand keys on pages of a hundred: each key once, newest first.
pub async fn every_key_is_on_one_page(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let (ada, eve) = (world.user(world.acme.id, "ada"), world.user(world.globex.id, "eve"));
    let (_, ada) = world.enrolled(store, ada).await;
    let (_, eve) = world.enrolled(store, eve).await;
    world.acme.policy.keys_per_owner = 10_000;
    let mut expected = Vec::new();
    for _ in 0..30 {
        let mut writes: Vec<Write> = Vec::new();
        for _ in 0..100 {
            // Several in the same millisecond: their ids are not in the order of their making.
            world.later(world.now.ms() % 2);
            let (key, commit) = world.issued(world.wish(ada, "one of many"));
            expected.push(key.id);
            writes.push(world.sealed(commit));
        }
        store.commit(writes).await.expect("new keys");
        world.later(1);
    }
    let globex = world.globex.clone();
    let (foreign, commit) = world.issued_in(&globex, world.wish(eve, "one of many"));
    world.commit(store, commit).await.expect("a key elsewhere");

    let expected = newest_first(expected);
    assert_eq!(all_ids(store, &world, KeyQuery::default()).await, expected);
    let of_ada = KeyQuery {
        owners: Owners::These(vec![ada, eve]),
        ..KeyQuery::default()
    };
    assert_eq!(all_ids(store, &world, of_ada).await, expected);
    let by_text = KeyQuery {
        text: Some("many on".to_owned()),
        limit: Limit::LARGEST,
        ..KeyQuery::default()
    };
    assert_eq!(all_ids(store, &world, by_text).await, expected);
    let elsewhere = store
        .keys(globex.id, &KeyQuery::default())
        .await
        .expect("a read")
        .entries;
    assert_eq!(
        elsewhere.iter().map(|(key, _)| key.id).collect::<Vec<_>>(),
        [foreign.id]
    );
}

/// Keys that are made while somebody turns the pages neither repeat nor hide those that were there.
pub async fn pages_stay_where_they_are_while_keys_come(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let record = world.user(world.acme.id, "ada");
    let (_, ada) = world.enrolled(store, record).await;
    let mut there = Vec::new();
    for _ in 0..25 {
        world.later(1);
        there.push(world.key(store, world.wish(ada, "there before")).await.id);
    }
    let mut query = KeyQuery {
        limit: Limit::new(4).expect("a limit"),
        ..KeyQuery::default()
    };
    let mut seen = Vec::new();
    loop {
        let page = store.keys(world.acme.id, &query).await.expect("a read");
        seen.extend(page.entries.iter().map(|(key, _)| key.id));
        world.later(1);
        world.key(store, world.wish(ada, "came later")).await;
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(seen, newest_first(there));
}

/// A hundred thousand keys, page by page, while others come and some go: each that stays is met once, and none twice.
///
/// So many are not issued one by one: `multiply` writes the row of a key again under each of these ids.
pub async fn a_long_walk_meets_every_key_that_stays_once<M, W>(store: &dyn Store, multiply: M)
where
    M: FnOnce(KeyId, Vec<KeyId>) -> W,
    W: Future<Output = ()>,
{
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let record = world.user(acme, "ada");
    let (_, ada) = world.enrolled(store, record).await;
    world.acme.policy.keys_per_owner = 10_000;
    // Each issued one stands among a thousand others.
    let (mut issued, mut others): (Vec<Key>, Vec<KeyId>) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        issued.push(world.key(store, world.wish(ada, "one of many")).await);
        others.extend((0..1_000).map(|_| KeyId::mint(world.now, &mut world.dice)));
        world.later(1);
    }
    multiply(issued[0].id, others.clone()).await;

    let mut query = KeyQuery {
        limit: Limit::LARGEST,
        ..KeyQuery::default()
    };
    let (mut met, mut gone) = (Vec::new(), BTreeSet::new());
    loop {
        let page = store.keys(acme, &query).await.expect("a read");
        met.extend(page.entries.iter().map(|(key, _)| key.id));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
        // One that was met or one that lies ahead goes, as the dice fall.
        let going = world.dice.pick(&issued).clone();
        let (_, comes) = world.issued(world.wish(ada, "came later"));
        let mut writes = vec![world.sealed(comes)];
        if gone.insert(going.id) {
            writes.push(world.sealed(delete(&world.leave(acme), &going, None, world.now)));
        }
        store.commit(writes).await.expect("one comes, one goes");
        world.later(1);
    }
    let once: BTreeSet<KeyId> = met.iter().copied().collect();
    assert_eq!(once.len(), met.len(), "a key was met twice");
    assert!(gone.len() > 50, "so few went: {}", gone.len());
    met.retain(|key| !gone.contains(key));
    let stayed = issued.iter().map(|key| key.id).chain(others);
    assert!(
        met == newest_first(stayed.filter(|key| !gone.contains(key))),
        "a key that stayed was not met in its place"
    );
}

/// Each filter by itself, on keys of which each differs from a plain one in one thing.
pub async fn each_filter_finds_what_it_names(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let (ada, team) = (world.user(acme, "ada"), world.team(acme, "ada"));
    let (_, ada) = world.enrolled(store, ada).await;
    let (_, team) = world.enrolled(store, team).await;
    let now = world.now;
    let only = |scope: &str| Access::Only(ScopeSet::parse([scope]).expect("a scope"));
    let plain = world.key(store, world.wish(ada, "plain")).await;
    let of_team = world.key(store, world.wish(team, "of the team")).await;
    let fixed = Wish {
        kind: Kind::Static,
        access: Access::Everything,
        ..world.wish(ada, "static")
    };
    let fixed = world.key(store, fixed).await;
    let scoped = Wish {
        access: only("orders:*"),
        ..world.wish(ada, "scoped")
    };
    let scoped = world.key(store, scoped).await;
    let tagged = Wish {
        tags: BTreeSet::from([Tag::new("team:red").expect("a tag")]),
        ..world.wish(ada, "tagged")
    };
    let tagged = world.key(store, tagged).await;
    let ending = Wish {
        life: Life::Until(Moment::from_ms(now.ms() + 1_000)),
        ..world.wish(ada, "ending")
    };
    let ending = world.key(store, ending).await;
    let suspended = world.key(store, world.wish(ada, "suspended")).await;
    let revoked = world.key(store, world.wish(ada, "revoked")).await;
    let leave: Permit<WriteKeys> = world.leave(acme);
    let (_, pause) = suspend(&leave, &suspended, None, now)
        .expect("a live key")
        .expect("a change");
    world.commit(store, pause).await.expect("a suspension");
    let (_, revocation) = revoke(&leave, &revoked, cause("lost"), now).expect("a live key");
    world.commit(store, revocation).await.expect("a revocation");
    let maker = world.operator.key;
    world.operator.key = plain.id;
    let made = world.key(store, world.wish(ada, "made")).await;
    world.operator.key = maker;

    let all = [
        &plain, &of_team, &fixed, &scoped, &tagged, &ending, &suspended, &revoked, &made,
    ];
    let then = Moment::from_ms(now.ms() + 1_000);
    let without = |gone: &[&Key]| -> Vec<KeyId> {
        all.iter()
            .map(|key| key.id)
            .filter(|id| gone.iter().all(|key| key.id != *id))
            .collect()
    };
    let query = KeyQuery::default;
    let state = |state| KeyQuery {
        state: Some(state),
        ..query()
    };
    let scope = |scope: &str| KeyQuery {
        scope: Some(scope.parse().expect("a scope")),
        ..query()
    };
    let owners = |owners: Vec<Owner>| KeyQuery {
        owners: Owners::These(owners),
        ..query()
    };
    let many_owners: Vec<Owner> = (0..40)
        .map(|_| world.user(acme, "x").owner().expect("a user"))
        .chain([team])
        .collect();
    for (what, query, expected) in [
        ("anything", query(), without(&[])),
        ("owners", owners(vec![team]), vec![of_team.id]),
        ("nobody", owners(vec![]), vec![]),
        ("both owners", owners(vec![team, ada, team]), without(&[])),
        ("many owners", owners(many_owners), vec![of_team.id]),
        (
            "static",
            KeyQuery {
                kind: Some(Kind::Static),
                ..query()
            },
            vec![fixed.id],
        ),
        (
            "publishable",
            KeyQuery {
                kind: Some(Kind::Publishable),
                ..query()
            },
            vec![],
        ),
        (
            "standard",
            KeyQuery {
                kind: Some(Kind::Standard),
                ..query()
            },
            without(&[&fixed]),
        ),
        (
            "active",
            state(StateFilter::Active { now }),
            without(&[&suspended, &revoked]),
        ),
        (
            "active then",
            state(StateFilter::Active { now: then }),
            without(&[&suspended, &revoked, &ending]),
        ),
        ("suspended", state(StateFilter::Suspended), vec![suspended.id]),
        ("revoked", state(StateFilter::Revoked), vec![revoked.id]),
        ("expired", state(StateFilter::Expired { now }), vec![]),
        (
            "expired then",
            state(StateFilter::Expired { now: then }),
            vec![ending.id],
        ),
        ("scope", scope("orders:*"), vec![scoped.id]),
        ("scope below", scope("orders:read"), vec![]),
        (
            "tag",
            KeyQuery {
                tag: Some(Tag::new("team:red").expect("a tag")),
                ..query()
            },
            vec![tagged.id],
        ),
        (
            "part of a tag",
            KeyQuery {
                tag: Some(Tag::new("team").expect("a tag")),
                ..query()
            },
            vec![],
        ),
        (
            "made with",
            KeyQuery {
                created_by: Some(plain.id),
                ..query()
            },
            vec![made.id],
        ),
        (
            "ending",
            KeyQuery {
                expiring_before: Some(Moment::from_ms(then.ms() + 1)),
                ..query()
            },
            vec![ending.id],
        ),
        (
            "ending at",
            KeyQuery {
                expiring_before: Some(then),
                ..query()
            },
            vec![],
        ),
        (
            "unused",
            KeyQuery {
                unused_since: Some(now),
                ..query()
            },
            vec![],
        ),
        (
            "static of the team",
            KeyQuery {
                kind: Some(Kind::Static),
                ..owners(vec![team])
            },
            vec![],
        ),
        (
            "scoped of ada",
            KeyQuery {
                owners: Owners::These(vec![ada]),
                ..scope("orders:*")
            },
            vec![scoped.id],
        ),
    ] {
        assert_eq!(ids(store, &world, &query).await, newest_first(expected), "{what}");
    }
}

/// With a limit on the end, keys come by their ends, and by id where these are the same, over all pages.
pub async fn those_that_end_first_come_first(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let record = world.user(world.acme.id, "ada");
    let (_, ada) = world.enrolled(store, record).await;
    let (mut expected, end) = (Vec::new(), world.now.ms() + 6_000);
    for n in 0..20_i64 {
        let until = Moment::from_ms(world.now.ms() + 1_000 * (1 + (n * 7) % 9));
        let life = if n % 5 == 0 { Life::Never } else { Life::Until(until) };
        let key = world
            .key(
                store,
                Wish {
                    life,
                    ..world.wish(ada, "ends")
                },
            )
            .await;
        if n % 5 != 0 && until.ms() < end {
            expected.push((until, key.id));
        }
    }
    expected.sort_unstable();
    let query = KeyQuery {
        expiring_before: Some(Moment::from_ms(end)),
        // Not the order: the earlier filter decides.
        unused_since: Some(Moment::from_ms(end)),
        limit: Limit::new(3).expect("a limit"),
        ..KeyQuery::default()
    };
    let expected: Vec<KeyId> = expected.into_iter().map(|(_, id)| id).collect();
    assert!(expected.len() > 6, "several pages are needed");
    assert_eq!(all_ids(store, &world, query).await, expected);
}

/// With a limit on the last use, keys come by that, a key that was never used by its making.
pub async fn those_unused_longest_come_first(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let record = world.user(world.acme.id, "ada");
    let (_, ada) = world.enrolled(store, record).await;
    let (mut expected, mut noted, dawn) = (Vec::new(), Vec::new(), world.now.ms());
    for n in 0..20_i64 {
        world.later(10);
        let key = world.key(store, world.wish(ada, "used")).await;
        let mut active = world.now.ms();
        if n % 3 == 0 {
            let used = Moment::from_ms(dawn + 400 - n * 20);
            noted.push(uses(key.id, UseOutcome::Granted, 1, used, None));
            active = active.max(used.ms());
        } else {
            noted.push(uses(
                key.id,
                UseOutcome::DeniedScope,
                1,
                Moment::from_ms(dawn + 9_000),
                None,
            ));
        }
        if active < dawn + 300 {
            expected.push((active, key.id));
        }
    }
    store.note_usage(&noted).await.expect("usage is noted");
    expected.sort_unstable();
    let query = KeyQuery {
        unused_since: Some(Moment::from_ms(dawn + 300)),
        limit: Limit::new(3).expect("a limit"),
        ..KeyQuery::default()
    };
    let expected: Vec<KeyId> = expected.into_iter().map(|(_, id)| id).collect();
    assert!(expected.len() > 6, "several pages are needed");
    assert_eq!(all_ids(store, &world, query).await, expected);
}

/// Filters in all combinations on more keys than are ever put in order at once: the same pages as in memory.
pub async fn many_keys_are_filtered_as_in_memory(store: &dyn Store) {
    let (mut world, founding) = World::new(5);
    let reference = Memory::new();
    let both: [&dyn Store; 2] = [&reference, store];
    let mut owners = Vec::new();
    let mut writes = founding;
    for name in ["ada", "bob", "eve"] {
        let record = world.user(world.acme.id, name);
        owners.extend(record.owner());
        writes.push(world.enrolment(&record));
    }
    world.acme.policy.keys_per_owner = 100_000;
    let (mut keys, mut noted) = (Vec::new(), Vec::new());
    for _ in 0..2_600 {
        world.later(1);
        let wish = a_wish(&mut world, &owners);
        let (key, commit) = world.issued(Wish {
            kind: Kind::Standard,
            origin: SecretOrigin::Minted,
            ..wish
        });
        writes.push(world.sealed(commit));
        let leave: Permit<WriteKeys> = world.leave(world.acme.id);
        match world.dice.below(6) {
            0 => {
                let (_, commit) = revoke(&leave, &key, cause("lost"), world.now).expect("a live key");
                writes.push(world.sealed(commit));
            }
            1 => {
                let (_, commit) = suspend(&leave, &key, None, world.now)
                    .expect("a live key")
                    .expect("a change");
                writes.push(world.sealed(commit));
            }
            2 => noted.push(uses(
                key.id,
                UseOutcome::Granted,
                1,
                Moment::from_ms(world.now.ms() + 3_000),
                None,
            )),
            _ => {}
        }
        keys.push(key);
    }
    for store in both {
        store.commit(writes.clone()).await.expect("new keys");
        store.note_usage(&noted).await.expect("usage is noted");
    }
    let mut found = 0;
    for _ in 0..120 {
        let mut query = a_key_query(&mut world, &owners, &keys);
        for _ in 0..3 {
            let expected = reference.keys(world.acme.id, &query).await.expect("a read");
            let page = store.keys(world.acme.id, &query).await.expect("a read");
            let ids = |page: &crate::Page<(Key, _)>| page.entries.iter().map(|(key, _)| key.id).collect::<Vec<_>>();
            assert_eq!((ids(&page), page.next), (ids(&expected), expected.next), "{query:?}");
            found += page.entries.len();
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
    }
    assert!(found > 2_000, "the questions find something: {found}");
}
