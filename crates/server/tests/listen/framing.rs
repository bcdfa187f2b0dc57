//! Malformed and ambiguous requests: the expected status, the end of the connection, and never a second answer.

use std::io::Write;
use std::time::Duration;

use crate::stage::{End, GENEROUS, GIVE_UP, GOOD, Raw, start};

/// What a smuggler wants answered.
const SECOND: &str = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";

struct Case {
    name: &'static str,
    sent: Vec<u8>,
    expected: &'static [u16],
}

fn case(name: &'static str, sent: impl AsRef<[u8]>, expected: &'static [u16]) -> Case {
    Case {
        name,
        sent: sent.as_ref().to_vec(),
        expected,
    }
}

fn post(headers: &str, body: &str) -> String {
    format!("POST /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n{body}")
}

fn get(headers: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n")
}

fn ambiguous_lengths() -> Vec<Case> {
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    let length = |value: &str| post(&format!("Content-Length: {value}"), "hello");
    vec![
        case(
            "length, then chunked",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked", chunked),
            &[400],
        ),
        case(
            "chunked, then length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5", chunked),
            &[400],
        ),
        case(
            "two lengths",
            post("Content-Length: 5\r\nContent-Length: 6", "hello"),
            &[400],
        ),
        case(
            "the same length twice",
            post("Content-Length: 5\r\nContent-Length: 5", "hello"),
            &[400],
        ),
        case("two lengths in one", length("5, 6"), &[400]),
        case("the same length twice in one", length("5, 5"), &[400]),
        case("length with plus", length("+5"), &[400]),
        case("negative length", length("-1"), &[400]),
        case("hexadecimal length", length("0x10"), &[400]),
        case("length of 2^64", length("18446744073709551616"), &[400]),
        case("empty length", length(""), &[400]),
        case("length with a space inside", length("5 5"), &[400]),
        case("unknown coding", post("Transfer-Encoding: xchunked", chunked), &[400]),
        case(
            "chunked is not last",
            post("Transfer-Encoding: chunked, identity", chunked),
            &[400],
        ),
        case(
            "another coding before chunked",
            post("Transfer-Encoding: gzip, chunked", chunked),
            &[501],
        ),
        case(
            "chunked twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", chunked),
            &[501],
        ),
        case(
            "vertical tab before chunked",
            post("Transfer-Encoding: \x0bchunked", chunked),
            &[400],
        ),
        case(
            "quoted chunked",
            post("Transfer-Encoding: \"chunked\"", chunked),
            &[400],
        ),
        case(
            "chunked in HTTP/1.0",
            format!("POST /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
            &[400],
        ),
    ]
}

fn broken_chunks() -> Vec<Case> {
    let chunks = |body: &str| post("Transfer-Encoding: chunked", body);
    vec![
        case(
            "chunk size overflows",
            chunks("FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"),
            &[400],
        ),
        case("chunk size is not a number", chunks("zz\r\nhello\r\n0\r\n\r\n"), &[400]),
        case("chunk size with 0x", chunks("0x5\r\nhello\r\n0\r\n\r\n"), &[400]),
        case("chunk size is negative", chunks("-5\r\nhello\r\n0\r\n\r\n"), &[400]),
        case("chunk longer than its size", chunks("3\r\nhello\r\n0\r\n\r\n"), &[400]),
        case("chunk size ends in bare LF", chunks("5\nhello\r\n0\r\n\r\n"), &[400]),
        case("chunk ends in bare LF", chunks("5\r\nhello\n0\r\n\r\n"), &[400]),
        case(
            "chunk extension of 1 MB",
            chunks(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(1 << 20))),
            &[400],
        ),
        case(
            "bare LF in a chunk extension",
            chunks("5;a\nb\r\nhello\r\n0\r\n\r\n"),
            &[400],
        ),
    ]
}

