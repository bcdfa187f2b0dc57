//! What becomes of the keys of a backup.

use ipnet::IpNet;
use keyholt_core::key::{Allowed, Bounds, Key, State};
use keyholt_core::restore::suspend_unknown;
use keyholt_core::rotate::Grace;
use keyholt_core::scope::Access;
use keyholt_core::secret::{Credentials, Digest};
use keyholt_core::text::{Audience, Environment, Origin};
use keyholt_core::time::Expiry;

use super::*;
use crate::support::{Wishing, only, turn, wish};

/// A key as it is in the backup: it may do something, without an end.
fn key(world: &mut World) -> Key {
    let admin = world.admin();
    world.held(&admin, wish(admin.owner).scopes(&["orders:*"])).key
}

fn record(key: &Key) -> Record {
    Record::Key(Box::new(key.clone()))
}

/// What a key becomes whose present self is this one.
fn met(backup: &Key, present: &Key) -> Option<(Key, Vec<Ending>, String)> {
    became(backup, Present::There(&record(present)))
}

fn became(backup: &Key, present: Present<'_>) -> Option<(Key, Vec<Ending>, String)> {
    let (after, endings, action) = carried(&record(backup), present)?;
    let Record::Key(after) = after else { panic!("{after:?}") };
    Some((*after, endings, action))
}

fn suspended(at: Moment) -> State {
    State::Suspended { since: at }
}

fn revoked(at: Moment, why: &str) -> State {
    State::Revoked { at, cause: cause(why) }
}

#[test]
fn a_key_that_is_what_it_was_comes_back_without_a_word() {
    let key = key(&mut World::new());
    assert!(met(&key, &key).is_none());
}

#[test]
fn a_key_that_was_stopped_after_the_backup_stays_stopped_since_then() {
    let key = key(&mut World::new());
    for (state, ending, action) in [
        (suspended(NEW_YEAR), Ending::Suspended, "key.suspend"),
        (revoked(NEW_YEAR, "leaked"), Ending::Revoked, "key.revoke"),
    ] {
        let present = Key {
            state: state.clone(),
            ..key.clone()
        };
        let (after, endings, told) = met(&key, &present).unwrap();
        assert_eq!((after.state, endings, told.as_str()), (state, vec![ending], action));
        assert!(met(&present, &present).is_none());
    }
}

#[test]
fn a_key_that_was_stopped_before_the_backup_is_not_woken_by_it() {
    let key = key(&mut World::new());
    let backup = Key {
        state: suspended(NEW_YEAR),
        ..key.clone()
    };
    assert!(
        met(&backup, &key).is_none(),
        "it was resumed afterwards, and stays suspended"
    );
    assert_eq!(
        endings(&record(&backup), Present::Tampered),
        [],
        "it does not work anyway"
    );
    let dead = revoked(NEW_YEAR, "leaked");
    let present = Key {
        state: dead.clone(),
        ..key.clone()
    };
    let (after, endings, _) = met(&backup, &present).unwrap();
    assert_eq!((after.state, endings), (dead.clone(), vec![Ending::Revoked]));
    let backup = Key { state: dead, ..key };
    assert!(became(&backup, Present::Gone).is_none());
}

#[test]
fn a_key_that_was_deleted_after_the_backup_comes_back_revoked() {
    let mut world = World::new();
    let key = key(&mut world);
    let admin = world.admin();
    let (rotating, _) = world.rotate(&admin, &key, turn(Grace::Default)).unwrap();
    let (after, endings, action) = became(&rotating.key, Present::Gone).unwrap();
    assert_eq!(after.state, revoked(NOW, "ended after the backup"));
    assert_eq!((endings, action.as_str()), (vec![Ending::Gone], "key.revoke"));
    assert!(
        matches!(after.credentials, Credentials::One(one) if one.matches(rotating.key.credentials.current())),
        "nothing is left of its old secret"
    );
}

#[test]
fn a_key_whose_row_somebody_changed_waits_for_a_person_to_look_at_it() {
    let mut world = World::new();
    let key = key(&mut world);
    let project = Record::Project(world.project.clone());
    for present in [Present::Tampered, Present::There(&project)] {
        let (after, endings, action) = became(&key, present).unwrap();
        assert_eq!((after.state, endings), (suspended(NOW), vec![Ending::Tampered]));
        assert_eq!(action, "key.suspend");
    }
}

