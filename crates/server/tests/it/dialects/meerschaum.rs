//! Meerschaum's tongue.

mod imported;
mod log_in;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request};
use keyholt_core::time::Span;
use keyholt_server::dialects::Meerschaum;
use keyholt_server::http::Operation;
use serde_json::{Value, json};

use super::village::{Complaint, Speaker, Turn, Village};
use crate::house::canary;
use crate::people::STAPLE;
use crate::wire::{Reply, request};

pub const SPEAKER: Speaker = Speaker {
    dialect: &Meerschaum,
    example,
    doer: |village| &village.adas,
    complaint,
    canary: register,
    turns: &[Turn {
        name: "log-in by name and password",
        before: &[],
        asked: |_| {
            let form = [("grant_type", "password"), ("username", "cora"), ("password", STAPLE)];
            let form = form.map(|(name, value)| format!("{name}={}", value.replace(' ', "+")));
            request(Method::POST, "/login", "", Body::from(form.join("&")))
        },
        events: &["session.start"],
    }],
};

/// A token of another Meerschaum: its id, and the hash of its secret by passlib with 1000 rounds.
const OLD_ID: &str = "6f1f3bd2-46a7-4d53-9d0f-6a4a8f3c1f10";
const OLD_HASH: &str = "$pbkdf2-sha256$1000$ZmVkY2JhOTg3NjU0MzIxMA$ETQPKpv4l/R4.ZgQq2DCBsRelKIWQ5ZCsc.Nik7FFhM";

fn example(village: &Village, operation: &Operation, secret: &str) -> Request<Body> {
    let method: Method = operation.method.parse().unwrap();
    let path = operation
        .path
        .replace("{id}", &village.target.id().to_string())
        .replace("{name}", "ada");
    let body = match operation.id {
        "login" => {
            let id = village.adas.id();
            let form = format!("client_id={id}&client_secret={secret}");
            return request(method, &path, "", Body::from(form));
        }
        "register" => json!({"label": "new", "scopes": ["pipes:read"], "expiration": null}),
        "edit" => json!({"creation": null, "expiration": null, "label": "renamed", "is_valid": true, "scopes": []}),
        "import" => json!({"dry_run": false, "tokens": [row(OLD_HASH)]}),
        _ => return request(method, &path, secret, Body::empty()),
    };
    // The client says no Content-Type when it registers.
    request(method, &path, secret, Body::from(body.to_string()))
}

fn row(hash: &str) -> Value {
    json!({
        "id": OLD_ID, "username": "ada", "label": "sensor", "expiration": null, "is_valid": true,
        "scopes": ["pipes:read", "users:read"], "secret_hash": hash,
    })
}

/// FastAPI's form: `detail` is a text, or a list of what is wrong where.
fn complaint(reply: &Reply) -> Complaint {
    let body = reply.json();
    let detail = &body["detail"];
    match reply.status.as_u16() {
        422 => {
            for complaint in detail.as_array().unwrap() {
                assert!(complaint["msg"].is_string() && complaint["type"].is_string(), "{body}");
                assert_eq!(complaint["loc"][0], Value::from("body"), "{body}");
            }
            Complaint::Wrong
        }
        status => {
            assert!(detail.is_string(), "{body}");
            match status {
                401 => {
                    assert_eq!(reply.header("www-authenticate"), "Bearer");
                    Complaint::NotKnown
                }
                403 => Complaint::NotAllowed,
                404 => Complaint::NotThere,
                400..500 => Complaint::Wrong,
                _ => panic!("{body}"),
            }
        }
    }
}

fn register(reply: &Reply) {
    let body = reply.json();
    for member in ["secret", "api_key", "access_token"] {
        if let Some(secret) = body[member].as_str() {
            canary(secret);
        }
    }
}

/// What a caller sends, and the answer.
async fn send(village: &Village, authorization: &str, method: Method, path: &str, body: Value) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", authorization);
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let reply = village.wire.send(request.body(Body::from(body)).unwrap()).await;
    if reply.status.is_success() {
        register(&reply);
    }
    reply
}

