//! What comes over a connection that nobody encrypts, where TLS is promised: refused in every tongue, and marked.

use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_server::dialects::{DIALECTS, Directus};
use keyholt_server::http::Encryption;

use super::village::Village;
use crate::exposure::behind_proxy;
use crate::house::{Wishes, wish};
use crate::wire::{Wire, request};

fn asking(method: &str, path: &str) -> http::Request<axum::body::Body> {
    request(method.parse().unwrap(), path, "", axum::body::Body::empty())
}

async fn exposures(village: &Village) -> usize {
    let events = village.house.events(village.house.project()).await;
    events.iter().filter(|event| event.action == "key.exposed").count()
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_in_the_clear_and_marked() {
    let village = Village::open(&Directus).await;
    let wire = Wire::speaking_where(&village.house.keeper, &Directus, "acme", Encryption::Required);
    let made = village
        .house
        .issue(wish(Owner::User(village.ada.id), "by mail").everything())
        .await;
    assert_eq!(made.key.kind, Kind::Standard);
    let path = format!("/users/me?access_token={}", made.secret);
    let open = wire.send(behind_proxy(asking("GET", &path), "https")).await;
    open.ok();
    assert_eq!(exposures(&village).await, 0);
    let clear = wire.send(behind_proxy(asking("GET", &path), "http")).await;
    assert_eq!(clear.status, 400);
    assert!(clear.json()["errors"][0]["extensions"]["code"].is_string(), "{clear:?}");
    assert!(!String::from_utf8_lossy(&clear.bytes).contains(&made.secret));
    assert_eq!(exposures(&village).await, 1);
}

#[tokio::test]
async fn nothing_at_all_is_answered_in_the_clear_in_any_tongue() {
    for dialect in DIALECTS {
        let village = Village::open(dialect).await;
        let wire = Wire::speaking_where(&village.house.keeper, dialect, "acme", Encryption::Required);
        for route in dialect.routes() {
            let operation = route.operation;
            let reply = wire
                .send(behind_proxy(asking(operation.method, operation.path), "http"))
                .await;
            assert_eq!(reply.status, 400, "{} {}", dialect.name(), operation.id);
        }
    }
}
