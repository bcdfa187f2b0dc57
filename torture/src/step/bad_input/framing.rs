//! Bad input 21 to 30: requests whose beginning or end is unclear.

use super::{CLOSED, Case, STRANGER, Secrets, bearer, get, post};

const BAD: &[u16] = &[400];
/// A proxy that finds a head incomplete waits for its end, and says so.
const BAD_OR_LATE: &[u16] = &[400, 408, CLOSED];
/// A proxy may mend what is harmless, and then it is answered.
const BAD_OR_MENDED: &[u16] = &[400, 401, 404];

pub(super) fn cases(secrets: &Secrets) -> Vec<Case> {
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    let smuggled = "GET /v1/meta HTTP/1.1\r\nHost: a\r\n\r\n";
    let raw = |headers: &str, body: &str| format!("POST /v1/verify HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}");
    let mut cases = vec![
        // A proxy drops the length, as RFC 9112 allows, and the body is refused for what it is.
        Case::new(
            21,
            "a length, then chunks",
            raw(
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                &format!("{chunks}{smuggled}"),
            ),
            BAD,
        )
        .proxied(BAD_OR_MENDED),
        Case::new(
            21,
            "chunks, then a length",
            raw("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", chunks),
            BAD,
        )
        .proxied(BAD_OR_MENDED),
        Case::new(
            22,
            "two lengths",
            raw("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"),
            BAD,
        ),
        Case::new(
            23,
            "an unknown coding",
            raw("Transfer-Encoding: xchunked\r\n", chunks),
            BAD,
        )
        .proxied(&[400, 422, 501]),
        Case::new(
            23,
            "chunked is not last",
            raw("Transfer-Encoding: chunked, identity\r\n", chunks),
            BAD,
        )
        .proxied(&[400, 422, 501]),
        Case::new(
            23,
            "a vertical tab before it",
            raw("Transfer-Encoding: \x0bchunked\r\n", chunks),
            BAD,
        )
        .proxied(&[400, 422, 501]),
        Case::new(
            24,
            "a chunk size that overflows",
            raw(
                "Transfer-Encoding: chunked\r\n",
                "FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
            ),
            &[400, 401],
        )
        .proxied(&[400, 401, CLOSED]),
        Case::new(
            24,
            "a chunk extension of a megabyte",
            raw(
                "Transfer-Encoding: chunked\r\n",
                &format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(1 << 20)),
            ),
            &[400, 401],
        )
        .proxied(&[400, 401, CLOSED]),
        Case::new(
            24,
            "no last chunk",
            raw(
                &format!(
                    "{}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n",
                    bearer(&secrets.operator)
                ),
                "5\r\nhello\r\n",
            ),
            &[400, 408, CLOSED],
        )
        .proxied(&[400, 408, 504, CLOSED]),
        Case::new(24, "a bare line feed", "GET /v1/meta HTTP/1.1\nHost: a\n\n", BAD).proxied(&[200, 400]),
        Case::new(25, "a folded header", get("/v1/meta", "X: a\r\n b\r\n"), BAD).proxied(&[200, 400]),
        Case::new(25, "a space before the colon", get("/v1/meta", "X : a\r\n"), BAD),
        Case::new(25, "a NUL in a name", get("/v1/meta", "X\0Y: a\r\n"), BAD),
        Case::new(25, "a carriage return in a name", get("/v1/meta", "X\rY: a\r\n"), BAD),
        Case::new(27, "no host", "GET /v1/meta HTTP/1.1\r\n\r\n", BAD).proxied(&[400]),
        Case::new(
            27,
            "two hosts",
            "GET /v1/meta HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            BAD,
        ),
        Case::new(
            27,
            "a port beyond ports",
            "GET /v1/meta HTTP/1.1\r\nHost: a:99999\r\n\r\n",
            BAD,
        ),
        Case::new(
            27,
            "somebody else's host is repeated nowhere",
            format!("GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: {STRANGER}\r\n\r\n"),
            &[200],
        ),
        Case::new(28, "HTTP/0.9", "GET /v1/meta\r\n\r\n", BAD).proxied(BAD_OR_LATE),
        Case::new(28, "HTTP/2.0 in words", "GET /v1/meta HTTP/2.0\r\nHost: a\r\n\r\n", BAD)
            // A proxy speaks the version that it knows.
            .proxied(&[200, 400]),
        Case::new(
            28,
            "TLS on the plain port",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            BAD,
        )
        .proxied(BAD_OR_LATE),
        Case::new(28, "no newline in 100 kB", "a".repeat(100_000), &[400, 431]).proxied(BAD_OR_LATE),
        Case::new(
            30,
            "a head that does not end",
            "GET /v1/meta HTTP/1.1\r\nHost:",
            &[408, CLOSED],
        )
        .proxied(&[408, CLOSED]),
        Case::new(30, "a connection on which nothing is said", "", &[CLOSED]).proxied(&[408, CLOSED]),
    ];
    for length in ["5, 6", "+5", "-1", "0x10", "18446744073709551616", "", "5 5"] {
        let sent = raw(&format!("Content-Length: {length}\r\n"), "hello");
        cases.push(Case::new(22, format!("a length of `{length}`"), sent, BAD));
    }
    let targets: [(&str, &[u16]); 9] = [
        ("http://evil/", &[400]),
        ("//evil", &[400, 404]),
        ("/v1/../v1/self", &[400, 404]),
        ("/v1/%2e%2e/self", &[400, 404]),
        ("/v1%2fself", &[400, 404]),
        ("/v1/self;x=", &[400, 404]),
        ("/v1/self/", &[404]),
        ("/v1/projects/acme/keys/%00", &[400, 404]),
        ("/V1/SELF", &[404]),
    ];
    for (target, expected) in targets {
        let sent = get(target, &bearer(&secrets.operator));
        // A proxy takes an absolute target apart, and what is left is answered as a path.
        let case = Case::new(26, target, sent, expected);
        cases.push(if target.starts_with("http") {
            case.proxied(&[400, 404])
        } else {
            case
        });
    }
    let json = "Content-Type: application/json\r\n";
    let upgrade = format!(
        "{}{json}Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        bearer(&secrets.operator)
    );
    cases.push(Case::new(
        29,
        "an upgrade to h2c is not taken",
        post("/v1/projects/acme/verify", &upgrade, "{\"credential\":\"x\"}"),
        &[200],
    ));
    cases
}
