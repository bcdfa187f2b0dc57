//! Conflicts: each reason why a commit is not written is reached, and nothing of the commit remains.

use keyholt_core::actor::{Permit, WriteKeys};
use keyholt_core::audit::Noun;
use keyholt_core::commit::{Commit, Record, Revision};
use keyholt_core::id::KeyId;
use keyholt_core::issue::{Circumstances, SecretOrigin, Wish};
use keyholt_core::key::{Key, Kind};
use keyholt_core::owner::Owner;
use keyholt_core::revoke::revoke;
use keyholt_core::rotate::{Grace, Turn, end_grace, rotate};
use keyholt_core::scope::Access;
use keyholt_core::secret::Fingerprint;
use keyholt_core::text::ExternalId;
use keyholt_core::time::Span;
use uuid::Uuid;

use super::world::{World, cause};
use crate::{CommitError, KeyQuery, Store};

fn is_stale<T: std::fmt::Debug>(result: &Result<T, CommitError>, of: Noun) -> bool {
    matches!(result, Err(CommitError::Stale { noun }) if *noun == of)
}

/// Whoever bases a change on an old version, or makes what is there, or changes what is not, is told so.
pub async fn what_was_changed_meanwhile_is_stale(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let first = world.user(acme, "ada");
    let (first, owner) = world.enrolled(store, first).await;
    let key = world.key(store, world.wish(owner, "deploy")).await;
    let (second, write) = world.replacement(&first, first.clone());
    store.commit(vec![write.clone()]).await.expect("the first to change it");
    let (revoked, revocation) = revoke(&world.leave(acme), &key, cause("lost"), world.now).expect("a live key");
    world
        .commit(store, revocation.clone())
        .await
        .expect("the first to change it");
    let before = super::dumps::dump_of(store).await;

    let again = store.commit(vec![write]).await;
    assert!(is_stale(&again, Noun::User), "{again:?}");
    let removed = store.commit(vec![world.removal(&first)]).await;
    assert!(is_stale(&removed, Noun::User), "{removed:?}");
    let again = world.commit(store, revocation).await;
    assert!(is_stale(&again, Noun::Key), "{again:?}");
    let leave: Permit<WriteKeys> = world.leave(acme);
    let deleted = world
        .commit(store, keyholt_core::remove::delete(&leave, &key, None, world.now))
        .await;
    assert!(is_stale(&deleted, Noun::Key), "{deleted:?}");

    let Record::User(mut double) = second.clone() else {
        unreachable!("a user was enrolled")
    };
    double.external_id = ExternalId::new("another").expect("an external id");
    double.revision = Revision::FIRST;
    let made = store.commit(vec![world.enrolment(&Record::User(double))]).await;
    assert!(is_stale(&made, Noun::User), "what is there cannot be made: {made:?}");
    let unknown = world.user(acme, "nobody");
    let (_, write) = world.replacement(&unknown, unknown.clone());
    let changed = store.commit(vec![write]).await;
    assert!(
        is_stale(&changed, Noun::User),
        "what is not there cannot be changed: {changed:?}"
    );
    assert_eq!(super::dumps::dump_of(store).await, before);

    store
        .commit(vec![world.removal(&second)])
        .await
        .expect("the latest version");
    let leave: Permit<WriteKeys> = world.leave(acme);
    let delete = keyholt_core::remove::delete(&leave, &revoked, None, world.now);
    world.commit(store, delete.clone()).await.expect("the latest version");
    assert!(store.key(acme, key.id).await.expect("a read").is_none());
    assert!(
        store
            .record(acme, Noun::User, second.id())
            .await
            .expect("a read")
            .is_none()
    );
    let twice = world.commit(store, delete).await;
    assert!(is_stale(&twice, Noun::Key), "{twice:?}");
}

/// A change that names another project than the record's finds nothing there.
pub async fn a_record_of_another_project_is_out_of_reach(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let (acme, globex) = (world.acme.id, world.globex.id);
    let record = world.user(acme, "ada");
    let (record, owner) = world.enrolled(store, record).await;
    let key = world.key(store, world.wish(owner, "deploy")).await;
    let before = super::dumps::dump_of(store).await;

    let mut moved = key.clone();
    moved.project = globex;
    let (_, revocation) = revoke(&world.leave(globex), &moved, cause("theft"), world.now).expect("a live key");
    let revoked = world.commit(store, revocation).await;
    assert!(is_stale(&revoked, Noun::Key), "{revoked:?}");
    let leave: Permit<WriteKeys> = world.leave(globex);
    let deleted = world
        .commit(store, keyholt_core::remove::delete(&leave, &moved, None, world.now))
        .await;
    assert!(is_stale(&deleted, Noun::Key), "{deleted:?}");
    let Record::User(mut moved) = record else {
        unreachable!("a user was enrolled")
    };
    moved.project = globex;
    let moved = Record::User(moved);
    let (_, write) = world.replacement(&moved, moved.clone());
    let changed = store.commit(vec![write]).await;
    assert!(is_stale(&changed, Noun::User), "{changed:?}");
    let removed = store.commit(vec![world.removal(&moved)]).await;
    assert!(is_stale(&removed, Noun::User), "{removed:?}");
    assert_eq!(super::dumps::dump_of(store).await, before);
}

