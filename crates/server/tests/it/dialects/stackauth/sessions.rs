//! Signing in and out, and what the clients read in an access token.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode};
use keyholt_core::owner::Owner;
use keyholt_server::dialects::StackAuth;
use serde_json::{Value, json};

use super::{ask, asked, serve, told};
use crate::dialects::village::Village;
use crate::house::canary;
use crate::people::STAPLE;
use crate::wire::{Reply, request};

/// What every version of the clients asks for, from 2.8.51 to 2.8.108.
const CLAIMS: [&str; 18] = [
    "sub",
    "iss",
    "aud",
    "exp",
    "iat",
    "project_id",
    "branch_id",
    "refresh_token_id",
    "role",
    "name",
    "email",
    "email_verified",
    "selected_team_id",
    "is_anonymous",
    "is_restricted",
    "restricted_reason",
    "requires_totp_mfa",
    "signed_up_at",
];

/// A village in which Cora has a password.
async fn village() -> Village {
    let village = Village::open(&StackAuth).await;
    village.let_cora_in().await;
    village
}

async fn sign_in(village: &Village, password: &str) -> Reply {
    let body = json!({"email": "cora@example.org", "password": password});
    ask(village, "client", "", ("POST", "/auth/password/sign-in"), body).await
}

/// Cora's tokens: for access, and to refresh it.
async fn tokens(village: &Village) -> (String, String) {
    let told = sign_in(village, STAPLE).await.ok().json();
    let text = |member: &str| told[member].as_str().unwrap().to_owned();
    let (access, refresh) = (text("access_token"), text("refresh_token"));
    canary(&refresh);
    canary(&access);
    (access, refresh)
}

pub async fn refresh(village: &Village, secret: &str) -> Reply {
    let project = village.house.acme.id;
    let form = format!("grant_type=refresh_token&refresh_token={secret}&client_id={project}&client_secret=x");
    let asked = request(Method::POST, "/api/v1/auth/oauth/token", "", Body::from(form));
    village.wire.send(asked).await
}

pub async fn me(village: &Village, access: &str) -> Reply {
    ask(village, "client", access, ("GET", "/users/me"), Value::Null).await
}

#[tokio::test]
async fn an_access_token_holds_what_each_version_of_the_clients_reads() {
    let village = village().await;
    let (access, _) = tokens(&village).await;
    let payload = access.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    for name in CLAIMS {
        assert!(claims.get(name).is_some(), "{name} in {claims}");
    }
    assert!(claims["aud"].is_string());
    assert_eq!(
        (&claims["role"], &claims["branch_id"], &claims["email"]),
        (&json!("authenticated"), &json!("main"), &json!("cora@example.org"))
    );
    assert_eq!(claims["restricted_reason"], Value::Null);
    assert!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() > 60);
    assert_eq!(me(&village, &access).await.ok().json()["id"], json!(village.cora.id));
}

#[tokio::test]
async fn whoever_signs_in_makes_keys_that_outlive_the_session() {
    let village = village().await;
    let (access, refresh) = tokens(&village).await;
    let wish = json!({"user_id": "me", "description": "laptop", "expires_at_millis": null});
    let made = ask(&village, "client", &access, ("POST", "/user-api-keys"), wish)
        .await
        .ok()
        .json();
    assert!(made.get("expires_at_millis").is_none());
    let mut out = asked(
        &village,
        "client",
        Method::DELETE,
        "/api/v1/auth/sessions/current",
        &access,
        Some(json!({})),
    );
    out.headers_mut()
        .insert("x-hexclave-refresh-token", refresh.parse().unwrap());
    village.wire.send(out).await.ok();
    let check = json!({ "api_key": made["value"] });
    serve(&village, ("POST", "/user-api-keys/check"), check).await.ok();
}

