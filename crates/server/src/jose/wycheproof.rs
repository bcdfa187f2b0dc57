//! The Wycheproof vectors for JWS and JWK against our verifier, where they are at hand: `tools/suite` says whether they are.
//!
//! Vectors of our own, of the same classes, stand beside them and are always run.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

#[expect(
    clippy::disallowed_methods,
    reason = "the suite tells by the environment where the vectors are, and this is a test"
)]
fn folder() -> Option<PathBuf> {
    std::env::var_os("KEYHOLT_WYCHEPROOF").map(PathBuf::from)
}

/// The members of a JWK that are texts.
fn members(jwk: &Value) -> BTreeMap<String, String> {
    let members = jwk.as_object().into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// What our verifier says of something signed, given the keys of a vector: a key is used for the algorithm that it names
/// itself, and found by its own name.
pub fn accepts(keys: &[Value], text: &str) -> bool {
    let Ok(compact) = Compact::parse(text) else {
        return false;
    };
    let named: Vec<&Value> = keys
        .iter()
        .filter(|key| match &compact.header.kid {
            Some(kid) => key["kid"] == kid.as_str(),
            None => keys.len() == 1,
        })
        .collect();
    let [key] = named[..] else { return false };
    let Some(algorithm) = key["alg"].as_str().and_then(Algorithm::parse) else {
        return false;
    };
    // A key that is for something else than signatures verifies none.
    if key.get("use").is_some_and(|usage| usage != "sig") {
        return false;
    }
    Verifier::from_jwk(algorithm, &members(key)).is_ok_and(|verifier| compact.verified(&verifier).is_ok())
}

/// How many valid ones were accepted, and how many invalid ones refused.
#[derive(PartialEq, Eq, Debug)]
struct Count {
    accepted: usize,
    refused: usize,
}

/// Runs one file.
fn run(file: &str) -> Option<Count> {
    let text = std::fs::read_to_string(folder()?.join(file)).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let mut count = Count {
        accepted: 0,
        refused: 0,
    };
    for group in file["testGroups"].as_array().unwrap() {
        let holder = if group.get("public").is_some() {
            &group["public"]
        } else {
            &group["private"]
        };
        let keys = match holder.get("keys").and_then(Value::as_array) {
            Some(keys) => keys.clone(),
            None => vec![holder.clone()],
        };
        for test in group["tests"].as_array().unwrap() {
            let text = test["jws"].as_str().unwrap_or_default();
            let good = accepts(&keys, text);
            if test["result"] == "invalid" {
                assert!(!good, "an invalid one was accepted: {} {test}", group["comment"]);
                count.refused += 1;
            } else {
                // Those of algorithms that are not ours are refused, however good.
                count.accepted += usize::from(good);
            }
        }
    }
    Some(count)
}

#[test]
fn no_invalid_vector_is_accepted() {
    // Every one was run, and the good ones of our algorithms are good: ten signatures, and one where the key is looked at.
    for (file, accepted, refused) in [
        ("json_web_signature_test.json", 10, 355),
        ("json_web_key_test.json", 1, 21),
    ] {
        if let Some(count) = run(file) {
            assert_eq!(count, Count { accepted, refused }, "{file}");
        }
    }
}
