//! Failures as Stack Auth's clients know them: known errors, whose code stands in a header too, and plain text for the rest.

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use keyholt_api::code::Code;
use keyholt_core::audit::Noun;
use serde_json::{Value, json};

use super::shape;
use crate::http::Fail;
use crate::http::body;
use crate::keeper::Refusal;

/// The header that makes a failure a known one, by its new name and by the name that clients before 2.8.108 read.
pub const KNOWN_ERROR: [HeaderName; 2] = [
    HeaderName::from_static("x-hexclave-known-error"),
    HeaderName::from_static("x-stack-known-error"),
];

/// What a handler says instead of an answer.
#[derive(Debug)]
pub enum Complaint {
    /// An error with a code that the clients know.
    Known(Known),
    /// A text, which makes the clients throw.
    Plain(StatusCode, String),
    /// A failure that is told in the same words wherever it happens.
    Fail(Fail),
}

/// An error with a code that the clients know. They throw when `details` lacks what they expect of the code.
#[derive(Debug)]
pub struct Known {
    code: &'static str,
    status: StatusCode,
    text: String,
    details: Option<Value>,
}

/// What a handler returns.
pub type Answer<T> = Result<T, Complaint>;

macro_rules! known {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:ident, $text:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name() -> Complaint {
            Complaint::Known(Known { code: $code, status: StatusCode::$status, text: $text.to_owned(), details: None })
        }
    )*};
}

known! {
    /// No such key, or none that the caller may know of.
    api_key_not_found = "API_KEY_NOT_FOUND", NOT_FOUND, "API key not found.";
    /// The key's time is over.
    api_key_expired = "API_KEY_EXPIRED", UNAUTHORIZED, "API key has expired.";
    /// Keys that everybody may see are not revoked by whoever finds them.
    public_api_key = "PUBLIC_API_KEY_CANNOT_BE_REVOKED", BAD_REQUEST, "Public API keys cannot be revoked by the secretscanner endpoint.";
    /// No such user.
    user_not_found = "USER_NOT_FOUND", NOT_FOUND, "User not found.";
    /// Nobody is signed in: this is how the clients learn it.
    no_own_user = "CANNOT_GET_OWN_USER_WITHOUT_USER", BAD_REQUEST, "You have specified 'me' as a userId, but did not provide authentication for a user.";
    /// Nobody is signed in, where somebody must be.
    user_required = "USER_AUTHENTICATION_REQUIRED", UNAUTHORIZED, "User authentication required for this endpoint.";
    /// The access token is none of ours, or not good any more; the clients then refresh it.
    bad_access_token = "UNPARSABLE_ACCESS_TOKEN", UNAUTHORIZED, "Access token is not parsable.";
    /// The session is over.
    bad_refresh_token = "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED", UNAUTHORIZED, "Refresh token not found for this project, or the session has expired/been revoked.";
    /// Which of the two is wrong is not said.
    wrong_password = "EMAIL_PASSWORD_MISMATCH", BAD_REQUEST, "Wrong e-mail or password.";
    /// The old password is not right.
    passwords_differ = "PASSWORD_CONFIRMATION_MISMATCH", BAD_REQUEST, "Passwords do not match.";
    /// Nobody signs up here by themselves.
    no_sign_up = "SIGN_UP_NOT_ENABLED", FORBIDDEN, "Creation of new accounts is not enabled for this project. Please ask the project owner to enable it.";
    /// A request that does not say on which level it is made.
    access_type_required = "ACCESS_TYPE_REQUIRED", BAD_REQUEST, "You must specify an access level for this Stack project. Make sure project API keys are provided (eg. x-stack-publishable-client-key) and you set the x-stack-access-type header to 'client', 'server', or 'admin'.";
    /// A key without the level that it is for.
    key_without_access_type = "PROJECT_KEY_WITHOUT_ACCESS_TYPE", BAD_REQUEST, "Either an API key or an admin access token was provided, but the x-stack-access-type header is missing. Set it to 'client', 'server', or 'admin' as appropriate.";
}

