//! Paths, queries and bodies of dialects: bounded as everywhere, but read as leniently as the product itself reads them.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use keyholt_api::code::Code;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::Desk;
use crate::http::Fail;
use crate::http::body::{import, ordinary, read_up_to};
use crate::http::fail::Answer;
use crate::http::query::pairs;

/// Most pairs of a form or query that are looked at.
const PAIRS_MAX: usize = 64;

/// The words that a path names, in the order of its route's parameters.
#[derive(Clone, Debug)]
pub struct Words<const N: usize>(pub [String; N]);

impl<const N: usize> FromRequestParts<Desk> for Words<N> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &Desk) -> Result<Self, Response> {
        // Put there by the envelope, which asked the table.
        let words = match parts.extensions.remove::<InPath>() {
            Some(InPath(Ok(words))) => words.try_into().ok(),
            Some(InPath(Err(name))) => {
                let text = format!("Invalid URL: Invalid UTF-8 in `{name}`");
                return Err((StatusCode::BAD_REQUEST, text).into_response());
            }
            None => None,
        };
        words.map(Self).ok_or_else(|| Fail::new(Code::Internal).into_response())
    }
}

/// What a path has where its route has parameters, decoded; or the name of one that is not UTF-8.
#[derive(Clone, Debug)]
pub(super) struct InPath(Result<Vec<String>, String>);

impl InPath {
    /// Decodes parameters with these names and values; nothing where there are none.
    pub(super) fn read<'a>(parameters: impl ExactSizeIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let decoded = |(name, value): (&str, &str)| {
            let word = percent_decode_str(value).decode_utf8();
            word.map(String::from).map_err(|_| name.to_owned())
        };
        (parameters.len() > 0).then(|| Self(parameters.map(decoded).collect()))
    }
}

/// A body of an ordinary size, whatever type it says it has: some clients say none.
#[derive(Debug)]
pub struct Body(pub Bytes);

impl FromRequest<Desk> for Body {
    type Rejection = Fail;

    async fn from_request(request: Request, desk: &Desk) -> Result<Self, Fail> {
        read_up_to(request, desk.settings.bodies.ordinary).await.map(Self)
    }
}

/// A body as large as an import's.
#[derive(Debug)]
pub struct BigBody(pub Bytes);

impl FromRequest<Desk> for BigBody {
    type Rejection = Fail;

    async fn from_request(request: Request, desk: &Desk) -> Result<Self, Fail> {
        read_up_to(request, desk.settings.bodies.import).await.map(Self)
    }
}

impl BigBody {
    /// The body as one JSON object; members that are not known are passed over.
    pub fn json<T: DeserializeOwned>(&self) -> Answer<T> {
        import(&self.0)
    }
}

impl Body {
    /// The body as one JSON object; members that are not known are passed over.
    pub fn json<T: DeserializeOwned>(&self) -> Answer<T> {
        ordinary(&self.0)
    }

    /// The body as `application/x-www-form-urlencoded`.
    pub fn form(&self) -> Pairs {
        Pairs::read(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

/// The pairs of a form or of a query, in order.
#[derive(Debug, Default)]
pub struct Pairs(Vec<(String, String)>);

impl Pairs {
    /// Reads them; what cannot be decoded is left out.
    pub fn read(text: &str) -> Self {
        let pairs = pairs(text).take(PAIRS_MAX);
        Self(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The one value of this name; given twice, it is not guessed which one was meant.
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// All values of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_order_and_a_name_given_twice_is_not_one() {
        let pairs = Pairs::read("a=1&b=x%20y+z&a=2&c=%zz&=&d");
        assert_eq!(pairs.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((pairs.one("a"), pairs.one("b")), (None, Some("x y z")));
        assert_eq!((pairs.one("c"), pairs.one("d")), (None, Some("")));
    }
}
