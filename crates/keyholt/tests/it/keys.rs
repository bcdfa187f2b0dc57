//! Keys: created, rotated, listed, ended.

use insta::assert_snapshot;
use keyholt_api::code::Code;
use keyholt_api::problem::Problem;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::desk::{Desk, KEY, REVEALED, key, key_with};
use crate::stub::{Canned, Stub};

fn issued() -> Canned {
    Canned::json(201, &json!({"key": key(), "secret": REVEALED}))
}

const CREATE: [&str; 10] = [
    "keys",
    "create",
    "--name",
    "ci",
    "--user",
    "u_42",
    "--scope",
    "orders:read",
    "--expires-in",
    "90d",
];

#[test]
fn a_new_secret_is_alone_on_stdout_and_all_else_is_talk() {
    let stub = Stub::playing([issued()]);
    let outcome = Desk::new().run(&stub, &CREATE);
    assert_eq!(outcome.stdout, format!("{REVEALED}\n"));
    assert!(!outcome.stderr.contains(REVEALED));
    assert_snapshot!(outcome.stderr, @"
    Created key `ci`.
    key        0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20
    name       ci
    owner      user:u_42
    kind       standard
    state      active
    scopes     orders:read
    expires    2030-04-01T00:00:00Z
    tags       build
    hint       acme_…RwVy
    created    2030-01-01T00:00:00Z
    last used  never
    revision   1
    This is its secret; it is shown this once:
    ");
    let asked = stub.only();
    assert_eq!(asked.line, "POST /v1/projects/self/keys");
    assert_eq!(
        asked.json(),
        json!({"name": "ci", "owner": {"user": "u_42"}, "scopes": ["orders:read"], "expires_in": "90d"})
    );
    assert_eq!(asked.header("idempotency-key").unwrap().len(), 32);
}

#[test]
fn secret_only_says_nothing_else() {
    let stub = Stub::playing([issued()]);
    let outcome = Desk::new().run(&stub, &[&CREATE[..], &["--secret-only"]].concat());
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert_eq!(outcome.stdout, format!("{REVEALED}\n"));
}

#[test]
fn with_json_the_answer_is_printed_as_it_came() {
    let stub = Stub::playing([issued()]);
    let outcome = Desk::new().run(&stub, &[&CREATE[..], &["--json", "--quiet"]].concat());
    let expected = json!({"key": key(), "secret": REVEALED}).to_string();
    assert_eq!(outcome.stdout, format!("{expected}\n"));
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_key_may_be_a_services_and_may_verify() {
    let stub = Stub::playing([issued()]);
    let words = [
        "keys",
        "create",
        "--name",
        "gw",
        "--service",
        "api",
        "--scope",
        "keyholt:verify",
        "--secret-only",
    ];
    Desk::new().run(&stub, &words);
    assert_eq!(
        stub.only().json(),
        json!({"name": "gw", "owner": {"service": "api"}, "scopes": ["keyholt:verify"]})
    );
}

#[test]
fn a_client_made_secret_never_leaves_as_itself() {
    let project = json!({
        "id": "0199a3c4-0000-7c00-8000-000000000001", "slug": "acme", "name": "Acme",
        "policy": {
            "prefix": "acme", "default_lifetime": "unlimited", "longest_lifetime": "unlimited", "owners": ["user"],
            "keys_per_owner": 10, "scopes": null, "default_grace": "1d", "longest_grace": "30d", "default_roles": [],
            "session_idle": "7d", "session_longest": "30d", "password_chars_min": 15,
            "token_algorithm": "ES256", "signing_key_rotation": "30d", "token_default_lifetime": "5m",
            "token_longest_lifetime": "15m", "token_audience": null, "token_claims": []
        },
        "suspended_since": null, "created_at": "2030-01-01T00:00:00Z", "revision": 1,
    });
    let stub = Stub::playing([
        Canned::json(200, &project),
        Canned::json(201, &json!({"key": key(), "secret": null})),
    ]);
    let words = [
        "keys",
        "create",
        "--name",
        "ci",
        "--environment",
        "live",
        "--client-made",
        "--secret-only",
    ];
    let outcome = Desk::new().run(&stub, &words);
    let secret = outcome.stdout.trim_end();
    assert!(
        secret.starts_with("acme_live_") && secret.len() == "acme_live_".len() + 38,
        "{}",
        secret.len()
    );
    let sent = stub.seen().pop().unwrap();
    let digest: String = Sha256::digest(secret)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(sent.json()["secret_sha256"], digest);
    assert!(stub.seen().iter().all(|seen| !seen.body.contains(secret)));
}

#[test]
fn a_client_made_secret_stands_in_the_json_where_the_servers_would() {
    let stub = Stub::playing([
        Canned::json(200, &key()),
        Canned::json(200, &json!({"key": key(), "secret": null})),
    ]);
    let words = [
        "keys",
        "rotate",
        KEY,
        "--client-made",
        "--prefix",
        "acme",
        "--json",
        "--quiet",
    ];
    let outcome = Desk::new().run(&stub, &words);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(document["secret"].as_str().unwrap().starts_with("acme_"));
    assert_eq!(document["key"]["id"], KEY);
}

#[test]
fn a_secret_that_was_in_a_lost_answer_is_not_made_up() {
    let stub = Stub::playing([Canned::json(
        201,
        &json!({"key": key(), "secret": null, "already_revealed": true}),
    )]);
    let outcome = Desk::new().run(&stub, &[&CREATE[..], &["--secret-only"]].concat());
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: key `0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20` has a secret that cannot be shown again
    caused by: the server had given it away in an answer that did not arrive

    hint: `keyholt keys rotate 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20 --grace 0s` makes a new one
    ");
}

#[test]
fn rotating_tells_how_long_the_old_secret_works() {
    let rotated = key_with(&json!({"retiring_until": "2030-01-02T00:00:00Z", "revision": 2}));
    let stub = Stub::playing([Canned::json(200, &json!({"key": rotated, "secret": REVEALED}))]);
    let words = [
        "keys",
        "rotate",
        KEY,
        "--grace",
        "24h",
        "--cause",
        "yearly",
        "--if-revision",
        "1",
    ];
    let outcome = Desk::new().run(&stub, &words);
    assert_eq!(outcome.stdout, format!("{REVEALED}\n"));
    let first = outcome.stderr.lines().next().unwrap();
    assert_eq!(
        first,
        format!("Rotated key `{KEY}`; its old secret works until 2030-01-02T00:00:00Z.")
    );
    let asked = stub.only();
    assert_eq!(asked.json(), json!({"grace": "24h", "cause": "yearly"}));
    assert_eq!(asked.header("if-match"), Some("\"1\""));
    assert_eq!(asked.header("idempotency-key"), None);
}

#[test]
fn a_list_says_when_there_is_more() {
    let page = json!({"keys": [key()], "next_cursor": "abc"});
    let stub = Stub::playing([Canned::json(200, &page)]);
    let words = [
        "keys",
        "list",
        "--user",
        "u_42",
        "--state",
        "active",
        "--unused-for",
        "30d",
        "--limit",
        "1",
    ];
    let outcome = Desk::new().run(&stub, &words);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    ID                                    NAME  OWNER      STATE   EXPIRES
    0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20  ci    user:u_42  active  2030-04-01
    --- stderr
    There are more: `--all`, or `--cursor abc`.
    ");
    assert_eq!(
        stub.only().line,
        "GET /v1/projects/self/keys?owner=user%3Au_42&state=active&unused_for=30d&limit=1"
    );
}

#[test]
fn all_pages_become_one_document_with_every_entry_as_it_came() {
    let page = |id: &str, next: Option<&str>| {
        Canned::json(
            200,
            &json!({"keys": [key_with(&json!({"name": id, "news": 1}))], "next_cursor": next}),
        )
    };
    let stub = Stub::playing([page("a", Some("c1")), page("b", None)]);
    let outcome = Desk::new().run(&stub, &["keys", "list", "--all", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    let names: Vec<&str> = document["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(document["keys"][1]["news"], 1);
    assert_eq!(document["next_cursor"], serde_json::Value::Null);
    assert_eq!(stub.seen()[1].line, "GET /v1/projects/self/keys?limit=1000&cursor=c1");
}

#[test]
fn a_server_that_repeats_a_cursor_is_not_followed_for_ever() {
    let page = || Canned::json(200, &json!({"keys": [key()], "next_cursor": "c1"}));
    let stub = Stub::playing([page(), page()]);
    let outcome = Desk::new().run(&stub, &["keys", "list", "--all"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: the list of keys does not end

    hint: narrow it with filters
    ");
}

#[test]
fn nothing_to_list_is_said_and_not_printed() {
    let stub = Stub::playing([Canned::json(200, &json!({"keys": [], "next_cursor": null}))]);
    let outcome = Desk::new().run(&stub, &["keys", "list"]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
        (0, "", "There are no keys.\n")
    );
}

#[test]
fn amending_sends_what_was_named_and_clears_what_was_said_to_be_cleared() {
    let stub = Stub::playing([Canned::json(200, &key())]);
    let words = [
        "keys",
        "amend",
        KEY,
        "--name",
        "cd",
        "--any-network",
        "--no-description",
        "--never-expires",
        "--nothing",
        "--cause",
        "moved",
    ];
    Desk::new().run(&stub, &words);
    assert_eq!(
        stub.only().json(),
        json!({
            "name": "cd", "networks": null, "description": null, "expires_at": null, "scopes": [], "cause": "moved"
        })
    );
}

#[test]
fn amending_nothing_is_a_mistake_and_asks_nobody() {
    let stub = Stub::playing([]);
    let outcome = Desk::new().run(&stub, &["keys", "amend", KEY, "--cause", "moved"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: nothing of key `0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20` is to be changed

    hint: name what shall change; `--help` lists the options
    ");
}

#[test]
fn revoking_needs_a_cause_and_no_question() {
    let stub = Stub::playing([Canned::json(200, &key_with(&json!({"state": "revoked"})))]);
    let outcome = Desk::new().run(&stub, &["keys", "revoke", KEY, "--cause", "leaked in a build log"]);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    --- stderr
    Revoked key `0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20`; it never works again.
    ");
    assert_eq!(stub.only().body, r#"{"cause":"leaked in a build log"}"#);
}

#[test]
fn what_was_made_with_a_key_goes_with_it_and_what_lives_on_is_a_no() {
    let revoked = |descendants: Value| {
        let members = json!({"state": "revoked", "descendants": descendants});
        Stub::playing([Canned::json(200, &key_with(&members))])
    };
    let words = ["keys", "revoke", KEY, "--cause", "leaked", "--cascade"];
    let stub = revoked(json!({"revoked": 3, "left": 0, "complete": true}));
    let outcome = Desk::new().run(&stub, &words);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    --- stderr
    Revoked key `0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20`; it never works again.
    Revoked with it: 3 keys.
    ");
    assert_eq!(stub.only().body, r#"{"cause":"leaked","descendants":"revoke"}"#);
    let stub = revoked(json!({"revoked": 10_000, "left": 1, "complete": false}));
    let outcome = Desk::new().run(&stub, &words);
    assert_snapshot!(outcome, @"
    exit: 1
    --- stdout
    --- stderr
    Revoked key `0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20`; it never works again.
    Revoked with it: 10000 keys.
    Left alive: 1 key; the caller may not revoke them, or they are the last way in.
    There may be more: run the same command again.
    ");
}

#[test]
fn deleting_asks_and_a_no_deletes_nothing() {
    let stub = Stub::playing([]);
    let desk = Desk::new().with_person(["n"]);
    let outcome = desk.run(&stub, &["keys", "delete", KEY]);
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (1, "error: not confirmed; nothing was done\n")
    );
    assert_eq!(desk.asked(), [format!("Remove key `{KEY}` and its record?")]);
}

#[test]
fn deleting_tells_why_in_the_query() {
    let stub = Stub::playing([Canned::nothing()]);
    let outcome = Desk::new().run(&stub, &["keys", "delete", KEY, "--yes", "--cause", "spring cleaning"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, ""));
    assert_eq!(
        stub.only().line,
        format!("DELETE /v1/projects/self/keys/{KEY}?cause=spring+cleaning")
    );
}

const CLEAN: [&str; 6] = ["keys", "revoke-matching", "--user", "u_42", "--cause", "left"];

fn two_live_keys() -> Canned {
    let keys = json!([
        key(),
        key_with(&json!({"state": "revoked"})),
        key_with(&json!({"state": "expired"}))
    ]);
    Canned::json(200, &json!({"keys": keys, "next_cursor": null}))
}

#[test]
fn many_keys_are_revoked_after_their_number_was_typed() {
    let stub = Stub::playing([two_live_keys(), Canned::json(200, &json!({"revoked": 2}))]);
    let desk = Desk::new().with_person(["2"]);
    let outcome = desk.run(&stub, &CLEAN);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    --- stderr
    ID                                    NAME  OWNER      STATE    EXPIRES
    0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20  ci    user:u_42  active   2030-04-01
    0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20  ci    user:u_42  expired  2030-04-01
    Revoked 2 keys.
    ");
    assert_eq!(
        desk.asked(),
        ["This revokes 2 keys for good. Type the number to go on:"]
    );
    assert_eq!(
        stub.seen()[1].json(),
        json!({"filter": {"owner": "user:u_42"}, "expect_count": 2, "cause": "left"})
    );
}

#[test]
fn another_number_revokes_nothing_and_yes_is_no_number() {
    let stub = Stub::playing([two_live_keys(), two_live_keys()]);
    let outcome = Desk::new().with_person(["20"]).run(&stub, &CLEAN);
    assert_eq!(outcome.code, 1);
    let outcome = Desk::new().run(&stub, &[&CLEAN[..], &["--yes"]].concat());
    assert_eq!(outcome.code, 2);
    assert!(
        outcome
            .stderr
            .contains("hint: `--expect-count 2` confirms it beforehand"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn a_number_that_the_server_does_not_find_is_told() {
    let mut problem = Problem::new(Code::CountDiffers, "req-1");
    problem.count = Some(3);
    let stub = Stub::playing([Canned::told(problem)]);
    let outcome = Desk::new().run(&stub, &[&CLEAN[..], &["--expect-count", "2"]].concat());
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.contains("hint: the server finds 3 keys"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn no_filter_does_not_mean_every_key() {
    let stub = Stub::playing([]);
    let words = ["keys", "revoke-matching", "--cause", "left", "--expect-count", "0"];
    assert_eq!(Desk::new().run(&stub, &words).code, 2);
}

#[test]
fn the_key_of_a_secret_is_found_without_naming_the_secret_in_an_address() {
    let stub = Stub::playing([Canned::json(200, &json!({"key": key()}))]);
    let outcome = Desk::new()
        .with_stdin(&format!("{REVEALED}\n"))
        .run(&stub, &["keys", "find"]);
    assert_eq!(outcome.code, 0);
    assert!(
        outcome.stdout.starts_with(&format!("key        {KEY}\n")),
        "{}",
        outcome.stdout
    );
    assert_eq!(stub.only().line, "POST /v1/projects/self/keys/find");
    assert_eq!(stub.only().json(), json!({"secret": REVEALED}));
}

#[test]
fn usage_is_a_card_and_a_table() {
    let usage = json!({
        "first_used_at": "2030-01-01T10:00:00Z", "last_used_at": "2030-01-01T11:30:00Z",
        "last_used_from": "192.0.2.7",
        "hours": [
            {"hour": "2030-01-01T10:00:00Z", "outcome": "granted", "count": 12},
            {"hour": "2030-01-01T11:00:00Z", "outcome": "denied_scope", "count": 1},
        ],
    });
    let stub = Stub::playing([Canned::json(200, &usage)]);
    let outcome = Desk::new().run(&stub, &["keys", "usage", KEY, "--from", "2030-01-01T00:00:00Z"]);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    first used      2030-01-01T10:00:00Z
    last used       2030-01-01T11:30:00Z
    last used from  192.0.2.7

    HOUR                  OUTCOME       COUNT
    2030-01-01T10:00:00Z  granted       12
    2030-01-01T11:00:00Z  denied_scope  1
    --- stderr
    ");
}
