//! The caller's credential: one, in a header, in one spelling.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use keyholt_api::code::Code;

use super::fail::Fail;
use super::query::pairs;

/// The header for clients that cannot set `Authorization`.
pub const API_KEY_HEADER: &str = "x-api-key";
/// Query parameters in which people put credentials, compared without regard to case.
const URL_NAMES: [&str; 3] = ["api_key", "access_token", "token"];

/// The secret that the caller shows.
///
/// The scheme is compared without regard to case, because RFC 9110 says so. The secret is not trimmed or decoded: it has
/// one spelling, and whatever differs from it is another text.
pub fn presented(headers: &HeaderMap) -> Result<&str, Fail> {
    let mut values = headers
        .get_all(AUTHORIZATION)
        .iter()
        .map(|value| (true, value))
        .chain(headers.get_all(API_KEY_HEADER).iter().map(|value| (false, value)));
    let Some((is_authorization, value)) = values.next() else {
        return Err(Fail::new(Code::CredentialRequired));
    };
    if values.next().is_some() {
        return Err(Fail::new(Code::MultipleCredentials));
    }
    let invalid = || Fail::new(Code::InvalidCredential);
    let text = value.to_str().map_err(|_| invalid())?;
    if !is_authorization {
        return if text.is_empty() {
            Err(Fail::new(Code::CredentialRequired))
        } else {
            Ok(text)
        };
    }
    let (scheme, secret) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.is_empty() || (scheme.eq_ignore_ascii_case("bearer") && secret.is_empty()) {
        return Err(Fail::new(Code::CredentialRequired));
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(invalid());
    }
    // `Bearer a, Bearer b` is what some proxies make of two header lines.
    if secret
        .split(',')
        .skip(1)
        .any(|more| more.trim_start().to_ascii_lowercase().starts_with("bearer "))
    {
        return Err(Fail::new(Code::MultipleCredentials));
    }
    Ok(secret)
}

/// Refuses a credential in the URL, where it would be kept in logs, histories and referrers.
pub fn none_in_query(query: &str) -> Result<(), Fail> {
    let named = |name: &str| URL_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known));
    if pairs(query).any(|(name, _)| named(&name)) {
        Err(Fail::new(Code::TokenInUrl))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(headers: &[(&'static str, &[u8])]) -> Result<String, &'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, http::HeaderValue::from_bytes(value).unwrap());
        }
        presented(&map).map(str::to_owned).map_err(|fail| fail.code().as_str())
    }

    #[test]
    fn a_credential_is_taken_as_it_is_or_not_at_all() {
        for (headers, expected) in [
            (&[("authorization", b"Bearer abc".as_slice())][..], Ok("abc")),
            (&[("authorization", b"bEARER abc")], Ok("abc")),
            (&[("authorization", b"Bearer  abc")], Ok(" abc")),
            (&[("authorization", b"Bearer abc ")], Ok("abc ")),
            (&[("x-api-key", b"abc")], Ok("abc")),
            (&[], Err("credential_required")),
            (&[("authorization", b"")], Err("credential_required")),
            (&[("authorization", b"Bearer")], Err("credential_required")),
            (&[("authorization", b"Bearer ")], Err("credential_required")),
            (&[("authorization", b"Basic abc")], Err("invalid_credential")),
            (&[("authorization", b"Bearer\tabc")], Err("invalid_credential")),
            (&[("authorization", b"Bearer \xff")], Err("invalid_credential")),
            (&[("authorization", b"Bearer a, Bearer b")], Err("multiple_credentials")),
            (
                &[("authorization", b"Bearer a"), ("authorization", b"Bearer a")],
                Err("multiple_credentials"),
            ),
            (
                &[("authorization", b"Bearer a"), ("x-api-key", b"a")],
                Err("multiple_credentials"),
            ),
        ] {
            assert_eq!(shown(headers), expected.map(str::to_owned), "{headers:?}");
        }
    }

    #[test]
    fn a_credential_in_the_url_is_noticed_however_it_is_encoded() {
        for query in ["api_key=a", "x=1&access_token=", "TOKEN=b", "api%5Fkey=a", "a=1&token"] {
            assert!(none_in_query(query).is_err(), "{query}");
        }
        for query in ["", "tokens=1", "x=token", "tag=api_key"] {
            assert!(none_in_query(query).is_ok(), "{query}");
        }
    }
}
