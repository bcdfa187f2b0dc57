//! Introspection and revocation: a client asks about its own and ends its own.

use std::sync::Arc;

use keyholt_core::session::Mode;
use keyholt_core::time::Span;
use keyholt_core::token::Wished;
use keyholt_server::keeper::Refusal;
use keyholt_store::{Fault, Faulty, Memory};
use serde_json::json;

use super::stage::{Stage, basic, claims, error, kept};
use crate::house::{Held, House, canary, in_short};
use crate::people::{In, STAPLE, only, tokens};
use crate::wire::Reply;

impl Stage {
    pub(super) async fn about(&self, client: &Held, path: &str, form: &[(&str, &str)]) -> Reply {
        self.post(path, Some(&basic(&client.id().to_string(), &client.secret)), form)
            .await
    }

    pub(super) async fn introspect(&self, client: &Held, token: &str) -> serde_json::Value {
        self.about(client, "/oauth/introspect", &[("token", token)])
            .await
            .ok()
            .json()
    }

    pub(super) async fn revoke(&self, client: &Held, token: &str) -> Reply {
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
}

#[tokio::test]
async fn a_client_may_end_its_key_by_its_secret() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    stage.revoke(&stage.client, &stage.client.secret).await.ok();
    assert_eq!(stage.code(&stage.client.secret).await, "revoked");
    assert_eq!(stage.code(&token).await, "revoked");
}

/// Somebody who logged in, with the first access token.
struct Person {
    session: In,
    token: String,
}

impl Stage {
    async fn person(&self) -> Person {
        self.house.person("ada").await;
        let session = self.house.log_in("ada", STAPLE, tokens()).await.unwrap();
        let minted = self.house.keeper.session_token(session.session.id, Wished::All);
        let token = minted.await.unwrap().text.to_string();
        canary(&token);
        Person { session, token }
    }
}

#[tokio::test]
async fn of_a_refresh_token_a_verifier_is_told_whose_it_is_and_nothing_that_opens_a_door() {
    let stage = Stage::open().await;
    let Person { session, token } = stage.person().await;
    let told = stage.introspect(&stage.verifier, &session.secret).await;
    assert_eq!(told["active"], true);
    assert_eq!(told["token_type"], "refresh_token");
    assert_eq!(told["client_id"], session.session.id.to_string());
    assert_eq!(told["username"], "ada");
    assert_eq!(told["exp"], json!(session.session.expiry.at().unwrap().ms() / 1_000));
    assert_eq!(
        told["scope"],
        json!(null),
        "what took it for an access token finds no scope"
    );
    let nothing = json!({"active": false});
    assert_eq!(
        stage.introspect(&stage.client, &session.secret).await,
        nothing,
        "another's"
    );
    let hinted = [("token", session.secret.as_str()), ("token_type_hint", "access_token")];
    let hinted = stage.about(&stage.verifier, "/oauth/introspect", &hinted).await;
    assert_eq!(hinted.json()["active"], true, "a wrong hint is passed over");

    let next = stage.house.refresh(&session.secret).await.unwrap();
    assert_eq!(
        stage.introspect(&stage.verifier, &session.secret).await,
        nothing,
        "used up"
    );
    assert_eq!(stage.introspect(&stage.verifier, &next.secret).await["active"], true);
    assert_eq!(stage.introspect(&stage.verifier, &token).await["active"], true);
    let olga = stage.house.olga();
    let ada = session.session.owner;
    let suspended = stage
        .house
        .keeper
        .suspend_owner(&olga, stage.house.project(), ada, None, None);
    suspended.await.unwrap();
    assert_eq!(
        stage.introspect(&stage.verifier, &next.secret).await,
        nothing,
        "suspended"
    );
}

#[tokio::test]
async fn whoever_holds_a_refresh_token_ends_its_session_and_all_that_hangs_on_it() {
    let stage = Stage::open().await;
    let Person { session, token } = stage.person().await;
    let used_up = session.secret;
    let newest = stage.house.refresh(&used_up).await.unwrap().secret;
    let ended = async |text: &str, hint: &str| {
        let form = [("token", text), ("token_type_hint", hint)];
        stage.post("/oauth/revoke", None, &form).await.ok()
    };
    ended(&used_up, "refresh_token").await;
    assert_eq!(stage.code(&token).await, "valid", "what is used up ends nothing");
    for _ in 0..2 {
        ended(&newest, "access_token").await;
    }
    assert_eq!(stage.code(&token).await, "revoked");
    assert!(matches!(stage.house.refresh(&newest).await, Err(Refusal::SessionOver)));
    assert_eq!(
        stage.introspect(&stage.verifier, &newest).await,
        json!({"active": false})
    );
    let trail = stage.house.trail().await;
    assert_eq!(
        trail.iter().filter(|event| *event == "session.end").count(),
        1,
        "{trail:?}"
    );
}

