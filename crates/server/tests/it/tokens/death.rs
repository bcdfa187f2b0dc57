//! How tokens follow their key: what it loses they lose at once, and verify and introspection say so.

use http::Method;
use serde_json::json;

use super::stage::{Stage, claims, error};

impl Stage {
    /// Changes the client's key, as an operator.
    async fn change_client(&self, change: serde_json::Value) {
        let path = format!("/v1/projects/acme/keys/{}", self.client.id());
        let operator = &self.house.operator.secret;
        self.wire.call(Method::PATCH, operator, &path, change).await.ok();
    }
}

#[tokio::test]
async fn a_token_of_a_key_that_was_narrowed_may_do_no_more_than_the_key() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    assert_eq!(stage.verdict(&token, &["orders:write"]).await["code"], "valid");
    stage.change_client(json!({"scopes": ["orders:read"]})).await;
    let verdict = stage.verdict(&token, &["orders:write"]).await;
    assert_eq!(verdict["code"], "insufficient_scope");
    assert_eq!(verdict["missing_scopes"], json!(["orders:write"]));
    let verdict = stage.verdict(&token, &["orders:read"]).await;
    assert_eq!(verdict["scopes"], json!(["orders:read"]));
    assert_eq!(
        claims(&token)["scope"],
        "orders:read orders:write",
        "what it says of itself is older"
    );
    assert_eq!(stage.introspect(&stage.verifier, &token).await["scope"], "orders:read");
    stage
        .change_client(json!({"scopes": ["orders:read", "orders:write"]}))
        .await;
    assert_eq!(
        stage.introspect(&stage.verifier, &token).await["scope"],
        "orders:read orders:write"
    );
}

#[tokio::test]
async fn a_token_of_a_key_whose_end_was_moved_ends_with_it() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    assert_eq!(claims(&token)["exp"], 1_893_456_300);
    stage.change_client(json!({"expires_at": "2030-01-01T00:01:00Z"})).await;
    assert_eq!(stage.introspect(&stage.verifier, &token).await["exp"], 1_893_456_060);
    stage.house.advance(keyholt_core::time::Span::millis(59_999));
    assert_eq!(stage.code(&token).await, "valid");
    stage.house.advance(keyholt_core::time::Span::millis(1));
    assert_eq!(stage.code(&token).await, "expired");
    assert_eq!(
        stage.introspect(&stage.verifier, &token).await,
        json!({"active": false})
    );
    assert_eq!(stage.wire.get(&token, "/v1/self").await.code(), "invalid_credential");
}

#[tokio::test]
async fn a_token_of_a_closed_project_is_dead_until_the_project_is_opened_again() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let operator = &stage.house.operator;
    let code = async || {
        let body = json!({"credential": token});
        let verdict = stage
            .wire
            .post(&operator.secret, "/v1/projects/acme/verify", body)
            .await;
        verdict.ok().json()["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code().await, "valid");
    assert_eq!(stage.introspect(operator, &token).await["active"], true);
    let (olga, project) = (stage.house.olga(), stage.house.project());
    let keeper = &stage.house.keeper;
    keeper.suspend_project(&olga, project, None, None).await.unwrap();
    assert_eq!(code().await, "project_suspended");
    assert_eq!(stage.introspect(operator, &token).await, json!({"active": false}));
    assert_eq!(stage.wire.get(&token, "/v1/self").await.code(), "invalid_credential");
    let asked = stage.ask(&stage.client, &[("grant_type", "client_credentials")]).await;
    assert_eq!(error(&asked), (401, "invalid_client".to_owned()));
    keeper.resume_project(&olga, project, None, None).await.unwrap();
    assert_eq!(code().await, "valid");
}

#[tokio::test]
async fn the_twin_of_a_signature_is_the_same_token_and_dies_with_it() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let twin = super::forged::twin(&token);
    assert_ne!(twin, token);
    // Whoever has a token can make the twin, and it says nothing else: it is taken, and goes by the same `jti`.
    assert_eq!(stage.code(&twin).await, "valid");
    stage.revoke(&stage.client, &token).await.ok();
    assert_eq!(stage.code(&twin).await, "revoked");
    assert_eq!(stage.introspect(&stage.verifier, &twin).await, json!({"active": false}));
}
