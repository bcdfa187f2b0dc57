//! How large a body may be: what the settings say, at every door and on both ways.

use std::ffi::OsString;
use std::sync::Arc;

use axum::body::Body;
use http::Method;
use keyholt_core::issue::SecretOrigin;
use keyholt_core::key::Bounds;
use keyholt_core::owner::Owner;
use keyholt_core::scope::SCOPE_BYTES_MAX;
use keyholt_core::secret::{Fingerprint, SECRET_BYTES_MAX};
use keyholt_core::text::Environment;
use keyholt_server::config::Config;
use keyholt_server::dialects::{Desk, Meerschaum};
use keyholt_server::http::Settings;
use serde_json::{Value, json};

use crate::house::{House, Wishes, canary, wish};
use crate::short_way::{ask, open_to_the_street};
use crate::wire::{Reply, Wire, request};

/// The settings of the doors where the operator set these.
fn settings(limits: &[(&str, &str)]) -> Settings {
    let variables = limits
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    Settings::new(&Config::load(variables, [], &[]).unwrap().config)
}

/// A body with so many bytes: JSON may be followed by as many spaces as one likes.
fn padded(body: &Value, bytes: usize) -> String {
    let body = body.to_string();
    let spaces = " ".repeat(bytes - body.len());
    body + &spaces
}

/// The status and, where it is a refusal, the code of an answer.
fn told((head, body): (Vec<String>, Value)) -> String {
    let status = head.iter().find_map(|line| line.strip_prefix("HTTP/1.1 ")).unwrap();
    format!("{} {}", &status[..3], body["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_a_thousand_questions_that_say_all_they_can_is_answered() {
    let house = House::open().await;
    let verifier = house.verifier().await;
    let bob = house.user("bob").await;
    // As long as a secret can be: one that was imported.
    let secret = "x".repeat(SECRET_BYTES_MAX);
    canary(&secret);
    let long = "e".repeat(12);
    let bounds = Bounds {
        environment: Some(Environment::new(&long).unwrap()),
        ..Bounds::default()
    };
    let scope = "a:".to_owned() + &"s".repeat(SCOPE_BYTES_MAX - 102);
    let mut imported = wish(Owner::User(bob.id), "imported").scopes(&[&scope]).bound(bounds);
    imported.origin = SecretOrigin::Imported {
        fingerprint: Fingerprint::of(secret.as_bytes()),
        hint: None,
    };
    house
        .keeper
        .issue_key(&house.olga(), house.project(), imported, None)
        .await
        .unwrap();
    let question = json!({
        "credential": secret, "scopes": [scope], "resource": "r".repeat(100), "environment": long,
        "client_address": "2001:db8:1111:2222:3333:4444:5555:6666",
        "audience": "a".repeat(256), "origin": format!("https://{}", "o".repeat(248)),
    });
    let handle = open_to_the_street(&house, settings(&[]));
    let questions = json!({"items": vec![question; 1000]}).to_string();
    let (head, answer) = ask(
        handle.local_addr(),
        &verifier.secret,
        "/v1/verify/batch",
        "",
        &questions,
    );
    assert!(
        head.iter().any(|line| line.starts_with("HTTP/1.1 200")),
        "{head:?} {answer}"
    );
    let results = answer["results"].as_array().unwrap();
    assert_eq!(results.len(), 1000);
    assert!(
        results.iter().all(|verdict| verdict["code"] == "valid"),
        "{}",
        results[0]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_as_large_as_the_settings_say_and_no_larger() {
    let house = House::open().await;
    let verifier = house.verifier().await;
    let operator = &house.operator.secret;
    let handle = open_to_the_street(
        &house,
        settings(&[
            ("KEYHOLT_LIMITS__BODY_BYTES", "2KiB"),
            ("KEYHOLT_LIMITS__BATCH_BODY_BYTES", "4KiB"),
            ("KEYHOLT_LIMITS__IMPORT_BODY_BYTES", "8KiB"),
        ]),
    );
    let address = handle.local_addr();
    let question = json!({"credential": "x"});
    let batch = json!({"items": [question]});
    let role = json!({"name": "reader", "scopes": ["a:read"]});
    let import = json!({"dry_run": true, "keys": []});
    for (secret, path, body, bytes_max) in [
        (&verifier.secret, "/v1/verify", &question, 2 << 10),
        (&verifier.secret, "/v1/verify/batch", &batch, 4 << 10),
        (operator, "/v1/projects/acme/roles", &role, 2 << 10),
        (operator, "/v1/projects/acme/keys/import", &import, 8 << 10),
    ] {
        // The second header takes a request off the short way, where there is one.
        for more in ["", "X-Request-Id: mine\r\n", "Connection: close\r\n"] {
            let beyond = ask(address, secret, path, more, &padded(body, bytes_max + 1));
            let detail = format!("the body is larger than {bytes_max} bytes");
            assert_eq!(beyond.1["detail"], detail, "{path} {more}");
            assert_eq!(told(beyond), "413 body_too_large", "{path} {more}");
            let within = told(ask(address, secret, path, more, &padded(body, bytes_max)));
            assert!(!within.starts_with("413"), "{path} {more}: {within}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_raises_a_limit_may_send_more() {
    let house = House::open().await;
    let verifier = house.verifier().await;
    let question = padded(&json!({"credential": "x"}), 100 << 10);
    for (limits, expected) in [
        (vec![], "413 body_too_large"),
        (vec![("KEYHOLT_LIMITS__BODY_BYTES", "128KiB")], "200 malformed"),
    ] {
        let handle = open_to_the_street(&house, settings(&limits));
        let answer = ask(handle.local_addr(), &verifier.secret, "/v1/verify", "", &question);
        assert_eq!(told(answer), expected);
    }
}

#[tokio::test]
async fn forms_and_dialects_keep_to_the_same_limits() {
    let house = House::open().await;
    let settings = Arc::new(settings(&[
        ("KEYHOLT_LIMITS__BODY_BYTES", "2KiB"),
        ("KEYHOLT_LIMITS__IMPORT_BODY_BYTES", "4KiB"),
    ]));
    let native = Wire::settled(&house.keeper, Arc::clone(&settings));
    let desk = Desk::new(Arc::clone(&house.keeper), &Meerschaum, "acme", settings);
    let meerschaum = Wire::behind(desk);
    let key = crate::wire::administrator(&house).await;
    let send = async |wire: &Wire, method, path: &str, bytes| -> Reply {
        let mut request = request(method, path, &key.secret, Body::from(" ".repeat(bytes)));
        let form = "application/x-www-form-urlencoded".parse().unwrap();
        request.headers_mut().insert("content-type", form);
        wire.send(request).await
    };
    for (wire, method, path, bytes_max) in [
        (&native, Method::POST, "/oauth/token", 2 << 10),
        (&meerschaum, Method::POST, "/login", 2 << 10),
        (&meerschaum, Method::POST, "/tokens/import", 4 << 10),
    ] {
        let within = send(wire, method.clone(), path, bytes_max).await;
        assert_ne!(within.status, 413, "{path}");
        let beyond = send(wire, method, path, bytes_max + 1).await;
        assert_eq!(beyond.status, 413, "{path}");
    }
}
