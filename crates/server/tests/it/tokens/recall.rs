//! Introspection and revocation: a client asks about its own and ends its own.

use std::sync::Arc;

use keyholt_core::time::Span;
use keyholt_store::{Fault, Faulty, Memory};
use serde_json::json;

use super::stage::{Stage, basic, claims, error};
use crate::house::{Held, House, in_short};
use crate::wire::Reply;

impl Stage {
    async fn about(&self, client: &Held, path: &str, form: &[(&str, &str)]) -> Reply {
        self.post(path, Some(&basic(&client.id().to_string(), &client.secret)), form)
            .await
    }

    async fn introspect(&self, client: &Held, token: &str) -> serde_json::Value {
        self.about(client, "/oauth/introspect", &[("token", token)])
            .await
            .ok()
            .json()
    }

    async fn revoke(&self, client: &Held, token: &str) -> Reply {
        self.about(client, "/oauth/revoke", &[("token", token)]).await
    }
}

#[tokio::test]
async fn a_client_is_told_about_its_own_and_a_verifier_about_all() {
    let stage = Stage::open().await;
    let token = stage.token_with(&stage.client, &[("scope", "orders:read")]).await;
    let said = claims(&token);
    for caller in [&stage.client, &stage.verifier] {
        let told = stage.introspect(caller, &token).await;
        assert_eq!(told["active"], true);
        assert_eq!(told["scope"], "orders:read");
        for name in ["iss", "sub", "aud", "exp", "iat", "jti", "client_id"] {
            assert_eq!(told[name], said[name], "{name}");
        }
    }
    let told = stage.introspect(&stage.client, &stage.client.secret).await;
    assert_eq!(told["active"], true);
    assert_eq!(told["scope"], "orders:read orders:write");
    assert_eq!(told["client_id"], stage.client.id().to_string());
}

#[tokio::test]
async fn whatever_is_not_good_or_not_the_caller_s_is_inactive_and_nothing_else() {
    let stage = Stage::open().await;
    let nothing = json!({"active": false});
    let verifiers = stage.token(&stage.verifier).await;
    assert_eq!(
        stage.introspect(&stage.client, &verifiers).await,
        nothing,
        "another client's"
    );
    let operators = stage.token(&stage.house.operator).await;
    assert_eq!(
        stage.introspect(&stage.verifier, &operators).await,
        nothing,
        "another project's"
    );
    for garbage in ["garbage", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", &"x".repeat(9_000)] {
        assert_eq!(stage.introspect(&stage.verifier, garbage).await, nothing);
    }
    let token = stage.token_with(&stage.client, &[("expires_in", "60")]).await;
    stage.house.advance(Span::secs(60));
    assert_eq!(stage.introspect(&stage.client, &token).await, nothing, "expired");

    let path = "/oauth/introspect";
    let nobody = stage.post(path, None, &[("token", "x")]).await;
    assert_eq!(error(&nobody), (401, "invalid_client".to_owned()));
    let none = stage.about(&stage.client, path, &[]).await;
    assert_eq!(error(&none), (400, "invalid_request".to_owned()));
    let large = stage
        .about(&stage.client, path, &[("token", &"x".repeat(1 << 20))])
        .await;
    assert_eq!(error(&large), (413, "invalid_request".to_owned()));
    let token = stage.token(&stage.client).await;
    let hinted = [("token", token.as_str()), ("token_type_hint", "refresh_token")];
    let hinted = stage.about(&stage.client, path, &hinted).await.ok().json();
    assert_eq!(hinted["active"], true, "a wrong hint is passed over");
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once_and_the_others_live_on() {
    let stage = Stage::open().await;
    let one = stage.token(&stage.client).await;
    let other = stage.token(&stage.client).await;
    assert_eq!(stage.code(&one).await, "valid");
    assert_eq!(stage.revoke(&stage.client, &one).await.ok().bytes, b"");
    assert_eq!(stage.code(&one).await, "revoked");
    assert_eq!(stage.introspect(&stage.client, &one).await, json!({"active": false}));
    assert_eq!(stage.code(&other).await, "valid");
    assert_eq!(stage.code(&stage.client.secret).await, "valid");
    let reply = stage.wire.get(&one, "/v1/self").await;
    assert_eq!(reply.code(), "invalid_credential");
    stage.revoke(&stage.client, &one).await.ok();
    let trail = stage.house.trail().await;
    assert_eq!(
        trail.iter().filter(|event| *event == "token.revoke").count(),
        1,
        "{trail:?}"
    );
}

#[tokio::test]
async fn what_is_not_there_or_another_s_is_passed_over_in_silence() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    for text in ["garbage", "a.b.c", &token] {
        assert_eq!(stage.revoke(&stage.verifier, text).await.status, 200);
    }
    assert_eq!(stage.code(&token).await, "valid");
    let nobody = stage.post("/oauth/revoke", None, &[("token", &token)]).await;
    assert_eq!(error(&nobody), (401, "invalid_client".to_owned()));
}

