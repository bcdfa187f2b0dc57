//! The story as it should go, on every engine; and what happens when it is cut short, begun wrongly, or watched by others.

use std::sync::Arc;

use keyholt_core::bond::{BondError, Sealing};
use keyholt_core::issue::SecretOrigin;
use keyholt_core::owner::Owner;
use keyholt_core::rotate::Grace;
use keyholt_core::time::Span;
use keyholt_server::keeper::{Known, Refusal};
use keyholt_store::{Memory, Postgres, Sqlite, Store};
use tokio_postgres::NoTls;

use super::{FIRST, SECOND, THIRD, bond_error};
use crate::acts::client_made;
use crate::house::{House, Wishes, refusal, seeded, source, wish};
use crate::people::{STAPLE, in_cookie, tokens};
use crate::relay::Relay;
use crate::tokens::stage::Stage;

#[tokio::test]
async fn in_memory_old_keys_go_on_and_the_old_master_key_can_go() {
    the_story(Arc::new(Memory::new())).await;
}

#[tokio::test]
async fn on_sqlite_old_keys_go_on_and_the_old_master_key_can_go() {
    let folder = tempfile::tempdir().unwrap();
    the_story(Arc::new(Sqlite::open(&folder.path().join("keyholt.db")).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_old_keys_go_on_and_the_old_master_key_can_go() {
    let url = database().await;
    the_story(Arc::new(Postgres::connect(&url, &mut seeded(5)).await.unwrap())).await;
}

/// An empty database on the server that the test command starts.
#[expect(
    clippy::disallowed_methods,
    reason = "the test command says in the environment where its server is"
)]
async fn database() -> String {
    let server = std::env::var("KEYHOLT_TEST_POSTGRES").expect("run with `make test`, which starts a PostgreSQL");
    let (client, connection) = tokio_postgres::connect(&server, NoTls).await.unwrap();
    tokio::spawn(connection);
    let name = format!("keyholt_masters_{}", std::process::id());
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let (base, query) = server.split_once('?').unwrap_or((&server, ""));
    let (host, _) = base.rsplit_once('/').unwrap();
    format!("{host}/{name}?{query}")
}

async fn the_story(store: Arc<dyn Store>) {
    let stage = Stage::in_house(House::open_on(store).await).await;
    let house = &stage.house;
    let ada = house.person("ada").await;
    let owner = Owner::User(ada.id);
    let used = house.issue(wish(owner, "used").scopes(&["orders:read"])).await;
    let idle = house.issue(wish(owner, "idle").scopes(&["orders:read"])).await;
    let session = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let cookie = house.log_in("ada", STAPLE, in_cookie()).await.unwrap();
    let token = stage.token(&stage.client).await;
    let revision = house.key(idle.id()).await.revision;

    // Started with the new one, and with the old one beside it: everything works, before anything is made anew and after.
    let both = house.under(SECOND, Some(FIRST)).await;
    assert_eq!(both.hanging().await.sealing, Sealing::UnderWay);
    for is_sealed_anew in [false, true] {
        if is_sealed_anew {
            both.seal_anew().await;
        }
        for secret in [&used.secret, &token] {
            assert_eq!(both.code(secret, &["orders:read"]), "valid");
        }
        assert!(both.recognises(&used.secret));
        assert!(both.keeper.authenticate_cookie(&cookie.secret, source()).is_ok());
    }
    assert_eq!(both.hanging().await.sealing, Sealing::Done);
    let revision_now = both.key(idle.id()).await.revision;
    assert_eq!(revision_now, revision, "sealed anew is not changed");

    // Keys: olga's, the client's, the verifier's, ada's two; and ada's two sessions. The cookie and olga's were shown.
    let (before, _) = both.left().await;
    assert_eq!(before, 7);
    both.keeper.renew_shown().await.unwrap();
    assert_eq!(both.left().await, (4, 1));
    let refreshed = both.refresh(&session.secret).await.unwrap();
    both.log_in("ada", STAPLE, tokens()).await.unwrap();
    assert_eq!(
        both.left().await,
        (3, 0),
        "the session is refreshed, the password made anew"
    );
    // The client has its token from before its digest was renewed, and one from after.
    assert_eq!(both.code(&stage.client.secret, &[]), "valid");
    both.keeper.renew_shown().await.unwrap();
    for secret in [&token, &stage.client.secret, &used.secret] {
        assert_eq!(both.code(secret, &["orders:read"]), "valid");
    }
    let left: Vec<_> = both.hanging().await.keys.into_iter().map(|(_, key)| key).collect();
    assert_eq!(left.len(), 2);
    assert!(
        left.contains(&idle.id()) && left.contains(&stage.verifier.id()),
        "{left:?}"
    );
    assert!(both.trail().await.contains(&"key.renew".to_owned()));

    // The old one is taken away. What was never shown is told of first, and stops being recognised.
    let alone = house.under(SECOND, None).await;
    assert_eq!(alone.keeper.alarms(), 0);
    for (secret, code) in [(&used.secret, "valid"), (&token, "valid"), (&idle.secret, "unknown")] {
        assert_eq!(alone.code(secret, &["orders:read"]), code);
    }
    assert!(alone.keeper.authenticate_cookie(&cookie.secret, source()).is_ok());
    alone.refresh(&refreshed.secret).await.unwrap();
    alone.log_in("ada", STAPLE, tokens()).await.unwrap();
    let hanging = alone.hanging().await;
    assert_eq!((hanging.previous, hanging.digests), (Known::No, 2));
    let new = alone.rotate(idle.id(), Grace::For(Span::ZERO)).await;
    assert_eq!(alone.code(&new.secret, &["orders:read"]), "valid");

    // And once more: the master key is replaced as often as anybody likes.
    let third = house.under(THIRD, Some(SECOND)).await;
    third.seal_anew().await;
    assert_eq!(third.code(&used.secret, &[]), "valid");
    assert_eq!(
        third.code(&stage.verifier.secret, &[]),
        "unknown",
        "two master keys ago"
    );
    third.keeper.renew_shown().await.unwrap();
    let last = house.under(THIRD, None).await;
    assert_eq!(last.code(&used.secret, &[]), "valid");
    assert_eq!(
        (last.code(&new.secret, &[]), last.keeper.alarms()),
        ("unknown".to_owned(), 0)
    );
}

#[tokio::test]
async fn a_kill_between_two_batches_leaves_nothing_behind_that_is_not_finished_later() {
    let relay = Relay::new();
    let house = House::open_on(relay.lone()).await;
    let owner = Owner::User(house.user("ada").await.id);
    let mut keys = Vec::new();
    for n in 0..600 {
        keys.push(
            house
                .issue(wish(owner, &format!("k{n}")).scopes(&["orders:read"]))
                .await,
        );
    }
    for batch in 1..=3 {
        let running = house.under(SECOND, Some(FIRST)).await;
        let late = relay.answer_the_next_commit_late();
        let keeper = Arc::clone(&running.keeper);
        let work = tokio::spawn(async move { keeper.seal_anew().await });
        // The batch is written, and whoever wrote it is gone before it hears so.
        late.ready.await.unwrap();
        work.abort();
        let without = house.try_under(Arc::clone(&house.store), SECOND, None).await;
        assert_eq!(bond_error(without), BondError::UnderWay, "batch {batch}");
        let back = house.try_under(Arc::clone(&house.store), FIRST, None).await;
        assert_eq!(bond_error(back), BondError::Other, "batch {batch}");
    }
    let running = house.under(SECOND, Some(FIRST)).await;
    running.keeper.seal_anew().await.unwrap();
    assert_eq!((running.keeper.alarms(), running.left().await.0), (0, 601));
    for key in &keys {
        assert_eq!(running.code(&key.secret, &["orders:read"]), "valid");
    }
    running.keeper.renew_shown().await.unwrap();
    let alone = house.under(SECOND, None).await;
    assert_eq!((alone.keeper.alarms(), alone.hanging().await.digests), (0, 0));
    assert_eq!(alone.code(&keys[599].secret, &["orders:read"]), "valid");
}

#[tokio::test]
async fn whoever_changes_the_mind_goes_back_at_any_time() {
    let house = House::open().await;
    let owner = Owner::User(house.user("ada").await.id);
    let old = house.issue(wish(owner, "old").everything()).await;
    let there = house.under(SECOND, Some(FIRST)).await;
    let new = there.issue(wish(owner, "new").everything()).await;
    let back = house.under(FIRST, Some(SECOND)).await;
    assert_eq!(
        (back.code(&old.secret, &[]), back.code(&new.secret, &[])),
        ("valid".into(), "valid".into())
    );
    back.keeper.seal_anew().await.unwrap();
    back.keeper.renew_shown().await.unwrap();
    let alone = house.under(FIRST, None).await;
    assert_eq!(
        (alone.code(&old.secret, &[]), alone.code(&new.secret, &[])),
        ("valid".into(), "valid".into())
    );
    assert_eq!(alone.keeper.alarms(), 0);
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_changes_nothing() {
    let relay = Relay::new();
    let house = House::open_on(relay.lone()).await;
    let before = relay.dump().await;
    for (present, previous, expected) in [
        (SECOND, None, BondError::Other),
        (SECOND, Some(THIRD), BondError::Other),
        (FIRST, Some(THIRD), BondError::OtherPrevious),
        (FIRST, Some(FIRST), BondError::Same),
    ] {
        let opened = house.try_under(Arc::clone(&house.store), present, previous).await;
        assert_eq!(bond_error(opened), expected);
        assert_eq!(relay.dump().await, before);
    }
    house.under(SECOND, Some(FIRST)).await.keeper.seal_anew().await.unwrap();
    let opened = house.try_under(Arc::clone(&house.store), SECOND, Some(THIRD)).await;
    assert_eq!(bond_error(opened), BondError::OtherPrevious);
}

#[tokio::test]
async fn nobody_takes_the_place_of_a_secret_that_is_not_renewed_yet() {
    let house = House::open().await;
    let owner = Owner::User(house.user("ada").await.id);
    let (text, fingerprint) = client_made(3);
    let made = wish(owner, "made").scopes(&["orders:read"]);
    let made = keyholt_core::issue::Wish {
        origin: SecretOrigin::ClientMade(fingerprint),
        ..made
    };
    let olga = house.olga();
    house
        .keeper
        .issue_key(&olga, house.project(), made.clone(), None)
        .await
        .unwrap();
    let both = house.under(SECOND, Some(FIRST)).await;
    let again = both.keeper.issue_key(&both.olga(), both.project(), made, None).await;
    assert!(matches!(refusal(again), Refusal::SecretTaken));
    assert_eq!(both.code(&text, &["orders:read"]), "valid");
}

#[tokio::test]
async fn verify_asks_nobody_while_digests_are_renewed() {
    let line = Relay::new().lone();
    let house = House::open_on(line.clone()).await;
    let owner = Owner::User(house.user("ada").await.id);
    let key = house.issue(wish(owner, "key").everything()).await;
    let both = house.under(SECOND, Some(FIRST)).await;
    let before = line.calls();
    for _ in 0..1000 {
        assert_eq!(both.code(&key.secret, &[]), "valid");
        assert!(both.recognises(&key.secret));
        assert_eq!(both.code("acme-nonsense-nonsense", &[]), "unknown");
    }
    assert_eq!(line.calls(), before);
    both.keeper.renew_shown().await.unwrap();
    assert!(line.calls() > before);
}

#[tokio::test]
async fn a_key_in_its_grace_is_renewed_when_the_grace_is_over() {
    let house = House::open().await;
    let owner = Owner::User(house.user("ada").await.id);
    let old = house.issue(wish(owner, "key").everything()).await;
    let new = house.rotate(old.id(), Grace::For(Span::hours(1))).await;
    let both = house.under(SECOND, Some(FIRST)).await;
    both.keeper.seal_anew().await.unwrap();
    let before = both.left().await.0;
    for _ in 0..2 {
        assert_eq!(
            (both.code(&old.secret, &[]), both.code(&new.secret, &[])),
            ("valid".into(), "valid".into())
        );
        both.keeper.renew_shown().await.unwrap();
    }
    assert!(
        both.left().await.0 >= 2 && before >= 2,
        "two secrets and two digests stay"
    );
    both.advance(Span::hours(2));
    assert_eq!(both.code(&new.secret, &[]), "valid");
    both.keeper.renew_shown().await.unwrap();
    let alone = house.under(SECOND, None).await;
    assert_eq!(
        (alone.code(&old.secret, &[]), alone.code(&new.secret, &[])),
        ("unknown".into(), "valid".into())
    );
}

#[tokio::test(start_paused = true)]
async fn another_node_with_the_old_key_alone_gives_up_and_calls_nothing_invalid() {
    let relay = Relay::new();
    let house = House::open_on(relay.shared()).await;
    let owner = Owner::User(house.user("ada").await.id);
    let key = house.issue(wish(owner, "key").everything()).await;
    let new = house.try_under(relay.shared(), SECOND, Some(FIRST)).await.unwrap();
    let keeper = Arc::clone(&new.keeper);
    let work = tokio::spawn(async move { keeper.seal_anew().await });
    while house.keeper.catch_up().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!house.keeper.is_fresh());
    let shown = house.keeper.authenticate(&key.secret, source());
    assert_eq!(shown.unwrap_err(), keyholt_server::keeper::Unauthenticated::CannotKnow);
    assert_eq!(house.keeper.alarms(), 0, "nothing was tampered with");
    assert!(!work.is_finished(), "the other one may not have noticed yet");
    while !work.is_finished() {
        house.advance(Span::secs(1));
        new.keeper.catch_up().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    work.await.unwrap().unwrap();
    assert_eq!(new.code(&key.secret, &[]), "valid");
}
