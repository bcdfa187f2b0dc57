//! The status list: what verifiers who check tokens by themselves hear of keys that turned for the worse.

use std::io::Read;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use http::Method;
use keyholt_core::owner::Owner;
use keyholt_core::time::Span;
use keyholt_store::{Fault, Faulty, Memory};
use serde_json::{Value, json};

use super::stage::{BASE, Stage, basic, claims, part};
use crate::house::{Held, House, Wishes, wish};
use crate::wire::{Reply, Wire, request};

/// What the standard calls the four of them.
const GOOD: u8 = 0;
const DEAD: u8 = 1;
const SUSPENDED: u8 = 2;
const ASK: u8 = 3;

/// What a verifier reads in the list that a token names, through this door.
async fn status_through(wire: &Wire, token: &str) -> u8 {
    let place = &claims(token)["status"]["status_list"];
    let path = place["uri"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
    read(&wire.get("", &path).await.ok(), place["idx"].as_u64().unwrap())
}

fn read(list: &Reply, idx: u64) -> u8 {
    let (bits, bytes) = unpacked(list);
    let at = usize::try_from(idx * bits).unwrap();
    bytes[at / 8] >> (at % 8) & 0b11
}

/// How many bits a place has, and all of them.
fn unpacked(list: &Reply) -> (u64, Vec<u8>) {
    let text = String::from_utf8(list.bytes.clone()).unwrap();
    let list = &claims(&text)["status_list"];
    let packed = URL_SAFE_NO_PAD.decode(list["lst"].as_str().unwrap()).unwrap();
    let mut bytes = Vec::new();
    ZlibDecoder::new(packed.as_slice()).read_to_end(&mut bytes).unwrap();
    (list["bits"].as_u64().unwrap(), bytes)
}

impl Stage {
    /// What the list says of a token now; lists are built at most once a second.
    async fn status(&self, token: &str) -> u8 {
        self.house.advance(Span::secs(1));
        status_through(&self.wire, token).await
    }

    async fn list(&self) -> Reply {
        let path = format!("/projects/{}/status-list", self.house.project());
        self.wire.get("", &path).await
    }

    async fn operate(&self, method: Method, path: &str, body: Value) {
        let operator = &self.house.operator.secret;
        self.wire.call(method, operator, path, body).await.ok();
    }

    /// Posts to something of the client's key, as the operator.
    async fn of_key(&self, client: &Held, verb: &str, body: Value) {
        let path = format!("/v1/projects/acme/keys/{}/{verb}", client.id());
        self.operate(Method::POST, &path, body).await;
    }

    async fn delete(&self, client: &Held) {
        let path = format!("/v1/projects/acme/keys/{}", client.id());
        let operator = &self.house.operator.secret;
        let request = request(Method::DELETE, &path, operator, axum::body::Body::empty());
        self.wire.send(request).await.ok();
    }

    async fn recall(&self, token: &str) {
        let client = basic(&self.client.id().to_string(), &self.client.secret);
        self.post("/oauth/revoke", Some(&client), &[("token", token)])
            .await
            .ok();
    }

    /// A client whose key belongs to a user with these roles.
    async fn client_of(&self, name: &str, roles: &[&str]) -> Held {
        let user = self.house.user_with(name, roles).await;
        self.house
            .issue(wish(Owner::User(user.id), name).scopes(&["orders:read", "orders:write"]))
            .await
    }
}

#[tokio::test]
async fn a_token_names_its_place_in_a_list_that_its_issuer_signed() {
    let stage = Stage::open().await;
    assert_eq!(stage.list().await.status, 404, "nothing was signed yet");
    let token = stage.token(&stage.client).await;
    let said = claims(&token);
    let uri = format!("{}/status-list", stage.issuer());
    assert_eq!(said["status"]["status_list"]["uri"], uri);
    let list = stage.list().await.ok();
    assert_eq!(list.header("content-type"), "application/statuslist+jwt");
    assert_eq!(list.header("cache-control"), "public, max-age=5");
    let text = String::from_utf8(list.bytes.clone()).unwrap();
    let header = part(&text, 0);
    assert_eq!(header["typ"], "statuslist+jwt");
    assert_eq!(header["kid"], part(&token, 0)["kid"]);
    let told = claims(&text);
    assert_eq!(told["sub"], uri);
    assert_eq!(told["iss"], stage.issuer());
    assert_eq!(told["ttl"], 5);
    assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 60);
    assert_eq!(told["status_list"]["bits"], 2);
    assert_eq!(stage.status(&token).await, GOOD);

    let aggregation = format!("{}/status-lists", stage.issuer());
    let metadata = format!(
        "/.well-known/oauth-authorization-server/projects/{}",
        stage.house.project()
    );
    let metadata = stage.wire.get("", &metadata).await.ok().json();
    assert_eq!(metadata["status_list_aggregation_endpoint"], aggregation);
    let lists = stage
        .wire
        .get("", aggregation.strip_prefix(BASE).unwrap())
        .await
        .ok()
        .json();
    assert_eq!(lists, json!({"status_lists": [uri]}));
    assert_eq!(stage.code(&text).await, "unknown", "a list opens nothing");
}