async fn as_ada(village: &Village, method: Method, path: &str, body: Value) -> Reply {
    let authorization = format!("Bearer {}", village.adas.secret);
    send(village, &authorization, method, path, body).await
}

async fn registered(village: &Village, body: Value) -> Value {
    as_ada(village, Method::POST, "/tokens/register", body)
        .await
        .ok()
        .json()
}

#[tokio::test]
async fn a_token_works_in_every_form_of_header_until_it_is_invalidated() {
    let village = Village::open(&Meerschaum).await;
    let token = registered(&village, json!({"label": "sensor", "scopes": ["users:read"]})).await;
    let (id, secret) = (token["id"].as_str().unwrap(), token["secret"].as_str().unwrap());
    let api_key = token["api_key"].as_str().unwrap();
    let pair = STANDARD.encode(format!("{id}:{secret}"));
    assert_eq!(api_key, format!("mrsm-key:{pair}"));
    let forms = [
        format!("Bearer {api_key}"),
        api_key.to_owned(),
        format!("Basic {api_key}"),
        format!("Bearer {pair}"),
        format!("Basic {pair}"),
        format!("Bearer {secret}"),
    ];
    for form in &forms {
        let own = send(&village, form, Method::GET, "/users/ada/id", Value::Null)
            .await
            .ok();
        assert_eq!(own.json(), json!(village.ada.id), "{form}");
        let valid = send(&village, form, Method::POST, "/tokens/validate", Value::Null)
            .await
            .ok();
        assert_eq!(valid.json(), json!([true, "Success"]), "{form}");
    }
    let foreign = STANDARD.encode(format!("{}:{secret}", village.target.id()));
    let wrong = send(
        &village,
        &format!("Bearer mrsm-key:{foreign}"),
        Method::GET,
        "/users/me",
        Value::Null,
    )
    .await;
    assert_eq!(
        complaint(&wrong),
        Complaint::NotKnown,
        "the secret of one token under the id of another"
    );

    let told = as_ada(&village, Method::POST, &format!("/tokens/{id}/invalidate"), Value::Null).await;
    assert_eq!(told.ok().json(), json!([true, "Success"]));
    for form in &forms {
        let reply = send(&village, form, Method::POST, "/tokens/validate", Value::Null).await;
        assert_eq!(complaint(&reply), Complaint::NotKnown, "{form}");
    }
    let kept = as_ada(&village, Method::GET, &format!("/tokens/{id}"), Value::Null)
        .await
        .ok()
        .json();
    assert_eq!(kept["is_valid"], json!(false));
    let back = json!({"label": "sensor", "is_valid": true, "scopes": ["users:read"], "expiration": null});
    let told = as_ada(&village, Method::POST, &format!("/tokens/{id}/edit"), back)
        .await
        .ok()
        .json();
    assert_eq!(told[0], json!(false), "invalidation is final");
    let told = as_ada(&village, Method::DELETE, &format!("/tokens/{id}"), Value::Null).await;
    assert_eq!(told.ok().json(), json!([true, "Success"]));
    let gone = as_ada(&village, Method::GET, &format!("/tokens/{id}"), Value::Null).await;
    assert_eq!(complaint(&gone), Complaint::NotThere);
    let again = as_ada(&village, Method::DELETE, &format!("/tokens/{id}"), Value::Null).await;
    assert_eq!(again.ok().json(), json!([false, format!("Token {id} does not exist.")]));
}

