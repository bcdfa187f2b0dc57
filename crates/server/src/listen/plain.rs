//! Requests that are beyond doubt: a `POST` to a known target, all there, framed in the one way that nobody reads otherwise.

use httparse::{EMPTY_HEADER, Header, Status};

use super::head;

/// Most headers of a plain request; one with more is not plain.
const HEADERS_MAX: usize = 32;
/// Most bytes of a plain request, head and body.
pub(super) const REQUEST_BYTES_MAX: usize = 64 << 10;
/// Most digits of a body's length.
const LENGTH_DIGITS_MAX: usize = 7;

/// A request that is all there and beyond doubt.
#[derive(Debug)]
pub struct Plain<'a> {
    /// Path and query, as they were sent: one of the service's plain targets.
    pub target: &'static str,
    /// The body.
    pub body: &'a [u8],
    headers: &'a [Header<'a>],
}

impl<'a> Plain<'a> {
    /// The headers as they were sent; those of the framing have been judged.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.headers.iter().map(|header| (header.name, header.value))
    }
}

/// What the first bytes that came are.
pub(super) enum Found<R> {
    /// A plain request of so many bytes, and what was made of it.
    Whole(usize, R),
    /// The beginning of one, that ends there.
    Part(Part),
    /// Something else, or not beyond doubt.
    Other,
}

/// What is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Head,
    Body,
}

