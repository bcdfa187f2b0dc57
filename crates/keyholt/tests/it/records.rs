//! Projects, users, teams, services, roles and events.

use insta::assert_snapshot;
use keyholt_api::code::Code;
use serde_json::{Value, json};

use crate::desk::{Desk, KEY};
use crate::stub::{Canned, Stub};

const ID: &str = "0199a3c4-0000-7c00-8000-000000000042";

fn user() -> Value {
    json!({
        "id": ID, "external_id": "u_42", "name": "Ada", "email": "ada@example.com", "roles": ["member"],
        "metadata": {"cost_centre": 7}, "suspended_since": null, "created_at": "2030-01-01T00:00:00Z", "revision": 1,
    })
}

fn team() -> Value {
    json!({
        "id": ID, "external_id": "platform", "name": "Platform", "roles": ["member"],
        "members": [{"user": {"id": ID}, "right": "manage_keys"}],
        "metadata": {}, "suspended_since": "2030-01-01T00:00:00Z", "created_at": "2030-01-01T00:00:00Z", "revision": 1,
    })
}

fn role() -> Value {
    json!({
        "id": ID, "name": "reader", "description": "", "scopes": ["orders:read"],
        "created_at": "2030-01-01T00:00:00Z", "revision": 1,
    })
}

/// What a command sends, as one line of method and path and one of JSON.
fn sent(answer: Canned, words: &[&str]) -> (String, Value) {
    let stub = Stub::playing([answer]);
    let outcome = Desk::new().run(&stub, &[words, &["--yes"]].concat());
    assert_eq!(outcome.code, 0, "{outcome}");
    let seen = stub.only();
    let body = if seen.body.is_empty() { Value::Null } else { seen.json() };
    (seen.line, body)
}

#[test]
fn whatever_is_done_to_a_record_may_say_why() {
    let why = ["--cause", "audit"];
    for (answer, words) in [
        (user(), vec!["users", "create", "u_42"]),
        (user(), vec!["users", "change", "u_42", "--name", "Ada"]),
        (team(), vec!["teams", "create", "platform"]),
        (team(), vec!["teams", "change", "platform", "--no-roles"]),
        (team(), vec!["teams", "add-member", "platform", "u_42"]),
        (role(), vec!["roles", "create", "reader"]),
        (role(), vec!["roles", "change", "reader", "--no-scopes"]),
    ] {
        let (line, body) = sent(Canned::json(200, &answer), &[words.as_slice(), &why].concat());
        assert_eq!(body["cause"], "audit", "{line}");
    }
    for words in [
        vec!["teams", "remove-member", "platform", "u_42"],
        vec!["roles", "remove", "reader"],
    ] {
        let (line, _) = sent(Canned::json(200, &team()), &[words.as_slice(), &why].concat());
        assert!(line.ends_with("?cause=audit"), "{line}");
    }
}

