//! The judge: the order of its rules is a security property, and each reason has a story that reaches it.

mod asked;
pub mod scene;

use keyholt_core::denial::{Denial, DenialCode};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::owner::Standing;
use keyholt_core::secret::{Malformed, Presented};
use keyholt_core::time::{Expiry, Moment, Span};
use keyholt_core::verify::{EXPIRES_SOON, RULES, Shown, Stopped, Verification, Warning, judge, standing};

use self::scene::Scene;
use crate::support::{NEW_YEAR, Seeded};

type Breach = fn(&mut Scene);

/// One way to break each rule and no other, in the order that is promised; with the reason that must be given.
///
/// `stopped` is one field: that a row is at once revoked and tampered with cannot be written down.
const BREACHES: [(&str, DenialCode, Breach); 13] = [
    ("project", DenialCode::Unknown, |scene| {
        scene.asked_in = ProjectId::from_uuid(KeyId::mint(NEW_YEAR, &mut Seeded::new(99)).uuid());
    }),
    ("secret", DenialCode::Unknown, |scene| {
        scene.shown = Shown::Retiring { until: NEW_YEAR }
    }),
    ("seal", DenialCode::Tampered, |scene| scene.stopped = Stopped::Tampered),
    ("revoked", DenialCode::Revoked, |scene| scene.stopped = Stopped::Revoked),
    ("suspended", DenialCode::Suspended, |scene| {
        scene.stopped = Stopped::Suspended
    }),
    ("expired", DenialCode::Expired, |scene| {
        scene.expiry = Expiry::At(NEW_YEAR)
    }),
    ("owner", DenialCode::OwnerSuspended, |scene| {
        scene.owner_standing = Standing::Suspended { since: NEW_YEAR };
    }),
    ("project_standing", DenialCode::ProjectSuspended, |scene| {
        scene.project_standing = Standing::Suspended { since: NEW_YEAR };
    }),
    ("address", DenialCode::AddressNotAllowed, |scene| {
        scene.address = Some("192.0.2.1".parse().unwrap());
    }),
    ("origin", DenialCode::OriginNotAllowed, |scene| {
        scene.origin = Some("https://evil.example.org")
    }),
    ("audience", DenialCode::AudienceNotAllowed, |scene| {
        scene.audience = Some("https://other.example.org")
    }),
    ("environment", DenialCode::EnvironmentNotAllowed, |scene| {
        scene.environment = Some("test")
    }),
    ("scopes", DenialCode::InsufficientScope, |scene| {
        scene.scope = "users:read"
    }),
];

fn share_a_field(one: &str, other: &str) -> bool {
    let stops = ["seal", "revoked", "suspended"];
    stops.contains(&one) && stops.contains(&other)
}

#[test]
fn the_rules_are_these_in_this_order() {
    let names: Vec<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(names, BREACHES.map(|(name, ..)| name));
    assert_eq!(Scene::good().code(), None, "none of them is broken to begin with");
}

#[test]
fn each_breach_breaks_its_own_rule_alone() {
    for (name, code, breach) in BREACHES {
        let scene = Scene::good().with(breach);
        assert_eq!(scene.code(), Some(code), "{name}");
        let broken: Vec<_> = scene
            .explained()
            .into_iter()
            .filter_map(|(name, denial)| denial.map(|_| name))
            .collect();
        assert_eq!(broken, [name]);
    }
}

