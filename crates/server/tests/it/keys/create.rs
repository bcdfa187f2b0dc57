//! Making keys: what they carry, who makes the secret, and how often one question makes one.

use std::sync::Arc;

use keyholt_core::actor::Beyond;
use keyholt_core::issue::{IssueError, Life, SecretOrigin, Wish};
use keyholt_core::key::Kind;
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::project::{Catalogue, PolicyBreach};
use keyholt_core::rotate::{Grace, RotateError, Turn};
use keyholt_core::text::{Description, RequestKey};
use keyholt_core::time::{Expiry, Lifetime, Moment, Span};
use keyholt_server::keeper::{Idempotency, Refusal};
use keyholt_store::KeyQuery;

use crate::acts::{client_made, turn};
use crate::house::{Held, House, NEW_YEAR, Wishes, held, refusal, wish};

async fn refused(house: &House, wish: Wish) -> Refusal {
    refusal(house.keeper.issue_key(&house.olga(), house.project(), wish, None).await)
}

#[tokio::test]
async fn a_key_carries_everything_or_only_what_is_named() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let everything = house.issue(wish(alice, "all").everything()).await;
    let reader = house.issue(wish(alice, "reader").scopes(&["orders:read"])).await;
    let nothing = house.issue(wish(alice, "nothing").scopes(&[])).await;
    for (key, read, write) in [
        (&everything, "valid", "valid"),
        (&reader, "valid", "insufficient_scope"),
        (&nothing, "insufficient_scope", "insufficient_scope"),
    ] {
        assert_eq!(house.code(&key.secret, &["orders:read"]), read);
        assert_eq!(house.code(&key.secret, &["orders:write"]), write);
        assert_eq!(house.code(&key.secret, &[]), "valid");
        assert!(key.secret.starts_with("acme_"));
    }
}

#[tokio::test]
async fn a_publishable_key_says_so_and_opens_only_what_it_names() {
    let house = House::open().await;
    let shop = Owner::Service(house.service("shop", "member").await.id);
    let web = house
        .issue(wish(shop, "web").of_kind(Kind::Publishable).scopes(&["catalogue:read"]))
        .await;
    assert!(web.secret.starts_with("acme_pub_"));
    assert_eq!(
        house.verdict(&web.secret, &["catalogue:read"])["key"]["kind"],
        "publishable"
    );

    for wider in [
        wish(shop, "web").of_kind(Kind::Publishable).everything(),
        wish(shop, "web")
            .of_kind(Kind::Publishable)
            .scopes(&["keyholt:self:read"]),
    ] {
        assert!(matches!(
            refused(&house, wider).await,
            Refusal::Issue(IssueError::NotPublishable)
        ));
    }
}

#[tokio::test]
async fn a_user_has_one_static_key_that_carries_everything_and_never_ends() {
    let house = House::open().await;
    house
        .policy(|policy| {
            policy.default_lifetime = Lifetime::For(Span::days(1));
            policy.longest_lifetime = Lifetime::For(Span::days(2));
        })
        .await;
    let alice = Owner::User(house.user("alice").await.id);
    let fixed = |owner| wish(owner, "master").of_kind(Kind::Static).everything();
    let master = house.issue(fixed(alice)).await;
    assert_eq!(master.key.expiry, Expiry::Never);
    assert!(matches!(refused(&house, fixed(alice)).await, Refusal::StaticTaken));

    let team = Owner::Team(house.team("platform", Vec::new()).await.id);
    let service = Owner::Service(house.service("robot", "member").await.id);
    for other in [
        fixed(team),
        fixed(service),
        wish(alice, "narrow").of_kind(Kind::Static).scopes(&["orders:read"]),
    ] {
        assert!(matches!(
            refused(&house, other).await,
            Refusal::Issue(IssueError::NotStatic)
        ));
    }

    // Asked to end, it does; and the one after a revoked one may be made.
    house.revoke(master.id(), "leaked").await;
    let brief = house.issue(fixed(alice).lasting(Span::days(400))).await;
    assert_eq!(
        brief.key.expiry,
        Expiry::At(Moment::from_ms(NEW_YEAR).plus(Span::days(400)))
    );
    assert_eq!(house.code(&master.secret, &[]), "revoked");
    assert_eq!(house.code(&brief.secret, &["orders:read"]), "valid");
}

