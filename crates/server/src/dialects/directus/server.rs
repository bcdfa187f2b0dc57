//! What a Directus server tells about itself, and its dice.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use keyholt_api::code::Code;
use keyholt_core::actor::{Actor, ReadProject, Subject};
use serde_json::{Value, json};

use super::answer;
use super::query::{Asked, invalid};
use crate::dialects::Desk;
use crate::dialects::caller::Caller;
use crate::http::Fail;
use crate::http::fail::Answer;

/// The characters of a random string, 64 of them: each byte of the random source gives one without bias.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
/// The length of a random string that is asked for without one.
const LENGTH_DEFAULT: i64 = 32;
/// The longest random string.
const LENGTH_MAX: i64 = 500;

/// Whether anybody is there.
pub async fn ping() -> Response {
    "pong".into_response()
}

/// What everybody may know.
pub async fn info() -> Answer<Response> {
    answer::one(Some(json!({
        "project": { "project_name": "Keyholt", "public_registration": false, "public_registration_verify_email": false },
    })))
}

/// Whether the server can answer; for those who may read the project.
pub async fn health(State(desk): State<Desk>, caller: Caller) -> Answer<Response> {
    let leave = Actor::may::<ReadProject>(&caller.actor, caller.project, Subject::Project);
    leave.map_err(|_| Fail::new(Code::InsufficientScope))?;
    desk.keeper.ready().await?;
    let mut response = crate::http::body::json(&json!({ "status": "ok" }));
    let health = HeaderValue::from_static("application/health+json");
    response.headers_mut().insert(CONTENT_TYPE, health);
    Ok(response)
}

/// Other ways to log in: there are none.
pub async fn providers() -> Response {
    crate::http::body::json(&json!({ "data": [], "disableDefault": false }))
}

/// Random characters for a token that the client makes itself.
pub async fn random_string(State(desk): State<Desk>, asked: Asked) -> Answer<Response> {
    let length = asked.number("length", 1)?.unwrap_or(LENGTH_DEFAULT);
    if length > LENGTH_MAX {
        return Err(invalid("`length` must be 1 to 500"));
    }
    let mut bytes = vec![0u8; usize::try_from(length).unwrap_or_default()];
    desk.keeper.mint(|_, entropy| entropy.fill(&mut bytes));
    let symbol = |byte: &u8| ALPHABET.get(usize::from(byte % 64)).copied().map(char::from);
    let text: String = bytes.iter().filter_map(symbol).collect();
    answer::one(Some(Value::from(text)))
}
