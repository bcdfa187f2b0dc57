//! Ending keys: revoke, many at once too, and delete; and what is said about a key that does not work.

use keyholt_core::key::State;
use keyholt_core::owner::Owner;
use keyholt_core::rotate::Grace;
use keyholt_core::time::{Moment, Span};
use keyholt_server::keeper::Refusal;
use keyholt_store::{KeyQuery, Owners};

use crate::acts::cause;
use crate::house::{House, NEW_YEAR, Wishes, refusal, wish};

#[tokio::test]
async fn a_revocation_is_final_and_keeps_its_first_time_and_cause() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let old = house.issue(wish(alice, "ci").scopes(&[])).await;
    let new = house.rotate(old.id(), Grace::For(Span::hours(1))).await;
    house.revoke(old.id(), "leaked").await;
    assert_eq!(house.code(&new.secret, &[]), "revoked");
    assert_eq!(
        house.code(&old.secret, &[]),
        "unknown",
        "the retiring secret goes with the key"
    );

    house.advance(Span::hours(5));
    let before = house.commits().await;
    let again = house.revoke(old.id(), "another reason").await;
    let first = State::Revoked {
        at: Moment::from_ms(NEW_YEAR),
        cause: cause("leaked"),
    };
    assert_eq!(again.state, first);
    assert_eq!(house.commits().await, before);
}

#[tokio::test]
async fn a_deleted_key_is_unknown_and_its_trail_stays() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let old = house.issue(wish(alice, "ci").scopes(&[])).await;
    let new = house.rotate(old.id(), Grace::For(Span::hours(1))).await;
    house.delete(old.id()).await;
    for secret in [&old.secret, &new.secret] {
        assert_eq!(house.code(secret, &[]), "unknown");
    }
    let olga = house.olga();
    assert!(matches!(
        refusal(house.keeper.key(&olga, house.project(), old.id()).await),
        Refusal::NotFound(_)
    ));
    assert!(
        house
            .keeper
            .delete_key(&olga, house.project(), old.id(), None, None)
            .await
            .is_err()
    );
    let trail = house.trail().await;
    assert_eq!(
        trail.iter().take(4).collect::<Vec<_>>(),
        ["key.delete refused: not_found", "key.delete", "key.rotate", "key.issue"]
    );
}

#[tokio::test]
async fn many_are_revoked_when_the_caller_knows_how_many() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let bob = Owner::User(house.user("bob").await.id);
    let mut hers = Vec::new();
    for n in 0..5 {
        hers.push(house.issue(wish(alice, &format!("k{n}")).scopes(&[])).await);
    }
    let his = house.issue(wish(bob, "his").scopes(&[])).await;
    house.revoke(hers[0].id(), "earlier").await;
    house.suspend(hers[1].id()).await;
    let olga = house.olga();
    let revoke = |expected| {
        let query = KeyQuery {
            owners: Owners::These(vec![alice]),
            ..KeyQuery::default()
        };
        house
            .keeper
            .revoke_matching(&olga, house.project(), query, expected, cause("alice left"))
    };
    for wrong in [0, 3, 5, 6] {
        assert!(matches!(
            refusal(revoke(wrong).await),
            Refusal::CountDiffers { count: 4 }
        ));
        assert_eq!(house.code(&hers[2].secret, &[]), "valid");
    }
    assert_eq!(revoke(4).await.unwrap(), 4);
    for key in &hers {
        assert_eq!(house.code(&key.secret, &[]), "revoked");
    }
    assert_eq!(house.code(&his.secret, &[]), "valid");
    let causes = house.key(hers[0].id()).await.state;
    assert!(matches!(causes, State::Revoked { cause, .. } if cause.as_str() == "earlier"));
    assert_eq!(revoke(0).await.unwrap(), 0, "there is nothing left");
}

#[tokio::test]
async fn possession_is_leave_enough_to_end_a_key() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let powerless = house.issue(wish(alice, "powerless").scopes(&[])).await;
    let actor = house.actor(&powerless.secret);
    assert_eq!(house.keeper.own_key(&actor).await.unwrap().key.id, powerless.id());
    let ended = house
        .keeper
        .revoke_own_key(&actor, cause("lost my laptop"))
        .await
        .unwrap();
    assert!(matches!(ended.key.state, State::Revoked { .. }));
    assert_eq!(house.code(&powerless.secret, &[]), "revoked");
}

#[tokio::test]
async fn validity_is_told_in_the_words_of_verify() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let (olga, project) = (house.olga(), house.project());
    let key = house.issue(wish(alice, "k").scopes(&[]).lasting(Span::days(1))).await;
    let agreed = async |expected: &str| {
        assert_eq!(house.validity(key.id()).await, expected);
        assert_eq!(house.code(&key.secret, &[]), expected);
    };
    agreed("valid").await;
    house.suspend(key.id()).await;
    agreed("suspended").await;
    house.resume(key.id()).await;
    house
        .keeper
        .suspend_owner(&olga, project, alice, None, None)
        .await
        .unwrap();
    agreed("owner_suspended").await;
    house
        .keeper
        .resume_owner(&olga, project, alice, None, None)
        .await
        .unwrap();
    house.keeper.suspend_project(&olga, project, None, None).await.unwrap();
    agreed("project_suspended").await;
    house.keeper.resume_project(&olga, project, None, None).await.unwrap();
    agreed("valid").await;
    house.advance(Span::days(1));
    agreed("expired").await;
    house.revoke(key.id(), "over").await;
    agreed("revoked").await;
    house.remove(alice).await;
    agreed("revoked").await;
}