#[tokio::test]
async fn of_two_static_keys_made_at_once_there_is_one() {
    let house = Arc::new(House::open().await);
    let alice = Owner::User(house.user("alice").await.id);
    let made = at_once(&house, 8, move |_| {
        (wish(alice, "master").of_kind(Kind::Static).everything(), None)
    })
    .await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1);
    assert!(
        made.iter()
            .filter_map(|made| made.as_ref().err())
            .all(|refusal| matches!(refusal, Refusal::StaticTaken))
    );
}

#[tokio::test]
async fn regenerating_a_static_key_kills_the_old_secret_at_once() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let old = house
        .issue(wish(alice, "master").of_kind(Kind::Static).everything())
        .await;
    let by_herself = house
        .keeper
        .rotate_key(
            &house.actor(&old.secret),
            house.project(),
            old.id(),
            turn(Grace::Default),
            None,
        )
        .await
        .unwrap();
    let new = crate::acts::turned(by_herself);
    assert_eq!(new.id(), old.id());
    assert_eq!(house.code(&old.secret, &[]), "unknown");
    assert_eq!(house.code(&new.secret, &["orders:read"]), "valid");
}

#[tokio::test]
async fn a_narrow_key_neither_makes_nor_regenerates_a_static_key() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let bob = Owner::User(house.user("bob").await.id);
    let fixed = |owner| wish(owner, "master").of_kind(Kind::Static).everything();
    let (hers, his) = (house.issue(fixed(alice)).await, house.issue(fixed(bob)).await);
    // Today it matches all that its owner may do; it is narrow all the same.
    let narrow = house.issue(wish(alice, "ci").scopes(&["*", "keyholt:self:*"])).await;
    let narrow = house.actor(&narrow.secret);
    let rotate = |id| {
        house
            .keeper
            .rotate_key(&narrow, house.project(), id, turn(Grace::Default), None)
    };
    assert!(matches!(
        refusal(rotate(hers.id()).await),
        Refusal::Rotate(RotateError::Beyond(Beyond::Everything))
    ));
    assert!(matches!(refusal(rotate(his.id()).await), Refusal::NotFound(_)));
    house.revoke(hers.id(), "lost").await;
    assert!(matches!(
        refusal(
            house
                .keeper
                .issue_key(&narrow, house.project(), fixed(alice), None)
                .await
        ),
        Refusal::Issue(IssueError::Beyond(Beyond::Everything))
    ));
    assert_eq!(house.code(&his.secret, &[]), "valid");
}

#[tokio::test]
async fn a_client_makes_its_own_secret_and_keyholt_never_sees_it() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let (secret, fingerprint) = client_made(1);
    let own = |fingerprint| Wish {
        origin: SecretOrigin::ClientMade(fingerprint),
        ..wish(alice, "own").scopes(&["orders:read"])
    };
    let issued = house
        .keeper
        .issue_key(&house.olga(), house.project(), own(fingerprint), None)
        .await
        .unwrap();
    assert!(issued.secret.is_none());
    assert_eq!(issued.key.about.hint, None, "not even its end is known");
    assert_eq!(house.code(&secret, &["orders:read"]), "valid");
    assert!(matches!(refused(&house, own(fingerprint)).await, Refusal::SecretTaken));

    // A rotation may bring one too, but not the one that is in use.
    let (next, next_fingerprint) = client_made(2);
    let rotate = |fingerprint| {
        let turn = Turn {
            client_made: Some(fingerprint),
            ..turn(Grace::For(Span::ZERO))
        };
        let (keeper, olga) = (Arc::clone(&house.keeper), house.olga());
        let (project, id) = (house.project(), issued.key.id);
        async move { keeper.rotate_key(&olga, project, id, turn, None).await }
    };
    assert!(rotate(next_fingerprint).await.unwrap().secret.is_none());
    assert_eq!(house.code(&secret, &[]), "unknown");
    assert_eq!(house.code(&next, &["orders:read"]), "valid");
    assert!(
        house
            .keeper
            .rotate_key(
                &house.olga(),
                house.project(),
                issued.key.id,
                Turn {
                    client_made: Some(next_fingerprint),
                    ..turn(Grace::For(Span::hours(1)))
                },
                None
            )
            .await
            .is_err(),
        "old and new secret would be one"
    );
    assert_eq!(house.code(&next, &["orders:read"]), "valid");
}

