//! `/activity`: the audit trail in Directus' words.
//!
//! | here | Directus |
//! |---|---|
//! | an event about a user | `create`, `update` or `delete` in `directus_users` |
//! | an event about a user's static key | `update` of that user, with `{"token": "**********"}` or null as its delta |
//! | an event about another key, a team, … | the same in `keyholt_keys`, `keyholt_teams`, … |
//! | the beginning and the end of a session | `login`, `logout` of its user |
//!
//! Refused attempts are not in it: Directus has no word for them. They are in Keyholt's own audit trail.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::code::Code;
use keyholt_core::audit::{Event, Noun};
use keyholt_core::owner::{Owner, OwnerKind, User};
use keyholt_store::{After, EventQuery, Limit, NumberedEvent, Refused};
use serde_json::{Map, Value, json};

use super::answer;
use super::fields::Fields;
use super::filter::Known;
use super::person::{self, COLLECTION, MASK, id_of, shown_id};
use super::query::{Asked, Order, invalid};
use crate::dialects::Desk;
use crate::dialects::caller::Caller;
use crate::dialects::reading::Words;
use crate::http::Fail;
use crate::http::fail::Answer;

/// Most events that are looked at for one answer.
const LOOKED_AT_MAX: usize = 20_000;

/// What may be asked about events.
const KNOWN: Known = Known {
    fields: &[
        "id",
        "action",
        "user",
        "timestamp",
        "ip",
        "user_agent",
        "collection",
        "item",
        "origin",
    ],
    relations: &[],
    concealed: &[],
};

/// Lists what happened, newest first unless it is asked for otherwise.
pub async fn list(State(desk): State<Desk>, caller: Caller, asked: Asked) -> Answer<Response> {
    let query = asked.read(&KNOWN)?;
    let natural = [("id", Order::Descending), ("timestamp", Order::Descending)];
    let enough = if query.is_in_order(&natural) {
        query.offset.saturating_add(query.limit)
    } else {
        usize::MAX
    };
    // What happened to a user is found by the user; all of it is looked at again.
    let item = query
        .filter
        .must_be("item")
        .filter(|_| query.filter.must_be("collection") == Some(COLLECTION));
    let owner = item.map(|item| Owner::User(id_of(&desk, caller.project, item)));
    let (mut rows, mut after, mut seen) = (Vec::new(), None, 0);
    loop {
        let page = desk
            .keeper
            .events(&caller.actor, caller.project, &events(owner, after, Limit::LARGEST))
            .await?;
        seen += page.entries.len();
        rows.extend(
            page.entries
                .iter()
                .map(|entry| show(&desk, entry))
                .filter(|row| query.wants(row)),
        );
        after = page.next;
        if after.is_none() || rows.len() >= enough {
            break;
        }
        if seen >= LOOKED_AT_MAX {
            return Err(invalid(
                "too many events would have to be looked at; ask for the newest, or by `item`",
            ));
        }
    }
    query.order(&mut rows, |row| row);
    let page = rows.iter().skip(query.offset).take(query.limit);
    answer::list(page.map(|row| query.fields.of(row)).collect())
}

/// Shows one event, by its number.
pub async fn read(State(desk): State<Desk>, caller: Caller, Words([id]): Words<1>, asked: Asked) -> Answer<Response> {
    let query = asked.read(&KNOWN)?;
    let number: i64 = id.parse().unwrap_or_default();
    let just_before = After {
        value: number.saturating_add(1),
        id: uuid::Uuid::nil(),
    };
    let one = events(None, Some(just_before), Limit::new(1).unwrap_or(Limit::DEFAULT));
    let page = desk.keeper.events(&caller.actor, caller.project, &one).await?;
    let found = page
        .entries
        .first()
        .filter(|entry| i64::try_from(entry.number.0) == Ok(number));
    let found = found.ok_or_else(|| Fail::new(Code::NotFound))?;
    answer::one(Some(query.fields.of(&show(&desk, found))))
}

