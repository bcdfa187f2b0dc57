//! Properties of scopes: covering is an order, and what two of them share is exactly what both allow.

use std::borrow::Cow;

use proptest::prelude::*;

use keyholt_core::authority::Authority;
use keyholt_core::scope::{Access, SCOPE_BYTES_MAX, SCOPES_MAX, SCOPES_MET_MAX, Scope, ScopeSet, Wanted};

use super::{access, cases, scope, scope_set};
use crate::support::{scope as read, scopes};

fn covers(wide: &Scope, narrow: &Scope) -> bool {
    wide.covers(narrow.wanted())
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn covering_is_reflexive_and_transitive(a in scope(), b in scope(), c in scope()) {
        prop_assert!(covers(&a, &a));
        if covers(&a, &b) && covers(&b, &c) {
            prop_assert!(covers(&a, &c), "{a} covers {b} covers {c}");
        }
        if covers(&a, &b) && covers(&b, &a) {
            prop_assert_eq!(a, b, "two spellings of one permission");
        }
    }

    #[test]
    fn what_two_scopes_share_is_what_both_allow(a in scope(), b in scope(), x in scope()) {
        prop_assert_eq!(a.meet(&b), b.meet(&a));
        let both = covers(&a, &x) && covers(&b, &x);
        match a.meet(&b) {
            None => prop_assert!(!both, "{a} and {b} both cover {x}, but share nothing"),
            Some(met) => {
                prop_assert!(covers(&a, &met) && covers(&b, &met), "{met}");
                prop_assert_eq!(covers(&met, &x), both, "{} of {} and {} on {}", met, a, b, x);
            }
        }
    }

    #[test]
    fn what_two_sets_share_is_what_both_allow(a in scope_set(5), b in scope_set(5), x in scope()) {
        let met = a.meet(&b);
        prop_assert_eq!(&met, &b.meet(&a));
        prop_assert_eq!(a.lacks(&met), None);
        prop_assert_eq!(b.lacks(&met), None);
        let x = x.wanted();
        prop_assert_eq!(met.covers(x), a.covers(x) && b.covers(x));
    }

    #[test]
    fn what_two_sets_allow_together_is_what_either_allows(a in scope_set(5), b in scope_set(5), x in scope()) {
        let all = a.union(&b);
        prop_assert_eq!(&all, &b.union(&a));
        prop_assert_eq!(all.covers(x.wanted()), a.covers(x.wanted()) || b.covers(x.wanted()));
        let idle = all.iter().find(|one| all.iter().any(|other| other != *one && covers(other, one)));
        prop_assert_eq!(idle, None, "it is covered already");
    }

    #[test]
    fn what_is_lacking_is_what_is_not_covered(a in scope_set(4), b in scope_set(4)) {
        let expected = b.iter().find(|scope| !a.covers(scope.wanted()));
        prop_assert_eq!(a.lacks(&b), expected);
    }

    #[test]
    fn a_key_may_do_what_its_effective_scopes_say(access in access(), owner in scope_set(5), x in scope()) {
        let allowed = access.allows(&owner, x.wanted());
        prop_assert_eq!(allowed, access.effective(&owner).covers(x.wanted()));
        prop_assert!(!allowed || owner.covers(x.wanted()), "never more than the owner");
    }

    #[test]
    fn what_is_remembered_of_an_authority_changes_nothing_about_it(
        access in access(),
        owner in scope_set(5),
        x in scope(),
    ) {
        prop_assert!(Authority::remembered(&access, &ScopeSet::EMPTY, true).lies_within(), "what is remembered is believed");
        // The second owner has all that the access names.
        let everything = scopes(&["*", "keyholt:*"]);
        let able = owner.union(&access.effective(&everything));
        for owner in [&owner, &able] {
            let asked = Authority::new(&access, owner);
            let within = match &access {
                Access::Everything => true,
                Access::Only(scopes) => scopes.iter().all(|scope| owner.covers(scope.wanted())),
            };
            prop_assert_eq!(asked.lies_within(), within);
            prop_assert_eq!(asked.permissions(), owner);
            prop_assert_eq!(asked.access(), &access);
            prop_assert_eq!(matches!(asked.effective(), Cow::Borrowed(_)), within, "a set is built where it must be");
            let remembered = Authority::remembered(&access, owner, asked.lies_within());
            prop_assert_eq!(asked.effective().covers(x.wanted()), access.allows(owner, x.wanted()));
            for authority in [asked, remembered] {
                prop_assert_eq!(authority.lies_within(), asked.lies_within());
                prop_assert_eq!(authority.covers(x.wanted()), access.allows(owner, x.wanted()));
                prop_assert_eq!(authority.effective(), asked.effective());
            }
        }
    }

    #[test]
    fn a_wildcard_never_opens_keyholt_itself(a in scope(), x in scope()) {
        if covers(&a, &x) && x.is_reserved() {
            prop_assert!(a.is_reserved(), "{a} covers {x}");
        }
        prop_assert!(!covers(&read("*"), &read("keyholt:*")));
    }

    #[test]
    fn any_text_is_read_as_one_scope_or_refused_and_never_folded(text in "[a-zA-Z:*@/._ ,\u{200b}-]{0,24}") {
        match text.parse::<Scope>() {
            Err(_) => {}
            Ok(scope) => {
                prop_assert_eq!(scope.as_str(), text.as_str());
                prop_assert_eq!(scope.wanted().to_scope(), scope.clone());
                prop_assert!(covers(&scope, &scope));
                let first = text.split([':', '@']).next().unwrap();
                prop_assert!(first == "keyholt" || !first.eq_ignore_ascii_case("keyholt"), "{text} reads like ours");
                prop_assert_eq!(scope.is_reserved(), first == "keyholt");
            }
        }
    }
}

