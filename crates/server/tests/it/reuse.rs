//! Reuse: a secret that was taken out of use is shown again. It opens nothing, and those who must know learn of it.

use keyholt_core::audit::Event;
use keyholt_core::id::{ProjectId, SYSTEM};
use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_core::rotate::Grace;
use keyholt_core::time::Span;
use keyholt_core::verify::Ask;
use keyholt_server::keeper::{Counting, Question};
use keyholt_store::Fault;
use serde_json::{Value, json};

use crate::acts::{turn, turned};
use crate::house::{Held, House, Wishes, charter, source, wish};
use crate::relay::Relay;

const HOUR: Grace = Grace::For(Span::hours(1));
const NOW: Grace = Grace::For(Span::ZERO);

async fn alices_key(house: &House, name: &str) -> Held {
    let alice = house
        .keeper
        .owner_named(house.project(), keyholt_core::owner::OwnerKind::User, "alice");
    let alice = match alice {
        Ok(alice) => alice,
        Err(_) => Owner::User(house.user("alice").await.id),
    };
    house.issue(wish(alice, name).scopes(&[])).await
}

/// What is told of reuses once they are written, oldest first.
async fn told(house: &House, project: ProjectId) -> Vec<Event> {
    house.keeper.tell_reuses().await;
    let mut events = house.events(project).await;
    events.retain(|event| event.action == "key.reused");
    events.reverse();
    events
}

#[tokio::test]
async fn a_secret_that_was_taken_out_of_use_is_noticed_however_it_was_taken_out() {
    let house = House::open().await;
    let olga = house.olga();
    let graced = alices_key(&house, "its grace is over").await;
    house.rotate(graced.id(), HOUR).await;
    let at_once = alices_key(&house, "no grace").await;
    house.rotate(at_once.id(), NOW).await;
    let ended = alices_key(&house, "its grace was ended").await;
    house.rotate(ended.id(), HOUR).await;
    let end = house.keeper.end_grace(&olga, house.project(), ended.id(), None, None);
    end.await.unwrap();
    let revoked = alices_key(&house, "revoked").await;
    house.revoke(revoked.id(), "leaked").await;
    let both = alices_key(&house, "rotated and revoked").await;
    house.rotate(both.id(), HOUR).await;
    house.revoke(both.id(), "leaked").await;
    house.advance(Span::hours(1));

    for (key, code, end) in [
        (&graced, "unknown", "rotated"),
        (&at_once, "unknown", "rotated"),
        (&ended, "unknown", "rotated"),
        (&revoked, "revoked", "revoked"),
        (&both, "unknown", "rotated"),
    ] {
        let before = told(&house, house.project()).await.len();
        let commits = house.commits().await;
        let verdict = house.ask(
            &key.secret,
            Ask {
                address: source().address,
                ..Ask::default()
            },
        );
        assert_eq!(verdict["code"], code);
        assert_eq!(house.commits().await, commits, "whoever asks waits for nothing");
        let told = told(&house, house.project()).await;
        assert_eq!(told.len(), before + 1, "{}", key.key.about.name);
        let event = told.last().unwrap();
        assert_eq!(event.target.id, Some(key.id().uuid()));
        assert_eq!((event.owner, event.actor), (Some(key.key.owner), None));
        assert_eq!(event.source.address, source().address);
        assert_eq!(event.after, Some(json!({ "secret": end })));
        assert_eq!(event.at, house.keeper.now());
    }
}

#[tokio::test]
async fn at_keyholt_s_own_doors_it_is_noticed_too() {
    let house = House::open().await;
    let verifier = house.verifier().await;
    let shown = house.keeper.verifier(&verifier.secret, source().address).unwrap();
    house.keeper.admit(&shown).unwrap();
    house.rotate(verifier.id(), NOW).await;
    assert!(house.keeper.authenticate(&verifier.secret, source()).is_err());
    assert_eq!(told(&house, house.project()).await.len(), 1);
    house.advance(Span::hours(1));
    assert!(
        house.keeper.admit(&shown).is_err(),
        "let in once is not let in for ever"
    );
    let client = house.keeper.verifier(&verifier.secret, source().address);
    assert!(client.is_err() || house.keeper.admit(&client.unwrap()).is_err());
}

