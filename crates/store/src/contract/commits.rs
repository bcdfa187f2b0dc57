//! Commits: what is written is there, all of it or nothing, and in order.

use keyholt_core::audit::Noun;
use keyholt_core::bond::{Bond, Former, Sealing};
use keyholt_core::commit::Record;
use keyholt_core::id::SYSTEM;
use keyholt_core::renew::reseal;
use keyholt_core::revoke::revoke;
use keyholt_core::seal::MasterKey;
use uuid::Uuid;

use super::dumps::lines_of;
use super::world::{World, cause, source};
use crate::{
    CommitError, DumpLine, EventNumber, EventQuery, KeyColumns, Limit, Loaded, Sharing, Store, Touched, Write,
};

/// Everything of the trail, newest first.
pub(super) fn all_events() -> EventQuery {
    EventQuery {
        action: None,
        target: None,
        actor: None,
        owner: None,
        refused: None,
        since: None,
        until: None,
        after: None,
        limit: Limit::LARGEST,
    }
}

async fn head(store: &dyn Store) -> EventNumber {
    store.load(&mut |_| ()).await.expect("a load")
}

/// Records and keys are read back as they were written, with seals that hold, and in their own project only.
pub async fn what_is_committed_can_be_read(store: &dyn Store) {
    let mut world = World::founded(store).await;
    store.ping().await.expect("an open store answers");
    let (acme, globex) = (world.acme.id, world.globex.id);
    let record = world.user(acme, "ada");
    let (record, owner) = world.enrolled(store, record).await;
    let key = world.key(store, world.wish(owner, "deploy")).await;

    let stored = store
        .record(acme, Noun::User, record.id())
        .await
        .expect("a read")
        .expect("the user");
    let opened = stored.open(&world.sealer).expect("an unbroken seal");
    assert_eq!(opened.view(), record.view());
    let by_handle = store
        .record_by_handle(acme, Noun::User, "ada")
        .await
        .expect("a read")
        .expect("the user");
    assert_eq!(by_handle.id, record.id());
    let (read, seal) = store.key(acme, key.id).await.expect("a read").expect("the key");
    assert_eq!(KeyColumns::new(&read, &seal), KeyColumns::new(&key, &seal));
    assert!(read.row(&read.at_rest()).is_sealed_by(&world.sealer, &seal));

    assert!(
        store
            .record(globex, Noun::User, record.id())
            .await
            .expect("a read")
            .is_none()
    );
    assert!(
        store
            .record(acme, Noun::Team, record.id())
            .await
            .expect("a read")
            .is_none()
    );
    assert!(
        store
            .record_by_handle(globex, Noun::User, "ada")
            .await
            .expect("a read")
            .is_none()
    );
    assert!(
        store
            .record_by_handle(acme, Noun::User, "ADA")
            .await
            .expect("a read")
            .is_none()
    );
    assert!(store.key(globex, key.id).await.expect("a read").is_none());
    assert!(store.key(SYSTEM, key.id).await.expect("a read").is_none());

    let (revoked, commit) = revoke(&world.leave(acme), &key, cause("lost"), world.later(5)).expect("a live key");
    let number = world.commit(store, commit).await.expect("the revocation");
    let (read, seal) = store.key(acme, key.id).await.expect("a read").expect("the key");
    assert_eq!(KeyColumns::new(&read, &seal), KeyColumns::new(&revoked, &seal));
    let newest = &store.events(acme, &all_events()).await.expect("a read").entries[0];
    assert_eq!((newest.number, newest.event.action.as_str()), (number, "key.revoke"));
    assert_eq!(newest.event.after.as_ref().expect("a view")["revision"], 2);
}

/// Several writes of one call get successive numbers and are there together.
pub async fn writes_come_together_or_not_at_all(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let (ada, bob, rival) = (
        world.user(acme, "ada"),
        world.user(acme, "bob"),
        world.user(acme, "bob"),
    );
    let before = head(store).await;
    assert_eq!(before, EventNumber(3), "three commits found the world");

    let refused = store
        .commit(vec![
            world.enrolment(&ada),
            world.enrolment(&bob),
            world.enrolment(&rival),
        ])
        .await;
    assert!(
        matches!(refused, Err(CommitError::HandleTaken { noun: Noun::User })),
        "{refused:?}"
    );
    assert_eq!(head(store).await, before);
    assert!(
        store
            .record(acme, Noun::User, ada.id())
            .await
            .expect("a read")
            .is_none()
    );
    assert!(
        store
            .events(acme, &all_events())
            .await
            .expect("a read")
            .entries
            .iter()
            .all(|e| e.number <= before)
    );

    let numbers = store
        .commit(vec![world.enrolment(&ada), world.enrolment(&bob)])
        .await
        .expect("two new users");
    assert_eq!(numbers, [EventNumber(4), EventNumber(5)]);
    assert!(
        store
            .record(acme, Noun::User, ada.id())
            .await
            .expect("a read")
            .is_some()
    );
    assert_eq!(store.commit(Vec::new()).await.expect("nothing to write"), []);
    assert_eq!(head(store).await, EventNumber(5));
}

