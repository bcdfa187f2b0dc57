//! What holds whatever happens: properties tried on thousands of random cases, the same ones each time.

mod attenuation;
mod judging;
mod scopes;
mod seals;
mod secrets;
mod sessions;
mod texts;
mod times;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use keyholt_core::scope::{Access, Scope, ScopeSet};
use keyholt_core::time::Expiry;

use crate::support::NEW_YEAR;

/// So many cases, from a fixed seed: a failure is there again at the next try.
fn cases(cases: u32) -> Config {
    Config {
        cases,
        rng_seed: RngSeed::Fixed(0x6b65_7968_6f6c_7421),
        failure_persistence: None,
        ..Config::default()
    }
}

/// A scope from an alphabet so small that two of them often have to do with each other.
fn scope() -> impl Strategy<Value = Scope> {
    const ACTIONS: [&str; 15] = [
        "*",
        "a",
        "a:*",
        "a:x",
        "a:x:*",
        "a:x:y",
        "ab:x",
        "b:*",
        "b:x",
        "keyholt:*",
        "keyholt:keys:*",
        "keyholt:keys:write",
        "keyholt:keys:read",
        "keyholt:self:*",
        "keyholt:self:write",
    ];
    const RESOURCES: [&str; 9] = ["", "", "", "@*", "@r", "@r/*", "@r/q", "@rs/q", "@r/q/*"];
    (prop::sample::select(&ACTIONS[..]), prop::sample::select(&RESOURCES[..]))
        .prop_map(|(action, resource)| format!("{action}{resource}").parse().unwrap())
}

fn scope_set(most: usize) -> impl Strategy<Value = ScopeSet> {
    prop::collection::btree_set(scope(), 0..=most).prop_map(|scopes| ScopeSet::new(scopes).unwrap())
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![
        1 => Just(Access::Everything),
        3 => scope_set(3).prop_map(Access::Only),
    ]
}

/// Never, or some hours from new year on.
fn expiry(hours: std::ops::Range<u64>) -> impl Strategy<Value = Expiry> {
    let ending = hours.prop_map(|hours| Expiry::At(NEW_YEAR.plus(keyholt_core::time::Span::hours(hours))));
    prop_oneof![1 => Just(Expiry::Never), 2 => ending]
}
