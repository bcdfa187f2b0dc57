//! Services: machine accounts.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::key::Because;
use keyholt_api::owner::{AmendService, CreateService, Service, ServicePage};
use keyholt_api::page::PageRequest;
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

/// List services
#[utoipa::path(get, path = "/v1/projects/{project}/services", operation_id = "list_services", tag = "Services", params(PageRequest),
    responses((status = 200, description = "A page of services, oldest first.", body = ServicePage)))]
pub async fn list(State(door): State<Door>, at: InProject, page: Paged<NoFilter>) -> Answer<Response> {
    let (found, next_cursor) = records::page(&door, &at, OwnerKind::Service, page).await?;
    let names = show::Called(&door.keeper);
    let service = |record: &std::sync::Arc<Record>| match record.as_ref() {
        Record::Service(service) => Some(Service::show(service, &names)),
        _ => None,
    };
    Ok(json(&ServicePage {
        services: found.iter().filter_map(service).collect(),
        next_cursor,
    }))
}

/// Enrol a service
#[utoipa::path(post, path = "/v1/projects/{project}/services", operation_id = "create_service", tag = "Services", request_body = CreateService,
    responses((status = 201, description = "The service.", body = Service,
        headers(("Location" = String, description = "Where the service is.")))))]
pub async fn create(State(door): State<Door>, mut at: InProject, Json(body): Json<CreateService>) -> Answer<Response> {
    let wish = body.read()?;
    at.actor.cause = wish.cause;
    let (id, created_at) = door.keeper.mint_service();
    let roles = records::roles_wished(&door, at.project, &wish.roles);
    let record = Record::Service(keyholt_core::owner::Service {
        id,
        project: at.project,
        name: wish.name,
        description: wish.description,
        roles,
        standing: Standing::Good,
        metadata: wish.metadata,
        created_at,
        revision: Revision::FIRST,
    });
    records::enrol(&door, &at, record).await
}

/// Read a service
#[utoipa::path(get, path = "/v1/projects/{project}/services/{service}", operation_id = "show_service", tag = "Services",
    responses((status = 200, description = "The service.", body = Service)))]
pub async fn read(State(door): State<Door>, on: OnOwner) -> Answer<Response> {
    records::read(&door, &on)
}

/// Amend a service
///
/// New roles hold for the service's keys at once.
#[utoipa::path(patch, path = "/v1/projects/{project}/services/{service}", operation_id = "amend_service", tag = "Services",
    params(IfMatchHeader), request_body = AmendService,
    responses((status = 200, description = "The service as it is now.", body = Service)))]
pub async fn amend(
    State(door): State<Door>,
    mut on: OnOwner,
    IfMatch(based_on): IfMatch,
    Json(body): Json<AmendService>,
) -> Answer<Response> {
    let change = body.read()?;
    on.actor.cause.clone_from(&change.cause);
    let apply = |record: &mut Record| {
        if let Record::Service(service) = record {
            service.name = change.name.clone().unwrap_or_else(|| service.name.clone());
            service.description = change
                .description
                .clone()
                .unwrap_or_else(|| service.description.clone());
            service.metadata = change.metadata.clone().unwrap_or_else(|| service.metadata.clone());
            if let Some(named) = &change.roles {
                service.roles = records::roles(&door, on.project, named);
            }
        }
        Ok(())
    };
    records::change(&door, &on, based_on, &apply).await
}

/// Remove a service
///
/// All the service's keys are revoked in the same breath; one enrolled later under the same name gets none of them.
#[utoipa::path(delete, path = "/v1/projects/{project}/services/{service}", operation_id = "delete_service", tag = "Services",
    params(IfMatchHeader, CauseParameter), responses((status = 204, description = "The service is gone.")))]
pub async fn delete(State(door): State<Door>, act: OnOwnerBecause) -> Answer<Response> {
    records::remove(&door, act).await
}

/// Suspend a service
///
/// All the service's keys stop at once.
#[utoipa::path(post, path = "/v1/projects/{project}/services/{service}/suspend", operation_id = "suspend_service", tag = "Services",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The service, suspended.", body = Service)))]
pub async fn suspend(State(door): State<Door>, act: OnOwnerBecause) -> Answer<Response> {
    records::suspend(&door, act).await
}

/// Resume a service
///
/// All the service's keys work exactly as before.
#[utoipa::path(post, path = "/v1/projects/{project}/services/{service}/resume", operation_id = "resume_service", tag = "Services",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The service, in good standing.", body = Service)))]
pub async fn resume(State(door): State<Door>, act: OnOwnerBecause) -> Answer<Response> {
    records::resume(&door, act).await
}
