//! Keys as the clients see them: made, told, checked, changed, ended.

use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_server::dialects::StackAuth;
use serde_json::{Value, json};

use super::{ask, complaint, serve, told};
use crate::dialects::village::{Complaint, Village};
use crate::house::{Held, House};
use crate::relay::Relay;

#[tokio::test]
async fn a_key_is_shown_once_and_told_as_the_clients_read_it() {
    let village = Village::open(&StackAuth).await;
    village.house.clock.advance(std::time::Duration::from_secs(1));
    let wish = json!({"user_id": village.ada.id, "description": "laptop", "expires_at_millis": 1_900_000_000_000_i64, "is_public": false});
    let made = serve(&village, ("POST", "/user-api-keys"), wish).await.ok().json();
    let value = made["value"].as_str().unwrap();
    let expected = json!({
        "id": made["id"], "type": "user", "user_id": village.ada.id, "description": "laptop", "is_public": false,
        "created_at_millis": crate::house::NEW_YEAR + 1000, "expires_at_millis": 1_900_000_000_000_i64, "value": value,
    });
    assert_eq!(made, expected);
    let list = format!("/user-api-keys?user_id={}", village.ada.id);
    let listed = serve(&village, ("GET", &list), Value::Null).await.ok().json();
    assert_eq!(listed["is_paginated"], false);
    assert_eq!(listed["items"][0]["id"], made["id"], "the newest comes first");
    assert_eq!(
        listed["items"][0]["value"],
        json!({ "last_four": &value[value.len() - 4..] })
    );
    let shown = serve(&village, ("POST", "/user-api-keys/check"), json!({ "api_key": value })).await;
    assert_eq!(shown.ok().json(), listed["items"][0]);
}

#[tokio::test]
async fn a_key_acts_for_its_owner_in_the_product_and_cannot_make_keys() {
    let village = Village::open(&StackAuth).await;
    let wish = json!({"user_id": village.ada.id, "description": "laptop"});
    let made = serve(&village, ("POST", "/user-api-keys"), wish).await.ok().json();
    let value = made["value"].as_str().unwrap();
    assert_eq!(village.house.verdict(value, &["orders:read"])["valid"], true);
    assert_eq!(
        village.house.verdict(value, &["keyholt:self:write"])["code"],
        "insufficient_scope"
    );
    let again = json!({"user_id": village.ada.id, "description": "its child"});
    let reply = ask(&village, "server", value, ("POST", "/user-api-keys"), again).await;
    assert_eq!(complaint(&reply), Complaint::NotAllowed);
}