#[tokio::test]
async fn it_is_told_once_an_hour_for_each_source() {
    let house = House::open().await;
    let key = alices_key(&house, "k").await;
    house.revoke(key.id(), "leaked").await;
    let show = |address: &str| {
        let address = Some(address.parse().unwrap());
        house.ask(
            &key.secret,
            Ask {
                address,
                ..Ask::default()
            },
        )
    };
    for _ in 0..50 {
        show("192.0.2.7");
        show("198.51.100.9");
        house.keeper.tell_reuses().await;
    }
    let count = async || told(&house, house.project()).await.len();
    assert_eq!(count().await, 2);
    house.advance(Span::secs(59 * 60));
    show("192.0.2.7");
    assert_eq!(count().await, 2);
    house.advance(Span::secs(60));
    show("192.0.2.7");
    assert_eq!(count().await, 3);
}

#[tokio::test]
async fn what_is_no_reuse_is_not_told() {
    let house = House::open().await;
    let graced = alices_key(&house, "in its grace").await;
    let new = house.rotate(graced.id(), HOUR).await;
    let suspended = alices_key(&house, "suspended").await;
    house.suspend(suspended.id()).await;
    let expired = house
        .issue(wish(graced.key.owner, "expired").scopes(&[]).lasting(Span::secs(60)))
        .await;
    let public = wish(graced.key.owner, "public")
        .of_kind(Kind::Publishable)
        .scopes(&["orders:read"]);
    let public = house.issue(public).await;
    house.revoke(public.id(), "replaced").await;
    let twice = alices_key(&house, "rotated twice").await;
    house.rotate(twice.id(), NOW).await;
    house.rotate(twice.id(), NOW).await;
    house.advance(Span::secs(120));
    for secret in [
        graced.secret.as_str(),
        &new.secret,
        &suspended.secret,
        &expired.secret,
        &public.secret,
        &twice.secret,
        "acme_nonsense",
    ] {
        house.code(secret, &[]);
    }
    // Nor does a verifier of another project learn or leave anything, nor a question that counts nothing.
    let revoked = alices_key(&house, "revoked").await;
    house.revoke(revoked.id(), "leaked").await;
    let globex = house
        .keeper
        .found_project(&house.olga(), charter("globex"))
        .await
        .unwrap();
    for (project, counting) in [(globex.id, Counting::Counted), (house.project(), Counting::DryRun)] {
        let question = Question {
            credential: &revoked.secret,
            ask: Ask::default(),
            counting,
        };
        house.keeper.verify(project, &question, |_| ()).unwrap();
    }
    assert_eq!(told(&house, house.project()).await, Vec::new());
    assert_eq!(told(&house, globex.id).await, Vec::new());
}

#[tokio::test]
async fn the_last_operator_s_old_key_hinders_nobody() {
    let house = House::open().await;
    let (olga, id) = (house.olga(), house.operator.id());
    let new = house.keeper.rotate_key(&olga, SYSTEM, id, turn(NOW), None).await;
    let new = turned(new.unwrap());
    // The new secret is the only way in; whoever has the old one tries it as often as there is time.
    for _ in 0..500 {
        assert!(house.keeper.authenticate(&house.operator.secret, source()).is_err());
    }
    house.keeper.tell_reuses().await;
    let house = House { operator: new, ..house };
    assert_eq!(told(&house, SYSTEM).await.len(), 1);
    let key = house.keeper.own_key(&house.olga()).await.unwrap().key;
    assert_eq!(key.state.as_str(), "active");
    assert_eq!(
        house.keeper.key(&house.olga(), SYSTEM, id).await.unwrap().key.revision,
        key.revision
    );
    house.user("alice").await;
}

#[tokio::test]
async fn what_cannot_be_written_is_told_when_it_can() {
    let relay = Relay::new();
    let line = relay.lone();
    let house = House::open_on(line.clone()).await;
    let key = alices_key(&house, "k").await;
    house.revoke(key.id(), "leaked").await;
    line.fail(Fault::CommitsUnavailable);
    assert_eq!(house.code(&key.secret, &[]), "revoked");
    house.keeper.tell_reuses().await;
    line.fail(Fault::None);
    let told = told(&house, house.project()).await;
    assert_eq!(told.len(), 1);
    let shown: Value = serde_json::to_value(&told[0]).unwrap();
    assert!(!shown.to_string().contains(&key.secret));
}
