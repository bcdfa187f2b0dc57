//! Introspection (RFC 7662): whether something is good now, and what it may do.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::oauth::{Acting, Introspection, IntrospectionRequest};
use keyholt_core::time::Moment;

use super::client::Posted;
use super::fail::OAuthFail;
use crate::http::{Door, json};
use crate::keeper::{Introspected, ShownAs};

/// Ask about a token
///
/// As RFC 7662 has it, for access tokens, refresh tokens and keys. A client is told about its own; one with the scope
/// `keyholt:verify` about all of its project. Whatever is not good, or not the caller's to know of, is `active: false` and
/// nothing else. A refresh token opens no door: of its `scope` nothing is said, and its `token_type` is not `Bearer`.
#[utoipa::path(post, path = "/oauth/introspect", operation_id = "oauth_introspect", tag = "OAuth",
    request_body(content = IntrospectionRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Whether it is good, and what it may do.", body = Introspection),
        OAuthFail,
    ))]
pub async fn introspect(State(door): State<Door>, posted: Posted) -> Result<Response, OAuthFail> {
    let caller = posted.client(&door.keeper)?;
    let token = posted.form.need("token")?;
    let told = door.keeper.introspect(&caller, token, shown).await?;
    Ok(json(&told.unwrap_or_default()))
}

/// What is known, in the words of the RFC.
pub fn shown(told: &Introspected<'_>) -> Introspection {
    let seconds = |at: Moment| at.ms() / 1_000;
    let (token, is_refresh) = match told.shown {
        ShownAs::Token(token) => (Some(token), false),
        ShownAs::Secret => (None, false),
        ShownAs::Refresh => (None, true),
    };
    Introspection {
        active: true,
        // SECURITY: a service that was shown a refresh token where an access token belongs finds nothing to go by.
        scope: (!is_refresh).then(|| told.scope.to_string()),
        client_id: Some(told.key.to_string()),
        username: Some(told.owner_handle.to_owned()),
        token_type: Some(if is_refresh { "refresh_token" } else { "Bearer" }.to_owned()),
        exp: told.expiry.at().map(seconds),
        iat: token.map(|token| seconds(token.issued_at)),
        sub: Some(token.map_or_else(|| told.key.to_string(), |token| token.subject.clone())),
        aud: token.map(|token| token.audience.to_string()),
        iss: Some(told.issuer.to_owned()),
        jti: token.map(|token| token.id.to_string()),
        act: token.and_then(|token| acting(&token.actors)),
        project: Some(told.project.to_string()),
        owner_kind: Some(told.owner.kind().as_str().to_owned()),
        owner_id: Some(told.owner.uuid().to_string()),
    }
}

fn acting(actors: &[String]) -> Option<Acting> {
    let (latest, before) = actors.split_first()?;
    Some(Acting {
        sub: latest.clone(),
        act: acting(before).map(Box::new),
    })
}
