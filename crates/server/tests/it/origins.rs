//! Pages of other origins: the ones that the operator named may manage keys with a credential of their own, and no others.

use axum::body::Body;
use http::{Method, Request};
use keyholt_core::owner::Owner;
use serde_json::json;

use crate::house::{Held, House, Wishes, canary, wish};
use crate::people::{STAPLE, in_cookie};
use crate::wire::{Reply, Wire, request, with_json};

const APP: &str = "https://app.example.com";
const KEYS: &str = "/v1/projects/acme/keys";

/// A page of the product, and Bob's key that it shows.
struct Page {
    house: House,
    wire: Wire,
    bobs: Held,
}

impl Page {
    async fn open() -> Self {
        let house = House::open().await;
        let bob = house.user("bob").await;
        let bobs = house.issue(wish(Owner::User(bob.id), "laptop").everything()).await;
        let wire = Wire::letting_in(&house.keeper, &[APP, "http://localhost:5173"]);
        Self { house, wire, bobs }
    }

    /// What a browser asks before it lets a page send a request.
    async fn ask_first(&self, origin: &str, method: &str, path: &str) -> Reply {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri(path)
            .header("origin", origin)
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization, content-type");
        self.wire.send(request.body(Body::empty()).unwrap()).await
    }

    async fn get(&self, origin: &str, secret: &str, path: &str) -> Reply {
        let mut request = request(Method::GET, path, secret, Body::empty());
        request.headers_mut().insert("origin", origin.parse().unwrap());
        self.wire.send(request).await
    }
}

fn is_open(reply: &Reply) -> bool {
    let names = reply.headers.keys().map(http::HeaderName::as_str);
    let told = names.filter(|name| name.starts_with("access-control-")).count();
    assert!(told == 0 || reply.header("access-control-allow-origin") != "*");
    assert_eq!(
        reply.header("access-control-allow-credentials"),
        "",
        "cookies are never let through"
    );
    told > 0
}

#[tokio::test]
async fn a_page_of_a_named_origin_asks_first_sends_then_and_reads_the_answer() {
    let page = Page::open().await;
    let asked = page.ask_first(APP, "POST", KEYS).await;
    assert_eq!(asked.status, 204);
    assert_eq!(asked.header("access-control-allow-origin"), APP);
    let methods = asked.header("access-control-allow-methods");
    assert!(
        ["GET", "POST", "PATCH", "DELETE"]
            .iter()
            .all(|one| methods.contains(one)),
        "{methods}"
    );
    let sends = asked.header("access-control-allow-headers");
    for name in ["authorization", "content-type", "idempotency-key", "if-match"] {
        assert!(sends.contains(name), "{name}: {sends}");
    }
    assert_eq!(asked.header("access-control-max-age"), "600");

    let mut post = with_json(Method::POST, KEYS, &page.bobs.secret, json!({"name": "mine"}));
    post.headers_mut().insert("origin", APP.parse().unwrap());
    let made = page.wire.send(post).await.ok();
    canary(made.json()["secret"].as_str().unwrap());
    assert_eq!(made.header("access-control-allow-origin"), APP);
    assert!(made.header("access-control-expose-headers").contains("etag"));
    assert_eq!(made.header("vary"), "origin");
    let refused = page.get(APP, "nonsense", KEYS).await;
    assert_eq!(refused.code(), "invalid_credential");
    assert!(is_open(&refused), "a page may read why it was refused");
    assert!(is_open(
        &page
            .get("http://localhost:5173", &page.bobs.secret, "/v1/self")
            .await
            .ok()
    ));
}

#[tokio::test]
async fn what_only_looks_like_a_named_origin_is_another_one() {
    let page = Page::open().await;
    for origin in [
        "null",
        "*",
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://appXexample.com",
        "https://app.example.com:8443",
        "https://app.example.com/",
        "https://APP.example.com",
        "http://app.example.com",
        "https://evil.example https://app.example.com",
        "",
    ] {
        let asked = page.ask_first(origin, "GET", KEYS).await;
        assert_eq!(asked.status, 405, "{origin}");
        assert!(!is_open(&asked), "{origin}");
        let got = page.get(origin, &page.bobs.secret, KEYS).await.ok();
        assert!(
            !is_open(&got),
            "{origin}: the answer is there, and the browser keeps it from the page"
        );
        assert_eq!(got.header("vary"), "origin", "whatever keeps answers keeps them apart");
    }
    let mut twice = request(Method::GET, KEYS, &page.bobs.secret, Body::empty());
    for origin in [APP, "https://evil.example"] {
        twice.headers_mut().append("origin", origin.parse().unwrap());
    }
    assert!(!is_open(&page.wire.send(twice).await));
}

#[tokio::test]
async fn where_passwords_and_clients_secrets_are_sent_no_origin_is_let_in() {
    let page = Page::open().await;
    for path in [
        "/oauth/token",
        "/oauth/introspect",
        "/oauth/revoke",
        "/v1/projects/acme/sessions",
        "/v1/sessions/refresh",
        "/v1/self/password",
        "/v1/projects/acme/component-sessions",
        "/v1/projects/acme/users",
        "/v1/verify",
        "/docs",
    ] {
        assert!(!is_open(&page.ask_first(APP, "POST", path).await), "{path}");
        assert!(!is_open(&page.get(APP, &page.bobs.secret, path).await), "{path}");
    }
}

#[tokio::test]
async fn unless_the_operator_names_one_no_origin_is_let_in_anywhere() {
    let page = Page::open().await;
    let closed = Page {
        wire: Wire::to(&page.house.keeper),
        ..page
    };
    assert_eq!(closed.ask_first(APP, "GET", KEYS).await.status, 405);
    let got = closed.get(APP, &closed.bobs.secret, KEYS).await.ok();
    assert!(!is_open(&got));
    assert_eq!(got.header("vary"), "");
}

#[tokio::test]
async fn a_cookie_changes_nothing_for_a_page_of_a_named_origin() {
    let page = Page::open().await;
    page.house.person("carol").await;
    let session = page.house.log_in("carol", STAPLE, in_cookie()).await.unwrap();
    let mut post = with_json(Method::POST, KEYS, "", json!({"name": "mine"}));
    let headers = post.headers_mut();
    headers.insert("origin", APP.parse().unwrap());
    headers.insert("host", "keys.example.com".parse().unwrap());
    let cookie = format!("__Host-keyholt_session={}", session.secret);
    headers.insert("cookie", cookie.parse().unwrap());
    let refused = page.wire.send(post).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "cross_site"));
}

#[tokio::test]
async fn a_credential_in_the_url_is_refused_and_marked_whatever_page_it_comes_from() {
    let page = Page::open().await;
    let path = format!("/v1/self?access_token={}", page.bobs.secret);
    assert_eq!(page.ask_first(APP, "GET", &path).await.code(), "token_in_url");
}
