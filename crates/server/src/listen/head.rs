//! What a request's head must be beyond what the parser demands: one meaning to us and to every proxy on the way.

use std::cell::Cell;

use http::header::{HOST, TRANSFER_ENCODING};
use http::{Method, Request, StatusCode, Version};

/// Why a request is answered before the service sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A line of the head ends in a bare line feed, which some proxies take for part of the line.
    #[error("a header line does not end in CR LF")]
    BareLineFeed,
    /// The body's length is given more than once or in more than one way.
    #[error("Content-Length is repeated, or given together with Transfer-Encoding")]
    AmbiguousLength,
    /// A transfer coding other than exactly `chunked`.
    #[error("the only transfer coding supported is chunked")]
    TransferCoding,
    /// `Host` is missing, repeated, malformed or contradicts `:authority`.
    #[error("exactly one valid Host is needed")]
    Host,
    /// The request target is not a path.
    #[error("the request target must be a path")]
    Target,
    /// Path and query are longer than the limit.
    #[error("the request target is too long")]
    TargetTooLong,
    /// The service panicked while answering.
    #[error("internal error")]
    Panicked,
}

impl Refusal {
    /// The status that goes with it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BareLineFeed | Self::AmbiguousLength | Self::Host | Self::Target => StatusCode::BAD_REQUEST,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Checks what the parser leaves open.
///
/// hyper refuses by itself (400, 431): repeated different or malformed `Content-Length`, a transfer coding that does
/// not end in `chunked`, any in HTTP/1.0, folded lines, a space before the colon, control characters, too large heads.
pub(super) fn check<B>(request: &Request<B>, uri_bytes: usize) -> Option<Refusal> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if target.len() > uri_bytes {
        return Some(Refusal::TargetTooLong);
    }
    let headers = request.headers();
    let mut hosts = headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() || host.is_some_and(|host| !is_host(host.as_bytes())) {
        return Some(Refusal::Host);
    }
    if request.method() == Method::CONNECT {
        return Some(Refusal::Target);
    }
    if request.version() == Version::HTTP_2 {
        return match (uri.authority(), host) {
            (Some(authority), _) if !is_host(authority.as_str().as_bytes()) => Some(Refusal::Host),
            (Some(authority), Some(host)) if authority.as_str().as_bytes() != host.as_bytes() => Some(Refusal::Host),
            (None, None) => Some(Refusal::Host),
            _ => None,
        };
    }
    // An absolute target (`GET http://elsewhere/ HTTP/1.1`) is for proxies. It would override `Host`, so that two
    // names for one request exist; nobody sends it to an origin server, and refusing it is simpler than being right.
    if uri.authority().is_some() || uri.scheme().is_some() {
        return Some(Refusal::Target);
    }
    if host.is_none() && request.version() == Version::HTTP_11 {
        return Some(Refusal::Host);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next()
        && (codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Some(Refusal::TransferCoding);
    }
    None
}

/// A name or address with an optional port, by its characters; whether it is *ours* is for whoever makes links.
pub(super) fn is_host(text: &[u8]) -> bool {
    let (name, port) = if text.first() == Some(&b'[') {
        let Some(end) = text.iter().position(|byte| *byte == b']') else {
            return false;
        };
        let (address, rest) = text.split_at(end + 1);
        let inside = &address[1..end];
        let valid = inside.contains(&b':')
            && inside
                .iter()
                .all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'));
        match (valid, rest) {
            (false, _) => return false,
            (true, []) => return true,
            (true, [b':', port @ ..]) => (address, port),
            (true, _) => return false,
        }
    } else {
        match text.iter().position(|byte| *byte == b':') {
            Some(colon) => (&text[..colon], &text[colon + 1..]),
            None => (text, &b"80"[..]),
        }
    };
    let name_is_valid = name.first() == Some(&b'[')
        || (!name.is_empty()
            && name
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')));
    name_is_valid
        && !port.is_empty()
        && port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0')) <= u32::from(u16::MAX)
}

/// What a head looked like on the wire and no longer does after parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blemish {
    BareLineFeed,
    AmbiguousLength,
}

impl From<Blemish> for Refusal {
    fn from(blemish: Blemish) -> Self {
        match blemish {
            Blemish::BareLineFeed => Self::BareLineFeed,
            Blemish::AmbiguousLength => Self::AmbiguousLength,
        }
    }
}

/// Looks at the lines of a head as they come from the socket.
///
/// hyper's parser takes a bare LF for the end of a line, drops `Content-Length` when there is a `Transfer-Encoding`
/// (answering, then closing) and merges equal `Content-Length`s. All are allowed by RFC 9112 and none lets a second
/// request through, but a request that two parsers may read differently deserves 400, and after parsing it looks
/// like any other.
///
/// Only what arrives while no request is in flight is looked at. The head of a request that was pipelined behind
/// another (no client of ours does that) is read ahead by hyper and gets hyper's treatment, which is safe as said.
#[derive(Debug, Default)]
pub(super) struct LineCheck(Cell<Lines>);

#[derive(Debug, Clone, Copy, Default)]
struct Lines {
    place: Place,
    /// The last byte that came in, whoever it was for.
    last: u8,
    /// The beginning of a line that has not ended yet; enough of it to know the two names.
    begun: [u8; NAME_BYTES],
    begun_bytes: u8,
    lengths: u8,
    codings: u8,
    blemish: Option<Blemish>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    /// Before the request line, where empty lines are allowed.
    #[default]
    Before,
    /// In the head.
    Head,
    /// In the body or beyond: not our business.
    Beyond,
}

/// Length of `transfer-encoding:`.
const NAME_BYTES: usize = 18;

impl LineCheck {
    /// Looks at bytes of a head.
    pub fn feed(&self, bytes: &[u8]) {
        let mut lines = self.0.get();
        lines.feed(bytes);
        self.0.set(lines);
    }

