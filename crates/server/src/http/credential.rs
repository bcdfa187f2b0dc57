//! The caller's credential: one, in a header, in one spelling.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, Uri};
use keyholt_api::code::Code;
use keyholt_core::expose::Exposure;
use keyholt_core::secret::{Format, Presented};
use zeroize::Zeroizing;

use super::fail::Fail;
use super::query::pairs;
use super::setup;

/// The header for clients that cannot set `Authorization`.
pub const API_KEY_HEADER: &str = "x-api-key";
/// Query parameters in which people put credentials, compared without regard to case.
const URL_NAMES: [&str; 6] = [
    "api_key",
    "access_token",
    "token",
    "client_secret",
    "subject_token",
    "refresh_token",
];
/// Most credentials in one URL that are looked at.
const MISPLACED_MAX: usize = 8;

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

/// A credential that came in a way in which others can read it. The request is refused, whatever else it is.
pub struct Misplaced {
    /// What the caller is told.
    pub code: Code,
    /// In which way it came.
    pub exposure: Exposure,
    /// What was shown, as far as it can be somebody's secret.
    pub secrets: Vec<Zeroizing<String>>,
}

/// What a request shows in its URL, where it would be kept in logs, histories and referrers: whatever a parameter calls a
/// credential, and whatever has the form of one, wherever it stands.
pub fn in_url(uri: &Uri) -> Option<Misplaced> {
    in_url_besides(uri, &[])
}

/// The same, where the parameters of these names are how a product's clients show their credential.
pub fn in_url_besides(uri: &Uri, spared: &[&str]) -> Option<Misplaced> {
    let named = |name: &str| URL_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known));
    let is_ours = |text: &str| Presented::parse(text).is_ok_and(|presented| presented.format() == Format::Keyholt);
    let in_path = uri.path().split('/').filter(|word| is_ours(word)).map(str::to_owned);
    let in_query = pairs(uri.query().unwrap_or_default())
        .filter(|(name, _)| !spared.contains(&name.as_ref()))
        .filter(|(name, value)| named(name) || is_ours(value))
        .map(|(_, value)| value.into_owned());
    let secrets: Vec<_> = in_path
        .chain(in_query)
        .take(MISPLACED_MAX)
        .map(Zeroizing::new)
        .collect();
    (!secrets.is_empty()).then_some(Misplaced {
        code: Code::TokenInUrl,
        exposure: Exposure::Url,
        secrets,
    })
}

/// What a request shows that came over a connection which nobody encrypts.
pub fn in_the_clear<B>(request: &Request<B>) -> Option<Misplaced> {
    let secrets = match presented(request.headers()) {
        Ok(secret) => vec![Zeroizing::new(secret.to_owned())],
        // The token of the set-up is in the body.
        Err(fail) if fail.code() == Code::CredentialRequired && request.uri().path() != setup::PATH => return None,
        Err(_) => Vec::new(),
    };
    Some(Misplaced {
        code: Code::TlsRequired,
        exposure: Exposure::PlainHttp,
        secrets,
    })
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
        let shows = |query: &str| {
            let uri = format!("/v1/self?{query}").parse().expect("a URL");
            in_url(&uri).is_some()
        };
        for query in ["api_key=a", "x=1&access_token=", "TOKEN=b", "api%5Fkey=a", "a=1&token"] {
            assert!(shows(query), "{query}");
        }
        for query in ["", "tokens=1", "x=token", "tag=api_key"] {
            assert!(!shows(query), "{query}");
        }
    }
}
