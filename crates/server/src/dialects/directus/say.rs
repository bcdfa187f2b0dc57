//! Failures in Directus' words: `{"errors": [{"message": "…", "extensions": {"code": "…", …}}]}`.

use axum::response::Response;
use http::StatusCode;
use keyholt_api::code::Code;
use keyholt_api::fault::{Fault, FaultCode};
use serde_json::{Value, json};

use super::person::COLLECTION;
use crate::http::Fail;
use crate::http::body;

/// One error: its status, code and message, and what else it tells.
struct Told {
    status: u16,
    code: &'static str,
    message: String,
    more: Value,
}

/// The whole answer. Several members that are wrong are several errors; the first gives the status.
pub fn say(fail: &Fail) -> Response {
    let faults = fail.faults().entries();
    let told: Vec<Told> = if faults.is_empty() {
        vec![whole(fail)]
    } else {
        faults.iter().map(|fault| member(fail.code(), fault)).collect()
    };
    let status = told.first().map_or(500, |first| first.status);
    let errors: Vec<Value> = told.into_iter().map(error).collect();
    let mut response = body::json(&json!({ "errors": errors }));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn error(told: Told) -> Value {
    let mut extensions = told.more;
    extensions["code"] = Value::from(told.code);
    json!({ "message": told.message, "extensions": extensions })
}

fn told(status: u16, code: &'static str, message: impl Into<String>, more: Value) -> Told {
    Told {
        status,
        code,
        message: message.into(),
        more,
    }
}

/// A failure that is not about one member of the request.
fn whole(fail: &Fail) -> Told {
    let detail = fail.detail();
    let reason = json!({ "reason": detail });
    let plain = || json!({});
    match fail.code() {
        Code::CredentialRequired
        | Code::InsufficientScope
        | Code::BeyondOwnRights
        | Code::FreshLogInRequired
        | Code::NotFound
        | Code::LastOperator
        | Code::CrossSite
        | Code::SystemProject => told(403, "FORBIDDEN", "You don't have permission to access this.", reason),
        Code::InvalidCredential | Code::SetupTokenInvalid | Code::LogInRefused | Code::SessionOver => {
            told(401, "INVALID_CREDENTIALS", "Invalid user credentials.", plain())
        }
        Code::AddressNotAllowed => told(401, "INVALID_IP", "Invalid IP address.", plain()),
        Code::MalformedRequest | Code::InvalidCursor | Code::UnknownParameter => {
            told(400, "INVALID_QUERY", format!("Invalid query. {detail}."), reason)
        }
        Code::MultipleCredentials => told(
            400,
            "INVALID_PAYLOAD",
            "The request uses more than one method for including an access token",
            json!({ "reason": "The request uses more than one method for including an access token" }),
        ),
        Code::NoSuchRoute => told(404, "ROUTE_NOT_FOUND", "Route doesn't exist.", plain()),
        Code::MethodNotAllowed => told(405, "METHOD_NOT_ALLOWED", "Method not allowed.", plain()),
        Code::HandleTaken | Code::SecretTaken | Code::StaticKeyExists => unique("email"),
        Code::TooManyKeys => told(403, "LIMIT_EXCEEDED", detail, json!({ "category": "keys" })),
        Code::BodyTooLarge => told(413, "CONTENT_TOO_LARGE", detail, plain()),
        Code::UnsupportedMediaType => told(415, "UNSUPPORTED_MEDIA_TYPE", detail, plain()),
        Code::TooManyRequests => told(429, "REQUESTS_EXCEEDED", "Too many requests, retry later.", plain()),
        Code::Internal | Code::Tampered => told(500, "INTERNAL_SERVER_ERROR", "An unexpected error occurred.", plain()),
        Code::PasswordTooShort | Code::PasswordGuessable => {
            let more = json!({ "field": "password", "path": ["password"], "type": "custom", "reason": detail });
            let message = format!("Validation failed for field \"password\". {detail}.");
            told(400, "FAILED_VALIDATION", message, more)
        }
        code if code.entry().status >= 500 => told(
            503,
            "SERVICE_UNAVAILABLE",
            format!("Service \"api\" is unavailable. {detail}."),
            reason,
        ),
        code if code.entry().status == 409 => told(
            503,
            "SERVICE_UNAVAILABLE",
            format!("Service \"api\" is unavailable. {detail}."),
            reason,
        ),
        _ => told(400, "INVALID_PAYLOAD", format!("Invalid payload. {detail}."), reason),
    }
}

/// What is wrong with one member of the request. What it held is never repeated.
fn member(code: Code, fault: &Fault) -> Told {
    let Fault {
        field,
        code: word,
        detail,
    } = fault;
    if matches!(code, Code::HandleTaken | Code::SecretTaken | Code::StaticKeyExists) {
        return unique(field);
    }
    let is = |known: FaultCode| *word == known.as_str();
    let named = if field.is_empty() {
        detail.clone()
    } else {
        format!("\"{field}\" {detail}")
    };
    if is(FaultCode::UnknownMember) {
        let reason = format!(
            "You don't have permission to access field \"{field}\" in collection \"{COLLECTION}\" or it does not exist."
        );
        return told(403, "FORBIDDEN", reason.clone(), json!({ "reason": reason }));
    }
    if is(FaultCode::Required) || is(FaultCode::WrongType) || is(FaultCode::NotNull) || is(FaultCode::Duplicate) {
        return told(
            400,
            "INVALID_PAYLOAD",
            format!("Invalid payload. {named}."),
            json!({ "reason": named }),
        );
    }
    let place = json!({ "collection": COLLECTION, "field": field });
    if is(FaultCode::NotFound) {
        return told(
            400,
            "INVALID_FOREIGN_KEY",
            format!("Invalid foreign key for field \"{field}\"."),
            place,
        );
    }
    if is(FaultCode::TooMuch) {
        return told(
            400,
            "VALUE_TOO_LONG",
            format!("Value for field \"{field}\" is too long: it {detail}."),
            place,
        );
    }
    let more = json!({ "field": field, "path": [field], "type": word, "reason": detail });
    told(
        400,
        "FAILED_VALIDATION",
        format!("Validation failed for field {named}."),
        more,
    )
}

/// SECURITY: the original repeats the value; whoever has guessed somebody's token would be told so by name.
fn unique(field: &str) -> Told {
    told(
        400,
        "RECORD_NOT_UNIQUE",
        format!("Value for field \"{field}\" in collection \"{COLLECTION}\" has to be unique."),
        json!({ "collection": COLLECTION, "field": field }),
    )
}