/// A commit of several writes of which the last one fails takes back removals, replacements, counts and requests.
pub async fn a_commit_that_fails_half_way_leaves_nothing(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let record = world.user(acme, "ada");
    let (record, owner) = world.enrolled(store, record).await;
    let kept = world.key(store, world.wish(owner, "kept")).await;
    let gone = world.key(store, world.wish(owner, "gone")).await;
    let before = super::dumps::dump_of(store).await;

    let (_, replacement) = world.replacement(&record, record.clone());
    let (_, revocation) = revoke(&world.leave(acme), &kept, cause("lost"), world.now).expect("a live key");
    let deletion = keyholt_core::remove::delete(&world.leave(acme), &gone, None, world.now);
    let (new, issue) = world.issued(world.wish(owner, "new"));
    let issue = issue.remembered(world.replay("r-1", new.id.uuid()));
    let conflict = world.user(acme, "ada");
    let writes = vec![
        replacement,
        world.sealed(revocation),
        world.sealed(deletion),
        world.sealed(issue.clone()),
        world.enrolment(&conflict),
    ];
    let refused = store.commit(writes).await;
    assert!(matches!(refused, Err(CommitError::HandleTaken { .. })), "{refused:?}");
    assert_eq!(super::dumps::dump_of(store).await, before);
    assert!(
        store
            .replay(world.operator.key, &world.replay("r-1", new.id.uuid()).request)
            .await
            .expect("a read")
            .is_none()
    );
    world
        .commit(store, issue)
        .await
        .expect("what failed half-way can be done again");
}

/// The feed has every commit once, oldest first, with what it touched; a refused attempt touched nothing.
pub async fn the_feed_tells_what_each_commit_touched(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let record = world.user(acme, "ada");
    let (record, owner) = world.enrolled(store, record).await;
    let key = world.key(store, world.wish(owner, "deploy")).await;
    world
        .commit(store, world.refusal(acme, "key.issue"))
        .await
        .expect("a refusal is written");
    let delete = keyholt_core::remove::delete(&world.leave(acme), &key, None, world.now);
    world.commit(store, delete).await.expect("a deletion");

    let feed = store.feed(EventNumber(3), Limit::DEFAULT).await.expect("a read");
    let touched: Vec<(u64, Vec<(Noun, Uuid)>)> = feed
        .iter()
        .map(|entry| {
            (
                entry.number.0,
                entry.touched.iter().map(|touched| (touched.noun, touched.id)).collect(),
            )
        })
        .collect();
    assert!(feed.iter().all(|entry| entry.at == world.now), "{feed:?}");
    let key_touched = vec![(Noun::Key, key.id.uuid())];
    assert_eq!(
        touched,
        [
            (4, vec![(Noun::User, record.id())]),
            (5, key_touched.clone()),
            (6, Vec::new()),
            (7, key_touched)
        ]
    );
    let founding = store
        .feed(EventNumber(0), Limit::new(2).expect("a limit"))
        .await
        .expect("a read");
    assert_eq!(founding.iter().map(|entry| entry.number.0).collect::<Vec<_>>(), [1, 2]);
    let project = Touched {
        project: SYSTEM,
        noun: Noun::Project,
        id: acme.uuid(),
    };
    assert!(
        founding[1].touched.contains(&project),
        "a project belongs to the system: {:?}",
        founding[1]
    );
    assert_eq!(founding[1].touched.len(), 5, "the project and its four roles");
    assert!(
        store
            .feed(EventNumber(7), Limit::DEFAULT)
            .await
            .expect("a read")
            .is_empty()
    );
}