fn detailed(code: &'static str, status: StatusCode, text: String, details: Value) -> Complaint {
    Complaint::Known(Known {
        code,
        status,
        text,
        details: Some(details),
    })
}

/// The request is not of the form that it must have.
pub fn schema(message: impl Into<String>) -> Complaint {
    let message = message.into();
    detailed(
        "SCHEMA_ERROR",
        StatusCode::BAD_REQUEST,
        message.clone(),
        json!({ "message": message }),
    )
}

/// The key was stopped, for good or for a time; or whoever it acts for was. The clients know one word for all of these.
pub fn api_key_stopped(text: &str) -> Complaint {
    Complaint::Known(Known {
        code: "API_KEY_REVOKED",
        status: StatusCode::UNAUTHORIZED,
        text: text.to_owned(),
        details: None,
    })
}

/// A user's key where a team's is asked for, or the other way round.
pub fn wrong_api_key_type(expected: &str, actual: &str) -> Complaint {
    detailed(
        "WRONG_API_KEY_TYPE",
        StatusCode::BAD_REQUEST,
        format!("This endpoint is for {expected} API keys, but a {actual} API key was provided."),
        json!({ "expected_type": expected, "actual_type": actual }),
    )
}

/// No such team.
pub fn team_not_found(team: &str) -> Complaint {
    let shown = shape::excerpt(team);
    detailed(
        "TEAM_NOT_FOUND",
        StatusCode::NOT_FOUND,
        format!("Team {shown} not found."),
        json!({ "team_id": shown }),
    )
}

/// The user does not belong to the team.
pub fn membership_not_found(team: &str, user: &str) -> Complaint {
    let (team, user) = (shape::excerpt(team), shape::excerpt(user));
    detailed(
        "TEAM_MEMBERSHIP_NOT_FOUND",
        StatusCode::NOT_FOUND,
        format!("User {user} is not found in team {team}."),
        json!({ "team_id": team, "user_id": user }),
    )
}

/// A permission that is not one of Keyholt's.
pub fn permission_not_found(permission: &str) -> Complaint {
    let shown = shape::excerpt(permission);
    detailed(
        "PERMISSION_NOT_FOUND",
        StatusCode::NOT_FOUND,
        format!("Permission \"{shown}\" not found. Here, team permissions are `$manage_api_keys`."),
        json!({ "permission_id": shown }),
    )
}

/// Another user has that address.
pub fn email_taken(email: &str) -> Complaint {
    detailed(
        "USER_EMAIL_ALREADY_EXISTS",
        StatusCode::CONFLICT,
        "A user with this email already exists".to_owned(),
        json!({ "email": email, "would_work_if_email_was_verified": false }),
    )
}

/// Shorter than the project's policy has it.
fn password_too_short(least: u16) -> Complaint {
    detailed(
        "PASSWORD_TOO_SHORT",
        StatusCode::BAD_REQUEST,
        format!("Password too short. Minimum length is {least}."),
        json!({ "min_length": least }),
    )
}

/// The access token's time is over; the clients then refresh it.
pub fn access_token_expired(at_millis: i64) -> Complaint {
    detailed(
        "ACCESS_TOKEN_EXPIRED",
        StatusCode::UNAUTHORIZED,
        "Access token has expired. Please refresh it and try again.".to_owned(),
        json!({ "expired_at_millis": at_millis, "project_id": null, "user_id": null, "refresh_token_id": null }),
    )
}

/// Not one of the three levels.
pub fn invalid_access_type(given: &str) -> Complaint {
    let shown = shape::excerpt(given);
    detailed(
        "INVALID_ACCESS_TYPE",
        StatusCode::BAD_REQUEST,
        format!("The x-stack-access-type header must be 'client', 'server', or 'admin', but was '{shown}'."),
        json!({ "accessType": shown }),
    )
}

