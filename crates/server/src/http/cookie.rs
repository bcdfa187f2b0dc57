//! The session cookie: where it is looked for, how it is set, and when a request that carries it is believed.

use http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use keyholt_api::code::Code;
use keyholt_core::time::{Expiry, Moment};

use super::fail::Fail;

/// The cookie's name. Browsers keep a cookie of such a name only if it came over TLS and belongs to this host alone.
pub const NAME: &str = "__Host-keyholt_session";
/// What every cookie of ours says of itself.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Strict";
/// In which browsers say from where a page asks.
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The session that a cookie shows, if there is one.
pub fn shown(headers: &HeaderMap) -> Result<Option<&str>, Fail> {
    named(headers, NAME)
}

/// What a cookie of this name shows, if there is one.
pub fn named<'a>(headers: &'a HeaderMap, wanted: &str) -> Result<Option<&'a str>, Fail> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == wanted)
        .map(|(_, value)| value);
    let first = values.next();
    match values.next() {
        // A second one was put there by somebody else: it is not guessed which one is meant.
        Some(_) => Err(Fail::new(Code::MultipleCredentials)),
        None => Ok(first.filter(|value| !value.is_empty())),
    }
}

/// Refuses a change that a page of another site has a browser make with its user's cookie.
///
/// SECURITY: browsers send cookies along whoever asks. So where the cookie is the credential the browser must also say
/// that the page is ours: by `Origin`, which no page can forge, and by `Sec-Fetch-Site` where it knows that.
pub fn same_origin(parts: &Parts, own: Option<&str>) -> Result<(), Fail> {
    if matches!(parts.method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let one = |name: &HeaderName| {
        let mut values = parts.headers.get_all(name).iter();
        let first = values.next().and_then(|value| value.to_str().ok());
        first.filter(|_| values.next().is_none())
    };
    let host = parts
        .uri
        .authority()
        .map(|authority| authority.as_str())
        .or_else(|| one(&HOST));
    let ours = one(&ORIGIN).is_some_and(|origin| match own {
        Some(own) => origin == own,
        // Nobody said where we are: then we are where the browser believes to be.
        None => origin
            .split_once("://")
            .is_some_and(|(_, authority)| Some(authority) == host),
    });
    let same_site = match parts.headers.contains_key(&SEC_FETCH_SITE) {
        true => one(&SEC_FETCH_SITE) == Some("same-origin"),
        false => true,
    };
    if ours && same_site {
        Ok(())
    } else {
        Err(Fail::new(Code::CrossSite))
    }
}

/// The origin of a URL: scheme, host and port.
pub fn origin_of(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    Some(format!(
        "{}://{}",
        uri.scheme_str()?,
        uri.authority()?.as_str().to_ascii_lowercase()
    ))
}

/// Sets the cookie until the session ends.
pub fn set(headers: &mut HeaderMap, secret: &str, expiry: Expiry, now: Moment) {
    set_named(headers, NAME, secret, expiry, now);
}

/// Sets a cookie of this name until the session ends.
pub fn set_named(headers: &mut HeaderMap, name: &str, secret: &str, expiry: Expiry, now: Moment) {
    let seconds = expiry.at().map_or(0, |at| at.since(now).ms().div_ceil(1000));
    put(headers, &format!("{name}={secret}; {ATTRIBUTES}; Max-Age={seconds}"));
}

/// Takes the cookie away.
pub fn clear(headers: &mut HeaderMap) {
    clear_named(headers, NAME);
}

/// Takes a cookie of this name away.
pub fn clear_named(headers: &mut HeaderMap, name: &str) {
    put(headers, &format!("{name}=; {ATTRIBUTES}; Max-Age=0"));
}

fn put(headers: &mut HeaderMap, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        headers.append(SET_COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(method: &str, headers: &[(&'static str, &'static str)]) -> Parts {
        let mut request = http::Request::builder().method(method).uri("/v1/self/sessions");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_cookie_is_the_session_and_two_are_none() {
        for (lines, expected) in [
            (
                &[("cookie", "a=1; __Host-keyholt_session=khs_x; b=2")][..],
                Ok(Some("khs_x")),
            ),
            (
                &[("cookie", "a=1"), ("cookie", "__Host-keyholt_session=khs_x")],
                Ok(Some("khs_x")),
            ),
            (
                &[("cookie", "keyholt_session=khs_x; __host-keyholt_session=khs_y")],
                Ok(None),
            ),
            (&[("cookie", "__Host-keyholt_session=")], Ok(None)),
            (
                &[("cookie", "__Host-keyholt_session=a; __Host-keyholt_session=b")],
                Err("multiple_credentials"),
            ),
        ] {
            let parts = parts("GET", lines);
            let found = shown(&parts.headers).map_err(|fail| fail.code().as_str());
            assert_eq!(found, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_change_by_cookie_comes_from_our_own_page_or_not_at_all() {
        let ours = ("origin", "https://keys.example.org");
        for (method, headers, own, believed) in [
            ("GET", &[][..], None, true),
            ("GET", &[("sec-fetch-site", "cross-site")], None, true),
            ("POST", &[], None, false),
            ("POST", &[ours], Some("https://keys.example.org"), true),
            (
                "POST",
                &[ours, ("sec-fetch-site", "same-origin")],
                Some("https://keys.example.org"),
                true,
            ),
            (
                "POST",
                &[ours, ("sec-fetch-site", "cross-site")],
                Some("https://keys.example.org"),
                false,
            ),
            (
                "POST",
                &[ours, ("sec-fetch-site", "same-site")],
                Some("https://keys.example.org"),
                false,
            ),
            (
                "POST",
                &[("sec-fetch-site", "same-origin")],
                Some("https://keys.example.org"),
                false,
            ),
            ("DELETE", &[("origin", "null")], Some("https://keys.example.org"), false),
            (
                "DELETE",
                &[("origin", "https://evil.example")],
                Some("https://keys.example.org"),
                false,
            ),
            (
                "PUT",
                &[("origin", "http://keys.example.org")],
                Some("https://keys.example.org"),
                false,
            ),
            ("POST", &[ours, ours], Some("https://keys.example.org"), false),
            ("POST", &[ours, ("host", "keys.example.org")], None, true),
            ("POST", &[ours, ("host", "keys.example.org:8443")], None, false),
            ("POST", &[("origin", "null"), ("host", "null")], None, false),
        ] {
            let told = same_origin(&parts(method, headers), own);
            assert_eq!(told.is_ok(), believed, "{method} {headers:?} {own:?}");
        }
    }

    #[test]
    fn an_origin_is_a_url_without_its_path() {
        assert_eq!(
            origin_of("https://Keys.example.org/keyholt").as_deref(),
            Some("https://keys.example.org")
        );
        assert_eq!(
            origin_of("http://127.0.0.1:7311").as_deref(),
            Some("http://127.0.0.1:7311")
        );
    }
}
