//! All keys of the caller at once, for products whose lists have no pages.

use keyholt_core::key::Kind;
use keyholt_store::{KeyQuery, Limit, Owners};

use super::Desk;
use super::caller::Caller;
use crate::http::fail::Answer;
use crate::keeper::KeyView;

/// Most keys in one list; an owner may have more only if the project's policy was raised far beyond its default.
const LISTED_MAX: usize = 10_000;

/// The caller's own keys, newest first.
pub async fn own_keys(desk: &Desk, caller: &Caller) -> Answer<Vec<KeyView>> {
    let mut query = KeyQuery {
        owners: Owners::These(vec![caller.actor.owner]),
        kind: Some(Kind::Standard),
        limit: Limit::LARGEST,
        ..KeyQuery::default()
    };
    let mut keys = Vec::new();
    loop {
        let page = desk.keeper.keys(&caller.actor, caller.project, query.clone()).await?;
        keys.extend(page.entries);
        match page.next {
            Some(next) if keys.len() < LISTED_MAX => query.after = Some(next),
            _ => return Ok(keys),
        }
    }
}
