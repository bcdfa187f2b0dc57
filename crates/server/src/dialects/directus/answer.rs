//! Answers: what is found is in `data`.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyholt_api::code::Code;
use serde::Serialize;
use serde_json::Value;

use crate::http::Fail;
use crate::http::body;
use crate::http::fail::Answer;

/// What every answer is inside of.
#[derive(Serialize)]
struct Found<T> {
    data: T,
}

/// One thing.
pub fn one(found: Option<Value>) -> Answer<Response> {
    let data = found.ok_or_else(|| Fail::new(Code::Internal))?;
    Ok(body::json(&Found { data }))
}

/// Several things.
pub fn list(found: Vec<Value>) -> Answer<Response> {
    Ok(body::json(&Found { data: found }))
}

/// Nothing to tell.
pub fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
