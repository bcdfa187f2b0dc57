//! Signing in and out, and the tokens that the clients show meanwhile.
//!
//! What the clients call a refresh token is the secret of a session that is looked up and judged each time it is shown. It
//! stays the same, because they go on using the first one whatever they are given. Their access tokens are Keyholt's,
//! with the claims beside that each version of the clients asks for.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keyholt_api::code::Code;
use keyholt_api::secret::PresentedSecret;
use keyholt_core::actor::Source;
use keyholt_core::id::{KeyId, UserId};
use keyholt_core::owner::{Owner, User};
use keyholt_core::password::Typed;
use keyholt_core::scope::Access;
use keyholt_core::session::{Mode, Wish};
use keyholt_core::text::{Cause, Name};
use keyholt_core::time::Span;
use keyholt_core::token::{Subject, TokenWish, Wished};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::complaint::{self, Answer, Complaint};
use super::visitor::{Level, Visitor};
use super::{people, shape};
use crate::dialects::reading::{Body, Pairs};
use crate::dialects::{Desk, caller};
use crate::http::body;
use crate::keeper::{LoggedIn, Refusal, SessionView};

/// What people recognise a session by in the list of theirs.
const SESSION_NAME: &str = "Stack Auth's client";
/// The same of one that the application's server started for them.
const LENT_NAME: &str = "Stack Auth's server";
/// The same of one in which somebody else acts for them.
const IMPERSONATION_NAME: &str = "Stack Auth's server, impersonation";
/// How long a session lasts that the application's server starts without saying so: a year, as there. The project's log-in
/// policy says how long at most.
const LENT_MILLIS: f64 = 365.0 * 24.0 * 60.0 * 60.0 * 1000.0;
/// The longest wish that there is.
const LENT_MILLIS_MAX: f64 = 367.0 * 24.0 * 60.0 * 60.0 * 1000.0;

/// An address and a password.
#[derive(Deserialize)]
pub struct SignIn {
    email: String,
    password: PresentedSecret,
}

/// For whom the application's server starts a session. Who acts for somebody else may do no more and no less: the user sees
/// it in the list, and the trail tells with which key it was started.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loan {
    user_id: String,
    #[serde(default)]
    expires_in_millis: Option<f64>,
    #[serde(default)]
    is_impersonation: Option<bool>,
}

/// A new password, for whoever knows the old one.
#[derive(Deserialize)]
pub struct NewPassword {
    old_password: PresentedSecret,
    new_password: PresentedSecret,
}

/// Signs somebody in.
pub async fn sign_in(desk: Desk, visitor: Visitor, caller::From(source): caller::From, body: Body) -> Answer<Response> {
    let sent: SignIn = body.json()?;
    // What cannot be a password is nobody's.
    let typed = Typed::read(sent.password.expose()).map_err(|_| complaint::wrong_password())?;
    let wish = Wish {
        access: Access::Everything,
        mode: Mode::Cookie,
        name: Name::new(SESSION_NAME).map_err(people::refused("name"))?,
    };
    let keeper = &desk.keeper;
    let signed_in = keeper.log_in(visitor.project, &sent.email, &typed, wish, source).await;
    let signed_in = signed_in.map_err(|refusal| match refusal {
        Refusal::LogIn => complaint::wrong_password(),
        refusal => refusal.into(),
    })?;
    started(&desk, signed_in).await
}

