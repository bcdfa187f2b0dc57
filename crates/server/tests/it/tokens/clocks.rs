//! Nodes whose clocks differ: what is believed of a token from another node's future, and of its next signing key.

use std::sync::Arc;

use keyholt_core::time::Span;
use keyholt_server::clock::FakeClock;
use keyholt_server::keeper::SetBack;
use serde_json::json;

use super::rotation::kid;
use super::stage::Stage;
use crate::house::{NEW_YEAR, keeper_after};
use crate::wire::Wire;

/// What a node says of a token whose clock shows this many seconds after New Year.
async fn code_at(stage: &Stage, seconds: i64, token: &str) -> String {
    let clock = Arc::new(FakeClock::at(NEW_YEAR + seconds * 1_000));
    let keeper = keeper_after(Arc::clone(&stage.house.store), clock, 31, SetBack::Believe).await;
    let body = json!({"credential": token});
    let reply = Wire::to(&keeper).post(&stage.verifier.secret, "/v1/verify", body).await;
    reply.ok().json()["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_token_from_the_future_is_nothing_unless_clocks_may_differ_so_much() {
    let stage = Stage::open().await;
    stage.token(&stage.client).await;
    stage.house.advance(Span::secs(600));
    let token = stage.token(&stage.client).await;
    for (seconds, code) in [
        (0, "unknown"),
        (539, "unknown"),
        (540, "valid"),
        (600, "valid"),
        (900, "expired"),
    ] {
        assert_eq!(code_at(&stage, seconds, &token).await, code, "at {seconds} s");
    }
}

#[tokio::test]
async fn what_the_next_key_signed_is_believed_as_soon_as_it_is_published() {
    let stage = Stage::open().await;
    let before = stage.token(&stage.client).await;
    let next = stage.rotate().await;
    stage.house.advance(Span::secs(600));
    let token = stage.token(&stage.client).await;
    assert_eq!(kid(&token), next["kid"]);
    assert_ne!(kid(&token), kid(&before));
    // A node that is half a minute behind does not sign with that key yet.
    assert_eq!(code_at(&stage, 570, &token).await, "valid");
}
