//! The Wycheproof vectors for JWS and JWK against our verifier, and vectors of the same classes where they are not at hand.

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
fn accepts(keys: &[Value], text: &str) -> bool {
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

/// Runs one file; tells how many valid ones of our algorithms were accepted and how many invalid ones refused.
fn run(file: &str) -> Option<(usize, usize)> {
    let text = std::fs::read_to_string(folder()?.join(file)).unwrap();
    let file: Value = serde_json::from_str(&text).unwrap();
    let (mut accepted, mut refused) = (0, 0);
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
                refused += 1;
            } else if good {
                accepted += 1;
            }
        }
    }
    Some((accepted, refused))
}

#[test]
fn no_invalid_vector_is_accepted() {
    if let Some((accepted, refused)) = run("json_web_signature_test.json") {
        assert_eq!(refused, 355, "all invalid vectors were run");
        assert!(accepted > 0, "and the good ones of our algorithms are good");
    }
    if let Some((_, refused)) = run("json_web_key_test.json") {
        assert_eq!(refused, 21, "all invalid vectors were run");
    }
}

#[test]
fn no_vector_of_ours_of_the_same_classes_is_accepted() {
    for algorithm in Algorithm::ALL {
        let pair = Pair::generate(algorithm).unwrap();
        let signer = Signer::from_pkcs8(algorithm, &pair.pkcs8).unwrap();
        let head = header(algorithm, &pair.kid, ACCESS_TOKEN);
        let good = signer.compact(&head, b"foo").unwrap();
        let mut jwk: Value = serde_json::to_value(&pair.public).unwrap();
        jwk["alg"] = algorithm.as_str().into();
        jwk["kid"] = pair.kid.as_str().into();
        let keys = [jwk];
        assert!(accepts(&keys, &good));
        let parts: Vec<&str> = good.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            panic!("three parts")
        };
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            let forged = format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(&flipped));
            assert!(!accepts(&keys, &forged), "{algorithm:?}: byte {at} of the signature");
            let cut = format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(&bytes[..at]));
            assert!(!accepts(&keys, &cut), "{algorithm:?}: {at} bytes of the signature");
        }
        let null = |byte: u8| format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(vec![byte; bytes.len()]));
        for forged in [
            null(0),
            null(0xff),
            format!("{header}.{payload}."),
            format!("{header}.{payload}"),
            format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode("bar")),
            format!("{header}.{payload}={}", signature),
            format!("{header}.{payload}.{signature}="),
            format!("{header}.{payload}.{signature}.{signature}"),
        ] {
            assert!(!accepts(&keys, &forged), "{algorithm:?}: {forged}");
        }
        for other in ["none", "HS256", "ES384", "RS512", "PS256", "ES256K", "Ed25519"] {
            let head = format!(r#"{{"alg":"{other}","kid":"{}"}}"#, pair.kid);
            let forged = signer.compact(&head, b"foo").unwrap();
            assert!(!accepts(&keys, &forged), "{algorithm:?} as {other}");
        }
        let mut encryption = keys[0].clone();
        encryption["use"] = "enc".into();
        assert!(!accepts(&[encryption], &good), "a key for something else");
    }
}