#[tokio::test]
async fn a_list_shows_what_the_client_can_read_and_finds_every_label() {
    let village = Village::open(&Meerschaum).await;
    for label in ["a", "b", "c"] {
        village.house.advance(Span::secs(1));
        registered(&village, json!({"label": label, "expiration": "2030-06-01"})).await;
    }
    let labels = async |query: &str| {
        let list = as_ada(&village, Method::GET, &format!("/tokens{query}"), Value::Null)
            .await
            .ok()
            .json();
        let labels: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|token| token["label"].clone())
            .collect();
        json!(labels)
    };
    assert_eq!(
        labels("?labels=a&labels=b").await,
        json!(["b", "a"]),
        "as the client asks"
    );
    assert_eq!(
        labels("?labels=a,c").await,
        json!(["c", "a"]),
        "as the server of the original reads"
    );
    assert_eq!(
        labels("?labels=").await.as_array().unwrap().len(),
        6,
        "no label is every label"
    );
    let list = as_ada(&village, Method::GET, "/tokens?labels=a", Value::Null)
        .await
        .ok()
        .json();
    let members: Vec<&str> = list[0].as_object().unwrap().keys().map(String::as_str).collect();
    let readable = ["creation", "expiration", "id", "is_valid", "label", "scopes", "user_id"];
    assert_eq!(
        members.iter().filter(|member| !readable.contains(member)).count(),
        0,
        "{members:?}"
    );
    assert_eq!(list[0]["expiration"], "2030-06-01T00:00:00.000000+00:00");
    assert_eq!(list[0]["scopes"].as_array().unwrap().len(), 23);
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_an_empty_list_of_scopes_is_nothing() {
    let village = Village::open(&Meerschaum).await;
    let token = registered(&village, json!({"label": "a", "scopes": ["pipes:read", "users:read"]})).await;
    let path = format!("/tokens/{}/edit", token["id"].as_str().unwrap());
    let edit = json!({"creation": null, "expiration": "2031-01-01T00:00:00+00:00", "label": "b", "is_valid": true, "scopes": []});
    let told = as_ada(&village, Method::POST, &path, edit).await.ok().json();
    assert_eq!(told, json!([true, "Success"]));
    let authorization = token["api_key"].as_str().unwrap();
    let denied = send(&village, authorization, Method::GET, "/users/ada/id", Value::Null).await;
    assert_eq!(complaint(&denied), Complaint::NotAllowed);
    assert_eq!(denied.json()["detail"], "Missing required scope: 'users:read'");
    let list = as_ada(&village, Method::GET, "/tokens?labels=b", Value::Null)
        .await
        .ok()
        .json();
    assert_eq!(list[0]["scopes"], json!([]));
    assert_eq!(list[0]["expiration"], "2031-01-01T00:00:00.000000+00:00");

    // A key of everything is shown as `*`; sending that back leaves it what it is.
    let path = format!("/tokens/{}/edit", village.adas.id());
    let same = json!({"expiration": null, "label": "renamed", "is_valid": true, "scopes": ["*"]});
    as_ada(&village, Method::POST, &path, same).await.ok();
    assert_eq!(
        village.house.key(village.adas.id()).await.access,
        village.adas.key.access
    );

    let off = json!({"expiration": null, "label": "b", "is_valid": false, "scopes": []});
    let path = format!("/tokens/{}/edit", village.target.id());
    assert_eq!(
        as_ada(&village, Method::POST, &path, off).await.ok().json()[0],
        json!(true)
    );
    assert_eq!(village.house.validity(village.target.id()).await, "revoked");
}

#[tokio::test]
async fn another_s_token_is_as_good_as_none() {
    let village = Village::open(&Meerschaum).await;
    let (bobs, id) = (village.bobs.id(), village.bobs.id());
    let missing = json!([false, format!("Token {id} does not exist.")]);
    let edit = json!({"label": "mine", "is_valid": false, "scopes": [], "expiration": null});
    for (method, path, body) in [
        (Method::POST, format!("/tokens/{bobs}/edit"), edit),
        (Method::POST, format!("/tokens/{bobs}/invalidate"), Value::Null),
        (Method::DELETE, format!("/tokens/{bobs}"), Value::Null),
    ] {
        assert_eq!(
            as_ada(&village, method, &path, body).await.ok().json(),
            missing,
            "{path}"
        );
    }
    let read = as_ada(&village, Method::GET, &format!("/tokens/{bobs}"), Value::Null).await;
    assert_eq!(complaint(&read), Complaint::NotThere);
    let id = as_ada(&village, Method::GET, "/users/bob/id", Value::Null).await;
    assert_eq!(complaint(&id), Complaint::NotThere);
    let names = as_ada(&village, Method::GET, "/users", Value::Null).await.ok().json();
    assert_eq!(names, json!(["ada"]), "one's own name for whoever may not read owners");
    assert_eq!(village.house.validity(bobs).await, "valid");
}

