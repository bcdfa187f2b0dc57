//! `/roles`: the roles of the project, to be read. What a role may do is decided in Keyholt.

use axum::extract::State;
use axum::response::Response;
use keyholt_core::commit::Record;
use keyholt_core::role::Role;
use keyholt_store::{Limit, RecordQuery};
use serde_json::{Value, json};

use super::answer;
use super::filter::Known;
use super::query::Asked;
use crate::dialects::Desk;
use crate::dialects::caller::Caller;
use crate::dialects::reading::Words;
use crate::http::fail::Answer;

/// What may be asked about roles.
const KNOWN: Known = Known {
    fields: &["id", "name", "description"],
    relations: &[],
    concealed: &[],
};

/// A role as Directus shows one.
pub fn show(role: &Role) -> Value {
    json!({
        "id": role.id,
        "name": role.name,
        "description": role.description,
        "icon": "supervised_user_circle",
        "parent": null,
        "children": [],
        "policies": [],
        "users": [],
    })
}

/// Lists roles. A project has at most a thousand of them: one page.
pub async fn list(State(desk): State<Desk>, caller: Caller, asked: Asked) -> Answer<Response> {
    let query = asked.read(&KNOWN)?;
    let all = RecordQuery {
        handle_prefix: None,
        after: None,
        limit: Limit::LARGEST,
    };
    let page = desk.keeper.roles(&caller.actor, caller.project, all).await?;
    let role = |record: &std::sync::Arc<Record>| match record.as_ref() {
        Record::Role(role) => Some(show(role)),
        _ => None,
    };
    let mut roles: Vec<Value> = page
        .entries
        .iter()
        .filter_map(role)
        .filter(|role| query.wants(role))
        .collect();
    query.order(&mut roles, |role| role);
    let page = roles.iter().skip(query.offset).take(query.limit);
    answer::list(page.map(|role| query.fields.of(role)).collect())
}

/// Shows one role.
pub async fn read(State(desk): State<Desk>, caller: Caller, Words([id]): Words<1>, asked: Asked) -> Answer<Response> {
    let query = asked.read(&KNOWN)?;
    let role = desk.keeper.role(&caller.actor, caller.project, &id)?;
    answer::one(Some(query.fields.of(&show(&role))))
}