fn request(word: &str, question: u8) -> Option<Idempotency> {
    Some(Idempotency {
        request: RequestKey::new(word).unwrap(),
        question: [question; 32],
    })
}

#[tokio::test]
async fn the_same_question_twice_makes_one_key_and_shows_its_secret_once() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let olga = house.olga();
    let ask = |question| {
        let wish = wish(alice, "once").scopes(&["orders:read"]);
        house
            .keeper
            .issue_key(&olga, house.project(), wish, request("r-1", question))
    };
    let first = held(ask(1).await.unwrap());
    let again = ask(1).await.unwrap();
    assert_eq!(again.key.id, first.id());
    assert!(again.secret.is_none());
    assert!(matches!(refusal(ask(2).await), Refusal::ReplayDiffers));
    assert_eq!(house.named(KeyQuery::default()).await, ["once"]);

    // Somebody else's request of the same name is another request.
    let bob = house.user_with("bob", &["admin"]).await;
    let bob = house.issue(wish(Owner::User(bob.id), "bob").everything()).await;
    let other = wish(alice, "other").scopes(&[]);
    let theirs = house
        .keeper
        .issue_key(&house.actor(&bob.secret), house.project(), other, request("r-1", 2))
        .await
        .unwrap();
    assert_ne!(held(theirs).id(), first.id());
}

