//! What verifiers who check tokens by themselves read every few seconds: the status list of an issuer.

use axum::extract::State;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response as Reply};
use keyholt_api::oauth::StatusLists;

use super::metadata::{named, root};
use crate::http::{Door, Fail, ProjectWord, json};
use crate::keeper::{Issuer, STATUS_TTL, status_uri};

/// The media type of a signed list.
const STATUS_LIST_TYPE: &str = "application/statuslist+jwt";

/// Read the issuer's status list
///
/// A signed list as the IETF's Token Status List has it: what became of the keys behind access tokens that are not over yet.
/// Two bits for each place; `status.status_list.idx` in a token says which place is its own. 0 is good, 1 dead, 2 suspended,
/// 3 means that something changed and that whoever has to know must ask. Keep it as long as `ttl` says.
#[utoipa::path(get, path = "/status-list", operation_id = "oauth_status_list", tag = "OAuth",
    responses((status = 200, description = "The list.", body = String, content_type = "application/statuslist+jwt")))]
pub async fn root_status_list(State(door): State<Door>) -> Result<Response, Fail> {
    let issuer = root(&door)?;
    status_list(&door, &issuer).await
}

/// Read the status list of a project as an issuer
#[utoipa::path(get, path = "/projects/{project}/status-list", operation_id = "oauth_project_status_list", tag = "OAuth",
    responses((status = 200, description = "The list.", body = String, content_type = "application/statuslist+jwt")))]
pub async fn project_status_list(
    State(door): State<Door>,
    ProjectWord(project): ProjectWord,
) -> Result<Response, Fail> {
    let issuer = named(&door, &project)?;
    status_list(&door, &issuer).await
}

/// Read which status lists the issuer has
#[utoipa::path(get, path = "/status-lists", operation_id = "oauth_status_lists", tag = "OAuth",
    responses((status = 200, description = "The lists.", body = StatusLists)))]
pub async fn root_status_lists(State(door): State<Door>) -> Result<Response, Fail> {
    let issuer = root(&door)?;
    Ok(status_lists(&issuer))
}

/// Read which status lists a project has as an issuer
#[utoipa::path(get, path = "/projects/{project}/status-lists", operation_id = "oauth_project_status_lists", tag = "OAuth",
    responses((status = 200, description = "The lists.", body = StatusLists)))]
pub async fn project_status_lists(
    State(door): State<Door>,
    ProjectWord(project): ProjectWord,
) -> Result<Response, Fail> {
    let issuer = named(&door, &project)?;
    Ok(status_lists(&issuer))
}

async fn status_list(door: &Door, issuer: &Issuer) -> Result<Response, Fail> {
    let list = door.keeper.status_list(issuer).await?;
    let mut answer = Reply::new(axum::body::Body::from(list.to_string()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(STATUS_LIST_TYPE));
    keep(&mut answer);
    Ok(answer)
}

fn status_lists(issuer: &Issuer) -> Response {
    // Who signed nothing yet has no token about, and no list.
    let signed = (!issuer.has_no_key()).then(|| status_uri(issuer));
    let mut answer = json(&StatusLists {
        status_lists: signed.into_iter().collect(),
    });
    keep(&mut answer);
    answer
}

fn keep(answer: &mut Response) {
    let value = format!("public, max-age={}", STATUS_TTL.ms() / 1_000);
    if let Ok(value) = HeaderValue::try_from(value) {
        answer.headers_mut().insert(CACHE_CONTROL, value);
    }
}
