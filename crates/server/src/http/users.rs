//! Users: the people of the relying product, or the operators of Keyholt.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::key::Because;
use keyholt_api::owner::{AmendUser, CreateUser, User, UserPage};
use keyholt_api::page::PageRequest;
use keyholt_api::patch::Patch;
use keyholt_core::commit::{Record, Revision};
use keyholt_core::owner::{OwnerKind, Standing};

use super::body::{Json, json};
use super::condition::IfMatch;
use super::fail::Answer;
use super::openapi::{CauseParameter, IfMatchHeader};
use super::place::{InProject, OnOwner};
use super::query::Paged;
use super::records::{self, NoFilter, OnOwnerBecause};
use super::{Door, show};

/// List users
#[utoipa::path(get, path = "/v1/projects/{project}/users", operation_id = "list_users", tag = "Users", params(PageRequest),
    responses((status = 200, description = "A page of users, oldest first.", body = UserPage)))]
pub async fn list(State(door): State<Door>, at: InProject, page: Paged<NoFilter>) -> Answer<Response> {
    let (found, next_cursor) = records::page(&door, &at, OwnerKind::User, page).await?;
    let names = show::Called(&door.keeper);
    let user = |record: &std::sync::Arc<Record>| match record.as_ref() {
        Record::User(user) => Some(User::show(user, &names)),
        _ => None,
    };
    Ok(json(&UserPage {
        users: found.iter().filter_map(user).collect(),
        next_cursor,
    }))
}

/// Enrol a user
#[utoipa::path(post, path = "/v1/projects/{project}/users", operation_id = "create_user", tag = "Users", request_body = CreateUser,
    responses((status = 201, description = "The user.", body = User,
        headers(("Location" = String, description = "Where the user is.")))))]
pub async fn create(State(door): State<Door>, mut at: InProject, Json(body): Json<CreateUser>) -> Answer<Response> {
    let wish = body.read()?;
    at.actor.cause = wish.cause;
    let (id, created_at) = door.keeper.mint_user();
    let roles = records::roles_wished(&door, at.project, &wish.roles);
    let record = Record::User(keyholt_core::owner::User {
        id,
        project: at.project,
        external_id: wish.external_id,
        name: wish.name,
        email: wish.email,
        roles,
        standing: Standing::Good,
        metadata: wish.metadata,
        created_at,
        revision: Revision::FIRST,
    });
    records::enrol(&door, &at, record).await
}

/// Read a user
#[utoipa::path(get, path = "/v1/projects/{project}/users/{user}", operation_id = "show_user", tag = "Users",
    responses((status = 200, description = "The user.", body = User)))]
pub async fn read(State(door): State<Door>, on: OnOwner) -> Answer<Response> {
    records::read(&door, &on)
}

/// Amend a user
///
/// New roles hold for the user's keys at once.
#[utoipa::path(patch, path = "/v1/projects/{project}/users/{user}", operation_id = "amend_user", tag = "Users",
    params(IfMatchHeader), request_body = AmendUser,
    responses((status = 200, description = "The user as it is now.", body = User)))]
pub async fn amend(
    State(door): State<Door>,
    mut on: OnOwner,
    IfMatch(based_on): IfMatch,
    Json(body): Json<AmendUser>,
) -> Answer<Response> {
    let change = body.read()?;
    on.actor.cause.clone_from(&change.cause);
    let apply = |record: &mut Record| {
        if let Record::User(user) = record {
            user.external_id = change.external_id.clone().unwrap_or_else(|| user.external_id.clone());
            user.name = change.name.clone().unwrap_or_else(|| user.name.clone());
            user.email = match &change.email {
                Patch::Keep => user.email.take(),
                Patch::Clear => None,
                Patch::Set(email) => Some(email.clone()),
            };
            user.metadata = change.metadata.clone().unwrap_or_else(|| user.metadata.clone());
            if let Some(named) = &change.roles {
                user.roles = records::roles(&door, on.project, named);
            }
        }
        Ok(())
    };
    records::change(&door, &on, based_on, &apply).await
}

/// Remove a user
///
/// All the user's keys are revoked in the same breath; one enrolled later under the same name gets none of them.
#[utoipa::path(delete, path = "/v1/projects/{project}/users/{user}", operation_id = "delete_user", tag = "Users",
    params(IfMatchHeader, CauseParameter), responses((status = 204, description = "The user is gone.")))]
pub async fn delete(State(door): State<Door>, act: OnOwnerBecause) -> Answer<Response> {
    records::remove(&door, act).await
}

/// Suspend a user
///
/// All the user's keys stop at once.
#[utoipa::path(post, path = "/v1/projects/{project}/users/{user}/suspend", operation_id = "suspend_user", tag = "Users",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The user, suspended.", body = User)))]
pub async fn suspend(State(door): State<Door>, act: OnOwnerBecause) -> Answer<Response> {
    records::suspend(&door, act).await
}

/// Resume a user
///
/// All the user's keys work exactly as before.
#[utoipa::path(post, path = "/v1/projects/{project}/users/{user}/resume", operation_id = "resume_user", tag = "Users",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The user, in good standing.", body = User)))]
pub async fn resume(State(door): State<Door>, act: OnOwnerBecause) -> Answer<Response> {
    records::resume(&door, act).await
}
