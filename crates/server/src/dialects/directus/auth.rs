//! `/auth`: log-in, refresh and log-out of people.
//!
//! | mode | the session is | `refresh` and `logout` show |
//! |---|---|---|
//! | `session` | in the cookie `directus_session_token`, looked up on every request | that cookie |

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::header::ORIGIN;
use http::request::Parts;
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_core::key::Key;
use keyholt_core::password::{LOGIN_CHARS_MAX, Typed};
use keyholt_core::scope::Access;
use keyholt_core::session::{Mode as SessionMode, Wish};
use keyholt_core::text::{Email, Name};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::answer;
use super::body::{object, payload};
use super::credential::SESSION_COOKIE;
use crate::dialects::Desk;
use crate::dialects::caller::From;
use crate::dialects::reading::Body;
use crate::http::Fail;
use crate::http::cookie::{self, SEC_FETCH_SITE};
use crate::http::fail::Answer;

/// How a session is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Session,
}

/// Logs somebody in with an e-mail address and a password.
pub async fn log_in(State(desk): State<Desk>, From(source): From, body: Body) -> Answer<Response> {
    let mut body = object(&body)?;
    let mode = mode(&mut body)?;
    let (email, password) = credentials(&mut body)?;
    let wish = Wish {
        access: Access::Everything,
        mode: match mode {
            Mode::Session => SessionMode::Cookie,
        },
        name: Name::new("Directus").map_err(|error| Faults::one("mode", error))?,
    };
    let logged_in = desk
        .keeper
        .log_in(desk.project()?, &email, &password, wish, source)
        .await?;
    in_cookie(&desk, &logged_in.session, &logged_in.secret.reveal())
}

/// Prolongs a session.
pub async fn refresh(
    State(desk): State<Desk>,
    From(source): From,
    Cookies(cookies): Cookies,
    body: Body,
) -> Answer<Response> {
    let mut body = object(&body)?;
    match mode(&mut body)? {
        Mode::Session => {
            let session = cookies.session.ok_or_else(nothing_shown)?;
            check_home(&desk, &session).await?;
            let prolonged = desk.keeper.prolong_session(&session, source).await?;
            in_cookie(&desk, &prolonged, &session)
        }
    }
}

/// Ends a session. One that is over already is no error.
pub async fn log_out(
    State(desk): State<Desk>,
    From(source): From,
    Cookies(cookies): Cookies,
    body: Body,
) -> Answer<Response> {
    let mut body = object(&body)?;
    let mut response = answer::nothing();
    match mode(&mut body)? {
        Mode::Session => {
            let session = cookies.session.ok_or_else(nothing_shown)?;
            if check_home(&desk, &session).await.is_ok() {
                desk.keeper.log_out(&session, source).await?;
            }
            cookie::clear_named(response.headers_mut(), SESSION_COOKIE);
        }
    }
    Ok(response)
}

/// The cookies that show a session, where the browser says that the page is ours.
pub struct Cookies(Shown);

struct Shown {
    session: Option<Zeroizing<String>>,
}

impl FromRequestParts<Desk> for Cookies {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Fail> {
        let session = in_cookies(parts, desk, SESSION_COOKIE)?;
        Ok(Self(Shown { session }))
    }
}

/// What a cookie shows.
///
/// SECURITY: browsers send it along whoever asks, and say who does. What is no browser says nothing and is asked by
/// nobody: the client's own programs.
pub fn in_cookies(parts: &Parts, desk: &Desk, name: &str) -> Answer<Option<Zeroizing<String>>> {
    let Some(secret) = cookie::named(&parts.headers, name)? else {
        return Ok(None);
    };
    if parts.headers.contains_key(ORIGIN) || parts.headers.contains_key(SEC_FETCH_SITE) {
        cookie::same_origin(parts, desk.settings.origin.as_deref())?;
    }
    Ok(Some(Zeroizing::new(secret.to_owned())))
}

/// SECURITY: a session of another project is nobody's here, and stays as it is.
async fn check_home(desk: &Desk, secret: &str) -> Answer<()> {
    match desk.keeper.home_of_session(secret).await? {
        Some(home) if home == desk.project()? => Ok(()),
        _ => Err(Fail::new(Code::SessionOver)),
    }
}

fn in_cookie(desk: &Desk, session: &Key, secret: &str) -> Answer<Response> {
    let now = desk.keeper.now();
    let left = session.expiry.at().map_or(0, |at| at.since(now).ms());
    let mut response = answer::one(Some(json!({ "expires": left })))?;
    cookie::set_named(response.headers_mut(), SESSION_COOKIE, secret, session.expiry, now);
    Ok(response)
}

fn mode(body: &mut Map<String, Value>) -> Answer<Mode> {
    match body.remove("mode") {
        Some(Value::String(word)) if word == "session" => Ok(Mode::Session),
        _ => {
            let reason = Reason(FaultCode::UnknownWord, "must be `session`".into());
            Err(Faults::one("mode", reason).into())
        }
    }
}

fn credentials(body: &mut Map<String, Value>) -> Answer<(String, Typed)> {
    let email = match body.remove("email") {
        Some(Value::String(email)) if email.chars().count() <= LOGIN_CHARS_MAX && Email::new(&email).is_ok() => email,
        _ => return Err(payload("email", "must be a valid email")),
    };
    let Some(Value::String(password)) = body.remove("password") else {
        return Err(payload("password", "is required"));
    };
    let password = Zeroizing::new(password);
    let typed = Typed::read(&password).map_err(|_| payload("password", "is not a password"))?;
    Ok((email, typed))
}

fn nothing_shown() -> Fail {
    payload("refresh_token", "is required in either the payload or cookie")
}
