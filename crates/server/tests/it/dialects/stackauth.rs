//! Stack Auth's tongue.

mod keys;
mod lent;
mod level;
mod people;
mod project_keys;
mod sessions;

use axum::body::Body;
use http::{Method, Request};
use keyholt_server::dialects::StackAuth;
use keyholt_server::http::{Needs, Operation};
use serde_json::{Value, json};

use super::village::{Complaint, Speaker, Village};
use crate::house::canary;
use crate::people::STAPLE;
use crate::wire::{Reply, request, with_json};

pub const SPEAKER: Speaker = Speaker {
    dialect: &StackAuth,
    example,
    doer: |village| &village.admins,
    complaint,
    canary: register,
    turns: &[],
};

fn example(village: &Village, operation: &Operation, secret: &str) -> Request<Body> {
    let id = operation.id.trim_end_matches("_latest");
    let method: Method = operation.method.parse().unwrap();
    let (ada, team) = (village.ada.id, village.platform.id);
    let subject = match id {
        "show_user_key" | "change_user_key" => village.target.id().to_string(),
        "show_team_key" | "change_team_key" => village.platforms.id().to_string(),
        "show_project_keys" | "change_project_keys" => village.admins.id().to_string(),
        "end_session" => village.session.lock().unwrap().to_string(),
        "remove_user" => village.cora.id.to_string(),
        "remove_team" => village.choir.id.to_string(),
        "show_team" | "change_team" => team.to_string(),
        _ => ada.to_string(),
    };
    let member = if id == "join_team" { village.cora.id } else { ada };
    let mut path = operation
        .path
        .replace("{id}", &subject)
        .replace("{team}", &team.to_string())
        .replace("{user}", &member.to_string())
        .replace("{permission}", "%24manage_api_keys")
        .replace("{level}", "environment")
        .replace("{kind}", "user");
    let query = match id {
        "list_user_keys" | "list_sessions" => format!("?user_id={ada}"),
        "list_team_keys" | "list_members" => format!("?team_id={team}"),
        "list_permissions" => format!("?team_id={team}&user_id={ada}&recursive=true"),
        _ => String::new(),
    };
    path.push_str(&query);
    let body = match id {
        "create_user_key" => Some(json!({"user_id": ada, "description": "ci", "expires_at_millis": null})),
        "create_team_key" => Some(json!({"team_id": team, "description": "ci", "expires_at_millis": null})),
        "check_user_key" => Some(json!({ "api_key": village.target.secret })),
        "check_team_key" => Some(json!({ "api_key": village.platforms.secret })),
        "revoke_leaked_key" => Some(json!({ "api_key": village.target.secret })),
        "change_user_key" | "change_team_key" => Some(json!({"description": "renamed"})),
        "create_project_keys" => Some(json!({"description": "shop", "has_secret_server_key": true})),
        "change_project_keys" => Some(json!({"description": "renamed"})),
        "start_session" => Some(json!({"user_id": ada, "expires_in_millis": 60_000})),
        "sign_in" => Some(json!({"email": "cora@example.org", "password": STAPLE})),
        "change_password" => Some(json!({"old_password": STAPLE, "new_password": "nobody guesses this one 31"})),
        "create_user" => Some(json!({"primary_email": "dora@acme.example"})),
        "create_team" => Some(json!({"display_name": "Band", "creator_user_id": ada})),
        "change_user" | "change_team" | "change_project" => Some(json!({"display_name": "renamed"})),
        "change_config" => Some(json!({"config_override_string": "{\"apiKeys.enabled.user\": false}"})),
        _ => None,
    };
    let cookie = village.cookie.lock().unwrap().clone();
    if id == "refresh" {
        let project = village.house.acme.id;
        let form = format!("grant_type=refresh_token&refresh_token={cookie}&client_id={project}&client_secret=x");
        return request(method, &path, "", Body::from(form));
    }
    let level = match operation.needs {
        Needs::Password | Needs::Session => "client",
        _ if path.contains("/internal/") => "admin",
        _ => "server",
    };
    let secret = if level == "client" { "" } else { secret };
    let mut asked = asked(village, level, method, &path, secret, body);
    if operation.needs == Needs::Session {
        asked
            .headers_mut()
            .insert("x-stack-refresh-token", cookie.parse().unwrap());
    }
    asked
}

/// A request on a level, with the key that opens it; an empty one is none.
fn asked(
    village: &Village,
    level: &str,
    method: Method,
    path: &str,
    secret: &str,
    body: Option<Value>,
) -> Request<Body> {
    let mut request = match body {
        Some(body) => with_json(method, path, "", body),
        None => request(method, path, "", Body::empty()),
    };
    let key = match level {
        "admin" => "x-stack-super-secret-admin-key",
        "server" => "x-stack-secret-server-key",
        _ => "x-stack-access-token",
    };
    let project = village.house.acme.id.to_string();
    let headers = request.headers_mut();
    headers.insert("x-stack-project-id", project.parse().unwrap());
    headers.insert("x-stack-access-type", level.parse().unwrap());
    if !secret.is_empty() {
        headers.insert(key, secret.parse().unwrap());
    }
    request
}

async fn ask(village: &Village, level: &str, secret: &str, call: (&str, &str), body: Value) -> Reply {
    let body = (!body.is_null()).then_some(body);
    let path = format!("/api/v1{}", call.1);
    let request = asked(village, level, call.0.parse().unwrap(), &path, secret, body);
    let reply = village.wire.send(request).await;
    register(&reply);
    reply
}

/// As the application's server.
async fn serve(village: &Village, call: (&str, &str), body: Value) -> Reply {
    ask(village, "server", &village.admins.secret, call, body).await
}

/// A known error says its code in both headers and in the body; everything else is plain text.
fn complaint(reply: &Reply) -> Complaint {
    let known = reply.header("x-stack-known-error");
    assert_eq!(reply.header("x-hexclave-known-error"), known);
    if known.is_empty() {
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        assert!(!reply.bytes.is_empty());
    } else {
        let body = reply.json();
        assert_eq!(body["code"], known);
        assert!(!body["error"].as_str().unwrap().is_empty());
    }
    match reply.status.as_u16() {
        401 => Complaint::NotKnown,
        403 => Complaint::NotAllowed,
        404 => Complaint::NotThere,
        400..500 => Complaint::Wrong,
        _ => panic!("{reply:?}"),
    }
}

/// The code of a known error, or the text of another one.
fn told(reply: &Reply) -> String {
    complaint(reply);
    match reply.header("x-stack-known-error") {
        "" => String::from_utf8(reply.bytes.clone()).unwrap(),
        code => code.to_owned(),
    }
}

fn register(reply: &Reply) {
    let Ok(told) = serde_json::from_slice::<Value>(&reply.bytes) else {
        return;
    };
    for member in [
        "access_token",
        "refresh_token",
        "secret_server_key",
        "super_secret_admin_key",
    ] {
        if let Some(secret) = told[member].as_str() {
            canary(secret);
        }
    }
    if let Value::Object(told) = told
        && let Some(Value::String(value)) = told.get("value")
        && told.get("is_public") == Some(&json!(false))
    {
        canary(value);
    }
}