#[tokio::test]
async fn the_same_refresh_token_serves_until_the_session_ends_and_then_nothing_of_it_does() {
    let village = village().await;
    let (access, secret) = tokens(&village).await;
    for _ in 0..2 {
        let told = refresh(&village, &secret).await.ok().json();
        assert_eq!(told["token_type"], "bearer");
        me(&village, told["access_token"].as_str().unwrap()).await.ok();
    }
    ask(
        &village,
        "client",
        &access,
        ("DELETE", "/auth/sessions/current"),
        json!({}),
    )
    .await
    .ok();
    assert_eq!(
        told(&refresh(&village, &secret).await),
        "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED"
    );
    assert_eq!(told(&me(&village, &access).await), "UNPARSABLE_ACCESS_TOKEN");
    // An API key refreshes nothing, and neither does an access token.
    for other in [village.adas.secret.as_str(), &access, "", "nonsense"] {
        assert_eq!(
            told(&refresh(&village, other).await),
            "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED"
        );
    }
}

#[tokio::test]
async fn an_access_token_that_is_over_is_told_as_the_clients_refresh_it() {
    let village = village().await;
    let (access, _) = tokens(&village).await;
    village.house.advance(keyholt_core::time::Span::hours(1));
    let reply = me(&village, &access).await;
    assert_eq!(told(&reply), "ACCESS_TOKEN_EXPIRED");
    assert!(reply.json()["details"]["expired_at_millis"].is_i64());
}

#[tokio::test]
async fn unknown_wrong_and_suspended_are_one_answer() {
    let village = village().await;
    assert_eq!(
        told(&sign_in(&village, "not the password of Cora").await),
        "EMAIL_PASSWORD_MISMATCH"
    );
    let nobody = json!({"email": "nobody@example.org", "password": STAPLE});
    let reply = ask(&village, "client", "", ("POST", "/auth/password/sign-in"), nobody).await;
    assert_eq!(told(&reply), "EMAIL_PASSWORD_MISMATCH");
    let (access, secret) = tokens(&village).await;
    let (house, cora) = (&village.house, Owner::User(village.cora.id));
    house
        .keeper
        .suspend_owner(&house.olga(), house.acme.id, cora, None, None)
        .await
        .unwrap();
    assert_eq!(told(&sign_in(&village, STAPLE).await), "EMAIL_PASSWORD_MISMATCH");
    assert_eq!(
        told(&refresh(&village, &secret).await),
        "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED"
    );
    assert_eq!(told(&me(&village, &access).await), "UNPARSABLE_ACCESS_TOKEN");
}

#[tokio::test]
async fn nobody_signs_up_by_themselves() {
    let village = village().await;
    let body = json!({"email": "mallory@example.org", "password": STAPLE});
    let before = village.house.commits().await;
    let reply = ask(&village, "client", "", ("POST", "/auth/password/sign-up"), body).await;
    assert_eq!(
        (reply.status, told(&reply)),
        (StatusCode::FORBIDDEN, "SIGN_UP_NOT_ENABLED".into())
    );
    assert_eq!(village.house.commits().await, before);
}

#[tokio::test]
async fn a_server_gives_passwords_and_people_change_their_own() {
    let village = village().await;
    let short = json!({"primary_email": "dora@example.org", "password": "short"});
    let reply = serve(&village, ("POST", "/users"), short).await;
    assert_eq!(told(&reply), "PASSWORD_TOO_SHORT");
    assert!(reply.json()["details"]["min_length"].is_u64());
    let (access, secret) = tokens(&village).await;
    let new = "nobody guesses this one 31";
    let change = async |old: &str| {
        let body = json!({"old_password": old, "new_password": new});
        ask(&village, "client", &access, ("POST", "/auth/password/update"), body).await
    };
    assert_eq!(
        told(&change("not the password of Cora").await),
        "PASSWORD_CONFIRMATION_MISMATCH"
    );
    change(STAPLE).await.ok();
    canary(new);
    assert_eq!(told(&sign_in(&village, STAPLE).await), "EMAIL_PASSWORD_MISMATCH");
    sign_in(&village, new).await.ok();
    refresh(&village, &secret).await.ok();
}
