//! Which credential a request shows: `access_token` in the query, the `Authorization` header, or the session cookie.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Uri};
use keyholt_api::code::Code;
use zeroize::Zeroizing;

use crate::http::Fail;
use crate::http::cookie::named;
use crate::http::fail::Answer;
use crate::http::query::pairs;

/// The parameter of a query that shows a token.
pub const PARAMETER: &str = "access_token";
/// The cookie of a session.
pub const SESSION_COOKIE: &str = "directus_session_token";

/// The cookie of a refresh token.
pub const REFRESH_COOKIE: &str = "directus_refresh_token";

/// A credential that a request shows.
#[derive(Clone, PartialEq, Eq)]
pub enum Shown<'a> {
    /// In the query or the header.
    Token(Cow<'a, str>),
    /// In the session cookie.
    Cookie(&'a str),
}

/// The one credential of a request.
pub fn shown(parts: &Parts) -> Answer<Shown<'_>> {
    let mut tokens = in_query(&parts.uri).chain(in_headers(&parts.headers).map(Cow::Borrowed));
    match (tokens.next(), tokens.next()) {
        (None, _) => match named(&parts.headers, SESSION_COOKIE)? {
            Some(session) => Ok(Shown::Cookie(session)),
            None => Err(Fail::new(Code::CredentialRequired)),
        },
        (Some(token), None) => Ok(Shown::Token(token)),
        (Some(_), Some(_)) => Err(Fail::new(Code::MultipleCredentials)),
    }
}

/// Every credential of a request, whether it is the only one or not.
pub fn all(uri: &Uri, headers: &HeaderMap) -> Vec<Zeroizing<String>> {
    let in_cookies = [SESSION_COOKIE, REFRESH_COOKIE]
        .into_iter()
        .filter_map(|name| named(headers, name).ok().flatten());
    let besides = in_headers(headers).chain(in_cookies).map(Cow::Borrowed);
    in_query(uri)
        .chain(besides)
        .map(|secret| Zeroizing::new(secret.into_owned()))
        .collect()
}

fn in_query(uri: &Uri) -> impl Iterator<Item = Cow<'_, str>> {
    pairs(uri.query().unwrap_or_default())
        .filter(|(name, _)| name == PARAMETER)
        .map(|(_, value)| value)
}

fn in_headers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(AUTHORIZATION)
        .iter()
        .filter_map(|value| bearer(value.to_str().ok()?))
}

/// Two parts with one space between them; anything else is no credential.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ')).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(uri: &str, headers: &[(&str, &str)]) -> Result<String, &'static str> {
        let mut request = http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        match shown(&parts) {
            Ok(Shown::Token(token)) => Ok(token.into_owned()),
            Ok(Shown::Cookie(session)) => Ok(format!("cookie {session}")),
            Err(fail) => Err(fail.code().as_str()),
        }
    }

    #[test]
    fn one_credential_is_taken_and_two_are_refused() {
        let auth = "authorization";
        for (uri, headers, expected) in [
            ("/", &[][..], Err("credential_required")),
            ("/?access_token=abc", &[], Ok("abc")),
            ("/?access_token=a%2Bc", &[], Ok("a+c")),
            ("/", &[(auth, "Bearer abc")], Ok("abc")),
            ("/", &[(auth, "BEARER abc")], Ok("abc")),
            ("/", &[(auth, "Bearer  abc")], Err("credential_required")),
            ("/", &[(auth, "Basic abc")], Err("credential_required")),
            ("/?access_token=a", &[(auth, "Bearer a")], Err("multiple_credentials")),
            ("/?access_token=a&access_token=a", &[], Err("multiple_credentials")),
            (
                "/",
                &[(auth, "Bearer a"), (auth, "Bearer a")],
                Err("multiple_credentials"),
            ),
            ("/", &[("cookie", "x=1; directus_session_token=s")], Ok("cookie s")),
            (
                "/",
                &[("cookie", "directus_session_token=s; directus_session_token=t")],
                Err("multiple_credentials"),
            ),
            (
                "/",
                &[("cookie", "directus_session_token=s"), (auth, "Bearer a")],
                Ok("a"),
            ),
        ] {
            assert_eq!(told(uri, headers), expected.map(str::to_owned), "{uri} {headers:?}");
        }
    }
}
