//! Stories of what is asked: bounds that must be met, and scopes of which one, all or any must be there.

use keyholt_core::denial::{Denial, DenialCode};
use keyholt_core::key::{Allowed, Bounds};
use keyholt_core::scope::{Resource, ScopeSet};
use keyholt_core::text::{Audience, Origin};
use keyholt_core::verify::{Ask, Needed, Verification, judge};

use super::scene::Scene;
use super::{BREACHES, Breach};
use crate::support::{NEW_YEAR, only, scope, scopes, wanted};

#[test]
fn a_bound_that_the_question_does_not_mention_is_not_met() {
    let silences: [(DenialCode, Breach); 4] = [
        (DenialCode::AddressNotAllowed, |scene| scene.address = None),
        (DenialCode::OriginNotAllowed, |scene| scene.origin = None),
        (DenialCode::AudienceNotAllowed, |scene| scene.audience = None),
        (DenialCode::EnvironmentNotAllowed, |scene| scene.environment = None),
    ];
    for (code, silence) in silences {
        assert_eq!(Scene::good().with(silence).code(), Some(code));
        let unbound = Scene::good().with(|scene| scene.bounds = Bounds::default());
        assert_eq!(
            unbound.with(silence).code(),
            None,
            "{code:?}: where there is no bound nothing is asked"
        );
    }
}

#[test]
fn an_unbound_key_does_not_care_what_is_mentioned() {
    let elsewhere = BREACHES[8..12]
        .iter()
        .fold(Scene::good(), |scene, (_, _, breach)| scene.with(breach));
    assert_eq!(elsewhere.with(|scene| scene.bounds = Bounds::default()).code(), None);
}

#[test]
fn an_address_is_the_same_in_whatever_notation_it_arrives() {
    for (network, address, allowed) in [
        ("10.0.0.0/8", "10.255.255.255", true),
        ("10.0.0.0/8", "11.0.0.0", false),
        ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("10.0.0.0/8", "::ffff:11.0.0.1", false),
        ("10.0.0.0/8", "::10.0.0.1", false),
        ("0.0.0.0/0", "::ffff:203.0.113.9", true),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("::/0", "203.0.113.9", false),
        ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("192.0.2.7/32", "192.0.2.7", true),
        ("192.0.2.7/32", "192.0.2.8", false),
        ("192.0.2.7/24", "192.0.2.200", true),
    ] {
        let scene = Scene::good().with(|scene| {
            scene.bounds.networks = Allowed::only(vec![network.parse().unwrap()]).unwrap();
            scene.address = Some(address.parse().unwrap());
        });
        assert_eq!(scene.code().is_none(), allowed, "{address} in {network}");
    }
}

#[test]
fn one_of_several_networks_origins_or_audiences_is_enough() {
    let scene = Scene::good().with(|scene| {
        scene.bounds.networks =
            Allowed::only(vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()]).unwrap();
        scene.bounds.origins = Allowed::only(vec![
            Origin::new("https://a.example.org").unwrap(),
            Origin::new("https://b.example.org").unwrap(),
        ])
        .unwrap();
        scene.bounds.audience = Allowed::only(vec![Audience::new("a").unwrap(), Audience::new("b").unwrap()]).unwrap();
        scene.address = Some("2001:db8::1".parse().unwrap());
        scene.origin = Some("https://b.example.org");
        scene.audience = Some("b");
    });
    assert_eq!(scene.code(), None);
}

