//! Time does not run backwards, not over a restart either.

use std::sync::Arc;
use std::time::Duration;

use keyholt_core::owner::Owner;
use keyholt_core::time::Span;
use keyholt_server::clock::{Clock, FakeClock};
use keyholt_server::keeper::{Keeper, SetBack};

use crate::house::{Held, House, NEW_YEAR, Wishes, keeper_after, wish};

/// A house in which a key of an hour expired an hour ago.
async fn two_hours_later() -> (House, Held) {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let key = house.issue(wish(alice, "short").lasting(Span::hours(1))).await;
    assert_eq!(house.code(&key.secret, &[]), "valid");
    house.advance(Span::hours(2));
    assert_eq!(house.code(&key.secret, &[]), "expired");
    (house, key)
}

/// The same house after a restart of a machine whose clock stands at New Year again.
async fn restarted(house: &House, set_back: SetBack) -> House {
    let clock = Arc::new(FakeClock::at(NEW_YEAR));
    let keeper: Arc<Keeper> = keeper_after(Arc::clone(&house.store), Arc::clone(&clock), 23, set_back).await;
    House {
        keeper,
        clock,
        ..house.clone()
    }
}

#[tokio::test]
async fn what_expired_stays_expired_when_the_machine_starts_with_a_clock_set_back() {
    let (house, key) = two_hours_later().await;
    house.keeper.rest().await;
    let house = restarted(&house, SetBack::Refuse).await;
    assert_eq!(house.code(&key.secret, &[]), "expired");
    assert_eq!(house.keeper.clock_behind(), Duration::from_secs(7_200));
    house.advance(Span::hours(1));
    assert_eq!(house.keeper.now().ms(), NEW_YEAR + 3 * 3_600_000, "time goes on");
}

#[tokio::test]
async fn without_a_last_word_the_last_commit_tells_how_late_it_was() {
    let (house, key) = two_hours_later().await;
    house.user("bob").await;
    let house = restarted(&house, SetBack::Refuse).await;
    assert_eq!(house.code(&key.secret, &[]), "expired");
}

#[tokio::test]
async fn an_operator_can_say_that_the_clock_was_wrong_before() {
    let (house, key) = two_hours_later().await;
    house.user("bob").await;
    house.keeper.rest().await;
    let believing = restarted(&house, SetBack::Believe).await;
    assert_eq!(believing.code(&key.secret, &[]), "valid");
    assert_eq!(believing.clock.now_ms(), NEW_YEAR);
    let next = restarted(&house, SetBack::Refuse).await;
    assert_eq!(next.clock.now_ms(), NEW_YEAR, "saying it once is enough");
}