#[test]
fn limits_are_where_they_are_said_to_be() {
    let long = |bytes: usize| "a".repeat(bytes);
    assert!(long(SCOPE_BYTES_MAX).parse::<Scope>().is_ok());
    assert!(long(SCOPE_BYTES_MAX + 1).parse::<Scope>().is_err());
    assert!(Wanted::parse(&long(SCOPE_BYTES_MAX + 1)).is_err());
    assert!(long(SCOPE_BYTES_MAX).parse::<keyholt_core::scope::Resource>().is_ok());
    assert!(
        long(SCOPE_BYTES_MAX + 1)
            .parse::<keyholt_core::scope::Resource>()
            .is_err()
    );
    let many = |count: usize| ScopeSet::new((0..count).map(|n| read(&format!("a:{n}"))));
    assert!(many(SCOPES_MAX).is_ok());
    assert!(many(SCOPES_MAX + 1).is_err());
    let twice = ScopeSet::parse(std::iter::repeat_n("a:x", 10_000)).unwrap();
    assert_eq!(twice.len(), 1);
    let stored: Vec<String> = (0..=SCOPES_MAX).map(|n| format!("a:{n}")).collect();
    let stored = serde_json::to_string(&stored).unwrap();
    assert!(serde_json::from_str::<ScopeSet>(&stored).is_err());
}

#[test]
fn no_choice_of_roles_and_scopes_makes_a_check_take_for_ever() {
    let key: ScopeSet = ScopeSet::new((0..SCOPES_MAX).map(|n| read(&format!("a{n}:x")))).unwrap();
    let owner = ScopeSet::new((0..SCOPES_MAX).map(|n| read(&format!("*@r{n}")))).unwrap();
    // Every scope of the key meets every scope of the owner: 65 536 pairs, and each was compared with each.
    let met = key.meet(&owner);
    assert_eq!(met.len(), SCOPES_MET_MAX);
    assert_eq!(key.lacks(&met), None, "less is granted, never more");
    assert_eq!(owner.lacks(&met), None);
    let exact = Access::Only(key);
    assert!(
        exact.allows(&owner, read("a255:x@r255").wanted()),
        "the judge answers without working it out"
    );
}

#[test]
fn a_set_says_what_it_names() {
    let set = scopes(&["b:x", "a:*"]);
    assert!(set.contains(&read("a:*")) && !set.contains(&read("a:x")));
    assert_eq!(set.without(|scope| scope.as_str() == "a:*"), scopes(&["b:x"]));
    assert_eq!(set.iter().map(Scope::as_str).collect::<Vec<_>>(), ["a:*", "b:x"]);
    assert_eq!((set.len(), set.is_empty(), scopes(&[]).is_empty()), (2, false, true));
    assert_eq!(format!("{:?}", read("a:*")), "`a:*`");
}

#[test]
fn only_what_names_no_action_is_wide_open() {
    for (text, open) in [
        ("*", true),
        ("*@acme", true),
        ("*@acme/*", true),
        ("a:*", false),
        ("a@*", false),
    ] {
        assert_eq!(read(text).is_wide_open(), open, "{text}");
    }
}

#[test]
fn an_access_includes_another_if_nothing_of_it_is_beyond() {
    let only = |texts: &[&str]| Access::Only(scopes(texts));
    for (access, other, included) in [
        (Access::Everything, Access::Everything, true),
        (Access::Everything, only(&["*"]), true),
        (only(&["*"]), Access::Everything, false),
        (only(&["a:*"]), only(&["a:x"]), true),
        (only(&["a:x"]), only(&["a:*"]), false),
        (only(&["a:x"]), only(&["a:x", "b:x"]), false),
        (only(&[]), only(&[]), true),
    ] {
        assert_eq!(access.includes(&other), included, "{access:?}, {other:?}");
    }
}

#[test]
fn a_stored_set_is_read_back_as_it_was_written() {
    for access in [
        Access::Everything,
        Access::Only(scopes(&[])),
        Access::Only(scopes(&["a:*@r/*", "*"])),
    ] {
        let text = serde_json::to_string(&access).unwrap();
        assert_eq!(serde_json::from_str::<Access>(&text).unwrap(), access, "{text}");
    }
    assert!(serde_json::from_str::<Access>(r#"{"only":["KEYHOLT:*"]}"#).is_err());
}
