//! What was posted: a form, each parameter once, in UTF-8.

use axum::extract::{FromRequest, Request};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use zeroize::Zeroizing;

use super::fail::OAuthFail;
use crate::http::Door;

/// Most parameters of a form.
const PARAMETERS_MAX: usize = 64;

/// A form. What has no value counts as left out, as RFC 6749 §3.2 says.
pub struct Form(Vec<(String, Zeroizing<String>)>);

impl Form {
    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        let given = self.0.iter().find(|(given, _)| given == name);
        given.map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that must be there.
    pub fn need(&self, name: &str) -> Result<&str, OAuthFail> {
        self.get(name)
            .ok_or_else(|| OAuthFail::request(format!("`{name}` is missing")))
    }

    /// Reads the body of a request.
    pub fn read(bytes: &[u8]) -> Result<Self, OAuthFail> {
        let text = std::str::from_utf8(bytes).map_err(|_| OAuthFail::request("the form is not UTF-8"))?;
        let mut values: Vec<(String, Zeroizing<String>)> = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value));
            let (name, value) = decoded.ok_or_else(|| OAuthFail::request("the form is not percent-encoded UTF-8"))?;
            if values.len() == PARAMETERS_MAX {
                return Err(OAuthFail::request(
                    "the form has more parameters than any request needs",
                ));
            }
            if values.iter().any(|(given, _)| *given == name) {
                return Err(OAuthFail::request("a parameter is given twice"));
            }
            values.push((name, Zeroizing::new(value)));
        }
        values.retain(|(_, value)| !value.is_empty());
        Ok(Self(values))
    }
}

impl FromRequest<Door> for Form {
    type Rejection = OAuthFail;

    async fn from_request(request: Request, door: &Door) -> Result<Self, OAuthFail> {
        let bytes_max = door.settings.bodies.ordinary;
        let headers = request.headers();
        let is_form = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .and_then(|kind| kind.split(';').next())
            .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if !is_form || headers.contains_key(CONTENT_ENCODING) {
            return Err(OAuthFail::request("the body must be application/x-www-form-urlencoded"));
        }
        let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if declared
            .and_then(|length| length.parse::<usize>().ok())
            .is_some_and(|length| length > bytes_max)
        {
            return Err(OAuthFail::too_large());
        }
        match Limited::new(request.into_body(), bytes_max).collect().await {
            Ok(collected) => Self::read(&collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(OAuthFail::too_large()),
            Err(_) => Err(OAuthFail::request("the body broke off, or did not arrive in time")),
        }
    }
}

/// Undoes form encoding: `+` is a space, `%` is followed by two hexadecimal digits. `None` where it is not so.
pub fn decode(text: &str) -> Option<String> {
    if memchr::memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            b'%' => {
                let (digits, after) = after.split_at_checked(2)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                after
            }
            b'+' => {
                bytes.push(b' ');
                after
            }
            other => {
                bytes.push(*other);
                after
            }
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_encoding_is_undone_once_and_wrong_encoding_is_noticed() {
        for (text, expected) in [
            ("a+b", Some("a b")),
            ("a%2Bb", Some("a+b")),
            ("%25", Some("%")),
            ("%2525", Some("%25")),
            ("%C3%A4", Some("ä")),
            ("%3A", Some(":")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%+1", None),
            ("%FF", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_parameter_given_twice_is_refused_and_an_empty_one_left_out() {
        assert!(Form::read(b"a=1&a=2").is_err());
        assert!(Form::read(b"a=1&a=").is_err());
        assert!(Form::read(b"%61=1&a=2").is_err());
        let form = Form::read(b"a=&b=2&").unwrap_or_else(|_| panic!("a good form"));
        assert_eq!((form.get("a"), form.get("b")), (None, Some("2")));
    }
}
