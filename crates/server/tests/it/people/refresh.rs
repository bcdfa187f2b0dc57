//! Refresh: a token is good once, and one that comes back ends the session.

use std::sync::Arc;

use keyholt_core::commit::Record;
use keyholt_core::key::State;
use keyholt_core::owner::Owner;
use keyholt_core::time::Span;
use keyholt_server::keeper::Refusal;
use keyholt_store::Memory;

use super::{STAPLE, kept, tokens, typed};
use crate::house::{House, keeper_on, source};

fn is_over<T>(refreshed: Result<T, Refusal>) -> bool {
    matches!(refreshed, Err(Refusal::SessionOver))
}

#[tokio::test]
async fn a_token_is_good_once() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    let first = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    house.advance(Span::secs(60));
    let second = house.refresh(&first.secret).await.unwrap();
    assert_eq!(second.session.id, first.session.id);
    assert_ne!(second.secret, first.secret);
    assert!(second.session.expiry.outlives(first.session.expiry), "its end moves");
    house.advance(Span::secs(60));
    let third = house.refresh(&second.secret).await.unwrap();
    assert_eq!(house.sessions_of(&ada).await[0].id, third.session.id);
}

#[tokio::test]
async fn a_used_up_token_ends_the_session_for_both_holders() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    let other = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let stolen = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    house.advance(Span::secs(60));
    let thiefs = house.refresh(&stolen.secret).await.unwrap();
    house.advance(Span::secs(60));
    assert!(is_over(house.refresh(&stolen.secret).await), "the owner shows it again");
    assert!(is_over(house.refresh(&thiefs.secret).await), "and the thief is out");
    assert_eq!(
        house
            .trail()
            .await
            .iter()
            .filter(|line| *line == "session.reuse")
            .count(),
        1
    );
    let left = house.sessions_of(&ada).await;
    assert_eq!(
        left.iter().map(|session| session.id).collect::<Vec<_>>(),
        [other.session.id]
    );
    let (ended, _) = house
        .store
        .key(house.project(), stolen.session.id)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(ended.state, State::Revoked { cause, .. } if cause.as_str() == "refresh token reused"));
    assert!(
        house.refresh(&other.secret).await.is_ok(),
        "the other session is untouched"
    );
}

#[tokio::test]
async fn every_old_generation_is_recognised_and_none_is_revived() {
    let house = House::open().await;
    house.person("ada").await;
    for shown_again in 0..4 {
        let mut tokens = vec![house.log_in("ada", STAPLE, tokens()).await.unwrap().secret];
        for _ in 0..4 {
            house.advance(Span::secs(10));
            let next = house.refresh(tokens.last().unwrap()).await.unwrap().secret;
            tokens.push(next);
        }
        house.advance(Span::secs(10));
        assert!(is_over(house.refresh(&tokens[shown_again]).await));
        for token in &tokens {
            assert!(is_over(house.refresh(token).await), "nothing of the family lives");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_refreshes_at_once_one_wins_and_the_session_lives() {
    let house = House::open().await;
    house.person("ada").await;
    let first = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let (house, token) = (house.clone(), first.secret.clone());
            tokio::spawn(async move { house.refresh(&token).await.ok() })
        })
        .collect();
    let mut winners = Vec::new();
    for attempt in tries {
        winners.extend(attempt.await.unwrap());
    }
    assert_eq!(winners.len(), 1, "exactly one");
    house.advance(Span::secs(5));
    let next = house.refresh(&winners[0].secret).await.unwrap();
    house.advance(Span::secs(5));
    assert!(
        is_over(house.refresh(&first.secret).await),
        "later the same token is a thief's"
    );
    assert!(is_over(house.refresh(&next.secret).await));
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_at_its_longest() {
    let house = House::open().await;
    house.person("ada").await;
    let idle = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    house.advance(Span::days(7));
    assert!(is_over(house.refresh(&idle.secret).await), "a week without a word");
    let mut busy = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    for _ in 0..9 {
        house.advance(Span::days(3));
        busy = house.refresh(&busy.secret).await.unwrap();
    }
    house.advance(Span::days(3));
    assert!(
        is_over(house.refresh(&busy.secret).await),
        "thirty days are the longest"
    );
}

#[tokio::test]
async fn suspending_the_user_stops_the_session_and_lifting_it_restores_it() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    let session = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let (olga, project, owner) = (house.olga(), house.project(), Owner::User(ada.id));
    house
        .keeper
        .suspend_owner(&olga, project, owner, None, None)
        .await
        .unwrap();
    assert!(is_over(house.refresh(&session.secret).await));
    house
        .keeper
        .resume_owner(&olga, project, owner, None, None)
        .await
        .unwrap();
    let next = house.refresh(&session.secret).await.unwrap();
    house.remove(owner).await;
    assert!(is_over(house.refresh(&next.secret).await));
    // Enrolled again under the same name, the user has neither the session nor the password.
    house.user("ada").await;
    assert!(is_over(house.refresh(&next.secret).await));
    assert!(matches!(
        house.log_in("ada", STAPLE, tokens()).await,
        Err(Refusal::LogIn)
    ));
}

#[tokio::test]
async fn sessions_outlive_a_restart() {
    let store = Arc::new(Memory::new());
    let house = House::open_on(store.clone()).await;
    house.person("ada").await;
    let first = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let second = house.refresh(&first.secret).await.unwrap();
    let house = House {
        keeper: keeper_on(store, Arc::clone(&house.clock), 99).await,
        ..house
    };
    let third = house.refresh(&second.secret).await.unwrap();
    house.advance(Span::secs(60));
    assert!(
        is_over(house.refresh(&first.secret).await),
        "the family is known after a restart"
    );
    assert!(is_over(house.refresh(&third.secret).await));
}

#[tokio::test]
async fn what_is_no_token_is_told_the_same() {
    let house = House::open().await;
    house.person("ada").await;
    let session = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let mut other_family = session.secret.clone().into_bytes();
    other_family[10] ^= 1;
    for nonsense in [
        String::new(),
        "khr_".to_owned(),
        session.secret[..53].to_owned(),
        format!("{} ", session.secret),
        String::from_utf8(other_family).unwrap(),
        "x".repeat(10_000),
    ] {
        assert!(is_over(house.keeper.refresh(&nonsense, source()).await));
    }
    assert!(house.refresh(&session.secret).await.is_ok());
}

#[tokio::test]
async fn a_reuse_in_the_last_operator_s_session_ends_that_and_leaves_the_way_in() {
    let house = House::open().await;
    let olga = house.olga();
    let Record::User(user) = house
        .keeper
        .owner(&olga, olga.home, olga.owner)
        .unwrap()
        .as_ref()
        .clone()
    else {
        panic!("an operator is a user");
    };
    house.give_password(&user, STAPLE).await;
    let password = typed(STAPLE);
    let log_in = async || {
        let logged_in = house.keeper.log_in(olga.home, "olga", &password, tokens(), source());
        kept(logged_in.await.unwrap())
    };
    let stolen = log_in().await;
    house.advance(Span::secs(10));
    house.refresh(&stolen.secret).await.unwrap();
    house.advance(Span::secs(10));
    assert!(is_over(house.refresh(&stolen.secret).await));
    let trail = house.events(olga.home).await;
    assert!(trail.iter().any(|event| event.action == "session.reuse"));
    assert!(
        house.actor(&house.operator.secret).is_operator(),
        "her key is not touched"
    );
    house.refresh(&log_in().await.secret).await.unwrap();
}
