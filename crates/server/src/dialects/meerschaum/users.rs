//! Users, as far as Meerschaum's clients ask for them: names and ids.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::code::Code;
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_store::{Limit, RecordQuery};
use serde_json::json;

use super::USERS_READ;
use crate::dialects::Desk;
use crate::dialects::caller::Caller;
use crate::dialects::reading::Words;
use crate::http::fail::Answer;
use crate::http::{Fail, body};
use crate::keeper::Refusal;

/// Most names in one list.
const LISTED_MAX: usize = 10_000;

/// The names of the users: everybody's for whoever may read owners, else one's own.
pub async fn list(State(desk): State<Desk>, caller: Caller) -> Answer<Response> {
    desk.keeper.carries(&caller.actor, USERS_READ)?;
    let mut query = RecordQuery {
        handle_prefix: None,
        after: None,
        limit: Limit::LARGEST,
    };
    let mut names = Vec::new();
    loop {
        let page = desk
            .keeper
            .owners(&caller.actor, caller.project, OwnerKind::User, query.clone())
            .await;
        let page = match page {
            Ok(page) => page,
            Err(Refusal::Lacks { .. }) => {
                names.extend(desk.keeper.owner_handle(caller.actor.owner));
                break;
            }
            Err(refusal) => return Err(refusal.into()),
        };
        names.extend(page.entries.iter().filter_map(|user| user.handle().map(str::to_owned)));
        match page.next {
            Some(next) if names.len() < LISTED_MAX => query.after = Some(next),
            _ => break,
        }
    }
    Ok(body::json(&names))
}

/// The id of a user of this name: one's own, or anybody's for whoever may read owners.
pub async fn id(State(desk): State<Desk>, caller: Caller, Words([name]): Words<1>) -> Answer<Response> {
    desk.keeper.carries(&caller.actor, USERS_READ)?;
    let own = caller.actor.owner;
    if desk.keeper.owner_handle(own).is_some_and(|handle| handle == name) {
        return Ok(body::json(&own.uuid()));
    }
    let nobody = || Fail::saying(Code::NotFound, "User does not exist.");
    let named = desk.keeper.owner_named(caller.project, OwnerKind::User, &name);
    let owner: Owner = named.map_err(|_| nobody())?;
    desk.keeper
        .owner(&caller.actor, caller.project, owner)
        .map_err(|_| nobody())?;
    Ok(body::json(&owner.uuid()))
}

/// The caller.
pub async fn me(State(desk): State<Desk>, caller: Caller) -> Response {
    body::json(&json!({
        "username": desk.keeper.owner_handle(caller.actor.owner),
        "user_id": caller.actor.owner.uuid(),
        "user_type": null,
        "attributes": {},
    }))
}