#[tokio::test]
async fn whoever_holds_a_person_s_access_token_ends_it_and_the_session_lives_on() {
    let stage = Stage::open().await;
    let Person { session, token } = stage.person().await;
    let mut wish = only(&["keyholt:self:read"]);
    wish.mode = Mode::Tokens;
    let reader = stage.house.log_in("ada", STAPLE, wish).await.unwrap();
    let may_only_read = stage.house.keeper.session_token(reader.session.id, Wished::All);
    let may_only_read = may_only_read.await.unwrap().text.to_string();
    canary(&may_only_read);
    stage.post("/oauth/revoke", None, &[("token", &token)]).await.ok();
    stage.revoke(&stage.client, &may_only_read).await.ok();
    assert_eq!(stage.code(&token).await, "revoked");
    assert_eq!(
        stage.code(&may_only_read).await,
        "revoked",
        "a back end may show it as well"
    );
    stage.house.refresh(&session.secret).await.unwrap();
    let event = &stage.house.events(stage.house.project()).await[1];
    assert_eq!(in_short(event), "token.revoke");
    assert_eq!(event.actor.unwrap().key, reader.session.id, "by its holder");
}

#[tokio::test]
async fn without_a_client_nothing_of_a_client_s_ends() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    for text in [token.as_str(), &stage.client.secret, "garbage"] {
        let reply = stage.post("/oauth/revoke", None, &[("token", text)]).await;
        assert_eq!(error(&reply), (401, "invalid_client".to_owned()), "{text}");
    }
    assert_eq!(stage.code(&token).await, "valid");
    let refresh = stage.person().await.session.secret;
    let wrong = basic(&stage.client.id().to_string(), &stage.verifier.secret);
    let reply = stage.post("/oauth/revoke", Some(&wrong), &[("token", &refresh)]).await;
    assert_eq!(
        error(&reply),
        (401, "invalid_client".to_owned()),
        "a wrong client is none"
    );
    stage.house.refresh(&refresh).await.unwrap();
}

#[tokio::test]
async fn who_acts_is_told_as_it_stands_in_the_token() {
    let stage = Stage::open().await;
    let subject = stage.token(&stage.client).await;
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", subject.as_str()),
        ("subject_token_type", kind),
    ];
    let acted = kept(stage.ask(&stage.verifier, &form).await.ok());
    let told = stage.introspect(&stage.verifier, &acted).await;
    assert_eq!(told["act"], claims(&acted)["act"]);
    assert_eq!(told["act"]["sub"], stage.verifier.id().to_string());
    assert_eq!(stage.introspect(&stage.verifier, &subject).await["act"], json!(null));
}

#[tokio::test]
async fn the_metadata_says_where_no_client_authentication_is_needed() {
    let stage = Stage::open().await;
    let path = format!(
        "/.well-known/oauth-authorization-server/projects/{}",
        stage.house.project()
    );
    let told = stage.wire.get("", &path).await.ok().json();
    for (endpoint, may_be_none) in [("token", true), ("revocation", true), ("introspection", false)] {
        let methods = told[format!("{endpoint}_endpoint_auth_methods_supported")].as_array();
        assert_eq!(methods.unwrap().contains(&json!("none")), may_be_none, "{endpoint}");
    }
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
    let refresh = stage.person().await.session.secret;
    store.fail(Fault::Unavailable);
    for shown in [&token, &stage.client.secret, &refresh] {
        let reply = stage.revoke(&stage.client, shown).await;
        assert_eq!(error(&reply), (503, "temporarily_unavailable".to_owned()));
        assert_eq!(reply.header("retry-after"), "1");
    }
    store.fail(Fault::None);
    assert_eq!(stage.code(&token).await, "valid");
    assert_eq!(stage.introspect(&stage.client, &token).await["active"], true);
    stage.house.refresh(&refresh).await.unwrap();
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
