//! Changing keys: amend, rotate, suspend and resume.

use std::sync::Arc;

use keyholt_core::amend::{AmendError, Amendment};
use keyholt_core::commit::Revision;
use keyholt_core::key::{Allowed, Bounds, Kind};
use keyholt_core::owner::Owner;
use keyholt_core::pause::PauseError;
use keyholt_core::project::PolicyBreach;
use keyholt_core::rotate::{Grace, RotateError};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::text::{Description, Environment, Name, Tag};
use keyholt_core::time::{Expiry, Lifetime, Moment, Span};
use keyholt_core::verify::Ask;
use keyholt_server::keeper::Refusal;

use crate::acts::{turn, turned};
use crate::house::{Held, House, NEW_YEAR, Wishes, refusal, wish};

const HOUR: Grace = Grace::For(Span::hours(1));
const AT_ONCE: Grace = Grace::For(Span::ZERO);

async fn a_key(house: &House) -> Held {
    let alice = house.user("alice").await;
    let wish = wish(Owner::User(alice.id), "ci").scopes(&["orders:read"]);
    house.issue(wish.lasting(Span::days(10))).await
}

fn only(scopes: &[&str]) -> Option<Access> {
    Some(Access::Only(ScopeSet::parse(scopes.iter().copied()).unwrap()))
}

#[tokio::test]
async fn what_is_amended_counts_from_the_next_verify_on() {
    let house = House::open().await;
    let key = a_key(&house).await;
    let amendment = Amendment {
        name: Some(Name::new("deploy").unwrap()),
        description: Some(Description::new("Rolls out.").unwrap()),
        tags: Some([Tag::new("ci").unwrap()].into()),
        access: only(&["deploy:*"]),
        expiry: Some(Expiry::At(Moment::from_ms(NEW_YEAR).plus(Span::days(20)))),
        bounds: Some(Bounds {
            networks: Allowed::only(vec!["10.0.0.0/8".parse().unwrap()]).unwrap(),
            ..Bounds::default()
        }),
        ..Amendment::default()
    };
    let amended = house.amend(key.id(), amendment).await.unwrap().key;
    assert_eq!((amended.id, amended.revision), (key.id(), Revision::FIRST.next()));
    assert_eq!(amended.about.name.as_str(), "deploy");
    assert_eq!(house.code(&key.secret, &[]), "address_not_allowed");
    let inside = |scopes| Ask {
        scopes: crate::house::needed(scopes),
        address: Some("10.1.2.3".parse().unwrap()),
        ..Ask::default()
    };
    assert_eq!(house.ask(&key.secret, inside(&["deploy:web"]))["code"], "valid");
    assert_eq!(
        house.ask(&key.secret, inside(&["orders:read"]))["code"],
        "insufficient_scope"
    );
    house.advance(Span::days(19));
    assert_eq!(house.ask(&key.secret, inside(&[]))["code"], "valid");
    house.advance(Span::days(1));
    assert_eq!(house.ask(&key.secret, inside(&[]))["code"], "expired");
}

#[tokio::test]
async fn an_amendment_that_changes_nothing_is_no_change() {
    let house = House::open().await;
    let key = a_key(&house).await;
    let before = house.commits().await;
    let same = Amendment {
        name: Some(key.key.about.name.clone()),
        access: Some(key.key.access.clone()),
        expiry: Some(key.key.expiry),
        ..Amendment::default()
    };
    let unchanged = house.amend(key.id(), same).await.unwrap().key;
    assert_eq!(unchanged.revision, Revision::FIRST);
    assert_eq!(house.commits().await, before);
}