/// A handle is unique among its kind in its project, and free again when its holder changes it or goes.
pub async fn a_handle_is_taken_once_in_a_project(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let (acme, globex) = (world.acme.id, world.globex.id);
    let (ada, bob) = (world.user(acme, "ada"), world.user(acme, "bob"));
    let (ada, _) = world.enrolled(store, ada).await;
    let (bob, _) = world.enrolled(store, bob).await;
    let is_taken =
        |result: &Result<_, CommitError>| matches!(result, Err(CommitError::HandleTaken { noun: Noun::User }));

    let rival = world.user(acme, "ada");
    let made = store.commit(vec![world.enrolment(&rival)]).await;
    assert!(is_taken(&made), "{made:?}");
    let Record::User(mut renamed) = bob.clone() else {
        unreachable!("a user was enrolled")
    };
    renamed.external_id = ExternalId::new("ada").expect("an external id");
    let (bob_as_ada, rename) = world.replacement(&bob, Record::User(renamed));
    let changed = store.commit(vec![rename.clone()]).await;
    assert!(is_taken(&changed), "{changed:?}");

    for elsewhere in [
        world.user(globex, "ada"),
        world.team(acme, "ada"),
        world.user(acme, "Ada"),
    ] {
        store
            .commit(vec![world.enrolment(&elsewhere)])
            .await
            .expect("another project, kind or spelling");
    }
    store
        .commit(vec![world.removal(&ada)])
        .await
        .expect("the latest version");
    store.commit(vec![rename]).await.expect("the handle is free again");
    let found = store
        .record_by_handle(acme, Noun::User, "ada")
        .await
        .expect("a read")
        .expect("the user");
    assert_eq!(found.id, bob_as_ada.id());
    assert!(
        store
            .record_by_handle(acme, Noun::User, "bob")
            .await
            .expect("a read")
            .is_none()
    );
}

fn client_made(world: &World, owner: Owner, name: &str, secret: &[u8]) -> Wish {
    Wish {
        origin: SecretOrigin::ClientMade(Fingerprint::of(secret)),
        ..world.wish(owner, name)
    }
}

fn rotated(world: &mut World, key: &Key, grace: Span, secret: &[u8]) -> (Key, Commit) {
    let (project, permissions, pepper) = world.circumstances();
    let turn = Turn {
        grace: Grace::For(grace),
        client_made: Some(Fingerprint::of(secret)),
        cause: None,
    };
    let circumstances = Circumstances {
        project: &project,
        permissions: &permissions,
        pepper: &pepper,
    };
    let leave = world.leave(project.id);
    let (rotated, commit) =
        rotate(&leave, key, turn, circumstances, world.now, &mut world.dice).expect("a live key rotates");
    (rotated.key, commit)
}

