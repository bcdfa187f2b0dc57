//! What was made with a key ends with it, where that is wished.

use http::StatusCode;
use keyholt_core::id::SYSTEM;
use keyholt_core::key::{Key, State};
use keyholt_core::owner::Owner;
use keyholt_core::text::Name;
use keyholt_core::time::Span;
use keyholt_server::keeper::{Descendants, Extent, Refusal, Unauthenticated};
use serde_json::json;

use crate::acts::cause;
use crate::house::{Held, House, Wishes, held, refusal, wish};
use crate::wire::Wire;

/// A key that was made with another one.
async fn made_with(house: &House, maker: &Held, name: &str) -> Held {
    let owner = maker.key.owner;
    let actor = house.actor(&maker.secret);
    let project = house.project();
    let wish = wish(owner, name).everything();
    held(house.keeper.issue_key(&actor, project, wish, None).await.unwrap())
}

async fn admins_key(house: &House) -> Held {
    let admin = house.user_with("anna", &["admin"]).await;
    house.issue(wish(Owner::User(admin.id), "first").everything()).await
}

async fn revoke_all(house: &House, key: &Held, why: &str) -> Descendants {
    let (olga, project) = (house.olga(), house.project());
    let revoked = house
        .keeper
        .revoke_with_descendants(&olga, project, key.id(), cause(why), None);
    revoked.await.unwrap().1
}

fn ended(revoked: u64) -> Descendants {
    Descendants {
        revoked,
        left: 0,
        extent: Extent::All,
    }
}

fn cause_of(key: &Key) -> String {
    match &key.state {
        State::Revoked { cause, .. } => cause.to_string(),
        other => panic!("it lives: {other:?}"),
    }
}

#[tokio::test]
async fn all_that_was_made_with_a_key_ends_with_it_through_all_generations() {
    let house = House::open().await;
    let root = admins_key(&house).await;
    let child = made_with(&house, &root, "child").await;
    let grandchild = made_with(&house, &child, "grandchild").await;
    let sibling = house.issue(wish(root.key.owner, "sibling").everything()).await;
    house.revoke(child.id(), "tidying").await;
    let before = house.commits().await;

    assert_eq!(revoke_all(&house, &root, "leaked").await, ended(1));
    for dead in [&root, &child, &grandchild] {
        assert_eq!(house.code(&dead.secret, &[]), "revoked");
    }
    assert_eq!(house.code(&sibling.secret, &[]), "valid", "the operator made it");
    assert_eq!(cause_of(&house.key(root.id()).await), "leaked");
    assert_eq!(
        cause_of(&house.key(child.id()).await),
        "tidying",
        "the first cause is kept"
    );
    let told = format!("made with key {}, which was revoked", root.id());
    assert_eq!(cause_of(&house.key(grandchild.id()).await), told);
    let events = house.events(house.project()).await;
    assert_eq!(events[0].target.id, Some(grandchild.id().uuid()));
    assert_eq!(events[0].cause.as_ref().map(ToString::to_string), Some(told));
    assert_eq!(house.commits().await, before + 2, "one event for each key");

    assert_eq!(revoke_all(&house, &root, "again").await, ended(0));
    assert_eq!(house.commits().await, before + 2, "again comes to the same");
}

#[tokio::test]
async fn nothing_is_hidden_behind_a_deleted_key() {
    let house = House::open().await;
    let root = admins_key(&house).await;
    let child = made_with(&house, &root, "child").await;
    let grandchild = made_with(&house, &child, "grandchild").await;
    house.delete(child.id()).await;
    assert_eq!(revoke_all(&house, &root, "leaked").await, ended(1));
    assert_eq!(house.code(&grandchild.secret, &[]), "revoked");
}

#[tokio::test]
async fn without_the_wish_what_was_made_with_a_key_lives_on() {
    let house = House::open().await;
    let root = admins_key(&house).await;
    let child = made_with(&house, &root, "child").await;
    house.revoke(root.id(), "worn out").await;
    assert_eq!(house.code(&child.secret, &[]), "valid");
    assert_eq!(revoke_all(&house, &root, "leaked after all").await, ended(1));
    assert_eq!(house.code(&child.secret, &[]), "revoked");
}

#[tokio::test]
async fn sessions_that_a_back_end_started_end_with_its_key() {
    let house = House::open().await;
    let root = admins_key(&house).await;
    let alice = house.user("alice").await;
    let wish = (Name::new("lent").unwrap(), Span::hours(1));
    let (actor, project) = (house.actor(&root.secret), house.project());
    let lent = house
        .keeper
        .lend_session(&actor, project, alice.id, wish)
        .await
        .unwrap();
    crate::house::canary(&lent.secret.reveal());
    assert_eq!(revoke_all(&house, &root, "leaked").await, ended(1));
    let (session, _) = house.store.key(project, lent.session.id).await.unwrap().unwrap();
    assert!(cause_of(&session).contains(&root.id().to_string()));
}

