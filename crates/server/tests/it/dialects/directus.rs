//! Directus' tongue.

mod log_in;

use axum::body::Body;
use http::{Method, Request};
use keyholt_core::owner::Owner;
use keyholt_core::text::Cause;
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
    use crate::house::{Wishes, wish};
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
