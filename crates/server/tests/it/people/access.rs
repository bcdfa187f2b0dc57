//! Access tokens of people: what a log-in hands out, and how they die with it.

use http::Method;
use keyholt_core::owner::Owner;
use keyholt_core::time::Span;
use serde_json::{Value, json};

use super::STAPLE;
use crate::house::{House, canary};
use crate::wire::{Reply, Wire};

fn secrets(answer: &Value) -> (String, String) {
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    let (refresh, access) = (text("refresh_token"), text("access_token"));
    canary(&refresh);
    canary(&access);
    (refresh, access)
}

async fn log_in(wire: &Wire, body: Value) -> Value {
    canary(STAPLE);
    wire.post("", "/v1/projects/acme/sessions", body).await.ok().json()
}

async fn refresh(wire: &Wire, token: &str) -> Reply {
    wire.post("", "/v1/sessions/refresh", json!({"refresh_token": token}))
        .await
}

async fn grant(wire: &Wire, token: &str, more: &str) -> Reply {
    let body = format!("grant_type=refresh_token&refresh_token={token}{more}");
    let request = http::Request::builder()
        .method(Method::POST)
        .uri("/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(axum::body::Body::from(body))
        .unwrap();
    wire.send(request).await
}

async fn opened() -> (House, Wire) {
    let house = House::open().await;
    house
        .role_means("member", &["orders:*", "keyholt:self:read", "keyholt:self:write"])
        .await;
    house.person("ada").await;
    let wire = Wire::to(&house.keeper);
    (house, wire)
}

#[tokio::test]
async fn a_log_in_opens_doors_until_it_ends() {
    let (house, wire) = opened().await;
    let answer = log_in(&wire, json!({"login": "ada", "password": STAPLE})).await;
    let (token, access) = secrets(&answer);
    assert_eq!(
        (answer["token_type"].clone(), answer["expires_in"].clone()),
        (json!("Bearer"), json!(300))
    );
    let whoami = wire.get(&access, "/v1/self").await.ok().json();
    assert_eq!(
        (whoami["owner"]["handle"].clone(), whoami["key"]["kind"].clone()),
        (json!("ada"), json!("session"))
    );
    assert_eq!(house.code(&access, &["orders:read"]), "valid");
    let mine = wire.get(&access, "/v1/self/sessions").await.ok().json();
    assert_eq!(mine["sessions"][0]["current"], true);
    // The session's own secret opens nothing.
    assert_eq!(wire.get(&token, "/v1/self").await.code(), "invalid_credential");

    let out = wire
        .post("", "/v1/sessions/log-out", json!({"refresh_token": token}))
        .await;
    assert_eq!(out.status, 204);
    assert_eq!(wire.get(&access, "/v1/self").await.code(), "invalid_credential");
    assert_eq!(house.code(&access, &["orders:read"]), "revoked");
}

#[tokio::test]
async fn suspending_the_user_stops_the_access_token_at_once_and_lifting_it_restores_it() {
    let (house, wire) = opened().await;
    let (_, access) = secrets(&log_in(&wire, json!({"login": "ada", "password": STAPLE})).await);
    let ada = house
        .keeper
        .owner_named(house.project(), keyholt_core::owner::OwnerKind::User, "ada")
        .unwrap();
    let (olga, project): (_, _) = (house.olga(), house.project());
    house
        .keeper
        .suspend_owner(&olga, project, ada, None, None)
        .await
        .unwrap();
    assert_eq!(house.code(&access, &[]), "owner_suspended");
    assert_eq!(wire.get(&access, "/v1/self").await.code(), "invalid_credential");
    house
        .keeper
        .resume_owner(&olga, project, ada, None, None)
        .await
        .unwrap();
    assert_eq!(house.code(&access, &[]), "valid");
    assert!(matches!(ada, Owner::User(_)));
}

#[tokio::test]
async fn a_reading_log_in_has_reading_tokens() {
    let (house, wire) = opened().await;
    let body = json!({"login": "ada", "password": STAPLE, "scopes": ["orders:read"]});
    let (_, access) = secrets(&log_in(&wire, body).await);
    assert_eq!(house.code(&access, &["orders:read"]), "valid");
    assert_eq!(house.code(&access, &["orders:write"]), "insufficient_scope");
}

#[tokio::test]
async fn a_refresh_hands_out_both_tokens_and_the_reuse_of_one_ends_them() {
    let (house, wire) = opened().await;
    let (first, _) = secrets(&log_in(&wire, json!({"login": "ada", "password": STAPLE})).await);
    house.advance(Span::secs(60));
    let (second, access) = secrets(&refresh(&wire, &first).await.ok().json());
    house.advance(Span::secs(60));
    let reused = refresh(&wire, &first).await;
    assert_eq!((reused.status.as_u16(), reused.code().as_str()), (401, "session_over"));
    assert_eq!(refresh(&wire, &second).await.code(), "session_over");
    assert_eq!(house.code(&access, &[]), "revoked");
}

#[tokio::test]
async fn oauth_clients_refresh_with_the_grant_that_they_know() {
    let (house, wire) = opened().await;
    let (first, _) = secrets(&log_in(&wire, json!({"login": "ada", "password": STAPLE})).await);
    house.advance(Span::secs(60));
    let answer = grant(&wire, &first, "&scope=orders%3Aread").await.ok();
    assert_eq!(answer.header("cache-control"), "no-store");
    let (second, access) = secrets(&answer.json());
    assert_eq!(
        (answer.json()["scope"].clone(), answer.json()["token_type"].clone()),
        (json!("orders:read"), json!("Bearer"))
    );
    assert_eq!(house.code(&access, &["orders:write"]), "insufficient_scope");
    // What is asked for and not there is not there; the token is not lost for it.
    let answer = grant(&wire, &second, "&scope=orders%3Aread%20users%3Aread")
        .await
        .ok()
        .json();
    assert_eq!(answer["scope"], "orders:read");
    let (third, _) = secrets(&answer);
    house.advance(Span::secs(60));
    for (token, error) in [
        (second.as_str(), "invalid_grant"),
        (&third, "invalid_grant"),
        ("nonsense", "invalid_grant"),
    ] {
        let refused = grant(&wire, token, "").await;
        assert_eq!(
            (refused.status.as_u16(), refused.json()["error"].clone()),
            (400, json!(error))
        );
    }
    assert_eq!(grant(&wire, "", "").await.json()["error"], "invalid_request");
}
