//! The native API as its callers see it: whole answers, word for word, on New Year's Day 2030.

use std::fmt::Write as _;

use axum::body::Body;
use http::Method;
use keyholt_api::verify::Verdict;
use keyholt_core::owner::Owner;
use keyholt_core::time::Span;
use keyholt_server::http::verdict;
use keyholt_server::keeper::{Counting, Question};
use serde_json::{Value, json};

use crate::house::{House, Wishes, canary, needed, wish};
use crate::wire::{Reply, Wire, request};

/// Writes down what is asked and answered, without secrets.
struct Transcript {
    wire: Wire,
    text: String,
}

impl Transcript {
    async fn call(&mut self, method: &str, secret: &str, path: &str, body: Value) -> Value {
        let method_name: Method = method.parse().unwrap();
        let reply = if body.is_null() {
            let request = request(method_name, path, secret, Body::empty());
            self.wire.send(request).await
        } else {
            self.wire.call(method_name, secret, path, body.clone()).await
        };
        let _ = writeln!(self.text, "{method} {path}");
        if !body.is_null() {
            let _ = writeln!(self.text, "{}", without_secrets(body));
        }
        let _ = write!(self.text, "→ {}", reply.status.as_u16());
        for header in ["etag", "location", "www-authenticate"] {
            if !reply.header(header).is_empty() {
                let _ = write!(self.text, "\n  {header}: {}", reply.header(header));
            }
        }
        let answer = if reply.bytes.is_empty() {
            Value::Null
        } else {
            reply.json()
        };
        if let Some(secret) = answer["secret"].as_str() {
            canary(secret);
        }
        if !answer.is_null() {
            let shown = serde_json::to_string_pretty(&without_secrets(answer.clone())).unwrap();
            let _ = write!(self.text, "\n{shown}");
        }
        self.text.push_str("\n\n");
        answer
    }
}

fn without_secrets(mut value: Value) -> Value {
    for member in ["secret", "credential"] {
        if value[member].is_string() {
            value[member] = json!("(a secret)");
        }
    }
    if value["request_id"].is_string() {
        value["request_id"] = json!("(an id)");
    }
    let events = value.get_mut("events").and_then(Value::as_array_mut);
    for event in events.into_iter().flatten() {
        event["source"]["request_id"] = json!("(an id)");
    }
    value
}

#[tokio::test]
async fn a_day_in_the_life_of_a_key() {
    let house = House::open().await;
    let verifier = house.verifier().await.secret;
    let mut story = Transcript {
        wire: Wire::to(&house.keeper),
        text: String::new(),
    };
    let olga = house.operator.secret.clone();
    let none = Value::Null;
    story.call("GET", &olga, "/v1/projects/acme", none.clone()).await;
    let ada = json!({"external_id": "u_42", "name": "Ada", "email": "ada@example.org", "metadata": {"plan": "pro"}});
    story.call("POST", &olga, "/v1/projects/acme/users", ada).await;
    let wish = json!({
        "owner": {"user": "u_42"}, "name": "deploy", "tags": ["ci"], "scopes": ["orders:read", "orders:write"],
        "expires_in": "5d", "environment": "live", "networks": ["192.0.2.0/24", "2001:db8::7"],
    });
    let made = story.call("POST", &olga, "/v1/projects/acme/keys", wish).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    let key = format!("/v1/projects/acme/keys/{}", made["key"]["id"].as_str().unwrap());
    let ask = json!({
        "credential": secret, "scopes": ["orders:read"], "environment": "live", "client_address": "192.0.2.9",
        "include": ["name", "tags", "metadata"],
    });
    story.call("POST", &verifier, "/v1/verify", ask.clone()).await;
    let mut more = ask.clone();
    more["scopes"] = json!(["orders:read", "orders:delete"]);
    story.call("POST", &verifier, "/v1/verify", more.clone()).await;
    story.call("POST", &olga, "/v1/projects/acme/explain", more).await;
    story
        .call("PATCH", &olga, &key, json!({"name": "deploy 2", "networks": null}))
        .await;
    let rotated = story
        .call("POST", &olga, &format!("{key}/rotate"), json!({"grace": "1h"}))
        .await;
    assert_ne!(rotated["secret"], made["secret"]);
    let old = json!({"credential": secret, "environment": "live"});
    story.call("POST", &verifier, "/v1/verify", old.clone()).await;
    story
        .call(
            "POST",
            &olga,
            &format!("{key}/revoke"),
            json!({"cause": "leaked in a build log"}),
        )
        .await;
    story.call("POST", &verifier, "/v1/verify", old).await;
    story.call("GET", &olga, &format!("{key}/validity"), none.clone()).await;
    story.call("GET", &olga, &format!("{key}/usage"), none.clone()).await;
    story.call("POST", &olga, &format!("{key}/rotate"), none.clone()).await;
    story.call("GET", &verifier, "/v1/self", none.clone()).await;
    story.call("GET", &verifier, &key, none.clone()).await;
    story
        .call(
            "POST",
            &olga,
            "/v1/projects/acme/keys",
            json!({"name": "", "kind": "golden"}),
        )
        .await;
    story
        .call("GET", &olga, "/v1/projects/acme/events?action=key.*&limit=1", none)
        .await;
    insta::assert_snapshot!(story.text);
}

