//! Stories of amending: narrowing is always allowed, widening needs rights.

use std::collections::{BTreeMap, BTreeSet};

use keyholt_core::actor::Beyond;
use keyholt_core::amend::{AmendError, Amendment};
use keyholt_core::issue::Life;
use keyholt_core::key::{Allowed, Bounds, Key};
use keyholt_core::project::{Catalogue, PolicyBreach};
use keyholt_core::scope::Access;
use keyholt_core::text::{Description, Environment, Metadata, Tag};
use keyholt_core::time::{Expiry, Lifetime, Span};

use crate::support::{NEW_YEAR, Wishing, World, amendment, cause, effective, name, only, scope, scopes, wish};

const HOUR: Span = Span::hours(1);

fn ending(expiry: Expiry) -> Amendment {
    Amendment {
        expiry: Some(expiry),
        ..Amendment::default()
    }
}

fn bound(bounds: Bounds) -> Amendment {
    Amendment {
        bounds: Some(bounds),
        ..Amendment::default()
    }
}

/// A key of `orders:*` for an hour, and somebody who may write keys but has none of that.
fn scene() -> (World, Key, keyholt_core::actor::Actor) {
    let mut world = World::new();
    let admin = world.admin();
    let wished = wish(admin.owner).scopes(&["orders:*"]).life(Life::For(HOUR));
    let key = world.held(&admin, wished).key;
    let clerk = world.machine(&["keyholt:keys:write"]);
    (world, key, clerk)
}

#[test]
fn narrowing_is_allowed_to_whoever_may_write_keys_for_an_emergency_must_not_fail() {
    let (world, key, clerk) = scene();
    for narrower in [
        &["orders:read"][..],
        &["orders:*@acme/*"],
        &["orders:a", "orders:b:*"],
        &[],
    ] {
        let (amended, _) = world.amend(&clerk, &key, amendment(only(narrower))).unwrap().unwrap();
        assert_eq!(amended.access, only(narrower));
    }
    let sooner = Expiry::At(NEW_YEAR.plus(Span::millis(1)));
    let (amended, _) = world.amend(&clerk, &key, ending(sooner)).unwrap().unwrap();
    assert_eq!(amended.expiry, sooner);
}

#[test]
fn everything_may_be_narrowed_to_anything_for_it_is_never_more() {
    let mut world = World::new();
    let admin = world.admin();
    let ada = world.user(&["orders:read"]);
    let clerk = world.machine(&["keyholt:keys:write"]);
    let key = world.held(&admin, wish(ada).everything()).key;
    let (amended, _) = world.amend(&clerk, &key, amendment(only(&["*"]))).unwrap().unwrap();
    assert_eq!(effective(&world, &amended), scopes(&["orders:read"]));
}

#[test]
fn widening_needs_the_rights_themselves() {
    let (mut world, key, clerk) = scene();
    for wider in ["*", "users:read", "keyholt:keys:write", "keyholt:keys:read"] {
        let amended = world.amend(&clerk, &key, amendment(only(&["orders:*", wider])));
        assert!(
            matches!(amended.unwrap_err(), AmendError::Beyond(Beyond::Scope { .. })),
            "{wider}"
        );
    }
    let amended = world.amend(&clerk, &key, amendment(Access::Everything));
    assert_eq!(amended.unwrap_err(), AmendError::Beyond(Beyond::Everything));

    let buyer = world.machine(&["keyholt:keys:write", "orders:*", "users:read"]);
    let (amended, _) = world
        .amend(&buyer, &key, amendment(only(&["orders:*", "users:read"])))
        .unwrap()
        .unwrap();
    assert_eq!(amended.access, only(&["orders:*", "users:read"]));
    let admin = world.admin();
    assert!(world.amend(&admin, &key, amendment(Access::Everything)).is_ok());
}

#[test]
fn a_key_cannot_widen_or_prolong_itself() {
    let mut world = World::new();
    let member = world.member();
    let wished = wish(member.owner)
        .scopes(&["orders:read", "keyholt:self:write"])
        .life(Life::For(HOUR));
    let key = world.held(&member, wished).key;
    let itself = world.holder(&key);

    let longer = Expiry::At(NEW_YEAR.plus(HOUR).plus(Span::millis(1)));
    for expiry in [longer, Expiry::Never] {
        let amended = world.amend(&itself, &key, ending(expiry));
        assert_eq!(amended.unwrap_err(), AmendError::Beyond(Beyond::Outlives));
    }
    let wider = only(&["orders:*", "keyholt:self:write"]);
    let beyond = Beyond::Scope {
        scope: scope("orders:*"),
    };
    assert_eq!(
        world.amend(&itself, &key, amendment(wider)).unwrap_err(),
        AmendError::Beyond(beyond)
    );
    let amended = world.amend(&itself, &key, amendment(Access::Everything));
    assert_eq!(amended.unwrap_err(), AmendError::Beyond(Beyond::Everything));

    assert!(world.amend(&member, &key, ending(longer)).is_ok(), "its owner can");
}

