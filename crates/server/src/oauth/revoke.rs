//! Revocation (RFC 7009): a client ends what it was given.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use keyholt_api::oauth::{IntrospectionRequest, OAuthError};

use super::client::client;
use super::fail::OAuthFail;
use super::form::Form;
use crate::http::{Door, Whence};

/// Revoke a token
///
/// As RFC 7009 has it: an access token of the client's own is refused from now on, long before its end; the client's own
/// secret revokes the key. Unknown tokens and those of others are answered alike, and stay as they are.
#[utoipa::path(post, path = "/oauth/revoke", operation_id = "oauth_revoke", tag = "OAuth",
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is not good any more, or never was."),
        (status = 400, description = "The request is not as it must be.", body = OAuthError),
        (status = 401, description = "The client is not recognised.", body = OAuthError),
        (status = 413, description = "The request is too large.", body = OAuthError),
        (status = 429, description = "Too many wrong credentials came from this source.", body = OAuthError),
        (status = 500, description = "The server made a mistake.", body = OAuthError),
        (status = 503, description = "This node cannot answer now.", body = OAuthError),
    ))]
pub async fn revoke(
    State(door): State<Door>,
    Whence(source): Whence,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthFail> {
    let caller = client(&door.keeper, &headers, &form, &source)?;
    let token = form.need("token")?;
    door.keeper.revoke_shown(&caller, token, source).await?;
    Ok(StatusCode::OK.into_response())
}
