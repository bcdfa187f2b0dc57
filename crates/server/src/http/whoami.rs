//! What a key may know and do about itself, by possession alone.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::key::{Because, Key};
use keyholt_api::project::ProjectName;
use keyholt_api::reference::Names;
use keyholt_api::whoami::Whoami;
use keyholt_core::scope::Scope;
use keyholt_core::text::Cause;

use super::body::{MaybeJson, json};
use super::fail::{Answer, Fail};
use super::place::Caller;
use super::{Door, show};

/// The cause of a revocation whose holder gives none.
const BY_HOLDER: &str = "revoked by its holder";

/// Read the presented key
///
/// What the key is, whom it acts for and what it may do now. Needs no scope.
#[utoipa::path(get, path = "/v1/self", operation_id = "whoami", tag = "Self",
    responses((status = 200, description = "The key about itself.", body = Whoami)))]
pub async fn read(State(door): State<Door>, Caller(actor): Caller) -> Answer<Response> {
    let view = door.keeper.own_key(&actor).await?;
    let slug = door.keeper.own_project_slug(&actor);
    Ok(json(&Whoami {
        key: show::key(&door.keeper, &view),
        owner: show::Called(&door.keeper).owner_name(actor.owner),
        effective_scopes: actor.effective.iter().map(Scope::to_string).collect(),
        project: ProjectName {
            id: actor.home,
            slug: slug.map(|slug| slug.to_string()).unwrap_or_default(),
        },
    }))
}

/// Revoke the presented key
///
/// Possession is leave enough to end a key. Needs no scope.
#[utoipa::path(post, path = "/v1/self/revoke", operation_id = "revoke_self", tag = "Self", request_body = Option<Because>,
    responses((status = 200, description = "The key, revoked.", body = Key)))]
pub async fn revoke(
    State(door): State<Door>,
    Caller(actor): Caller,
    MaybeJson(body): MaybeJson<Because>,
) -> Answer<Response> {
    let cause = match body.read()? {
        Some(cause) => cause,
        None => Cause::new(BY_HOLDER).map_err(|error| Fail::from(keyholt_api::fault::Faults::one("cause", error)))?,
    };
    let view = door.keeper.revoke_own_key(&actor, cause).await?;
    Ok(show::record(
        &show::key(&door.keeper, &view),
        view.key.revision.number(),
    ))
}
