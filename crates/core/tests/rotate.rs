//! Stories of rotation: a new secret now, the old one until its grace ends, never three.

use keyholt_core::actor::Beyond;
use keyholt_core::issue::Life;
use keyholt_core::project::PolicyBreach;
use keyholt_core::rotate::{Grace, RotateError, Turn, end_grace};
use keyholt_core::scope::Access;
use keyholt_core::secret::Fingerprint;
use keyholt_core::time::{Expiry, Span};
use keyholt_core::verify::{Ask, Verification, Warning};

use crate::support::{NEW_YEAR, Wishing, World, cause, only, scope, turn, wish};

const HOUR: Span = Span::hours(1);

#[test]
fn the_old_secret_works_until_its_grace_ends_and_is_dead_at_that_instant() {
    let mut world = World::new();
    let member = world.member();
    let old = world.held(&member, wish(member.owner));
    let (new, _) = world.rotate(&member, &old.key, turn(Grace::For(HOUR))).unwrap();
    let until = NEW_YEAR.plus(HOUR);
    for (now, old_works) in [
        (NEW_YEAR, "granted"),
        (until.minus(Span::millis(1)), "granted"),
        (until, "unknown"),
        (until.plus(HOUR), "unknown"),
    ] {
        world.now = now;
        assert_eq!(world.verdict_on(&new.key, &old.secret), old_works, "at {now}");
        assert_eq!(world.verdict(&new), "granted", "at {now}");
    }
}

#[test]
fn whoever_still_uses_the_old_secret_is_told_and_whoever_uses_the_new_one_is_not() {
    let mut world = World::new();
    let member = world.member();
    let old = world.held(&member, wish(member.owner));
    let (new, _) = world.rotate(&member, &old.key, turn(Grace::For(HOUR))).unwrap();
    let warnings = |secret: &str| match world.verify(&new.key, secret, &Ask::default()) {
        Verification::Granted(grant) => grant.warnings().collect::<Vec<_>>(),
        Verification::Denied(denial) => panic!("{denial:?}"),
    };
    let until = NEW_YEAR.plus(HOUR);
    assert_eq!(warnings(&old.secret), [Warning::SupersededSecret { until }]);
    assert_eq!(warnings(&new.secret), []);
}

#[test]
fn no_grace_ends_the_old_secret_at_once() {
    let mut world = World::new();
    let member = world.member();
    let old = world.held(&member, wish(member.owner));
    let (new, _) = world.rotate(&member, &old.key, turn(Grace::For(Span::ZERO))).unwrap();
    assert_eq!(world.verdict_on(&new.key, &old.secret), "unknown");
    assert_eq!(world.verdict(&new), "granted");
    let (_, until) = new.key.credentials.retiring().unwrap();
    assert_eq!(until, world.now, "it is remembered, and dead");
}

#[test]
fn a_rotation_during_a_grace_ends_that_grace_so_that_there_are_never_three() {
    let mut world = World::new();
    let member = world.member();
    let first = world.held(&member, wish(member.owner));
    let (second, _) = world.rotate(&member, &first.key, turn(Grace::For(HOUR))).unwrap();
    world.later(Span::secs(1));
    let (third, _) = world.rotate(&member, &second.key, turn(Grace::For(HOUR))).unwrap();
    assert_eq!(world.verdict_on(&third.key, &first.secret), "unknown");
    assert_eq!(world.verdict_on(&third.key, &second.secret), "granted");
    assert_eq!(world.verdict(&third), "granted");
}

#[test]
fn a_grace_can_be_ended_early_and_there_is_nothing_to_end_twice() {
    let mut world = World::new();
    let member = world.member();
    let old = world.held(&member, wish(member.owner));
    let leave = world.leave(&member, member.owner);
    assert!(
        end_grace(&leave, &old.key, None, world.now).is_none(),
        "it is not rotating"
    );

    let (new, _) = world.rotate(&member, &old.key, turn(Grace::For(HOUR))).unwrap();
    let (ended, commit) = end_grace(&leave, &new.key, Some(cause("all moved")), world.now).unwrap();
    assert_eq!(commit.event().action, "key.end_grace");
    assert_eq!(commit.event().cause, Some(cause("all moved")));
    assert_eq!(world.verdict_on(&ended, &old.secret), "unknown");
    assert_eq!(world.verdict_on(&ended, &new.secret), "granted");
    assert!(end_grace(&leave, &ended, None, world.now).is_none());
}