#[tokio::test]
async fn what_everybody_may_see_tells_whose_it_is_and_opens_nothing() {
    let village = Village::open(&StackAuth).await;
    let wish = json!({"user_id": village.ada.id, "description": "in the page", "is_public": true});
    let made = serve(&village, ("POST", "/user-api-keys"), wish).await.ok().json();
    assert_eq!(made["is_public"], true);
    let key = village.house.key(made["id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(
        (key.kind, key.access),
        (Kind::Publishable, Access::Only(ScopeSet::default()))
    );
    let check = json!({ "api_key": made["value"] });
    let shown = serve(&village, ("POST", "/user-api-keys/check"), check)
        .await
        .ok()
        .json();
    assert_eq!(shown["user_id"], json!(village.ada.id));
    let leaked = json!({ "api_key": made["value"] });
    let reply = serve(&village, ("POST", "/integrations/credential-scanning/revoke"), leaked).await;
    assert_eq!(told(&reply), "PUBLIC_API_KEY_CANNOT_BE_REVOKED");
}

#[tokio::test]
async fn a_check_says_not_found_wrong_type_revoked_expired_in_this_order() {
    let village = Village::open(&StackAuth).await;
    let check = async |side: &str, secret: &str| {
        let path = format!("/{side}-api-keys/check");
        told(&serve(&village, ("POST", &path), json!({ "api_key": secret })).await)
    };
    assert_eq!(check("user", "sk_nonsense").await, "API_KEY_NOT_FOUND");
    assert_eq!(check("user", &village.stranger.secret).await, "API_KEY_NOT_FOUND");
    assert_eq!(check("user", &village.house.operator.secret).await, "API_KEY_NOT_FOUND");
    let wish =
        json!({"user_id": village.ada.id, "description": "brief", "expires_at_millis": crate::house::NEW_YEAR + 1000});
    let made = serve(&village, ("POST", "/user-api-keys"), wish).await.ok().json();
    let value = made["value"].as_str().unwrap();
    assert_eq!(check("team", value).await, "WRONG_API_KEY_TYPE");
    village.house.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(check("user", value).await, "API_KEY_EXPIRED");
    let revoke = format!(
        "/user-api-keys/{}?user_id={}",
        made["id"].as_str().unwrap(),
        village.ada.id
    );
    let first = serve(&village, ("PATCH", &revoke), json!({"revoked": true}))
        .await
        .ok()
        .json();
    assert_eq!(check("team", value).await, "WRONG_API_KEY_TYPE");
    assert_eq!(check("user", value).await, "API_KEY_REVOKED");
    village.house.clock.advance(std::time::Duration::from_secs(9));
    let again = serve(&village, ("PATCH", &revoke), json!({"revoked": true}))
        .await
        .ok()
        .json();
    assert_eq!(again["manually_revoked_at_millis"], first["manually_revoked_at_millis"]);
}

#[tokio::test]
async fn a_second_check_asks_the_store_nothing_and_a_change_is_seen_at_once() {
    let line = Relay::new().lone();
    let village = Village::open_in(House::open_on(line.clone()).await, &StackAuth).await;
    let check = async |side: &str, key: &Held| {
        let before = line.calls();
        let path = format!("/{side}-api-keys/check");
        let reply = serve(&village, ("POST", &path), json!({ "api_key": key.secret })).await;
        (reply.ok().json(), line.calls() - before)
    };
    for (side, key) in [("user", &village.target), ("team", &village.platforms)] {
        let path = format!("/{side}-api-keys/{}", key.id());
        let shown = async || serve(&village, ("GET", &path), Value::Null).await.ok().json();
        assert_eq!(check(side, key).await, (shown().await, 1));
        assert_eq!(check(side, key).await, (shown().await, 0));
        serve(&village, ("PATCH", &path), json!({"description": "renamed"}))
            .await
            .ok();
        assert_eq!(check(side, key).await.0["description"], "renamed");
        assert_eq!(check(side, key).await, (shown().await, 0));
    }
}

#[tokio::test]
async fn a_suspended_key_looks_revoked_until_it_is_resumed() {
    let village = Village::open(&StackAuth).await;
    let (house, path) = (&village.house, format!("/user-api-keys/{}", village.target.id()));
    let shown = async || serve(&village, ("GET", &path), Value::Null).await.ok().json();
    let check = json!({ "api_key": village.target.secret });
    let (olga, id) = (house.olga(), village.target.id());
    house
        .keeper
        .suspend_key(&olga, house.acme.id, id, None, None)
        .await
        .unwrap();
    assert_eq!(shown().await["manually_revoked_at_millis"], crate::house::NEW_YEAR);
    let reply = serve(&village, ("POST", "/user-api-keys/check"), check.clone()).await;
    assert_eq!(told(&reply), "API_KEY_REVOKED");
    house
        .keeper
        .resume_key(&olga, house.acme.id, id, None, None)
        .await
        .unwrap();
    assert_eq!(shown().await["manually_revoked_at_millis"], Value::Null);
    serve(&village, ("POST", "/user-api-keys/check"), check).await.ok();
}

#[tokio::test]
async fn a_suspended_owner_s_keys_check_as_revoked() {
    let village = Village::open(&StackAuth).await;
    let (house, ada) = (&village.house, Owner::User(village.ada.id));
    house
        .keeper
        .suspend_owner(&house.olga(), house.acme.id, ada, None, None)
        .await
        .unwrap();
    let reply = serve(
        &village,
        ("POST", "/user-api-keys/check"),
        json!({ "api_key": village.target.secret }),
    )
    .await;
    assert_eq!(told(&reply), "API_KEY_REVOKED");
    assert!(reply.json()["error"].as_str().unwrap().contains("owner_suspended"));
}

#[tokio::test]
async fn whoever_finds_a_leaked_key_can_stop_it_and_learns_nothing() {
    let village = Village::open(&StackAuth).await;
    let revoke = async |secret: &str| {
        let body = json!({ "api_key": secret });
        village
            .wire
            .post("", "/api/v1/integrations/credential-scanning/revoke", body)
            .await
    };
    assert_eq!(told(&revoke("sk_nonsense_but_long").await), "API_KEY_NOT_FOUND");
    assert_eq!(
        told(&revoke(&village.house.verifier().await.secret).await),
        "API_KEY_NOT_FOUND",
        "no user's and no team's"
    );
    for _ in 0..2 {
        assert_eq!(
            revoke(&village.target.secret).await.ok().json(),
            json!({"success": true})
        );
    }
    assert_eq!(village.house.verdict(&village.target.secret, &[])["code"], "revoked");
}
