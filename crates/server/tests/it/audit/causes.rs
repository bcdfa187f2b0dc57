//! Causes: whatever is done over HTTP may say why, and the trail tells it.

use http::Method;
use serde_json::{Value, json};

use crate::house::{House, canary};
use crate::people::{KETTLE, STAPLE};
use crate::wire::Wire;

const WHY: &str = "ticket 4711";

#[tokio::test]
async fn whatever_is_done_may_say_why_and_the_trail_tells_it() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    house.user("ada").await;
    house.team("platform", vec![]).await;
    house.service("ci", "member").await;
    let (post, put, patch, delete) = (Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let because = format!("?cause={}", WHY.replace(' ', "%20"));
    for (method, path, body, action) in [
        (&post, "acme/users", json!({"external_id": "new"}), "user.enrol"),
        (&patch, "acme/users/new", json!({"name": "New"}), "user.change"),
        (&post, "acme/users/new/suspend", json!({}), "user.suspend"),
        (&post, "acme/users/new/resume", json!({}), "user.resume"),
        (
            &put,
            "acme/users/new/password",
            json!({"password": STAPLE}),
            "password.set",
        ),
        (&delete, "acme/users/new", Value::Null, "user.remove"),
        (&post, "acme/teams", json!({"external_id": "new"}), "team.enrol"),
        (&patch, "acme/teams/new", json!({"name": "New"}), "team.change"),
        (
            &put,
            "acme/teams/new/members/ada",
            json!({"right": "belong"}),
            "team.change",
        ),
        (&delete, "acme/teams/new/members/ada", Value::Null, "team.change"),
        (&delete, "acme/teams/new", Value::Null, "team.remove"),
        (&post, "acme/services", json!({"name": "new"}), "service.enrol"),
        (
            &patch,
            "acme/services/new",
            json!({"description": "new"}),
            "service.change",
        ),
        (&delete, "acme/services/new", Value::Null, "service.remove"),
        (&post, "acme/roles", json!({"name": "new", "scopes": []}), "role.enrol"),
        (&patch, "acme/roles/new", json!({"scopes": ["a:read"]}), "role.change"),
        (&delete, "acme/roles/new", Value::Null, "role.remove"),
        (&patch, "acme", json!({"name": "Renamed"}), "project.change"),
        (&delete, "acme/users/nobody", Value::Null, "user.remove"),
    ] {
        let mut body = body;
        let mut path = format!("/v1/projects/{path}");
        if body.is_null() {
            path.push_str(&because);
        } else {
            body["cause"] = json!(WHY);
        }
        let reply = if body.is_null() {
            let request =
                crate::wire::request(method.clone(), &path, &house.operator.secret, axum::body::Body::empty());
            wire.send(request).await
        } else {
            wire.call(method.clone(), &house.operator.secret, &path, body).await
        };
        assert!(
            path.contains("nobody") || reply.status.is_success(),
            "{method} {path}: {reply:?}"
        );
        let event = house.events(house.project()).await.remove(0);
        assert_eq!(event.action, action, "{method} {path}");
        assert_eq!(
            event.cause.map(|cause| cause.to_string()).as_deref(),
            Some(WHY),
            "{method} {path}"
        );
    }
    let founded = json!({"slug": "initech", "name": "Initech", "cause": WHY});
    wire.post(&house.operator.secret, "/v1/projects", founded).await.ok();
    let events = house.events(keyholt_core::id::SYSTEM).await;
    assert_eq!(events[0].cause.as_ref().map(ToString::to_string).as_deref(), Some(WHY));
}

#[tokio::test]
async fn a_cause_that_is_none_is_told_with_all_else_that_is_wrong() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    canary(STAPLE);
    canary(KETTLE);
    for (method, path, body) in [
        (
            Method::POST,
            "/v1/projects/acme/users",
            json!({"external_id": "", "cause": ""}),
        ),
        (
            Method::PUT,
            "/v1/projects/acme/users/olga/password",
            json!({"password": "", "cause": ""}),
        ),
        (
            Method::PUT,
            "/v1/projects/acme/teams/t/members/u",
            json!({"right": "rule", "cause": ""}),
        ),
        (
            Method::PATCH,
            "/v1/projects/acme/roles/member",
            json!({"name": "", "cause": ""}),
        ),
        (
            Method::POST,
            "/v1/projects",
            json!({"slug": "", "name": "I", "cause": ""}),
        ),
    ] {
        let reply = wire.call(method, &house.operator.secret, path, body).await;
        assert_eq!(reply.code(), "invalid_fields", "{path}");
        let named: Vec<Value> = reply.json()["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["field"].clone())
            .collect();
        assert!(named.contains(&json!("cause")) && named.len() == 2, "{path}: {named:?}");
    }
}
