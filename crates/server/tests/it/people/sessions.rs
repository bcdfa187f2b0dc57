//! Sessions: who sees and ends whose, and how many there are.

use keyholt_core::owner::Owner;
use keyholt_core::time::Span;
use keyholt_server::keeper::{Refusal, SESSIONS_PER_USER_MAX};

use super::{STAPLE, in_cookie, tokens};
use crate::acts::cause;
use crate::house::{House, source};

#[tokio::test]
async fn everybody_sees_and_ends_their_own() {
    let house = House::open().await;
    house
        .role_means("member", &["keyholt:self:read", "keyholt:self:write"])
        .await;
    let (ada, bob) = (house.person("ada").await, house.person("bob").await);
    let here = house.log_in("ada", STAPLE, in_cookie()).await.unwrap();
    let lost = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let bobs = house.log_in("bob", STAPLE, tokens()).await.unwrap();
    let actor = house.keeper.authenticate_cookie(&here.secret, source()).unwrap();
    let (project, own) = (house.project(), Owner::User(ada.id));
    assert_eq!(house.keeper.sessions(&actor, project, own).await.unwrap().len(), 2);
    house
        .keeper
        .end_session(&actor, project, own, lost.session.id, cause("lost"))
        .await
        .unwrap();
    assert!(house.refresh(&lost.secret).await.is_err());

    let others = Owner::User(bob.id);
    assert!(matches!(
        house.keeper.sessions(&actor, project, others).await,
        Err(Refusal::NotFound(_))
    ));
    for owner in [own, others] {
        let told = house
            .keeper
            .end_session(&actor, project, owner, bobs.session.id, cause("x"))
            .await;
        assert!(matches!(told, Err(Refusal::NotFound(_))), "{told:?}");
    }
    assert!(house.refresh(&bobs.secret).await.is_ok());
    assert_eq!(
        house
            .keeper
            .end_sessions(&actor, project, own, cause("everywhere"))
            .await
            .unwrap(),
        1
    );
    assert!(house.keeper.authenticate_cookie(&here.secret, source()).is_err());
}

#[tokio::test]
async fn an_administrator_logs_a_user_out_everywhere() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    let mut tokens_of_ada = Vec::new();
    for _ in 0..3 {
        tokens_of_ada.push(house.log_in("ada", STAPLE, tokens()).await.unwrap().secret);
    }
    let (olga, owner) = (house.olga(), Owner::User(ada.id));
    let ended = house
        .keeper
        .end_sessions(&olga, house.project(), owner, cause("left"))
        .await;
    assert_eq!(ended.unwrap(), 3);
    for token in &tokens_of_ada {
        assert!(house.refresh(token).await.is_err());
    }
    assert_eq!(
        house.trail().await.iter().filter(|line| *line == "session.end").count(),
        3
    );
}

#[tokio::test]
async fn whoever_holds_a_session_can_end_it() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    let session = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    house.advance(Span::secs(10));
    let next = house.refresh(&session.secret).await.unwrap();
    house.advance(Span::secs(10));
    // A used-up token is not possession of the session.
    house.keeper.log_out(&session.secret, source()).await.unwrap();
    assert_eq!(house.sessions_of(&ada).await.len(), 1);
    house.keeper.log_out(&next.secret, source()).await.unwrap();
    assert!(house.refresh(&next.secret).await.is_err());
    house.keeper.log_out(&next.secret, source()).await.unwrap();
    house.keeper.log_out("nonsense", source()).await.unwrap();
    let cookie = house.log_in("ada", STAPLE, in_cookie()).await.unwrap();
    house.keeper.log_out(&cookie.secret, source()).await.unwrap();
    assert!(house.keeper.authenticate_cookie(&cookie.secret, source()).is_err());
}

#[tokio::test]
async fn one_session_too_many_ends_the_oldest() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    let first = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let second = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    for _ in 2..=SESSIONS_PER_USER_MAX {
        house.advance(Span::millis(1));
        house.log_in("ada", STAPLE, tokens()).await.unwrap();
    }
    assert_eq!(house.sessions_of(&ada).await.len(), SESSIONS_PER_USER_MAX);
    assert!(house.refresh(&first.secret).await.is_err());
    assert!(house.refresh(&second.secret).await.is_ok());
}
