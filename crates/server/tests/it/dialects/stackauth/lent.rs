//! Sessions that an application's server starts for somebody.

use keyholt_core::owner::Owner;
use keyholt_core::time::Span;
use keyholt_server::dialects::StackAuth;
use serde_json::{Value, json};

use super::sessions::{me, refresh};
use super::{ask, complaint, serve, told};
use crate::dialects::village::{Complaint, Village};
use crate::house::{Wishes, wish};

const START: (&str, &str) = ("POST", "/auth/sessions");

/// Ada's tokens, as a server gets them: for access, and to refresh it.
async fn lent(village: &Village, wish: Value) -> (String, String) {
    let told = serve(village, START, wish).await.ok().json();
    let text = |member: &str| told[member].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

#[tokio::test]
async fn it_does_what_the_user_does_until_it_was_said_to_end() {
    let village = Village::open(&StackAuth).await;
    let wish = json!({"user_id": village.ada.id, "expires_in_millis": 120_000, "is_impersonation": true});
    let (access, secret) = lent(&village, wish).await;
    assert_eq!(me(&village, &access).await.ok().json()["id"], json!(village.ada.id));
    let key = json!({"user_id": "me", "description": "hers"});
    let made = ask(&village, "client", &access, ("POST", "/user-api-keys"), key)
        .await
        .ok()
        .json();
    assert_eq!(made["user_id"], json!(village.ada.id));
    let (list, mine) = (("GET", "/auth/sessions?user_id=me"), Value::Null);
    let sessions = ask(&village, "client", &access, list, mine).await.ok().json();
    assert_eq!(sessions["items"][0]["is_impersonation"], true);
    assert_eq!(sessions["items"][0]["is_current_session"], true);
    // No refresh prolongs it.
    village.house.advance(Span::secs(90));
    refresh(&village, &secret).await.ok();
    village.house.advance(Span::secs(31));
    assert_eq!(
        told(&refresh(&village, &secret).await),
        "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED"
    );
    assert_eq!(told(&me(&village, &access).await), "ACCESS_TOKEN_EXPIRED");
}

#[tokio::test]
async fn it_ends_with_a_suspension_and_with_the_user_s_other_sessions() {
    let village = Village::open(&StackAuth).await;
    let (house, ada) = (&village.house, Owner::User(village.ada.id));
    let (access, _) = lent(&village, json!({"user_id": village.ada.id})).await;
    let cause = keyholt_core::text::Cause::new("lost laptop").unwrap();
    let ended = house
        .keeper
        .end_sessions(&house.olga(), house.acme.id, ada, cause)
        .await;
    assert_eq!(ended.unwrap(), 1);
    assert_eq!(told(&me(&village, &access).await), "UNPARSABLE_ACCESS_TOKEN");
    house
        .keeper
        .suspend_owner(&house.olga(), house.acme.id, ada, None, None)
        .await
        .unwrap();
    let reply = serve(&village, START, json!({"user_id": village.ada.id})).await;
    assert_eq!(told(&reply), "USER_NOT_FOUND");
}

#[tokio::test]
async fn a_server_hands_on_no_more_than_it_may_do_and_no_longer_than_its_key_lives() {
    let village = Village::open(&StackAuth).await;
    let root = village.admins.key.owner;
    let narrow = wish(root, "narrow").scopes(&["keyholt:sessions:write", "keyholt:owners:read", "orders:read"]);
    let narrow = village.house.issue(narrow.lasting(Span::secs(300))).await;
    let wish = json!({"user_id": village.ada.id, "expires_in_millis": 3_600_000});
    let reply = ask(&village, "server", &narrow.secret, START, wish.clone())
        .await
        .ok()
        .json();
    let (access, secret) = (
        reply["access_token"].as_str().unwrap(),
        reply["refresh_token"].as_str().unwrap(),
    );
    assert_eq!(village.house.verdict(access, &["orders:read"])["valid"], true);
    assert_eq!(
        village.house.verdict(access, &["orders:write"])["code"],
        "insufficient_scope"
    );
    village.house.advance(Span::secs(301));
    assert_eq!(
        told(&refresh(&village, secret).await),
        "REFRESH_TOKEN_NOT_FOUND_OR_EXPIRED"
    );
    // Neither a browser nor what hangs on a session starts sessions.
    let (access, _) = lent(&village, wish.clone()).await;
    let reply = ask(&village, "client", &access, START, wish.clone()).await;
    assert_eq!(told(&reply), "INSUFFICIENT_ACCESS_TYPE");
    let reply = ask(&village, "server", &access, START, wish).await;
    assert_eq!(complaint(&reply), Complaint::NotAllowed);
}

#[tokio::test]
async fn what_cannot_be_is_told_as_the_clients_know_it() {
    let village = Village::open(&StackAuth).await;
    let ada = village.ada.id;
    for (wish, expected) in [
        (
            json!({"user_id": "0199a3c4-7b1e-4c00-8000-6f9d2f3f1a20"}),
            "USER_NOT_FOUND",
        ),
        (json!({"user_id": ada, "expires_in_millis": 0}), "SCHEMA_ERROR"),
        (json!({"user_id": ada, "expires_in_millis": 1e300}), "SCHEMA_ERROR"),
        (json!({"user_id": ada, "expires_in_millis": "long"}), "SCHEMA_ERROR"),
        (json!({"user_id": ada, "lifetime": 5}), "SCHEMA_ERROR"),
        (json!({}), "SCHEMA_ERROR"),
    ] {
        assert_eq!(told(&serve(&village, START, wish.clone()).await), expected, "{wish}");
    }
    let nobody = "/auth/sessions/0199a3c4-7b1e-4c00-8000-6f9d2f3f1a20";
    assert_eq!(
        told(&serve(&village, ("DELETE", nobody), Value::Null).await),
        "Session not found."
    );
    let key = format!("/auth/sessions/{}", village.target.id());
    assert_eq!(
        told(&serve(&village, ("DELETE", &key), Value::Null).await),
        "Session not found."
    );
}
