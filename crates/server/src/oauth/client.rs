//! What was asked and by whom: a form, from a client that shows its id and secret in `Authorization: Basic` or in the
//! body, never in both.

use axum::extract::{FromRequest, FromRequestParts, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use keyholt_core::actor::Source;
use zeroize::Zeroizing;

use super::fail::OAuthFail;
use super::form::{Form, decode};
use crate::http::{Door, Whence};
use crate::keeper::{Keeper, Parent};

/// The client's id and secret, as they were shown.
pub struct Shown {
    /// The key's id, if it is one.
    pub id: String,
    /// Its secret, if it is that.
    pub secret: Zeroizing<String>,
}

/// A posted form, with what tells who posted it.
pub struct Posted {
    pub form: Form,
    pub source: Source,
    headers: HeaderMap,
}

impl Posted {
    /// Recognises the client.
    pub fn client(&self, keeper: &Keeper) -> Result<Parent, OAuthFail> {
        self.maybe_client(keeper)?.ok_or_else(OAuthFail::client)
    }

    /// Recognises the client where there need not be one.
    pub fn maybe_client(&self, keeper: &Keeper) -> Result<Option<Parent>, OAuthFail> {
        match shown(only(&self.headers)?, &self.form)? {
            Some(Shown { id, secret }) => Ok(Some(keeper.client(&id, &secret, &self.source)?)),
            None => Ok(None),
        }
    }
}

impl FromRequest<Door> for Posted {
    type Rejection = OAuthFail;

    async fn from_request(request: Request, door: &Door) -> Result<Self, OAuthFail> {
        let (mut parts, body) = request.into_parts();
        let Whence(source) = Whence::from_request_parts(&mut parts, door).await?;
        let headers = parts.headers.clone();
        let form = Form::from_request(Request::from_parts(parts, body), door).await?;
        Ok(Self { form, source, headers })
    }
}

/// The only credential in the headers, where there is one.
fn only(headers: &HeaderMap) -> Result<Option<&str>, OAuthFail> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (header, second) = (values.next(), values.next());
    if second.is_some() || headers.contains_key("x-api-key") {
        return Err(OAuthFail::request("the client shows more than one credential"));
    }
    // What is no text is none of any client's.
    Ok(header.map(|header| header.to_str().unwrap_or_default()))
}

/// What the client shows, where it shows anything.
pub fn shown(authorization: Option<&str>, form: &Form) -> Result<Option<Shown>, OAuthFail> {
    let in_body = (form.get("client_id"), form.get("client_secret"));
    let Some(header) = authorization else {
        return Ok(match in_body {
            (Some(id), Some(secret)) => Some(Shown {
                id: id.to_owned(),
                secret: Zeroizing::new(secret.to_owned()),
            }),
            _ => None,
        });
    };
    if in_body.1.is_some() {
        return Err(OAuthFail::request(
            "the client shows its secret in the header and in the body",
        ));
    }
    let shown = basic(header).ok_or_else(OAuthFail::client)?;
    if in_body.0.is_some_and(|id| id != shown.id) {
        return Err(OAuthFail::request("the header and the body name different clients"));
    }
    Ok(Some(shown))
}

/// Reads `Basic`, both parts form-encoded before they were joined (RFC 6749 §2.3.1).
fn basic(header: &str) -> Option<Shown> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let (id, secret) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some(Shown {
        id: decode(id)?,
        secret: Zeroizing::new(decode(secret)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(joined: &str) -> Option<(String, String)> {
        let header = format!("Basic {}", STANDARD.encode(joined));
        basic(&header).map(|shown| (shown.id, shown.secret.to_string()))
    }

    #[test]
    fn both_parts_of_basic_are_decoded_as_forms_are() {
        let pair = |id: &str, secret: &str| Some((id.to_owned(), secret.to_owned()));
        assert_eq!(read("id:secret"), pair("id", "secret"));
        assert_eq!(read("id:a%3Ab%25c%2Bd+e%C3%A4"), pair("id", "a:b%c+d eä"));
        assert_eq!(read("id:a:b"), pair("id", "a:b"), "the first colon parts");
        assert_eq!(read("id"), None);
        assert_eq!(read("id:%"), None);
        assert_eq!(read("id:%FF"), None);
        assert!(basic("Basic !!!").is_none());
        assert!(basic("Bearer aWQ6c2VjcmV0").is_none());
        assert!(basic(&format!("basic {}", STANDARD.encode("id:s"))).is_some());
        assert!(basic(&format!("Basic {}", STANDARD.encode(b"id:\xff"))).is_none());
    }
}
