//! The audit trail: read it page by page, or take it all away.

use axum::extract::State;
use axum::response::Response;
use keyholt_api::event::{Event, EventChoice, EventFilter, EventPage, OutcomeWord};
use keyholt_api::page::PageRequest;
use keyholt_core::id::ProjectId;
use keyholt_core::owner::Owner;
use keyholt_store::{EventQuery, Limit, Refused};

use super::body::json;
use super::cursor::List;
use super::fail::Answer;
use super::keys::named_owner;
use super::place::{InProject, NOBODY};
use super::query::Paged;
use super::{Door, show};

/// List audit events
///
/// Newest first: every change, and every refused attempt at one.
#[utoipa::path(get, path = "/v1/projects/{project}/events", operation_id = "list_events", tag = "Audit",
    params(EventFilter, PageRequest), responses((status = 200, description = "A page of events.", body = EventPage)))]
pub async fn list(State(door): State<Door>, at: InProject, page: Paged<EventFilter>) -> Answer<Response> {
    let list = List::new("list_events", at.project, &page.filter);
    let query = EventQuery {
        after: list.open(&door.keeper, page.cursor.as_deref())?,
        limit: page.limit,
        ..query(&door, at.project, page.filter.read()?)
    };
    let found = door.keeper.events(&at.actor, at.project, &query).await?;
    let names = show::Called(&door.keeper);
    let event = |entry: &keyholt_store::NumberedEvent| Event::show(entry.number.0, &entry.event, &names);
    Ok(json(&EventPage {
        events: found.entries.iter().map(event).collect(),
        next_cursor: found.next.map(|after| list.seal(&door.keeper, after)),
    }))
}

/// Filters as a question to the store.
pub(super) fn query(door: &Door, project: ProjectId, choice: EventChoice) -> EventQuery {
    let owner = choice.owner.map(|owner| {
        let nobody = Owner::new(owner.kind, NOBODY);
        named_owner(door, project, Some(&owner), nobody)
    });
    EventQuery {
        action: choice.action,
        target: choice.target,
        actor: choice.actor,
        owner,
        refused: choice.outcome.map(|outcome| match outcome {
            OutcomeWord::Done => Refused::Not,
            OutcomeWord::Refused => Refused::Only,
        }),
        since: choice.since,
        until: choice.until,
        after: None,
        limit: Limit::LARGEST,
    }
}
