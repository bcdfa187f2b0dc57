//! The value of a key as Datalayer's clients want it: a text of the form of a JWT, which is not one.
//!
//! ```text
//!   base64url({"alg":"opaque","typ":"key"}) . base64url({"jti":"<key id>"}) . <secret>
//! ```
//!
//! The JavaScript client refuses, before it sends anything, whatever does not look like a JWT of 100 to 5000 characters; to
//! the Python client any text is good. Nothing in it but the secret is believed. The secret alone works too.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyholt_api::code::Code;
use keyholt_core::actor::{Actor, Source};
use keyholt_core::id::KeyId;
use keyholt_core::secret::Secret;
use zeroize::Zeroizing;

use crate::dialects::Desk;
use crate::http::Fail;
use crate::http::fail::Answer;

/// `{"alg":"opaque","typ":"key"}`, and the dot after it.
const HEADER: &str = "eyJhbGciOiJvcGFxdWUiLCJ0eXAiOiJrZXkifQ.";

/// The value of a key; the one place of this dialect where a secret becomes text.
pub fn value(id: KeyId, secret: Secret) -> Zeroizing<String> {
    worded(id, &secret.reveal())
}

fn payload(id: KeyId) -> String {
    URL_SAFE_NO_PAD.encode(format!(r#"{{"jti":"{id}"}}"#))
}

fn worded(id: KeyId, secret: &str) -> Zeroizing<String> {
    let payload = payload(id);
    let mut value = Zeroizing::new(String::with_capacity(HEADER.len() + payload.len() + 1 + secret.len()));
    // Writing to a string cannot fail.
    let _ = write!(value, "{HEADER}{payload}.{secret}");
    value
}

/// What stands before the secret in a value, and the secret; a text that is no value is a secret itself.
fn parts(shown: &str) -> (Option<&str>, &str) {
    match shown.strip_prefix(HEADER).and_then(|rest| rest.split_once('.')) {
        Some((payload, secret)) => (Some(payload), secret),
        None => (None, shown),
    }
}

/// The secret in a value; a text that is no value is a secret itself.
pub fn secret_in(shown: &str) -> &str {
    parts(shown).1
}

/// Who shows this value.
pub fn recognise(desk: &Desk, shown: &str, source: Source) -> Answer<Actor> {
    let (named, secret) = parts(shown);
    let actor = desk.authenticate(secret, source)?;
    // A value has one spelling: whoever reads the id in it must not be told a wrong one.
    if named.is_none_or(|named| named == payload(actor.key)) {
        Ok(actor)
    } else {
        Err(Fail::new(Code::InvalidCredential))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_looks_like_a_jwt_to_the_javascript_client() {
        let header = HEADER.strip_suffix('.').unwrap();
        assert_eq!(
            URL_SAFE_NO_PAD.decode(header).unwrap(),
            br#"{"alg":"opaque","typ":"key"}"#
        );
        let id: KeyId = "0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20".parse().unwrap();
        let value = worded(id, &format!("a_{}", "x".repeat(38)));
        let parts: Vec<&str> = value.split('.').collect();
        assert!(parts.len() == 3 && parts[2].len() >= 20);
        assert!((100..=5000).contains(&value.len()), "{}", value.len());
        let payload = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload, serde_json::json!({ "jti": id }));
    }
}
