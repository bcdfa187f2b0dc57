//! Bad input 31 to 40: requests that are HTTP, and wrong.

use super::{Case, Secrets, bearer};

const KEYS: &str = "/v1/projects/acme/keys";

/// An item, what it is, the body of a create, the status and the code.
type Row = (u8, &'static str, String, &'static [u16], &'static str);

pub(super) fn cases(secrets: &Secrets) -> Vec<Case> {
    let key = bearer(&secrets.operator);
    let send = |method: &str, path: &str, headers: &str, body: &str| {
        let length = body.len();
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\n{key}{headers}Content-Length: {length}\r\n\r\n{body}")
    };
    let json = "Content-Type: application/json\r\n";
    let mut cases = Vec::new();
    for (item, what, body, status, code) in bodies() {
        cases.push(Case::new(item, what, send("POST", KEYS, json, &body), status).code(code));
    }
    for (kind, what) in [
        ("Content-Type: text/plain\r\n", "text/plain"),
        ("", "no content type"),
        ("Content-Type: application/json; charset=utf-16\r\n", "UTF-16"),
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", "packed"),
    ] {
        let sent = send("POST", KEYS, kind, "{\"name\":\"a\"}");
        cases.push(Case::new(34, what, sent, &[415]).code("unsupported_media_type"));
    }
    cases.push(Case::new(
        35,
        "a body that nobody asked for",
        send("GET", "/v1/self", json, "not json"),
        &[200],
    ));
    for query in [
        "limit=0",
        "limit=-1",
        "limit=1000000000",
        "limit=abc",
        "limit=99999999999999999999999",
    ] {
        let sent = send("GET", &format!("{KEYS}?{query}"), "", "");
        cases.push(Case::new(36, query, sent, &[422]).code("invalid_fields"));
    }
    for query in ["cursor=AAAA", "cursor=", "cursor=..%2F..%2Fetc"] {
        let sent = send("GET", &format!("{KEYS}?{query}"), "", "");
        cases.push(Case::new(36, query, sent, &[400]).code("invalid_cursor"));
    }
    let foreign = format!("/v1/projects/acme/users?cursor={}", secrets.cursor);
    cases.push(Case::new(36, "a cursor of another list", send("GET", &foreign, "", ""), &[400]).code("invalid_cursor"));
    for (what, name) in [
        ("a name that is markup", "<script>alert(1)</script>"),
        ("a name that is a formula", "=1+1"),
        ("a name of joined pictures", "\u{1F469}\u{200D}\u{1F4BB}"),
    ] {
        let sent = send(
            "PATCH",
            &format!("{KEYS}/{}", secrets.id),
            json,
            &format!("{{\"name\":\"{name}\"}}"),
        );
        cases.push(Case::new(37, what, sent, &[200, 422]));
    }
    let sent = send("GET", &format!("{KEYS}?offset=18446744073709551616"), "", "");
    cases.push(Case::new(36, "an offset", sent, &[422]).code("unknown_parameter"));
    let long = format!("{json}Idempotency-Key: {}\r\n", "x".repeat(10_000));
    cases.push(Case::new(
        39,
        "a request key of 10 kB",
        send("POST", KEYS, &long, "{\"name\":\"a\"}"),
        &[400],
    ));
    for (method, path) in [
        ("DELETE", "/v1/self"),
        ("TRACE", "/v1/self"),
        ("OPTIONS", "/v1/self"),
        ("PUT", KEYS),
    ] {
        cases.push(Case::new(40, method, send(method, path, "", ""), &[405]).code("method_not_allowed"));
    }
    let disguised = send("GET", "/v1/self", "X-HTTP-Method-Override: DELETE\r\n", "");
    cases.push(Case::new(40, "a method in disguise is ignored", disguised, &[200]));
    let stale = send(
        "PATCH",
        &format!("{KEYS}/00000000-0000-7000-8000-000000000009"),
        &format!("{json}If-Match: \"7\"\r\n"),
        "{\"name\":\"a\"}",
    );
    let elsewhere = format!("{KEYS}/{}", secrets.id);
    let sent = send(
        "PATCH",
        &elsewhere,
        &format!("{json}If-Match: \"9999\"\r\n"),
        "{\"name\":\"a\"}",
    );
    cases.push(Case::new(40, "a stale revision", sent, &[412]));
    cases.push(Case::new(40, "a stale revision of nothing", stale, &[404, 412]));
    cases
}

fn bodies() -> Vec<Row> {
    let deep = format!("{{\"name\":{}", "[".repeat(60_000));
    let long = format!("{{\"name\":\"a\",\"tags\":[{}\"a\"]}}", "\"a\",".repeat(10_000));
    let with = |member: &str| format!("{{\"name\":\"a\",{member}}}");
    let named = |name: &str| format!("{{\"name\":{name}}}");
    let (bad, unprocessable): (&[u16], &[u16]) = (&[400], &[422]);
    let mut rows: Vec<Row> = vec![
        (
            31,
            "a member twice",
            "{\"name\":\"a\",\"name\":\"b\"}".to_owned(),
            bad,
            "duplicate_member",
        ),
        (
            31,
            "a member twice, escaped",
            "{\"name\":\"a\",\"n\\u0061me\":\"b\"}".to_owned(),
            bad,
            "duplicate_member",
        ),
        (
            32,
            "an unknown member",
            with("\"user_id\":\"victim\""),
            unprocessable,
            "unknown_member",
        ),
        (
            32,
            "__proto__",
            with("\"__proto__\":{}"),
            unprocessable,
            "unknown_member",
        ),
        (
            32,
            "the server's own member",
            with("\"created_by\":\"x\""),
            unprocessable,
            "unknown_member",
        ),
        (33, "bottomless", deep, bad, "too_deep"),
        (33, "a long list", long, bad, "too_deep"),
        (
            33,
            "the largest number is one",
            with("\"metadata\":{\"x\":1e308}"),
            // It is a number: what is missing is an owner.
            &[404],
            "not_found",
        ),
        (
            33,
            "a number beyond numbers",
            with("\"metadata\":{\"x\":1e400}"),
            bad,
            "malformed_json",
        ),
        (33, "NaN", with("\"metadata\":{\"x\":NaN}"), bad, "malformed_json"),
        (33, "half a character", named("\"\\ud800\""), bad, "malformed_json"),
        (
            33,
            "a byte order mark",
            "\u{FEFF}{\"name\":\"a\"}".to_owned(),
            bad,
            "malformed_json",
        ),
        (35, "nothing", String::new(), bad, "malformed_json"),
        (35, "a list", "[{\"name\":\"a\"}]".to_owned(), bad, "malformed_json"),
        (
            35,
            "something after it",
            "{\"name\":\"a\"}{}".to_owned(),
            bad,
            "malformed_json",
        ),
        (37, "an empty name", named("\"\""), unprocessable, "invalid_fields"),
        (
            37,
            "a name of spaces",
            named("\"   \""),
            unprocessable,
            "invalid_fields",
        ),
        (
            37,
            "a name that turns the line around",
            named("\"a\u{202E}b\""),
            unprocessable,
            "invalid_fields",
        ),
        (
            37,
            "a name with a line end",
            named("\"a\\nb\""),
            unprocessable,
            "invalid_fields",
        ),
        (
            37,
            "a name with a NUL",
            named("\"a\\u0000b\""),
            unprocessable,
            "invalid_fields",
        ),
    ];
    rows.push((
        37,
        "a name of a million",
        named(&format!("\"{}\"", "x".repeat(1_000_000))),
        &[413],
        "",
    ));
    let names: [(&'static str, String); 2] = [
        ("a name of 65", "x".repeat(65)),
        ("a name of 60 000", "x".repeat(60_000)),
    ];
    rows.extend(names.map(|(what, name)| (37, what, named(&format!("\"{name}\"")), unprocessable, "invalid_fields")));
    for at in [
        "\"9999-12-31T00:00:00Z\"",
        "\"3000-01-01T00:00:00Z\"",
        "\"2030-02-30T00:00:00Z\"",
        "\"2030-01-02T24:00:00Z\"",
        "\"2030-01-02T00:00:00\"",
        "\"2030-12-31T23:59:60Z\"",
        "1893456000",
        "1893456000000",
        "\"1893456000\"",
    ] {
        rows.push((
            38,
            "an end that is none",
            with(&format!("\"expires_at\":{at}")),
            unprocessable,
            "invalid_fields",
        ));
    }
    rows.push((
        38,
        "an end in the past",
        with("\"owner\":{\"user\":\"u-0\"},\"expires_at\":\"2020-01-01T00:00:00Z\""),
        unprocessable,
        "already_expired",
    ));
    rows
}
