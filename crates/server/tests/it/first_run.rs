//! The first run: one token, one operator, no default password.

use std::sync::Arc;

use keyholt_core::found::FirstOperator;
use keyholt_core::text::{ExternalId, Name};
use keyholt_core::time::Span;
use keyholt_server::clock::FakeClock;
use keyholt_server::keeper::{FirstStart, Keeper, Refusal};
use keyholt_store::Memory;

use crate::house::{House, NEW_YEAR, canary, held, keeper_on, refusal, source};

fn who(name: &str) -> FirstOperator {
    FirstOperator {
        name: Name::new(name).unwrap(),
        external_id: ExternalId::new(name).unwrap(),
        email: None,
    }
}

async fn fresh() -> (Arc<Keeper>, Arc<FakeClock>, String) {
    let clock = Arc::new(FakeClock::at(NEW_YEAR));
    let keeper = keeper_on(Arc::new(Memory::new()), Arc::clone(&clock), 1).await;
    let FirstStart::Token(token) = keeper.start(source()).await.unwrap() else {
        panic!("complete already")
    };
    let token = token.reveal().to_string();
    canary(&token);
    (keeper, clock, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_attempts_with_the_token_one_makes_the_operator() {
    let (keeper, _, token) = fresh().await;
    let attempts = (0..50).map(|n| {
        let (keeper, token) = (Arc::clone(&keeper), token.clone());
        tokio::spawn(async move {
            let operator = keeper.set_up(&token, who(&format!("op{n}")), source()).await;
            operator.map(|operator| held(operator.issued)).is_ok()
        })
    });
    let mut made = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        made += usize::from(attempt.await.unwrap());
    }
    assert_eq!(made, 1);
    assert!(!keeper.is_setup_open());
}

#[tokio::test]
async fn a_token_is_dead_after_a_day_and_a_start_makes_a_new_one() {
    let (keeper, clock, token) = fresh().await;
    clock.advance(std::time::Duration::from_millis(Span::hours(24).ms()));
    assert!(matches!(
        refusal(keeper.set_up(&token, who("late"), source()).await),
        Refusal::Found(_)
    ));
    let FirstStart::Token(again) = keeper.start(source()).await.unwrap() else {
        panic!("closed without an operator")
    };
    let again = again.reveal();
    canary(&again);
    let operator = keeper.set_up(&again, who("olga"), source()).await.unwrap();
    held(operator.issued);
}

#[tokio::test]
async fn a_second_start_does_not_reopen_the_set_up() {
    let house = House::open().await;
    assert!(matches!(
        house.keeper.start(source()).await.unwrap(),
        FirstStart::Complete
    ));
    assert!(matches!(
        refusal(house.keeper.set_up("khsetup_x", who("eve"), source()).await),
        Refusal::SetUpComplete
    ));
}

#[tokio::test]
async fn the_wrong_master_key_is_refused_and_nothing_is_called_invalid() {
    let house = House::open().await;
    let parts = keyholt_server::keeper::Parts {
        store: Arc::clone(&house.store),
        masters: keyholt_core::seal::MasterKey::new([43; 32]).into(),
        clock: Arc::clone(&house.clock) as _,
        entropy: Box::new(crate::house::seeded(1)),
        staleness_max: std::time::Duration::from_secs(2),
        issuers: keyholt_server::keeper::Issuers::at("https://keyholt.example"),
        guesses: crate::house::GUESSES,
        set_back: keyholt_server::keeper::SetBack::Refuse,
    };
    assert!(matches!(
        Keeper::open(parts).await,
        Err(keyholt_server::keeper::OpenError::Bond(
            keyholt_core::bond::BondError::Other
        ))
    ));
}
