//! Stories of revoking: final, idempotent, the first time and cause kept.

use keyholt_core::commit::Change;
use keyholt_core::key::{Allowed, Bounds, State};
use keyholt_core::revoke::revoke_tampered;
use keyholt_core::rotate::Grace;
use keyholt_core::secret::Credentials;
use keyholt_core::time::Span;

use crate::support::{NEW_YEAR, Seeded, Wishing, World, cause, only, turn, wish};

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

#[test]
fn a_key_that_somebody_changed_in_the_database_is_revoked_and_nothing_that_its_row_says_is_kept() {
    let mut world = World::new();
    let admin = world.admin();
    let bounds = Bounds {
        networks: Allowed::only(vec!["10.0.0.0/8".parse().unwrap()]).unwrap(),
        ..Bounds::default()
    };
    let row = world.held(&admin, wish(admin.owner).everything().bounds(bounds)).key;
    let leave = world.leave(&admin, admin.owner);
    let mut entropy = Seeded::new(5);
    let (revoked, commit) = revoke_tampered(&leave, &row, cause("tampered with"), world.now, &mut entropy);
    assert_eq!((&revoked.access, &revoked.bounds), (&only(&[]), &Bounds::default()));
    let dead = State::Revoked {
        at: world.now,
        cause: cause("tampered with"),
    };
    assert_eq!((&revoked.state, revoked.revision), (&dead, row.revision.next()));
    let Credentials::One(nobodys) = revoked.credentials else {
        panic!("{:?}", revoked.credentials)
    };
    assert!(
        !nobodys.matches(row.credentials.current()),
        "the digest may be that of anybody's secret"
    );
    assert_ne!(nobodys.as_bytes(), &[0; 32]);
    assert_eq!(
        (revoked.id, revoked.project),
        (row.id, row.project),
        "it is found by these"
    );

    let event = commit.event();
    assert_eq!(
        (event.action.as_str(), &event.cause),
        ("key.revoke", &Some(cause("tampered with")))
    );
    assert_eq!((event.owner, event.actor), (None, Some((&admin).into())));
    assert_eq!(event.before, Some(serde_json::json!({ "tampered": true })));
    assert!(matches!(commit.changes(), [Change::Replace { record, expected }]
            if *expected == row.revision && record.revision() == revoked.revision));
}
