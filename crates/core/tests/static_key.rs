//! Stories of the static key: a user's one permanent master key.

use keyholt_core::actor::Beyond;
use keyholt_core::amend::{AmendError, Amendment};
use keyholt_core::issue::{IssueError, Life};
use keyholt_core::key::Kind;
use keyholt_core::owner::OwnerKind;
use keyholt_core::rotate::Grace;
use keyholt_core::scope::Access;
use keyholt_core::time::{Expiry, Lifetime, Span};

use crate::support::{NEW_YEAR, Wishing, World, amendment, effective, only, scopes, turn, wish};

#[test]
fn it_carries_all_that_its_user_may_do_whatever_that_is_now() {
    let mut world = World::new();
    let member = world.member();
    let held = world.held(&member, wish(member.owner).everything().kind(Kind::Static));
    assert_eq!(effective(&world, &held.key), *member.effective);
    world.may(member.owner, scopes(&["orders:read"]));
    assert_eq!(
        effective(&world, &held.key),
        scopes(&["orders:read"]),
        "it narrows with its user, at once"
    );
    world.may(member.owner, scopes(&["*"]));
    assert_eq!(
        effective(&world, &held.key),
        scopes(&["*"]),
        "and comes back with its user"
    );
}

#[test]
fn it_never_ends_unless_asked_whatever_the_policy_says_of_other_keys() {
    let mut world = World::new();
    let member = world.member();
    world.project.policy.default_lifetime = Lifetime::For(Span::days(30));
    world.project.policy.longest_lifetime = Lifetime::For(Span::days(90));
    let of = |life| wish(member.owner).everything().kind(Kind::Static).life(life);
    assert_eq!(world.held(&member, of(Life::Default)).key.expiry, Expiry::Never);
    assert_eq!(world.held(&member, of(Life::Never)).key.expiry, Expiry::Never);
    let asked = world.held(&member, of(Life::For(Span::days(365)))).key;
    assert_eq!(asked.expiry, Expiry::At(NEW_YEAR.plus(Span::days(365))));
    let made = world.issue(&member, of(Life::Until(NEW_YEAR)));
    assert_eq!(made.unwrap_err(), IssueError::AlreadyExpired);
}

#[test]
fn only_users_have_one_and_it_is_never_narrow() {
    let mut world = World::new();
    let admin = world.admin();
    let user = world.user(&[]);
    for kind in [OwnerKind::Team, OwnerKind::Service] {
        let owner = world.owner(kind, &[]);
        let made = world.issue(&admin, wish(owner).everything().kind(Kind::Static));
        assert_eq!(made.unwrap_err(), IssueError::NotStatic, "{kind}");
    }
    let made = world.issue(&admin, wish(user).scopes(&["orders:read"]).kind(Kind::Static));
    assert_eq!(made.unwrap_err(), IssueError::NotStatic);
    assert!(
        world.issue(&admin, wish(user).everything().kind(Kind::Static)).is_ok(),
        "made by an administrator"
    );
}

#[test]
fn a_passing_key_cannot_make_a_permanent_one() {
    let mut world = World::new();
    let member = world.member();
    let passing = world.caller(
        member.owner,
        Access::Everything,
        Expiry::At(NEW_YEAR.plus(Span::hours(1))),
    );
    let made = world.issue(&passing, wish(member.owner).everything().kind(Kind::Static));
    assert_eq!(made.unwrap_err(), IssueError::Beyond(Beyond::Outlives));
}

#[test]
fn regenerating_it_kills_the_old_one_at_once() {
    let mut world = World::new();
    let member = world.member();
    let old = world.held(&member, wish(member.owner).everything().kind(Kind::Static));
    let (new, _) = world.rotate(&member, &old.key, turn(Grace::Default)).unwrap();
    assert_eq!(world.verdict_on(&new.key, &old.secret), "unknown");
    assert_eq!(world.verdict(&new), "granted");
}

#[test]
fn a_grace_that_is_asked_for_is_given() {
    let mut world = World::new();
    let member = world.member();
    let old = world.held(&member, wish(member.owner).everything().kind(Kind::Static));
    let (new, _) = world
        .rotate(&member, &old.key, turn(Grace::For(Span::hours(1))))
        .unwrap();
    assert_eq!(world.verdict_on(&new.key, &old.secret), "granted");
}

#[test]
fn its_access_stays_everything_while_its_end_may_be_set_freely() {
    let mut world = World::new();
    let member = world.member();
    world.project.policy.longest_lifetime = Lifetime::For(Span::days(90));
    let key = world
        .held(&member, wish(member.owner).everything().kind(Kind::Static))
        .key;
    let narrowed = world.amend(&member, &key, amendment(only(&["orders:read"])));
    assert_eq!(narrowed.unwrap_err(), AmendError::Kind(Kind::Static));
    assert!(
        world
            .amend(&member, &key, amendment(Access::Everything))
            .unwrap()
            .is_none()
    );
    for expiry in [
        Expiry::At(NEW_YEAR.plus(Span::days(365))),
        Expiry::At(NEW_YEAR.plus(Span::days(1))),
    ] {
        let ending = Amendment {
            expiry: Some(expiry),
            ..Amendment::default()
        };
        let (ended, _) = world.amend(&member, &key, ending).unwrap().unwrap();
        assert_eq!(ended.expiry, expiry);
        let lasting = Amendment {
            expiry: Some(Expiry::Never),
            ..Amendment::default()
        };
        let (lasting, _) = world.amend(&member, &ended, lasting).unwrap().unwrap();
        assert_eq!(lasting.expiry, Expiry::Never);
    }
}
