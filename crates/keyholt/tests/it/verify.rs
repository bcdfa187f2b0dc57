//! Verdicts: 0 is valid, 1 is not valid, and everything else is 2.

use insta::assert_snapshot;
use keyholt_api::code::Code;
use serde_json::{Value, json};

use crate::desk::{Desk, KEY, REVEALED};
use crate::stub::{Canned, Stub};

fn verdict(members: &Value) -> Value {
    let mut verdict = json!({
        "valid": true, "code": "valid", "key": {"id": KEY, "kind": "standard", "expires_at": null},
        "owner": {"kind": "service", "id": "0199a3c4-0000-7c00-8000-000000000007", "handle": "api"},
        "scopes": ["orders:read"], "as_of": "2030-01-01T00:00:00Z",
    });
    for (name, value) in members.as_object().unwrap() {
        verdict[name] = value.clone();
    }
    verdict
}

fn holder() -> Desk {
    Desk::new().with_stdin(&format!("{REVEALED}\n"))
}

#[test]
fn a_valid_secret_is_a_yes_with_its_warnings() {
    let warnings = json!([
        {"code": "expires_soon", "at": "2030-01-02T00:00:00Z"},
        {"code": "superseded_secret", "until": "2030-01-01T01:00:00Z"},
    ]);
    let stub = Stub::playing([Canned::json(200, &verdict(&json!({"warnings": warnings})))]);
    let words = [
        "keys",
        "verify",
        "--scope",
        "orders:read",
        "--client-address",
        "192.0.2.7",
        "--include",
        "name,tags",
    ];
    let outcome = holder().run(&stub, &words);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    verdict  valid
    key      0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20
    kind     standard
    expires  never
    owner    service:api
    may      orders:read
    warning  the key expires at 2030-01-02T00:00:00Z
    warning  this is the secret before the last rotation; it works until 2030-01-01T01:00:00Z
    as of    2030-01-01T00:00:00Z
    --- stderr
    ");
    let asked = stub.only();
    assert_eq!(asked.line, "POST /v1/verify");
    assert_eq!(
        asked.json(),
        json!({
            "credential": REVEALED, "scopes": ["orders:read"], "client_address": "192.0.2.7",
            "include": ["name", "tags"]
        })
    );
}

#[test]
fn a_denial_is_a_no_and_no_error() {
    let denied =
        json!({"valid": false, "code": "insufficient_scope", "missing_scopes": ["orders:write"], "scopes": null});
    let stub = Stub::playing([Canned::json(200, &verdict(&denied))]);
    let outcome = holder().run(&stub, &["keys", "verify", "--scope", "orders:write"]);
    assert_snapshot!(outcome, @"
    exit: 1
    --- stdout
    verdict         not valid: insufficient_scope
    missing scopes  orders:write
    key             0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20
    kind            standard
    expires         never
    owner           service:api
    as of           2030-01-01T00:00:00Z
    --- stderr
    ");
}

#[test]
fn another_project_is_asked_about_where_one_is_named() {
    let stub = Stub::playing([Canned::json(200, &verdict(&json!({})))]);
    let outcome = holder().run(&stub, &["keys", "verify", "--project", "acme", "--dry-run", "--json"]);
    assert_eq!(outcome.code, 0);
    assert_eq!(stub.only().line, "POST /v1/projects/acme/verify");
    assert_eq!(stub.only().json()["dry_run"], true);
    assert_eq!(serde_json::from_str::<Value>(&outcome.stdout).unwrap()["valid"], true);
}

/// No refusal, outage or nonsense may be taken for "not valid".
#[test]
fn whatever_goes_wrong_is_no_verdict() {
    let troubles = [
        Canned::problem(Code::CannotKnow),
        Canned::problem(Code::InsufficientScope),
        Canned::problem(Code::NotFound),
        Canned::problem(Code::InvalidFields),
        Canned::problem(Code::InvalidCredential),
        Canned::problem(Code::Internal),
        Canned::text(502, "text/html", "<h1>Bad gateway</h1>"),
        Canned::text(404, "text/plain", "not here"),
        Canned::text(200, "text/html", "<h1>Log in to the hotel's network</h1>"),
        Canned::json(200, &json!({"valid": false})),
        Canned::text(302, "text/plain", "").with("location", "http://127.0.0.1:1/"),
    ];
    for trouble in troubles {
        for words in [["keys", "verify", "-q"], ["keys", "explain", "-q"]] {
            let stub = Stub::playing([trouble.again()]);
            let outcome = holder().run(&stub, &words);
            assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome}");
            assert!(!outcome.stderr.contains("not valid"), "{outcome}");
            assert!(!outcome.stderr.contains(REVEALED), "{outcome}");
        }
    }
}

#[test]
fn a_server_that_is_gone_gives_no_verdict() {
    let url = {
        let stub = Stub::playing([]);
        stub.url.clone()
    };
    let outcome = holder().run_alone(&["keys", "verify", "--server", &url]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(
        outcome
            .stderr
            .starts_with("error: cannot verify the secret\ncaused by: http://127.0.0.1:"),
        "{outcome}"
    );
    assert!(outcome.stderr.contains("cannot be reached"), "{outcome}");
}

#[test]
fn a_hidden_question_is_asked_where_somebody_sits() {
    let stub = Stub::playing([Canned::json(200, &verdict(&json!({})))]);
    let desk = Desk::new().with_person([REVEALED]);
    desk.run(&stub, &["keys", "verify"]);
    assert_eq!(desk.asked(), ["Paste the secret (it is not shown):"]);
    assert_eq!(stub.only().json()["credential"], REVEALED);
}

#[test]
fn explaining_shows_every_rule() {
    let explanation = json!({
        "verdict": verdict(&json!({"valid": false, "code": "expired", "scopes": null})),
        "rules": [{"name": "revoked", "outcome": "passed"}, {"name": "expired", "outcome": "expired"}],
    });
    let stub = Stub::playing([Canned::json(200, &explanation)]);
    let desk = holder();
    let file = desk.file("secret", REVEALED);
    let outcome = desk.run(&stub, &["keys", "explain", "--secret-file", file.to_str().unwrap()]);
    assert_snapshot!(outcome, @"
    exit: 1
    --- stdout
    verdict  not valid: expired
    key      0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20
    kind     standard
    expires  never
    owner    service:api
    as of    2030-01-01T00:00:00Z

    RULE     OUTCOME
    revoked  passed
    expired  expired
    --- stderr
    ");
    assert_eq!(stub.only().line, "POST /v1/projects/self/explain");
}

#[test]
fn the_validity_of_a_key_by_its_id_ends_like_a_verdict() {
    let stub = Stub::playing([
        Canned::json(200, &json!({"valid": true, "code": "valid"})),
        Canned::json(200, &json!({"valid": false, "code": "owner_suspended"})),
        Canned::problem(Code::NotFound),
    ]);
    let judge = || Desk::new().run(&stub, &["keys", "validity", KEY]);
    let (yes, no, nobody) = (judge(), judge(), judge());
    assert_eq!((yes.code, yes.stdout.as_str()), (0, "verdict  valid\n"));
    assert_eq!(
        (no.code, no.stdout.as_str()),
        (1, "verdict  not valid: owner_suspended\n")
    );
    assert_eq!((nobody.code, nobody.stdout.as_str()), (2, ""));
}
