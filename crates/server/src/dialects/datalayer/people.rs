//! Who the caller is: log-in with a key, the profile, the teams.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_core::commit::Record;
use keyholt_core::owner::Owner;
use serde::Deserialize;
use serde_json::{Value, json};

use super::credential;
use crate::dialects::Desk;
use crate::dialects::caller::{Caller, From};
use crate::dialects::reading::Body;
use crate::http::body;
use crate::http::fail::Answer;

/// A log-in as it arrives.
#[derive(Deserialize)]
pub struct LogIn {
    token: Option<String>,
}

/// Logs in with a key, which means: tells whose it is. The key itself goes on being shown with every request.
pub async fn login(State(desk): State<Desk>, From(source): From, body: Body) -> Answer<Response> {
    let sent: LogIn = body.json()?;
    let token = sent
        .token
        .ok_or_else(|| Faults::one("token", Reason(FaultCode::Required, "is missing".into())))?;
    let actor = credential::recognise(&desk, &token, source)?;
    let caller = Caller {
        project: actor.home,
        actor,
    };
    Ok(body::json(&json!({
        "success": true,
        "message": "Logged in",
        "token": token,
        "user": profile(&desk, &caller),
    })))
}

/// The caller's profile.
pub async fn whoami(State(desk): State<Desk>, caller: Caller) -> Answer<Response> {
    let profile = profile(&desk, &caller);
    Ok(body::json(
        &json!({ "success": true, "message": "The profile", "profile": profile }),
    ))
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

/// What the client needs of a person. A key that may not read its owner's record tells the owner's handle alone.
fn profile(desk: &Desk, caller: &Caller) -> Value {
    let owner = caller.actor.owner;
    let handle = desk.keeper.owner_handle(owner).unwrap_or_default();
    let record = desk.keeper.owner(&caller.actor, caller.project, owner).ok();
    let (name, email, roles, made) = match record.as_deref() {
        Some(Record::User(user)) => (
            user.name.to_string(),
            user.email
                .as_ref()
                .map(ToString::to_string)
                .filter(|email| is_public(email)),
            Some(&user.roles),
            Some(user.created_at),
        ),
        Some(Record::Team(team)) => (team.name.to_string(), None, Some(&team.roles), Some(team.created_at)),
        Some(Record::Service(service)) => (handle.clone(), None, Some(&service.roles), Some(service.created_at)),
        _ => (handle.clone(), None, None, None),
    };
    let (first, last) = name.rsplit_once(' ').unwrap_or((&name, ""));
    let roles: Vec<String> = roles
        .into_iter()
        .flatten()
        .filter_map(|role| desk.keeper.role_name(*role))
        .collect();
    json!({
        "id": owner.uuid(),
        "uid": owner.uuid(),
        "type_s": owner.kind().as_str(),
        "handle_s": handle,
        "email_s": email,
        "first_name_t": first,
        "last_name_t": last,
        "roles_ss": roles,
        "creation_ts_dt": made.map(|at| at.to_string()),
    })
}

/// Whether an address is one that the client accepts: it raises on names that can be nobody's on the Internet.
fn is_public(email: &str) -> bool {
    const NOBODYS: [&str; 6] = ["arpa", "invalid", "local", "localhost", "onion", "test"];
    let host = email.rsplit('@').next().unwrap_or_default();
    host.rsplit_once('.').is_some_and(|(_, top)| !NOBODYS.contains(&top))
}
