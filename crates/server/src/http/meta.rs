//! What anybody may ask: whether the server lives, whether it can answer, and what it is.

use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use keyholt_api::meta::{Health, Meta};

use super::body::json;
use super::fail::Answer;
use super::{CONTRACT, Door};
use crate::clock::TOLERATED_SETBACK;

/// The version of this interface.
pub const API: &str = "v1";

fn well(clock_behind_s: Option<u64>) -> Response {
    json(&Health {
        status: "ok".to_owned(),
        clock_behind_s,
    })
}

/// Ask whether the server lives
#[utoipa::path(get, path = "/livez", operation_id = "livez", tag = "Meta",
    responses((status = 200, description = "It lives.", body = Health)))]
pub async fn livez() -> Response {
    well(None)
}

/// Ask whether requests can be answered
///
/// The store answers, and this node's view of the keys is young enough.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "Meta",
    responses((status = 200, description = "They can.", body = Health)))]
pub async fn readyz(State(door): State<Door>) -> Answer<Response> {
    door.keeper.ready().await?;
    let behind = door.keeper.clock_behind();
    let is_set_back = behind > TOLERATED_SETBACK;
    Ok(well(is_set_back.then_some(behind.as_secs())))
}

/// Ask what the server is
#[utoipa::path(get, path = "/v1/meta", operation_id = "meta", tag = "Meta",
    responses((status = 200, description = "Its version.", body = Meta)))]
pub async fn meta() -> Response {
    json(&Meta {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        api: API.to_owned(),
    })
}

/// Read this document
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "Meta",
    responses((status = 200, description = "The OpenAPI document.", content_type = "application/json", body = Object)))]
pub async fn openapi() -> Response {
    let mut response = Response::new(CONTRACT.into());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
