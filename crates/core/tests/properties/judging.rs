//! Properties of the judge: it never grants a dead key, and it grants exactly what no rule is against.

use std::net::IpAddr;

use proptest::prelude::*;

use keyholt_core::authority::Authority;
use keyholt_core::denial::Denial;
use keyholt_core::id::{KeyId, ProjectId, UserId};
use keyholt_core::key::{Allowed, Bounds, Kind};
use keyholt_core::owner::{Owner, Standing};
use keyholt_core::scope::{Access, Scope, ScopeSet};
use keyholt_core::time::{Expiry, Moment, Span};
use keyholt_core::verify::{Ask, Dossier, Needed, Shown, Stopped, Verification, explain, judge, standing};

use super::{access, cases, expiry, scope, scope_set};
use crate::support::{NEW_YEAR, Seeded};

#[derive(Clone, Debug)]
struct Case {
    access: Access,
    permissions: ScopeSet,
    expiry: Expiry,
    stopped: Stopped,
    shown: Shown,
    owner_standing: Standing,
    project_standing: Standing,
    foreign: Option<ProjectId>,
    bounds: Bounds,
    address: Option<IpAddr>,
    asked: Vec<Scope>,
    hours: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let standing = || prop_oneof![4 => Just(Standing::Good), 1 => Just(Standing::Suspended { since: NEW_YEAR })];
    let stopped = prop_oneof![
        6 => Just(Stopped::No),
        1 => Just(Stopped::Suspended),
        1 => Just(Stopped::Revoked),
        1 => Just(Stopped::Tampered),
    ];
    let shown = prop_oneof![
        3 => Just(Shown::Current),
        1 => Just(Shown::Superseded),
        2 => (0..10u64).prop_map(|hours| Shown::Retiring { until: NEW_YEAR.plus(Span::hours(hours)) }),
        1 => Just(Shown::Superseded),
    ];
    let foreign = prop_oneof![
        4 => Just(None),
        1 => Just(Some(ProjectId::mint(NEW_YEAR, &mut Seeded::new(77)))),
    ];
    let address = prop_oneof![
        Just(None),
        Just(Some("10.0.0.1".parse().unwrap())),
        Just(Some("::ffff:10.0.0.1".parse().unwrap())),
        Just(Some("192.0.2.1".parse().unwrap())),
    ];
    let bounds = prop_oneof![
        2 => Just(Bounds::default()),
        1 => Just(Bounds {
            networks: Allowed::only(vec!["10.0.0.0/8".parse().unwrap()]).unwrap(),
            ..Bounds::default()
        }),
    ];
    (
        (access(), scope_set(4), expiry(0..10), stopped, shown),
        (standing(), standing(), foreign),
        (bounds, address),
        (prop::collection::vec(scope(), 0..3), 0..10u64),
    )
        .prop_map(
            |((access, permissions, expiry, stopped, shown), stands, (bounds, address), (asked, hours))| Case {
                access,
                permissions,
                expiry,
                stopped,
                shown,
                owner_standing: stands.0,
                project_standing: stands.1,
                foreign: stands.2,
                bounds,
                address,
                asked,
                hours,
            },
        )
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn a_dead_key_is_never_granted_and_a_living_one_always_is(case in case()) {
        let mut entropy = Seeded::new(1);
        let project = ProjectId::mint(NEW_YEAR, &mut entropy);
        let dossier = Dossier {
            key: KeyId::mint(NEW_YEAR, &mut entropy),
            project,
            owner: Owner::User(UserId::mint(NEW_YEAR, &mut entropy)),
            kind: Kind::Standard,
            authority: Authority::new(&case.access, &case.permissions),
            bounds: &case.bounds,
            expiry: case.expiry,
            stopped: case.stopped,
            shown: case.shown,
            owner_standing: case.owner_standing,
            project_standing: case.project_standing,
            form: keyholt_core::verify::Form::Secret,
        };
        let ask = Ask {
            scopes: Needed::AllOf(case.asked.iter().map(Scope::wanted).collect()),
            address: case.address,
            ..Ask::default()
        };
        let now: Moment = NEW_YEAR.plus(Span::hours(case.hours));
        let asked_in = case.foreign.unwrap_or(project);

        let verification = judge(Some(&dossier), asked_in, &ask, now);

        // The same in other words, so that one slip does not make both agree.
        let retired = match case.shown {
            Shown::Current => false,
            Shown::Retiring { until } => until.ms() <= now.ms(),
            Shown::Superseded => true,
        };
        let possessed = case.foreign.is_none() && !retired;
        let expired = case.expiry.at().is_some_and(|at| at.ms() <= now.ms());
        let alive = case.stopped == Stopped::No
            && !expired
            && case.owner_standing == Standing::Good
            && case.project_standing == Standing::Good;
        let there = case.bounds == Bounds::default()
            || case.address.is_some_and(|address| address.to_canonical().to_string() == "10.0.0.1");
        let effective = case.access.effective(&case.permissions);
        let able = case.asked.iter().all(|scope| effective.covers(scope.wanted()));

        let granted = matches!(verification, Verification::Granted(_));
        prop_assert_eq!(granted, possessed && alive && there && able);
        if !possessed {
            prop_assert_eq!(&verification, &Verification::Denied(Denial::Unknown));
        }
        let first = explain(&dossier, asked_in, &ask, now).find_map(|(_, denial)| denial);
        match &verification {
            Verification::Granted(_) => prop_assert_eq!(first, None),
            Verification::Denied(denial) => prop_assert_eq!(Some(denial.clone()), first),
        }
        prop_assert_eq!(standing(&dossier, now).is_none(), alive && !retired);
        if let Verification::Denied(Denial::InsufficientScope { missing }) = verification {
            prop_assert!(!missing.is_empty());
            prop_assert!(missing.iter().all(|scope| !effective.covers(scope.wanted()) && case.asked.contains(scope)));
        }
    }
}
