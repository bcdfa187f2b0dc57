//! Setting up, logging in and out, and which credential goes where.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use insta::assert_snapshot;
use keyholt_api::code::Code;
use serde_json::json;

use crate::desk::{CREDENTIAL, Desk, KEY, REVEALED, about_self, key};
use crate::stub::{Canned, Stub};

fn log_in(desk: &Desk, stub: &Stub) -> crate::desk::Outcome {
    desk.run(stub, &["login", "--credential", "-"])
}

fn stranger() -> Desk {
    Desk::of_a_stranger().with_stdin(&format!("{CREDENTIAL}\n"))
}

#[test]
fn without_a_keyring_the_credential_lies_in_a_file_that_only_its_owner_may_read() {
    let stub = Stub::playing([about_self(), about_self()]);
    let desk = stranger();
    let outcome = log_in(&desk, &stub);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    --- stderr
    Logged in to http://keyholt.test as user:u_42 with key `ci` of project `acme`.
    The secret is stored in the file `~/.config/keyholt/logins.toml`.
    ");
    let file = std::fs::metadata(desk.login_file()).unwrap();
    let folder = std::fs::metadata(desk.login_file().parent().unwrap()).unwrap();
    assert_eq!((file.mode() & 0o777, folder.mode() & 0o777), (0o600, 0o700));
    assert!(std::fs::read_to_string(desk.login_file()).unwrap().contains(CREDENTIAL));
    // The next command finds server and credential by itself.
    assert_eq!(desk.run_alone(&["whoami"]).code, 0);
    let bearer = format!("Bearer {CREDENTIAL}");
    assert!(
        stub.seen()
            .iter()
            .all(|seen| seen.header("authorization") == Some(&bearer))
    );
}

#[test]
fn a_keyring_is_better_than_a_file() {
    let stub = Stub::playing([about_self(), about_self()]);
    let desk = stranger().with_keyring();
    let outcome = log_in(&desk, &stub);
    assert!(
        outcome
            .stderr
            .ends_with("The secret is stored in the system's keyring.\n"),
        "{outcome}"
    );
    assert_eq!(desk.keyring(), [(stub.url.clone(), CREDENTIAL.to_owned())]);
    assert!(!std::fs::read_to_string(desk.login_file()).unwrap().contains(CREDENTIAL));
    assert_eq!(desk.run_alone(&["whoami"]).code, 0);
    let outcome = desk.run_alone(&["logout"]);
    assert_eq!(outcome.code, 0);
    assert_eq!(desk.keyring(), []);
}

