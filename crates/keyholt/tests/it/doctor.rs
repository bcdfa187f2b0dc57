//! The doctor: finds what is wrong, and says "unknown" where it cannot ask.

use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;
use keyholt_api::code::Code;
use serde_json::{Value, json};

use crate::desk::{Desk, Outcome, about_self, whoami};
use crate::stub::{Canned, Stub};

fn meta(version: &str, date: &str) -> Canned {
    Canned::json(200, &json!({"version": version, "api": "v1"})).with("date", date)
}

fn well() -> Canned {
    meta(env!("CARGO_PKG_VERSION"), "Tue, 01 Jan 2030 00:00:00 GMT")
}

fn ready() -> Canned {
    Canned::json(200, &json!({"status": "ok"}))
}

fn checks(outcome: &Outcome) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    checks
        .map(|check| (word(&check["check"]), word(&check["outcome"])))
        .collect()
}

fn outcome_of(outcome: &Outcome, check: &str) -> String {
    let found = checks(outcome).into_iter().rfind(|(known, _)| known == check);
    found.map(|(_, outcome)| outcome).unwrap_or_default()
}

#[test]
fn all_is_well() {
    let stub = Stub::playing([well(), ready(), about_self()]);
    let outcome = Desk::new().run(&stub, &["doctor"]);
    assert_eq!(outcome.code, 0);
    let version = env!("CARGO_PKG_VERSION");
    assert_snapshot!(outcome.to_string().replace(version, "VERSION"), @"
    exit: 0
    --- stdout
    CHECK       OUTCOME  FOUND
    server      good     http://keyholt.test (from --server)
    tls         good     plain HTTP that does not leave this machine
    credential  good     comes from KEYHOLT_CREDENTIAL
    reachable   good     it answered within 0 ms
    version     good     server VERSION, this program VERSION, interface v1
    clock       good     the server's clock and this machine's agree
    ready       good     it says that it is ready
    accepted    good     key `ci` of user:u_42 in project `acme`
    may         good     read all keys
    expiry      good     the key expires at 2030-04-01T00:00:00Z
    --- stderr
    ");
}

#[test]
fn clocks_that_are_apart_are_found() {
    for (date, found, code) in [
        ("Tue, 01 Jan 2030 00:00:04 GMT", "good", 0),
        ("Tue, 01 Jan 2030 00:01:00 GMT", "warning", 0),
        ("Mon, 31 Dec 2029 23:50:00 GMT", "wrong", 1),
    ] {
        let stub = Stub::playing([meta(env!("CARGO_PKG_VERSION"), date), ready(), about_self()]);
        let outcome = Desk::new().run(&stub, &["doctor", "--json"]);
        assert_eq!(
            (outcome_of(&outcome, "clock").as_str(), outcome.code),
            (found, code),
            "{date}"
        );
    }
}

#[test]
fn a_credential_that_is_refused_is_wrong() {
    let stub = Stub::playing([well(), ready(), Canned::problem(Code::InvalidCredential)]);
    let outcome = Desk::new().run(&stub, &["doctor", "--json"]);
    assert_eq!((outcome_of(&outcome, "accepted").as_str(), outcome.code), ("wrong", 1));
}

#[test]
fn a_credential_that_could_not_be_tried_is_unknown() {
    let stub = Stub::playing([well(), ready(), Canned::problem(Code::CannotKnow)]);
    let outcome = Desk::new().run(&stub, &["doctor", "--json"]);
    assert_eq!(
        (outcome_of(&outcome, "accepted").as_str(), outcome.code),
        ("unknown", 2)
    );
}

#[test]
fn a_server_that_is_gone_is_no_verdict() {
    let url = {
        let stub = Stub::playing([]);
        stub.url.clone()
    };
    let outcome = Desk::new().run_alone(&["doctor", "--json", "--server", &url]);
    assert_eq!(
        (outcome_of(&outcome, "reachable").as_str(), outcome.code),
        ("unknown", 2)
    );
}

#[test]
fn a_stranger_learns_that_there_is_no_credential() {
    let stub = Stub::playing([well(), ready()]);
    let outcome = Desk::of_a_stranger().run(&stub, &["doctor", "--json"]);
    assert_eq!(
        (outcome_of(&outcome, "credential").as_str(), outcome.code),
        ("warning", 0)
    );
}

#[test]
fn a_key_that_ends_soon_and_may_nothing_is_worth_a_word() {
    let mut answer = whoami();
    answer["effective_scopes"] = json!(["orders:read"]);
    answer["key"]["expires_at"] = json!("2030-01-05T00:00:00Z");
    let stub = Stub::playing([
        meta("9.9.9", "Tue, 01 Jan 2030 00:00:00 GMT"),
        ready(),
        Canned::json(200, &answer),
    ]);
    let outcome = Desk::new().run(&stub, &["doctor", "--json"]);
    for check in ["version", "may", "expiry"] {
        assert_eq!(outcome_of(&outcome, check), "warning", "{check}");
    }
    assert_eq!(outcome.code, 0);
}

#[test]
fn files_that_others_may_read_are_wrong() {
    let stub = Stub::playing([well(), ready()]);
    let desk = Desk::of_a_stranger();
    std::fs::create_dir_all(desk.login_file().parent().unwrap()).unwrap();
    std::fs::write(desk.login_file(), "").unwrap();
    std::fs::set_permissions(desk.login_file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = desk.run(&stub, &["doctor", "--json"]);
    assert_eq!((outcome_of(&outcome, "files").as_str(), outcome.code), ("wrong", 1));
}

#[test]
fn a_machine_whose_clock_is_behind_its_server_is_wrong() {
    let behind = Canned::json(200, &json!({"status": "ok", "clock_behind_s": 7200}));
    let stub = Stub::playing([well(), behind, about_self()]);
    let outcome = Desk::new().run(&stub, &["doctor"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("has a clock that is 2h behind"), "{outcome}");
}

#[test]
fn an_operator_hears_what_hangs_on_the_master_key_before() {
    let mut operator = whoami();
    operator["effective_scopes"] = json!(["keyholt:*"]);
    operator["project"] = json!({"id": keyholt_core::id::SYSTEM, "slug": "keyholt"});
    let key = json!({"project": keyholt_core::id::SYSTEM, "key": keyholt_core::id::SYSTEM});
    for (previous_known, sealing, left, found, code) in [
        (true, true, 12, "warning", 0),
        (true, false, 12, "warning", 0),
        (true, false, 0, "warning", 0),
        (false, false, 12, "wrong", 1),
        (false, false, 0, "", 0),
    ] {
        let state = json!({
            "previous_known": previous_known, "sealing": sealing, "secrets_left": left, "passwords_left": 0,
            "keys": if left == 0 { json!([]) } else { json!([key]) },
        });
        let stub = Stub::playing([well(), ready(), Canned::json(200, &operator), Canned::json(200, &state)]);
        let outcome = Desk::new().run(&stub, &["doctor", "--json"]);
        assert_eq!(
            (outcome_of(&outcome, "master key").as_str(), outcome.code),
            (found, code),
            "{state}"
        );
    }
}