#[tokio::test]
async fn a_key_that_is_revoked_or_suspended_shows() {
    let stage = Stage::open().await;
    let other = stage.client_of("ada", &["member"]).await;
    let (token, adas) = (stage.token(&stage.client).await, stage.token(&other).await);
    stage.of_key(&stage.client, "suspend", json!({})).await;
    assert_eq!(stage.status(&token).await, SUSPENDED);
    stage.of_key(&stage.client, "resume", json!({})).await;
    assert_eq!(stage.status(&token).await, ASK, "it was stopped in between");
    let later = stage.token(&stage.client).await;
    assert_eq!(stage.status(&later).await, GOOD);
    stage.of_key(&stage.client, "revoke", json!({"cause": "leaked"})).await;
    for token in [&token, &later] {
        assert_eq!(stage.status(token).await, DEAD);
    }
    assert_eq!(stage.status(&adas).await, GOOD, "another key's");
    stage.delete(&other).await;
    assert_eq!(stage.status(&adas).await, DEAD, "deleted");
}

#[tokio::test]
async fn a_suspended_owner_a_closed_project_and_an_owner_with_less_show() {
    let stage = Stage::open().await;
    let adas = stage.client_of("ada", &["admin", "member"]).await;
    let (token, others) = (stage.token(&adas).await, stage.token(&stage.client).await);
    stage
        .operate(Method::PATCH, "/v1/projects/acme/users/ada", json!({"name": "Ada L."}))
        .await;
    assert_eq!(stage.status(&token).await, GOOD, "another name takes nothing away");
    stage
        .operate(Method::POST, "/v1/projects/acme/users/ada/suspend", json!({}))
        .await;
    assert_eq!(stage.status(&token).await, SUSPENDED);
    stage
        .operate(Method::POST, "/v1/projects/acme/users/ada/resume", json!({}))
        .await;
    let token = stage.token(&adas).await;
    assert_eq!(stage.status(&token).await, GOOD);
    stage
        .operate(Method::PATCH, "/v1/projects/acme/users/ada", json!({"roles": []}))
        .await;
    assert_eq!(stage.status(&token).await, ASK, "she may do less");
    assert_eq!(stage.status(&others).await, GOOD);
    stage
        .operate(Method::POST, "/v1/projects/acme/suspend", json!({}))
        .await;
    assert_eq!(stage.status(&others).await, SUSPENDED);
    stage.operate(Method::POST, "/v1/projects/acme/resume", json!({})).await;
    assert_eq!(stage.status(&others).await, GOOD);
}

#[tokio::test]
async fn a_narrowed_key_and_a_narrowed_role_show_and_what_is_made_after_is_good() {
    let stage = Stage::open().await;
    let role = json!({"name": "clerk", "scopes": ["orders:read", "orders:write"]});
    stage.operate(Method::POST, "/v1/projects/acme/roles", role).await;
    let clerk = stage.client_of("ada", &["clerk"]).await;
    let (narrow, clerks) = (stage.token(&stage.client).await, stage.token(&clerk).await);
    let path = format!("/v1/projects/acme/keys/{}", stage.client.id());
    stage.operate(Method::PATCH, &path, json!({"name": "another"})).await;
    assert_eq!(stage.status(&narrow).await, GOOD, "another name takes nothing away");
    stage
        .operate(Method::PATCH, &path, json!({"scopes": ["orders:read"]}))
        .await;
    assert_eq!(stage.status(&narrow).await, ASK);
    assert_eq!(stage.status(&stage.token(&stage.client).await).await, GOOD);

    let path = "/v1/projects/acme/roles/clerk";
    let more = json!({"scopes": ["orders:read", "orders:write", "orders:void"]});
    stage.operate(Method::PATCH, path, more).await;
    assert_eq!(stage.status(&clerks).await, GOOD, "more is not worse");
    stage
        .operate(Method::PATCH, path, json!({"scopes": ["orders:read"]}))
        .await;
    assert_eq!(stage.status(&clerks).await, ASK);
    assert_eq!(stage.status(&stage.token(&clerk).await).await, GOOD);
}

