//! The cookie: the way of a browser, over the wire.

use axum::body::Body;
use http::{Method, Request};
use serde_json::{Value, json};

use super::STAPLE;
use crate::house::{House, canary};
use crate::wire::{Reply, Wire};

const HOST: &str = "keys.example.org";
const OURS: &str = "https://keys.example.org";

async fn browse(wire: &Wire, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Reply {
    let mut request = Request::builder().method(method).uri(path).header("host", HOST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match body {
        Some(body) => {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        }
        None => Body::empty(),
    };
    wire.send(request.body(body).unwrap()).await
}

/// Logs in by cookie, and tells what the browser would send from then on.
async fn logged_in(wire: &Wire) -> String {
    canary(STAPLE);
    let body = json!({"login": "ada", "password": STAPLE, "mode": "cookie"});
    let reply = browse(
        wire,
        Method::POST,
        "/v1/projects/acme/sessions",
        &[("origin", OURS)],
        Some(body),
    )
    .await;
    assert_eq!(reply.status, 201);
    let set = reply.header("set-cookie");
    for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(set.split("; ").any(|part| part == attribute), "{attribute}");
    }
    assert!(!set.contains("Domain"));
    assert!(
        reply.json().get("refresh_token").is_none(),
        "the secret is in the cookie alone"
    );
    let cookie = set.split(';').next().unwrap().to_owned();
    canary(cookie.split_once('=').unwrap().1);
    cookie
}

async fn opened() -> (House, Wire) {
    let house = House::open().await;
    house
        .role_means("member", &["keyholt:self:read", "keyholt:self:write"])
        .await;
    house.person("ada").await;
    let wire = Wire::to(&house.keeper);
    (house, wire)
}

#[tokio::test]
async fn a_page_of_ours_works_with_the_cookie_until_it_logs_out() {
    let (_house, wire) = opened().await;
    let cookie = logged_in(&wire).await;
    let with = [("cookie", cookie.as_str())];
    let ours = [
        ("cookie", cookie.as_str()),
        ("origin", OURS),
        ("sec-fetch-site", "same-origin"),
    ];
    let whoami = browse(&wire, Method::GET, "/v1/self", &with, None).await.ok().json();
    assert_eq!(whoami["owner"]["handle"], "ada");
    assert_eq!(whoami["key"]["kind"], "session");
    let mine = browse(&wire, Method::GET, "/v1/self/sessions", &with, None)
        .await
        .ok()
        .json();
    assert_eq!(
        (
            mine["sessions"][0]["current"].clone(),
            mine["sessions"][0]["mode"].clone()
        ),
        (json!(true), json!("cookie"))
    );
    let renewed = browse(&wire, Method::POST, "/v1/sessions/refresh", &ours, None)
        .await
        .ok();
    assert!(
        renewed.header("set-cookie").starts_with(&cookie),
        "the same secret, for longer"
    );
    let out = browse(&wire, Method::POST, "/v1/sessions/log-out", &ours, None).await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    let replayed = browse(&wire, Method::GET, "/v1/self", &with, None).await;
    assert_eq!(
        (replayed.status.as_u16(), replayed.code().as_str()),
        (401, "invalid_credential")
    );
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let (house, wire) = opened().await;
    let cookie = logged_in(&wire).await;
    let before = house.commits().await;
    let evil = ("origin", "https://evil.example");
    for headers in [
        &[][..],
        &[evil],
        &[("origin", "null")],
        &[("sec-fetch-site", "same-origin")],
        &[("origin", OURS), ("sec-fetch-site", "cross-site")],
        &[("origin", OURS), ("sec-fetch-site", "same-site")],
        &[("origin", "http://keys.example.org.evil.example")],
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().copied().chain([("cookie", cookie.as_str())]).collect();
        for (method, path) in [
            (Method::POST, "/v1/self/revoke"),
            (Method::DELETE, "/v1/self/sessions"),
            (Method::POST, "/v1/sessions/refresh"),
            (Method::POST, "/v1/sessions/log-out"),
        ] {
            let reply = browse(&wire, method, path, &headers, None).await;
            assert_eq!(
                (reply.status.as_u16(), reply.code().as_str()),
                (403, "cross_site"),
                "{path} {headers:?}"
            );
        }
    }
    // A form can be sent from anywhere, but not as JSON.
    let form = Request::builder()
        .method(Method::POST)
        .uri("/v1/self/revoke")
        .header("host", HOST)
        .header("cookie", &cookie)
        .header("origin", OURS)
        .header("content-type", "text/plain")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(wire.send(form).await.status, 415);
    assert_eq!(house.commits().await, before);
}

#[tokio::test]
async fn two_cookies_or_a_made_up_one_are_nobody() {
    let (_house, wire) = opened().await;
    let cookie = logged_in(&wire).await;
    let twice = format!("{cookie}; {cookie}");
    let reply = browse(&wire, Method::GET, "/v1/self", &[("cookie", &twice)], None).await;
    assert_eq!(reply.code(), "multiple_credentials");
    let fixed = "__Host-keyholt_session=khs_chosen-by-somebody-else";
    let reply = browse(&wire, Method::GET, "/v1/self", &[("cookie", fixed)], None).await;
    assert_eq!(reply.code(), "invalid_credential");
    let again = logged_in(&wire).await;
    assert_ne!(again, cookie, "every log-in has a session of its own");
}

#[tokio::test]
async fn a_credential_in_a_header_counts_before_the_cookie() {
    let (house, wire) = opened().await;
    let cookie = logged_in(&wire).await;
    let bearer = format!("Bearer {}", house.operator.secret);
    let headers = [("cookie", cookie.as_str()), ("authorization", bearer.as_str())];
    let whoami = browse(&wire, Method::GET, "/v1/self", &headers, None).await.ok().json();
    assert_eq!(whoami["owner"]["handle"], "olga");
    // The secret of the cookie is no key, wherever else it is shown.
    let secret = cookie.split_once('=').unwrap().1;
    let reply = wire.get(secret, "/v1/self").await;
    assert_eq!(reply.code(), "invalid_credential");
}
