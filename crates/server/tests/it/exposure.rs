//! Exposure: a secret that comes where others can read it is refused, and everybody who may know learns that it leaked.

use axum::body::Body;
use http::{Method, Request};
use keyholt_core::audit::Event;
use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_core::rotate::Grace;
use keyholt_core::time::Span;
use keyholt_server::http::Encryption;
use keyholt_store::Fault;
use serde_json::{Value, json};

use crate::house::{Held, House, Wishes, wish};
use crate::relay::Relay;
use crate::wire::{Reply, Wire, from, request, with_json};

async fn alices_key(house: &House) -> Held {
    let alice = Owner::User(house.user("alice").await.id);
    house.issue(wish(alice, "key").scopes(&["orders:read"])).await
}

async fn exposures(house: &House) -> Vec<Event> {
    let mut events = house.events(house.project()).await;
    events.retain(|event| event.action == "key.exposed");
    events
}

/// When the key is said to be exposed.
async fn exposed_at(house: &House, key: &Held) -> Value {
    let path = format!("/v1/projects/acme/keys/{}/validity", key.id());
    let reply = Wire::to(&house.keeper).get(&house.operator.secret, &path).await;
    reply.ok().json()["exposed_at"].clone()
}

pub fn behind_proxy(request: Request<Body>, scheme: &'static str) -> Request<Body> {
    let mut request = from(request, "10.0.0.1");
    let headers = request.headers_mut();
    headers.insert("x-forwarded-for", "198.51.100.1".parse().unwrap());
    headers.insert("x-forwarded-proto", scheme.parse().unwrap());
    request
}

fn assert_refused(reply: &Reply, code: &str) {
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, code));
    assert_eq!(reply.header("location"), "", "no redirect repeats it");
}

#[tokio::test]
async fn a_key_in_a_url_is_refused_and_marked_wherever_it_stands() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let alice = Owner::User(house.user("alice").await.id);
    for path in [
        "/v1/self?api_key=SECRET",
        "/v1/self?ACCESS_TOKEN=SECRET",
        "/v1/self?anything=SECRET",
        "/v1/projects/acme/keys?text=%41SECRET&text=SECRET",
        "/v1/projects/acme/keys/SECRET",
        "/nowhere/SECRET/at/all",
        "/docs?token=SECRET",
    ] {
        let key = house.issue(wish(alice, "key").scopes(&[])).await;
        let reply = wire.get("", &path.replace("SECRET", &key.secret)).await;
        assert_refused(&reply, "token_in_url");
        let body = String::from_utf8(reply.bytes.clone()).unwrap();
        assert!(!body.contains(&key.secret), "{path}");

        let event = exposures(&house).await.remove(0);
        assert_eq!(event.target.id, Some(key.id().uuid()), "{path}");
        assert_eq!(event.owner, Some(alice));
        assert_eq!(event.actor, None, "an exposed secret says nothing about who showed it");
        assert_eq!(event.source.address, Some("192.0.2.7".parse().unwrap()));
        assert_eq!(event.after, Some(json!({"shown_in": "url", "secret": "current"})));
        assert_eq!(exposed_at(&house, &key).await, "2030-01-01T00:00:00Z");
    }
    assert_eq!(house.code(&alices_key_again(&house, alice).await.secret, &[]), "valid");
}

async fn alices_key_again(house: &House, alice: Owner) -> Held {
    let key = house.issue(wish(alice, "another").scopes(&[])).await;
    assert_eq!(exposed_at(house, &key).await, Value::Null, "another key is not meant");
    key
}

#[tokio::test]
async fn what_opens_nothing_leaves_no_mark() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let alice = Owner::User(house.user("alice").await.id);
    let revoked = house.issue(wish(alice, "revoked").scopes(&[])).await;
    house.revoke(revoked.id(), "x").await;
    let public = house
        .issue(
            wish(alice, "public")
                .of_kind(Kind::Publishable)
                .scopes(&["orders:read"]),
        )
        .await;
    let before = house.trail().await;
    for secret in [revoked.secret.as_str(), &public.secret, "nonsense", ""] {
        assert_refused(
            &wire.get("", &format!("/v1/self?api_key={secret}")).await,
            "token_in_url",
        );
    }
    assert_eq!(house.trail().await, before);
}