#[tokio::test]
async fn whoever_was_recognised_before_the_end_makes_nothing_after_it() {
    let house = House::open().await;
    let root = admins_key(&house).await;
    let child = made_with(&house, &root, "child").await;
    // Both have been let in, and are slow to say what is to be made.
    let slow = [house.actor(&root.secret), house.actor(&child.secret)];
    revoke_all(&house, &root, "leaked").await;
    let before = house.commits().await;
    for actor in &slow {
        let wish = wish(root.key.owner, "late").everything();
        let made = house.keeper.issue_key(actor, house.project(), wish, None).await;
        let refused = refusal(made.map(held));
        assert!(
            matches!(refused, Refusal::Unauthenticated(Unauthenticated::Invalid)),
            "{refused:?}"
        );
    }
    assert_eq!(house.commits().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_make_keys_while_their_maker_ends_none_leaves_a_live_one() {
    let house = House::open().await;
    let root = admins_key(&house).await;
    let makers: Vec<_> = (0..40)
        .map(|n| {
            let (house, actor, owner) = (house.clone(), house.actor(&root.secret), root.key.owner);
            tokio::spawn(async move {
                let (keeper, project) = (&house.keeper, house.project());
                let mut made = Vec::new();
                for m in 0..5 {
                    let wish = wish(owner, &format!("k{n}-{m}")).everything();
                    match keeper.issue_key(&actor, project, wish, None).await {
                        Ok(issued) => made.push(held(issued)),
                        Err(_) => break,
                    }
                    tokio::task::yield_now().await;
                }
                made
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let first = revoke_all(&house, &root, "leaked").await;
    let mut made = Vec::new();
    for maker in makers {
        made.extend(maker.await.unwrap());
    }
    assert_eq!(first, ended(made.len() as u64));
    for key in &made {
        assert_eq!(house.code(&key.secret, &[]), "revoked");
    }
}

#[tokio::test]
async fn what_the_caller_may_not_revoke_is_left_and_told() {
    let house = House::open().await;
    let root = admins_key(&house).await;
    let bob = house.user("bob").await;
    let actor = house.actor(&root.secret);
    let wish = wish(Owner::User(bob.id), "bobs").scopes(&[]);
    let bobs = held(
        house
            .keeper
            .issue_key(&actor, house.project(), wish, None)
            .await
            .unwrap(),
    );
    let own = made_with(&house, &root, "own").await;
    // Anna is a plain member by now; her own keys are still hers to end.
    let member = house.keeper.role_named(house.project(), "member").unwrap().id;
    let demote = |record: &mut keyholt_core::commit::Record| {
        if let keyholt_core::commit::Record::User(user) = record {
            user.roles = [member].into();
        }
        Ok(())
    };
    let olga = house.olga();
    let changed = house
        .keeper
        .change_owner(&olga, house.project(), root.key.owner, None, &demote);
    changed.await.unwrap();
    let anna = house.actor(&own.secret);
    let revoked = house
        .keeper
        .revoke_with_descendants(&anna, house.project(), root.id(), cause("leaked"), None);
    let found = revoked.await.unwrap().1;
    assert_eq!((found.revoked, found.left), (1, 1));
    assert_eq!(house.code(&own.secret, &[]), "revoked");
    assert_eq!(house.code(&bobs.secret, &[]), "valid");
}

#[tokio::test]
async fn an_operator_s_key_takes_what_it_made_anywhere_but_never_the_last_way_in() {
    let house = House::open().await;
    let olga = house.olga();
    let owner = house.operator.key.owner;
    let issued = house
        .keeper
        .issue_key(&olga, SYSTEM, wish(owner, "new").everything(), None)
        .await;
    let new = held(issued.unwrap());
    let products = house
        .issue(wish(Owner::User(house.user("alice").await.id), "k").scopes(&[]))
        .await;
    let with_new = house.actor(&new.secret);
    let revoked = house
        .keeper
        .revoke_with_descendants(&with_new, SYSTEM, house.operator.id(), cause("leaked"), None);
    let found = revoked.await.unwrap().1;
    assert_eq!((found.revoked, found.left), (1, 1));
    assert_eq!(house.code(&products.secret, &[]), "revoked");
    assert!(
        house
            .keeper
            .authenticate(&house.operator.secret, crate::house::source())
            .is_err()
    );
    house.actor(&new.secret);
}

#[tokio::test]
async fn the_answer_tells_how_many_ended() {
    let house = House::open().await;
    let root = admins_key(&house).await;
    made_with(&house, &root, "child").await;
    let wire = Wire::to(&house.keeper);
    let path = format!("/v1/projects/acme/keys/{}/revoke", root.id());
    let call = async |body| wire.post(&house.operator.secret, &path, body).await;
    let odd = call(json!({"cause": "leaked", "descendants": "all"})).await;
    assert_eq!(
        (odd.status, odd.code().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "invalid_fields")
    );
    let kept = call(json!({"cause": "leaked", "descendants": "keep"}))
        .await
        .ok()
        .json();
    assert_eq!((&kept["state"], kept.get("descendants")), (&json!("revoked"), None));
    let gone = call(json!({"cause": "leaked", "descendants": "revoke"}))
        .await
        .ok()
        .json();
    assert_eq!(gone["descendants"], json!({"revoked": 1, "left": 0, "complete": true}));
}