/// A secret belongs to one key, as its newest or as its retiring one, in whatever project; and only while it is kept.
pub async fn a_secret_stands_in_one_place(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let globex = world.globex.clone();
    let record = world.user(world.acme.id, "ada");
    let (_, owner) = world.enrolled(store, record).await;
    let one = world
        .key(store, client_made(&world, owner, "one", b"the secret number 1"))
        .await;
    let is_taken = |result: &Result<_, CommitError>| matches!(result, Err(CommitError::SecretTaken));

    let (_, again) = world.issued(client_made(&world, owner, "again", b"the secret number 1"));
    let made = world.commit(store, again.clone()).await;
    assert!(is_taken(&made), "{made:?}");
    let (_, elsewhere) = world.issued_in(&globex, client_made(&world, owner, "elsewhere", b"the secret number 1"));
    let made = world.commit(store, elsewhere).await;
    assert!(is_taken(&made), "{made:?}");

    let (turned, rotation) = rotated(&mut world, &one, Span::hours(1), b"the secret number 2");
    world.commit(store, rotation).await.expect("a rotation");
    let made = world.commit(store, again.clone()).await;
    assert!(is_taken(&made), "a retiring secret is still taken: {made:?}");
    let other = world.key(store, world.wish(owner, "other")).await;
    let (_, onto_another) = rotated(&mut world, &other, Span::ZERO, b"the secret number 2");
    let crossed = world.commit(store, onto_another).await;
    assert!(is_taken(&crossed), "{crossed:?}");

    let leave: Permit<WriteKeys> = world.leave(world.acme.id);
    let (ended, end) = end_grace(&leave, &turned, None, world.now).expect("a grace");
    world.commit(store, end).await.expect("the end of the grace");
    let made = world.commit(store, again.clone()).await;
    assert!(is_taken(&made), "a secret out of use is remembered: {made:?}");
    let (ended, rotation) = rotated(&mut world, &ended, Span::ZERO, b"the secret number 3");
    world.commit(store, rotation).await.expect("another rotation");
    world
        .commit(store, again)
        .await
        .expect("until the next rotation, then it is free again");
    let (_, reuse) = world.issued(client_made(&world, owner, "reuse", b"the secret number 2"));
    let made = world.commit(store, reuse.clone()).await;
    assert!(is_taken(&made), "{made:?}");
    let leave: Permit<WriteKeys> = world.leave(world.acme.id);
    world
        .commit(store, keyholt_core::remove::delete(&leave, &ended, None, world.now))
        .await
        .expect("a deletion");
    world
        .commit(store, reuse)
        .await
        .expect("a deleted key's secret is free again");
}

/// One static key per user that is not revoked.
pub async fn a_user_has_one_static_key(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let (ada, bob) = (world.user(acme, "ada"), world.user(acme, "bob"));
    let (_, ada) = world.enrolled(store, ada).await;
    let (_, bob) = world.enrolled(store, bob).await;
    let wish = |world: &World, owner| Wish {
        kind: Kind::Static,
        access: Access::Everything,
        ..world.wish(owner, "master")
    };
    let first = world.key(store, wish(&world, ada)).await;
    world.key(store, wish(&world, bob)).await;
    let (_, second) = world.issued(wish(&world, ada));
    let made = world.commit(store, second.clone()).await;
    assert!(matches!(made, Err(CommitError::StaticTaken)), "{made:?}");
    world.key(store, world.wish(ada, "ordinary")).await;
    let (_, revocation) = revoke(&world.leave(acme), &first, cause("lost"), world.now).expect("a live key");
    world.commit(store, revocation).await.expect("a revocation");
    world.commit(store, second).await.expect("the place is free again");
}

/// The guard counts what is there in the transaction itself: revoked keys do not count, those of the same call do.
pub async fn an_owner_has_as_many_keys_as_the_guard_allows(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    world.acme.policy.keys_per_owner = 3;
    let (ada, team) = (world.user(acme, "ada"), world.team(acme, "ada"));
    let (_, ada) = world.enrolled(store, ada).await;
    let (_, team) = world.enrolled(store, team).await;
    let is_too_many = |result: &Result<_, CommitError>| matches!(result, Err(CommitError::TooManyKeys));

    let (first, one) = world.issued(world.wish(ada, "one"));
    let writes = vec![world.sealed(one), {
        let (_, two) = world.issued(world.wish(ada, "two"));
        world.sealed(two)
    }];
    store.commit(writes).await.expect("two of three");
    let (_, three) = world.issued(world.wish(ada, "three"));
    let (_, four) = world.issued(world.wish(ada, "four"));
    let both = store
        .commit(vec![world.sealed(three.clone()), world.sealed(four.clone())])
        .await;
    assert!(matches!(both, Err(CommitError::TooManyKeys)), "{both:?}");
    world.commit(store, three).await.expect("the third");
    let made = world.commit(store, four.clone()).await;
    assert!(is_too_many(&made), "{made:?}");
    world.key(store, world.wish(team, "of the team")).await;

    let (revoked, revocation) = revoke(&world.leave(acme), &first, cause("lost"), world.now).expect("a live key");
    world.commit(store, revocation).await.expect("a revocation");
    world.commit(store, four).await.expect("a revoked key leaves its place");
    let leave: Permit<WriteKeys> = world.leave(acme);
    world
        .commit(store, keyholt_core::remove::delete(&leave, &revoked, None, world.now))
        .await
        .expect("a deletion");
    let (_, five) = world.issued(world.wish(ada, "five"));
    let made = world.commit(store, five).await;
    assert!(is_too_many(&made), "a revoked key leaves its place once: {made:?}");
}

