//! Access tokens from the stored credential, and the keys that sign them.

use keyholt_api::code::Code;
use keyholt_core::id::SigningKeyId;
use serde_json::{Value, json};

use crate::desk::{CREDENTIAL, Desk};
use crate::stub::{Canned, Stub};

/// Nobody signed it: it stands for a token that the server gives.
const TOKEN: &str = "eyJ.e30.AAAA";
const KID: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

fn given() -> Canned {
    Canned::json(
        200,
        &json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 60, "scope": "orders:read"}),
    )
}

fn signing_key(phase: &str) -> Value {
    json!({
        "id": SigningKeyId::from_uuid("0199a3c4-7b1e-7c00-8000-6f9d2f3f1a2f".parse().unwrap()),
        "kid": KID,
        "algorithm": "ES256",
        "phase": phase,
        "created_at": "2030-01-01T00:00:00Z",
        "signs_from": "2030-01-01T00:10:00Z",
        "retires_at": null,
        "withdrawn_at": null,
    })
}

#[test]
fn a_token_is_alone_on_stdout_and_the_credential_is_shown_in_the_form_alone() {
    let stub = Stub::playing([given()]);
    let words = [
        "token",
        "--scope",
        "orders:read",
        "--scope",
        "orders:write",
        "--expires-in",
        "60",
    ];
    let outcome = Desk::new().run(&stub, &words);
    assert_eq!((outcome.code, outcome.stdout), (0, format!("{TOKEN}\n")));
    assert!(!outcome.stderr.contains(CREDENTIAL));
    let asked = stub.only();
    assert_eq!(asked.line, "POST /oauth/token");
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    let form: Vec<&str> = asked.body.split('&').collect();
    for pair in [
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
        &format!("subject_token={CREDENTIAL}"),
        "scope=orders%3Aread%20orders%3Awrite",
        "expires_in=60",
    ] {
        assert!(form.contains(&pair), "{pair} in {form:?}");
    }
    assert!(!asked.body.contains("audience"));
}

#[test]
fn as_json_a_token_comes_with_what_the_server_says_of_it() {
    let stub = Stub::playing([given()]);
    let outcome = Desk::new().run(&stub, &["token", "--audience", "https://orders.example", "--json"]);
    let told: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        (&told["access_token"], &told["expires_in"]),
        (&json!(TOKEN), &json!(60))
    );
    assert!(stub.only().body.contains("audience=https%3A%2F%2Forders.example"));
}

#[test]
fn without_a_credential_no_token_is_asked_for() {
    let stub = Stub::playing([]);
    let outcome = Desk::of_a_stranger().run(&stub, &["token"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(outcome.stderr.contains("keyholt login"), "{}", outcome.stderr);
}

#[test]
fn signing_keys_are_listed_with_their_phase() {
    let keys = json!({"signing_keys": [signing_key("live"), signing_key("next")]});
    let stub = Stub::playing([Canned::json(200, &keys)]);
    let outcome = Desk::new().run(&stub, &["jwks", "list", "--project", "acme"]);
    assert_eq!(outcome.code, 0);
    for word in [KID, "ES256", "live", "next", "2030-01-01T00:10:00Z"] {
        assert!(outcome.stdout.contains(word), "{word} in {}", outcome.stdout);
    }
    assert_eq!(stub.only().line, "GET /v1/projects/acme/signing-keys");
}

#[test]
fn a_signing_key_is_withdrawn_with_a_cause_and_after_a_yes() {
    let stub = Stub::playing([Canned::json(200, &signing_key("withdrawn"))]);
    let words = ["jwks", "withdraw", KID, "--cause", "leaked", "--project", "acme"];
    let unasked = Desk::new().run(&stub, &words);
    assert_ne!(unasked.code, 0, "nobody is there to say yes");
    let sure = [&words[..], &["--yes"]].concat();
    let outcome = Desk::new().run(&stub, &sure);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.stdout.contains("withdrawn"), "{}", outcome.stdout);
    let asked = stub.only();
    assert_eq!(
        asked.line,
        format!("POST /v1/projects/acme/signing-keys/{KID}/withdraw")
    );
    assert_eq!(asked.json(), json!({"cause": "leaked"}));
}

#[test]
fn whoever_logged_in_too_long_ago_is_told_to_do_it_again() {
    let stub = Stub::playing([Canned::problem(Code::FreshLogInRequired)]);
    let outcome = Desk::new().run(&stub, &["keys", "create", "--name", "boss", "--scope", "keyholt:*"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    assert!(outcome.stderr.contains("`fresh_log_in_required`"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("keyholt login --user"), "{}", outcome.stderr);
}
