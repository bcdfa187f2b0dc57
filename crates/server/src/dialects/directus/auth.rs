//! `/auth`: log-in, refresh and log-out of people.
//!
//! | mode | the session is | `refresh` and `logout` show |
//! |---|---|---|
//! | `json` | a refresh token in the answer, with an access token of some minutes | the refresh token |
//! | `cookie` | the same, with the refresh token in the cookie `directus_refresh_token` | that cookie |
//! | `session` | in the cookie `directus_session_token`, looked up on every request | that cookie |
//!
//! A refresh token is good once. One that was used up before ends its session, and with it all its access tokens.

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::header::ORIGIN;
use http::request::Parts;
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_core::key::Key;
use keyholt_core::password::{LOGIN_CHARS_MAX, Typed};
use keyholt_core::scope::Access;
use keyholt_core::secret::Secret;
use keyholt_core::session::{Mode as SessionMode, Wish};
use keyholt_core::text::{Audience, Email, Name};
use keyholt_core::token::{Subject, TokenWish, Wished};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::answer;
use super::body::{object, payload};
use super::credential::{REFRESH_COOKIE, SESSION_COOKIE};
use crate::dialects::Desk;
use crate::dialects::caller::From;
use crate::dialects::reading::Body;
use crate::http::Fail;
use crate::http::cookie::{self, SEC_FETCH_SITE};
use crate::http::fail::Answer;
use crate::keeper::{LoggedIn, Refreshed};

/// How a session is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Json,
    Cookie,
    Session,
}

/// Logs somebody in with an e-mail address and a password.
pub async fn log_in(State(desk): State<Desk>, From(source): From, body: Body) -> Answer<Response> {
    let mut body = object(&body)?;
    let mode = mode(&mut body)?.unwrap_or(Mode::Json);
    let (email, password) = credentials(&mut body)?;
    let wish = Wish {
        access: Access::Everything,
        mode: match mode {
            Mode::Json | Mode::Cookie => SessionMode::Tokens,
            Mode::Session => SessionMode::Cookie,
        },
        name: Name::new("Directus").map_err(|error| Faults::one("mode", error))?,
    };
    let logged_in = desk
        .keeper
        .log_in(desk.project()?, &email, &password, wish, source)
        .await?;
    let LoggedIn { session, secret, .. } = logged_in;
    match mode {
        Mode::Session => in_cookie(&desk, &session, &secret.reveal()),
        Mode::Json | Mode::Cookie => in_tokens(&desk, mode, &session, secret).await,
    }
}

/// Prolongs a session: with a fresh access token and the next refresh token, or in its cookie.
pub async fn refresh(
    State(desk): State<Desk>,
    From(source): From,
    Cookies(cookies): Cookies,
    body: Body,
) -> Answer<Response> {
    let (mode, secret) = shown(&mut object(&body)?, cookies)?;
    check_home(&desk, &secret).await?;
    match mode {
        Mode::Session => {
            let prolonged = desk.keeper.prolong_session(&secret, source).await?;
            in_cookie(&desk, &prolonged, &secret)
        }
        Mode::Json | Mode::Cookie => {
            let Refreshed { session, secret } = desk.keeper.refresh(&secret, source).await?;
            in_tokens(&desk, mode, &session, secret).await
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
    let (mode, secret) = shown(&mut object(&body)?, cookies)?;
    if check_home(&desk, &secret).await.is_ok() {
        desk.keeper.log_out(&secret, source).await?;
    }
    let mut response = answer::nothing();
    match mode {
        Mode::Json => {}
        Mode::Cookie => cookie::clear_named(response.headers_mut(), REFRESH_COOKIE),
        Mode::Session => cookie::clear_named(response.headers_mut(), SESSION_COOKIE),
    }
    Ok(response)
}

/// The cookies that show a session, where the browser says that the page is ours.
pub struct Cookies(InCookies);

struct InCookies {
    refresh: Option<Zeroizing<String>>,
    session: Option<Zeroizing<String>>,
}

impl FromRequestParts<Desk> for Cookies {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Fail> {
        Ok(Self(InCookies {
            refresh: in_cookies(parts, desk, REFRESH_COOKIE)?,
            session: in_cookies(parts, desk, SESSION_COOKIE)?,
        }))
    }
}

/// The secret that shows a session, and in which mode.
fn shown(body: &mut Map<String, Value>, cookies: InCookies) -> Answer<(Mode, Zeroizing<String>)> {
    let in_body = match body.remove("refresh_token") {
        Some(Value::String(token)) => Some(Zeroizing::new(token)),
        None | Some(Value::Null) => None,
        Some(_) => return Err(payload("refresh_token", "must be text")),
    };
    let mode = match mode(body)? {
        Some(mode) => mode,
        None if in_body.is_some() => Mode::Json,
        None => Mode::Cookie,
    };
    let secret = match mode {
        Mode::Json => in_body,
        Mode::Cookie => cookies.refresh,
        Mode::Session => cookies.session,
    };
    let told = || payload("refresh_token", "is required in either the payload or cookie");
    Ok((mode, secret.ok_or_else(told)?))
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

/// A session with an access token of it, as the client wants to see them.
async fn in_tokens(desk: &Desk, mode: Mode, session: &Key, secret: Secret) -> Answer<Response> {
    let issuer = desk
        .keeper
        .issuer(session.project)
        .ok_or_else(|| Fail::new(Code::Internal))?;
    let wish = TokenWish {
        scopes: Wished::All,
        // Here and nowhere else: for whom the project's tokens are otherwise is not asked.
        audience: Some(Audience::new(&issuer.name).map_err(|error| Faults::one("audience", error))?),
        lifetime: None,
        subject: Subject::Owner,
        actors: Vec::new(),
    };
    let parent = desk
        .keeper
        .parent_of(session.id)
        .ok_or_else(|| Fail::new(Code::SessionOver))?;
    let access = desk.keeper.mint_token(&parent, wish).await?;
    let now = desk.keeper.now();
    let expires = access.token.expires_at.since(now).ms().div_ceil(1_000) * 1_000;
    let refresh = secret.reveal();
    let mut response = answer::one(Some(match mode {
        Mode::Cookie | Mode::Session => json!({ "expires": expires, "access_token": *access.text }),
        Mode::Json => json!({ "expires": expires, "access_token": *access.text, "refresh_token": *refresh }),
    }))?;
    if mode == Mode::Cookie {
        cookie::set_named(response.headers_mut(), REFRESH_COOKIE, &refresh, session.expiry, now);
    }
    Ok(response)
}

/// A session in its cookie.
fn in_cookie(desk: &Desk, session: &Key, secret: &str) -> Answer<Response> {
    let now = desk.keeper.now();
    let seconds = session.expiry.at().map_or(0, |at| at.since(now).ms().div_ceil(1_000));
    let mut response = answer::one(Some(json!({ "expires": seconds * 1_000 })))?;
    cookie::set_named(response.headers_mut(), SESSION_COOKIE, secret, session.expiry, now);
    Ok(response)
}

fn mode(body: &mut Map<String, Value>) -> Answer<Option<Mode>> {
    match body.remove("mode") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) if word == "json" => Ok(Some(Mode::Json)),
        Some(Value::String(word)) if word == "cookie" => Ok(Some(Mode::Cookie)),
        Some(Value::String(word)) if word == "session" => Ok(Some(Mode::Session)),
        Some(_) => {
            let reason = Reason(FaultCode::UnknownWord, "must be `json`, `cookie` or `session`".into());
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