#[test]
fn the_policy_says_how_long_a_grace_is_and_may_be() {
    let mut world = World::new();
    let member = world.member();
    let key = world.held(&member, wish(member.owner)).key;
    world.project.policy.default_grace = Span::hours(2);
    world.project.policy.longest_grace = Span::hours(4);
    let until = |world: &mut World, grace| {
        let (held, _) = world.rotate(&member, &key, turn(grace))?;
        Ok::<_, RotateError>(held.key.credentials.retiring().map(|(_, until)| until.since(NEW_YEAR)))
    };
    assert_eq!(until(&mut world, Grace::Default), Ok(Some(Span::hours(2))));
    assert_eq!(until(&mut world, Grace::For(Span::hours(4))), Ok(Some(Span::hours(4))));
    let longest = Span::hours(4);
    let too_long = Span::millis(longest.ms() + 1);
    let breach = RotateError::Policy(PolicyBreach::GraceTooLong { longest });
    assert_eq!(until(&mut world, Grace::For(too_long)), Err(breach));

    world.project.policy.longest_grace = HOUR;
    assert_eq!(
        until(&mut world, Grace::Default),
        Ok(Some(HOUR)),
        "a default beyond the limit is cut"
    );
}

#[test]
fn a_revoked_key_stays_revoked_and_an_expired_one_would_come_out_dead() {
    let mut world = World::new();
    let member = world.member();
    let wished = wish(member.owner).life(Life::For(HOUR));
    let key = world.held(&member, wished).key;
    let (revoked, _) = world.revoke(&member, &key, "leaked").unwrap();
    let refusal = |world: &mut World, key| world.rotate(&member, key, turn(Grace::Default)).unwrap_err();
    assert_eq!(refusal(&mut world, &revoked), RotateError::Revoked);
    world.now = NEW_YEAR.plus(HOUR).minus(Span::millis(1));
    assert!(world.rotate(&member, &key, turn(Grace::Default)).is_ok());
    world.now = NEW_YEAR.plus(HOUR);
    assert_eq!(refusal(&mut world, &key), RotateError::Expired);
}

#[test]
fn rotating_a_key_is_no_way_to_come_by_its_rights() {
    let mut world = World::new();
    let admin = world.admin();
    let machine = world.machine(&["keyholt:keys:write", "orders:read"]);
    let strong = world.held(&admin, wish(admin.owner).scopes(&["orders:write"])).key;
    let whole = world.held(&admin, wish(admin.owner).everything()).key;
    let weak = world.held(&admin, wish(admin.owner).scopes(&["orders:read"])).key;
    let turned = |world: &mut World, key| world.rotate(&machine, key, turn(Grace::Default));
    let beyond = Beyond::Scope {
        scope: scope("orders:write"),
    };
    assert_eq!(turned(&mut world, &strong).unwrap_err(), RotateError::Beyond(beyond));
    assert_eq!(
        turned(&mut world, &whole).unwrap_err(),
        RotateError::Beyond(Beyond::Everything)
    );
    assert!(turned(&mut world, &weak).is_ok());
}

#[test]
fn a_passing_key_cannot_rotate_its_way_into_a_lasting_one() {
    let mut world = World::new();
    let admin = world.admin();
    let end = Expiry::At(NEW_YEAR.plus(HOUR));
    let passing = world.caller(admin.owner, Access::Everything, end);
    let lasting = world.held(&admin, wish(admin.owner)).key;
    let turned = world.rotate(&passing, &lasting, turn(Grace::Default));
    assert_eq!(turned.unwrap_err(), RotateError::Beyond(Beyond::Outlives));
}

