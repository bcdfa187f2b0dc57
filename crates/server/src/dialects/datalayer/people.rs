//! Who the caller is: log-in and log-out, the profile, the teams.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_api::secret::PresentedSecret;
use keyholt_core::actor::{Actor, Source};
use keyholt_core::commit::Record;
use keyholt_core::issue::{Issued, Life, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Kind};
use keyholt_core::owner::Owner;
use keyholt_core::password::Typed;
use keyholt_core::scope::Access;
use keyholt_core::session::{self, Mode};
use keyholt_core::text::{Cause, Description, Metadata, Name};
use keyholt_core::time::Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::credential;
use super::wish::{variant, with_variant};
use crate::dialects::Desk;
use crate::dialects::caller::{Caller, From};
use crate::dialects::reading::Body;
use crate::http::fail::Answer;
use crate::http::{Fail, body};

/// The variant that is noted on the key of a log-in.
const LOG_IN: &str = "log_in";

/// A log-in as it arrives: a key, or a handle and a password.
#[derive(Deserialize)]
pub struct LogIn {
    token: Option<PresentedSecret>,
    handle: Option<String>,
    password: Option<PresentedSecret>,
}

/// Logs in. With a key that means: tells whose it is, and the key itself goes on being shown with every request. With a
/// handle and a password a key is made that lasts as long as a log-in does: the client keeps one text, and shows it until
/// somebody logs out.
pub async fn login(State(desk): State<Desk>, From(source): From, body: Body) -> Answer<Response> {
    let sent: LogIn = body.json()?;
    match (sent.token, sent.handle, sent.password) {
        (Some(token), None, None) => {
            let actor = credential::recognise(&desk, token.expose(), source)?;
            Ok(logged_in(&desk, actor, token.expose()))
        }
        (None, Some(handle), Some(password)) => {
            let (actor, value) = with_password(&desk, &handle, password.expose(), source).await?;
            Ok(logged_in(&desk, actor, &value))
        }
        (token, handle, password) => {
            let given = token.is_some() || handle.is_some() || password.is_some();
            let (code, text) = match given {
                true => (FaultCode::Conflict, "give a token, or a handle and a password"),
                false => (FaultCode::Required, "is missing"),
            };
            Err(Faults::one("token", Reason(code, text.into())).into())
        }
    }
}

fn logged_in(desk: &Desk, actor: Actor, token: &str) -> Response {
    let caller = Caller {
        project: actor.home,
        actor,
    };
    with_profile(desk, &caller, |profile| {
        body::json(&json!({ "success": true, "message": "Logged in", "token": token, "user": profile }))
    })
}

/// Starts a session, makes the key with it, and ends it: what is left of the log-in is the key alone.
async fn with_password(
    desk: &Desk,
    handle: &str,
    password: &str,
    source: Source,
) -> Answer<(Actor, Zeroizing<String>)> {
    let ours = |text| Name::new(text).map_err(|error| Faults::one("name", error));
    let password = Typed::read(password).map_err(|error| Faults::one("password", error))?;
    let wish = session::Wish {
        access: Access::Everything,
        mode: Mode::Cookie,
        name: ours("Datalayer")?,
    };
    let project = desk.project()?;
    let started = desk
        .keeper
        .log_in(project, handle, &password, wish, source.clone())
        .await?;
    let cookie = started.secret.reveal();
    let actor = desk.authenticate_session(&cookie, source.clone())?;
    let wish = Wish {
        owner: actor.owner,
        kind: Kind::Standard,
        name: ours("datalayer login")?,
        description: Description::new("").map_err(|error| Faults::one("description", error))?,
        metadata: with_variant(&Metadata::default(), LOG_IN).map_err(|error| Faults::one("variant", error))?,
        tags: Default::default(),
        access: Access::Everything,
        bounds: Bounds::default(),
        life: started.session.expiry.at().map_or(Life::Default, Life::Until),
        origin: SecretOrigin::Minted,
    };
    let issued = desk.keeper.issue_key(&actor, project, wish, None).await;
    desk.keeper.log_out(&cookie, source.clone()).await?;
    let Issued { key, secret } = issued?;
    let value = credential::value(key.id, secret.ok_or_else(|| Fail::new(Code::Internal))?);
    let actor = credential::recognise(desk, &value, source)?;
    Ok((actor, value))
}

