//! Tokens and API keys: two names of the same thing.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_core::amend::Amendment;
use keyholt_core::id::KeyId;
use keyholt_core::issue::{Issued, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Key, Kind, State as KeyState};
use keyholt_core::text::{Description, Metadata};
use keyholt_core::time::Expiry;
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::credential;
use super::wish::{Asked, End, Reads, SECRET, Sent, USER_TOKEN, variant, with_variant};
use crate::dialects::Desk;
use crate::dialects::caller::Caller;
use crate::dialects::listing::own_keys;
use crate::dialects::reading::{Body, Words};
use crate::http::fail::Answer;
use crate::http::{Fail, body};

/// The caller's keys. Revoked ones are left out: Datalayer knows no such state.
pub async fn list(State(desk): State<Desk>, caller: Caller) -> Answer<Response> {
    let keys = own_keys(&desk, &caller).await?;
    let live = keys
        .iter()
        .filter(|view| !matches!(view.key.state, KeyState::Revoked { .. }));
    let shown: Vec<Value> = live.map(|view| shown(&view.key)).collect();
    Ok(body::json(&json!({
        "success": true,
        "message": format!("{} keys", shown.len()),
        "tokens": &shown,
        "apiKeys": &shown,
        "api_keys": &shown,
    })))
}

/// Makes a key for the clients that call it a token.
pub async fn create_token(State(desk): State<Desk>, caller: Caller, body: Body) -> Answer<Response> {
    let asked = body.json::<Sent>()?.read()?;
    let (key, value) = create(&desk, &caller, &asked, USER_TOKEN).await?;
    let object = with_value(&key, &value);
    let token = match asked.reads {
        Reads::Text => json!(&*value),
        Reads::Object => object.clone(),
    };
    Ok(made(&key, &value, token, &object))
}

/// Makes a key for the clients that call it an API key.
pub async fn create_api_key(State(desk): State<Desk>, caller: Caller, body: Body) -> Answer<Response> {
    let asked = body.json::<Sent>()?.read()?;
    let (key, value) = create(&desk, &caller, &asked, SECRET).await?;
    let object = with_value(&key, &value);
    Ok(made(&key, &value, json!(&*value), &object))
}

async fn create(desk: &Desk, caller: &Caller, asked: &Asked, usual: &str) -> Answer<(Key, Zeroizing<String>)> {
    let name = asked.name.clone().ok_or_else(|| missing("name"))?;
    let variant = asked.variant.as_ref().map_or(usual, |variant| variant.as_str());
    let wish = Wish {
        owner: caller.actor.owner,
        kind: Kind::Standard,
        name,
        description: description(asked)?,
        metadata: with_variant(&Metadata::default(), variant).map_err(|error| Faults::one("variant", error))?,
        tags: Default::default(),
        // Tokens inherit the permissions of whoever makes them: all that the caller's own key carries, and no more.
        access: (*caller.actor.access).clone(),
        bounds: Bounds::default(),
        life: asked.life(&caller.actor),
        origin: SecretOrigin::Minted,
    };
    let Issued { key, secret } = desk.keeper.issue_key(&caller.actor, caller.project, wish, None).await?;
    let secret = secret.ok_or_else(|| Fail::new(Code::Internal))?;
    let value = credential::value(key.id, secret);
    Ok((key, value))
}

fn description(asked: &Asked) -> Answer<Description> {
    match &asked.description {
        Some(description) => Ok(description.clone()),
        None => Description::new("").map_err(|error| Faults::one("description", error).into()),
    }
}

/// One key.
pub async fn read(State(desk): State<Desk>, caller: Caller, Words([uid]): Words<1>) -> Answer<Response> {
    let view = desk.keeper.key(&caller.actor, caller.project, id(&uid)).await?;
    Ok(one(&view.key))
}

/// Changes a key. The web client sends the whole object; what is not there stays.
pub async fn amend(State(desk): State<Desk>, caller: Caller, Words([uid]): Words<1>, body: Body) -> Answer<Response> {
    let asked = body.json::<Sent>()?.read()?;
    let amendment = |key: &Key| Amendment {
        name: asked.name.clone(),
        description: asked.description.clone(),
        // A variant is a word that was found good; it fits wherever another one was.
        metadata: asked
            .variant
            .as_ref()
            .and_then(|variant| with_variant(&key.about.metadata, variant.as_str()).ok()),
        expiry: asked.end.map(|end| match end {
            End::Open => Expiry::Never,
            End::At(at) => Expiry::At(at),
        }),
        ..Amendment::default()
    };
    let amended = desk
        .keeper
        .amend_key_with(&caller.actor, caller.project, id(&uid), &amendment, None)
        .await?;
    Ok(one(&amended.key))
}

/// Takes a key out for good.
pub async fn delete(State(desk): State<Desk>, caller: Caller, Words([uid]): Words<1>) -> Answer<Response> {
    desk.keeper
        .delete_key(&caller.actor, caller.project, id(&uid), None, None)
        .await?;
    Ok(body::json(
        &json!({ "success": true, "message": "The key is deleted", "uid": uid }),
    ))
}

/// The key that a path names; what is no id names no key.
fn id(uid: &str) -> KeyId {
    uid.parse().unwrap_or(KeyId::from_uuid(Uuid::nil()))
}

fn missing(field: &str) -> Fail {
    Faults::one(field, Reason(FaultCode::Required, "is missing".into())).into()
}

/// A key as lists show it: with the suffixes of Datalayer's index, and without its value.
fn shown(key: &Key) -> Value {
    json!({
        "uid": key.id,
        "id": key.id,
        "name_s": key.about.name,
        "description_t": key.about.description,
        "variant_s": variant(&key.about.metadata),
        "expiration_ts_dt": key.expiry.at().map(|at| at.to_string()),
        "creation_ts_dt": key.created_at.to_string(),
    })
}

fn with_value(key: &Key, value: &str) -> Value {
    let mut object = shown(key);
    if let Some(members) = object.as_object_mut() {
        members.insert("value_s".to_owned(), json!(value));
    }
    object
}

fn one(key: &Key) -> Response {
    let shown = shown(key);
    body::json(&json!({
        "success": true,
        "message": "The key",
        "token": &shown,
        "apiKey": &shown,
        "api_key": &shown,
    }))
}

/// A key that was just made. Five readers want its value in five places.
fn made(key: &Key, value: &str, token: Value, object: &Value) -> Response {
    let expiration = key.expiry.at().map_or(0, |at| at.ms() / 1000);
    let mut response = body::json(&json!({
        "success": true,
        "message": "The key is made; its value is shown this once",
        "uid": key.id,
        "name": key.about.name,
        "description": key.about.description,
        "type": variant(&key.about.metadata),
        "expiration_date": expiration,
        "token": token,
        "access_token": value,
        "accessToken": value,
        "apiKey": object,
        "api_key": object,
    }));
    *response.status_mut() = StatusCode::CREATED;
    response
}