#[test]
fn a_key_that_was_rotated_has_the_secrets_that_its_holder_has() {
    let mut world = World::new();
    let key = key(&mut world);
    let admin = world.admin();
    let (new, _) = world.rotate(&admin, &key, turn(Grace::For(Span::hours(1)))).unwrap();
    let (after, endings, action) = met(&key, &new.key).unwrap();
    assert_eq!((endings, action.as_str()), (vec![Ending::Rotated], "key.rotate"));
    assert_eq!(world.verdict_on(&after, &new.secret), "granted");
    assert_eq!(
        after.about.hint, new.key.about.hint,
        "people recognise it by its new secret"
    );
    assert_eq!(
        after.credentials.beside_until(),
        new.key.credentials.beside_until(),
        "the grace goes on"
    );
    let ended = Key {
        credentials: new.key.credentials.cut_short(NEW_YEAR),
        ..new.key.clone()
    };
    let (after, endings, _) = met(&new.key, &ended).unwrap();
    assert_eq!(endings, [Ending::Rotated], "the grace was ended early");
    assert_eq!(after.credentials.beside_until(), Some(NEW_YEAR));
    assert!(met(&new.key, &new.key).is_none());
}

#[test]
fn secrets_are_the_same_when_all_of_their_digests_are() {
    let key = key(&mut World::new());
    let digest = |byte| Digest::from_bytes([byte; 32]);
    let until = NEW_YEAR;
    let (current, retiring, family) = (digest(1), digest(2), digest(2));
    let one = Credentials::One(current);
    let rotating = Credentials::Rotating {
        current,
        retiring,
        until,
    };
    let renewed = |former| Credentials::Renewed {
        current: digest(9),
        former,
        until,
    };
    for (backup, present, same) in [
        (one, one, true),
        (one, Credentials::One(digest(3)), false),
        (one, rotating, false),
        (rotating, one, false),
        (
            rotating,
            Credentials::Rotating {
                current,
                retiring: digest(3),
                until,
            },
            false,
        ),
        (
            Credentials::Family { current, family },
            Credentials::Family { current, family },
            true,
        ),
        (
            Credentials::Family { current, family },
            Credentials::Family {
                current,
                family: digest(3),
            },
            false,
        ),
        // One whose digest was renewed after the backup is the same secret still.
        (one, renewed(current), true),
        (one, renewed(digest(3)), false),
        (rotating, renewed(current), false),
        (renewed(current), renewed(current), true),
    ] {
        let with = |credentials| Key {
            credentials,
            ..key.clone()
        };
        let rotated = met(&with(backup), &with(present)).map(|(_, endings, _)| endings);
        let expected = (!same).then(|| vec![Ending::Rotated]);
        assert_eq!(rotated, expected, "{backup:?} {present:?}");
    }
}

#[test]
fn a_key_may_do_what_it_might_both_then_and_now() {
    let key = key(&mut World::new());
    let all = || Access::Everything;
    for (then, now, both) in [
        (all(), all(), None),
        (all(), only(&["orders:read"]), Some(only(&["orders:read"]))),
        (only(&["orders:read"]), all(), None),
        (
            only(&["orders:*"]),
            only(&["orders:read"]),
            Some(only(&["orders:read"])),
        ),
        (only(&["orders:read"]), only(&["orders:*"]), None),
        (
            only(&["orders:*"]),
            only(&["orders:read", "users:read"]),
            Some(only(&["orders:read"])),
        ),
        (only(&["orders:*"]), only(&["users:*"]), Some(only(&[]))),
    ] {
        let with = |access: &Access| Key {
            access: access.clone(),
            ..key.clone()
        };
        let after = met(&with(&then), &with(&now));
        assert_eq!(
            after.as_ref().map(|(key, ..)| &key.access),
            both.as_ref(),
            "{then:?} {now:?}"
        );
        if let Some((_, endings, action)) = after {
            assert_eq!((endings, action.as_str()), (vec![Ending::Narrowed], "key.amend"));
        }
    }
}

#[test]
fn a_key_ends_when_it_would_have_ended_first() {
    let key = key(&mut World::new());
    let (sooner, later) = (Expiry::At(NOW), Expiry::At(NOW.plus(Span::days(1))));
    for (then, now, shortened) in [
        (Expiry::Never, later, true),
        (later, sooner, true),
        (later, later, false),
        (sooner, later, false),
        (sooner, Expiry::Never, false),
    ] {
        let with = |expiry| Key { expiry, ..key.clone() };
        let after = met(&with(then), &with(now)).map(|(key, endings, action)| (key.expiry, endings, action));
        let expected = shortened.then(|| (now, vec![Ending::Shortened], "key.amend".to_owned()));
        assert_eq!(after, expected, "{then:?} {now:?}");
    }
}

fn networks(texts: &[&str]) -> Bounds {
    let networks: Vec<IpNet> = texts.iter().map(|text| text.parse().unwrap()).collect();
    Bounds {
        networks: Allowed::only(networks).unwrap(),
        ..Bounds::default()
    }
}

fn environment(text: &str) -> Bounds {
    Bounds {
        environment: Some(Environment::new(text).unwrap()),
        ..Bounds::default()
    }
}

fn audiences(texts: &[&str]) -> Bounds {
    let audiences = texts.iter().map(|text| Audience::new(text).unwrap());
    Bounds {
        audience: Allowed::only(audiences.collect()).unwrap(),
        ..Bounds::default()
    }
}

