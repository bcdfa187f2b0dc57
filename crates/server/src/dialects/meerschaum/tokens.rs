//! Tokens: register, list, read, edit, invalidate, delete.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use keyholt_api::code::Code;
use keyholt_api::fault::Faults;
use keyholt_core::amend::{AmendError, Amendment};
use keyholt_core::id::KeyId;
use keyholt_core::issue::{Issued, Life, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Key, Kind, State as KeyState};
use keyholt_core::scope::Access;
use keyholt_core::text::{Cause, Description, Metadata, Name};
use keyholt_core::time::{Expiry, Moment};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{credential, imported, scopes, times};
use crate::dialects::Desk;
use crate::dialects::caller::Caller;
use crate::dialects::listing::own_keys;
use crate::dialects::reading::{Body, Pairs, Words};
use crate::http::fail::Answer;
use crate::http::{Fail, body};
use crate::keeper::{KeyView, Refusal};

/// The cause of an invalidation, which gives none.
const INVALIDATED: &str = "invalidated by its user";

#[derive(Deserialize)]
struct Registration {
    label: Option<String>,
    scopes: Option<Vec<String>>,
    expiration: Option<String>,
}

/// Registers a token of the caller's.
pub async fn register(State(desk): State<Desk>, caller: Caller, body: Body) -> Answer<Response> {
    let sent: Registration = body.json()?;
    let access = match &sent.scopes {
        Some(named) => scopes::read(named.iter().map(String::as_str))?,
        None => scopes::read(scopes::ALL)?,
    };
    let label = match sent.label.filter(|label| !label.is_empty()) {
        Some(label) => label,
        None => some_label(&desk),
    };
    let life = match &sent.expiration {
        Some(end) => Life::Until(times::read(end).map_err(|reason| Faults::one("expiration", reason))?),
        None => Life::Never,
    };
    let wish = Wish {
        owner: caller.actor.owner,
        kind: Kind::Standard,
        name: name(&label)?,
        description: Description::new("").map_err(|error| Faults::one("description", error))?,
        metadata: Metadata::default(),
        tags: Default::default(),
        access,
        bounds: Bounds::default(),
        life,
        origin: SecretOrigin::Minted,
    };
    let Issued { key, secret } = desk.keeper.issue_key(&caller.actor, caller.project, wish, None).await?;
    let (secret, api_key) = credential::revealed(key.id, secret.ok_or_else(|| Fail::new(Code::Internal))?);
    Ok(body::json(&json!({
        "label": key.about.name,
        "secret": &*secret,
        "id": key.id,
        "api_key": &*api_key,
        "expiration": times::end(key.expiry),
    })))
}

/// The caller's tokens, newest first, those that are invalid too; of a list of labels every one counts.
pub async fn list(State(desk): State<Desk>, caller: Caller, RawQuery(query): RawQuery) -> Answer<Response> {
    let query = Pairs::read(query.as_deref().unwrap_or_default());
    let labels: Vec<&str> = query
        .all("labels")
        .flat_map(|labels| labels.split(','))
        .filter(|label| !label.is_empty())
        .collect();
    let tokens = own_keys(&desk, &caller).await?;
    let named = |key: &Key| labels.is_empty() || labels.contains(&key.about.name.as_str());
    let shown: Vec<Value> = tokens
        .iter()
        .filter(|view| named(&view.key))
        .map(|view| shown(&view.key))
        .collect();
    Ok(body::json(&shown))
}

/// One token. Only here more may be told than Meerschaum knows: in lists its client stumbles over it.
pub async fn read(State(desk): State<Desk>, caller: Caller, Words([id]): Words<1>) -> Answer<Response> {
    let id = imported::token_named(&desk, &caller, &id)
        .await?
        .ok_or_else(|| Fail::saying(Code::MalformedRequest, "Invalid token ID."))?;
    match desk.keeper.key(&caller.actor, caller.project, id).await {
        Ok(KeyView { key, last_use, .. }) => {
            let mut token = shown(&key);
            if let Some(members) = token.as_object_mut() {
                let used = last_use.map(|used| times::zoned(used.last_at));
                members.insert("last_used".to_owned(), json!(used));
            }
            Ok(body::json(&token))
        }
        Err(Refusal::NotFound(_)) => Err(Fail::saying(Code::NotFound, "Token does not exist.")),
        Err(refusal) => Err(refusal.into()),
    }
}

/// What the client sends with every edit. `creation` is passed over: it is no part of a token's identity here.
#[derive(Deserialize)]
struct Edit {
    label: Option<String>,
    #[serde(default, deserialize_with = "given")]
    expiration: Option<Option<String>>,
    is_valid: Option<bool>,
    scopes: Option<Vec<String>>,
}