fn broken_heads() -> Vec<Case> {
    let many = (0..10_000).map(|n| format!("x{n}: y")).collect::<Vec<_>>().join("\r\n");
    let hundred_and_one = (0..101).map(|n| format!("x{n}: y")).collect::<Vec<_>>().join("\r\n");
    let mut no_newline = vec![b'a'; 10 << 20];
    no_newline[..4].copy_from_slice(b"GET ");
    vec![
        case("folded header", get("X: a\r\n b"), &[400]),
        case("space before the colon", get("X : a"), &[400]),
        case(
            "space before the first name",
            "GET /x HTTP/1.1\r\n Host: a\r\n\r\n",
            &[400],
        ),
        case("NUL in a name", get("X\0Y: a"), &[400]),
        case("NUL in a value", get("X: a\0b"), &[400]),
        case("CR in a name", get("X\rY: a"), &[400]),
        case("CR in a value", get("X: a\rb"), &[400]),
        case("no colon", get("X"), &[400]),
        case("empty name", get(": a"), &[400]),
        case("bare LF after a header", get("X: a\nY: b"), &[400]),
        case("bare LF everywhere", "GET /x HTTP/1.1\nHost: a\n\n", &[400]),
        case("bare LF before the request", format!("\n{}", get("X: a")), &[400]),
        case(
            "CRLF before the request is allowed",
            "\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            &[200],
        ),
        case(
            "1 MB header",
            get(&format!("Authorization: Bearer {}", "a".repeat(1 << 20))),
            &[431],
        ),
        case("10 000 headers", get(&many), &[431]),
        case("101 headers", get(&hundred_and_one), &[431]),
        case("10 MB without newline", no_newline, &[431]),
        case(
            "target of 9 KB",
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9 << 10)),
            &[414],
        ),
        case("HTTP/0.9", "GET /\r\n\r\n", &[400]),
        case("HTTP/2.0 in words", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", &[400]),
        case("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", &[400]),
        case(
            "the preface with something wrong in it",
            "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n",
            &[400],
        ),
        case(
            "two spaces in the request line",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            &[400],
        ),
        case(
            "TLS on the plain port",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            &[400],
        ),
        case("SSH on the HTTP port", "SSH-2.0-OpenSSH_9.9\r\n\r\n", &[400]),
    ]
}

fn hosts_and_targets() -> Vec<Case> {
    let target = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let host = |host: &str| format!("GET /x HTTP/1.1\r\n{host}\r\n");
    vec![
        case("no host", host(""), &[400]),
        case("two hosts", host("Host: a\r\nHost: b\r\n"), &[400]),
        case("the same host twice", host("Host: a\r\nHost: a\r\n"), &[400]),
        case("empty host", host("Host:\r\n"), &[400]),
        case("host with port 99999", host("Host: a:99999\r\n"), &[400]),
        case("host with login", host("Host: u@a\r\n"), &[400]),
        case("host with path", host("Host: a/b\r\n"), &[400]),
        case("host list", host("Host: a, b\r\n"), &[400]),
        case(
            "two hosts in HTTP/1.0",
            "GET /x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
            &[400],
        ),
        case("no host in HTTP/1.0 is allowed", "GET /x HTTP/1.0\r\n\r\n", &[200]),
        case("absolute target", target("http://evil/"), &[400]),
        case("absolute target with our own name", target("http://a/x"), &[400]),
        case("absolute target with https", target("https://evil/x"), &[400]),
        case("tunnel", "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n", &[400]),
        case(
            "tunnel with much behind it",
            format!(
                "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n{}",
                "x".repeat(1 << 20)
            ),
            &[400],
        ),
        case("target without slash", target("x"), &[400]),
        case("target with a space", target("/a b"), &[400]),
        case("empty target", "GET  HTTP/1.1\r\nHost: a\r\n\r\n", &[400]),
        case("NUL in the target", target("/a\0b"), &[400]),
    ]
}

