//! People who log in: sessions in JSON or in a cookie, and passwords.

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use keyholt_api::code::Code;
use keyholt_api::key::Because;
use keyholt_api::secret::RevealedSecret;
use keyholt_api::session::{
    ChangePassword, LogIn, LoggedIn, Session, Sessions, SessionsEnded, SetPassword, ShowSession,
};
use keyholt_core::actor::Actor;
use keyholt_core::id::{KeyId, ProjectId, UserId};
use keyholt_core::key::Key;
use keyholt_core::owner::Owner;
use keyholt_core::secret::{Credentials, Secret};
use keyholt_core::text::Cause;
use keyholt_core::token::Wished;
use zeroize::Zeroizing;

use super::body::{Json, MaybeJson, json};
use super::fail::{Answer, Fail};
use super::keys::revealed;
use super::openapi::CauseParameter;
use super::place::{Caller, From, InLogIn, OnOwnSession, OnOwner, OnSession};
use super::query::Query;
use super::{Door, cookie, show};

/// The cause of an end that is given none.
const BY_HOLDER: &str = "ended by its holder";

/// Log in
///
/// With a user's external id or e-mail address and password. Unknown, wrong and suspended are one answer. In `cookie` mode
/// the session is in a cookie of its own host and not in the answer.
#[utoipa::path(post, path = "/v1/projects/{project}/sessions", operation_id = "log_in", tag = "Sessions",
    request_body = LogIn, responses((status = 201, description = "The session, with its first refresh token.", body = LoggedIn)))]
pub async fn log_in(
    State(door): State<Door>,
    InLogIn { project, source }: InLogIn,
    Json(body): Json<LogIn>,
) -> Answer<Response> {
    let attempt = body.read()?;
    let logged_in = door
        .keeper
        .log_in(project, attempt.login, &attempt.password, attempt.wish, source)
        .await?;
    let mut response = started(&door, &logged_in.session, logged_in.secret).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Refresh a session
///
/// Uses the refresh token up and gives the next one. Whoever shows one that was used up ends the session, because nobody
/// can tell which of its two holders is the thief. A session in a cookie is prolonged.
#[utoipa::path(post, path = "/v1/sessions/refresh", operation_id = "refresh_session", tag = "Sessions",
    request_body = Option<ShowSession>, responses((status = 200, description = "The session, with its next refresh token.", body = LoggedIn)))]
pub async fn refresh(
    State(door): State<Door>,
    From(source): From,
    Shown(in_cookie): Shown,
    MaybeJson(body): MaybeJson<ShowSession>,
) -> Answer<Response> {
    if let Some(token) = body.token()? {
        let refreshed = door.keeper.refresh(token, source).await?;
        return started(&door, &refreshed.session, refreshed.secret).await;
    }
    let secret = in_cookie.ok_or_else(|| Fail::new(Code::CredentialRequired))?;
    let session = door.keeper.prolong_session(&secret, source).await?;
    let mut response = json(&LoggedIn::bare(shown(&door, &session)));
    cookie::set(response.headers_mut(), &secret, session.expiry, door.keeper.now());
    Ok(response)
}

/// Log out
///
/// Ends the session that the refresh token or the cookie shows. A session that is over already is no error.
#[utoipa::path(post, path = "/v1/sessions/log-out", operation_id = "log_out", tag = "Sessions",
    request_body = Option<ShowSession>, responses((status = 204, description = "The session is over.")))]
pub async fn log_out(
    State(door): State<Door>,
    From(source): From,
    Shown(in_cookie): Shown,
    MaybeJson(body): MaybeJson<ShowSession>,
) -> Answer<Response> {
    let mut response = show::nothing();
    match (body.token()?, in_cookie) {
        (Some(token), _) => door.keeper.log_out(token, source).await?,
        (None, Some(secret)) => {
            door.keeper.log_out(&secret, source).await?;
            cookie::clear(response.headers_mut());
        }
        (None, None) => return Err(Fail::new(Code::CredentialRequired)),
    }
    Ok(response)
}

/// List my sessions
#[utoipa::path(get, path = "/v1/self/sessions", operation_id = "list_own_sessions", tag = "Sessions",
    responses((status = 200, description = "The caller's sessions, newest first.", body = Sessions)))]
pub async fn list_own(State(door): State<Door>, Caller(actor): Caller) -> Answer<Response> {
    list_of(&door, &actor, actor.home, actor.owner).await
}

/// Log out everywhere
///
/// Ends all sessions of the caller, the one that asks included.
#[utoipa::path(delete, path = "/v1/self/sessions", operation_id = "end_own_sessions", tag = "Sessions",
    params(CauseParameter), responses((status = 200, description = "How many sessions there were.", body = SessionsEnded)))]
pub async fn end_own(
    State(door): State<Door>,
    Caller(actor): Caller,
    Query(because): Query<Because>,
) -> Answer<Response> {
    end_all(&door, &actor, actor.home, actor.owner, &because).await
}

/// End one of my sessions
#[utoipa::path(delete, path = "/v1/self/sessions/{session}", operation_id = "end_own_session", tag = "Sessions",
    params(CauseParameter), responses((status = 204, description = "The session is over.")))]
pub async fn end_own_one(
    State(door): State<Door>,
    OnOwnSession { actor, session }: OnOwnSession,
    Query(because): Query<Because>,
) -> Answer<Response> {
    end_one(&door, &actor, actor.home, actor.owner, session, &because).await
}

