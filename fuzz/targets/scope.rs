//! Whatever somebody writes as scopes: read or refused, and what is read is written as it was read.
#![no_main]

use keyholt_core::scope::ScopeSet;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(set) = ScopeSet::parse(text.split(' ')) {
        let written: Vec<String> = set.iter().map(ToString::to_string).collect();
        let again = ScopeSet::parse(written.iter().map(String::as_str)).expect("what was written can be read");
        assert_eq!(set, again);
    }
});
