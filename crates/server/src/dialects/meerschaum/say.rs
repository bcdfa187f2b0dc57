//! Failures as FastAPI writes them: `{"detail": "text"}`, and a list of places where members of the request are wrong.

use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use keyholt_api::code::Code;
use keyholt_api::fault::Fault;
use serde_json::{Value, json};

use crate::http::{Fail, body};

/// The whole answer.
pub fn say(fail: &Fail) -> Response {
    let code = fail.code();
    let status = match code {
        // FastAPI calls a body that is not JSON unprocessable too.
        Code::MalformedJson | Code::TooDeep | Code::DuplicateMember => 422,
        code => code.entry().status,
    };
    let detail = if status == 422 {
        Value::Array(complaints(fail))
    } else {
        Value::String(text(fail))
    };
    let mut response = body::json(&json!({ "detail": detail }));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == 401 {
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response.into_response()
}

fn text(fail: &Fail) -> String {
    match fail.code() {
        Code::NoSuchRoute => "Not Found".to_owned(),
        Code::MethodNotAllowed => "Method Not Allowed".to_owned(),
        Code::InsufficientScope => match fail.missing() {
            Some(scope) => format!("Missing required scope: '{scope}'"),
            None => fail.detail(),
        },
        Code::CredentialRequired => "Not authenticated.".to_owned(),
        Code::InvalidCredential if fail.is_bare() => "Invalid or revoked token.".to_owned(),
        _ => fail.detail(),
    }
}

/// One entry for each member that is wrong; one for the body where no member is named.
fn complaints(fail: &Fail) -> Vec<Value> {
    let complaint = |fault: &Fault| {
        let place = fault.field.split('.').filter(|step| !step.is_empty());
        let loc: Vec<&str> = ["body"].into_iter().chain(place).collect();
        json!({ "type": fault.code, "loc": loc, "msg": fault.detail })
    };
    let faults = fail.faults().entries();
    if faults.is_empty() {
        vec![json!({ "type": fail.code().as_str(), "loc": ["body"], "msg": fail.detail() })]
    } else {
        faults.iter().map(complaint).collect()
    }
}