#[tokio::test]
async fn a_key_is_marked_once_an_hour_so_that_nobody_fills_the_trail_with_it() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let key = alices_key(&house).await;
    let path = format!("/v1/self?api_key={}", key.secret);
    for _ in 0..20 {
        assert_refused(&wire.get("", &path).await, "token_in_url");
    }
    assert_eq!(exposures(&house).await.len(), 1);
    house.advance(Span::hours(1));
    for _ in 0..20 {
        wire.get("", &path).await;
    }
    assert_eq!(exposures(&house).await.len(), 2);
    assert_eq!(exposed_at(&house, &key).await, "2030-01-01T01:00:00Z");
}

#[tokio::test]
async fn a_rotation_puts_it_right_and_the_retiring_secret_is_told_from_the_new_one() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let old = alices_key(&house).await;
    let path = format!("/v1/self?api_key={}", old.secret);
    wire.get("", &path).await;
    house.rotate(old.id(), Grace::For(Span::hours(3))).await;
    assert_eq!(exposed_at(&house, &old).await, Value::Null);

    house.advance(Span::hours(1));
    wire.get("", &path).await;
    let event = exposures(&house).await.remove(0);
    assert_eq!(event.after, Some(json!({"shown_in": "url", "secret": "retiring"})));
}

#[tokio::test]
async fn a_mark_that_could_not_be_written_is_written_the_next_time() {
    let line = Relay::new().lone();
    let house = House::open_on(line.clone()).await;
    let wire = Wire::to(&house.keeper);
    let key = alices_key(&house).await;
    let path = format!("/v1/self?api_key={}", key.secret);
    line.fail(Fault::CommitsUnavailable);
    assert_refused(&wire.get("", &path).await, "token_in_url");
    line.fail(Fault::None);
    assert!(exposures(&house).await.is_empty());
    wire.get("", &path).await;
    assert_eq!(exposures(&house).await.len(), 1);
}

#[tokio::test]
async fn where_tls_is_promised_a_credential_in_the_clear_is_refused_and_marked() {
    let house = House::open().await;
    let wire = Wire::with(&house.keeper, Encryption::Required);
    let key = alices_key(&house).await;
    let ask = || request(Method::GET, "/v1/self", &key.secret, Body::empty());
    wire.send(behind_proxy(ask(), "https")).await.ok();
    assert_refused(&wire.send(behind_proxy(ask(), "http")).await, "tls_required");
    let event = exposures(&house).await.remove(0);
    assert_eq!(
        event.after,
        Some(json!({"shown_in": "plain_http", "secret": "current"}))
    );
    assert_eq!(event.source.address, Some("198.51.100.1".parse().unwrap()));
    assert_eq!(exposed_at(&house, &key).await, "2030-01-01T00:00:00Z");

    // A header that nobody is trusted to set says nothing.
    let mut stranger = ask();
    stranger
        .headers_mut()
        .insert("x-forwarded-proto", "http".parse().unwrap());
    wire.send(stranger).await.ok();
    // The token of the set-up is a credential too; what carries none is answered.
    let set_up = with_json(
        Method::POST,
        "/v1/setup",
        "",
        json!({"token": "khsetup_x", "name": "Eve"}),
    );
    assert_refused(&wire.send(behind_proxy(set_up, "http")).await, "tls_required");
    let livez = request(Method::GET, "/livez", "", Body::empty());
    wire.send(behind_proxy(livez, "http")).await.ok();
}

#[tokio::test]
async fn where_nobody_promised_tls_plain_http_is_nobodys_mistake() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let key = alices_key(&house).await;
    let ask = request(Method::GET, "/v1/self", &key.secret, Body::empty());
    wire.send(behind_proxy(ask, "http")).await.ok();
    assert!(exposures(&house).await.is_empty());
}
