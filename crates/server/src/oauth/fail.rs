//! Refusals of the OAuth endpoints, as RFC 6749 §5.2 writes them.

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use keyholt_api::oauth::OAuthError;
use keyholt_core::token::MintError;
use utoipa::openapi::{self, Content, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

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

/// The refusals that each endpoint can give, for the contract.
const REFUSALS: [(StatusCode, &str); 6] = [
    (StatusCode::BAD_REQUEST, "The request is not as it must be."),
    (StatusCode::UNAUTHORIZED, "The client is not recognised."),
    (StatusCode::PAYLOAD_TOO_LARGE, "The request is too large."),
    (
        StatusCode::TOO_MANY_REQUESTS,
        "Too many wrong credentials came from this source.",
    ),
    (StatusCode::INTERNAL_SERVER_ERROR, "The server made a mistake."),
    (StatusCode::SERVICE_UNAVAILABLE, "This node cannot answer now."),
];

impl IntoResponses for OAuthFail {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let refusal = |(status, description): (StatusCode, &str)| {
            let body = Content::new(Some(Ref::from_schema_name(OAuthError::name())));
            let response = ResponseBuilder::new()
                .description(description)
                .content("application/json", body);
            (status.as_str().to_owned(), response.build().into())
        };
        REFUSALS.into_iter().map(refusal).collect()
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

impl From<Fail> for OAuthFail {
    fn from(fail: Fail) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", fail.detail())
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
                Fail::from(refusal).into()
            }
        }
    }
}