#[tokio::test]
async fn an_amendment_is_refused_where_the_policy_or_the_kind_is_against_it() {
    let house = House::open().await;
    house
        .policy(|policy| policy.longest_lifetime = Lifetime::For(Span::days(30)))
        .await;
    let alice = Owner::User(house.user("alice").await.id);
    let live = Bounds {
        environment: Some(Environment::new("live").unwrap()),
        ..Bounds::default()
    };
    let standard = house
        .issue(wish(alice, "standard").scopes(&["orders:read"]).bound(live))
        .await;
    let web = wish(alice, "web").of_kind(Kind::Publishable).scopes(&["orders:read"]);
    let web = house.issue(web).await;
    let master = house
        .issue(wish(alice, "master").of_kind(Kind::Static).everything())
        .await;
    let now = Moment::from_ms(NEW_YEAR);
    let access = |access| Amendment {
        access,
        ..Amendment::default()
    };
    let expiry = |expiry| Amendment {
        expiry: Some(expiry),
        ..Amendment::default()
    };
    let elsewhere = Amendment {
        bounds: Some(Bounds::default()),
        ..Amendment::default()
    };
    let told = [
        (&standard, access(only(&["keyholt:nonsense"])), "against the policy"),
        (&standard, expiry(Expiry::Never), "against the policy"),
        (&standard, expiry(Expiry::At(now)), "already expired"),
        (&standard, elsewhere, "environment"),
        (&web, access(Some(Access::Everything)), "kind"),
        (&web, access(only(&["keyholt:self:read"])), "kind"),
        (&master, access(only(&["orders:read"])), "kind"),
    ];
    for (key, amendment, why) in told {
        let refused = match refusal(house.amend(key.id(), amendment).await) {
            Refusal::Amend(AmendError::Policy(_)) => "against the policy",
            Refusal::Amend(AmendError::AlreadyExpired) => "already expired",
            Refusal::Amend(AmendError::Environment) => "environment",
            Refusal::Amend(AmendError::Kind(_)) => "kind",
            other => panic!("{other}"),
        };
        assert_eq!(refused, why, "{}", key.key.about.name);
        assert_eq!(house.key(key.id()).await.revision, Revision::FIRST);
    }
    // The limit is for keys that end; a static key never needs to.
    house
        .amend(master.id(), expiry(Expiry::At(now.plus(Span::days(90)))))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_change_based_on_an_old_revision_is_refused() {
    let house = House::open().await;
    let key = a_key(&house).await;
    house.suspend(key.id()).await;
    let (olga, project) = (house.olga(), house.project());
    let before = house.commits().await;
    let old = Some(Revision::FIRST);
    let keeper = &house.keeper;
    let refusals = [
        refusal(
            keeper
                .amend_key(&olga, project, key.id(), Amendment::default(), old)
                .await,
        ),
        refusal(keeper.rotate_key(&olga, project, key.id(), turn(HOUR), old).await),
        refusal(keeper.end_grace(&olga, project, key.id(), None, old).await),
        refusal(keeper.suspend_key(&olga, project, key.id(), None, old).await),
        refusal(keeper.resume_key(&olga, project, key.id(), None, old).await),
        refusal(
            keeper
                .revoke_key(&olga, project, key.id(), crate::acts::cause("x"), old)
                .await,
        ),
        refusal(keeper.delete_key(&olga, project, key.id(), None, old).await),
    ];
    assert!(refusals.iter().all(|refusal| matches!(refusal, Refusal::Stale(_))));
    assert_eq!(
        house.commits().await,
        before,
        "it says nothing about rights, so the trail does not tell it"
    );
    let newest = Some(Revision::FIRST.next());
    keeper.resume_key(&olga, project, key.id(), None, newest).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_rotations_at_once_one_wins_and_the_other_is_told() {
    let house = Arc::new(House::open().await);
    let key = a_key(&house).await;
    for _ in 0..50 {
        let revision = house.key(key.id()).await.revision;
        let rotations: Vec<_> = (0..2)
            .map(|_| {
                let (house, id) = (Arc::clone(&house), key.id());
                tokio::spawn(async move {
                    let olga = house.olga();
                    let rotated = house
                        .keeper
                        .rotate_key(&olga, house.project(), id, turn(AT_ONCE), None)
                        .await;
                    rotated.map(turned)
                })
            })
            .collect();
        let mut won = Vec::new();
        for rotation in rotations {
            match rotation.await.unwrap() {
                Ok(rotated) => won.push(rotated),
                Err(refusal) => assert!(matches!(refusal, Refusal::Busy(_)), "{refusal}"),
            }
        }
        // They may also have come one after the other; but never is a secret handed out that was replaced unseen.
        let last = house.key(key.id()).await;
        assert_eq!(
            last.revision.number() - revision.number(),
            u32::try_from(won.len()).unwrap()
        );
        let alive = won.iter().filter(|key| house.code(&key.secret, &[]) == "valid").count();
        assert_eq!(alive, 1);
    }
}

#[tokio::test]
async fn there_are_never_three_live_secrets() {
    let house = House::open().await;
    let first = a_key(&house).await;
    let second = house.rotate(first.id(), HOUR).await;
    assert_eq!(house.code(&first.secret, &[]), "valid");
    let third = house.rotate(first.id(), HOUR).await;
    let codes = [&first, &second, &third].map(|key| house.code(&key.secret, &[]));
    assert_eq!(codes, ["unknown", "valid", "valid"]);
    house.rotate(first.id(), AT_ONCE).await;
    let codes = [&first, &second, &third].map(|key| house.code(&key.secret, &[]));
    assert_eq!(codes, ["unknown", "unknown", "unknown"]);
}

#[tokio::test]
async fn a_grace_is_as_long_as_the_policy_allows() {
    let house = House::open().await;
    house
        .policy(|policy| {
            policy.default_grace = Span::hours(48);
            policy.longest_grace = Span::hours(2);
        })
        .await;
    let key = a_key(&house).await;
    let too_long = house
        .try_rotate(key.id(), Grace::For(Span::millis(Span::hours(2).ms() + 1)))
        .await;
    assert!(matches!(
        too_long.err(),
        Some(Refusal::Rotate(RotateError::Policy(PolicyBreach::GraceTooLong { .. })))
    ));
    let rotated = house.rotate(key.id(), Grace::Default).await;
    let until = rotated.key.credentials.retiring().unwrap().1;
    assert_eq!(
        until,
        Moment::from_ms(NEW_YEAR).plus(Span::hours(2)),
        "cut to the longest"
    );
    house.rotate(key.id(), Grace::For(Span::hours(2))).await;
}

#[tokio::test]
async fn a_grace_can_be_ended_early() {
    let house = House::open().await;
    let old = a_key(&house).await;
    let new = house.rotate(old.id(), HOUR).await;
    let olga = house.olga();
    let ended = house
        .keeper
        .end_grace(&olga, house.project(), old.id(), None, None)
        .await
        .unwrap();
    assert_eq!(house.code(&old.secret, &[]), "unknown");
    assert_eq!(house.code(&new.secret, &[]), "valid");
    let before = house.commits().await;
    let again = house
        .keeper
        .end_grace(&olga, house.project(), old.id(), None, None)
        .await
        .unwrap();
    assert_eq!(again.key.revision, ended.key.revision);
    assert_eq!(house.commits().await, before, "there is nothing left to end");
}

#[tokio::test]
async fn a_dead_key_is_not_rotated() {
    let house = House::open().await;
    let key = a_key(&house).await;
    house.advance(Span::days(10));
    assert!(matches!(
        house.try_rotate(key.id(), HOUR).await.err(),
        Some(Refusal::Rotate(RotateError::Expired))
    ));
    house.revoke(key.id(), "over").await;
    assert!(matches!(
        house.try_rotate(key.id(), HOUR).await.err(),
        Some(Refusal::Rotate(RotateError::Revoked))
    ));
}

#[tokio::test]
async fn a_suspended_key_comes_back_exactly_as_it_was() {
    let house = House::open().await;
    let old = a_key(&house).await;
    let new = house.rotate(old.id(), HOUR).await;
    let suspended = house.suspend(old.id()).await;
    house.advance(Span::secs(60));
    let again = house.suspend(old.id()).await;
    assert_eq!(again.state, suspended.state, "since when it was suspended first");
    for secret in [&old.secret, &new.secret] {
        assert_eq!(house.code(secret, &["orders:read"]), "suspended");
    }
    let resumed = house.resume(old.id()).await;
    assert_eq!(house.resume(old.id()).await.revision, resumed.revision);
    for secret in [&old.secret, &new.secret] {
        assert_eq!(house.code(secret, &["orders:read"]), "valid");
    }
    // A key may be rotated while it is suspended: whoever found it must not wake up with it.
    house.suspend(old.id()).await;
    let newest = house.rotate(old.id(), AT_ONCE).await;
    assert_eq!(house.code(&newest.secret, &[]), "suspended");
    house.resume(old.id()).await;
    assert_eq!(house.code(&new.secret, &[]), "unknown");
    assert_eq!(house.code(&newest.secret, &["orders:read"]), "valid");
}

#[tokio::test]
async fn a_revoked_key_is_not_changed_any_more() {
    let house = House::open().await;
    let key = a_key(&house).await;
    let revoked = house.revoke(key.id(), "leaked").await;
    let (olga, project, id) = (house.olga(), house.project(), key.id());
    let rename = Amendment {
        name: Some(Name::new("again").unwrap()),
        ..Amendment::default()
    };
    assert!(matches!(
        refusal(house.amend(id, rename).await),
        Refusal::Amend(AmendError::Revoked)
    ));
    assert!(matches!(
        refusal(house.keeper.suspend_key(&olga, project, id, None, None).await),
        Refusal::Pause(PauseError::Revoked)
    ));
    assert!(matches!(
        refusal(house.keeper.resume_key(&olga, project, id, None, None).await),
        Refusal::Pause(PauseError::Revoked)
    ));
    assert_eq!(house.key(id).await.revision, revoked.revision);
}
