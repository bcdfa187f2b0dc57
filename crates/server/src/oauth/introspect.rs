//! Introspection (RFC 7662): whether something is good now, and what it may do.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use keyholt_api::oauth::{Introspection, IntrospectionRequest, OAuthError};
use keyholt_core::scope::Scope;
use keyholt_core::time::Moment;

use super::client::client;
use super::fail::OAuthFail;
use super::form::Form;
use crate::http::{Door, Whence, json};
use crate::keeper::Introspected;

/// Ask about a token
///
/// As RFC 7662 has it, for access tokens and for keys. A client is told about its own; one with the scope `keyholt:verify`
/// about all of its project. Whatever is not good, or not the caller's to know of, is `active: false` and nothing else.
#[utoipa::path(post, path = "/oauth/introspect", operation_id = "oauth_introspect", tag = "OAuth",
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Whether it is good, and what it may do.", body = Introspection),
        (status = 400, description = "The request is not as it must be.", body = OAuthError),
        (status = 401, description = "The client is not recognised.", body = OAuthError),
        (status = 413, description = "The request is too large.", body = OAuthError),
        (status = 429, description = "Too many wrong credentials came from this source.", body = OAuthError),
        (status = 500, description = "The server made a mistake.", body = OAuthError),
        (status = 503, description = "This node cannot answer now.", body = OAuthError),
    ))]
pub async fn introspect(
    State(door): State<Door>,
    Whence(source): Whence,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthFail> {
    let caller = client(&door.keeper, &headers, &form, &source)?;
    let token = form.need("token")?;
    let told = door.keeper.introspect(&caller, token);
    Ok(json(&told.map_or_else(Introspection::default, shown)))
}

fn shown(told: Introspected) -> Introspection {
    let seconds = |at: Moment| at.ms() / 1_000;
    let scopes: Vec<&str> = told.scopes.iter().map(Scope::as_str).collect();
    let token = told.token.as_deref();
    Introspection {
        active: true,
        scope: Some(scopes.join(" ")),
        client_id: Some(told.key.to_string()),
        username: Some(told.owner_handle),
        token_type: Some("Bearer".to_owned()),
        exp: told.expiry.at().map(seconds),
        iat: token.map(|token| seconds(token.issued_at)),
        sub: Some(token.map_or_else(|| told.key.to_string(), |token| token.subject.clone())),
        aud: token.map(|token| token.audience.to_string()),
        iss: Some(told.issuer),
        jti: token.map(|token| token.id.to_string()),
        project: Some(told.project.to_string()),
        owner_kind: Some(told.owner.kind().as_str().to_owned()),
        owner_id: Some(told.owner.uuid().to_string()),
    }
}
