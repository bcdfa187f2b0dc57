//! Tokens that another Meerschaum made: their slow hashes come along, and their secrets are taken on when first shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use keyholt_core::amend::Amendment;
use keyholt_core::text::Metadata;
use keyholt_server::dialects::Meerschaum;
use serde_json::{Value, json};

use super::{OLD_HASH, OLD_ID, as_ada, complaint, row, send};
use crate::dialects::village::{Complaint, Village};
use crate::house::canary;

/// The secret whose hash that is.
const OLD_SECRET: &str = "vN3kQ8sT1xYz5bC7dE9fG2hJ";

#[tokio::test]
async fn a_token_is_imported_with_its_slow_hash_and_takes_on_its_secret_when_it_is_first_shown() {
    canary(OLD_SECRET);
    let village = Village::open(&Meerschaum).await;
    let admin = format!("Bearer {}", village.admins.secret);
    let import = async |dry_run: bool, rows: Value| {
        let body = json!({"dry_run": dry_run, "tokens": rows});
        send(&village, &admin, Method::POST, "/tokens/import", body)
            .await
            .ok()
            .json()
    };
    let old = json!({"id": "6f1f3bd2-46a7-4d53-9d0f-6a4a8f3c1f11", "username": "ada", "is_valid": false, "secret_hash": OLD_HASH});
    let before = village.house.commits().await;
    let told = import(true, json!([row(OLD_HASH), old])).await;
    assert_eq!((&told["accepted"], &told["refused"]), (&json!(1), &json!([])));
    assert_eq!(told["left_out"], json!([{"index": 1, "because": "it is not valid"}]));
    assert_eq!(village.house.commits().await, before, "a dry run");
    let mut stranger = row(OLD_HASH);
    stranger["username"] = json!("nobody");
    let told = import(false, json!([row(OLD_HASH), stranger, row("plain")])).await;
    assert_eq!(told["accepted"], 0, "all or none");
    let refused: Vec<_> = told["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["index"].clone())
        .collect();
    assert_eq!(refused, [json!(1), json!(2)]);
    assert_eq!(import(false, json!([row(OLD_HASH)])).await["accepted"], 1);
    assert_eq!(import(false, json!([row(OLD_HASH)])).await["accepted"], 0, "once");

    let api_key = |secret: &str| format!("Bearer mrsm-key:{}", STANDARD.encode(format!("{OLD_ID}:{secret}")));
    let own =
        async |authorization: &str| send(&village, authorization, Method::GET, "/users/ada/id", Value::Null).await;
    let wrong = own(&api_key("vN3kQ8sT1xYz5bC7dE9fG2hK")).await;
    assert_eq!(complaint(&wrong), Complaint::NotKnown);
    for time in ["first", "second"] {
        assert_eq!(
            own(&api_key(OLD_SECRET)).await.ok().json(),
            json!(village.ada.id),
            "{time}"
        );
    }
    let rotations = village
        .house
        .trail()
        .await
        .iter()
        .filter(|event| *event == "key.rotate")
        .count();
    assert_eq!(rotations, 1, "it takes on its secret once");
    assert_eq!(
        village.house.code(OLD_SECRET, &["pipes:read"]),
        "valid",
        "a key like any other from now on"
    );

    let shown = as_ada(&village, Method::GET, &format!("/tokens/{OLD_ID}"), Value::Null)
        .await
        .ok()
        .json();
    assert_eq!((&shown["id"], &shown["label"]), (&json!(OLD_ID), &json!("sensor")));
    as_ada(
        &village,
        Method::POST,
        &format!("/tokens/{OLD_ID}/invalidate"),
        Value::Null,
    )
    .await
    .ok();
    assert_eq!(complaint(&own(&api_key(OLD_SECRET)).await), Complaint::NotKnown);
}

#[tokio::test]
async fn a_hash_that_was_put_in_the_place_of_another_opens_nothing() {
    canary(OLD_SECRET);
    let village = Village::open(&Meerschaum).await;
    let admin = format!("Bearer {}", village.admins.secret);
    let mut wide = row(OLD_HASH.replace("$1000$", "$999$").as_str());
    wide["username"] = json!("root");
    let body = json!({"dry_run": false, "tokens": [wide]});
    let told = send(&village, &admin, Method::POST, "/tokens/import", body)
        .await
        .ok()
        .json();
    assert_eq!(told["accepted"], 1);
    let (olga, acme) = (village.house.olga(), village.house.project());
    let mut keys = village
        .house
        .keeper
        .keys(&olga, acme, Default::default())
        .await
        .unwrap();
    let waiting = keys.entries.remove(0).key;
    // Whoever can write to the database plants the hash of a secret that they know.
    let Value::Object(planted) = json!({"dialect": {"meerschaum": {"id": OLD_ID, "hash": OLD_HASH}}}) else {
        unreachable!("an object")
    };
    let amendment = Amendment {
        metadata: Some(Metadata::new(planted).unwrap()),
        ..Amendment::default()
    };
    village.house.amend(waiting.id, amendment).await.unwrap();
    let shown = format!("Bearer mrsm-key:{}", STANDARD.encode(format!("{OLD_ID}:{OLD_SECRET}")));
    let reply = send(&village, &shown, Method::GET, "/users/me", Value::Null).await;
    assert_eq!(complaint(&reply), Complaint::NotKnown);
}
