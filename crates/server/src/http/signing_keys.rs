//! Signing keys: list, rotate and withdraw them; and component sessions, which are signed with them.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keyholt_api::key::Because;
use keyholt_api::signing_key::{ComponentSession, SigningKey, SigningKeys, StartComponentSession, WithdrawSigningKey};
use keyholt_core::scope::Scope;

use super::Door;
use super::body::{Json, MaybeJson, json};
use super::fail::Answer;
use super::place::{InProject, Kid, owner_or_nobody};

/// List signing keys
#[utoipa::path(get, path = "/v1/projects/{project}/signing-keys", operation_id = "list_signing_keys", tag = "Signing keys",
    responses((status = 200, description = "The keys, oldest first.", body = SigningKeys)))]
pub async fn list(State(door): State<Door>, at: InProject) -> Answer<Response> {
    let keys = door.keeper.signing_keys(&at.actor, at.project)?;
    let now = door.keeper.now();
    Ok(json(&SigningKeys {
        signing_keys: keys.iter().map(|key| SigningKey::show(key, now)).collect(),
    }))
}

/// Make the next signing key
///
/// It is published at once and signs ten minutes later, when every verifier can know it. Where one is on its way already,
/// that one is the answer.
#[utoipa::path(post, path = "/v1/projects/{project}/signing-keys", operation_id = "rotate_signing_key", tag = "Signing keys",
    request_body = Option<Because>, responses((status = 200, description = "The key that signs next.", body = SigningKey)))]
pub async fn rotate(State(door): State<Door>, at: InProject, MaybeJson(body): MaybeJson<Because>) -> Answer<Response> {
    let cause = body.read()?;
    let key = door.keeper.rotate_signing_key(&at.actor, at.project, cause).await?;
    Ok(json(&SigningKey::show(&key, door.keeper.now())))
}

/// Withdraw a signing key
///
/// For a key that is in wrong hands. What it signed is refused here at once. Verifiers elsewhere believe it for as long as
/// they keep the key set: at most ten minutes, if they do as its `Cache-Control` says.
#[utoipa::path(post, path = "/v1/projects/{project}/signing-keys/{kid}/withdraw", operation_id = "withdraw_signing_key",
    tag = "Signing keys", request_body = WithdrawSigningKey,
    responses((status = 200, description = "The key, withdrawn.", body = SigningKey)))]
pub async fn withdraw(
    State(door): State<Door>,
    at: InProject,
    Kid(kid): Kid,
    Json(body): Json<WithdrawSigningKey>,
) -> Answer<Response> {
    let cause = body.read()?;
    let key = door
        .keeper
        .withdraw_signing_key(&at.actor, at.project, &kid, cause)
        .await?;
    Ok(json(&SigningKey::show(&key, door.keeper.now())))
}

/// Start a component session
///
/// A back end gets a short credential for one of its users or teams, and hands it to the page on which they manage their
/// keys. It may do no more than both of them, lives an hour at most, and dies with the back end's key.
#[utoipa::path(post, path = "/v1/projects/{project}/component-sessions", operation_id = "start_component_session",
    tag = "Component sessions", request_body = StartComponentSession,
    responses((status = 201, description = "The session.", body = ComponentSession)))]
pub async fn start_component(
    State(door): State<Door>,
    at: InProject,
    Json(body): Json<StartComponentSession>,
) -> Answer<Response> {
    let (owner, wish) = body.read()?;
    let owner = owner_or_nobody(&door, at.project, owner.kind, &owner.reference.to_string());
    let made = door
        .keeper
        .start_component_session(&at.actor, at.project, owner, wish)
        .await?;
    let mut answer = json(&ComponentSession {
        token: made.text.to_string(),
        scopes: made.token.scopes().iter().map(Scope::to_string).collect(),
        expires_at: made.token.expires_at,
    });
    *answer.status_mut() = StatusCode::CREATED;
    Ok(answer)
}