/// A level without the project that it is about.
pub fn no_project(access_type: &str) -> Complaint {
    detailed(
        "ACCESS_TYPE_WITHOUT_PROJECT_ID",
        StatusCode::BAD_REQUEST,
        format!(
            "The x-stack-access-type header was '{access_type}', but the x-stack-project-id header was not provided."
        ),
        json!({ "request_type": access_type }),
    )
}

/// Not the project that is spoken of here.
pub fn project_not_found(given: &str) -> Complaint {
    let shown = shape::excerpt(given);
    detailed(
        "CURRENT_PROJECT_NOT_FOUND",
        StatusCode::BAD_REQUEST,
        format!(
            "The current project with ID {shown} was not found. Please check the value of the x-stack-project-id header."
        ),
        json!({ "project_id": shown }),
    )
}

/// The key that opens this level is missing or not good.
pub fn invalid_project_key(code: &'static str, key: &str, project: &str) -> Complaint {
    detailed(
        code,
        StatusCode::UNAUTHORIZED,
        format!("The {key} is not valid for the project \"{project}\". Does the project and/or the key exist?"),
        json!({ "project_id": project }),
    )
}

/// The request is made on a level that does not reach that far.
pub fn insufficient_access_type(actual: &str, allowed: &[&str]) -> Complaint {
    let words: Vec<String> = allowed.iter().map(|word| format!("'{word}'")).collect();
    detailed(
        "INSUFFICIENT_ACCESS_TYPE",
        StatusCode::UNAUTHORIZED,
        format!(
            "The x-stack-access-type header must be {}, but was '{actual}'.",
            words.join(" or ")
        ),
        json!({ "actual_access_type": actual, "allowed_access_types": allowed }),
    )
}

/// A text that makes the clients throw.
pub fn plain(status: StatusCode, text: impl Into<String>) -> Complaint {
    Complaint::Plain(status, text.into())
}

impl From<Fail> for Complaint {
    fn from(fail: Fail) -> Self {
        Self::Fail(fail)
    }
}

impl From<Refusal> for Complaint {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound(Noun::Key) => api_key_not_found(),
            Refusal::NotFound(Noun::User) => user_not_found(),
            Refusal::PasswordTooShort { least } => password_too_short(least),
            refusal => Self::Fail(refusal.into()),
        }
    }
}

impl IntoResponse for Complaint {
    fn into_response(self) -> Response {
        match self {
            Self::Known(known) => known.into_response(),
            Self::Plain(status, text) => text_response(status, text),
            Self::Fail(fail) => fail.into_response(),
        }
    }
}

impl IntoResponse for Known {
    fn into_response(self) -> Response {
        let mut told = json!({ "code": self.code, "error": self.text });
        if let (Some(details), Some(members)) = (self.details, told.as_object_mut()) {
            members.insert("details".to_owned(), details);
        }
        let mut response = body::json(&told);
        *response.status_mut() = self.status;
        for name in KNOWN_ERROR {
            response.headers_mut().insert(name, HeaderValue::from_static(self.code));
        }
        response
    }
}

/// A failure that is told in the same words wherever it happens: wrong members are a schema error, all else is plain text.
pub fn say(fail: &Fail) -> Response {
    let code = fail.code();
    let status = StatusCode::from_u16(code.entry().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let faults = fail.faults().entries();
    match code {
        Code::MalformedJson | Code::TooDeep | Code::DuplicateMember => Complaint::Known(Known {
            code: "BODY_PARSING_ERROR",
            status: StatusCode::BAD_REQUEST,
            text: fail.detail(),
            details: None,
        })
        .into_response(),
        _ if !faults.is_empty() => {
            let told: Vec<String> = faults
                .iter()
                .map(|fault| format!("{} {}", fault.field, fault.detail))
                .collect();
            schema(told.join("; ")).into_response()
        }
        _ => text_response(status, fail.detail()),
    }
}

fn text_response(status: StatusCode, text: String) -> Response {
    let mut response = text.into_response();
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
