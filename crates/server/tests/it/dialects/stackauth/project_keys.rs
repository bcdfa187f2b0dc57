//! A project's own keys, and what its pages are told about payments.

use keyholt_core::key::Kind;
use keyholt_server::dialects::StackAuth;
use serde_json::{Value, json};

use super::{ask, complaint, serve, told};
use crate::dialects::village::{Complaint, Village};
use crate::wire::Reply;

async fn administer(village: &Village, call: (&str, &str), body: Value) -> Reply {
    ask(village, "admin", &village.admins.secret, call, body).await
}

#[tokio::test]
async fn a_set_is_shown_once_and_each_of_its_keys_opens_its_own_level() {
    let village = Village::open(&StackAuth).await;
    let wish = json!({
        "description": "shop", "expires_at_millis": 1_900_000_000_000_i64, "has_publishable_client_key": true,
        "has_secret_server_key": true, "has_super_secret_admin_key": true,
    });
    let made = administer(&village, ("POST", "/internal/api-keys"), wish)
        .await
        .ok()
        .json();
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    let listed = administer(&village, ("GET", "/internal/api-keys"), Value::Null)
        .await
        .ok()
        .json();
    let set = &listed["items"][0];
    assert_eq!((&set["id"], &set["description"]), (&made["id"], &json!("shop")));
    for member in ["publishable_client_key", "secret_server_key", "super_secret_admin_key"] {
        let whole = text(member);
        assert_eq!(
            set[member],
            json!({ "last_four": &whole[whole.len() - 4..] }),
            "{member}"
        );
    }
    let (servers, admins) = (text("secret_server_key"), text("super_secret_admin_key"));
    let off = json!({"config": {"allow_user_api_keys": false}});
    let (see, change) = (("GET", "/users"), ("PATCH", "/internal/projects/current"));
    ask(&village, "server", &servers, see, Value::Null).await.ok();
    let climbing = ask(&village, "admin", &servers, change, off.clone()).await;
    assert_eq!(
        complaint(&climbing),
        Complaint::NotAllowed,
        "a server's key changes no project"
    );
    ask(&village, "admin", &admins, change, off).await.ok();
    let id = village.house.verdict(&text("publishable_client_key"), &[])["key"]["id"].clone();
    let key = village.house.key(id.as_str().unwrap().parse().unwrap()).await;
    assert_eq!(key.kind, Kind::Publishable);

    let path = format!("/internal/api-keys/{}", made["id"].as_str().unwrap());
    let ended = administer(&village, ("PATCH", &path), json!({"revoked": true}))
        .await
        .ok()
        .json();
    assert!(ended["manually_revoked_at_millis"].is_i64(), "{ended}");
    for (level, secret, code) in [
        ("server", &servers, "INVALID_SECRET_SERVER_KEY"),
        ("admin", &admins, "INVALID_SUPER_SECRET_ADMIN_KEY"),
    ] {
        let reply = ask(&village, level, secret, ("GET", "/users"), Value::Null).await;
        assert_eq!(told(&reply), code);
    }
}

#[tokio::test]
async fn project_keys_are_for_administrators_and_nobody_else_s() {
    let village = Village::open(&StackAuth).await;
    let (list, none) = (("GET", "/internal/api-keys"), Value::Null);
    assert_eq!(
        told(&serve(&village, list, none.clone()).await),
        "INSUFFICIENT_ACCESS_TYPE"
    );
    let adas = ask(&village, "admin", &village.adas.secret, list, none.clone())
        .await
        .ok()
        .json();
    let ids: Vec<&str> = adas["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|set| set["id"].as_str().unwrap())
        .collect();
    assert!(
        !ids.contains(&village.admins.id().to_string().as_str()),
        "another's are not there"
    );
    let path = format!("/internal/api-keys/{}", village.bobs.id());
    assert_eq!(
        told(&administer(&village, ("GET", &path), none).await),
        "API_KEY_NOT_FOUND"
    );
    for wish in [
        json!({"description": "none of them"}),
        json!({"has_secret_server_key": true}),
        json!({"description": "a", "has_secret_server_key": "yes"}),
        json!({"description": "a", "has_secret_server_key": true, "scopes": []}),
    ] {
        let reply = administer(&village, ("POST", "/internal/api-keys"), wish.clone()).await;
        assert_eq!(told(&reply), "SCHEMA_ERROR", "{wish}");
    }
}

#[tokio::test]
async fn nobody_is_a_customer_and_nobody_is_told_about_others() {
    let village = Village::open(&StackAuth).await;
    let ada = village.ada.id;
    let billing = serve(&village, ("GET", &format!("/payments/billing/user/{ada}")), Value::Null).await;
    assert_eq!(
        billing.ok().json(),
        json!({"has_customer": false, "default_payment_method": null})
    );
    let products = format!("/payments/products/team/{}?limit=1", village.platform.id);
    assert_eq!(
        serve(&village, ("GET", &products), Value::Null).await.ok().json()["items"],
        json!([])
    );
    let bought = serve(&village, ("POST", "/payments/purchases/create-purchase-url"), json!({})).await;
    assert_eq!(complaint(&bought), Complaint::NotThere, "nothing is sold");
    let odd = serve(
        &village,
        ("GET", &format!("/payments/billing/planet/{ada}")),
        Value::Null,
    )
    .await;
    assert_eq!(told(&odd), "SCHEMA_ERROR");
}
