//! How a request came: from whom, and by which id it is known. Whoever is in front of the doors tells it.

use std::cell::Cell;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use keyholt_core::actor::Source;
use keyholt_core::text::RequestKey;

use super::Settings;
use super::client_address::client_address;

/// The header that carries a request's id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The length of an id of ours.
const ID_BYTES: usize = 33;

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Who is at the other end of the connection: the client or a proxy.
    pub peer: IpAddr,
    /// By which id it is known, unless its caller gave it one.
    pub id: RequestId,
}

impl Arrival {
    /// From where the request comes, and by which id it is known: the caller's own if it is a good one.
    pub(crate) fn source(&self, settings: &Settings, headers: &HeaderMap) -> Source {
        Source {
            address: Some(client_address(self.peer, headers, &settings.trusted_proxies)),
            request: given(headers).unwrap_or_else(|| self.id.key()),
        }
    }
}

/// The caller's own id for the request, if it is a good one.
fn given(headers: &HeaderMap) -> Option<RequestKey> {
    let mut values = headers.get_all(REQUEST_ID).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    RequestKey::new(value.to_str().ok()?).ok()
}

/// Request ids that cost no randomness: where their maker began, and a count.
#[derive(Debug)]
pub struct RequestIds {
    start: [u8; 16],
    count: Cell<u64>,
}

impl RequestIds {
    /// Ids that `start` tells from those of any other maker.
    pub fn new(start: [u8; 8]) -> Self {
        Self {
            start: hex(u64::from_be_bytes(start)),
            count: Cell::new(0),
        }
    }

    /// The next one.
    pub fn next(&self) -> RequestId {
        let count = self.count.get();
        self.count.set(count.wrapping_add(1));
        let mut text = [b'-'; ID_BYTES];
        text[..16].copy_from_slice(&self.start);
        text[17..].copy_from_slice(&hex(count));
        RequestId(text)
    }
}

/// A request id of ours: two numbers in hexadecimal digits.
#[derive(Clone, Copy, Debug)]
pub struct RequestId([u8; ID_BYTES]);

impl RequestId {
    /// Its text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("-")
    }

    /// The same as the value of a header.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static("-"))
    }

    fn key(&self) -> RequestKey {
        RequestKey::new(self.as_str()).expect("an id is short printable ASCII")
    }
}

/// A number as sixteen hexadecimal digits.
fn hex(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (place, digit) in text.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (place * 4) & 15) as usize];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_where_its_maker_began_and_how_many_there_were_before() {
        let ids = RequestIds::new([0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10]);
        let texts = [(); 17].map(|()| ids.next().as_str().to_owned());
        assert_eq!(texts[0], "fedcba9876543210-0000000000000000");
        assert_eq!(texts[16], "fedcba9876543210-0000000000000010");
    }
}
