//! Roles: make, list, read, change and delete them.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::key::Because;
use keyholt_api::page::PageRequest;
use keyholt_api::role::{AmendRole, CreateRole, Role, RolePage, RoleWish};
use keyholt_core::commit::Record;
use keyholt_store::RecordQuery;

use super::body::{Json, json};
use super::condition::IfMatch;
use super::cursor::List;
use super::fail::Answer;
use super::openapi::{CauseParameter, IfMatchHeader};
use super::place::{InProject, OnRole};
use super::query::{Paged, Query};
use super::records::NoFilter;
use super::{Door, show};
use crate::keeper;

/// List roles
#[utoipa::path(get, path = "/v1/projects/{project}/roles", operation_id = "list_roles", tag = "Roles", params(PageRequest),
    responses((status = 200, description = "A page of roles, oldest first.", body = RolePage)))]
pub async fn list(State(door): State<Door>, at: InProject, page: Paged<NoFilter>) -> Answer<Response> {
    let list = List::new("list_roles", at.project, &page.filter);
    let query = RecordQuery {
        handle_prefix: None,
        after: list.open(&door.keeper, page.cursor.as_deref())?,
        limit: page.limit,
    };
    let found = door.keeper.roles(&at.actor, at.project, query).await?;
    let role = |record: &std::sync::Arc<Record>| match record.as_ref() {
        Record::Role(role) => Some(Role::show(role)),
        _ => None,
    };
    Ok(json(&RolePage {
        roles: found.entries.iter().filter_map(role).collect(),
        next_cursor: found.next.map(|after| list.seal(&door.keeper, after)),
    }))
}

/// Create a role
///
/// Nobody can put more into a role than they have themselves.
#[utoipa::path(post, path = "/v1/projects/{project}/roles", operation_id = "create_role", tag = "Roles",
    request_body = CreateRole,
    responses((status = 201, description = "The role.", body = Role,
        headers(("Location" = String, description = "Where the role is.")))))]
pub async fn create(State(door): State<Door>, mut at: InProject, Json(body): Json<CreateRole>) -> Answer<Response> {
    let RoleWish {
        name,
        description,
        scopes,
        cause,
    } = body.read()?;
    at.actor.cause = cause;
    let role = door.keeper.new_role(at.project, name, description, scopes);
    let role = Role::show(&door.keeper.make_role(&at.actor, role).await?);
    let location = format!("/v1/projects/{}/roles/{}", at.project, role.id);
    Ok(show::made(&location, &role, role.revision))
}

/// Read a role
#[utoipa::path(get, path = "/v1/projects/{project}/roles/{role}", operation_id = "show_role", tag = "Roles",
    responses((status = 200, description = "The role.", body = Role)))]
pub async fn read(State(door): State<Door>, on: OnRole) -> Answer<Response> {
    let role = door.keeper.role(&on.actor, on.project, &on.role.to_string())?;
    Ok(shown(&role))
}

/// Amend a role
///
/// Whoever holds it has the new scopes at once.
#[utoipa::path(patch, path = "/v1/projects/{project}/roles/{role}", operation_id = "amend_role", tag = "Roles",
    params(IfMatchHeader), request_body = AmendRole,
    responses((status = 200, description = "The role as it is now.", body = Role)))]
pub async fn amend(
    State(door): State<Door>,
    mut on: OnRole,
    IfMatch(based_on): IfMatch,
    Json(body): Json<AmendRole>,
) -> Answer<Response> {
    let change = body.read()?;
    on.actor.cause = change.cause;
    let change = keeper::RoleChange {
        name: change.name,
        description: change.description,
        scopes: change.scopes,
    };
    let role = door
        .keeper
        .change_role(&on.actor, on.project, on.role, change, based_on)
        .await?;
    Ok(shown(&role))
}

/// Delete a role
///
/// Only one that nobody holds.
#[utoipa::path(delete, path = "/v1/projects/{project}/roles/{role}", operation_id = "delete_role", tag = "Roles",
    params(IfMatchHeader, CauseParameter), responses((status = 204, description = "The role is gone.")))]
pub async fn delete(
    State(door): State<Door>,
    mut on: OnRole,
    IfMatch(based_on): IfMatch,
    Query(because): Query<Because>,
) -> Answer<Response> {
    on.actor.cause = because.read()?;
    door.keeper
        .remove_role(&on.actor, on.project, on.role, based_on)
        .await?;
    Ok(show::nothing())
}

fn shown(role: &keyholt_core::role::Role) -> Response {
    let role = Role::show(role);
    show::record(&role, role.revision)
}