#[test]
fn a_keyring_that_was_asked_for_is_not_replaced_by_a_file() {
    let stub = Stub::playing([about_self()]);
    let desk = stranger();
    let outcome = desk.run(&stub, &["login", "--store", "keyring"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: cannot keep the credential in the keyring
    caused by: this machine has no keyring that is running
    ");
    assert!(!desk.login_file().exists());
}

#[test]
fn a_credential_that_is_refused_is_not_stored() {
    let stub = Stub::playing([Canned::problem(Code::InvalidCredential)]);
    let desk = stranger();
    let outcome = log_in(&desk, &stub);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: cannot log in
    caused by: The credential is not accepted. A stranger is not told why.

    hint: Check that the key is whole and still works; whoever manages it can see its state.
    hint: code `invalid_credential`, request `req-1`; see http://keyholt.test/docs/errors#invalid_credential
    hint: `keyholt doctor` tells which credential is used; `keyholt login` stores another one
    ");
    assert!(!desk.login_file().exists());
}

#[test]
fn the_secret_is_asked_for_without_showing_it() {
    let stub = Stub::playing([about_self()]);
    let desk = Desk::of_a_stranger().with_person([CREDENTIAL]);
    let outcome = desk.run(&stub, &["login"]);
    assert_eq!(outcome.code, 0);
    assert_eq!(desk.asked(), ["Paste the secret of your key (it is not shown):"]);
}

#[test]
fn walking_away_from_the_question_does_nothing() {
    let stub = Stub::playing([]);
    let outcome = Desk::of_a_stranger().with_person([]).run(&stub, &["login"]);
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (1, "error: cancelled; nothing was done\n")
    );
}

#[test]
fn a_stored_credential_goes_to_its_own_server_only() {
    let (mine, other) = (Stub::playing([about_self()]), Stub::playing([]));
    let desk = stranger();
    log_in(&desk, &mine);
    let outcome = desk.run(&other, &["whoami"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: you are not logged in to http://keyholt.test

    hint: log in with `keyholt login`, or set KEYHOLT_CREDENTIAL_FILE
    ");
}

#[test]
fn logging_out_forgets_and_logging_out_again_is_a_no() {
    let stub = Stub::playing([about_self()]);
    let desk = stranger();
    log_in(&desk, &stub);
    assert_eq!(desk.run(&stub, &["logout"]).code, 0);
    assert!(!std::fs::read_to_string(desk.login_file()).unwrap().contains(CREDENTIAL));
    let outcome = desk.run(&stub, &["logout"]);
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (1, "error: you are not logged in to http://keyholt.test\n")
    );
}

#[test]
fn a_file_that_others_may_read_is_not_used() {
    let stub = Stub::playing([about_self()]);
    let desk = stranger();
    log_in(&desk, &stub);
    std::fs::set_permissions(desk.login_file(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let outcome = desk.run_alone(&["whoami"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: others on this machine may read `~/.config/keyholt/logins.toml` (its mode is 644)

    hint: chmod 600 '~/.config/keyholt/logins.toml', and rotate the key if somebody may have read it
    ");
}

#[test]
fn the_environment_may_name_a_credential_or_a_file_but_not_both() {
    let stub = Stub::playing([about_self()]);
    let desk = Desk::of_a_stranger();
    let file = desk.file("secret", &format!("{CREDENTIAL}\n"));
    let desk = desk.with_variable("KEYHOLT_CREDENTIAL_FILE", file.to_str().unwrap());
    assert_eq!(desk.run(&stub, &["whoami"]).code, 0);
    assert_eq!(
        stub.only().header("authorization").unwrap(),
        format!("Bearer {CREDENTIAL}")
    );
    let outcome = desk
        .with_variable("KEYHOLT_CREDENTIAL", CREDENTIAL)
        .run(&stub, &["whoami"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: KEYHOLT_CREDENTIAL and KEYHOLT_CREDENTIAL_FILE are both set

    hint: keep one of them; it is not guessed which one was meant
    ");
}

#[test]
fn server_and_project_come_from_the_environment_where_no_argument_says_otherwise() {
    let page = || Canned::json(200, &json!({"roles": [], "next_cursor": null}));
    let stub = Stub::playing([page(), page()]);
    let desk = Desk::new()
        .with_variable("KEYHOLT_SERVER", &stub.url)
        .with_variable("KEYHOLT_PROJECT", "acme");
    assert_eq!(desk.run_alone(&["roles", "list"]).code, 0);
    assert_eq!(desk.run_alone(&["roles", "list", "-p", "other"]).code, 0);
    let lines: Vec<String> = stub.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines, ["GET /v1/projects/acme/roles", "GET /v1/projects/other/roles"]);
}

#[test]
fn the_set_up_makes_an_operator_shows_the_secret_once_and_logs_in() {
    let operator = json!({
        "id": "0199a3c4-0000-7c00-8000-000000000009", "external_id": "operator", "name": "Ada", "email": null,
        "roles": ["operator"], "metadata": {}, "suspended_since": null, "created_at": "2030-01-01T00:00:00Z",
        "revision": 1,
    });
    let answer = json!({"operator": operator, "key": key(), "secret": REVEALED});
    let stub = Stub::playing([Canned::json(201, &answer), about_self()]);
    let desk = Desk::of_a_stranger();
    let token = desk.file("token", "khsetup_not_a_real_token\n");
    let outcome = desk.run(&stub, &["setup", "--token", token.to_str().unwrap(), "--name", "Ada"]);
    assert_eq!(outcome.stdout, format!("{REVEALED}\n"));
    assert_snapshot!(outcome.stderr, @"
    You are the first operator of http://keyholt.test.
    user         0199a3c4-0000-7c00-8000-000000000009
    external id  operator
    name         Ada
    roles        operator
    standing     good
    created      2030-01-01T00:00:00Z
    revision     1
    This is the secret of your key; it is shown this once:
    It is stored in the file `~/.config/keyholt/logins.toml`.
    ");
    let asked = &stub.seen()[0];
    assert_eq!(asked.line, "POST /v1/setup");
    assert_eq!(asked.header("authorization"), None);
    assert_eq!(
        asked.json(),
        json!({"token": "khsetup_not_a_real_token", "name": "Ada"})
    );
    assert_eq!(desk.run_alone(&["whoami"]).code, 0);
    assert_eq!(
        stub.seen()[1].header("authorization").unwrap(),
        format!("Bearer {REVEALED}")
    );
}

#[test]
fn a_set_up_that_is_done_is_told_as_a_no() {
    let stub = Stub::playing([Canned::problem(Code::SetupComplete)]);
    let outcome = Desk::of_a_stranger()
        .with_stdin("khsetup_x")
        .run(&stub, &["setup", "--token", "-"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""));
    assert!(!outcome.stderr.contains("khsetup_x"));
}

#[test]
fn who_i_am_is_told_in_a_card() {
    let stub = Stub::playing([about_self()]);
    let outcome = Desk::new().run(&stub, &["whoami"]);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    owner    user:u_42
    project  acme
    key      0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20
    name     ci
    state    active
    expires  2030-04-01T00:00:00Z
    may      orders:read keyholt:keys:read
    --- stderr
    ");
    assert!(outcome.stdout.contains(KEY));
}
