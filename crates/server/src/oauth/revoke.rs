//! Revocation (RFC 7009): a client ends what it was given, and a person what a log-in gave.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyholt_api::oauth::IntrospectionRequest;

use super::client::Posted;
use super::fail::OAuthFail;
use crate::http::Door;

/// Revoke a token
///
/// As RFC 7009 has it: an access token of the client's own is refused from now on, long before its end; the client's own
/// secret revokes the key. Unknown tokens and those of others are answered alike, and stay as they are.
///
/// What a person got by logging in is ended by whoever holds it, without a client's authentication: an access token for
/// itself, and with the newest refresh token the session and all that hangs on it.
#[utoipa::path(post, path = "/oauth/revoke", operation_id = "oauth_revoke", tag = "OAuth",
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "It is not good any more, or never was."),
        OAuthFail,
    ))]
pub async fn revoke(State(door): State<Door>, posted: Posted) -> Result<Response, OAuthFail> {
    let caller = posted.maybe_client(&door.keeper)?;
    let token = posted.form.need("token")?;
    door.keeper.revoke_shown(caller.as_ref(), token, posted.source).await?;
    Ok(StatusCode::OK.into_response())
}
