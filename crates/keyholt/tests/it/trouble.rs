//! Outages, refusals and repetitions: what is asked again, what is not, and how it is told.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use insta::assert_snapshot;
use keyholt_api::code::Code;
use serde_json::json;

use crate::desk::{CREDENTIAL, Desk, KEY, REVEALED, about_self, key};
use crate::stub::{Canned, Stub};

#[test]
fn a_refusal_tells_what_why_and_what_to_do() {
    let stub = Stub::playing([Canned::problem(Code::NotFound)]);
    let outcome = Desk::new().run(&stub, &["keys", "show", KEY]);
    assert_snapshot!(outcome, @"
    exit: 1
    --- stdout
    --- stderr
    error: cannot show key `0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20`
    caused by: There is no such thing in the reach of the caller's key. Another project's things look exactly like this.

    hint: Check the id or handle, and that the key belongs to the right project.
    hint: code `not_found`, request `req-1`; see http://keyholt.test/docs/errors#not_found
    ");
}

#[test]
fn an_answer_of_somebody_else_is_trouble_and_is_not_repeated() {
    let stub = Stub::playing([Canned::text(404, "text/html", "<h1>no such host</h1>")]);
    let outcome = Desk::new().run(&stub, &["keys", "show", KEY]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: cannot show key `0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20`
    caused by: http://keyholt.test answered `404 Not Found`, and not in Keyholt's words

    hint: is that the address of Keyholt? A proxy in between may have answered
    ");
}

#[test]
fn an_answer_that_cannot_be_understood_is_not_quoted() {
    let stub = Stub::playing([Canned::json(201, &json!({"key": 7, "secret": REVEALED}))]);
    let outcome = Desk::new().run(&stub, &["keys", "create", "--name", "ci"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: cannot create key `ci`
    caused by: the answer of http://keyholt.test cannot be understood (line 1, column 8)

    hint: `keyholt doctor` compares the versions of this program and the server
    ");
    assert!(!outcome.stderr.contains(REVEALED));
}

/// A server that hangs up on the first request and answers the second; it tells how often it was asked.
fn hangs_up_once(answer: &'static str) -> (String, JoinHandle<u32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        drop(read_head(listener.accept().unwrap().0));
        let mut second = read_head(listener.accept().unwrap().0);
        write!(
            second,
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
            answer.len()
        )
        .unwrap();
        2
    });
    (url, server)
}

fn read_head(stream: TcpStream) -> TcpStream {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    reader.into_inner()
}

#[test]
fn a_read_is_repeated_when_the_connection_breaks_and_nothing_else_is() {
    let (url, server) = hangs_up_once(r#"{"valid":true,"code":"valid"}"#);
    let outcome = Desk::new().run_alone(&["keys", "validity", KEY, "--server", &url]);
    assert_eq!((outcome.code, server.join().unwrap()), (0, 2), "{outcome}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        drop(read_head(listener.accept().unwrap().0));
        listener.set_nonblocking(true).unwrap();
        listener
    });
    let outcome = Desk::new().run_alone(&["keys", "suspend", KEY, "--server", &url]);
    assert_eq!(outcome.code, 2);
    assert!(
        outcome.stderr.contains("hint: it is not known whether it was done"),
        "{outcome}"
    );
    let again = server.join().unwrap().accept();
    assert!(again.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
}

#[test]
fn an_answer_that_breaks_off_is_trouble() {
    let stub = Stub::playing([Canned::json(200, &key()).broken_off()]);
    let outcome = Desk::new().run(&stub, &["keys", "show", KEY]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome}");
}

#[test]
fn a_server_that_asks_to_wait_is_asked_once_more() {
    let busy = || Canned::problem(Code::CannotKnow).with("retry-after", "0");
    let stub = Stub::playing([busy(), about_self()]);
    assert_eq!(Desk::new().run(&stub, &["whoami"]).code, 0);
    let stub = Stub::playing([busy(), busy()]);
    let outcome = Desk::new().run(&stub, &["whoami"]);
    assert_eq!(outcome.code, 2);
    assert_snapshot!(outcome.stderr, @"
    error: cannot tell who you are
    caused by: This node's view of the keys is too old to answer truthfully, so it gives no answer.

    hint: Ask again after `Retry-After`, or ask another node.
    hint: code `cannot_know`, request `req-1`; see http://keyholt.test/docs/errors#cannot_know
    ");
}

#[test]
fn what_may_have_happened_is_not_done_again_without_being_recognised() {
    let unsure = || Canned::problem(Code::OutcomeUnknown).with("retry-after", "0");
    let stub = Stub::playing([unsure()]);
    let outcome = Desk::new().run(&stub, &["keys", "rotate", KEY]);
    assert_eq!((outcome.code, stub.seen().len()), (2, 1));

    let stub = Stub::playing([unsure(), Canned::json(201, &json!({"key": key(), "secret": REVEALED}))]);
    let outcome = Desk::new().run(&stub, &["keys", "create", "--name", "ci"]);
    assert_eq!(outcome.code, 0);
    let seen = stub.seen();
    assert_eq!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
    assert_eq!(seen[0].body, seen[1].body);
}

#[test]
fn a_request_that_was_turned_away_may_be_anything() {
    let stub = Stub::playing([
        Canned::problem(Code::TooManyRequests).with("retry-after", "0"),
        Canned::json(200, &key()),
    ]);
    let outcome = Desk::new().run(&stub, &["keys", "suspend", KEY]);
    assert_eq!((outcome.code, stub.seen().len()), (0, 2));
}

#[test]
fn a_server_that_asks_for_an_hour_is_not_waited_for() {
    let stub = Stub::playing([Canned::problem(Code::TooManyRequests).with("retry-after", "3600")]);
    assert_eq!(Desk::new().run(&stub, &["whoami"]).code, 2);
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Stub::playing([]);
    let stub = Stub::playing([Canned::text(307, "text/plain", "").with("location", &elsewhere.url)]);
    let outcome = Desk::new().run(&stub, &["whoami"]);
    assert_eq!(outcome.code, 2);
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let outcome = Desk::new().run_alone(&["whoami", "--server", &url, "--timeout", "50ms"]);
    assert_eq!(outcome.code, 2);
    assert_snapshot!(outcome.stderr.replace(&url, "http://keyholt.test"), @"
    error: cannot tell who you are
    caused by: no answer from http://keyholt.test within 0.05 s

    hint: `--timeout` gives the server more time
    ");
    let outcome = Desk::new().run_alone(&["keys", "suspend", KEY, "--server", &url, "--timeout", "50ms"]);
    assert!(
        outcome.stderr.contains("hint: it is not known whether it was done"),
        "{outcome}"
    );
}

#[test]
fn a_credential_is_not_sent_in_the_clear_over_a_network() {
    let outcome = Desk::new().run_alone(&["whoami", "--server", "http://keys.example.com"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: cannot use the server's address
    caused by: with plain HTTP anybody on the way could read the credential
    caused by: the address is from --server

    hint: use the server's `https` address; `--plain-http` allows it all the same
    ");
}

#[test]
fn a_stranger_is_told_how_to_log_in() {
    let outcome = Desk::of_a_stranger().run_alone(&["keys", "list"]);
    assert_snapshot!(outcome, @"
    exit: 2
    --- stdout
    --- stderr
    error: you are not logged in to http://127.0.0.1:7311

    hint: log in with `keyholt login`, or set KEYHOLT_CREDENTIAL_FILE
    ");
}

#[test]
fn a_credential_with_a_line_end_in_it_is_not_shown() {
    let desk = Desk::of_a_stranger().with_variable("KEYHOLT_CREDENTIAL", &format!("{CREDENTIAL}\nX-Evil: 1"));
    let outcome = desk.run_alone(&["whoami"]);
    assert_eq!(outcome.code, 2);
    assert!(
        !outcome.stderr.contains(CREDENTIAL) && !outcome.stderr.contains("Evil"),
        "{}",
        outcome.stderr.len()
    );
}
