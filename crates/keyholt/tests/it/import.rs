//! Imports: always tried first, all or nothing.

use insta::assert_snapshot;
use keyholt_api::code::Code;
use serde_json::json;

use crate::desk::Desk;
use crate::stub::{Canned, Stub};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn csv() -> String {
    format!("secret_sha256,name,user,scopes\n{A},ci,u_42,orders:read;orders:write\n{B},cd,u_43,everything\n")
}

fn accepted(count: usize) -> Canned {
    Canned::json(200, &json!({"accepted": count, "refused": []}))
}

fn import(stub: &Stub, words: &[&str]) -> crate::desk::Outcome {
    let desk = Desk::new();
    let file = desk.file("keys.csv", &csv());
    desk.run(stub, &[&["keys", "import", file.to_str().unwrap()], words].concat())
}

#[test]
fn keys_are_tried_and_then_taken() {
    let stub = Stub::playing([accepted(2), accepted(2)]);
    let outcome = import(&stub, &[]);
    assert_eq!(
        (outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()),
        (0, "", "Imported 2 keys.\n")
    );
    let keys = json!([
        {"secret_sha256": A, "name": "ci", "owner": {"user": "u_42"}, "scopes": ["orders:read", "orders:write"]},
        {"secret_sha256": B, "name": "cd", "owner": {"user": "u_43"}, "scopes": "everything"},
    ]);
    let seen = stub.seen();
    assert_eq!(seen[0].json(), json!({"dry_run": true, "keys": keys}));
    assert_eq!(seen[1].json(), json!({"dry_run": false, "keys": keys}));
}

#[test]
fn a_dry_run_takes_nothing() {
    let stub = Stub::playing([accepted(2)]);
    let outcome = import(&stub, &["--dry-run", "--json"]);
    assert_eq!(outcome.stdout, "{\"accepted\":2,\"refused\":[]}\n");
    assert_eq!(stub.only().json()["dry_run"], true);
}

#[test]
fn one_refused_key_stops_all_and_is_shown_with_its_line() {
    let refused = json!({"accepted": 1, "refused": [{"index": 1, "code": "not_found", "detail": "no such user"}]});
    let stub = Stub::playing([Canned::json(200, &refused)]);
    let outcome = import(&stub, &[]);
    assert_snapshot!(outcome, @"
    exit: 1
    --- stdout
    PLACE   NAME  CODE       WHY
    line 3  cd    not_found  no such user
    --- stderr
    error: the server refuses 1 key; nothing of that batch was imported

    hint: correct or remove them, and import the file again
    ");
}

#[test]
fn a_trial_that_fails_says_that_nothing_was_imported() {
    let stub = Stub::playing([Canned::problem(Code::StoreUnavailable)]);
    let outcome = import(&stub, &[]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.ends_with("hint: nothing was imported\n"), "{outcome}");
}

#[test]
fn a_file_with_mistakes_is_not_sent() {
    let stub = Stub::playing([]);
    let desk = Desk::new();
    let file = desk.file("keys.jsonl", "{\"name\":\"ci\"}\nnot json\n");
    let outcome = desk.run(&stub, &["keys", "import", file.to_str().unwrap()]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: cannot read `~/keys.jsonl`
    caused by: line 1: missing field `secret_sha256`
    caused by: line 2: expected ident

    hint: nothing was imported
    ");
    let file = desk.file("keys.txt", "");
    let outcome = desk.run(&stub, &["keys", "import", file.to_str().unwrap()]);
    assert_eq!(outcome.code, 2);
}