/// List a user's sessions
#[utoipa::path(get, path = "/v1/projects/{project}/users/{user}/sessions", operation_id = "list_user_sessions", tag = "Sessions",
    responses((status = 200, description = "The user's sessions, newest first.", body = Sessions)))]
pub async fn list(State(door): State<Door>, on: OnOwner) -> Answer<Response> {
    list_of(&door, &on.actor, on.project, on.owner).await
}

/// Log a user out everywhere
#[utoipa::path(delete, path = "/v1/projects/{project}/users/{user}/sessions", operation_id = "end_user_sessions", tag = "Sessions",
    params(CauseParameter), responses((status = 200, description = "How many sessions there were.", body = SessionsEnded)))]
pub async fn end(State(door): State<Door>, on: OnOwner, Query(because): Query<Because>) -> Answer<Response> {
    end_all(&door, &on.actor, on.project, on.owner, &because).await
}

/// End one of a user's sessions
#[utoipa::path(delete, path = "/v1/projects/{project}/users/{user}/sessions/{session}", operation_id = "end_user_session",
    tag = "Sessions", params(CauseParameter), responses((status = 204, description = "The session is over.")))]
pub async fn end_one_of(
    State(door): State<Door>,
    OnSession { on, session }: OnSession,
    Query(because): Query<Because>,
) -> Answer<Response> {
    end_one(&door, &on.actor, on.project, on.owner, session, &because).await
}

/// Set a user's password
///
/// All the user's sessions end. Whoever knows the password can do all that the user can: so only who could hand that on
/// may set it.
#[utoipa::path(put, path = "/v1/projects/{project}/users/{user}/password", operation_id = "set_password", tag = "Sessions",
    request_body = SetPassword, responses((status = 204, description = "The user has this password.")))]
pub async fn set_password(
    State(door): State<Door>,
    mut on: OnOwner,
    Json(body): Json<SetPassword>,
) -> Answer<Response> {
    let (new, cause) = body.read()?;
    on.actor.cause = cause;
    let user = UserId::from_uuid(on.owner.uuid());
    door.keeper.set_password(&on.actor, on.project, user, &new).await?;
    Ok(show::nothing())
}

/// Change my password
///
/// Needs the present one, whatever the caller's key may do. All other sessions end.
#[utoipa::path(put, path = "/v1/self/password", operation_id = "change_password", tag = "Sessions",
    request_body = ChangePassword, responses((status = 204, description = "The caller has this password.")))]
pub async fn change_password(
    State(door): State<Door>,
    Caller(mut actor): Caller,
    Json(body): Json<ChangePassword>,
) -> Answer<Response> {
    let (present, new, cause) = body.read()?;
    actor.cause = cause;
    door.keeper.change_password(&actor, &present, &new).await?;
    Ok(show::nothing())
}

/// The secret in the session cookie, from a page of our own.
pub struct Shown(Option<Zeroizing<String>>);

impl FromRequestParts<Door> for Shown {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let Some(secret) = cookie::shown(&parts.headers)? else {
            return Ok(Self(None));
        };
        cookie::same_origin(parts, door.settings.origin.as_deref())?;
        Ok(Self(Some(Zeroizing::new(secret.to_owned()))))
    }
}

/// Shows a session with its new secret: in the answer with an access token, or in a cookie and not in the answer.
async fn started(door: &Door, session: &Key, secret: Secret) -> Answer<Response> {
    let bare = LoggedIn::bare(shown(door, session));
    if matches!(session.credentials, Credentials::Family { .. }) {
        let access = door.keeper.session_token(session.id, Wished::All).await?;
        return Ok(json(&LoggedIn {
            refresh_token: Some(revealed(secret)),
            expires_in: Some(access.expires_in(door.keeper.now())),
            access_token: Some(RevealedSecret::new(access.text)),
            token_type: Some("Bearer".to_owned()),
            ..bare
        }));
    }
    let mut response = json(&bare);
    let secret = revealed(secret);
    cookie::set(
        response.headers_mut(),
        secret.expose(),
        session.expiry,
        door.keeper.now(),
    );
    Ok(response)
}

fn shown(door: &Door, session: &Key) -> Session {
    Session::show(session, None, session.id, &show::Called(&door.keeper))
}

async fn list_of(door: &Door, actor: &Actor, project: ProjectId, owner: Owner) -> Answer<Response> {
    let sessions = door.keeper.sessions(actor, project, owner).await?;
    let names = show::Called(&door.keeper);
    let show = |view: &crate::keeper::SessionView| {
        let last_used_at = view.last_use.map(|last| last.last_at);
        Session::show(&view.session, last_used_at, actor.key, &names)
    };
    Ok(json(&Sessions {
        sessions: sessions.iter().map(show).collect(),
    }))
}

async fn end_all(door: &Door, actor: &Actor, project: ProjectId, owner: Owner, because: &Because) -> Answer<Response> {
    let ended = door.keeper.end_sessions(actor, project, owner, cause(because)?).await?;
    Ok(json(&SessionsEnded { ended: ended as u64 }))
}

async fn end_one(
    door: &Door,
    actor: &Actor,
    project: ProjectId,
    owner: Owner,
    session: KeyId,
    because: &Because,
) -> Answer<Response> {
    let cause = cause(because)?;
    door.keeper.end_session(actor, project, owner, session, cause).await?;
    Ok(show::nothing())
}

fn cause(because: &Because) -> Result<Cause, Fail> {
    match because.read()? {
        Some(cause) => Ok(cause),
        None => Cause::new(BY_HOLDER).map_err(|error| Fail::from(keyholt_api::fault::Faults::one("cause", error))),
    }
}
