//! Projects: found, list, read, change, suspend and resume them.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::key::Because;
use keyholt_api::page::PageRequest;
use keyholt_api::project::{AmendProject, CreateProject, Project, ProjectChange, ProjectPage};
use keyholt_core::commit::Record;
use keyholt_core::id::{RoleId, SYSTEM};
use keyholt_core::project::{LogInPolicy, Policy, TokenPolicy};
use keyholt_store::RecordQuery;

use super::body::{Json, MaybeJson, json};
use super::condition::IfMatch;
use super::cursor::List;
use super::fail::Answer;
use super::openapi::IfMatchHeader;
use super::place::{Caller, InProject, NOBODY};
use super::query::Paged;
use super::records::NoFilter;
use super::{Door, show};
use crate::keeper;

/// List projects
///
/// All of them for operators; to anybody else there is only their own.
#[utoipa::path(get, path = "/v1/projects", operation_id = "list_projects", tag = "Projects", params(PageRequest),
    responses((status = 200, description = "A page of projects, oldest first.", body = ProjectPage)))]
pub async fn list(State(door): State<Door>, Caller(actor): Caller, page: Paged<NoFilter>) -> Answer<Response> {
    let list = List::new("list_projects", SYSTEM, &page.filter);
    let query = RecordQuery {
        handle_prefix: None,
        after: list.open(&door.keeper, page.cursor.as_deref())?,
        limit: page.limit,
    };
    let found = door.keeper.projects(&actor, query).await?;
    let project = |record: &std::sync::Arc<Record>| match record.as_ref() {
        Record::Project(project) => Some(Project::show(project, &show::Called(&door.keeper))),
        _ => None,
    };
    Ok(json(&ProjectPage {
        projects: found.entries.iter().filter_map(project).collect(),
        next_cursor: found.next.map(|after| list.seal(&door.keeper, after)),
    }))
}

/// Create a project
#[utoipa::path(post, path = "/v1/projects", operation_id = "create_project", tag = "Projects", request_body = CreateProject,
    responses((status = 201, description = "The project.", body = Project,
        headers(("Location" = String, description = "Where the project is.")))))]
pub async fn create(
    State(door): State<Door>,
    Caller(mut actor): Caller,
    Json(body): Json<CreateProject>,
) -> Answer<Response> {
    let (charter, cause) = body.read()?;
    actor.cause = cause;
    let project = door.keeper.found_project(&actor, charter).await?;
    let location = format!("/v1/projects/{}", project.id);
    let shown = Project::show(&project, &show::Called(&door.keeper));
    Ok(show::made(&location, &shown, shown.revision))
}

/// Read a project
#[utoipa::path(get, path = "/v1/projects/{project}", operation_id = "show_project", tag = "Projects",
    responses((status = 200, description = "The project.", body = Project)))]
pub async fn read(State(door): State<Door>, at: InProject) -> Answer<Response> {
    let project = door.keeper.project(&at.actor, at.project)?;
    Ok(shown(&door, &project))
}

/// Amend a project
///
/// A new policy holds for what is done from now on; keys that exist keep the expiry that they have.
#[utoipa::path(patch, path = "/v1/projects/{project}", operation_id = "amend_project", tag = "Projects",
    params(IfMatchHeader), request_body = AmendProject,
    responses((status = 200, description = "The project as it is now.", body = Project)))]
pub async fn amend(
    State(door): State<Door>,
    mut at: InProject,
    IfMatch(based_on): IfMatch,
    Json(body): Json<AmendProject>,
) -> Answer<Response> {
    let change = body.read()?;
    at.actor.cause.clone_from(&change.cause);
    let apply = |before: &keyholt_core::project::Project| keeper::ProjectChange {
        slug: change.slug.clone(),
        name: change.name.clone(),
        policy: Some(policy(&door, &at, before.policy.clone(), &change)),
    };
    let project = door
        .keeper
        .change_project_with(&at.actor, at.project, &apply, based_on)
        .await?;
    Ok(shown(&door, &project))
}

fn policy(door: &Door, at: &InProject, before: Policy, change: &ProjectChange) -> Policy {
    let role = |named: &keyholt_api::reference::Reference| {
        let role = door.keeper.role_named(at.project, &named.to_string());
        // One that does not exist is refused by the keeper, after it has asked for leave.
        role.map_or(RoleId::from_uuid(NOBODY), |role| role.id)
    };
    let default_roles = change
        .default_roles
        .as_ref()
        .map(|roles| roles.iter().map(role).collect());
    Policy {
        tokens: TokenPolicy {
            algorithm: change.token_algorithm.unwrap_or(before.tokens.algorithm),
            rotation: change.signing_key_rotation.unwrap_or(before.tokens.rotation),
            default_lifetime: change.token_default_lifetime.unwrap_or(before.tokens.default_lifetime),
            longest_lifetime: change.token_longest_lifetime.unwrap_or(before.tokens.longest_lifetime),
            audience: change.token_audience.clone().unwrap_or(before.tokens.audience),
            claims: change.token_claims.clone().unwrap_or(before.tokens.claims),
        },
        prefix: change.prefix.clone().unwrap_or(before.prefix),
        default_lifetime: change.default_lifetime.unwrap_or(before.default_lifetime),
        longest_lifetime: change.longest_lifetime.unwrap_or(before.longest_lifetime),
        owners: change.owners.clone().unwrap_or(before.owners),
        keys_per_owner: change.keys_per_owner.unwrap_or(before.keys_per_owner),
        scopes: change.scopes.clone().unwrap_or(before.scopes),
        default_grace: change.default_grace.unwrap_or(before.default_grace),
        longest_grace: change.longest_grace.unwrap_or(before.longest_grace),
        default_roles: default_roles.unwrap_or(before.default_roles),
        log_in: LogInPolicy {
            idle: change.session_idle.unwrap_or(before.log_in.idle),
            longest: change.session_longest.unwrap_or(before.log_in.longest),
            password_chars_min: change.password_chars_min.unwrap_or(before.log_in.password_chars_min),
        },
    }
}

/// Suspend a project
///
/// All its keys stop at once.
#[utoipa::path(post, path = "/v1/projects/{project}/suspend", operation_id = "suspend_project", tag = "Projects",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The project, suspended.", body = Project)))]
pub async fn suspend(
    State(door): State<Door>,
    mut at: InProject,
    IfMatch(based_on): IfMatch,
    MaybeJson(body): MaybeJson<Because>,
) -> Answer<Response> {
    at.actor.cause = body.read()?;
    let project = door
        .keeper
        .suspend_project(&at.actor, at.project, None, based_on)
        .await?;
    Ok(shown(&door, &project))
}

/// Resume a project
///
/// Its keys work exactly as before.
#[utoipa::path(post, path = "/v1/projects/{project}/resume", operation_id = "resume_project", tag = "Projects",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The project, in good standing.", body = Project)))]
pub async fn resume(
    State(door): State<Door>,
    mut at: InProject,
    IfMatch(based_on): IfMatch,
    MaybeJson(body): MaybeJson<Because>,
) -> Answer<Response> {
    at.actor.cause = body.read()?;
    let project = door
        .keeper
        .resume_project(&at.actor, at.project, None, based_on)
        .await?;
    Ok(shown(&door, &project))
}

fn shown(door: &Door, project: &keyholt_core::project::Project) -> Response {
    let shown = Project::show(project, &show::Called(&door.keeper));
    show::record(&shown, shown.revision)
}