/// A new store is bound once; after that only who knows how it is bound binds it anew.
pub async fn a_store_is_bound_to_one_master_key(store: &dyn Store) {
    let (one, other) = (Bond::to([1; 32]), Bond::to([2; 32]));
    let moving = Bond {
        previous: Some(Former {
            check: [1; 32],
            sealing: Sealing::UnderWay,
        }),
        ..other
    };
    assert_eq!(store.bond().await.expect("a new store"), None);
    assert!(
        !store.rebind(Some(one), other).await.expect("an answer"),
        "it is bound to nothing"
    );
    assert!(store.rebind(None, one).await.expect("a new store"));
    for wrong in [None, Some(other), Some(moving)] {
        assert!(!store.rebind(wrong, other).await.expect("an answer"), "{wrong:?}");
    }
    assert_eq!(store.bond().await.expect("a bound store"), Some(one));
    assert!(store.rebind(Some(one), moving).await.expect("an answer"));
    assert_eq!(store.bond().await.expect("a bound store"), Some(moving));
    let first = lines_of(store).await.swap_remove(0);
    assert!(matches!(first, DumpLine::Begin { bond: Some(bond), .. } if bond == moving));
    assert!(matches!(store.sharing(), Sharing::Alone | Sharing::Shared));
}

/// A load has every record in its latest version, what is referred to first, keys last, and the last commit's number.
pub async fn everything_is_loaded_in_order(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let (acme, globex) = (world.acme.id, world.globex.id);
    let mut keys = Vec::new();
    for (project, name) in [(acme, "ada"), (globex, "ada"), (acme, "bob")] {
        let record = world.user(project, name);
        let (record, owner) = world.enrolled(store, record).await;
        let home = if project == acme {
            world.acme.clone()
        } else {
            world.globex.clone()
        };
        let (key, commit) = world.issued_in(&home, world.wish(owner, name));
        world.commit(store, commit).await.expect("a new key");
        keys.push(key);
        let (_, write) = world.replacement(&record, record.clone());
        store.commit(vec![write]).await.expect("a replacement");
    }
    let (revoked, commit) = revoke(&world.leave(acme), &keys[0], cause("lost"), world.now).expect("a live key");
    let last = world.commit(store, commit).await.expect("a revocation");
    keys[0] = revoked;

    let (mut nouns, mut users, mut loaded) = (Vec::new(), 0, Vec::new());
    let live = keys.len();
    let sealer = world.sealer.clone();
    let head = store
        .load(&mut |found| match found {
            Loaded::Ahead(expected) => assert_eq!(expected, live),
            Loaded::Record(stored) => {
                nouns.push(stored.noun);
                let record = stored.open(&sealer).expect("an unbroken seal");
                if stored.noun == Noun::User {
                    users += 1;
                    assert_eq!(record.revision().number(), 2);
                }
            }
            Loaded::Key(row, seal) => {
                nouns.push(Noun::Key);
                assert!(row.is_sealed_by(&sealer, &seal));
                loaded.push((row.id, row.state.to_owned(), row.access.to_owned(), row.revision));
            }
        })
        .await
        .expect("a load");
    assert_eq!(head, last);
    assert_eq!(users, 3);
    let places = |noun: &Noun| Noun::ALL.iter().position(|each| each == noun);
    assert!(nouns.iter().map(places).is_sorted(), "{nouns:?}");
    loaded.sort_by_key(|(id, ..)| *id);
    let mut expected: Vec<_> = keys
        .iter()
        .map(|key| {
            let at_rest = key.at_rest();
            (key.id, at_rest.state.to_owned(), at_rest.access, key.revision)
        })
        .collect();
    expected.sort_by_key(|(id, ..)| *id);
    assert_eq!(loaded, expected);
}

/// A row is replaced by itself with another seal: its revision stays, and it is found, followed and loaded as before.
pub async fn a_row_is_sealed_anew_with_its_revision(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let record = world.user(world.acme.id, "ada");
    let (user, owner) = world.enrolled(store, record).await;
    let key = world.key(store, world.wish(owner, "sealed")).await;
    let sealer = MasterKey::new([99; 32]).sealer();
    let records = vec![user.clone(), Record::Key(Box::new(key.clone()))];
    let commit = reseal(records, &source(), world.now).expect("two rows");
    let number = store
        .commit(vec![Write::sealed(commit, &sealer)])
        .await
        .expect("two rows")[0];
    let (read, seal) = store
        .key(world.acme.id, key.id)
        .await
        .expect("a read")
        .expect("it is there");
    assert_eq!(read.revision, key.revision);
    assert!(read.row(&read.at_rest()).is_sealed_by(&sealer, &seal));
    let stored = store
        .record(world.acme.id, Noun::User, user.id())
        .await
        .expect("a read");
    let stored = stored.expect("it is there");
    assert!(stored.revision == user.revision() && stored.open(&sealer).is_ok());
    let feed = store
        .feed(EventNumber(number.0 - 1), Limit::DEFAULT)
        .await
        .expect("a read");
    assert_eq!(feed[0].touched.len(), 2, "other nodes hear of it");
}