#[tokio::test]
async fn both_ways_of_writing_a_verdict_say_the_same() {
    let house = House::open().await;
    let bob = house.user("bob").await;
    let held = house
        .issue(
            wish(Owner::User(bob.id), "key \"quoted\"")
                .scopes(&["a:*"])
                .lasting(Span::days(3)),
        )
        .await;
    for (credential, scopes) in [
        (held.secret.as_str(), &["a:b"][..]),
        (held.secret.as_str(), &["b:c"]),
        ("acme_mistyped", &[]),
        ("something-else-entirely", &[]),
    ] {
        let question = Question {
            credential,
            ask: keyholt_core::verify::Ask {
                scopes: needed(scopes),
                ..Default::default()
            },
            counting: Counting::DryRun,
        };
        house
            .keeper
            .verify(house.project(), &question, |answer| {
                let mut by_hand = Vec::new();
                answer.write_json(None, &mut by_hand);
                let by_hand: Verdict = serde_json::from_slice(&by_hand).unwrap();
                assert_eq!(by_hand, verdict(answer));
            })
            .unwrap();
    }
}

#[tokio::test]
async fn an_import_takes_all_keys_or_none_and_tells_about_each() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let olga = &house.operator.secret;
    house.user("bob").await;
    let secrets = ["legacy-secret-number-one", "legacy-secret-number-two"];
    let sha = |text: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let key = |name: &str, sha256: String| json!({"name": name, "secret_sha256": sha256, "owner": {"user": "bob"}});
    let good = json!([key("one", sha(secrets[0])), key("two", sha(secrets[1]))]);
    let mixed = json!([
        key("one", sha(secrets[0])),
        key("", sha("other")),
        key("again", sha(secrets[0])),
        {"name": "lost", "secret_sha256": sha("lost"), "owner": {"user": "nobody"}},
    ]);
    let path = "/v1/projects/acme/keys/import";
    let refused = wire
        .post(olga, path, json!({"dry_run": false, "keys": mixed}))
        .await
        .ok()
        .json();
    let told: Vec<(u64, &str)> = refused["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["index"].as_u64().unwrap(), entry["code"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(1, "invalid_fields"), (2, "secret_taken"), (3, "not_found")]);
    assert_eq!(refused["accepted"], 0);
    assert_eq!(house.code(secrets[0], &[]), "unknown", "none was taken");
    let tried = wire
        .post(olga, path, json!({"dry_run": true, "keys": good}))
        .await
        .ok()
        .json();
    assert_eq!((&tried["accepted"], &tried["refused"]), (&json!(2), &json!([])));
    assert_eq!(house.code(secrets[0], &[]), "unknown", "it was only tried");
    let taken = wire
        .post(olga, path, json!({"dry_run": false, "keys": good}))
        .await
        .ok()
        .json();
    assert_eq!(taken["accepted"], 2);
    assert_eq!(house.code(secrets[0], &[]), "valid");
    let many: Vec<Value> = (0..10_000).map(|n| key("many", sha(&format!("many {n}")))).collect();
    let tried = wire
        .post(olga, path, json!({"dry_run": true, "keys": many}))
        .await
        .ok()
        .json();
    assert_eq!(tried["accepted"], 10_000, "an import may be larger than other bodies");
}

