//! What the trail tells of a refusal: the code that its maker was told.

use http::Method;
use keyholt_core::audit::Outcome;
use keyholt_core::owner::Owner;
use serde_json::json;

use crate::house::{House, Wishes, wish};
use crate::wire::Wire;

#[tokio::test]
async fn a_refused_attempt_is_told_by_the_code_that_its_maker_was_told() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let carl = house.user_with("carl", &["admin"]).await;
    let own = house
        .issue(wish(Owner::User(carl.id), "own").scopes(&["keyholt:*"]))
        .await;
    let dead = house.issue(wish(Owner::User(carl.id), "dead").everything()).await;
    house.revoke(dead.id(), "over").await;
    let key = |step: &str| format!("/v1/projects/acme/keys/{}{step}", dead.id());
    let (post, patch, delete) = (Method::POST, Method::PATCH, Method::DELETE);
    let keys = "/v1/projects/acme/keys".to_owned();
    let roles = "/v1/projects/acme/roles".to_owned();
    for (method, path, body, code) in [
        (
            &post,
            keys.clone(),
            json!({"name": "wide", "scopes": "everything"}),
            "beyond_own_rights",
        ),
        (
            &post,
            keys,
            json!({"name": "whose", "scopes": [], "owner": {"user": "nobody"}}),
            "not_found",
        ),
        (&post, key("/rotate"), json!({}), "key_revoked"),
        (&post, key("/suspend"), json!({}), "key_revoked"),
        (&patch, key(""), json!({"name": "renamed"}), "key_revoked"),
        (
            &post,
            roles.clone(),
            json!({"name": "member", "scopes": []}),
            "handle_taken",
        ),
        (&delete, format!("{roles}/member"), json!({}), "role_in_use"),
        (
            &post,
            "/v1/projects/acme/users".to_owned(),
            json!({"external_id": "u", "roles": ["none"]}),
            "invalid_fields",
        ),
        (
            &post,
            "/v1/projects/acme/suspend".to_owned(),
            json!({}),
            // Projects are suspended from Keyholt's own, which does not exist for a tenant.
            "not_found",
        ),
    ] {
        let reply = wire.call(method.clone(), &own.secret, &path, body).await;
        assert_eq!(reply.code(), code, "{method} {path}");
        let events = house.events(house.project()).await;
        let told = Outcome::Refused { code: code.to_owned() };
        assert_eq!(events[0].outcome, told, "{method} {path}");
    }
}