#[tokio::test]
async fn a_repeated_question_is_asked_for_leave_again() {
    let house = House::open().await;
    let bob = house.user_with("bob", &["admin"]).await;
    let key = house.issue(wish(Owner::User(bob.id), "bob").everything()).await;
    let ask = |actor| {
        let wish = wish(Owner::User(bob.id), "once").scopes(&[]);
        let (keeper, project) = (Arc::clone(&house.keeper), house.project());
        async move { keeper.issue_key(&actor, project, wish, request("r-1", 1)).await }
    };
    held(ask(house.actor(&key.secret)).await.unwrap());
    house.role_means("admin", &["orders:read"]).await;
    assert!(matches!(
        refusal(ask(house.actor(&key.secret)).await),
        Refusal::Lacks { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_question_many_times_at_once_makes_one_key() {
    let house = Arc::new(House::open().await);
    let alice = Owner::User(house.user("alice").await.id);
    let made = at_once(&house, 16, move |_| {
        (wish(alice, "once").scopes(&[]), request("r-1", 1))
    })
    .await;
    let keys: Vec<_> = made.into_iter().map(|made| made.expect("one key for all")).collect();
    assert_eq!(keys.iter().filter(|(_, secret)| *secret == Shown::Once).count(), 1);
    assert!(keys.windows(2).all(|pair| pair[0].0 == pair[1].0));
    assert_eq!(house.named(KeyQuery::default()).await, ["once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_never_has_more_keys_than_the_policy_allows() {
    let house = Arc::new(House::open().await);
    house.policy(|policy| policy.keys_per_owner = 10).await;
    let alice = Owner::User(house.user("alice").await.id);
    let made = at_once(&house, 50, move |n| (wish(alice, &format!("k{n}")).scopes(&[]), None)).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 10);
    assert!(
        made.iter()
            .filter_map(|made| made.as_ref().err())
            .all(|refusal| matches!(refusal, Refusal::TooManyKeys))
    );
    let keys = house.named(KeyQuery::default()).await;
    assert_eq!(keys.len(), 10);

    // A revoked key makes room, a suspended one does not, and nobody else is bound.
    let first = made.iter().find_map(|made| made.as_ref().ok()).unwrap().0;
    house.suspend(first).await;
    assert!(matches!(
        refused(&house, wish(alice, "more").scopes(&[])).await,
        Refusal::TooManyKeys
    ));
    house.revoke(first, "room").await;
    house.issue(wish(alice, "more").scopes(&[])).await;
    let bob = Owner::User(house.user("bob").await.id);
    house.issue(wish(bob, "his").scopes(&[])).await;
}

#[tokio::test]
async fn a_life_that_the_policy_forbids_is_not_given() {
    let house = House::open().await;
    house
        .policy(|policy| {
            policy.default_lifetime = Lifetime::For(Span::days(90));
            policy.longest_lifetime = Lifetime::For(Span::days(30));
        })
        .await;
    let alice = Owner::User(house.user("alice").await.id);
    let now = Moment::from_ms(NEW_YEAR);
    let with = |life| Wish {
        life,
        ..wish(alice, "k").scopes(&[])
    };
    let default = house.issue(with(Life::Default)).await;
    assert_eq!(
        default.key.expiry,
        Expiry::At(now.plus(Span::days(30))),
        "a default beyond the limit is cut to it"
    );
    house.issue(with(Life::For(Span::days(30)))).await;
    let just_beyond = Life::Until(now.plus(Span::days(30)).plus(Span::millis(1)));
    for life in [Life::Never, just_beyond] {
        assert!(matches!(
            refused(&house, with(life)).await,
            Refusal::Issue(IssueError::Policy(PolicyBreach::LifetimeTooLong { .. }))
        ));
    }
    for past in [
        Life::Until(now),
        Life::Until(now.minus(Span::days(1))),
        Life::For(Span::ZERO),
    ] {
        assert!(matches!(
            refused(&house, with(past)).await,
            Refusal::Issue(IssueError::AlreadyExpired)
        ));
    }
}

#[tokio::test]
async fn only_owners_and_scopes_that_the_policy_knows_get_keys() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let robot = Owner::Service(house.service("robot", "member").await.id);
    house
        .policy(|policy| {
            policy.owners = [OwnerKind::Service].into();
            let means = |text| Description::new(text).unwrap();
            policy.scopes = Catalogue::Declared([("orders:read".parse().unwrap(), means("Read orders."))].into());
        })
        .await;
    assert!(matches!(
        refused(&house, wish(alice, "k").scopes(&["orders:read"])).await,
        Refusal::Issue(IssueError::Policy(PolicyBreach::OwnerKind { kind: OwnerKind::User }))
    ));
    for known in [&["orders:read"], &["orders:*"], &["keyholt:self:read"]] {
        house.issue(wish(robot, "k").scopes(known)).await;
    }
    for unknown in ["orders:write", "users:*", "keyholt:nonsense"] {
        assert!(matches!(
            refused(&house, wish(robot, "k").scopes(&[unknown])).await,
            Refusal::Issue(IssueError::Policy(PolicyBreach::UnknownScope { .. }))
        ));
    }
}

/// Whether an answer showed a secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    Once,
    Not,
}

type Made = Result<(keyholt_core::id::KeyId, Shown), Refusal>;

/// What comes of that many wishes at once.
async fn at_once(house: &Arc<House>, many: usize, wish: impl Fn(usize) -> (Wish, Option<Idempotency>)) -> Vec<Made> {
    let tasks: Vec<_> = (0..many)
        .map(|n| {
            let (house, (wish, idempotency)) = (Arc::clone(house), wish(n));
            tokio::spawn(async move {
                let issued = house
                    .keeper
                    .issue_key(&house.olga(), house.project(), wish, idempotency)
                    .await?;
                let id = issued.key.id;
                let shown = if issued.secret.is_some() {
                    Shown::Once
                } else {
                    Shown::Not
                };
                if shown == Shown::Once {
                    let Held { .. } = held(issued);
                }
                Ok((id, shown))
            })
        })
        .collect();
    let mut made = Vec::new();
    for task in tasks {
        made.push(task.await.unwrap());
    }
    made
}
