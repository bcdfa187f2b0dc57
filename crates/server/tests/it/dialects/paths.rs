//! What a dialect does at which path, by which method: found, or told what there is instead.

use axum::body::Body;
use http::{Method, StatusCode};
use keyholt_server::dialects::{Directus, Meerschaum};
use serde_json::json;

use super::village::Village;
use crate::wire::{Reply, request};

async fn ask(village: &Village, method: &str, path: &str) -> Reply {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let asked = request(method, path, &village.admins.secret, Body::empty());
    village.wire.send(asked).await
}

#[tokio::test]
async fn head_tells_what_get_would_answer_and_how_long_it_would_be() {
    let village = Village::open(&Meerschaum).await;
    for path in ["/version", "/users/me", "/nowhere", "/users/nobody/id"] {
        let (get, head) = (ask(&village, "GET", path).await, ask(&village, "HEAD", path).await);
        assert_eq!((head.status, head.bytes.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        assert_eq!(head.header("content-length"), get.bytes.len().to_string(), "{path}");
    }
    let posted = ask(&village, "HEAD", "/login").await;
    assert_eq!(
        (posted.status, posted.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, "POST")
    );
}

#[tokio::test]
async fn whoever_asks_by_a_wrong_method_is_told_the_right_ones() {
    let village = Village::open(&Directus).await;
    for method in ["PUT", "TRACE", "OPTIONS", "SEEK"] {
        let reply = ask(&village, method, "/users").await;
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(reply.header("allow"), "GET,HEAD,SEARCH,POST,PATCH,DELETE", "{method}");
        assert_eq!(reply.json()["errors"][0]["extensions"]["code"], "METHOD_NOT_ALLOWED");
    }
    for method in ["GET", "SEARCH"] {
        let reply = ask(&village, method, "/users").await;
        assert_eq!(reply.header("allow"), "", "{method}: nothing is wrong with it");
    }
    for path in ["/user", "/users/", "/users/a/b", "//users"] {
        let reply = ask(&village, "GET", path).await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (StatusCode::NOT_FOUND, ""),
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_a_path_names_may_be_percent_encoded_and_must_be_utf_8() {
    let village = Village::open(&Meerschaum).await;
    for path in ["/users/ada/id", "/users/%61da/id", "/users/a%64%61/id"] {
        assert_eq!(
            ask(&village, "GET", path).await.ok().json(),
            json!(village.ada.id),
            "{path}"
        );
    }
    // What cannot be decoded is taken as it stands.
    for path in ["/users/%6/id", "/users/ada%2Fid/id", "/users/ada+/id"] {
        assert_eq!(ask(&village, "GET", path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let reply = ask(&village, "GET", "/users/%ff/id").await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert_eq!(reply.bytes, b"Invalid URL: Invalid UTF-8 in `name`");
    assert_eq!(
        reply.header("cache-control"),
        "no-store",
        "it has its envelope all the same"
    );
}
