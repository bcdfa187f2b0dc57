//! Conditions and repetitions: `ETag`, `If-Match` and `Idempotency-Key`.

use aws_lc_rs::digest::{Context, SHA256};
use axum::extract::FromRequestParts;
use http::header::IF_MATCH;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use keyholt_api::code::Code;
use keyholt_core::commit::Revision;
use keyholt_core::text::RequestKey;

use super::fail::Fail;
use crate::keeper::Idempotency;

/// The header by which a repeated request is recognised.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The revision that the caller's change is based on, where it says so.
#[derive(Clone, Copy, Debug)]
pub struct IfMatch(pub Option<Revision>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fail> {
        let mut values = parts.headers.get_all(IF_MATCH).iter();
        let (first, second) = (values.next(), values.next());
        match (first, second) {
            (None, _) => Ok(Self(None)),
            (Some(value), None) => based_on(value),
            (Some(_), Some(_)) => Err(malformed()),
        }
    }
}

fn malformed() -> Fail {
    Fail::saying(
        Code::MalformedRequest,
        "`If-Match` must be `*` or the one `ETag` that the change is based on",
    )
}

fn based_on(value: &HeaderValue) -> Result<IfMatch, Fail> {
    let text = value.to_str().map_err(|_| malformed())?;
    if text == "*" {
        return Ok(IfMatch(None));
    }
    let tag = text.strip_prefix("W/").unwrap_or(text);
    let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    let tag = tag.filter(|tag| !tag.contains('"')).ok_or_else(malformed)?;
    let number = tag.parse().ok().filter(|number: &u32| number.to_string() == tag);
    // A weak tag never matches here (RFC 9110 §13.1.1), and one that is not ours matches nothing; no record has revision 0.
    let number = number.filter(|_| !text.starts_with("W/")).unwrap_or(0);
    Ok(IfMatch(Some(Revision::from_number(number))))
}

/// The `ETag` of a record.
pub fn etag(revision: u32) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// The caller's `Idempotency-Key`, bound to what is asked: the path and the body.
pub fn idempotency(headers: &HeaderMap, path: &str, body: &[u8]) -> Result<Option<Idempotency>, Fail> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let request = value
        .to_str()
        .ok()
        .filter(|_| values.next().is_none())
        .and_then(|text| RequestKey::new(text).ok())
        .ok_or_else(|| {
            Fail::saying(
                Code::MalformedRequest,
                "`Idempotency-Key` must be one text of 1 to 128 printable ASCII characters without spaces",
            )
        })?;
    let mut hash = Context::new(&SHA256);
    hash.update(path.as_bytes());
    hash.update(b"\n");
    hash.update(body);
    let mut question = [0u8; 32];
    question
        .iter_mut()
        .zip(hash.finish().as_ref())
        .for_each(|(place, byte)| *place = *byte);
    Ok(Some(Idempotency { request, question }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_names_one_revision_or_is_refused() {
        let read =
            |text| based_on(&HeaderValue::from_static(text)).map(|IfMatch(revision)| revision.map(Revision::number));
        assert_eq!(read("\"3\"").unwrap(), Some(3));
        assert_eq!(read("*").unwrap(), None);
        for never in ["W/\"3\"", "\"03\"", "\"+3\"", "\"x\"", "\"\"", "\"99999999999\""] {
            assert_eq!(read(never).unwrap(), Some(0), "{never}");
        }
        for malformed in ["3", "\"3", "\"3\", \"4\"", ""] {
            assert!(read(malformed).is_err(), "{malformed}");
        }
    }
}
