//! Usage: counted by hour and outcome, written behind verify's back, and not lost when the store is away for a while.

use keyholt_core::owner::Owner;
use keyholt_core::rotate::Grace;
use keyholt_core::time::Span;
use keyholt_core::verify::Ask;
use keyholt_server::keeper::Refusal;
use keyholt_store::{Fault, Usage, UseOutcome};

use crate::house::{Held, House, Wishes, refusal, wish};
use crate::relay::Relay;

pub async fn usage(house: &House, key: &Held) -> Result<Usage, Refusal> {
    let now = house.keeper.now();
    let week = now.minus(Span::days(7));
    house
        .keeper
        .key_usage(&house.olga(), house.project(), key.id(), week, now)
        .await
}

fn uses(usage: &Usage) -> u64 {
    usage.hours.iter().map(|(_, _, count)| count).sum()
}

fn from(address: &str) -> Ask<'static> {
    Ask {
        address: Some(address.parse().unwrap()),
        ..Ask::default()
    }
}

#[tokio::test]
async fn uses_are_counted_by_hour_and_outcome() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let key = house.issue(wish(alice, "key").scopes(&["orders:read"])).await;
    let first = house.keeper.now();
    assert_eq!(usage(&house, &key).await.unwrap(), Usage::default());
    for _ in 0..3 {
        house.ask(&key.secret, from("192.0.2.1"));
    }
    house.code(&key.secret, &["orders:write"]);
    house.code("acme-nonsense-nonsense", &[]);
    house.advance(Span::millis(Span::hours(1).ms() - 1));
    house.ask(&key.secret, from("192.0.2.2"));
    house.advance(Span::millis(1));
    let new = house.rotate(key.id(), Grace::For(Span::hours(1))).await;
    house.ask(&key.secret, from("192.0.2.3"));
    let last = house.keeper.now();
    house.advance(Span::secs(1));
    house.suspend(key.id()).await;
    house.ask(&new.secret, from("192.0.2.4"));

    let hour = first.hour();
    let used = usage(&house, &key).await.unwrap();
    assert_eq!(
        used.hours,
        [
            (hour, UseOutcome::Granted, 4),
            (hour, UseOutcome::DeniedScope, 1),
            (hour + 1, UseOutcome::GrantedRetiring, 1),
            (hour + 1, UseOutcome::DeniedStanding, 1),
        ]
    );
    let span = used.last.unwrap();
    assert_eq!((span.first_at, span.last_at), (first, last), "a denied use is no use");
    assert_eq!(span.address, Some("192.0.2.3".parse().unwrap()));
}

#[tokio::test]
async fn what_the_store_does_not_take_is_written_later_and_once() {
    let line = Relay::new().lone();
    let house = House::open_on(line.clone()).await;
    let alice = Owner::User(house.user("alice").await.id);
    let key = house.issue(wish(alice, "key").scopes(&["orders:read"])).await;
    house.ask(&key.secret, from("192.0.2.1"));
    line.fail(Fault::UsageUnavailable);
    for _ in 0..3 {
        assert!(matches!(refusal(usage(&house, &key).await), Refusal::Store(_)));
        house.ask(&key.secret, from("192.0.2.2"));
    }
    line.fail(Fault::None);
    for _ in 0..2 {
        let used = usage(&house, &key).await.unwrap();
        assert_eq!(uses(&used), 4);
        assert_eq!(used.last.unwrap().address, Some("192.0.2.2".parse().unwrap()));
    }
}

#[tokio::test]
async fn a_keeper_that_rests_has_written_everything_down() {
    let relay = Relay::new();
    let house = House::open_on(relay.lone()).await;
    let alice = Owner::User(house.user("alice").await.id);
    let key = house.issue(wish(alice, "key").scopes(&["orders:read"])).await;
    for _ in 0..5 {
        house.code(&key.secret, &["orders:read"]);
    }
    house.keeper.rest().await;
    let again = house.beside(relay.lone()).await;
    assert_eq!(uses(&usage(&again, &key).await.unwrap()), 5);
}