#[tokio::test]
async fn a_client_may_end_its_key_by_its_secret() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    stage.revoke(&stage.client, &stage.client.secret).await.ok();
    assert_eq!(stage.code(&stage.client.secret).await, "revoked");
    assert_eq!(stage.code(&token).await, "revoked");
}

#[tokio::test]
async fn a_recalled_token_is_remembered_until_it_is_dead_and_forgotten_then() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    stage.revoke(&stage.client, &token).await.ok();
    let keeper = &stage.house.keeper;
    keeper.forget_recalled().await.unwrap();
    assert_eq!(stage.code(&token).await, "revoked", "not before its end");
    let beside = stage.house.beside(std::sync::Arc::clone(&stage.house.store)).await;
    let elsewhere = crate::wire::Wire::to(&beside.keeper);
    let body = json!({"credential": token});
    let reply = elsewhere
        .post(&stage.verifier.secret, "/v1/verify", body)
        .await
        .ok()
        .json();
    assert_eq!(reply["code"], "revoked", "a node that starts later knows it too");
    stage.house.advance(Span::secs(300));
    keeper.forget_recalled().await.unwrap();
    let newest = stage.house.events(stage.house.project()).await;
    assert_eq!(in_short(&newest[0]), "token.forget");
    assert_eq!(stage.code(&token).await, "expired");
    keeper.forget_recalled().await.unwrap();
    assert_eq!(
        stage.house.events(stage.house.project()).await.len(),
        newest.len(),
        "once"
    );
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_said_to_be_revoked() {
    let store = Arc::new(Faulty::new(Memory::default()));
    let stage = Stage::in_house(House::open_on(store.clone()).await).await;
    let token = stage.token(&stage.client).await;
    store.fail(Fault::Unavailable);
    for shown in [&token, &stage.client.secret] {
        let reply = stage.revoke(&stage.client, shown).await;
        assert_eq!(error(&reply), (503, "temporarily_unavailable".to_owned()));
        assert_eq!(reply.header("retry-after"), "1");
    }
    store.fail(Fault::None);
    assert_eq!(stage.code(&token).await, "valid");
    assert_eq!(stage.introspect(&stage.client, &token).await["active"], true);
}

#[tokio::test]
async fn a_node_that_cannot_know_says_so_and_gives_no_verdict() {
    let store = Arc::new(Faulty::new(Memory::default()).shared());
    let stage = Stage::in_house(House::open_on(store.clone()).await).await;
    let token = stage.token(&stage.client).await;
    store.fail(Fault::Unavailable);
    stage.house.advance(Span::secs(3));
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        for shown in [token.as_str(), "garbage"] {
            let reply = stage.about(&stage.client, path, &[("token", shown)]).await;
            assert_eq!(error(&reply), (503, "temporarily_unavailable".to_owned()), "{path}");
        }
    }
    let form = [("grant_type", "client_credentials")];
    assert_eq!(stage.ask(&stage.client, &form).await.status, 503);
}
