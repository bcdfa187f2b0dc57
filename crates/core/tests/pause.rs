//! Stories of suspending a key for a time and resuming it exactly as it was.

use keyholt_core::actor::Beyond;
use keyholt_core::commit::{Change, Record};
use keyholt_core::issue::Life;
use keyholt_core::key::{Key, State};
use keyholt_core::owner::Standing;
use keyholt_core::pause::PauseError;
use keyholt_core::rotate::Grace;
use keyholt_core::scope::Access;
use keyholt_core::time::{Expiry, Span};

use crate::support::{NEW_YEAR, Wishing, World, scope, turn, wish};

/// All there is to a key but its revision.
fn whole(key: &Key) -> (serde_json::Value, [u8; 32], Option<[u8; 32]>) {
    let mut view = Record::Key(Box::new(key.clone())).view();
    view["revision"] = serde_json::Value::Null;
    let retiring = key.credentials.retiring().map(|(digest, _)| *digest.as_bytes());
    (view, *key.credentials.current().as_bytes(), retiring)
}

#[test]
fn a_resumed_key_is_exactly_what_was_suspended() {
    let mut world = World::new();
    let member = world.member();
    let wished = wish(member.owner).scopes(&["orders:*"]).life(Life::For(Span::days(9)));
    let old = world.held(&member, wished);
    let (new, _) = world
        .rotate(&member, &old.key, turn(Grace::For(Span::hours(1))))
        .unwrap();

    let (suspended, commit) = world.suspend(&member, &new.key).unwrap().unwrap();
    assert_eq!(commit.event().action, "key.suspend");
    assert_eq!(suspended.state, State::Suspended { since: NEW_YEAR });
    for secret in [&old.secret, &new.secret] {
        assert_eq!(world.verdict_on(&suspended, secret), "suspended");
    }

    world.later(Span::secs(1));
    let (resumed, commit) = world.resume(&member, &suspended).unwrap().unwrap();
    assert_eq!(commit.event().action, "key.resume");
    assert!(matches!(commit.changes(), [Change::Replace { expected, .. }] if *expected == suspended.revision));
    assert_eq!(whole(&resumed), whole(&new.key));
    for secret in [&old.secret, &new.secret] {
        assert_eq!(world.verdict_on(&resumed, secret), "granted");
    }
}

#[test]
fn doing_it_twice_changes_nothing_and_keeps_the_first_time() {
    let mut world = World::new();
    let member = world.member();
    let key = world.held(&member, wish(member.owner)).key;
    assert!(world.resume(&member, &key).unwrap().is_none());
    let (suspended, _) = world.suspend(&member, &key).unwrap().unwrap();
    world.later(Span::hours(1));
    assert!(world.suspend(&member, &suspended).unwrap().is_none());
    assert_eq!(suspended.state, State::Suspended { since: NEW_YEAR });
}

#[test]
fn a_revoked_key_is_neither_suspended_nor_resumed() {
    let mut world = World::new();
    let member = world.member();
    let key = world.held(&member, wish(member.owner)).key;
    let (revoked, _) = world.revoke(&member, &key, "leaked").unwrap();
    assert_eq!(world.suspend(&member, &revoked).unwrap_err(), PauseError::Revoked);
    assert_eq!(world.resume(&member, &revoked).unwrap_err(), PauseError::Revoked);
}

#[test]
fn anybody_who_may_write_keys_stops_one_but_only_who_could_make_it_lets_it_run() {
    let mut world = World::new();
    let admin = world.admin();
    let clerk = world.machine(&["keyholt:keys:write"]);
    let key = world.held(&admin, wish(admin.owner).scopes(&["orders:read"])).key;
    let (suspended, _) = world.suspend(&clerk, &key).unwrap().unwrap();
    let beyond = Beyond::Scope {
        scope: scope("orders:read"),
    };
    assert_eq!(
        world.resume(&clerk, &suspended).unwrap_err(),
        PauseError::Beyond(beyond)
    );
    let passing = world.caller(
        admin.owner,
        Access::Everything,
        Expiry::At(NEW_YEAR.plus(Span::hours(1))),
    );
    let outlives = PauseError::Beyond(Beyond::Outlives);
    assert_eq!(world.resume(&passing, &suspended).unwrap_err(), outlives);
    assert!(world.resume(&admin, &suspended).unwrap().is_some());

    let whole = world.held(&admin, wish(admin.owner).everything()).key;
    let (suspended, _) = world.suspend(&clerk, &whole).unwrap().unwrap();
    let everything = PauseError::Beyond(Beyond::Everything);
    assert_eq!(world.resume(&clerk, &suspended).unwrap_err(), everything);
}

#[test]
fn time_passes_for_a_suspended_key_too() {
    let mut world = World::new();
    let member = world.member();
    let held = world.held(&member, wish(member.owner).life(Life::For(Span::hours(1))));
    let (suspended, _) = world.suspend(&member, &held.key).unwrap().unwrap();
    world.later(Span::hours(1));
    assert_eq!(world.verdict_on(&suspended, &held.secret), "suspended");
    let (resumed, _) = world.resume(&member, &suspended).unwrap().unwrap();
    assert_eq!(world.verdict_on(&resumed, &held.secret), "expired");
}

#[test]
fn an_owner_or_project_out_of_standing_stops_its_keys_and_lifting_it_restores_them() {
    let mut world = World::new();
    let member = world.member();
    let held = world.held(&member, wish(member.owner));
    let since = NEW_YEAR;
    world.stand(member.owner, Standing::Suspended { since });
    assert_eq!(world.verdict(&held), "owner_suspended");
    world.stand(member.owner, Standing::Good);
    assert_eq!(world.verdict(&held), "granted");
    world.project.standing = Standing::Suspended { since };
    assert_eq!(world.verdict(&held), "project_suspended");
    world.project.standing = Standing::Good;
    assert_eq!(world.verdict(&held), "granted");
}