#[test]
fn a_user_is_enrolled_and_shown() {
    let stub = Stub::playing([Canned::json(201, &user())]);
    let words = [
        "users",
        "create",
        "u_42",
        "--name",
        "Ada",
        "--role",
        "member",
        "--metadata",
        "{\"cost_centre\":7}",
    ];
    let outcome = Desk::new().run(&stub, &words);
    assert_snapshot!(outcome, @r#"
    exit: 0
    --- stdout
    user         0199a3c4-0000-7c00-8000-000000000042
    external id  u_42
    name         Ada
    e-mail       ada@example.com
    roles        member
    standing     good
    metadata     {"cost_centre":7}
    created      2030-01-01T00:00:00Z
    revision     1
    --- stderr
    Created user `u_42`.
    "#);
    assert_eq!(
        stub.only().json(),
        json!({"external_id": "u_42", "name": "Ada", "roles": ["member"], "metadata": {"cost_centre": 7}})
    );
}

#[test]
fn no_roles_is_something_else_than_the_default_roles() {
    let (_, default) = sent(Canned::json(201, &user()), &["users", "create", "u_42"]);
    assert_eq!(default, json!({"external_id": "u_42"}));
    let (_, none) = sent(Canned::json(201, &user()), &["users", "create", "u_42", "--no-roles"]);
    assert_eq!(none, json!({"external_id": "u_42", "roles": []}));
}

#[test]
fn each_verb_goes_to_its_own_place() {
    let ok = |body: &Value| Canned::json(200, body);
    let cases: Vec<(Canned, &[&str], &str, Value)> = vec![
        (
            ok(&user()),
            &["users", "show", "u/42"],
            "GET /v1/projects/self/users/u%2F42",
            Value::Null,
        ),
        (
            ok(&user()),
            &["users", "change", "u_42", "--no-email", "--role", "admin"],
            "PATCH /v1/projects/self/users/u_42",
            json!({"email": null, "roles": ["admin"]}),
        ),
        (
            ok(&user()),
            &["users", "suspend", "u_42", "--cause", "on leave"],
            "POST /v1/projects/self/users/u_42/suspend",
            json!({"cause": "on leave"}),
        ),
        (
            ok(&user()),
            &["users", "resume", "u_42"],
            "POST /v1/projects/self/users/u_42/resume",
            json!({}),
        ),
        (
            Canned::nothing(),
            &["users", "remove", "u_42", "--cause", "left"],
            "DELETE /v1/projects/self/users/u_42?cause=left",
            Value::Null,
        ),
        (
            ok(&team()),
            &["teams", "add-member", "platform", "u_42", "--right", "manage-keys"],
            "PUT /v1/projects/self/teams/platform/members/u_42",
            json!({"right": "manage_keys"}),
        ),
        (
            Canned::nothing(),
            &["teams", "remove-member", "platform", "u_42"],
            "DELETE /v1/projects/self/teams/platform/members/u_42",
            Value::Null,
        ),
        (
            ok(&role()),
            &["roles", "change", "reader", "--no-scopes", "--description", "Reads"],
            "PATCH /v1/projects/self/roles/reader",
            json!({"description": "Reads", "scopes": []}),
        ),
        (
            Canned::nothing(),
            &["roles", "remove", "reader"],
            "DELETE /v1/projects/self/roles/reader",
            Value::Null,
        ),
        (
            ok(&json!({})),
            &["projects", "suspend", "acme", "--cause", "contract ended"],
            "POST /v1/projects/acme/suspend",
            json!({"cause": "contract ended"}),
        ),
        (
            ok(&json!({})),
            &["services", "suspend", "ci"],
            "POST /v1/projects/self/services/ci/suspend",
            json!({}),
        ),
    ];
    for (answer, words, line, body) in cases {
        assert_eq!(sent(answer, words), (line.to_owned(), body), "{words:?}");
    }
}

#[test]
fn a_policy_is_changed_member_by_member() {
    let project = json!({
        "id": ID, "slug": "acme", "name": "Acme",
        "policy": {
            "prefix": "acme", "default_lifetime": "90d", "longest_lifetime": "365d", "owners": ["user", "service"],
            "keys_per_owner": 10, "scopes": {"orders:read": "Read orders", "orders:write": ""}, "default_grace": "1d",
            "longest_grace": "30d", "default_roles": ["member"], "session_idle": "7d", "session_longest": "30d",
            "password_chars_min": 15,
            "token_algorithm": "ES256", "signing_key_rotation": "30d", "token_default_lifetime": "5m",
            "token_longest_lifetime": "15m", "token_audience": null, "token_claims": []
        },
        "suspended_since": null, "created_at": "2030-01-01T00:00:00Z", "revision": 2,
    });
    let stub = Stub::playing([Canned::json(200, &project)]);
    let words = [
        "projects",
        "change",
        "acme",
        "--longest-lifetime",
        "365d",
        "--keys-for",
        "user,service",
        "--scope",
        "orders:read=Read orders",
        "--scope",
        "orders:write",
        "--no-default-roles",
    ];
    let outcome = Desk::new().run(&stub, &words);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    project           0199a3c4-0000-7c00-8000-000000000042
    slug              acme
    name              Acme
    standing          good
    prefix            acme
    default lifetime  90d
    longest lifetime  365d
    default grace     1d
    longest grace     30d
    keys for          user service
    keys per owner    10
    default roles     member
    session idle      7d
    session longest   30d
    password          15 characters or more
    scope             orders:read  Read orders
    scope             orders:write
    created           2030-01-01T00:00:00Z
    revision          2
    --- stderr
    Changed project `acme`.
    ");
    assert_eq!(
        stub.only().json(),
        json!({"policy": {
            "longest_lifetime": "365d", "owners": ["user", "service"],
            "scopes": {"orders:read": "Read orders", "orders:write": ""}, "default_roles": []
        }})
    );
}

#[test]
fn removing_an_owner_is_asked_for_and_scripts_say_yes() {
    let stub = Stub::playing([Canned::nothing()]);
    let outcome = Desk::new().run(&stub, &["teams", "remove", "platform"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: this must be confirmed, and there is nobody to ask
    caused by: Remove team `platform`, and with it all its keys?

    hint: `--yes` confirms it beforehand
    ");
    let desk = Desk::new().with_person(["y"]);
    let outcome = desk.run(&stub, &["teams", "remove", "platform"]);
    assert_eq!(outcome.stderr, "Removed team `platform`, and with it all its keys.\n");
    assert_eq!(desk.asked(), ["Remove team `platform`, and with it all its keys?"]);
}

#[test]
fn a_refusal_names_every_member_that_is_wrong() {
    let problem = json!({
        "type": "/docs/errors#invalid_fields", "title": "Invalid fields", "status": 422,
        "detail": "2 members are not allowed", "code": "invalid_fields", "request_id": "req-1",
        "errors": [
            {"field": "external_id", "code": "length", "detail": "must have 1 to 128 characters"},
            {"field": "roles[1]", "code": "unknown_word", "detail": "is no role of this project"},
        ],
    });
    let stub = Stub::playing([Canned::text(
        422,
        "application/problem+json; charset=utf-8",
        problem.to_string(),
    )]);
    let outcome = Desk::new().run(&stub, &["users", "create", "u_42"]);
    assert_snapshot!(outcome, @"
    exit: 1
    --- stdout
    --- stderr
    error: cannot create user `u_42`
    caused by: 2 members are not allowed
    caused by: `external_id`: must have 1 to 128 characters
    caused by: `roles[1]`: is no role of this project

    hint: Correct the members that `errors` names.
    hint: code `invalid_fields`, request `req-1`; see http://keyholt.test/docs/errors#invalid_fields
    ");
}

#[test]
fn with_json_a_refusal_is_a_document_too() {
    let stub = Stub::playing([Canned::problem(Code::HandleTaken)]);
    let outcome = Desk::new().run(&stub, &["users", "create", "u_42", "--json"]);
    let document: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((outcome.code, document["code"].as_str().unwrap()), (1, "handle_taken"));
    assert!(
        outcome.stderr.starts_with("error: cannot create user `u_42`\n"),
        "{outcome}"
    );
}

#[test]
fn teams_are_listed_with_their_standing() {
    let stub = Stub::playing([Canned::json(200, &json!({"teams": [team()], "next_cursor": null}))]);
    let outcome = Desk::new().run(&stub, &["teams", "list", "--wide"]);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    ID                                    EXTERNAL ID  NAME      ROLES   STANDING   MEMBERS  CREATED
    0199a3c4-0000-7c00-8000-000000000042  platform     Platform  member  suspended  1        2030-01-01
    --- stderr
    ");
}

fn event() -> Value {
    json!({
        "number": 7, "at": "2030-01-01T00:00:00Z", "action": "key.revoke", "outcome": "refused",
        "refusal": "insufficient_scope", "actor": {
            "key": KEY, "owner": {"kind": "user", "id": ID, "handle": "u_42"}, "project": ID
        },
        "target": {"kind": "key", "id": KEY}, "owner": null, "cause": "=HYPERLINK()", "source":
        {"address": "192.0.2.7", "request_id": "req-1"}, "before": null, "after": null,
    })
}

#[test]
fn the_audit_trail_is_listed_with_filters() {
    let stub = Stub::playing([Canned::json(200, &json!({"events": [event()], "next_cursor": null}))]);
    let words = [
        "audit",
        "list",
        "--action",
        "key.*",
        "--outcome",
        "refused",
        "--service",
        "ci",
    ];
    let outcome = Desk::new().run(&stub, &words);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    NUMBER  AT                    ACTION      OUTCOME                      ACTOR      TARGET
    7       2030-01-01T00:00:00Z  key.revoke  refused: insufficient_scope  user:u_42  key:0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20
    --- stderr
    ");
    assert_eq!(
        stub.only().line,
        "GET /v1/projects/self/events?action=key.*&outcome=refused&owner=service%3Aci"
    );
}

#[test]
fn an_export_to_a_program_is_what_the_server_wrote() {
    let lines = format!("{}\n{}\n", event(), event());
    let stub = Stub::playing([Canned::text(200, "application/jsonl", &*lines)]);
    let outcome = Desk::new().run(&stub, &["events", "export"]);
    assert_eq!((outcome.code, outcome.stdout), (0, lines));
    assert_eq!(stub.only().line, "GET /v1/projects/self/events/export?format=jsonl");
}

#[test]
fn an_export_into_a_file_appears_whole_or_not_at_all() {
    use std::os::unix::fs::MetadataExt;
    let csv = || Canned::text(200, "text/csv", "number,at\n7,2030-01-01T00:00:00Z\n");
    let stub = Stub::playing([csv().broken_off(), csv()]);
    let desk = Desk::new();
    let path = desk.home().join("events.csv");
    let words = ["events", "export", "--format", "csv", "-o", path.to_str().unwrap()];
    let outcome = desk.run(&stub, &words);
    assert_eq!((outcome.code, path.exists()), (2, false), "{outcome}");
    let outcome = desk.run(&stub, &words);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, "Wrote `~/events.csv`.\n"));
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        "number,at\n7,2030-01-01T00:00:00Z\n"
    );
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn an_export_that_breaks_off_is_told() {
    let stub = Stub::playing([Canned::text(200, "text/csv", "number,at\n").broken_off()]);
    let outcome = Desk::new().run(&stub, &["events", "export", "--format", "csv"]);
    assert_eq!(outcome.code, 2);
    assert!(
        outcome
            .stderr
            .contains("hint: if something was written, it is not complete"),
        "{outcome}"
    );
}

#[test]
fn a_signing_key_whose_thumbprint_begins_with_a_hyphen_can_be_withdrawn_too() {
    let kid = "-SNbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9X";
    let withdrawn = json!({
        "id": ID, "kid": kid, "algorithm": "ES256", "phase": "withdrawn", "created_at": "2030-01-01T00:00:00Z",
        "signs_from": "2030-01-01T00:00:00Z", "retires_at": null, "withdrawn_at": "2030-01-02T00:00:00Z",
    });
    let (line, body) = sent(
        Canned::json(200, &withdrawn),
        &["jwks", "withdraw", kid, "--cause", "leaked"],
    );
    assert_eq!(line, format!("POST /v1/projects/self/signing-keys/{kid}/withdraw"));
    assert_eq!(body, json!({"cause": "leaked"}));
}