#[test]
fn a_malformed_or_ambiguous_request_is_refused_and_what_follows_it_is_never_answered() {
    let handle = start(GENEROUS);
    let mut wrong = Vec::new();
    let cases = [
        ambiguous_lengths(),
        broken_chunks(),
        broken_heads(),
        hosts_and_targets(),
    ];
    for case in cases.iter().flatten() {
        let mut raw = Raw::open(handle.local_addr());
        let mut sending = raw.stream.try_clone().unwrap();
        let heard = std::thread::scope(|scope| {
            // Apart from the reading, because some cases are larger than what the system buffers.
            scope.spawn(move || {
                let _ = sending.write_all(&case.sent);
                let _ = sending.write_all(SECOND.as_bytes());
            });
            raw.hear(Duration::from_secs(5))
        });
        if heard.statuses() != case.expected || heard.end != End::Closed || heard.text.contains("/second") {
            let head: String = heard.text.chars().take(200).collect();
            wrong.push(format!(
                "{}: {:?}, {:?}, want {:?}\n{head}",
                case.name,
                heard.statuses(),
                heard.end,
                case.expected
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert_eq!(
        Raw::open(handle.local_addr()).say(GOOD).one_answer().unwrap().status,
        200
    );
}

#[test]
fn refusals_of_the_loop_are_spoken_by_the_service() {
    let handle = start(GENEROUS);
    for (sent, words) in [
        (
            post("Content-Length: 5\r\nTransfer-Encoding: chunked", ""),
            "Content-Length",
        ),
        ("GET /x HTTP/1.1\r\n\r\n".to_owned(), "Host"),
        (get("X: a\nY: b"), "CR LF"),
    ] {
        let answer = Raw::open(handle.local_addr()).say(sent).one_answer().unwrap();
        assert!(answer.body.contains(words) && answer.closes, "{answer:?}");
    }
}

#[test]
fn a_path_reaches_the_service_as_it_was_sent() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    for path in [
        "//evil",
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/a%2fb",
        "/a;x=1",
        "/v1/keys/%00",
        "/?a=/../b",
        "/%zz",
        "*",
    ] {
        let method = if path == "*" { "OPTIONS" } else { "GET" };
        raw.say(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = raw.one_answer().unwrap();
        assert_eq!(
            (answer.status, answer.body, answer.closes),
            (200, format!("{path} 0"), false)
        );
    }
}

#[test]
fn a_request_cut_into_single_bytes_is_the_same_request() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    for _ in 0..2 {
        for byte in post("Content-Length: 5", "hello").as_bytes() {
            raw.say([*byte]);
        }
        assert_eq!(raw.one_answer().unwrap().body, "/x 5");
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_an_ambiguous_one_among_them_ends_the_connection() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    raw.say(GOOD.repeat(3));
    raw.say(post("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n"));
    raw.say(SECOND);
    let heard = raw.hear(GIVE_UP);
    assert_eq!(heard.end, End::Closed);
    assert_eq!(heard.statuses()[..3], [200, 200, 200]);
    // Read ahead with the others, it may be answered by its chunks alone, as RFC 9112 §6.1 allows; then it is the last.
    assert!(matches!(heard.statuses()[3..], [200 | 400]), "{:?}", heard.statuses());
    assert!(!heard.text.contains("/second"), "{}", heard.text);
}

#[test]
fn a_client_that_is_still_sending_hears_why_it_is_refused() {
    let handle = start(GENEROUS);
    for headers in ["Content-Length: 4000000", "Transfer-Encoding: chunked"] {
        let mut raw = Raw::open(handle.local_addr());
        raw.say(format!("POST /unread HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n"));
        // All of it can be sent: a connection closed with bytes unread would break this off, and the answer with it.
        let body = format!("3D0900\r\n{}", "x".repeat(4_000_000));
        raw.stream.write_all(body.as_bytes()).expect("somebody reads");
        let heard = raw.hear(GIVE_UP);
        assert_eq!((heard.statuses(), heard.end), (vec![413], End::Closed));
        assert!(heard.text.contains("connection: close"), "{}", heard.text);
    }
}

#[test]
fn a_short_body_nobody_read_does_not_cost_the_connection() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    raw.say("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(raw.one_answer().unwrap().status, 413);
    assert_eq!(raw.say(GOOD).one_answer().unwrap().body, "/good 0");
}

#[test]
fn a_client_that_waits_for_100_continue_gets_it_only_when_its_body_is_wanted() {
    let handle = start(GENEROUS);
    let ask =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    let mut raw = Raw::open(handle.local_addr());
    raw.say(ask("/x"));
    assert_eq!(raw.one_answer().unwrap().status, 100);
    assert_eq!(raw.say("hello").one_answer().unwrap().body, "/x 5");
    let mut raw = Raw::open(handle.local_addr());
    raw.say(ask("/unread"));
    assert_eq!(raw.one_answer().unwrap().status, 413);
}
