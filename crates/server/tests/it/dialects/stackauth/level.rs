//! The levels of a request, pages of other origins, and requests that are wrong.

use axum::body::Body;
use http::Method;
use keyholt_server::dialects::StackAuth;
use serde_json::{Value, json};

use super::{ask, asked, complaint, serve, told};
use crate::dialects::village::{Complaint, Village};
use crate::wire::request;

#[tokio::test]
async fn what_is_for_servers_is_refused_to_browsers() {
    let village = Village::open(&StackAuth).await;
    for (method, path, body) in [
        ("POST", "/user-api-keys/check", json!({"api_key": "x"})),
        ("GET", "/users", Value::Null),
        ("GET", "/teams", Value::Null),
        ("POST", "/teams", json!({"display_name": "Mine"})),
        ("DELETE", "/users/me", Value::Null),
        ("PATCH", "/users/me", json!({"primary_email": "other@acme.example"})),
        ("GET", "/internal/config", Value::Null),
    ] {
        let reply = ask(&village, "client", &village.adas.secret, (method, path), body).await;
        assert_eq!(told(&reply), "INSUFFICIENT_ACCESS_TYPE", "{method} {path}");
        assert!(reply.json()["details"]["allowed_access_types"].is_array());
    }
}

#[tokio::test]
async fn bad_input_is_told_as_a_schema_error_that_does_not_repeat_it() {
    let village = Village::open(&StackAuth).await;
    let ada = village.ada.id;
    let one = format!("/user-api-keys/{}", village.target.id());
    let secret = &village.target.secret;
    for (method, path, body) in [
        ("POST", "/user-api-keys", json!({"user_id": ada})),
        ("POST", "/user-api-keys", json!({"description": "a"})),
        ("POST", "/user-api-keys", json!({"user_id": ada, "description": 7})),
        (
            "POST",
            "/user-api-keys",
            json!({"user_id": ada, "description": "a", "scopes": ["*"]}),
        ),
        (
            "POST",
            "/user-api-keys",
            json!({"user_id": ada, "description": "a", "expires_at_millis": "soon"}),
        ),
        (
            "POST",
            "/user-api-keys",
            json!({"user_id": ada, "description": "a", "expires_at_millis": 1e300}),
        ),
        (
            "POST",
            "/user-api-keys",
            json!({"user_id": ada, "description": format!("it is {secret}")}),
        ),
        (
            "POST",
            "/user-api-keys",
            json!({"user_id": ada, "team_id": ada, "description": "a"}),
        ),
        ("POST", "/team-api-keys", json!({"user_id": ada, "description": "a"})),
        ("PATCH", &one, json!({"revoked": false})),
        ("PATCH", &one, json!({"user_id": ada})),
        ("PATCH", &one, json!({"expiresAt": "tomorrow"})),
        ("POST", "/user-api-keys/check", json!({"api_key": null})),
        ("GET", "/user-api-keys", Value::Null),
        ("GET", "/team-api-keys", Value::Null),
        ("GET", "/users?limit=0", Value::Null),
        ("GET", "/users?cursor=x", Value::Null),
        ("POST", "/users", json!({"primary_email": "nobody"})),
        ("POST", "/users", json!({"display_name": ["Ada"]})),
        ("POST", "/teams", json!({})),
    ] {
        let reply = serve(&village, (method, path), body.clone()).await;
        assert_eq!(
            (reply.status.as_u16(), told(&reply)),
            (400, "SCHEMA_ERROR".into()),
            "{path} {body}"
        );
        let body = reply.json();
        assert!(!body["details"]["message"].as_str().unwrap().is_empty());
        assert!(!body.to_string().contains(secret.as_str()));
    }
    let mut broken = asked(
        &village,
        "server",
        Method::POST,
        "/api/v1/users",
        &village.admins.secret,
        Some(json!({})),
    );
    *broken.body_mut() = Body::from("{");
    assert_eq!(told(&village.wire.send(broken).await), "BODY_PARSING_ERROR");
    let expired = json!({"user_id": ada, "description": "a", "expires_at_millis": 0});
    let reply = serve(&village, ("POST", "/user-api-keys"), expired).await;
    assert_eq!(
        complaint(&reply),
        Complaint::Wrong,
        "a key that works never is not made"
    );
}