#[tokio::test]
async fn bad_input_is_told_as_fastapi_tells_it() {
    let village = Village::open(&Meerschaum).await;
    let target = format!("/tokens/{}/edit", village.target.id());
    for (path, body, place) in [
        ("/tokens/register", json!({"label": 1}), "label"),
        ("/tokens/register", json!({"label": "x".repeat(65)}), "label"),
        ("/tokens/register", json!({"label": village.adas.secret}), "label"),
        ("/tokens/register", json!({"scopes": "all"}), "scopes"),
        (
            "/tokens/register",
            json!({"scopes": ["pipes:read", "no scope"]}),
            "scopes",
        ),
        ("/tokens/register", json!({"expiration": "soon"}), "expiration"),
        (&target, json!({"expiration": 5}), "expiration"),
        (&target, json!({"is_valid": "yes"}), "is_valid"),
        ("/tokens/import", json!({"dry_run": true, "tokens": []}), "tokens"),
    ] {
        let reply = as_ada(&village, Method::POST, path, body.clone()).await;
        assert_eq!(
            (complaint(&reply), reply.status.as_u16()),
            (Complaint::Wrong, 422),
            "{body}"
        );
        let told = reply.json();
        assert_eq!(told["detail"][0]["loc"][1], place, "{told}");
        assert!(!told.to_string().contains(&village.adas.secret));
    }
    for body in ["", "{", "[]", "null", "{\"label\":\"a\",\"label\":\"b\"}"] {
        let request = request(Method::POST, "/tokens/register", &village.adas.secret, Body::from(body));
        let reply = village.wire.send(request).await;
        assert_eq!(
            (complaint(&reply), reply.status.as_u16()),
            (Complaint::Wrong, 422),
            "{body}"
        );
    }
    let past = as_ada(
        &village,
        Method::POST,
        "/tokens/register",
        json!({"expiration": "2020-01-01"}),
    )
    .await;
    assert_eq!(past.status, 422);
    for (method, path, detail) in [
        (Method::GET, "/tokens/nonsense", "Invalid token ID."),
        (Method::DELETE, "/tokens/nonsense", "Token ID must be a UUID."),
        (Method::POST, "/tokens/nonsense/invalidate", "Token ID must be a UUID."),
    ] {
        let reply = as_ada(&village, method, path, Value::Null).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["detail"]), (400, &json!(detail)));
    }
    let large = Body::from(vec![b' '; 70 << 10]);
    let reply = village
        .wire
        .send(request(Method::POST, "/tokens/register", &village.adas.secret, large))
        .await;
    assert_eq!((complaint(&reply), reply.status.as_u16()), (Complaint::Wrong, 413));
}

#[tokio::test]
async fn a_token_that_has_expired_or_waits_beyond_its_end_is_nobody() {
    let village = Village::open(&Meerschaum).await;
    let token = registered(
        &village,
        json!({"label": "brief", "scopes": ["users:read"], "expiration": "2030-01-02"}),
    )
    .await;
    let authorization = token["api_key"].as_str().unwrap().to_owned();
    send(&village, &authorization, Method::POST, "/tokens/validate", Value::Null)
        .await
        .ok();
    village.house.advance(Span::days(1));
    let reply = send(&village, &authorization, Method::POST, "/tokens/validate", Value::Null).await;
    assert_eq!(complaint(&reply), Complaint::NotKnown);
}
