//! Directus' people log in: in json, cookie and session mode; their passwords.

use axum::body::Body;
use http::{Method, Request};
use keyholt_server::dialects::Directus;
use serde_json::json;

use super::{TOKEN, code, patch, register, user};
use crate::dialects::village::Village;
use crate::house::canary;
use crate::people::STAPLE;
use crate::wire::{Reply, with_json};

async fn enter(village: &Village, email: &str, password: &str) -> Reply {
    canary(password);
    let body = json!({"email": email, "password": password, "mode": "session"});
    let reply = village.wire.post("", "/auth/login", body).await;
    register(&reply);
    reply
}

/// Logs Cora in without a cookie: her access token and her refresh token.
async fn with_tokens(village: &Village) -> (String, String) {
    let body = json!({"email": "cora@example.org", "password": STAPLE});
    tokens_of(&village.wire.post("", "/auth/login", body).await.ok())
}

fn tokens_of(reply: &Reply) -> (String, String) {
    let told = reply.json();
    let text = |member: &str| told["data"][member].as_str().unwrap().to_owned();
    assert!(told["data"]["expires"].as_u64().unwrap() > 30_000);
    let (access, refresh) = (text("access_token"), text("refresh_token"));
    canary(&access);
    canary(&refresh);
    (access, refresh)
}

#[tokio::test]
async fn an_access_token_is_its_session_and_a_used_up_refresh_token_ends_both() {
    let village = Village::open(&Directus).await;
    village.house.give_password(&village.cora, STAPLE).await;
    canary(TOKEN);
    let (access, refresh) = with_tokens(&village).await;
    async fn village_me(village: &Village, token: &str) -> Reply {
        village.wire.get(token, "/users/me?fields=id").await
    }
    assert_eq!(
        village_me(&village, &access).await.ok().json()["data"]["id"],
        village.cora.id.to_string()
    );
    // Whoever logged in makes their own master key, as whoever has the cookie does.
    patch(&village, &access, "/users/me", json!({ "token": TOKEN }))
        .await
        .ok();
    village.wire.get(TOKEN, "/users/me").await.ok();
    let next = village
        .wire
        .post("", "/auth/refresh", json!({ "refresh_token": refresh }))
        .await
        .ok();
    let (second, _) = tokens_of(&next);
    village_me(&village, &second).await.ok();
    village.house.advance(keyholt_core::time::Span::secs(5));
    let reused = village
        .wire
        .post("", "/auth/refresh", json!({ "refresh_token": refresh, "mode": "json" }))
        .await;
    assert_eq!(code(&reused), (401, "INVALID_CREDENTIALS".into()));
    for dead in [&access, &second] {
        assert_eq!(
            code(&village_me(&village, dead).await),
            (401, "INVALID_CREDENTIALS".into())
        );
    }
    village.wire.get(TOKEN, "/users/me").await.ok();
    let nothing = village.wire.post("", "/auth/refresh", json!({"mode": "json"})).await;
    assert_eq!(code(&nothing), (400, "INVALID_PAYLOAD".into()));
}

