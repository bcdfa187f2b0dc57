//! Query strings: strictly decoded, every parameter known and given once.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use axum::extract::FromRequestParts;
use http::request::Parts;
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_api::page::{CURSOR_CHARS_MAX, LIMIT_DEFAULT, PageRequest};
use keyholt_store::Limit;
use serde::de::value::MapDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};

use super::fail::Fail;

/// Most parameters of one query.
const PARAMETERS_MAX: usize = 64;

/// The parameters of a query.
#[derive(Clone, Debug)]
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fail> {
        read(decoded(parts.uri.query().unwrap_or_default())?).map(Self)
    }
}

/// The parameters of a list: which entries, how many, and after which one.
#[derive(Clone, Debug)]
pub struct Paged<F> {
    /// Which entries.
    pub filter: F,
    /// How many.
    pub limit: Limit,
    /// The cursor, still sealed.
    pub cursor: Option<String>,
}

impl<S: Send + Sync, F: DeserializeOwned> FromRequestParts<S> for Paged<F> {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fail> {
        let (page, filter) = decoded(parts.uri.query().unwrap_or_default())?
            .into_iter()
            .partition(|(name, _)| matches!(name.as_str(), "limit" | "cursor"));
        let page: PageRequest = read(page)?;
        let limit = Limit::new(page.limit.unwrap_or(LIMIT_DEFAULT));
        if page
            .cursor
            .as_ref()
            .is_some_and(|cursor| cursor.len() > CURSOR_CHARS_MAX)
        {
            return Err(Fail::new(Code::InvalidCursor));
        }
        let limit = limit.ok_or_else(|| {
            let reason = format!("must be 1 to {}", Limit::MOST);
            Fail::from(Faults::one("limit", Reason(FaultCode::Range, reason.into())))
        })?;
        Ok(Self {
            filter: read(filter)?,
            limit,
            cursor: page.cursor,
        })
    }
}

/// The pairs of a query, undecodable ones left out.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    split(query).filter_map(|(name, value)| Some((decode(name)?, decode(value)?)))
}

fn split(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

fn decoded(query: &str) -> Result<Vec<(String, String)>, Fail> {
    let malformed = |detail: &str| Fail::saying(Code::MalformedRequest, detail);
    let mut known = BTreeSet::new();
    let mut pairs = Vec::new();
    for (name, value) in split(query) {
        if pairs.len() == PARAMETERS_MAX {
            return Err(malformed("the query has more parameters than any request needs"));
        }
        let pair = decode(name).zip(decode(value));
        let pair = pair.map(|(name, value)| (name.into_owned(), value.into_owned()));
        let (name, value) = pair.ok_or_else(|| malformed("the query is not percent-encoded UTF-8"))?;
        if !known.insert(name.clone()) {
            let reason = Reason(FaultCode::Duplicate, "is given twice".into());
            return Err(Fail::naming(Code::DuplicateMember, Faults::one(name, reason)));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    // Most of what is in queries needs no decoding.
    if !text.contains(['%', '+', '\0']) {
        return Some(Cow::Borrowed(text));
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let (high, low) = (rest.next().and_then(digit)?, rest.next().and_then(digit)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => *other,
        });
    }
    let decoded = String::from_utf8(decoded).ok()?;
    (!decoded.contains('\0')).then_some(Cow::Owned(decoded))
}

fn read<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, Fail> {
    let parts = pairs.into_iter().map(|(name, value)| (name, Part(value)));
    let deserializer = MapDeserializer::<_, serde::de::value::Error>::new(parts);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        let told = error.into_inner().to_string();
        match unknown_name(&told) {
            Some(name) => {
                let reason = Reason(FaultCode::UnknownParameter, "is not a parameter of this request".into());
                Fail::naming(Code::UnknownParameter, Faults::one(name, reason))
            }
            None => Faults::one(path, Reason(FaultCode::WrongType, expected(&told))).into(),
        }
    })
}

/// The name in serde's ``unknown field `x`, expected …``.
pub(super) fn unknown_name(told: &str) -> Option<&str> {
    told.strip_prefix("unknown field `")?
        .split_once('`')
        .map(|(name, _)| name)
}

/// What serde expected instead, without the value that it found.
pub(super) fn expected(told: &str) -> Cow<'static, str> {
    let Some((_, expected)) = told.rsplit_once("expected ") else {
        return "has another type than this request takes".into();
    };
    // serde_json adds where it was; people have the member's name.
    let expected = expected.split(" at line ").next().unwrap_or(expected);
    let expected = expected.strip_prefix("struct ").map_or(expected, |_| "an object");
    format!("must be {expected}").into()
}

/// One value of a query; a number where a number is wanted.
struct Part(String);

impl<'de> IntoDeserializer<'de> for Part {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Part {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let digits = !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_digit());
        match self.0.parse() {
            Ok(number) if digits => visitor.visit_u64(number),
            _ => Err(serde::de::Error::invalid_type(
                serde::de::Unexpected::Other("a text"),
                &WholeNumber,
            )),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct WholeNumber;

impl serde::de::Expected for WholeNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number that is not negative")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyholt_api::filter::KeyFilter;

    fn filter(query: &str) -> Result<KeyFilter, &'static str> {
        decoded(query).and_then(read).map_err(|fail| fail.code().as_str())
    }

    #[test]
    fn a_query_is_decoded_strictly() {
        assert_eq!(filter("text=a+b%20c&tag=x").unwrap().text.as_deref(), Some("a b c"));
        for (query, code) in [
            ("text=%zz", "malformed_request"),
            ("text=%f", "malformed_request"),
            ("text=%ff", "malformed_request"),
            ("text=a%00", "malformed_request"),
            ("text=a&text=b", "duplicate_member"),
            ("te%78t=a&text=b", "duplicate_member"),
            ("colour=red", "unknown_parameter"),
        ] {
            assert_eq!(filter(query), Err(code), "{query}");
        }
    }
}
