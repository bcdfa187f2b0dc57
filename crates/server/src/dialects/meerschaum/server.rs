//! What a Meerschaum instance tells about itself.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;

use crate::dialects::Desk;
use crate::http::body::json;
use crate::http::fail::Answer;

/// The version of Meerschaum whose protocol is spoken here.
const VERSION: &str = "4.1.7";

/// The version.
pub async fn version() -> Response {
    json(&VERSION)
}

/// Whether instances may be chained through this one: there is no instance behind it.
pub async fn chaining() -> Response {
    json(&false)
}

/// What there is. Counts are not told to strangers.
pub async fn info() -> Response {
    json(&json!({ "version": VERSION }))
}

/// Whether requests can be answered now.
pub async fn healthcheck(State(desk): State<Desk>) -> Answer<Response> {
    desk.keeper.ready().await?;
    Ok(json(&json!({ "success": true, "message": "Success" })))
}
