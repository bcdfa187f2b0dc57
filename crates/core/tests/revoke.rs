//! Stories of revoking: final, idempotent, the first time and cause kept.

use keyholt_core::key::State;
use keyholt_core::rotate::Grace;
use keyholt_core::time::Span;

use crate::support::{NEW_YEAR, Wishing, World, cause, turn, wish};

#[test]
fn a_revoked_key_is_dead_and_says_so_to_its_holder() {
    let mut world = World::new();
    let member = world.member();
    let held = world.held(&member, wish(member.owner));
    let (revoked, commit) = world.revoke(&member, &held.key, "leaked").unwrap();
    assert_eq!(
        revoked.state,
        State::Revoked {
            at: NEW_YEAR,
            cause: cause("leaked"),
        }
    );
    assert_eq!(commit.event().action, "key.revoke");
    assert_eq!(commit.event().cause, Some(cause("leaked")));
    assert_eq!(world.verdict_on(&revoked, &held.secret), "revoked");
    assert_eq!(revoked.revision, held.key.revision.next());
}

#[test]
fn again_and_again_comes_to_the_same_with_the_first_time_and_cause() {
    let mut world = World::new();
    let member = world.member();
    let held = world.held(&member, wish(member.owner));
    let (revoked, _) = world.revoke(&member, &held.key, "leaked").unwrap();
    world.later(Span::hours(1));
    assert!(world.revoke(&member, &revoked, "another story").is_none());
    assert_eq!(
        revoked.state,
        State::Revoked {
            at: NEW_YEAR,
            cause: cause("leaked"),
        }
    );
}

#[test]
fn a_rotating_key_dies_with_both_of_its_secrets() {
    let mut world = World::new();
    let member = world.member();
    let old = world.held(&member, wish(member.owner));
    let (new, _) = world
        .rotate(&member, &old.key, turn(Grace::For(Span::hours(1))))
        .unwrap();
    let (revoked, _) = world.revoke(&member, &new.key, "leaked").unwrap();
    assert_eq!(world.verdict_on(&revoked, &new.secret), "revoked");
    assert_eq!(world.verdict_on(&revoked, &old.secret), "unknown", "retired is retired");
    let (_, until) = revoked.credentials.retiring().unwrap();
    assert_eq!(until, world.now, "it is remembered, and dead");
}

#[test]
fn a_suspended_or_expired_key_can_be_revoked_too() {
    let mut world = World::new();
    let member = world.member();
    let held = world.held(&member, wish(member.owner));
    let (suspended, _) = world.suspend(&member, &held.key).unwrap().unwrap();
    let (revoked, _) = world.revoke(&member, &suspended, "leaked").unwrap();
    assert_eq!(world.verdict_on(&revoked, &held.secret), "revoked");
}

#[test]
fn no_right_beyond_writing_is_needed_to_end_a_stronger_key() {
    let mut world = World::new();
    let admin = world.admin();
    let clerk = world.machine(&["keyholt:keys:write"]);
    let strong = world.held(&admin, wish(admin.owner).everything()).key;
    assert!(world.revoke(&clerk, &strong, "leaked").is_some());
}