/// A key that is revoked or gone makes nothing, whoever was recognised by it before; and of its end and its last child in one
/// call the child is made only if it comes first.
pub async fn what_a_key_makes_is_there_before_its_end_or_never(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let leave: Permit<WriteKeys> = world.leave(acme);
    let record = world.user(acme, "ada");
    let (_, ada) = world.enrolled(store, record).await;
    let maker = world.key(store, world.wish(ada, "maker")).await;
    let other = world.key(store, world.wish(ada, "other")).await;

    let (_, first) = world.issued(world.wish(ada, "first"));
    world
        .commit(store, first.made_with(maker.id))
        .await
        .expect("a child of a live key");
    let (suspended, suspension) = keyholt_core::pause::suspend(&leave, &maker, None, world.now)
        .expect("a live key")
        .expect("an active one");
    world.commit(store, suspension).await.expect("a suspension");
    let (_, second) = world.issued(world.wish(ada, "second"));
    world
        .commit(store, second.made_with(maker.id))
        .await
        .expect("what is suspended has not ended");

    let (revoked, revocation) = revoke(&leave, &suspended, cause("leaked"), world.now).expect("a live key");
    let (_, third) = world.issued(world.wish(ada, "third"));
    let (_, fourth) = world.issued(world.wish(ada, "fourth"));
    let after = vec![
        world.sealed(revocation.clone()),
        world.sealed(third.clone().made_with(maker.id)),
    ];
    let made = store.commit(after).await;
    assert!(matches!(made, Err(CommitError::MakerEnded)), "{made:?}");
    let before = vec![world.sealed(third.made_with(maker.id)), world.sealed(revocation)];
    store.commit(before).await.expect("the child came first");

    let made = world.commit(store, fourth.clone().made_with(maker.id)).await;
    assert!(matches!(made, Err(CommitError::MakerEnded)), "{made:?}");
    let deletion = keyholt_core::remove::delete(&leave, &revoked, None, world.now);
    world.commit(store, deletion).await.expect("a deletion");
    let made = world.commit(store, fourth.clone().made_with(maker.id)).await;
    assert!(matches!(made, Err(CommitError::MakerEnded)), "{made:?}");
    let (_, good) = world.issued(world.wish(ada, "good"));
    let crowd = [good.made_with(other.id), fourth.clone().made_with(maker.id)].map(|commit| world.sealed(commit));
    let made = store.commit(crowd.into()).await;
    assert!(matches!(made, Err(CommitError::MakerEnded)), "{made:?}");
    world
        .commit(store, fourth.made_with(other.id))
        .await
        .expect("another key lives");
    let keys = store.keys(acme, &KeyQuery::default()).await.expect("a read").entries;
    let mut names: Vec<&str> = keys.iter().map(|(key, _)| key.about.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["first", "fourth", "other", "second", "third"]);
}

/// A request that is repeated is recognised as that, whatever else its first run now stands in the way of.
pub async fn a_repeated_request_is_recognised_before_all_else(store: &dyn Store) {
    let mut world = World::founded(store).await;
    world.acme.policy.keys_per_owner = 1;
    let record = world.user(world.acme.id, "ada");
    let (_, owner) = world.enrolled(store, record).await;
    let (key, first) = world.issued(client_made(&world, owner, "once", b"the secret number 1"));
    let (_, second) = world.issued(client_made(&world, owner, "once", b"the secret number 1"));
    let replay = world.replay("r-1", key.id.uuid());
    let is_repeated = |result: &Result<_, CommitError>| matches!(result, Err(CommitError::ReplayTaken));

    assert!(
        store
            .replay(world.operator.key, &replay.request)
            .await
            .expect("a read")
            .is_none()
    );
    world
        .commit(store, first.remembered(replay.clone()))
        .await
        .expect("the first run");
    let again = world.commit(store, second.remembered(replay.clone())).await;
    assert!(is_repeated(&again), "{again:?}");
    assert_eq!(
        store.replay(world.operator.key, &replay.request).await.expect("a read"),
        Some(replay.clone())
    );
    let stranger = KeyId::from_uuid(Uuid::from_u128(9));
    assert!(store.replay(stranger, &replay.request).await.expect("a read").is_none());

    let mut of_another = replay;
    of_another.actor = stranger;
    let refusal = world.refusal(world.acme.id, "key.issue").remembered(of_another);
    world
        .commit(store, refusal)
        .await
        .expect("another's request of the same name");
}
