//! Attempts that are refused: each leaves exactly its one event, and nothing else changes.

use std::collections::BTreeSet;

use http::Method;
use keyholt_core::id::{ProjectId, SYSTEM};
use keyholt_server::http::{Needs, Operation};
use serde_json::{Value, json};

use super::{Ledger, Village, needing_a_key};
use crate::house::in_short;
use crate::wire::Reply;

/// The operations that change something, with the actions of their events.
fn changing() -> impl Iterator<Item = (&'static Operation, &'static str)> {
    needing_a_key().filter_map(|operation| Some((operation, operation.audit?)))
}

impl Village {
    /// One refused attempt, and no more than that, since then.
    async fn one_attempt_since(&self, before: &Ledger, project: ProjectId, expected: &str, what: &str) -> Ledger {
        let after = self.ledger().await;
        let told = after.told_since(before);
        let lines: Vec<String> = told.iter().map(|(event, _)| in_short(event)).collect();
        assert_eq!(lines, [expected], "{what}");
        assert_eq!(told[0].0.project, project, "{what}");
        assert!(told[0].1.is_empty(), "{what}: an attempt touches nothing");
        assert_eq!(after.changed_since(before), BTreeSet::new(), "{what}");
        after
    }
}

#[tokio::test]
async fn whoever_lacks_the_scope_leaves_one_event_and_changes_nothing() {
    let village = Village::open().await;
    let mut ledger = village.ledger().await;
    for (operation, action) in changing() {
        if operation.needs == Needs::AnyKey {
            continue;
        }
        let reply = village.ask(operation, &village.idle.secret).await;
        // What only operators may do does not exist for anybody else.
        let code = if reply.status == 404 {
            "not_found"
        } else {
            "insufficient_scope"
        };
        assert_eq!(reply.code(), code, "{}", operation.id);
        let expected = format!("{action} refused: {code}");
        ledger = village
            .one_attempt_since(&ledger, village.house.project(), &expected, operation.id)
            .await;
    }
}

#[tokio::test]
async fn whoever_is_of_another_project_leaves_one_event_there_and_changes_nothing() {
    let village = Village::open().await;
    let globex = village.stranger.key.project;
    let mut ledger = village.ledger().await;
    for (operation, action) in changing().filter(|(operation, _)| operation.path.contains("{project}")) {
        let reply = village.ask(operation, &village.stranger.secret).await;
        assert_eq!(reply.status, 404, "{}", operation.id);
        let expected = format!("{action} refused: not_found");
        ledger = village
            .one_attempt_since(&ledger, globex, &expected, operation.id)
            .await;
        // Another project's key, named below ones own.
        if operation.path.contains("{key}") {
            let (path, body) = village.example(operation);
            let (path, body) = (path.replace("/acme/", "/self/"), body.unwrap_or(json!({})));
            let method: Method = operation.method.parse().unwrap();
            let reply = village.wire.call(method, &village.stranger.secret, &path, body).await;
            assert_eq!(reply.status, 404, "{}", operation.id);
            ledger = village
                .one_attempt_since(&ledger, globex, &expected, operation.id)
                .await;
        }
    }
}

/// A body that is well-formed, and that the keeper does not do what it says.
fn declined(operation: &Operation) -> Option<Value> {
    Some(match operation.id {
        "create_key" => json!({"name": "new", "owner": {"team": "platform"}, "kind": "static"}),
        "set_password" => json!({"password": "too short"}),
        "create_project" => json!({"slug": "self", "name": "Self"}),
        "amend_project" => json!({"slug": "self"}),
        "start_component_session" => json!({"owner": {"user": "bob"}, "expires_in": "2h"}),
        _ => return None,
    })
}

impl Village {
    async fn decline(&self, operation: &Operation, body: Value) -> Reply {
        let (path, _) = self.example(operation);
        let secret = match operation.id {
            "start_component_session" => &self.backend.secret,
            _ => &self.house.operator.secret,
        };
        self.wire
            .call(operation.method.parse().unwrap(), secret, &path, body)
            .await
    }
}

#[tokio::test]
async fn what_the_keeper_declines_leaves_one_event_and_changes_nothing() {
    let village = Village::open().await;
    let mut ledger = village.ledger().await;
    let mut declines = 0;
    for (operation, action) in changing() {
        let Some(body) = declined(operation) else { continue };
        let reply = village.decline(operation, body).await;
        assert_eq!(reply.status, 422, "{}: {}", operation.id, reply.code());
        let project = match operation.id {
            "create_project" => SYSTEM,
            _ => village.house.project(),
        };
        let expected = format!("{action} refused: {}", reply.code());
        ledger = village
            .one_attempt_since(&ledger, project, &expected, operation.id)
            .await;
        declines += 1;
    }
    assert_eq!(declines, 5);
}
