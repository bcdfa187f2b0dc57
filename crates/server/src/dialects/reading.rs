//! Bodies and queries of dialects: bounded as everywhere, but read as leniently as the product itself reads them.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::Desk;
use crate::http::Fail;
use crate::http::body::{import, ordinary, read_up_to};
use crate::http::fail::Answer;
use crate::http::query::pairs;

/// Most pairs of a form or query that are looked at.
const PAIRS_MAX: usize = 64;

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
        Self(pairs(text).take(PAIRS_MAX).collect())
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
