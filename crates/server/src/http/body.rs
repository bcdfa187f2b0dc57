//! JSON bodies: their declared type, their size, their form, and then their members.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_api::import::IMPORT_MAX;
use serde::de::DeserializeOwned;

use super::Door;
use super::fail::Fail;
use super::json_form::{self, FormError};
use super::query::{expected, unknown_name};
use crate::config;

/// Longest list in a body.
pub const LIST_MAX: usize = 1000;

/// How many bytes a body may have, by what it is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BodyLimits {
    /// What is not named below.
    pub ordinary: usize,
    /// Many questions at once.
    pub batch: usize,
    /// An import.
    pub import: usize,
}

impl Default for BodyLimits {
    /// What the settings say where nobody set them.
    fn default() -> Self {
        Self {
            ordinary: 64 << 10,
            batch: 2 << 20,
            import: 16 << 20,
        }
    }
}

impl From<&config::Limits> for BodyLimits {
    fn from(limits: &config::Limits) -> Self {
        Self {
            ordinary: limits.body_bytes,
            batch: limits.batch_body_bytes,
            import: limits.import_body_bytes,
        }
    }
}

/// A body of an ordinary size.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// A body of an ordinary size together with its bytes, for requests that may be repeated.
#[derive(Debug)]
pub struct JsonWithBytes<T>(pub T, pub Bytes);

/// A body that may be left out altogether, which means what `{}` means.
#[derive(Debug)]
pub struct MaybeJson<T>(pub T);

/// The body of many questions at once.
#[derive(Debug)]
pub struct BatchJson<T>(pub T);

/// The body of an import.
#[derive(Debug)]
pub struct BigJson<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Door> for Json<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Fail> {
        let bytes = collect(request, door.settings.bodies.ordinary).await?;
        ordinary(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Door> for JsonWithBytes<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Fail> {
        let bytes = collect(request, door.settings.bodies.ordinary).await?;
        let value = ordinary(&bytes)?;
        Ok(Self(value, bytes))
    }
}

impl<T: DeserializeOwned> FromRequest<Door> for MaybeJson<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Fail> {
        let silent = !request.headers().contains_key(CONTENT_TYPE) && http_body::Body::is_end_stream(request.body());
        if silent {
            return ordinary(b"{}").map(Self);
        }
        let bytes = collect(request, door.settings.bodies.ordinary).await?;
        ordinary(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Door> for BatchJson<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Fail> {
        let bytes = collect(request, door.settings.bodies.batch).await?;
        ordinary(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<Door> for BigJson<T> {
    type Rejection = Fail;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Fail> {
        let bytes = collect(request, door.settings.bodies.import).await?;
        import(&bytes).map(Self)
    }
}

async fn collect(request: Request, bytes_max: usize) -> Result<Bytes, Fail> {
    check_type(request.headers())?;
    read_up_to(request, bytes_max).await
}

/// Reads JSON with lists as long as an import's.
pub(crate) fn import<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fail> {
    read(bytes, IMPORT_MAX)
}

/// Reads JSON with lists of an ordinary length: its form first, then its members.
pub(crate) fn ordinary<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fail> {
    read(bytes, LIST_MAX)
}

/// The bytes of a body, whatever type it says it has.
pub(crate) async fn read_up_to(request: Request, bytes_max: usize) -> Result<Bytes, Fail> {
    let too_large = || {
        let detail = format!("the body is larger than {bytes_max} bytes");
        Fail::saying(Code::BodyTooLarge, detail)
    };
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    // Said at once, before anything of it is read.
    if declared
        .and_then(|length| length.parse::<usize>().ok())
        .is_some_and(|length| length > bytes_max)
    {
        return Err(too_large());
    }
    match Limited::new(request.into_body(), bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Fail::saying(
            Code::MalformedRequest,
            "the body broke off, or did not arrive in time",
        )),
    }
}

/// `application/json`, in UTF-8 if a charset is named, and not compressed.
fn check_type(headers: &HeaderMap) -> Result<(), Fail> {
    let refuse = || Err(Fail::new(Code::UnsupportedMediaType));
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(declared), None) = (types.next(), types.next()) else {
        return refuse();
    };
    let mut parts = declared.to_str().unwrap_or_default().split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if is_json && is_utf8 && !headers.contains_key(CONTENT_ENCODING) {
        Ok(())
    } else {
        refuse()
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8], list_max: usize) -> Result<T, Fail> {
    json_form::check(bytes, list_max)?;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        told(path, &error.into_inner())
    })
}

/// Puts serde's complaint into our words. Its own repeat the value, which might be a secret.
fn told(path: String, error: &serde_json::Error) -> Fail {
    let told = error.to_string();
    if unknown_name(&told).is_some() {
        // The path ends in the unknown member itself.
        let reason = Reason(FaultCode::UnknownMember, "is not a member of this request".into());
        return Fail::naming(Code::UnknownMember, Faults::one(path, reason));
    }
    if let Some((name, _)) = told
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split_once('`'))
    {
        let field = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        };
        return Faults::one(field, Reason(FaultCode::Required, "is missing".into())).into();
    }
    // serde_json calls it a syntax error when an enum is neither text nor object; the syntax was found good before.
    let told = if error.is_data() { told } else { String::new() };
    Faults::one(path, Reason(FaultCode::WrongType, expected(&told))).into()
}

impl From<FormError> for Fail {
    fn from(error: FormError) -> Self {
        match error {
            FormError::Syntax { line, column } => Self::saying(
                Code::MalformedJson,
                format!("not JSON from line {line}, column {column} on"),
            ),
            FormError::NotUtf8 => Self::saying(Code::MalformedJson, "the body is not UTF-8"),
            FormError::Empty => Self::saying(Code::MalformedJson, "the body is empty"),
            FormError::NotAnObject => Self::saying(Code::MalformedJson, "the body must be one JSON object"),
            FormError::TooDeep => Self::new(Code::TooDeep),
            FormError::TooLong { most } => Self::saying(
                Code::TooDeep,
                format!("the body holds a list of more than {most} entries"),
            ),
            FormError::Duplicate { member } => Self::naming(
                Code::DuplicateMember,
                Faults::one(member, Reason(FaultCode::Duplicate, "is given twice".into())),
            ),
        }
    }
}

/// An answer in JSON.
pub fn json(value: &impl serde::Serialize) -> axum::response::Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let mut response = axum::response::Response::new(Body::from(bytes));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            axum::response::IntoResponse::into_response(Fail::new(Code::Internal))
        }
    }
}
