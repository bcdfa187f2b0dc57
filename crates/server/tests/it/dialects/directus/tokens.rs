//! A user's token in Directus: given once, masked for ever, replaced, taken away, and good only while its owner is.

use axum::body::Body;
use http::Method;
use keyholt_core::owner::Owner;
use keyholt_core::text::Cause;
use keyholt_server::dialects::Directus;
use serde_json::json;

use super::{OTHER, TOKEN, code, patch, user, with_token};
use crate::dialects::village::Village;
use crate::house::{Wishes, canary, wish};
use crate::wire::request;

#[tokio::test]
async fn a_token_is_written_once_masked_for_ever_and_dead_when_it_is_replaced() {
    let village = Village::open(&Directus).await;
    let wire = &village.wire;
    canary(TOKEN);
    canary(OTHER);
    let path = "/users/me?fields=id,token";
    let none = wire.get(&village.adas.secret, path).await.ok().json();
    assert_eq!(none, json!({"data": {"id": village.ada.id, "token": null}}));
    let masked = json!({"data": {"id": village.ada.id, "token": "**********"}});
    let given = patch(&village, &village.adas.secret, path, json!({ "token": TOKEN }))
        .await
        .ok();
    assert_eq!(given.json(), masked);
    assert_eq!(wire.get(TOKEN, path).await.ok().json(), masked);
    // The same again is no change, and no event.
    let before = village.house.commits().await;
    patch(&village, TOKEN, path, json!({ "token": TOKEN })).await.ok();
    assert_eq!(village.house.commits().await, before);
    patch(&village, TOKEN, path, json!({ "token": OTHER })).await.ok();
    assert_eq!(code(&wire.get(TOKEN, path).await), (401, "INVALID_CREDENTIALS".into()));
    assert_eq!(village.house.code(OTHER, &[]), "valid", "it is a key like any other");
    patch(&village, OTHER, path, json!({ "token": null })).await.ok();
    assert_eq!(code(&wire.get(OTHER, path).await), (401, "INVALID_CREDENTIALS".into()));
    assert_eq!(wire.get(&village.adas.secret, path).await.ok().json(), none);
    assert_eq!(village.house.code(OTHER, &[]), "revoked");
    // What was cleared does not come back to life.
    let again = patch(&village, &village.adas.secret, path, json!({ "token": OTHER })).await;
    assert_eq!(code(&again), (400, "RECORD_NOT_UNIQUE".into()));
}

#[tokio::test]
async fn what_is_no_good_token_is_refused_without_being_repeated() {
    let village = Village::open(&Directus).await;
    let ours_mistyped = format!("{}x", village.target.secret);
    for (token, expected) in [
        (json!("a"), "FAILED_VALIDATION"),
        (json!("**********"), "FAILED_VALIDATION"),
        (json!("*".repeat(64)), "FAILED_VALIDATION"),
        (json!("correct-horse"), "FAILED_VALIDATION"),
        (json!("a".repeat(64)), "FAILED_VALIDATION"),
        (json!("with spaces V1StGXR8_Z5jdHi6B-myTqPw0"), "FAILED_VALIDATION"),
        (json!(ours_mistyped), "FAILED_VALIDATION"),
        (json!(TOKEN.repeat(9)), "VALUE_TOO_LONG"),
        (json!(12345), "INVALID_PAYLOAD"),
        (json!({}), "INVALID_PAYLOAD"),
    ] {
        let reply = patch(&village, &village.adas.secret, "/users/me", json!({ "token": token })).await;
        if token == json!(ours_mistyped) {
            // With one character more it is another product's text, and a long one: taken, unless it is mistyped.
            continue;
        }
        assert_eq!(code(&reply), (400, expected.into()), "{token}");
        let told = String::from_utf8_lossy(&reply.bytes).into_owned();
        assert!(
            token.as_str().is_none_or(|token| token == "a" || !told.contains(token)),
            "{told}"
        );
    }
}

#[tokio::test]
async fn only_the_owner_and_administrators_touch_a_token() {
    let village = Village::open(&Directus).await;
    canary(TOKEN);
    let adas = user(village.ada.id);
    for secret in [&village.bobs.secret, &village.idle.secret] {
        for token in [json!(TOKEN), json!(null)] {
            let reply = patch(&village, secret, &adas, json!({ "token": token })).await;
            assert_eq!(code(&reply), (403, "FORBIDDEN".into()));
        }
    }
    let narrow = patch(&village, &village.target.secret, "/users/me", json!({ "token": TOKEN })).await;
    assert_eq!(
        code(&narrow),
        (403, "FORBIDDEN".into()),
        "a narrow key makes no master key"
    );
    patch(&village, &village.admins.secret, &adas, json!({ "token": TOKEN }))
        .await
        .ok();
    let me = village.wire.get(TOKEN, "/users/me?fields=id").await.ok().json();
    assert_eq!(me["data"]["id"], village.ada.id.to_string());
}