    /// Notes bytes that are not a head's.
    pub fn pass_over(&self, bytes: &[u8]) {
        if let Some(last) = bytes.last() {
            let mut lines = self.0.get();
            lines.last = *last;
            self.0.set(lines);
        }
    }

    /// Says what was found in the head that is now complete, and starts over.
    pub fn finish(&self) -> Option<Blemish> {
        let lines = self.0.get();
        self.0.set(Lines {
            last: lines.last,
            ..Lines::default()
        });
        lines.blemish
    }
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.place != Place::Beyond
            && let Some(end) = memchr::memchr(b'\n', rest)
        {
            let (line, after) = rest.split_at(end + 1);
            self.line(line);
            self.last = b'\n';
            rest = after;
        }
        if self.place != Place::Beyond {
            self.begin(rest);
        }
        if let Some(last) = bytes.last() {
            self.last = *last;
        }
    }

    /// A piece that ends a line, with its line feed.
    fn line(&mut self, piece: &[u8]) {
        let before_feed = match piece {
            [.., byte, _] => *byte,
            _ => self.last,
        };
        if before_feed != b'\r' {
            self.blemish.get_or_insert(Blemish::BareLineFeed);
        }
        self.begin(piece);
        let begun = &self.begun[..usize::from(self.begun_bytes)];
        let is_empty = matches!(begun, b"\r\n" | b"\n");
        match self.place {
            Place::Before if is_empty => {}
            Place::Before => self.place = Place::Head,
            Place::Head if is_empty => self.place = Place::Beyond,
            Place::Head => {
                let starts = |name: &[u8]| begun.len() >= name.len() && begun[..name.len()].eq_ignore_ascii_case(name);
                if starts(b"content-length:") {
                    self.lengths = (self.lengths + 1).min(2);
                } else if starts(b"transfer-encoding:") {
                    self.codings = 1;
                }
                if self.lengths + self.codings > 1 {
                    self.blemish.get_or_insert(Blemish::AmbiguousLength);
                }
            }
            Place::Beyond => {}
        }
        self.begun_bytes = 0;
    }

    /// Keeps the beginning of a line.
    fn begin(&mut self, piece: &[u8]) {
        let have = usize::from(self.begun_bytes);
        let take = piece.len().min(NAME_BYTES - have);
        self.begun[have..have + take].copy_from_slice(&piece[..take]);
        self.begun_bytes += u8::try_from(take).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(pieces: &[&[u8]]) -> Option<Blemish> {
        let check = LineCheck::default();
        for piece in pieces {
            check.feed(piece);
        }
        check.finish()
    }

    const CLEAN: &[u8] = b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n\n\nContent-Length: 5\n";
    const BARE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\n\r\n";
    const BOTH: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\nTRANSFER-encoding: chunked\r\ncontent-length: 5\r\n\r\n";
    const TWICE: &[u8] = b"POST / HTTP/1.1\r\ncontent-length: 5\r\nhost: a\r\ncontent-length: 5\r\n\r\n";

    #[test]
    fn a_clean_head_passes_and_what_follows_it_is_not_looked_at() {
        assert_eq!(found(&[CLEAN]), None);
    }

    #[test]
    fn each_blemish_is_found() {
        assert_eq!(found(&[BARE]), Some(Blemish::BareLineFeed));
        assert_eq!(found(&[BOTH]), Some(Blemish::AmbiguousLength));
        assert_eq!(found(&[TWICE]), Some(Blemish::AmbiguousLength));
    }

    #[test]
    fn a_head_is_judged_by_itself_and_not_by_the_one_before() {
        let check = LineCheck::default();
        check.feed(BOTH);
        assert!(check.finish().is_some());
        check.feed(CLEAN);
        assert_eq!(check.finish(), None);
    }

    #[test]
    fn a_line_end_split_over_a_head_that_was_read_ahead_is_not_taken_for_a_bare_one() {
        let check = LineCheck::default();
        check.pass_over(b"GET / HTTP/1.1\r");
        check.feed(b"\nHost: a\r\n\r\n");
        assert_eq!(check.finish(), None);
    }

    proptest! {
        #[test]
        fn the_finding_does_not_depend_on_how_the_bytes_were_cut(
            head in prop::sample::select(vec![CLEAN, BARE, BOTH, TWICE]),
            cuts in prop::collection::vec(0_usize..90, 0..8),
        ) {
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(head.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&head[from..cut]);
                from = cut;
            }
            pieces.push(&head[from..]);
            prop_assert_eq!(found(&pieces), found(&[head]));
        }
    }

    #[test]
    fn a_host_is_a_name_or_address_with_an_optional_port() {
        for good in [
            "a",
            "keys.example.com",
            "a_b.c",
            "127.0.0.1:7311",
            "[::1]",
            "[::1]:65535",
            "a:1",
        ] {
            assert!(is_host(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a:", "a:99999", "a:123456", "a:8a", "a b", "a/b", "u@a", "a,b", "[::1", "[]", "[::1]x", "[zz]",
            "a:80:80", "a\u{e9}", "a?b", "a#b", "[::1]:",
        ] {
            assert!(!is_host(bad.as_bytes()), "{bad:?}");
        }
    }
}
