//! Directus' tongue.

mod log_in;
mod tokens;

use axum::body::Body;
use http::{Method, Request};
use keyholt_server::dialects::Directus;
use keyholt_server::http::{Needs, Operation};
use serde_json::{Value, json};

use super::village::{Complaint, Speaker, Turn, Village};
use crate::house::canary;
use crate::people::STAPLE;
use crate::wire::{Reply, request, with_json};

pub const SPEAKER: Speaker = Speaker {
    dialect: &Directus,
    example,
    doer: |village| &village.admins,
    complaint,
    canary: register,
    turns: &[
        Turn {
            name: "a token is given",
            before: &[],
            asked: |village| coras(village, json!({ "token": TOKEN })),
            events: &["key.issue"],
        },
        Turn {
            name: "a token takes the place of another",
            before: &[|village| coras(village, json!({ "token": OTHER }))],
            asked: |village| coras(village, json!({ "token": TOKEN })),
            events: &["key.rotate"],
        },
        Turn {
            name: "a token is taken away",
            before: &[|village| coras(village, json!({ "token": OTHER }))],
            asked: |village| coras(village, json!({ "token": null })),
            events: &["key.revoke"],
        },
        Turn {
            name: "a user is suspended",
            before: &[],
            asked: |village| coras(village, json!({"status": "suspended"})),
            events: &["user.suspend"],
        },
        Turn {
            name: "a user is archived, which is a suspension with a note",
            before: &[],
            asked: |village| coras(village, json!({"status": "archived"})),
            events: &["user.change", "user.suspend"],
        },
        Turn {
            name: "a user is active again",
            before: &[|village| coras(village, json!({"status": "suspended"}))],
            asked: |village| coras(village, json!({"status": "active"})),
            events: &["user.resume"],
        },
        Turn {
            name: "a password is set",
            before: &[],
            asked: |village| coras(village, json!({"password": "nobody guesses this one 31"})),
            events: &["password.set"],
        },
        Turn {
            name: "everything at once",
            before: &[],
            asked: |village| {
                let all =
                    json!({"title": "Dr", "token": TOKEN, "password": "nobody guesses this one 31", "status": "draft"});
                coras(village, all)
            },
            events: &["user.change", "password.set", "key.issue", "user.suspend"],
        },
    ],
};

/// A change of Cora by an administrator.
fn coras(village: &Village, change: Value) -> Request<Body> {
    with_json(Method::PATCH, &user(village.cora.id), &village.admins.secret, change)
}

/// As the client's own `randomString()` makes it.
const TOKEN: &str = "V1StGXR8_Z5jdHi6B-myTqPw0aUeKcLn";
const OTHER: &str = "q7XwB0sLm2Rk9TzYv4Hc1NpWaE6uJdGf";

fn example(village: &Village, operation: &Operation, secret: &str) -> Request<Body> {
    let cora = village.cora.id.to_string();
    let role = village
        .house
        .keeper
        .role_named(village.house.project(), "member")
        .unwrap();
    let id = match operation.path {
        "/roles/{id}" => role.id.to_string(),
        "/activity/{id}" => "5".to_owned(),
        _ => cora.clone(),
    };
    canary(TOKEN);
    let session = village.cookie.lock().unwrap().clone();
    let body = match operation.id {
        "login" => json!({"email": "cora@example.org", "password": STAPLE, "mode": "session"}),
        "refresh" | "logout" => json!({"mode": "session"}),
        "search_users" => json!({"query": {"fields": ["id"]}}),
        "create_user" => json!({"email": "new@example.org"}),
        "update_users" => json!({"keys": [cora], "data": {"title": "Dr"}}),
        "delete_users" => json!([cora]),
        "update_me" => json!({ "token": TOKEN }),
        "update_user" => json!({"title": "Dr"}),
        _ => Value::Null,
    };
    let path = operation.path.replace("{id}", &id);
    let method: Method = operation.method.parse().unwrap();
    // The client says so of every request, even of one without a body.
    let body = if body.is_null() {
        Body::empty()
    } else {
        Body::from(body.to_string())
    };
    let mut request = request(method, &path, secret, body);
    let headers = request.headers_mut();
    headers.insert("content-type", "application/json".parse().unwrap());
    if operation.needs == Needs::Session {
        let cookie = format!("directus_session_token={session}");
        headers.insert("cookie", cookie.parse().unwrap());
    }
    request
}

/// A list of errors, each with a message for people and a code for programs.
fn complaint(reply: &Reply) -> Complaint {
    assert!(
        reply.header("content-type").starts_with("application/json"),
        "{reply:?}"
    );
    let body = reply.json();
    let error = &body["errors"][0];
    assert!(
        error["message"].as_str().is_some_and(|message| !message.is_empty()),
        "{body}"
    );
    let reason = error["extensions"]["reason"].as_str().unwrap_or_default();
    match (reply.status.as_u16(), error["extensions"]["code"].as_str().unwrap()) {
        (401, "INVALID_CREDENTIALS") => Complaint::NotKnown,
        // Whoever shows nothing has the rights of everybody, and those are none.
        (403, "FORBIDDEN") if reason == "The request carries no credential." => Complaint::NotKnown,
        (403, "FORBIDDEN") => Complaint::NotAllowed,
        (404, "ROUTE_NOT_FOUND") => Complaint::NotThere,
        (400..500, _) => Complaint::Wrong,
        _ => panic!("{body}"),
    }
}

