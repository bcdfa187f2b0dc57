//! Answers: what is found is in `data`.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keyholt_api::code::Code;
use serde_json::{Value, json};

use crate::http::Fail;
use crate::http::body;
use crate::http::fail::Answer;

/// One thing.
pub fn one(found: Option<Value>) -> Answer<Response> {
    let found = found.ok_or_else(|| Fail::new(Code::Internal))?;
    Ok(body::json(&json!({ "data": found })))
}

/// Several things.
pub fn list(found: Vec<Value>) -> Answer<Response> {
    Ok(body::json(&json!({ "data": found })))
}

/// Nothing to tell.
pub fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
