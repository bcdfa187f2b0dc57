//! Logging in as a person: the password, the stored log-in and its renewal, and the sessions.

use insta::assert_snapshot;
use keyholt_api::code::Code;
use serde_json::{Value, json};

use crate::desk::{Desk, PASSWORD, about_self};
use crate::stub::{Canned, Stub};

const SESSION: &str = "0199a3c4-7b1e-7c00-8000-6f9d2f3f1a77";

fn session() -> Value {
    json!({
        "id": SESSION, "owner": {"kind": "user", "id": "0199a3c4-0000-7c00-8000-000000000009", "handle": "ada"},
        "name": "command line", "mode": "tokens", "scopes": "everything", "current": true,
        "created_at": "2030-01-01T00:00:00Z", "expires_at": "2030-01-08T00:00:00Z", "last_used_at": null,
    })
}

/// Tokens that work for so many seconds.
fn tokens(number: u32, seconds: u32) -> Canned {
    let body = json!({
        "session": session(), "refresh_token": format!("refresh-{number}"), "access_token": format!("access-{number}"),
        "token_type": "Bearer", "expires_in": seconds,
    });
    Canned::json(201, &body)
}

fn ada() -> Desk {
    Desk::of_a_stranger().with_stdin(&format!("{PASSWORD}\n"))
}

const LOG_IN: [&str; 7] = ["login", "--user", "ada", "--password", "-", "-p", "acme"];