fn events(owner: Option<Owner>, after: Option<After>, limit: Limit) -> EventQuery {
    EventQuery {
        action: None,
        target: None,
        actor: None,
        owner,
        refused: Some(Refused::Not),
        since: None,
        until: None,
        after,
        limit,
    }
}

fn show(desk: &Desk, entry: &NumberedEvent) -> Value {
    let event = &entry.event;
    let number = entry.number.0;
    let token = token_of(event);
    let (collection, item) = match (token, event.owner) {
        (Some((user, _)), _) => (COLLECTION.to_owned(), Some(shown_id(desk, user))),
        (None, _) => (collection(event.target.noun), item(desk, event)),
    };
    let delta = match token {
        Some((_, now)) => json!({ "token": now }),
        None => delta(desk, event),
    };
    let revisions = match delta.as_object().is_some_and(|delta| !delta.is_empty()) {
        true => json!([{
            "id": number,
            "activity": number,
            "collection": collection,
            "item": item,
            "data": null,
            "delta": delta,
            "parent": null,
            "version": null,
        }]),
        false => json!([]),
    };
    json!({
        "id": number,
        "action": action(event, token.is_some()),
        "user": event.actor.map(|actor| shown_id(desk, actor.owner)),
        "timestamp": event.at.to_string(),
        "ip": event.source.address.map(|address| address.to_string()),
        "user_agent": null,
        "collection": collection,
        "item": item,
        "origin": null,
        "revisions": revisions,
    })
}

/// The last word of an action says what became of its target.
fn action(event: &Event, of_token: bool) -> &'static str {
    let verb = event.action.rsplit('.').next().unwrap_or_default();
    match (event.action.as_str(), verb) {
        _ if of_token => "update",
        ("session.start", _) => "login",
        ("session.end", _) => "logout",
        (_, "enrol" | "issue" | "found") => "create",
        (_, "remove" | "delete") => "delete",
        _ => "update",
    }
}

fn item(desk: &Desk, event: &Event) -> Option<String> {
    let id = event.target.id?;
    Some(match event.target.noun {
        Noun::User => shown_id(desk, Owner::new(OwnerKind::User, id)),
        _ => id.to_string(),
    })
}

fn collection(noun: Noun) -> String {
    match noun {
        Noun::User => COLLECTION.to_owned(),
        Noun::Role => "directus_roles".to_owned(),
        other => format!("keyholt_{}s", other.as_str()),
    }
}

/// Whose token an event is about, and what is shown of it afterwards.
fn token_of(event: &Event) -> Option<(Owner, Option<&'static str>)> {
    let user = event.owner.filter(|owner| matches!(owner, Owner::User(_)))?;
    let seen = event.after.as_ref().or(event.before.as_ref())?;
    if event.target.noun != Noun::Key || seen["kind"] != "static" {
        return None;
    }
    let live = event
        .after
        .as_ref()
        .is_some_and(|after| after["state"].get("revoked").is_none());
    Some((user, live.then_some(MASK)))
}

/// What became different, as the collection shows it: a role by its id, and no id, which is the `item`.
fn delta(desk: &Desk, event: &Event) -> Value {
    if event.target.noun != Noun::User {
        return json!({});
    }
    let shown = |view: &Option<Value>| {
        let user: Option<User> = view.as_ref().and_then(|view| serde_json::from_value(view.clone()).ok());
        user.map(|user| Fields::default().of(&person::show(desk, &user)))
    };
    let (before, after) = (shown(&event.before), shown(&event.after));
    let Some(Value::Object(mut after)) = after else {
        return json!({});
    };
    after.remove("id");
    // Of a user who was not there before, everything was null.
    let other =
        |(field, value): &(String, Value)| before.as_ref().map_or(&Value::Null, |before| &before[field]) != value;
    let changed: Map<String, Value> = after.into_iter().filter(other).collect();
    Value::Object(changed)
}