#[test]
fn who_holds_the_old_secret_cannot_rotate_the_rotation_away() {
    let mut world = World::new();
    let member = world.member();
    let leaked = world.held(&member, wish(member.owner).access(only(&["keyholt:self:*"])));
    let (new, _) = world.rotate(&member, &leaked.key, turn(Grace::For(HOUR))).unwrap();
    let Verification::Granted(grant) = world.verify(&new.key, &leaked.secret, &Ask::default()) else {
        panic!("it is in its grace")
    };
    // A door lets its callers act until what they showed is dead, and that is when the grace is over.
    assert_eq!(grant.expiry(), Expiry::Never);
    assert_eq!(grant.ends(), Expiry::At(NEW_YEAR.plus(HOUR)));
    let thief = world.caller(member.owner, new.key.access.clone(), grant.ends());
    let turned = world.rotate(&thief, &new.key, turn(Grace::Default));
    assert_eq!(turned.unwrap_err(), RotateError::Beyond(Beyond::Outlives));

    let Verification::Granted(grant) = world.verify(&new.key, &new.secret, &Ask::default()) else {
        panic!("it is the newest")
    };
    assert_eq!(
        grant.ends(),
        Expiry::Never,
        "whoever has the new secret is not hindered"
    );
}

#[test]
fn what_is_shown_ends_with_its_key_where_that_comes_first() {
    let mut world = World::new();
    let member = world.member();
    let old = world.held(&member, wish(member.owner).life(Life::For(HOUR)));
    for (grace, ends) in [(Span::hours(2), HOUR), (Span::secs(1), Span::secs(1)), (HOUR, HOUR)] {
        let (new, _) = world.rotate(&member, &old.key, turn(Grace::For(grace))).unwrap();
        let Verification::Granted(grant) = world.verify(&new.key, &old.secret, &Ask::default()) else {
            panic!("it is in its grace")
        };
        assert_eq!(grant.ends(), Expiry::At(NEW_YEAR.plus(ends)), "{grace}");
    }
}

#[test]
fn a_client_may_bring_its_new_secret() {
    let mut world = World::new();
    let member = world.member();
    let old = world.held(&member, wish(member.owner));
    let own = world.held(&member, wish(member.owner)).secret;
    let brought = Turn {
        client_made: Some(Fingerprint::of(own.as_bytes())),
        ..turn(Grace::Default)
    };
    let (new, _) = world.rotate(&member, &old.key, brought).unwrap();
    assert!(new.secret.is_empty(), "there is nothing to show");
    assert!(
        new.key.about.hint.is_none(),
        "the old hint would name a secret that is gone"
    );
    assert_eq!(world.verdict_on(&new.key, &own), "granted");
}

#[test]
fn a_leaked_secret_cannot_be_put_in_its_own_place() {
    let mut world = World::new();
    let member = world.member();
    let leaked = world.held(&member, wish(member.owner));
    let again = |secret: &str, grace| Turn {
        client_made: Some(Fingerprint::of(secret.as_bytes())),
        ..turn(grace)
    };
    for grace in [Grace::Default, Grace::For(Span::ZERO)] {
        let turned = world.rotate(&member, &leaked.key, again(&leaked.secret, grace));
        assert_eq!(turned.unwrap_err(), RotateError::SameSecret);
    }
    let (new, _) = world.rotate(&member, &leaked.key, turn(Grace::For(HOUR))).unwrap();
    let turned = world.rotate(&member, &new.key, again(&leaked.secret, Grace::Default));
    assert_eq!(
        turned.unwrap_err(),
        RotateError::SameSecret,
        "nor come back from its grace"
    );
}

#[test]
fn nothing_but_the_secret_changes() {
    let mut world = World::new();
    let member = world.member();
    let wished = wish(member.owner).scopes(&["orders:*"]).life(Life::For(Span::days(9)));
    let old = world.held(&member, wished);
    let (suspended, _) = world.suspend(&member, &old.key).unwrap().unwrap();
    let (new, _) = world.rotate(&member, &suspended, turn(Grace::Default)).unwrap();
    assert_eq!(new.key.state, suspended.state, "a rotation wakes nobody up");
    assert_eq!(
        (new.key.id, new.key.owner, new.key.kind),
        (old.key.id, old.key.owner, old.key.kind)
    );
    assert_eq!((&new.key.access, &new.key.bounds), (&old.key.access, &old.key.bounds));
    assert_eq!(
        (new.key.expiry, new.key.created_by),
        (old.key.expiry, old.key.created_by)
    );
    assert_eq!(new.key.about.name, old.key.about.name);
    assert_ne!(
        new.key.about.hint, old.key.about.hint,
        "people recognise it by its new secret"
    );
    assert_eq!(new.key.revision, suspended.revision.next());
}