#[test]
fn a_person_logs_in_with_a_password_and_is_sent_with_the_access_token() {
    let stub = Stub::playing([tokens(1, 300), about_self()]);
    let desk = ada();
    let outcome = desk.run(&stub, &LOG_IN);
    assert_snapshot!(outcome, @"
    exit: 0
    --- stdout
    --- stderr
    Logged in to http://keyholt.test as user:ada.
    The log-in is stored in the file `~/.config/keyholt/logins.toml`.
    ");
    let asked = &stub.seen()[0];
    assert_eq!(
        (asked.line.as_str(), asked.header("authorization")),
        ("POST /v1/projects/acme/sessions", None)
    );
    assert_eq!(
        asked.json(),
        json!({"login": "ada", "password": PASSWORD, "name": "command line"})
    );
    assert_eq!(desk.run_alone(&["whoami"]).code, 0);
    assert_eq!(stub.seen()[1].header("authorization"), Some("Bearer access-1"));
    assert!(!std::fs::read_to_string(desk.login_file()).unwrap().contains(PASSWORD));
}

#[test]
fn without_a_project_an_operator_logs_in_and_may_say_for_what() {
    let stub = Stub::playing([tokens(1, 300)]);
    let words = [
        "login",
        "--user",
        "olga",
        "--scope",
        "keyholt:keys:read",
        "--scope",
        "keyholt:audit:read",
    ];
    let desk = Desk::of_a_stranger().with_person([PASSWORD]);
    assert_eq!(desk.run(&stub, &words).code, 0);
    assert_eq!(desk.asked(), ["Your password (it is not shown):"]);
    let asked = stub.only();
    assert_eq!(asked.line, "POST /v1/projects/keyholt/sessions");
    assert_eq!(
        asked.json()["scopes"],
        json!(["keyholt:keys:read", "keyholt:audit:read"])
    );
}

#[test]
fn a_log_in_at_its_end_is_renewed_before_the_command_is_sent() {
    for desk in [ada(), ada().with_keyring()] {
        let stub = Stub::playing([tokens(1, 20), tokens(2, 300), about_self(), about_self()]);
        assert_eq!(desk.run(&stub, &LOG_IN).code, 0);
        assert_eq!(desk.run_alone(&["whoami"]).code, 0);
        assert_eq!(desk.run_alone(&["whoami"]).code, 0);
        let seen = stub.seen();
        let lines: Vec<&str> = seen.iter().map(|seen| seen.line.as_str()).collect();
        assert_eq!(
            lines,
            [
                "POST /v1/projects/acme/sessions",
                "POST /v1/sessions/refresh",
                "GET /v1/self",
                "GET /v1/self"
            ]
        );
        assert_eq!(seen[1].json(), json!({"refresh_token": "refresh-1"}));
        assert_eq!(seen[1].header("authorization"), None);
        assert_eq!(seen[2].header("authorization"), Some("Bearer access-2"));
    }
}

#[test]
fn a_log_in_that_is_over_is_told() {
    let stub = Stub::playing([tokens(1, 0), Canned::problem(Code::SessionOver)]);
    let desk = ada();
    desk.run(&stub, &LOG_IN);
    let outcome = desk.run(&stub, &["whoami"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""));
    assert!(
        outcome.stderr.starts_with("error: cannot renew your log-in\n"),
        "{outcome}"
    );
    assert!(outcome.stderr.contains("hint: Log in again.\n"), "{outcome}");
}

#[test]
fn logging_out_ends_the_session() {
    let stub = Stub::playing([tokens(1, 300), Canned::nothing()]);
    let desk = ada();
    desk.run(&stub, &LOG_IN);
    assert_eq!(desk.run(&stub, &["logout"]).code, 0);
    let told = &stub.seen()[1];
    assert_eq!(told.line, "POST /v1/sessions/log-out");
    assert_eq!(told.json(), json!({"refresh_token": "refresh-1"}));
    assert!(
        !std::fs::read_to_string(desk.login_file())
            .unwrap()
            .contains("refresh-1")
    );
}

#[test]
fn a_session_that_cannot_be_ended_is_forgotten_all_the_same() {
    let stub = Stub::playing([tokens(1, 300), Canned::problem(Code::StoreUnavailable)]);
    let desk = ada();
    desk.run(&stub, &LOG_IN);
    let outcome = desk.run(&stub, &["logout"]);
    assert_eq!(outcome.code, 0);
    assert!(outcome.stderr.contains("warning: the server was not told"), "{outcome}");
    assert_eq!(desk.run(&stub, &["logout"]).code, 1);
}

#[test]
fn sessions_are_listed() {
    let stub = Stub::playing([Canned::json(200, &json!({"sessions": [session()]}))]);
    let outcome = Desk::new().run(&stub, &["sessions", "list", "--user", "ada", "-p", "acme"]);
    assert_eq!(stub.only().line, "GET /v1/projects/acme/users/ada/sessions");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    for word in [SESSION, "command line", "2030-01-08T00:00:00Z", "yes"] {
        assert!(outcome.stdout.contains(word), "{outcome}");
    }
}

#[test]
fn one_session_is_ended_or_all_of_them() {
    let stub = Stub::playing([Canned::nothing(), Canned::json(200, &json!({"ended": 3}))]);
    let desk = Desk::new();
    let outcome = desk.run(&stub, &["sessions", "end", SESSION, "--cause", "lost"]);
    assert_eq!(outcome.stderr, format!("Ended session `{SESSION}`.\n"));
    let outcome = desk.run(&stub, &["sessions", "end", "--all", "--user", "ada", "--yes"]);
    assert_eq!(outcome.stderr, "Ended 3 sessions.\n");
    let lines: Vec<String> = stub.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(
        lines,
        [
            format!("DELETE /v1/self/sessions/{SESSION}?cause=lost"),
            "DELETE /v1/projects/self/users/ada/sessions".to_owned()
        ]
    );
}

#[test]
fn all_sessions_are_not_ended_by_a_slip() {
    let stub = Stub::playing([]);
    let outcome = Desk::new().run(&stub, &["sessions", "end", "--all"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("this must be confirmed"), "{outcome}");
    assert_eq!(Desk::new().run(&stub, &["sessions", "end"]).code, 2);
}

#[test]
fn a_user_is_given_a_password_that_is_typed_twice() {
    let stub = Stub::playing([Canned::nothing(), Canned::nothing()]);
    let desk = Desk::new().with_person([PASSWORD, PASSWORD]);
    let outcome = desk.run(&stub, &["users", "set-password", "u_42"]);
    assert_eq!(
        outcome.stderr,
        "User `u_42` has the new password, and is logged out everywhere.\n"
    );
    assert_eq!(desk.asked(), ["The new password (it is not shown):", "Once more:"]);
    let piped = Desk::new().with_stdin(PASSWORD);
    assert_eq!(
        piped
            .run(&stub, &["users", "set-password", "u_42", "--password", "-"])
            .code,
        0
    );
    for seen in stub.seen() {
        assert_eq!(seen.line, "PUT /v1/projects/self/users/u_42/password");
        assert_eq!(seen.json(), json!({"password": PASSWORD}));
    }
    let slip = Desk::new().with_person([PASSWORD, "another one"]);
    let outcome = slip.run(&stub, &["users", "set-password", "u_42"]);
    assert_eq!(
        (outcome.code, outcome.stderr.as_str()),
        (1, "error: the two passwords differ; nothing was done\n")
    );
}