/// Looks for a plain request at the beginning of `bytes`, and hands it to `with`, together with what `ahead` made of the same
/// body before the head was judged.
///
/// SECURITY: whatever any two parsers might read differently is [`Found::Other`], and hyper and the checks around it get
/// the same bytes from the first one on. So all rules about refusals are there, and here is none.
pub(super) fn find<'a, A: Default, R>(
    bytes: &'a [u8],
    targets: &[&'static str],
    header_bytes: usize,
    ahead: impl FnOnce(&'static str, &'a [u8]) -> A,
    with: impl FnOnce(&Plain<'_>, A) -> R,
) -> Found<R> {
    let Some((target, line)) = request_line(bytes, targets) else {
        let may_become_one = bytes.len() < REQUEST_LINE_MAX && targets.iter().any(|target| begins(bytes, target));
        return if may_become_one {
            Found::Part(Part::Head)
        } else {
            Found::Other
        };
    };
    let after_line = bytes.get(line..).unwrap_or_default();
    let end = end_of_lines(after_line);
    let likely_body = end.and_then(|end| after_line.get(end..));
    let ahead = likely_body.map(|body| ahead(target, body));
    let mut room = [EMPTY_HEADER; HEADERS_MAX];
    let (head, headers) = match httparse::parse_headers(after_line, &mut room) {
        Ok(Status::Complete((length, headers))) if line + length <= header_bytes && end == Some(length) => {
            (line + length, headers)
        }
        Ok(Status::Partial) if bytes.len() < header_bytes.min(REQUEST_BYTES_MAX) => return Found::Part(Part::Head),
        Ok(_) | Err(_) => return Found::Other,
    };
    let (head, after) = bytes.split_at(head);
    let Some(length) = body_length(headers) else {
        return Found::Other;
    };
    match after.get(..length) {
        None if head.len() + length <= REQUEST_BYTES_MAX => Found::Part(Part::Body),
        None => Found::Other,
        Some(body) => {
            let plain = Plain { target, body, headers };
            let ahead = ahead.filter(|_| after.len() == length).unwrap_or_default();
            Found::Whole(head.len() + length, with(&plain, ahead))
        }
    }
}

const METHOD: &[u8] = b"POST ";
const VERSION: &[u8] = b" HTTP/1.1\r\n";
/// Beyond this length nothing is taken for the beginning of a plain request's first line.
const REQUEST_LINE_MAX: usize = 128;

/// The target of the first line, and where the line ends.
fn request_line(bytes: &[u8], targets: &[&'static str]) -> Option<(&'static str, usize)> {
    let rest = bytes.strip_prefix(METHOD)?;
    targets.iter().find_map(|target| {
        let rest = rest.strip_prefix(target.as_bytes())?;
        rest.starts_with(VERSION)
            .then_some((*target, METHOD.len() + target.len() + VERSION.len()))
    })
}

/// Whether this is the beginning of a first line with that target.
fn begins(bytes: &[u8], target: &str) -> bool {
    let line = METHOD.iter().chain(target.as_bytes()).chain(VERSION);
    bytes.iter().zip(line).all(|(byte, expected)| byte == expected)
}

/// Where the first empty line ends, if it and every line before it end in CR LF; the parser would let a bare LF pass.
fn end_of_lines(lines: &[u8]) -> Option<usize> {
    let mut begin = 0;
    for feed in memchr::memchr_iter(b'\n', lines) {
        match lines.get(begin..feed)? {
            [b'\r'] => return Some(feed + 1),
            [.., b'\r'] => begin = feed + 1,
            _ => return None,
        }
    }
    None
}

/// The length of the body, if these headers frame it in the plain way: one `Host`, one `Content-Length` of digits, and
/// nothing that changes what comes next on the connection.
fn body_length(headers: &[Header<'_>]) -> Option<usize> {
    let (mut host, mut length) = (None, None);
    for header in headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let fits = match header.name.len() {
            2 => !is("te"),
            4 if is("host") => host.replace(()).is_none() && head::is_host(header.value),
            6 => !is("expect"),
            7 => !is("upgrade") && !is("trailer"),
            10 if is("connection") => header.value.eq_ignore_ascii_case(b"keep-alive"),
            14 if is("content-length") => length.replace(digits(header.value)?).is_none(),
            16 => !is("proxy-connection"),
            17 => !is("transfer-encoding"),
            _ => true,
        };
        if !fits {
            return None;
        }
    }
    host.and(length)
}

fn digits(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > LENGTH_DIGITS_MAX {
        return None;
    }
    text.iter().try_fold(0, |sum: usize, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + usize::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST /ask HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n";

    /// `whole 70: hello`, `Head`, `Body` or `other`.
    fn found(bytes: impl AsRef<[u8]>) -> String {
        let text = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
        let ahead = |target, body: &[u8]| format!("{target} {}", text(body));
        let with = |plain: &Plain<'_>, ahead: String| {
            let body = text(plain.body);
            assert!(
                ahead.is_empty() || ahead == format!("{} {body}", plain.target),
                "{ahead}"
            );
            body
        };
        match find(bytes.as_ref(), &["/ask", "/ask/more"], 1024, ahead, with) {
            Found::Whole(length, body) => format!("whole {length}: {body}"),
            Found::Part(part) => format!("{part:?}"),
            Found::Other => "other".to_owned(),
        }
    }

    fn with(header: &str) -> String {
        format!("{HEAD}{header}\r\nX-Any: thing\r\n\r\nhello")
    }

    #[test]
    fn a_plain_request_is_found_and_what_follows_it_is_left() {
        let request = format!("{HEAD}\r\nhello");
        let expected = format!("whole {}: hello", request.len());
        assert_eq!(found(&request), expected);
        assert_eq!(found(format!("{request}GET / HTTP/1.1\r\n")), expected);
        assert!(found(with("connection: Keep-Alive")).starts_with("whole"));
        assert!(found(request.replace("/ask", "/ask/more")).starts_with("whole"));
    }

    #[test]
    fn every_beginning_of_a_plain_request_is_waited_for() {
        let request = format!("{HEAD}\r\nhello");
        let body_at = request.len() - 5;
        for end in 1..request.len() {
            let part = if end < body_at { "Head" } else { "Body" };
            assert_eq!(found(&request[..end]), part, "{end} bytes");
        }
    }

    #[test]
    fn what_was_made_ahead_of_the_head_is_handed_on_if_it_was_made_of_the_body() {
        for (behind, handed_on) in [("", true), ("P", false), ("hello", false)] {
            let bytes = format!("{HEAD}\r\nhello{behind}");
            let ahead = |_: &str, body: &[u8]| Some(body.to_vec());
            let with = |plain: &Plain<'_>, ahead: Option<Vec<u8>>| ahead.as_deref() == Some(plain.body);
            let found = find(bytes.as_bytes(), &["/ask"], 1024, ahead, with);
            assert!(
                matches!(found, Found::Whole(_, same) if same == handed_on),
                "{behind:?}"
            );
        }
    }

    #[test]
    fn whatever_could_be_read_in_two_ways_is_left_to_others() {
        for header in [
            "Content-Length: 5",
            "content-length: 6",
            "Transfer-Encoding: chunked",
            "TE: trailers",
            "Trailer: x",
            "Host: a",
            "Expect: 100-continue",
            "Upgrade: h2c",
            "Connection: close",
            "Connection: keep-alive, upgrade",
            "Proxy-Connection: close",
            "X: y\nX: z",
            "X : y",
            "X: y\r\n folded",
            "X: \0",
            "X: y\rz",
            "no colon",
        ] {
            assert_eq!(found(with(header)), "other", "{header:?}");
        }
        for (from, to) in [
            ("POST", "post"),
            ("POST", "PUT"),
            ("POST", "\r\nPOST"),
            ("/ask", "/ask?"),
            ("/ask", "/asks"),
            ("/ask", "http://a/ask"),
            ("HTTP/1.1", "HTTP/1.0"),
            (" HTTP/1.1\r\n", " HTTP/1.1\n"),
            ("Content-Length: 5\r\n", ""),
            ("Content-Length: 5", "Content-Length: +5"),
            ("Content-Length: 5", "Content-Length: 5, 5"),
            ("Content-Length: 5", "Content-Length: 65536"),
            ("Content-Length: 5", "Content-Length: 12345678"),
            ("Content-Length: 5", "Content-Length:"),
            ("Host: a\r\n", ""),
            ("Host: a", "Host: a b"),
            ("\r\n\r\n", "\n\n"),
        ] {
            let request = format!("{HEAD}\r\nhello").replacen(from, to, 1);
            assert_eq!(found(&request), "other", "{request:?}");
        }
    }

    #[test]
    fn a_head_beyond_the_limit_is_left_to_others() {
        assert_eq!(found(with(&format!("X: {}", "y".repeat(1024)))), "other");
        assert_eq!(found(format!("{HEAD}X: {}", "y".repeat(1024))), "other");
    }
}
