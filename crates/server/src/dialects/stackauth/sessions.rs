//! Signing in and out, and the tokens that the clients show meanwhile.
//!
//! What the clients call a refresh token is the secret of a session that is looked up and judged each time it is shown. It
//! stays the same, because they go on using the first one whatever they are given. Their access tokens are Keyholt's,
//! with the claims beside that each version of the clients asks for.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use keyholt_api::code::Code;
use keyholt_api::secret::PresentedSecret;
use keyholt_core::actor::Source;
use keyholt_core::id::KeyId;
use keyholt_core::owner::{Owner, User};
use keyholt_core::password::Typed;
use keyholt_core::scope::Access;
use keyholt_core::session::{Mode, Wish};
use keyholt_core::text::{Cause, Name};
use keyholt_core::token::{Subject, TokenWish, Wished};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::complaint::{self, Answer, Complaint};
use super::visitor::Visitor;
use super::{people, shape};
use crate::dialects::reading::Body;
use crate::dialects::{Desk, caller};
use crate::http::body;
use crate::keeper::Refusal;

/// What people recognise a session by in the list of theirs.
const SESSION_NAME: &str = "Stack Auth's client";

/// An address and a password.
#[derive(Deserialize)]
pub struct SignIn {
    email: String,
    password: PresentedSecret,
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
    let access_token = access_token(&desk, &signed_in.user, signed_in.session.id).await?;
    Ok(body::json(&json!({
        "access_token": *access_token,
        "refresh_token": *signed_in.secret.reveal(),
        "user_id": people::known(&desk, signed_in.user.id),
    })))
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