/// What an answer sets as a cookie is a secret too.
fn register(reply: &Reply) {
    for line in reply.headers.get_all("set-cookie") {
        let value = line.to_str().unwrap().split(['=', ';']).nth(1).unwrap();
        if !value.is_empty() {
            canary(value);
        }
    }
}

fn code(reply: &Reply) -> (u16, String) {
    let code = reply.json()["errors"][0]["extensions"]["code"].clone();
    (reply.status.as_u16(), code.as_str().unwrap_or_default().to_owned())
}

async fn patch(village: &Village, secret: &str, path: &str, body: Value) -> Reply {
    village.wire.send(with_json(Method::PATCH, path, secret, body)).await
}

fn user(id: impl std::fmt::Display) -> String {
    format!("/users/{id}")
}

/// Gives Ada this token.
async fn with_token(village: &Village) -> String {
    canary(TOKEN);
    patch(village, &village.adas.secret, "/users/me", json!({ "token": TOKEN }))
        .await
        .ok();
    TOKEN.to_owned()
}

#[tokio::test]
async fn a_field_that_is_asked_for_alone_is_what_it_is_among_all() {
    let village = Village::open(&Directus).await;
    with_token(&village).await;
    let admin = &village.admins.secret;
    let coras = json!({"title": "Dr", "first_name": "Cora", "last_name": "Ng", "language": "de-DE"});
    patch(&village, admin, &user(village.cora.id), coras).await.ok();
    for id in [village.cora.id, village.ada.id] {
        let whole = village.wire.get(admin, &user(id)).await.ok().json();
        let fields = whole["data"].as_object().unwrap();
        assert!(fields.len() > 25, "{whole}");
        for (field, value) in fields {
            let alone = village
                .wire
                .get(admin, &format!("{}?fields={field}", user(id)))
                .await
                .ok();
            assert_eq!(alone.json(), json!({ "data": { field: value } }));
        }
    }
}

#[tokio::test]
async fn a_role_is_given_and_taken_by_those_who_have_it() {
    let village = Village::open(&Directus).await;
    let token = with_token(&village).await;
    let role = |name| {
        village
            .house
            .keeper
            .role_named(village.house.project(), name)
            .unwrap()
            .id
    };
    let adas = user(village.ada.id);
    let up = patch(&village, &token, "/users/me", json!({ "role": role("admin") })).await;
    assert_eq!(code(&up), (403, "FORBIDDEN".into()));
    let admin = &village.admins.secret;
    let both = json!({"role": role("admin"), "policies": [role("member")]});
    let told = patch(&village, admin, &adas, both).await.ok().json();
    assert_eq!(told["data"]["role"], role("admin").to_string());
    assert_eq!(told["data"]["policies"], json!([role("member")]));
    village.wire.get(&token, "/users").await.ok();
    patch(&village, admin, &adas, json!({ "role": null })).await.ok();
    assert_eq!(
        code(&village.wire.get(&token, "/users").await),
        (403, "FORBIDDEN".into())
    );
    let nowhere = json!({"role": "00000000-0000-7000-8000-000000000000"});
    assert_eq!(
        code(&patch(&village, admin, &adas, nowhere).await),
        (400, "INVALID_FOREIGN_KEY".into())
    );
}