#[tokio::test]
async fn a_request_says_its_level_and_its_project_and_shows_the_key_of_that_level() {
    let village = Village::open(&StackAuth).await;
    let acme = village.house.acme.id.to_string();
    let (admins, adas) = (village.admins.secret.as_str(), village.adas.secret.as_str());
    for (headers, expected) in [
        (&[][..], "ACCESS_TYPE_REQUIRED"),
        (&[("secret-server-key", admins)], "PROJECT_KEY_WITHOUT_ACCESS_TYPE"),
        (&[("access-type", "root")], "INVALID_ACCESS_TYPE"),
        (&[("access-type", "server")], "ACCESS_TYPE_WITHOUT_PROJECT_ID"),
        (
            &[("access-type", "server"), ("project-id", adas)],
            "CURRENT_PROJECT_NOT_FOUND",
        ),
        (
            &[("access-type", "server"), ("project-id", "globex")],
            "CURRENT_PROJECT_NOT_FOUND",
        ),
        (
            &[("access-type", "server"), ("project-id", &acme)],
            "INVALID_SECRET_SERVER_KEY",
        ),
        (
            &[
                ("access-type", "server"),
                ("project-id", &acme),
                ("super-secret-admin-key", admins),
            ],
            "INVALID_SECRET_SERVER_KEY",
        ),
        (
            &[("access-type", "admin"), ("project-id", &acme)],
            "INVALID_SUPER_SECRET_ADMIN_KEY",
        ),
        (
            &[
                ("access-type", "client"),
                ("project-id", &acme),
                ("publishable-client-key", adas),
            ],
            "INVALID_PUBLISHABLE_CLIENT_KEY",
        ),
        (
            &[
                ("access-type", "client"),
                ("project-id", &acme),
                ("access-token", "a.b.c"),
            ],
            "UNPARSABLE_ACCESS_TOKEN",
        ),
        (
            &[
                ("access-type", "client"),
                ("project-id", &acme),
                ("access-token", &village.platforms.secret),
            ],
            "UNPARSABLE_ACCESS_TOKEN",
        ),
        (
            &[("access-type", "client"), ("project-id", &acme)],
            "CANNOT_GET_OWN_USER_WITHOUT_USER",
        ),
    ] {
        for family in ["x-stack-", "X-Hexclave-"] {
            let mut request = request(Method::GET, "/api/v1/users/me", "", Body::empty());
            for (name, value) in headers {
                let name: http::HeaderName = format!("{family}{name}").parse().unwrap();
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            let reply = village.wire.send(request).await;
            assert_eq!(told(&reply), expected, "{headers:?}");
            assert!(
                !reply.json().to_string().contains(adas),
                "a secret in the wrong header is not repeated"
            );
        }
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_ask_and_read_the_answer() {
    let village = Village::open(&StackAuth).await;
    for path in ["/api/v1/user-api-keys", "/api/v1/users/me", "/api/v1/nowhere"] {
        let mut preflight = request(Method::OPTIONS, path, "", Body::empty());
        for (name, value) in [
            ("origin", "https://app.acme.example"),
            ("access-control-request-method", "PATCH"),
            ("access-control-request-headers", "x-hexclave-access-token"),
        ] {
            preflight.headers_mut().insert(name, value.parse().unwrap());
        }
        let reply = village.wire.send(preflight).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("access-control-allow-origin"), "*");
        assert!(
            reply
                .header("access-control-allow-headers")
                .contains("x-hexclave-access-token")
        );
        assert_eq!(
            reply.header("access-control-allow-credentials"),
            "",
            "nothing goes by cookies"
        );
    }
    let reply = ask(&village, "client", "", ("GET", "/users/me"), Value::Null).await;
    assert!(
        reply
            .header("access-control-expose-headers")
            .contains("x-stack-known-error")
    );
}
