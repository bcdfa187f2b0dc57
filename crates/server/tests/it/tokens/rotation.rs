//! Signing keys under time: published before they sign, kept after, withdrawn in an emergency.

use http::Method;
use keyholt_core::time::Span;
use serde_json::{Value, json};

use super::stage::{Stage, claims, part};

impl Stage {
    async fn published(&self) -> Vec<String> {
        let path = format!("/projects/{}/.well-known/jwks.json", self.house.project());
        let keys = self.wire.get("", &path).await.ok().json();
        keys["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    }

    pub(super) async fn rotate(&self) -> Value {
        let path = "/v1/projects/acme/signing-keys";
        self.wire
            .post(&self.house.operator.secret, path, json!({}))
            .await
            .ok()
            .json()
    }
}

pub(super) fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_rotation_by_hand_refuses_no_good_token() {
    let stage = Stage::open().await;
    let before = stage.token(&stage.client).await;
    let next = stage.rotate().await;
    assert_eq!(next["phase"], "next");
    assert_eq!(stage.rotate().await["kid"], next["kid"], "one is on its way already");
    assert_eq!(
        stage.published().await,
        [kid(&before), next["kid"].as_str().unwrap().to_owned()]
    );
    assert_eq!(
        kid(&stage.token(&stage.client).await),
        kid(&before),
        "published, not signing yet"
    );

    stage.house.advance(Span::secs(599));
    let last = stage.token_with(&stage.client, &[("expires_in", "900")]).await;
    assert_eq!(kid(&last), kid(&before));
    stage.house.advance(Span::secs(1));
    let first = stage.token(&stage.client).await;
    assert_eq!(kid(&first), next["kid"]);
    assert_eq!(stage.code(&last).await, "valid");
    assert_eq!(stage.code(&first).await, "valid");
    stage.house.advance(Span::secs(3_900));
    assert_eq!(stage.published().await, [kid(&first)]);
    assert_eq!(
        stage.code(&last).await,
        "unknown",
        "nothing that the old key signed is believed any more"
    );
}

#[tokio::test]
async fn keys_rotate_by_themselves_and_their_private_halves_are_forgotten() {
    let stage = Stage::open().await;
    let keeper = &stage.house.keeper;
    let first = kid(&stage.token(&stage.client).await);
    keeper.tend_signing_keys().await.unwrap();
    assert_eq!(stage.published().await.len(), 1);
    stage.house.advance(Span::days(30));
    keeper.tend_signing_keys().await.unwrap();
    assert_eq!(stage.published().await.len(), 2);
    stage.house.advance(Span::secs(600));
    let second = kid(&stage.token(&stage.client).await);
    assert_ne!(first, second);
    stage.house.advance(Span::secs(3_900));
    keeper.tend_signing_keys().await.unwrap();
    let trail = stage.house.trail().await;
    assert_eq!(
        trail.iter().filter(|event| *event == "signing_key.rotate").count(),
        2,
        "{trail:?}"
    );
    assert_eq!(
        trail.iter().filter(|event| *event == "signing_key.retire").count(),
        1,
        "{trail:?}"
    );
    keeper.tend_signing_keys().await.unwrap();
    assert_eq!(stage.house.trail().await.len(), trail.len(), "nothing more to do");
}

#[tokio::test]
async fn what_a_withdrawn_key_signed_is_refused_at_once_and_the_next_one_signs() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    assert_eq!(stage.code(&token).await, "valid");
    let operator = &stage.house.operator.secret;
    let path = format!("/v1/projects/acme/signing-keys/{}/withdraw", kid(&token));
    let reply = stage
        .wire
        .post(operator, &path, json!({"cause": "leaked"}))
        .await
        .ok()
        .json();
    assert_eq!(reply["phase"], "withdrawn");
    assert_eq!(stage.code(&token).await, "unknown");
    assert_eq!(stage.published().await, Vec::<String>::new());
    let fresh = stage.token(&stage.client).await;
    assert_ne!(kid(&fresh), kid(&token));
    assert_eq!(stage.code(&fresh).await, "valid");
    stage.wire.post(operator, &path, json!({"cause": "again"})).await.ok();
    let list = stage
        .wire
        .get(operator, "/v1/projects/acme/signing-keys")
        .await
        .ok()
        .json();
    let phases: Vec<_> = list["signing_keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["phase"].clone())
        .collect();
    assert_eq!(phases, ["withdrawn", "live"]);
}

#[tokio::test]
async fn each_project_signs_in_the_way_that_it_wants() {
    let stage = Stage::open().await;
    for algorithm in ["EdDSA", "RS256", "ES256"] {
        let body = json!({"policy": {"token_algorithm": algorithm, "token_default_lifetime": "2m"}});
        let operator = &stage.house.operator.secret;
        stage
            .wire
            .call(Method::PATCH, operator, "/v1/projects/acme", body)
            .await
            .ok();
        stage.house.keeper.tend_signing_keys().await.unwrap();
        // Where no key of the other kind was there before, it signs at once.
        stage.token(&stage.client).await;
        stage.house.advance(Span::secs(600));
        let token = stage.token(&stage.client).await;
        assert_eq!(part(&token, 0)["alg"], algorithm);
        assert_eq!(stage.code(&token).await, "valid", "{algorithm}");
        let said = claims(&token);
        assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 120);
        stage.house.advance(Span::secs(60));
        stage.house.keeper.tend_signing_keys().await.unwrap();
    }
}

#[tokio::test]
async fn two_nodes_make_one_key() {
    let stage = Stage::open().await;
    let beside = stage.house.beside(std::sync::Arc::clone(&stage.house.store)).await;
    let project = stage.house.project();
    let (one, other) = tokio::join!(
        stage.house.keeper.make_due_key(project),
        beside.keeper.make_due_key(project)
    );
    one.unwrap();
    other.unwrap();
    beside.keeper.catch_up().await.unwrap();
    let keys = |house: &crate::house::House| house.keeper.signing_keys(&house.olga(), project).unwrap();
    assert_eq!(keys(&stage.house).len(), 1);
    assert_eq!(keys(&beside), keys(&stage.house));
}