#[tokio::test]
async fn bad_requests_are_told_in_directus_words() {
    let village = Village::open(&Directus).await;
    let admin = &village.admins.secret;
    let raw = async |method: &str, path: &str, body: &str| {
        let method: Method = method.parse().unwrap();
        let reply = village
            .wire
            .send(request(method, path, admin, Body::from(body.to_owned())))
            .await;
        code(&reply)
    };
    let adas = user(village.ada.id);
    let long = format!("{{\"description\": \"{}\"}}", "x".repeat(5000));
    let huge = " ".repeat(70_000);
    for (method, path, body, status, expected) in [
        ("PATCH", adas.as_str(), "{", 400, "INVALID_PAYLOAD"),
        ("PATCH", &adas, "", 400, "INVALID_PAYLOAD"),
        ("PATCH", &adas, "[]", 400, "INVALID_PAYLOAD"),
        (
            "PATCH",
            &adas,
            "{\"token\": null, \"token\": null}",
            400,
            "INVALID_PAYLOAD",
        ),
        ("PATCH", &adas, "{\"nonsense\": 1}", 403, "FORBIDDEN"),
        ("PATCH", &adas, "{\"id\": \"other\"}", 400, "INVALID_PAYLOAD"),
        ("PATCH", &adas, "{\"email\": \"nobody\"}", 400, "FAILED_VALIDATION"),
        ("PATCH", &adas, "{\"status\": \"asleep\"}", 400, "FAILED_VALIDATION"),
        (
            "PATCH",
            &adas,
            "{\"first_name\": \"\\u0007\"}",
            400,
            "FAILED_VALIDATION",
        ),
        ("PATCH", &adas, &long, 400, "VALUE_TOO_LONG"),
        ("PATCH", &adas, &huge, 413, "CONTENT_TOO_LARGE"),
        ("PATCH", "/users/nobody", "{}", 403, "FORBIDDEN"),
        ("PATCH", "/users", "{\"keys\": \"all\"}", 400, "INVALID_PAYLOAD"),
        ("PATCH", "/users", "[{\"token\": null}]", 400, "INVALID_PAYLOAD"),
        ("DELETE", "/users", "{}", 400, "INVALID_PAYLOAD"),
        ("DELETE", "/users", "[1]", 400, "INVALID_PAYLOAD"),
        ("POST", "/users", "1", 400, "INVALID_PAYLOAD"),
        ("GET", "/users?limit=-2", "", 400, "INVALID_QUERY"),
        ("GET", "/users?filter=x", "", 400, "INVALID_QUERY"),
        ("GET", "/users?filter[token][_eq]=x", "", 400, "INVALID_QUERY"),
        ("GET", "/users?filter[secret][_eq]=x", "", 400, "INVALID_QUERY"),
        ("GET", "/users?filter[email][_eq]=%zz", "", 400, "INVALID_QUERY"),
        ("GET", "/users?aggregate[count]=*", "", 400, "INVALID_QUERY"),
        ("SEARCH", "/users", "{\"query\": 1}", 400, "INVALID_QUERY"),
        ("SEARCH", "/users/me", "{}", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/users", "{}", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/utils/random/string?length=0", "", 400, "INVALID_QUERY"),
        ("GET", "/utils/random/string?length=501", "", 400, "INVALID_QUERY"),
        ("GET", "/users/nobody", "", 403, "FORBIDDEN"),
        ("GET", "/activity/nothing", "", 403, "FORBIDDEN"),
        ("GET", "/items/articles", "", 404, "ROUTE_NOT_FOUND"),
    ] {
        assert_eq!(
            raw(method, path, body).await,
            (status, expected.to_owned()),
            "{method} {path} {body:.60}"
        );
    }
}

#[tokio::test]
async fn what_happened_is_told_and_the_token_is_not() {
    let village = Village::open(&Directus).await;
    with_token(&village).await;
    let adas = user(village.ada.id);
    patch(
        &village,
        &village.admins.secret,
        &adas,
        json!({"location": "Paris", "token": null}),
    )
    .await
    .ok();
    let path = format!(
        "/activity?filter[collection][_eq]=directus_users&filter[item][_eq]={}&fields=action,revisions.delta",
        village.ada.id
    );
    let told = village.wire.get(&village.admins.secret, &path).await.ok().json();
    assert_eq!(
        told["data"].as_array().unwrap()[..3],
        [
            json!({"action": "update", "revisions": [{"delta": {"token": null}}]}),
            json!({"action": "update", "revisions": [{"delta": {"location": "Paris"}}]}),
            json!({"action": "update", "revisions": [{"delta": {"token": "**********"}}]}),
        ]
    );
    assert_eq!(
        code(&village.wire.get(&village.adas.secret, &path).await),
        (403, "FORBIDDEN".into())
    );
}

#[tokio::test]
async fn who_was_made_is_told_as_the_fields_that_were_given() {
    let village = Village::open(&Directus).await;
    let role = village
        .house
        .keeper
        .role_named(village.house.project(), "member")
        .unwrap();
    let style = json!({"id": "dark", "radius": 4});
    let wish = json!({
        "email": "new@example.org", "first_name": "New", "role": role.id, "theme_dark_overrides": style,
    });
    let made = village
        .wire
        .post(&village.admins.secret, "/users", wish)
        .await
        .ok()
        .json();
    let path = format!(
        "/activity?filter[item][_eq]={}&fields=action,revisions.*",
        made["data"]["id"].as_str().unwrap()
    );
    let told = village.wire.get(&village.admins.secret, &path).await.ok().json();
    let [created] = told["data"].as_array().unwrap().as_slice() else {
        panic!("{told}")
    };
    let revision = &created["revisions"][0];
    assert_eq!(
        (&created["action"], &revision["item"]),
        (&json!("create"), &made["data"]["id"])
    );
    let delta = revision["delta"].as_object().unwrap();
    let given = ["email", "first_name", "role", "theme_dark_overrides"].map(|field| delta[field].clone());
    assert_eq!(given, [json!("new@example.org"), json!("New"), json!(role.id), style]);
    assert!(!delta.contains_key("id"), "{revision}");
}
