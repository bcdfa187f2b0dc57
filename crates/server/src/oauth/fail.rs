//! Refusals of the OAuth endpoints, as RFC 6749 §5.2 writes them.

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use keyholt_api::oauth::OAuthError;
use keyholt_core::token::MintError;

use crate::http::Fail;
use crate::keeper::{Refusal, Unauthenticated};

/// Why there is no token. The description never repeats what was sent.
#[derive(Debug)]
pub struct OAuthFail {
    status: StatusCode,
    error: &'static str,
    description: String,
    retry_after: Option<u64>,
}

impl OAuthFail {
    fn new(status: StatusCode, error: &'static str, description: impl Into<String>) -> Self {
        Self {
            status,
            error,
            description: description.into(),
            retry_after: None,
        }
    }

    /// 400 with this word.
    pub fn bad(error: &'static str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, description)
    }

    /// The request is not as it must be.
    pub fn request(description: impl Into<String>) -> Self {
        Self::bad("invalid_request", description)
    }

    /// The request is larger than any good one.
    pub fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request",
            "the request is too large",
        )
    }

    /// The client is not recognised; nothing more is said.
    pub fn client() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "the client is not known, its secret is wrong, or it may not be used now or from here",
        )
    }

    /// This node cannot answer now.
    pub fn later() -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "temporarily_unavailable",
                "this node cannot answer now; ask again",
            )
        }
    }
}

impl IntoResponse for OAuthFail {
    fn into_response(self) -> Response {
        let body = OAuthError {
            error: self.error.to_owned(),
            error_description: self.description,
        };
        let mut response = (self.status, serde_json::to_vec(&body).unwrap_or_default()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Basic realm="keyholt""#));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Unauthenticated> for OAuthFail {
    fn from(error: Unauthenticated) -> Self {
        match error {
            Unauthenticated::Invalid | Unauthenticated::AddressNotAllowed => Self::client(),
            Unauthenticated::CannotKnow => Self::later(),
            Unauthenticated::TooMany(wait) => Self {
                status: StatusCode::TOO_MANY_REQUESTS,
                retry_after: Some(wait.seconds()),
                description: "too many wrong credentials came from this source".to_owned(),
                ..Self::later()
            },
        }
    }
}

impl From<Refusal> for OAuthFail {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthenticated(error) => error.into(),
            Refusal::Mint(error) => {
                let word = match &error {
                    MintError::Scope { .. } | MintError::TooManyScopes => "invalid_scope",
                    MintError::Audience => "invalid_target",
                    MintError::TooLong { .. } | MintError::TooShort | MintError::TooManyActors => "invalid_request",
                };
                Self::bad(word, error.to_string())
            }
            Refusal::CannotKnow
            | Refusal::StorageFull
            | Refusal::Store(_)
            | Refusal::Uncertain(_)
            | Refusal::KeyringFull
            | Refusal::Busy(_) => {
                tracing::warn!(%refusal, "a token request could not be answered");
                Self::later()
            }
            refusal => {
                tracing::error!(%refusal, "a token request failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "server_error",
                    Fail::from(refusal).detail(),
                )
            }
        }
    }
}