fn with_cookie(method: Method, path: &str, session: &str, more: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = with_json(method, path, "", json!({"mode": "session"}));
    let cookie = format!("directus_session_token={session}");
    request.headers_mut().insert("cookie", cookie.parse().unwrap());
    for (name, value) in more {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn a_session_in_a_cookie_is_looked_up_every_time_and_ends_when_its_holder_says_so() {
    let village = Village::open(&Directus).await;
    village.house.give_password(&village.cora, STAPLE).await;
    let reply = enter(&village, "cora@example.org", STAPLE).await.ok();
    let told = reply.json();
    assert!(told["data"]["expires"].as_u64().unwrap() > 30_000);
    assert_eq!(
        told["data"].as_object().unwrap().len(),
        1,
        "the secret is in the cookie alone"
    );
    let cookie = reply.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let session = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let me = async |more: &[(&'static str, &str)]| {
        village
            .wire
            .send(with_cookie(Method::GET, "/users/me?fields=id", &session, more))
            .await
    };
    assert_eq!(me(&[]).await.ok().json()["data"]["id"], village.cora.id.to_string());
    // As a token it is nobody's.
    assert_eq!(
        code(&village.wire.get(&session, "/users/me").await),
        (401, "INVALID_CREDENTIALS".into())
    );
    // A page of another site has the browser send it along, and the browser says so.
    let evil = &[("origin", "https://evil.example")];
    let change = with_cookie(Method::PATCH, "/users/me", &session, evil);
    assert_eq!(code(&village.wire.send(change).await), (403, "FORBIDDEN".into()));
    let forced = with_cookie(Method::POST, "/auth/logout", &session, evil);
    assert_eq!(code(&village.wire.send(forced).await), (403, "FORBIDDEN".into()));
    village.house.advance(keyholt_core::time::Span::secs(60));
    let again = village
        .wire
        .send(with_cookie(Method::POST, "/auth/refresh", &session, &[]))
        .await
        .ok();
    register(&again);
    let admin = &village.admins.secret;
    let coras = user(village.cora.id);
    patch(&village, admin, &coras, json!({"status": "suspended"}))
        .await
        .ok();
    assert_eq!(code(&me(&[]).await), (401, "INVALID_CREDENTIALS".into()));
    patch(&village, admin, &coras, json!({"status": "active"})).await.ok();
    me(&[]).await.ok();
    let out = village
        .wire
        .send(with_cookie(Method::POST, "/auth/logout", &session, &[]))
        .await;
    assert_eq!(
        (out.status.as_u16(), out.header("set-cookie").contains("Max-Age=0")),
        (204, true)
    );
    assert_eq!(code(&me(&[]).await), (401, "INVALID_CREDENTIALS".into()));
    let again = village
        .wire
        .send(with_cookie(Method::POST, "/auth/logout", &session, &[]))
        .await;
    assert_eq!(again.status, 204, "what is over is over");
    let path = format!("/activity?filter[user][_eq]={}&fields=action&limit=2", village.cora.id);
    let told = village.wire.get(admin, &path).await.ok().json();
    assert_eq!(told["data"], json!([{"action": "logout"}, {"action": "update"}]));
}

#[tokio::test]
async fn whoever_cannot_log_in_is_not_told_why() {
    let village = Village::open(&Directus).await;
    village.house.give_password(&village.cora, STAPLE).await;
    let wrong = enter(&village, "cora@example.org", "not the password").await;
    assert_eq!(code(&wrong), (401, "INVALID_CREDENTIALS".into()));
    let unknown = enter(&village, "nobody@example.org", STAPLE).await;
    assert_eq!(unknown.bytes, wrong.bytes);
    for (body, expected) in [
        (json!({"password": STAPLE, "mode": "session"}), "INVALID_PAYLOAD"),
        (
            json!({"email": "cora", "password": STAPLE, "mode": "session"}),
            "INVALID_PAYLOAD",
        ),
        (
            json!({"email": "cora@example.org", "mode": "session"}),
            "INVALID_PAYLOAD",
        ),
        (
            json!({"email": "cora@example.org", "password": 1, "mode": "session"}),
            "INVALID_PAYLOAD",
        ),
        (
            json!({"email": "cora@example.org", "password": STAPLE, "mode": "odd"}),
            "FAILED_VALIDATION",
        ),
    ] {
        let reply = village.wire.post("", "/auth/login", body.clone()).await;
        assert_eq!(code(&reply), (400, expected.into()), "{body}");
    }
    let nothing = village.wire.post("", "/auth/refresh", json!({"mode": "session"})).await;
    assert_eq!(code(&nothing), (400, "INVALID_PAYLOAD".into()));
}

#[tokio::test]
async fn a_session_of_another_project_is_nobody_s_here_and_stays_as_it_is() {
    let village = Village::open(&Directus).await;
    let house = &village.house;
    let globex = house.keeper.project_called("globex").unwrap();
    let hank = house
        .keeper
        .owner_named(globex, keyholt_core::owner::OwnerKind::User, "hank")
        .unwrap();
    let hank = keyholt_core::id::UserId::from_uuid(hank.uuid());
    let keeper = &house.keeper;
    keeper
        .set_password(&house.olga(), globex, hank, &crate::people::typed(STAPLE))
        .await
        .unwrap();
    let wish = crate::people::in_cookie();
    let typed = crate::people::typed(STAPLE);
    let there = keeper
        .log_in(globex, "hank", &typed, wish, crate::house::source())
        .await
        .unwrap();
    let there = crate::people::kept(there);
    for path in ["/auth/refresh", "/auth/logout"] {
        village
            .wire
            .send(with_cookie(Method::POST, path, &there.secret, &[]))
            .await;
    }
    let me = village
        .wire
        .send(with_cookie(Method::GET, "/users/me", &there.secret, &[]))
        .await;
    assert_eq!(code(&me), (401, "INVALID_CREDENTIALS".into()));
    keeper
        .authenticate_cookie(&there.secret, crate::house::source())
        .unwrap();
}

#[tokio::test]
async fn a_password_is_set_by_administrators_and_a_bad_one_leaves_nobody_behind() {
    let village = Village::open(&Directus).await;
    let admin = &village.admins.secret;
    let own = patch(
        &village,
        &village.adas.secret,
        "/users/me",
        json!({ "password": STAPLE }),
    )
    .await;
    assert_eq!(code(&own), (403, "FORBIDDEN".into()));
    for bad in ["password", "short", "**********"] {
        let new = json!({"email": "new@example.org", "password": bad});
        assert_eq!(
            code(&village.wire.post(admin, "/users", new).await),
            (400, "FAILED_VALIDATION".into())
        );
    }
    let found = village
        .wire
        .get(admin, "/users?search=new@example.org")
        .await
        .ok()
        .json();
    assert_eq!(found, json!({"data": []}));
    let new = json!({"email": "new@example.org", "password": STAPLE});
    let made = village.wire.post(admin, "/users", new).await.ok().json();
    assert!(!made.to_string().contains(STAPLE));
    enter(&village, "new@example.org", STAPLE).await.ok();
}