/// Ends a log-in: the key that it made is revoked. Any other key stays as it is.
pub async fn logout(State(desk): State<Desk>, caller: Caller) -> Answer<Response> {
    let own = desk.keeper.own_key(&caller.actor).await?;
    if variant(&own.key.about.metadata) == LOG_IN {
        let cause = Cause::new("logged out").map_err(|error| Faults::one("cause", error))?;
        desk.keeper.revoke_own_key(&caller.actor, cause).await?;
    }
    Ok(body::json(&json!({ "success": true, "message": "Logged out" })))
}

/// The caller's profile.
pub async fn whoami(State(desk): State<Desk>, caller: Caller) -> Answer<Response> {
    #[derive(Serialize)]
    struct Told<'a> {
        message: &'static str,
        profile: &'a Profile<'a>,
        success: bool,
    }
    let told = |profile: &Profile<'_>| {
        body::json(&Told {
            message: "The profile",
            profile,
            success: true,
        })
    };
    Ok(with_profile(&desk, &caller, told))
}

/// Whether the caller is somebody, for a reverse proxy in front of something else.
pub async fn auth(_: Caller) -> Answer<Response> {
    Ok(body::json(&json!({ "success": true, "message": "Authenticated" })))
}

/// The teams whose keys the caller may manage.
pub async fn memberships(State(desk): State<Desk>, caller: Caller) -> Answer<Response> {
    let team = |owner| match desk.keeper.owner(&caller.actor, caller.project, owner).ok()?.as_ref() {
        Record::Team(team) => Some(json!({
            "uid": team.id,
            "type": "team",
            "handle": team.external_id,
            "name": team.name,
            "roles_ss": team.roles.iter().filter_map(|role| desk.keeper.role_name(*role)).collect::<Vec<_>>(),
            "organization_uid": caller.project,
        })),
        _ => None,
    };
    let teams = caller.actor.manages.iter().map(|team| Owner::Team(*team));
    let memberships: Vec<Value> = teams.filter_map(team).collect();
    Ok(body::json(
        &json!({ "success": true, "message": "The teams", "memberships": memberships }),
    ))
}

/// What the client needs of a person. Asked for with each start of a client, so it is written as it stands.
#[derive(Serialize)]
struct Profile<'a> {
    creation_ts_dt: Option<Moment>,
    email_s: Option<&'a str>,
    first_name_t: &'a str,
    handle_s: &'a str,
    id: Uuid,
    last_name_t: &'a str,
    roles_ss: Vec<String>,
    type_s: &'static str,
    uid: Uuid,
}

/// The caller's profile, for an answer. A key that may not read its owner's record tells the owner's handle alone.
fn with_profile<R>(desk: &Desk, caller: &Caller, with: impl FnOnce(&Profile<'_>) -> R) -> R {
    let owner = caller.actor.owner;
    let record = desk.keeper.owner(&caller.actor, caller.project, owner).ok();
    let known = match record {
        Some(_) => None,
        None => desk.keeper.owner_handle(owner),
    };
    let record = record.as_deref();
    let handle = record.and_then(Record::handle).or(known.as_deref()).unwrap_or_default();
    let (name, email, roles, made) = match record {
        Some(Record::User(user)) => (
            user.name.as_str(),
            user.email
                .as_ref()
                .map(|email| email.as_str())
                .filter(|email| is_public(email)),
            Some(&user.roles),
            Some(user.created_at),
        ),
        Some(Record::Team(team)) => (team.name.as_str(), None, Some(&team.roles), Some(team.created_at)),
        Some(Record::Service(service)) => (handle, None, Some(&service.roles), Some(service.created_at)),
        _ => (handle, None, None, None),
    };
    let (first, last) = name.rsplit_once(' ').unwrap_or((name, ""));
    with(&Profile {
        creation_ts_dt: made,
        email_s: email,
        first_name_t: first,
        handle_s: handle,
        id: owner.uuid(),
        last_name_t: last,
        roles_ss: roles
            .into_iter()
            .flatten()
            .filter_map(|role| desk.keeper.role_name(*role))
            .collect(),
        type_s: owner.kind().as_str(),
        uid: owner.uuid(),
    })
}

/// Whether an address is one that the client accepts: it raises on names that can be nobody's on the Internet.
fn is_public(email: &str) -> bool {
    const NOBODYS: [&str; 6] = ["arpa", "invalid", "local", "localhost", "onion", "test"];
    let host = email.rsplit('@').next().unwrap_or_default();
    host.rsplit_once('.').is_some_and(|(_, top)| !NOBODYS.contains(&top))
}