#[test]
fn narrowing_one_thing_does_not_excuse_widening_another() {
    let (world, key, clerk) = scene();
    let mixed = Amendment {
        access: Some(only(&["orders:read"])),
        expiry: Some(Expiry::Never),
        ..Amendment::default()
    };
    let beyond = Beyond::Scope {
        scope: scope("orders:read"),
    };
    assert_eq!(
        world.amend(&clerk, &key, mixed).unwrap_err(),
        AmendError::Beyond(beyond)
    );
}

#[test]
fn where_a_key_works_is_changed_by_those_who_could_have_made_it() {
    let (mut world, key, clerk) = scene();
    let nets = |text: &str| Bounds {
        networks: Allowed::only(vec![text.parse().unwrap()]).unwrap(),
        ..Bounds::default()
    };
    let amended = world.amend(&clerk, &key, bound(nets("10.0.0.0/8")));
    assert!(matches!(amended.unwrap_err(), AmendError::Beyond(_)));
    let admin = world.admin();
    let (fenced, _) = world.amend(&admin, &key, bound(nets("10.0.0.0/8"))).unwrap().unwrap();
    assert_eq!(fenced.bounds, nets("10.0.0.0/8"));
    let amended = world.amend(&clerk, &fenced, bound(Bounds::default()));
    assert!(
        matches!(amended.unwrap_err(), AmendError::Beyond(_)),
        "nobody tears a fence down who could not build"
    );
    assert!(
        world
            .amend(&clerk, &fenced, bound(nets("10.0.0.0/8")))
            .unwrap()
            .is_none()
    );
}

#[test]
fn the_environment_is_part_of_the_secret_and_stays() {
    let mut world = World::new();
    let admin = world.admin();
    let of = |environment: Option<&str>| Bounds {
        environment: environment.map(|text| Environment::new(text).unwrap()),
        ..Bounds::default()
    };
    let live = world.held(&admin, wish(admin.owner).bounds(of(Some("live")))).key;
    let none = world.held(&admin, wish(admin.owner)).key;
    for (key, to) in [(&live, of(Some("test"))), (&live, of(None)), (&none, of(Some("live")))] {
        assert_eq!(
            world.amend(&admin, key, bound(to)).unwrap_err(),
            AmendError::Environment
        );
    }
}

#[test]
fn an_expiry_lies_in_the_future_and_within_the_policy() {
    let (mut world, key, _) = scene();
    let admin = world.admin();
    for expiry in [NEW_YEAR, NEW_YEAR.minus(HOUR)] {
        let amended = world.amend(&admin, &key, ending(Expiry::At(expiry)));
        assert_eq!(amended.unwrap_err(), AmendError::AlreadyExpired);
    }
    let longest = Lifetime::For(Span::days(1));
    world.project.policy.longest_lifetime = longest;
    let breach = AmendError::Policy(PolicyBreach::LifetimeTooLong { longest });
    let day = NEW_YEAR.plus(Span::days(1));
    for expiry in [Expiry::Never, Expiry::At(day.plus(Span::millis(1)))] {
        assert_eq!(world.amend(&admin, &key, ending(expiry)).unwrap_err(), breach);
    }
    assert!(world.amend(&admin, &key, ending(Expiry::At(day))).is_ok());
}

#[test]
fn a_key_from_before_a_stricter_policy_may_still_be_narrowed() {
    let mut world = World::new();
    let admin = world.admin();
    let key = world
        .held(&admin, wish(admin.owner).scopes(&["old:read", "old:write", "new:read"]))
        .key;
    world.project.policy.longest_lifetime = Lifetime::For(Span::days(1));
    let known = BTreeMap::from([(scope("new:read"), Description::new("").unwrap())]);
    world.project.policy.scopes = Catalogue::Declared(known);

    let next_year = Expiry::At(NEW_YEAR.plus(Span::days(365)));
    let (sooner, _) = world.amend(&admin, &key, ending(next_year)).unwrap().unwrap();
    assert_eq!(
        sooner.expiry, next_year,
        "beyond the limit, but it was without end before"
    );
    let (fewer, _) = world
        .amend(&admin, &key, amendment(only(&["old:read", "new:read"])))
        .unwrap()
        .unwrap();
    assert_eq!(fewer.access, only(&["old:read", "new:read"]));

    for (access, unknown) in [
        (only(&["old:read", "old:more"]), "old:more"),
        (only(&["old:*", "new:read"]), "old:*"),
    ] {
        let breach = PolicyBreach::UnknownScope { scope: scope(unknown) };
        let amended = world.amend(&admin, &key, amendment(access));
        assert_eq!(amended.unwrap_err(), AmendError::Policy(breach));
    }
    let whole = world
        .held(&admin, wish(admin.owner).everything().life(Life::For(HOUR)))
        .key;
    let amended = world.amend(&admin, &whole, amendment(only(&["old:read"])));
    assert!(
        matches!(amended.unwrap_err(), AmendError::Policy(_)),
        "it did not name that before"
    );
}

