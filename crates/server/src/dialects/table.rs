//! Where a dialect does what: from method and path to handler.
//!
//! Not a router of axum's, which wraps each handler in layers and boxes of its own, and knows no method beyond RFC 9110's.

use std::collections::BTreeMap;
use std::pin::Pin;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, Method};

use super::reading::InPath;
use super::{Desk, Route};

/// What answers an operation.
pub type Act = Box<dyn Fn(Request, Desk) -> Answering + Send + Sync>;
/// An answer under way.
pub type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// The operations of a dialect, by their paths.
pub struct Table(matchit::Router<Place>);

/// What is done at one path, by its methods.
pub type Place = Vec<(&'static str, Act)>;

impl Table {
    /// The table of these routes.
    pub fn new(routes: Vec<Route>) -> Self {
        let mut places = BTreeMap::<&str, Place>::new();
        for Route { operation, act } in routes {
            places.entry(operation.path).or_default().push((operation.method, act));
        }
        let mut table = matchit::Router::new();
        for (path, place) in places {
            table
                .insert(path, place)
                .expect("the paths of a dialect are written down beside each other and none contradicts another");
        }
        Self(table)
    }

    /// What answers a request of this method to this path. `HEAD` is `GET` without a body.
    pub fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let Ok(found) = self.0.at(path) else {
            return Found::Nothing;
        };
        let wanted = match method.as_str() {
            "HEAD" => "GET",
            word => word,
        };
        match found.value.iter().find(|(known, _)| *known == wanted) {
            Some((_, act)) => Found::Act(act, InPath::read(found.params.iter())),
            None => Found::Others(found.value),
        }
    }
}

/// What there is for a request.
pub enum Found<'t> {
    /// What answers it, and the words that its path names, if it names any.
    Act(&'t Act, Option<InPath>),
    /// Other methods at the same path.
    Others(&'t Place),
    /// No such path.
    Nothing,
}

/// The methods at a path, as `Allow` tells them.
pub fn allowed(place: &Place) -> Option<HeaderValue> {
    let told = place.iter().map(|(method, _)| match *method {
        "GET" => "GET,HEAD",
        method => method,
    });
    HeaderValue::try_from(told.collect::<Vec<_>>().join(",")).ok()
}
