//! Teams: groups of people that have keys of their own, and who belongs to them.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::key::Because;
use keyholt_api::owner::{AmendTeam, CreateTeam, PutMember, Team, TeamPage};
use keyholt_api::page::PageRequest;
use keyholt_core::commit::{Record, Revision};
use keyholt_core::owner::{OwnerKind, Standing};

use super::body::{Json, json};
use super::condition::IfMatch;
use super::fail::Answer;
use super::openapi::{CauseParameter, IfMatchHeader};
use super::place::{InProject, OnMember, OnOwner};
use super::query::{Paged, Query};
use super::records::{self, NoFilter, OnOwnerBecause};
use super::{Door, show};
use crate::keeper::MembershipChange;

/// List teams
#[utoipa::path(get, path = "/v1/projects/{project}/teams", operation_id = "list_teams", tag = "Teams", params(PageRequest),
    responses((status = 200, description = "A page of teams, oldest first.", body = TeamPage)))]
pub async fn list(State(door): State<Door>, at: InProject, page: Paged<NoFilter>) -> Answer<Response> {
    let (found, next_cursor) = records::page(&door, &at, OwnerKind::Team, page).await?;
    let names = show::Called(&door.keeper);
    let team = |record: &std::sync::Arc<Record>| match record.as_ref() {
        Record::Team(team) => Some(Team::show(team, &names)),
        _ => None,
    };
    Ok(json(&TeamPage {
        teams: found.iter().filter_map(team).collect(),
        next_cursor,
    }))
}

/// Enrol a team
///
/// Members are put into it one by one.
#[utoipa::path(post, path = "/v1/projects/{project}/teams", operation_id = "create_team", tag = "Teams", request_body = CreateTeam,
    responses((status = 201, description = "The team.", body = Team,
        headers(("Location" = String, description = "Where the team is.")))))]
pub async fn create(State(door): State<Door>, mut at: InProject, Json(body): Json<CreateTeam>) -> Answer<Response> {
    let wish = body.read()?;
    at.actor.cause = wish.cause;
    let (id, created_at) = door.keeper.mint_team();
    let roles = records::roles_wished(&door, at.project, &wish.roles);
    let record = Record::Team(keyholt_core::owner::Team {
        id,
        project: at.project,
        external_id: wish.external_id,
        name: wish.name,
        roles,
        members: Vec::new(),
        standing: Standing::Good,
        metadata: wish.metadata,
        created_at,
        revision: Revision::FIRST,
    });
    records::enrol(&door, &at, record).await
}

/// Read a team
#[utoipa::path(get, path = "/v1/projects/{project}/teams/{team}", operation_id = "show_team", tag = "Teams",
    responses((status = 200, description = "The team.", body = Team)))]
pub async fn read(State(door): State<Door>, on: OnOwner) -> Answer<Response> {
    records::read(&door, &on)
}

/// Amend a team
///
/// New roles hold for the team's keys at once.
#[utoipa::path(patch, path = "/v1/projects/{project}/teams/{team}", operation_id = "amend_team", tag = "Teams",
    params(IfMatchHeader), request_body = AmendTeam,
    responses((status = 200, description = "The team as it is now.", body = Team)))]
pub async fn amend(
    State(door): State<Door>,
    mut on: OnOwner,
    IfMatch(based_on): IfMatch,
    Json(body): Json<AmendTeam>,
) -> Answer<Response> {
    let change = body.read()?;
    on.actor.cause.clone_from(&change.cause);
    let apply = |record: &mut Record| {
        if let Record::Team(team) = record {
            team.external_id = change.external_id.clone().unwrap_or_else(|| team.external_id.clone());
            team.name = change.name.clone().unwrap_or_else(|| team.name.clone());
            team.metadata = change.metadata.clone().unwrap_or_else(|| team.metadata.clone());
            if let Some(named) = &change.roles {
                team.roles = records::roles(&door, on.project, named);
            }
        }
        Ok(())
    };
    records::change(&door, &on, based_on, &apply).await
}

/// Remove a team
///
/// All the team's keys are revoked in the same breath; one enrolled later under the same name gets none of them.
#[utoipa::path(delete, path = "/v1/projects/{project}/teams/{team}", operation_id = "delete_team", tag = "Teams",
    params(IfMatchHeader, CauseParameter), responses((status = 204, description = "The team is gone.")))]
pub async fn delete(State(door): State<Door>, act: OnOwnerBecause) -> Answer<Response> {
    records::remove(&door, act).await
}

/// Suspend a team
///
/// All the team's keys stop at once.
#[utoipa::path(post, path = "/v1/projects/{project}/teams/{team}/suspend", operation_id = "suspend_team", tag = "Teams",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The team, suspended.", body = Team)))]
pub async fn suspend(State(door): State<Door>, act: OnOwnerBecause) -> Answer<Response> {
    records::suspend(&door, act).await
}

/// Resume a team
///
/// All the team's keys work exactly as before.
#[utoipa::path(post, path = "/v1/projects/{project}/teams/{team}/resume", operation_id = "resume_team", tag = "Teams",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The team, in good standing.", body = Team)))]
pub async fn resume(State(door): State<Door>, act: OnOwnerBecause) -> Answer<Response> {
    records::resume(&door, act).await
}

/// Give a user a place in a team
///
/// Puts the user in, or changes what a member may do with the team's keys.
#[utoipa::path(put, path = "/v1/projects/{project}/teams/{team}/members/{user}", operation_id = "put_member", tag = "Teams", request_body = PutMember,
    responses((status = 200, description = "The team as it is now.", body = Team)))]
pub async fn put_member(State(door): State<Door>, mut on: OnMember, Json(body): Json<PutMember>) -> Answer<Response> {
    let (right, cause) = body.read()?;
    on.actor.cause = cause;
    member(&door, &on, MembershipChange::Put(right)).await
}

/// Take a user out of a team
///
/// What the member could manage ends at once; the team's keys stay.
#[utoipa::path(delete, path = "/v1/projects/{project}/teams/{team}/members/{user}", operation_id = "delete_member", tag = "Teams",
    params(CauseParameter), responses((status = 200, description = "The team as it is now.", body = Team)))]
pub async fn delete_member(
    State(door): State<Door>,
    mut on: OnMember,
    Query(because): Query<Because>,
) -> Answer<Response> {
    on.actor.cause = because.read()?;
    member(&door, &on, MembershipChange::Remove).await
}

async fn member(door: &Door, on: &OnMember, change: MembershipChange) -> Answer<Response> {
    let record = door
        .keeper
        .change_membership(&on.actor, on.project, on.team, on.user, change)
        .await?;
    records::as_it_is(door, &record)
}
