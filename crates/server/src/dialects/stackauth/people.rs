//! Users: enrol, read, list, change, remove.

use axum::response::Response;
use http::StatusCode;
use keyholt_api::secret::PresentedSecret;
use keyholt_core::commit::{Record, Revision};
use keyholt_core::id::UserId;
use keyholt_core::owner::{Owner, OwnerKind, Standing, Team, User};
use keyholt_core::password::Typed;
use keyholt_core::text::{Email, ExternalId, Metadata, Name, TextError};
use keyholt_store::{After, Limit, RecordQuery};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::complaint::{self, Answer};
use super::shape::{self, Password};
use super::visitor::{Level, Visitor};
use super::{NAME, teams};
use crate::dialects::reading::{Body, Pairs};
use crate::dialects::{Desk, notes};
use crate::http::body;
use crate::keeper::{Label, Refusal};

/// Most users that a search looks at.
const SEARCHED_MAX: usize = 10_000;
/// The word for whoever is signed in.
pub const ME: &str = "me";
/// The name of a user that was given none.
const NAMELESS: &str = "User";
/// Members that a browser may change of its own user.
const OWN_MEMBERS: [&str; 4] = [
    "display_name",
    "client_metadata",
    "profile_image_url",
    "selected_team_id",
];

/// A user as it arrives. What Keyholt knows nothing of is passed over, as the clients send it always.
#[derive(Deserialize)]
pub struct Sent {
    primary_email: Option<String>,
    password: Option<PresentedSecret>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The user that a request names: by id, or as `me`.
pub fn named(desk: &Desk, visitor: &Visitor, word: &str) -> Answer<UserId> {
    if word == ME {
        return match visitor.person() {
            Some((_, user)) => Ok(user),
            None => Err(complaint::no_own_user()),
        };
    }
    match of_id(desk, visitor, OwnerKind::User, word) {
        Some(Owner::User(user)) => Ok(user),
        _ => Err(complaint::user_not_found()),
    }
}

/// The owner of an id: Keyholt's own, or the one that it had in Stack Auth.
pub fn of_id(desk: &Desk, visitor: &Visitor, kind: OwnerKind, word: &str) -> Option<Owner> {
    let id = Uuid::try_parse(word).ok()?.to_string();
    let brought = format!("{}{id}", shape::CAME_WITH_ID);
    let keeper = &desk.keeper;
    let owner = keeper.owner_named(visitor.project, kind, &id);
    owner
        .or_else(|_| keeper.owner_named(visitor.project, kind, &brought))
        .ok()
}

/// Enrols a user.
pub async fn create(desk: Desk, visitor: Visitor, body: Body) -> Answer<Response> {
    visitor.at_least(Level::Server)?;
    let sent: Sent = body.json()?;
    let actor = visitor.actor()?;
    let password = sent.password.as_ref().map(|text| typed(text.expose())).transpose()?;
    let email = sent.primary_email.as_deref().map(email).transpose()?;
    let (id, now) = desk.keeper.mint_user();
    let mut user = User {
        id,
        project: visitor.project,
        external_id: handle(email.as_ref(), id.uuid())?,
        name: Name::new(NAMELESS).map_err(refused("display_name"))?,
        email,
        roles: desk.keeper.default_roles(visitor.project),
        standing: Standing::Good,
        metadata: Metadata::default(),
        created_at: now,
        revision: Revision::FIRST,
    };
    let named = changed(&user.name, &user.metadata, &unnamed(sent.rest))?;
    (user.name, user.metadata) = (named.name, named.metadata);
    let enrolled = desk.keeper.enrol_owner(actor, Record::User(user.clone())).await;
    enrolled.map_err(|refusal| match (refusal, &user.email) {
        (Refusal::HandleTaken(_), Some(email)) => complaint::email_taken(email.as_str()),
        (refusal, _) => refusal.into(),
    })?;
    if let Some(password) = &password
        && let Err(refusal) = desk.keeper.set_password(actor, visitor.project, id, password).await
    {
        // Nobody stays enrolled with half of what was sent.
        let owner = Owner::User(id);
        desk.keeper
            .remove_owner(actor, visitor.project, owner, None, None)
            .await?;
        return Err(refusal.into());
    }
    let mut response = one(&desk, &visitor, id).await?;
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// One user: any for a server, whoever is signed in for a browser.
pub async fn read(desk: Desk, visitor: Visitor, word: String) -> Answer<Response> {
    if visitor.level == Level::Client && word != ME {
        visitor.at_least(Level::Server)?;
    }
    let id = named(&desk, &visitor, &word)?;
    one(&desk, &visitor, id).await
}

/// Users, oldest first; those of a team, or those whose name or address holds a text.
pub async fn list(desk: Desk, visitor: Visitor, query: Pairs) -> Answer<Response> {
    visitor.at_least(Level::Server)?;
    let actor = visitor.actor()?;
    if let Some(word) = query.one("team_id") {
        let team = teams::found(&desk, &visitor, word)?;
        let users: Vec<UserId> = team.members.iter().map(|member| member.user).collect();
        let told = tell_each(&desk, &visitor, &users).await?;
        return Ok(body::json(&shape::page(told, None)));
    }
    let limit = match query.one("limit") {
        None => Limit::DEFAULT,
        Some(text) => text
            .parse()
            .ok()
            .and_then(Limit::new)
            .ok_or_else(|| complaint::schema("limit must be 1 to 1000"))?,
    };
    let after = match query.one("cursor") {
        None | Some("") => None,
        Some(text) => {
            let id = Uuid::try_parse(text).map_err(|_| complaint::schema("cursor is none that was handed out"))?;
            Some(After { value: 0, id })
        }
    };
    let wanted = query
        .one("query")
        .map(str::to_lowercase)
        .filter(|text| !text.is_empty());
    let mut records = RecordQuery {
        handle_prefix: None,
        after,
        limit: if wanted.is_some() { Limit::LARGEST } else { limit },
    };
    let (mut found, mut seen) = (Vec::new(), 0);
    let next = loop {
        let page = desk
            .keeper
            .owners(actor, visitor.project, OwnerKind::User, records.clone())
            .await?;
        seen += page.entries.len();
        let users = page.entries.iter().filter_map(|record| match record.as_ref() {
            Record::User(user) if wanted.as_deref().is_none_or(|text| holds(user, text)) => Some(user.id),
            _ => None,
        });
        found.extend(users);
        let full = found.len() >= limit.entries() || seen >= SEARCHED_MAX || wanted.is_none();
        match page.next {
            Some(next) if !full => records.after = Some(next),
            next => break next,
        }
    };
    let told = tell_each(&desk, &visitor, &found).await?;
    Ok(body::json(&shape::page(told, next.map(|next| next.id))))
}

fn holds(user: &User, text: &str) -> bool {
    let email = user.email.as_ref().map_or("", |email| email.as_str());
    let id = user.id.to_string();
    [user.name.as_str(), email, user.external_id.as_str(), &id]
        .iter()
        .any(|known| known.to_lowercase().contains(text))
}

/// Changes a user. A browser changes what its own user may say about itself, a server all that Keyholt keeps.
pub async fn change(desk: Desk, visitor: Visitor, word: String, body: Body) -> Answer<Response> {
    if visitor.level == Level::Client && word != ME {
        visitor.at_least(Level::Server)?;
    }
    let sent: Sent = body.json()?;
    let id = named(&desk, &visitor, &word)?;
    let owner = Owner::User(id);
    let mut rest = sent.rest;
    if visitor.level == Level::Client {
        if sent.primary_email.is_some() || sent.password.is_some() {
            visitor.at_least(Level::Server)?;
        }
        rest.retain(|member, _| OWN_MEMBERS.contains(&member.as_str()));
    }
    if let Some(team) = rest.get("selected_team_id").and_then(Value::as_str) {
        let team = teams::found(&desk, &visitor, team)?;
        if !team.members.iter().any(|member| member.user == id) {
            return Err(complaint::membership_not_found(&team.id.to_string(), &word));
        }
    }
    let actor = visitor.actor()?;
    let relabel = |record: &Record| match record {
        Record::User(user) => changed(&user.name, &user.metadata, &rest),
        _ => Err(Refusal::NotFound(keyholt_core::audit::Noun::User)),
    };
    desk.keeper
        .relabel_owner(actor, visitor.project, owner, &relabel)
        .await?;
    if let Some(text) = &sent.primary_email {
        let address = email(text)?;
        let readdress = |record: &mut Record| {
            if let Record::User(user) = record {
                // A handle that was the address goes along with it.
                if user
                    .email
                    .as_ref()
                    .is_some_and(|old| old.as_str() == user.external_id.as_str())
                {
                    user.external_id = handle(Some(&address), user.id.uuid())?;
                }
                user.email = Some(address.clone());
            }
            Ok(())
        };
        let readdressed = desk
            .keeper
            .change_owner(actor, visitor.project, owner, None, &readdress)
            .await;
        readdressed.map_err(|refusal| match refusal {
            Refusal::HandleTaken(_) => complaint::email_taken(text),
            refusal => refusal.into(),
        })?;
    }
    if let Some(password) = &sent.password {
        let password = typed(password.expose())?;
        desk.keeper.set_password(actor, visitor.project, id, &password).await?;
    }
    one(&desk, &visitor, id).await
}

/// A password as somebody typed it.
pub fn typed(text: &str) -> Result<Typed, Refusal> {
    Typed::read(text).map_err(refused("password"))
}

/// Removes a user; the keys end in the same breath.
pub async fn remove(desk: Desk, visitor: Visitor, word: String) -> Answer<Response> {
    visitor.at_least(Level::Server)?;
    let id = named(&desk, &visitor, &word)?;
    let actor = visitor.actor()?;
    desk.keeper
        .remove_owner(actor, visitor.project, Owner::User(id), None, None)
        .await?;
    Ok(body::json(&json!({ "success": true })))
}

async fn one(desk: &Desk, visitor: &Visitor, id: UserId) -> Answer<Response> {
    Ok(body::json(&tell(desk, visitor, id).await?))
}

async fn tell_each(desk: &Desk, visitor: &Visitor, users: &[UserId]) -> Answer<Vec<Value>> {
    let mut told = Vec::with_capacity(users.len());
    for user in users {
        told.push(tell(desk, visitor, *user).await?);
    }
    Ok(told)
}

/// A user as the visitor may see it.
pub async fn tell(desk: &Desk, visitor: &Visitor, id: UserId) -> Answer<Value> {
    // Whoever is signed in may be told of themselves on every level.
    let actor = match visitor.person() {
        Some((actor, own)) if own == id && visitor.level == Level::Client => actor,
        _ => visitor.actor()?,
    };
    let record = desk.keeper.owner(actor, visitor.project, Owner::User(id))?;
    let Record::User(user) = record.as_ref() else {
        return Err(complaint::user_not_found());
    };
    let team = selected(desk, visitor, user)?;
    let password = if desk.keeper.has_password(actor, visitor.project, id).await? {
        Password::Set
    } else {
        Password::Unset
    };
    Ok(shape::user(user, team.as_ref(), password, visitor.level))
}

/// The team that a user has selected, as long as the user belongs to it.
fn selected(desk: &Desk, visitor: &Visitor, user: &User) -> Answer<Option<Team>> {
    let Some(wanted) = shape::selected_team(user) else {
        return Ok(None);
    };
    let teams = teams::of(desk, visitor, user.id)?;
    Ok(teams
        .into_iter()
        .find(|team| shape::known_id(team.id.uuid(), team.external_id.as_str()) == wanted))
}

fn email(text: &str) -> Result<Email, Refusal> {
    Email::new(text).map_err(refused("primary_email"))
}

/// A text that a member of the request may not hold.
pub fn refused(field: &'static str) -> impl Fn(TextError) -> Refusal {
    move |error| Refusal::Text { field, error }
}

/// The handle of a user in Keyholt: the address where there is one that can be a handle, else a word from the id.
fn handle(email: Option<&Email>, id: Uuid) -> Result<ExternalId, Refusal> {
    let from_address = email.and_then(|email| ExternalId::new(email.as_str()).ok());
    from_address.map_or_else(|| teams::handle("user", id), Ok)
}

/// A user that is given no name gets none of the name that Keyholt must have.
fn unnamed(mut sent: Map<String, Value>) -> Map<String, Value> {
    sent.entry("display_name").or_insert(Value::Null);
    sent
}

/// A name and notes with what a request changes of them.
pub fn changed(name: &Name, metadata: &Metadata, sent: &Map<String, Value>) -> Result<Label, Refusal> {
    let mut changes: Map<String, Value> = sent
        .iter()
        .filter(|(member, _)| shape::KEPT.contains(&member.as_str()))
        .map(|(member, value)| (member.clone(), value.clone()))
        .collect();
    let name = match sent.get("display_name") {
        None => name.clone(),
        Some(Value::String(text)) if !text.is_empty() => {
            changes.insert(shape::UNNAMED.to_owned(), Value::Null);
            Name::new(text).map_err(refused("display_name"))?
        }
        Some(Value::Null | Value::String(_)) => {
            changes.insert(shape::UNNAMED.to_owned(), json!(true));
            Name::new(NAMELESS).map_err(refused("display_name"))?
        }
        Some(_) => return Err(refused("display_name")(TextError::Characters("text, or be null"))),
    };
    let metadata = if changes.is_empty() {
        metadata.clone()
    } else {
        let noted = notes::write(metadata, NAME, shape::changed_notes(metadata, changes));
        noted.map_err(refused("metadata"))?
    };
    Ok(Label { name, metadata })
}

/// The id by which the clients know a user.
pub fn known(desk: &Desk, user: UserId) -> Uuid {
    let handle = desk.keeper.owner_handle(Owner::User(user)).unwrap_or_default();
    shape::known_id(user.uuid(), &handle)
}
