//! Failures as Datalayer's services write them: `{"success": false, "message": "text"}`.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::http::{Fail, body};

/// The whole answer.
pub fn say(fail: &Fail) -> Response {
    let code = fail.code();
    let faults = fail.faults().entries();
    let errors: Vec<Value> = faults
        .iter()
        .map(|fault| json!({ "field": fault.field, "message": fault.detail }))
        .collect();
    let told: Vec<String> = faults
        .iter()
        .map(|fault| format!("`{}` {}", fault.field, fault.detail))
        .collect();
    let message = if told.is_empty() {
        fail.detail()
    } else {
        told.join("; ")
    };
    let mut answer = json!({ "success": false, "message": message });
    if let Some(members) = answer.as_object_mut()
        && !errors.is_empty()
    {
        members.insert("errors".to_owned(), Value::Array(errors));
    }
    let mut response = body::json(&answer);
    *response.status_mut() = StatusCode::from_u16(code.entry().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.into_response()
}