#[tokio::test]
async fn the_trail_can_be_taken_away_and_opened_in_a_spreadsheet() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let olga = &house.operator.secret;
    let enrolled = json!({"external_id": "=1+1", "name": "=HYPERLINK(\"x\")"});
    wire.post(olga, "/v1/projects/acme/users", enrolled).await.ok();
    let lines = wire.get(olga, "/v1/projects/acme/events/export").await.ok();
    assert_eq!(lines.header("content-type"), "application/jsonl");
    let text = String::from_utf8(lines.bytes).unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["action"], "user.enrol");
    assert_eq!(events[0]["after"]["external_id"], "=1+1", "JSON needs no disguise");
    let table = wire
        .get(olga, "/v1/projects/acme/events/export?format=csv&action=user.enrol")
        .await
        .ok();
    assert_eq!(
        table.header("content-disposition"),
        "attachment; filename=\"events.csv\""
    );
    let text = String::from_utf8(table.bytes).unwrap();
    assert!(text.starts_with("number,at,action,outcome,"));
    assert!(text.contains(",\"'=1+1\","), "{text}");
    assert_eq!(text.matches("\r\n").count(), 2, "a heading and a row");
    let refused = wire.get(olga, "/v1/projects/acme/events/export?format=xml").await;
    assert_eq!(refused.code(), "invalid_fields");
}

#[tokio::test]
async fn a_batch_is_answered_in_order_and_a_bad_question_spoils_it_before_any_is_asked() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let verifier = house.verifier().await;
    let bob = house.user("bob").await;
    let held = house.issue(wish(Owner::User(bob.id), "key").scopes(&["a:b"])).await;
    let good = json!({"credential": held.secret, "scopes": ["a:b"]});
    let items = json!({"items": [{"credential": "x"}, good, {"credential": held.secret, "any_scopes": ["c:d"]}]});
    let answer = wire.post(&verifier.secret, "/v1/verify/batch", items).await.ok().json();
    let codes: Vec<&str> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["malformed", "valid", "insufficient_scope"]);
    let both = json!({"credential": "x", "scopes": [], "any_scopes": ["a"]});
    let spoilt = wire
        .post(&verifier.secret, "/v1/verify/batch", json!({"items": [good, both]}))
        .await;
    assert_eq!(spoilt.json()["errors"][0]["field"], "items[1].any_scopes");
    let usage = format!("/v1/projects/acme/keys/{}/usage", held.id());
    let usage = wire.get(&house.operator.secret, &usage).await.ok().json();
    let counts: u64 = usage["hours"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hour| hour["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counts, 2);
}

#[tokio::test]
async fn the_pages_load_nothing_from_elsewhere() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    for (path, kind) in [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/docs.css", "text/css; charset=utf-8"),
        ("/docs/docs.js", "text/javascript; charset=utf-8"),
        ("/docs/errors", "text/html; charset=utf-8"),
        ("/docs/denials", "text/html; charset=utf-8"),
    ] {
        let page: Reply = wire.get("", path).await.ok();
        assert_eq!(page.header("content-type"), kind);
        assert!(
            page.header("content-security-policy")
                .starts_with("default-src 'none'; script-src 'self';")
        );
        let text = String::from_utf8(page.bytes).unwrap();
        assert!(!text.contains("https://") && !text.contains("http://"), "{path}");
    }
    let errors = String::from_utf8(wire.get("", "/docs/errors").await.bytes).unwrap();
    assert!(errors.contains("id=\"not_found\""), "where a problem's `type` leads");
}