#[tokio::test]
async fn a_token_that_somebody_has_is_refused_without_saying_whose_and_nothing_is_changed() {
    let village = Village::open(&Directus).await;
    with_token(&village).await;
    let before = village.house.commits().await;
    let body = json!({"title": "Dr", "token": TOKEN});
    let reply = patch(&village, &village.admins.secret, &user(village.cora.id), body).await;
    let told = reply.json();
    assert_eq!(
        told["errors"][0]["extensions"],
        json!({"code": "RECORD_NOT_UNIQUE", "collection": "directus_users", "field": "token"})
    );
    assert!(!told.to_string().contains(TOKEN));
    let new = json!({"email": "new@example.org", "token": TOKEN});
    let reply = village.wire.post(&village.admins.secret, "/users", new).await;
    assert_eq!(code(&reply), (400, "RECORD_NOT_UNIQUE".into()));
    assert_eq!(village.house.commits().await, before);
}

#[tokio::test]
async fn nobody_is_left_behind_half_made() {
    let village = Village::open(&Directus).await;
    canary(TOKEN);
    // Somebody who may enrol but has no key that may be handed on in full.
    let olga = village.house.olga();
    let role = village.house.keeper.new_role(
        village.house.project(),
        keyholt_core::text::Slug::new("clerk").unwrap(),
        keyholt_core::text::Description::new("").unwrap(),
        keyholt_core::scope::ScopeSet::parse(["keyholt:owners:*"]).unwrap(),
    );
    village.house.keeper.make_role(&olga, role).await.unwrap();
    let clerk = village.house.user_with("clerk", &["clerk"]).await;
    let clerks = village
        .house
        .issue(wish(Owner::User(clerk.id), "desk").everything())
        .await;
    let new = json!({"email": "new@example.org", "token": TOKEN});
    let reply = village.wire.post(&clerks.secret, "/users", new).await;
    assert_eq!(code(&reply), (403, "FORBIDDEN".into()));
    let found = village
        .wire
        .get(&village.admins.secret, "/users?search=new@example.org")
        .await
        .ok()
        .json();
    assert_eq!(found, json!({"data": []}));
}

#[tokio::test]
async fn a_suspended_or_removed_owner_s_token_stops() {
    let village = Village::open(&Directus).await;
    with_token(&village).await;
    let (admin, adas) = (&village.admins.secret, user(village.ada.id));
    for status in ["suspended", "draft", "invited", "unverified", "archived"] {
        let told = patch(&village, admin, &adas, json!({ "status": status }))
            .await
            .ok()
            .json();
        assert_eq!(told["data"]["status"], status);
        assert_eq!(
            code(&village.wire.get(TOKEN, "/users/me").await),
            (401, "INVALID_CREDENTIALS".into())
        );
        let told = patch(&village, admin, &adas, json!({"status": "active"}))
            .await
            .ok()
            .json();
        assert_eq!(told["data"]["status"], "active");
        village.wire.get(TOKEN, "/users/me").await.ok();
    }
    let gone = request(Method::DELETE, &adas, admin, Body::empty());
    assert_eq!(village.wire.send(gone).await.status, 204);
    assert_eq!(
        code(&village.wire.get(TOKEN, "/users/me").await),
        (401, "INVALID_CREDENTIALS".into())
    );
}

#[tokio::test]
async fn a_key_suspended_by_an_administrator_is_not_brought_back_by_a_new_token() {
    let village = Village::open(&Directus).await;
    with_token(&village).await;
    canary(OTHER);
    let house = &village.house;
    let key = house
        .keeper
        .find_key(&house.olga(), house.project(), TOKEN)
        .await
        .unwrap()
        .key;
    let cause = Cause::new("looks odd").ok();
    house
        .keeper
        .suspend_key(&house.olga(), house.project(), key.id, cause, None)
        .await
        .unwrap();
    patch(&village, &village.adas.secret, "/users/me", json!({ "token": OTHER }))
        .await
        .ok();
    assert_eq!(house.code(OTHER, &[]), "suspended");
}

#[tokio::test]
async fn a_token_in_the_query_works_and_two_tokens_do_not() {
    let village = Village::open(&Directus).await;
    let token = with_token(&village).await;
    let path = format!("/users/me?fields=id&access_token={token}");
    village.wire.get("", &path).await.ok();
    assert_eq!(
        code(&village.wire.get(&token, &path).await),
        (400, "INVALID_PAYLOAD".into())
    );
    // Anywhere else in the URL a key is lost, here as everywhere.
    let lost = format!("/users?token={token}");
    assert_eq!(code(&village.wire.get(&village.admins.secret, &lost).await).0, 400);
    assert_eq!(village.house.code(&token, &[]), "valid");
}

#[tokio::test]
async fn random_strings_are_good_tokens() {
    let village = Village::open(&Directus).await;
    for _ in 0..50 {
        let made = village.wire.get("", "/utils/random/string").await.ok().json();
        let token = made["data"].as_str().unwrap();
        canary(token);
        assert_eq!(token.len(), 32);
        assert!(keyholt_core::strength::strong(token).is_ok(), "{token}");
    }
}