/// A member that is there, null or not.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Edits a token's label, end and scopes. `is_valid: false` invalidates it, and nothing makes it valid again.
pub async fn edit(State(desk): State<Desk>, caller: Caller, Words([id]): Words<1>, body: Body) -> Answer<Response> {
    let id = must_be_uuid(imported::token_named(&desk, &caller, &id).await?)?;
    let sent: Edit = body.json()?;
    let named = sent
        .label
        .as_deref()
        .filter(|label| !label.is_empty())
        .map(name)
        .transpose()?;
    let access = sent
        .scopes
        .as_ref()
        .map(|named| scopes::read(named.iter().map(String::as_str)))
        .transpose()?;
    let expiry = sent.expiration.as_ref().map(|end| ends(end.as_deref())).transpose()?;
    let amendment = |key: &Key| Amendment {
        name: named.clone(),
        // What was shown as `*` and comes back as `*` stays the everything that it is.
        access: access
            .clone()
            .filter(|_| !comes_back(&key.access, sent.scopes.as_deref())),
        expiry,
        ..Amendment::default()
    };
    let amended = desk
        .keeper
        .amend_key_with(&caller.actor, caller.project, id, &amendment, None)
        .await;
    match (amended, sent.is_valid) {
        (Ok(_), Some(false)) => invalidated(&desk, &caller, id).await,
        (Ok(_), _) | (Err(Refusal::Amend(AmendError::Revoked)), Some(false)) => Ok(success()),
        (Err(Refusal::Amend(AmendError::Revoked)), _) => {
            Ok(failure("The token is invalidated; that is final. Register a new one."))
        }
        (Err(refusal), _) => about_token(id, refusal),
    }
}

fn comes_back(access: &Access, sent: Option<&[String]>) -> bool {
    *access == Access::Everything && sent.is_some_and(|sent| sent == [scopes::EVERYTHING])
}

fn ends(end: Option<&str>) -> Answer<Expiry> {
    let read = |end| times::read(end).map_err(|reason| Fail::from(Faults::one("expiration", reason)));
    end.map_or(Ok(Expiry::Never), |end| read(end).map(|at: Moment| Expiry::At(at)))
}

/// Invalidates a token: it is kept, and never works again.
pub async fn invalidate(State(desk): State<Desk>, caller: Caller, Words([id]): Words<1>) -> Answer<Response> {
    let id = must_be_uuid(imported::token_named(&desk, &caller, &id).await?)?;
    invalidated(&desk, &caller, id).await
}

async fn invalidated(desk: &Desk, caller: &Caller, id: KeyId) -> Answer<Response> {
    let cause = Cause::new(INVALIDATED).map_err(|error| Faults::one("cause", error))?;
    match desk
        .keeper
        .revoke_key(&caller.actor, caller.project, id, cause, None)
        .await
    {
        Ok(_) => Ok(success()),
        Err(refusal) => about_token(id, refusal),
    }
}

/// Deletes a token for good.
pub async fn delete(State(desk): State<Desk>, caller: Caller, Words([id]): Words<1>) -> Answer<Response> {
    let id = must_be_uuid(imported::token_named(&desk, &caller, &id).await?)?;
    match desk
        .keeper
        .delete_key(&caller.actor, caller.project, id, None, None)
        .await
    {
        Ok(()) => Ok(success()),
        Err(refusal) => about_token(id, refusal),
    }
}

/// Whether the token that is shown works: whoever gets here has shown one that does.
pub async fn validate(_: Caller) -> Response {
    success()
}

fn must_be_uuid(id: Option<KeyId>) -> Answer<KeyId> {
    id.ok_or_else(|| Fail::saying(Code::MalformedRequest, "Token ID must be a UUID."))
}

/// What Meerschaum's clients are told of a change that is not made.
fn about_token(id: KeyId, refusal: Refusal) -> Answer<Response> {
    match refusal {
        Refusal::NotFound(_) => Ok(failure(&format!("Token {id} does not exist."))),
        refusal => Err(refusal.into()),
    }
}

fn name(label: &str) -> Answer<Name> {
    Name::new(label).map_err(|error| Faults::one("label", error).into())
}

/// A label for a token that was given none.
fn some_label(desk: &Desk) -> String {
    let mut random = [0; 4];
    desk.keeper.mint(|_, entropy| entropy.fill(&mut random));
    format!("token-{:08x}", u32::from_be_bytes(random))
}

/// A token as lists show it: these members and no others, or the client raises.
fn shown(key: &Key) -> Value {
    json!({
        "id": imported::id_of(key),
        "creation": times::zoned(key.created_at),
        "expiration": times::end(key.expiry),
        "label": key.about.name,
        "user_id": key.owner.uuid(),
        "scopes": scopes::shown(&key.access),
        "is_valid": key.state == KeyState::Active,
    })
}

fn success() -> Response {
    body::json(&json!([true, "Success"]))
}

fn failure(message: &str) -> Response {
    body::json(&json!([false, message]))
}