/// Starts a session for a user, on behalf of the application's server. It may do what that server and the user both may.
pub async fn lend(desk: Desk, visitor: Visitor, body: Body) -> Answer<Response> {
    visitor.at_least(Level::Server)?;
    let Loan {
        user_id,
        expires_in_millis,
        is_impersonation,
    } = body.json()?;
    let lifetime = lifetime(expires_in_millis.unwrap_or(LENT_MILLIS))?;
    let user = people::named(&desk, &visitor, &user_id)?;
    let name = match is_impersonation {
        Some(true) => IMPERSONATION_NAME,
        Some(false) | None => LENT_NAME,
    };
    let name = Name::new(name).map_err(people::refused("name"))?;
    let keeper = &desk.keeper;
    let lent = keeper
        .lend_session(visitor.actor()?, visitor.project, user, (name, lifetime))
        .await?;
    started(&desk, lent).await
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
fn lifetime(millis: f64) -> Answer<Span> {
    if (1.0..=LENT_MILLIS_MAX).contains(&millis) {
        Ok(Span::millis(millis as u64))
    } else {
        Err(complaint::schema("expires_in_millis must be 1 to 31708800000"))
    }
}

/// A session that has just begun, with all that the clients need to go on with it.
async fn started(desk: &Desk, begun: LoggedIn) -> Answer<Response> {
    let access_token = access_token(desk, &begun.user, begun.session.id).await?;
    Ok(body::json(&json!({
        "access_token": *access_token,
        "refresh_token": *begun.secret.reveal(),
        "user_id": people::known(desk, begun.user.id),
    })))
}

/// A user's sessions, newest first.
pub async fn list(desk: Desk, visitor: Visitor, query: Pairs) -> Answer<Response> {
    let (user, word) =
        owner_of(&desk, &visitor, &query)?.ok_or_else(|| complaint::schema("user_id is missing in the query"))?;
    let sessions = desk
        .keeper
        .sessions(visitor.actor()?, visitor.project, Owner::User(user))
        .await?;
    let current = visitor.person().map(|(actor, _)| actor.key);
    let tell = |view: &SessionView| {
        let session = &view.session;
        json!({
            "id": session.id,
            "user_id": word,
            "created_at": session.created_at.ms(),
            "is_impersonation": session.about.name.as_str() == IMPERSONATION_NAME,
            "last_used_at": view.last_use.map_or(session.created_at, |last| last.last_at).ms(),
            "is_current_session": Some(session.id) == current,
        })
    };
    Ok(body::json(&shape::list(sessions.iter().map(tell).collect())))
}

/// Ends a session: of whoever is signed in, or anybody's for a server.
pub async fn end(desk: Desk, visitor: Visitor, id: String, query: Pairs) -> Answer<Response> {
    let id: KeyId = id
        .parse()
        .map_err(|_| complaint::plain(StatusCode::NOT_FOUND, NO_SESSION))?;
    let actor = visitor.actor()?;
    let owner = match owner_of(&desk, &visitor, &query)? {
        Some((user, _)) => Owner::User(user),
        None => desk
            .keeper
            .owner_of_session(actor, visitor.project, id)
            .await
            .map_err(no_session)?,
    };
    let cause = Cause::new("ended through Stack Auth's API").map_err(people::refused("cause"))?;
    let ended = desk.keeper.end_session(actor, visitor.project, owner, id, cause).await;
    ended.map_err(no_session)?;
    Ok(body::json(&json!({ "success": true })))
}

const NO_SESSION: &str = "Session not found.";

fn no_session(refusal: Refusal) -> Complaint {
    match refusal {
        Refusal::NotFound(_) => complaint::plain(StatusCode::NOT_FOUND, NO_SESSION),
        refusal => refusal.into(),
    }
}

/// Whose sessions a request is about, and the id by which the clients know them. A browser speaks of its own user's.
fn owner_of(desk: &Desk, visitor: &Visitor, query: &Pairs) -> Answer<Option<(UserId, Uuid)>> {
    let named = match (visitor.level, query.one("user_id")) {
        (Level::Client, None) => Some(people::named(desk, visitor, people::ME)?),
        (_, word) => word.map(|word| people::named(desk, visitor, word)).transpose()?,
    };
    if visitor.level == Level::Client && named != visitor.person().map(|(_, own)| own) {
        visitor.at_least(Level::Server)?;
    }
    Ok(named.map(|user| (user, people::known(desk, user))))
}

/// A fresh access token for whoever shows a session's secret, in the form that OAuth has.
pub async fn token(State(desk): State<Desk>, caller::From(source): caller::From, body: Body) -> Answer<Response> {
    let form = body.form();
    if form.one("grant_type") != Some("refresh_token") {
        return Err(complaint::schema("grant_type must be refresh_token"));
    }
    let client = form.one("client_id").unwrap_or_default();
    if desk.keeper.project_called(client) != Some(desk.project()?) {
        return Err(complaint::project_not_found(client));
    }
    let secret = form
        .one("refresh_token")
        .ok_or_else(|| complaint::schema("refresh_token is missing"))?;
    let access_token = refreshed(&desk, secret, source).await?;
    Ok(body::json(
        &json!({ "access_token": *access_token, "token_type": "bearer" }),
    ))
}

/// The same for whoever writes requests by hand: the secret is in a header.
pub async fn refresh(desk: Desk, visitor: Visitor, caller::From(source): caller::From) -> Answer<Response> {
    let secret = visitor.refresh_token().ok_or_else(complaint::bad_refresh_token)?;
    let access_token = refreshed(&desk, secret, source).await?;
    Ok(body::json(&json!({ "access_token": *access_token })))
}

async fn refreshed(desk: &Desk, secret: &str, source: Source) -> Answer<Zeroizing<String>> {
    // Another project's session is none here, and is not prolonged either.
    let here = desk.authenticate_session(secret, source.clone());
    here.map_err(|fail| match fail.code() {
        Code::InvalidCredential => complaint::bad_refresh_token(),
        _ => Complaint::Fail(fail),
    })?;
    let prolonged = desk.keeper.prolong_session(secret, source).await;
    let session = prolonged.map_err(|refusal| match refusal {
        Refusal::SessionOver => complaint::bad_refresh_token(),
        refusal => refusal.into(),
    })?;
    let user = desk.keeper.holder(&session).ok_or_else(complaint::bad_refresh_token)?;
    access_token(desk, &user, session.id).await
}

/// Signs out: the session ends, and with it every access token that hangs on it.
pub async fn sign_out(desk: Desk, visitor: Visitor, caller::From(source): caller::From) -> Answer<Response> {
    match (visitor.refresh_token(), visitor.person()) {
        (Some(secret), _) => desk.keeper.log_out(secret, source).await?,
        (None, Some((actor, user))) => {
            let cause = Cause::new("signed out").map_err(people::refused("cause"))?;
            let owner = Owner::User(user);
            desk.keeper
                .end_session(actor, visitor.project, owner, actor.key, cause)
                .await?;
        }
        (None, None) => return Err(complaint::user_required()),
    }
    Ok(body::json(&json!({ "success": true })))
}

/// Changes the password of whoever is signed in.
pub async fn change_password(desk: Desk, visitor: Visitor, body: Body) -> Answer<Response> {
    let (actor, _) = visitor.person().ok_or_else(complaint::user_required)?;
    let sent: NewPassword = body.json()?;
    let old = Typed::read(sent.old_password.expose()).map_err(|_| complaint::passwords_differ())?;
    let new = Typed::read(sent.new_password.expose()).map_err(people::refused("new_password"))?;
    let changed = desk.keeper.change_password(actor, &old, &new).await;
    changed.map_err(|refusal| match refusal {
        Refusal::LogIn => complaint::passwords_differ(),
        refusal => refusal.into(),
    })?;
    Ok(body::json(&json!({ "success": true })))
}

/// An access token with all claims that the clients ask for, by one version or another.
async fn access_token(desk: &Desk, user: &User, session: KeyId) -> Answer<Zeroizing<String>> {
    let keeper = &desk.keeper;
    let parent = keeper.parent_of(session).ok_or_else(complaint::bad_refresh_token)?;
    let wish = TokenWish {
        scopes: Wished::All,
        audience: None,
        lifetime: None,
        subject: Subject::Owner,
        actors: Vec::new(),
    };
    let minted = keeper.mint_token_saying(&parent, wish, claims(user, session)).await?;
    Ok(minted.text)
}

fn claims(user: &User, session: KeyId) -> BTreeMap<String, Value> {
    let email = user.email.as_ref().map(|email| email.as_str());
    let claims = [
        ("project_id", json!(user.project)),
        ("branch_id", json!("main")),
        ("refresh_token_id", json!(session)),
        ("role", json!("authenticated")),
        ("name", json!(shape::display_name(user))),
        ("email", json!(email)),
        ("email_verified", json!(email.is_some())),
        ("selected_team_id", json!(shape::selected_team(user))),
        ("signed_up_at", json!(user.created_at.ms() / 1000)),
        ("is_anonymous", json!(false)),
        ("is_restricted", json!(false)),
        ("restricted_reason", json!(null)),
        ("requires_totp_mfa", json!(false)),
    ];
    claims
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
