//! Which pages of other origins may use which routes: browsers ask, and go by the answer.
//!
//! SECURITY: cookies are never let through. A page of another origin shows a credential that was made for it, so all that
//! an origin decides is which pages a browser lets read the answer; what the credential may do is decided as always.

use axum::extract::Request;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// What a page may do, as browsers read it.
pub struct Grant([(HeaderName, HeaderValue); 4]);

impl Grant {
    /// Which methods it may use, which headers it may send and read, and for how many seconds it may go by that.
    pub const fn new(methods: &'static str, sends: &'static str, reads: &'static str, seconds: &'static str) -> Self {
        Self([
            (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods)),
            (ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(sends)),
            (ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(reads)),
            (ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(seconds)),
        ])
    }

    /// Opens an answer to pages of this origin.
    pub fn open(&self, headers: &mut HeaderMap, origin: HeaderValue) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.extend(self.0.iter().cloned());
    }
}

/// What pages do that embed the management of keys. Ten minutes, so that an origin that is taken back is soon forgotten.
static EMBEDDED: Grant = Grant::new(
    "GET, POST, PATCH, DELETE",
    "authorization, content-type, idempotency-key, if-match, if-none-match, x-request-id",
    "etag, location, retry-after, x-request-id",
    "600",
);

/// A page of another origin, on a route where such pages are looked at.
pub struct Page {
    /// Its origin, where that one may.
    may: Option<HeaderValue>,
    asks_first: bool,
}

impl Page {
    /// What a request tells of its page. `None` on routes that are not for pages of other origins, whoever asks.
    pub fn of(request: &Request, allowed: &[String]) -> Option<Self> {
        if allowed.is_empty() || !is_for_pages(request.uri().path()) {
            return None;
        }
        let headers = request.headers();
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none());
        // Letter by letter: what only looks alike is another origin.
        let may = origin.filter(|origin| allowed.iter().any(|one| one.as_bytes() == origin.as_bytes()));
        Some(Self {
            asks_first: request.method() == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD),
            may: may.cloned(),
        })
    }

    /// Whether the browser only asks what its page may do, and nothing is done yet.
    pub fn only_asks(&self) -> bool {
        self.asks_first && self.may.is_some()
    }

    /// Says in the answer what the page may do.
    pub fn answer(self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.may {
            EMBEDDED.open(headers, origin);
        }
    }
}

/// The routes on which somebody manages what is theirs: who I am, keys, and what a user or team is called.
///
/// Log-in, the token endpoint and everything else where a password or a client's secret is sent are not among them.
fn is_for_pages(path: &str) -> bool {
    let mut words = path.split('/').skip(1);
    let start = [(); 4].map(|()| words.next());
    match start {
        [Some("v1"), Some("self"), None, None] => true,
        [Some("v1"), Some("projects"), Some(_), Some("keys")] => true,
        [Some("v1"), Some("projects"), Some(_), Some("users" | "teams")] => {
            words.next().is_some() && words.next().is_none()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_origins_are_looked_at_where_somebody_manages_what_is_theirs() {
        for path in [
            "/v1/self",
            "/v1/projects/acme/keys",
            "/v1/projects/self/keys/0197/rotate",
            "/v1/projects/self/users/bob",
            "/v1/projects/self/teams/crew",
        ] {
            assert!(is_for_pages(path), "{path}");
        }
        for path in [
            "/",
            "/v1/self/sessions",
            "/v1/self/password",
            "/v1/projects/acme",
            "/v1/projects/acme/users",
            "/v1/projects/acme/users/bob/password",
            "/v1/projects/acme/sessions",
            "/v1/projects/acme/component-sessions",
            "/v1/projects/acme/signing-keys",
            "/v1/sessions/refresh",
            "/v1/verify",
            "/v1/keys",
            "/oauth/token",
            "/oauth/introspect",
            "//v1/self",
        ] {
            assert!(!is_for_pages(path), "{path}");
        }
    }
}