#[tokio::test]
async fn a_token_goes_with_the_secret_that_it_was_made_with() {
    let stage = Stage::open().await;
    let before = stage.token_with(&stage.client, &[("expires_in", "900")]).await;
    stage.of_key(&stage.client, "rotate", json!({"grace": "60s"})).await;
    assert_eq!(stage.status(&before).await, GOOD, "during the grace");
    stage.house.advance(Span::secs(60));
    assert_eq!(stage.status(&before).await, DEAD, "after it");
    assert_eq!(stage.code(&before).await, "unknown", "the judge says so too");
}

#[tokio::test]
async fn a_single_recalled_token_makes_its_sisters_ask_and_those_after_it_are_good() {
    let stage = Stage::open().await;
    let (recalled, sister) = (stage.token(&stage.client).await, stage.token(&stage.client).await);
    stage.recall(&recalled).await;
    assert_eq!(stage.status(&recalled).await, ASK);
    assert_eq!(stage.status(&sister).await, ASK);
    let later = stage.token(&stage.client).await;
    assert_eq!(stage.status(&later).await, GOOD);
    stage.house.advance(Span::secs(300));
    stage.house.keeper.forget_recalled().await.unwrap();
    let latest = stage.token(&stage.client).await;
    assert_eq!(stage.status(&latest).await, GOOD, "the recalled one is over");
}

#[tokio::test]
async fn a_restart_forgets_nothing_and_another_node_says_the_same() {
    let stage = Stage::open().await;
    let gone = stage.client_of("ada", &["member"]).await;
    let rotated = stage.client_of("bob", &["member"]).await;
    let asked = stage.client_of("carl", &["member"]).await;
    let mut tokens = Vec::new();
    for client in [&stage.client, &gone, &rotated, &asked] {
        tokens.push(stage.token_with(client, &[("expires_in", "900")]).await);
    }
    let follower = stage.house.beside(Arc::clone(&stage.house.store)).await;
    stage.of_key(&stage.client, "revoke", json!({"cause": "leaked"})).await;
    stage.delete(&gone).await;
    stage.of_key(&rotated, "rotate", json!({"grace": "0s"})).await;
    follower.keeper.catch_up().await.unwrap();
    let restarted = stage.house.beside(Arc::clone(&stage.house.store)).await;
    let expected = [
        (&stage.house, [DEAD, DEAD, DEAD, GOOD]),
        (&follower, [DEAD, DEAD, DEAD, GOOD]),
        // What the secret was before is not known any more after a restart.
        (&restarted, [DEAD, DEAD, ASK, GOOD]),
    ];
    for (house, expected) in expected {
        let wire = Wire::to(&house.keeper);
        for (token, expected) in tokens.iter().zip(expected) {
            assert_eq!(status_through(&wire, token).await, expected, "{token}");
        }
    }
    // An hour later no token of then is alive, and nothing has to be said.
    stage.house.advance(Span::secs(3_901));
    for token in &tokens[..3] {
        assert_eq!(status_through(&stage.wire, token).await, GOOD);
    }
}

#[tokio::test]
async fn a_list_is_built_when_something_changed_and_not_for_each_request() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let first = stage.list().await.ok().bytes;
    stage.of_key(&stage.client, "revoke", json!({"cause": "leaked"})).await;
    assert_eq!(stage.list().await.ok().bytes, first, "within a second");
    stage.house.advance(Span::secs(1));
    let second = stage.list().await.ok().bytes;
    assert_ne!(second, first);
    stage.house.advance(Span::secs(4));
    assert_eq!(stage.list().await.ok().bytes, second, "nothing changed");
    stage.house.advance(Span::secs(1));
    assert_ne!(stage.list().await.ok().bytes, second, "it must not grow old");
    assert_eq!(stage.status(&token).await, DEAD);
}

#[tokio::test]
async fn a_node_that_cannot_know_gives_no_list() {
    let store = Arc::new(Faulty::new(Memory::default()).shared());
    let house = House::open_on(store.clone()).await;
    let stage = Stage::in_house(house).await;
    stage.token(&stage.client).await;
    assert_eq!(stage.list().await.status, 200);
    store.fail(Fault::Unavailable);
    stage.house.advance(Span::secs(3));
    assert_eq!(stage.list().await.status, 503);
}

#[tokio::test]
async fn a_list_says_of_a_dead_key_what_its_tokens_need_and_no_more() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    stage.house.revoke(stage.client.id(), "x").await;
    assert_eq!(stage.status(&token).await, DEAD);
    // No token was made in the epoch that began with the end.
    let (_, bytes) = unpacked(&stage.list().await.ok());
    let said: Vec<u8> = bytes.into_iter().filter(|byte| *byte != 0).collect();
    assert_eq!(said.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1, "{said:?}");
}