fn origins(texts: &[&str]) -> Bounds {
    let origins = texts.iter().map(|text| Origin::new(text).unwrap());
    Bounds {
        origins: Allowed::only(origins.collect()).unwrap(),
        ..Bounds::default()
    }
}

#[test]
fn a_key_works_where_it_worked_both_then_and_now() {
    let key = key(&mut World::new());
    let (app, shop) = ("https://app.example", "https://shop.example");
    for (then, now, both) in [
        (
            Bounds::default(),
            networks(&["10.0.0.0/8"]),
            Some(networks(&["10.0.0.0/8"])),
        ),
        (networks(&["10.0.0.0/8"]), Bounds::default(), None),
        (
            networks(&["10.0.0.0/8"]),
            networks(&["10.1.0.0/16"]),
            Some(networks(&["10.1.0.0/16"])),
        ),
        (networks(&["10.1.0.0/16"]), networks(&["10.0.0.0/8"]), None),
        (
            networks(&["10.0.0.0/8", "192.0.2.0/24"]),
            networks(&["10.1.0.0/16", "198.51.100.0/24"]),
            Some(networks(&["10.1.0.0/16"])),
        ),
        (audiences(&[app, shop]), audiences(&[shop]), Some(audiences(&[shop]))),
        (audiences(&[shop]), audiences(&[app, shop]), None),
        (origins(&[app, shop]), origins(&[app]), Some(origins(&[app]))),
        (Bounds::default(), origins(&[app]), Some(origins(&[app]))),
        (environment("live"), environment("live"), None),
        (environment("live"), Bounds::default(), None),
    ] {
        let with = |bounds: &Bounds| Key {
            bounds: bounds.clone(),
            ..key.clone()
        };
        let after = met(&with(&then), &with(&now));
        assert_eq!(
            after.as_ref().map(|(key, ..)| &key.bounds),
            both.as_ref(),
            "{then:?} {now:?}"
        );
        if let Some((key, endings, action)) = after {
            assert_eq!((endings, action.as_str()), (vec![Ending::Narrowed], "key.amend"));
            assert_eq!(key.state, State::Active);
        }
    }
}

#[test]
fn a_key_for_which_no_place_is_left_is_suspended() {
    let key = key(&mut World::new());
    let (app, shop) = ("https://app.example", "https://shop.example");
    for (then, now) in [
        (networks(&["10.0.0.0/8"]), networks(&["192.0.2.0/24"])),
        (audiences(&[app]), audiences(&[shop])),
        (origins(&[app]), origins(&[shop])),
        (environment("test"), environment("live")),
        (Bounds::default(), environment("live")),
    ] {
        let with = |bounds: &Bounds, state| Key {
            bounds: bounds.clone(),
            state,
            ..key.clone()
        };
        let present = with(&now, State::Active);
        let (after, endings, action) = met(&with(&then, State::Active), &present).unwrap();
        assert_eq!(
            (after.state, &after.bounds),
            (suspended(NOW), &then),
            "no list says nowhere"
        );
        assert_eq!(endings, [Ending::Suspended, Ending::Narrowed]);
        assert_eq!(action, "key.suspend");
        let (after, endings, _) = met(&with(&then, suspended(NEW_YEAR)), &present).unwrap();
        assert_eq!((after.state, endings), (suspended(NEW_YEAR), vec![Ending::Narrowed]));
    }
}

#[test]
fn what_happened_to_a_key_besides_is_told_under_the_hardest() {
    let key = key(&mut World::new());
    let present = Key {
        state: revoked(NEW_YEAR, "leaked"),
        access: only(&["orders:read"]),
        expiry: Expiry::At(NOW),
        ..key.clone()
    };
    let (after, endings, action) = met(&key, &present).unwrap();
    assert_eq!(endings, [Ending::Revoked, Ending::Narrowed, Ending::Shortened]);
    assert_eq!(action, "key.revoke");
    assert_eq!(
        (&after.state, &after.access, after.expiry),
        (&present.state, &present.access, present.expiry)
    );
}

#[test]
fn a_key_of_which_nobody_knows_anything_is_suspended_if_it_works() {
    let key = key(&mut World::new());
    let commit = suspend_unknown(&key, &source(), NOW).unwrap();
    let [
        Change::Replace {
            record: Record::Key(after),
            expected,
        },
    ] = commit.changes()
    else {
        panic!("{commit:?}")
    };
    assert_eq!((&after.state, *expected), (&suspended(NOW), key.revision));
    assert_eq!(
        (after.revision, commit.event().action.as_str()),
        (key.revision.next(), "key.suspend")
    );
    told(&commit, &record(&key), "whether it ended after the backup is not known");
    for state in [suspended(NEW_YEAR), revoked(NEW_YEAR, "leaked")] {
        assert!(suspend_unknown(&Key { state, ..key.clone() }, &source(), NOW).is_none());
    }
}