#[test]
fn of_two_broken_rules_the_earlier_one_is_the_answer() {
    let mut pairs = 0;
    for (i, (first, code, breach)) in BREACHES.iter().enumerate() {
        for (second, _, other) in &BREACHES[i + 1..] {
            if share_a_field(first, second) {
                continue;
            }
            let scene = Scene::good().with(breach).with(other);
            assert_eq!(scene.code(), Some(*code), "{first} and {second}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 13 * 12 / 2 - 3);
}

#[test]
fn of_all_broken_rules_the_first_one_is_the_answer() {
    for i in 0..BREACHES.len() {
        // Backwards, so that of the three ways to be stopped the earliest is written last.
        let scene = BREACHES[i..]
            .iter()
            .rev()
            .fold(Scene::good(), |scene, (_, _, breach)| scene.with(breach));
        assert_eq!(scene.code(), Some(BREACHES[i].1), "from {} on", BREACHES[i].0);
    }
}

#[test]
fn every_denial_code_is_reached() {
    for code in DenialCode::ALL {
        // No wildcard: a new code does not compile until it is told how it is reached.
        let rule = match code {
            DenialCode::Malformed => {
                assert_eq!(
                    Presented::parse("acme_short"),
                    Err(Malformed),
                    "no dossier is ever asked for"
                );
                continue;
            }
            DenialCode::Unknown => "secret",
            DenialCode::Tampered => "seal",
            DenialCode::Revoked => "revoked",
            DenialCode::Suspended => "suspended",
            DenialCode::Expired => "expired",
            DenialCode::OwnerSuspended => "owner",
            DenialCode::ProjectSuspended => "project_standing",
            DenialCode::AddressNotAllowed => "address",
            DenialCode::OriginNotAllowed => "origin",
            DenialCode::AudienceNotAllowed => "audience",
            DenialCode::EnvironmentNotAllowed => "environment",
            DenialCode::InsufficientScope => "scopes",
        };
        let (.., breach) = BREACHES.iter().find(|(name, ..)| *name == rule).unwrap();
        assert_eq!(Scene::good().with(breach).code(), Some(code));
    }
}

#[test]
fn the_catalogue_names_each_code_once_in_the_order_of_the_judge() {
    let mut met: Vec<DenialCode> = BREACHES.map(|(_, code, _)| code).to_vec();
    met.dedup();
    met.insert(0, DenialCode::Malformed);
    assert_eq!(met, DenialCode::ALL);
    let words: std::collections::BTreeSet<&str> = DenialCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words.len(), DenialCode::ALL.len());
    for code in DenialCode::ALL {
        let explanation = code.explanation();
        assert_eq!(explanation.code, code);
        assert!(
            explanation.meaning.ends_with('.') && explanation.remedy.ends_with('.'),
            "{code:?}"
        );
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str(), "one spelling");
    }
}

#[test]
fn a_denial_answers_401_until_the_key_itself_is_good_and_403_from_then_on() {
    let expected = |code| match code {
        DenialCode::AddressNotAllowed
        | DenialCode::OriginNotAllowed
        | DenialCode::AudienceNotAllowed
        | DenialCode::EnvironmentNotAllowed
        | DenialCode::InsufficientScope => 403,
        _ => 401,
    };
    for code in DenialCode::ALL {
        assert_eq!(code.explanation().status, expected(code), "{code:?}");
    }
}

#[test]
fn possession_comes_first_and_what_is_not_possessed_is_all_the_same() {
    let ask = Scene::good();
    let nothing = judge(None, ask.project, &ask.ask(), NEW_YEAR);
    let everything_wrong = |scene: Scene| {
        BREACHES[2..]
            .iter()
            .rev()
            .fold(scene, |scene, (_, _, breach)| scene.with(breach))
    };
    let foreign = Scene::good().with(BREACHES[0].2);
    let retired = Scene::good().with(BREACHES[1].2);
    for scene in [
        foreign.clone(),
        retired.clone(),
        everything_wrong(foreign),
        everything_wrong(retired),
    ] {
        assert_eq!(scene.judged(), nothing);
        assert_eq!(format!("{:?}", scene.judged()), format!("{nothing:?}"));
    }
    assert_eq!(nothing, Verification::Denied(Denial::Unknown));
}

#[test]
fn a_key_works_until_the_last_millisecond_and_is_dead_at_its_instant() {
    let end = NEW_YEAR.plus(Span::hours(1));
    let scene = Scene::good().with(|scene| scene.expiry = Expiry::At(end));
    let at = |now: Moment| judge(Some(&scene.dossier()), scene.project, &scene.ask(), now);
    assert!(matches!(at(end.minus(Span::millis(1))), Verification::Granted(_)));
    for late in [end, end.plus(Span::millis(1)), Moment::from_ms(i64::MAX)] {
        assert_eq!(at(late), Verification::Denied(Denial::Expired));
    }
    let lasting = Scene::good().with(|scene| scene.expiry = Expiry::Never);
    let at_the_end_of_time = judge(
        Some(&lasting.dossier()),
        lasting.project,
        &lasting.ask(),
        Moment::from_ms(i64::MAX),
    );
    assert!(matches!(at_the_end_of_time, Verification::Granted(_)));
}

#[test]
fn a_retiring_secret_works_until_the_last_millisecond_and_is_unknown_at_its_instant() {
    let until = NEW_YEAR.plus(Span::hours(1));
    let scene = Scene::good().with(|scene| scene.shown = Shown::Retiring { until });
    let at = |now: Moment| judge(Some(&scene.dossier()), scene.project, &scene.ask(), now);
    assert!(matches!(at(until.minus(Span::millis(1))), Verification::Granted(_)));
    assert_eq!(at(until), Verification::Denied(Denial::Unknown));
}

#[test]
fn explain_says_what_judge_says_and_what_it_would_have_said_next() {
    for (i, (_, _, breach)) in BREACHES.iter().enumerate() {
        for (_, _, other) in &BREACHES[i..] {
            let scene = Scene::good().with(breach).with(other);
            let first = scene.explained().into_iter().find_map(|(_, denial)| denial);
            assert_eq!(scene.judged(), Verification::Denied(first.unwrap()));
        }
    }
    let told: Vec<_> = Scene::good().explained();
    assert_eq!(told, BREACHES.map(|(name, ..)| (name, None)));
}

#[test]
fn whether_a_key_works_at_all_does_not_depend_on_a_question() {
    assert_eq!(standing(&Scene::good().dossier(), NEW_YEAR), None);
    for (name, code, breach) in BREACHES {
        let scene = Scene::good().with(breach);
        let expected = match name {
            // There is nobody who asks, so there is no project that is not the key's own.
            "project" | "address" | "origin" | "audience" | "environment" | "scopes" => None,
            _ => Some(code),
        };
        assert_eq!(
            standing(&scene.dossier(), NEW_YEAR).map(|denial| denial.code()),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_grant_says_whose_key_it_is_and_warns_of_its_end() {
    let at = |expiry| {
        let scene = Scene::good().with(|scene| scene.expiry = expiry);
        match scene.judged() {
            Verification::Granted(grant) => {
                assert_eq!(
                    (grant.key(), grant.project(), grant.owner()),
                    (scene.key, scene.project, scene.owner)
                );
                assert_eq!((grant.expiry(), grant.ends()), (expiry, expiry));
                grant.warnings().collect::<Vec<_>>()
            }
            Verification::Denied(denial) => panic!("{denial:?}"),
        }
    };
    let week = NEW_YEAR.plus(EXPIRES_SOON);
    assert_eq!(at(Expiry::Never), []);
    assert_eq!(at(Expiry::At(week.plus(Span::millis(1)))), []);
    assert_eq!(at(Expiry::At(week)), [Warning::ExpiresSoon { at: week }]);
}