#[test]
fn a_revoked_key_stays_as_it_was() {
    let (mut world, key, _) = scene();
    let admin = world.admin();
    let (revoked, _) = world.revoke(&admin, &key, "leaked").unwrap();
    let renamed = Amendment {
        name: Some(name("something else")),
        ..Amendment::default()
    };
    for amendment in [renamed, amendment(only(&[])), Amendment::default()] {
        assert_eq!(
            world.amend(&admin, &revoked, amendment).unwrap_err(),
            AmendError::Revoked
        );
    }
}

#[test]
fn a_dead_key_comes_back_only_through_those_who_could_have_made_it() {
    let (mut world, key, clerk) = scene();
    world.later(HOUR);
    let revived = ending(Expiry::At(world.now.plus(HOUR)));
    assert!(matches!(
        world.amend(&clerk, &key, revived.clone()).unwrap_err(),
        AmendError::Beyond(_)
    ));
    let admin = world.admin();
    assert!(world.amend(&admin, &key, revived).is_ok());
}

#[test]
fn a_label_is_changed_without_any_right_beyond_writing() {
    let (world, key, clerk) = scene();
    let serde_json::Value::Object(data) = serde_json::json!({ "cost_centre": 42 }) else {
        unreachable!("it is an object")
    };
    let relabelled = Amendment {
        name: Some(name("billing")),
        description: Some(Description::new("nightly").unwrap()),
        metadata: Some(Metadata::new(data).unwrap()),
        tags: Some(BTreeSet::from([Tag::new("team:billing").unwrap()])),
        cause: Some(cause("tidy up")),
        ..Amendment::default()
    };
    let (amended, commit) = world.amend(&clerk, &key, relabelled.clone()).unwrap().unwrap();
    let about = &amended.about;
    assert_eq!(Some(&about.name), relabelled.name.as_ref());
    assert_eq!(Some(&about.description), relabelled.description.as_ref());
    assert_eq!(Some(&about.metadata), relabelled.metadata.as_ref());
    assert_eq!(Some(&about.tags), relabelled.tags.as_ref());
    assert_eq!(about.hint, key.about.hint);
    assert_eq!((&amended.access, amended.expiry), (&key.access, key.expiry));
    assert_eq!(amended.revision, key.revision.next());
    assert_eq!(commit.event().cause, relabelled.cause);
}

#[test]
fn each_part_of_a_label_counts_as_a_change_by_itself() {
    let (world, key, clerk) = scene();
    let serde_json::Value::Object(data) = serde_json::json!({ "a": 1 }) else {
        unreachable!("it is an object")
    };
    for one in [
        Amendment {
            name: Some(name("other")),
            ..Amendment::default()
        },
        Amendment {
            description: Some(Description::new("other").unwrap()),
            ..Amendment::default()
        },
        Amendment {
            metadata: Some(Metadata::new(data).unwrap()),
            ..Amendment::default()
        },
        Amendment {
            tags: Some(BTreeSet::from([Tag::new("other").unwrap()])),
            ..Amendment::default()
        },
    ] {
        assert!(world.amend(&clerk, &key, one.clone()).unwrap().is_some(), "{one:?}");
    }
}

#[test]
fn nothing_different_is_no_change() {
    let (world, key, clerk) = scene();
    let same = Amendment {
        name: Some(key.about.name.clone()),
        description: Some(key.about.description.clone()),
        metadata: Some(key.about.metadata.clone()),
        tags: Some(key.about.tags.clone()),
        access: Some(key.access.clone()),
        expiry: Some(key.expiry),
        bounds: Some(key.bounds.clone()),
        cause: Some(cause("for nothing")),
    };
    assert!(world.amend(&clerk, &key, same).unwrap().is_none());
    assert!(world.amend(&clerk, &key, Amendment::default()).unwrap().is_none());
}

#[test]
fn a_demoted_owners_keys_narrow_at_once_and_come_back_as_they_were() {
    let mut world = World::new();
    let admin = world.admin();
    let ada = world.user(&["orders:*", "users:*"]);
    let whole = world.held(&admin, wish(ada).everything()).key;
    let part = world.held(&admin, wish(ada).scopes(&["orders:read", "users:read"])).key;
    world.may(ada, scopes(&["orders:*"]));
    assert_eq!(effective(&world, &whole), scopes(&["orders:*"]));
    assert_eq!(effective(&world, &part), scopes(&["orders:read"]));
    world.may(ada, scopes(&["orders:*", "users:*"]));
    assert_eq!(effective(&world, &whole), scopes(&["orders:*", "users:*"]));
    assert_eq!(effective(&world, &part), scopes(&["orders:read", "users:read"]));
}