#[test]
fn a_bound_that_a_stored_key_does_not_mention_is_none() {
    let read = |text| serde_json::from_str::<Bounds>(text).unwrap();
    assert_eq!(read("{}"), Bounds::default());
    let live = read(r#"{"environment":"live"}"#);
    assert!(live.allows_environment(Some("live")) && !live.allows_environment(Some("test")));
    assert!(live.allows_address(None) && live.allows_origin(None) && live.allows_audience(None));
}

#[test]
fn origins_audiences_and_environments_are_compared_byte_by_byte() {
    let near: [fn(&mut Scene); 6] = [
        |scene| scene.origin = Some("https://app.example.org/"),
        |scene| scene.origin = Some("HTTPS://app.example.org"),
        |scene| scene.origin = Some("https://app.example.org.evil.example"),
        |scene| scene.audience = Some("https://api.example.org/"),
        |scene| scene.environment = Some("Live"),
        |scene| scene.environment = Some(""),
    ];
    for (i, change) in near.into_iter().enumerate() {
        assert!(Scene::good().with(change).code().is_some(), "{i}");
    }
}

fn with_scopes(access: &[&str], permissions: &[&str], needed: Needed<'_>) -> Result<(), ScopeSet> {
    let scene = Scene::good().with(|scene| {
        scene.access = only(access);
        scene.permissions = scopes(permissions);
    });
    let ask = Ask {
        scopes: needed,
        ..scene.ask()
    };
    match judge(Some(&scene.dossier()), scene.project, &ask, NEW_YEAR) {
        Verification::Granted(_) => Ok(()),
        Verification::Denied(Denial::InsufficientScope { missing }) => Err(missing),
        Verification::Denied(other) => panic!("{other:?}"),
    }
}

#[test]
fn all_of_means_all_and_names_those_that_are_missing() {
    let ask = |texts: &[&'static str]| {
        let all = texts.iter().map(|text| wanted(text)).collect();
        with_scopes(&["a:*", "b:x"], &["*"], Needed::AllOf(all))
    };
    assert_eq!(ask(&[]), Ok(()), "nothing is asked for");
    assert_eq!(ask(&["a:x", "b:x"]), Ok(()));
    assert_eq!(ask(&["a:x", "b:y", "c:z"]), Err(scopes(&["b:y", "c:z"])));
}

#[test]
fn any_of_means_one_at_least_and_none_of_nothing() {
    let ask = |texts: &[&'static str]| {
        let any = texts.iter().map(|text| wanted(text)).collect();
        with_scopes(&["a:*", "b:x"], &["*"], Needed::AnyOf(any))
    };
    assert_eq!(ask(&["c:z", "b:x"]), Ok(()));
    assert_eq!(ask(&["b:y", "c:z"]), Err(scopes(&["b:y", "c:z"])));
    assert_eq!(ask(&[]), Err(scopes(&[])), "an empty list never means that all is well");
}

#[test]
fn one_means_this_one() {
    let ask = |text| with_scopes(&["a:*", "b:x"], &["*"], Needed::One(wanted(text)));
    assert_eq!(ask("a:anything"), Ok(()));
    assert_eq!(ask("b:y"), Err(scopes(&["b:y"])));
    assert_eq!(with_scopes(&[], &[], Needed::Nothing), Ok(()));
}

#[test]
fn a_key_may_what_both_it_and_its_owner_may() {
    for (access, permissions, allowed) in [
        (&["a:*"][..], &["*"][..], true),
        (&["a:*"], &["a:x"], true),
        (&["a:*"], &["a:y"], false),
        (&["a:y"], &["*"], false),
        (&["*"], &[], false),
        (&[], &["*"], false),
        (&["*"], &["keyholt:*"], false),
    ] {
        let given = with_scopes(access, permissions, Needed::One(wanted("a:x")));
        assert_eq!(given.is_ok(), allowed, "{access:?} of {permissions:?}");
    }
    let reserved = with_scopes(&["*"], &["*", "keyholt:*"], Needed::One(wanted("keyholt:verify")));
    assert!(reserved.is_err(), "`*` never opens Keyholt itself");
}

#[test]
fn a_resource_is_asked_for_unless_the_scope_names_one() {
    let q3: Resource = "acme/q3".parse().unwrap();
    let ask = |access: &'static str, text: &'static str| {
        with_scopes(&[access], &["*"], Needed::One(wanted(text).at(&q3))).map_err(|missing| missing.to_string_list())
    };
    assert_eq!(ask("reports:read@acme/*", "reports:read"), Ok(()));
    assert_eq!(ask("reports:read", "reports:read"), Ok(()));
    assert_eq!(
        ask("reports:read@globex/*", "reports:read"),
        Err("reports:read@acme/q3".into())
    );
    assert_eq!(
        ask("reports:read@acme/*", "reports:read@globex"),
        Err("reports:read@globex".into())
    );
}

trait Listed {
    fn to_string_list(&self) -> String;
}

impl Listed for ScopeSet {
    fn to_string_list(&self) -> String {
        self.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn a_path_that_climbs_is_no_resource() {
    for climbing in ["acme/../globex", "..", "acme/..", "./acme", "acme/./q3"] {
        assert!(climbing.parse::<Resource>().is_err(), "{climbing}");
        assert!(
            format!("reports:read@{climbing}")
                .parse::<keyholt_core::scope::Scope>()
                .is_err(),
            "{climbing}"
        );
    }
    assert_eq!(scope("reports:read@acme/v1..2").as_str(), "reports:read@acme/v1..2");
}

#[test]
fn a_list_of_bounds_is_never_empty_nor_endless() {
    let nets = |count: u32| {
        (0..count)
            .map(|n| ipnet::Ipv4Net::new(n.into(), 32).unwrap().into())
            .collect()
    };
    assert!(Allowed::<ipnet::IpNet>::only(nets(0)).is_err());
    assert!(Allowed::only(nets(64)).is_ok());
    assert!(Allowed::only(nets(65)).is_err());
    let twice = Allowed::only(vec![2, 1, 2]).unwrap();
    assert_eq!(twice.entries(), Some(&[1, 2][..]));
    assert_eq!(Allowed::<u8>::Any.entries(), None);
}
