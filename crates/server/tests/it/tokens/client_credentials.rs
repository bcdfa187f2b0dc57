//! A key becomes an access token, which may do no more than the key and dies with it.

use keyholt_core::owner::Owner;
use keyholt_core::text::Cause;
use keyholt_core::time::Span;
use serde_json::json;

use super::stage::{BASE, Stage, basic, claims, encoded, error, kept, part, posted};
use crate::house::{Wishes, source, wish};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

#[tokio::test]
async fn a_client_id_and_a_secret_become_a_token_that_says_who_may_do_what_until_when() {
    let stage = Stage::open().await;
    let reply = stage.ask(&stage.client, &[GRANT, ("scope", "orders:read")]).await.ok();
    assert_eq!(reply.header("cache-control"), "no-store");
    let answer = reply.json();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer["expires_in"], 300);
    assert_eq!(answer["scope"], "orders:read");
    let token = kept(reply);
    assert_eq!(part(&token, 0)["typ"], "at+jwt");
    assert_eq!(part(&token, 0)["alg"], "ES256");
    let said = claims(&token);
    let id = stage.client.id().to_string();
    assert_eq!(said["iss"], stage.issuer());
    assert_eq!(said["aud"], stage.issuer());
    assert_eq!(said["sub"], id);
    assert_eq!(said["client_id"], id);
    assert_eq!(said["scope"], "orders:read");
    assert_eq!(said["project"], stage.house.project().to_string());
    assert_eq!(said["owner"]["handle"], "shop");
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 300);
    assert!(said["jti"].as_str().unwrap().len() == 36);

    let verdict = stage.verdict(&token, &["orders:read"]).await;
    assert_eq!(verdict["valid"], true, "{verdict}");
    assert_eq!(verdict["key"]["id"], id);
    assert_eq!(verdict["scopes"], json!(["orders:read"]));
    assert!(
        verdict.get("warnings").is_none_or(|warnings| warnings == &json!([])),
        "{verdict}"
    );
    let verdict = stage.verdict(&token, &["orders:write"]).await;
    assert_eq!(verdict["code"], "insufficient_scope", "the key may, the token may not");
}

#[tokio::test]
async fn a_token_dies_with_its_key_at_once_and_says_so() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let (house, olga) = (&stage.house, stage.house.olga());
    let (project, key) = (house.project(), stage.client.id());
    assert_eq!(stage.code(&token).await, "valid");

    house.keeper.suspend_key(&olga, project, key, None, None).await.unwrap();
    assert_eq!(stage.code(&token).await, "suspended");
    house.keeper.resume_key(&olga, project, key, None, None).await.unwrap();
    assert_eq!(stage.code(&token).await, "valid");

    let owner = stage.client.key.owner;
    house
        .keeper
        .suspend_owner(&olga, project, owner, None, None)
        .await
        .unwrap();
    assert_eq!(stage.code(&token).await, "owner_suspended");
    house
        .keeper
        .resume_owner(&olga, project, owner, None, None)
        .await
        .unwrap();
    assert_eq!(stage.code(&token).await, "valid");

    let cause = Cause::new("leaked").unwrap();
    house.keeper.revoke_key(&olga, project, key, cause, None).await.unwrap();
    assert_eq!(stage.code(&token).await, "revoked");
    let again = stage.ask(&stage.client, &[GRANT]).await;
    assert_eq!(error(&again), (401, "invalid_client".to_owned()));
}

#[tokio::test]
async fn a_token_is_dead_at_its_instant() {
    let stage = Stage::open().await;
    let token = stage.token_with(&stage.client, &[("expires_in", "60")]).await;
    stage.house.advance(Span::millis(59_999));
    assert_eq!(stage.code(&token).await, "valid");
    stage.house.advance(Span::millis(1));
    assert_eq!(stage.code(&token).await, "expired");
}

#[tokio::test]
async fn a_token_goes_with_the_secret_that_it_was_made_with() {
    let stage = Stage::open().await;
    let token = stage.token_with(&stage.client, &[("expires_in", "900")]).await;
    let olga = stage.house.olga();
    let turn = keyholt_core::rotate::Turn {
        grace: keyholt_core::rotate::Grace::For(Span::secs(60)),
        client_made: None,
        cause: None,
    };
    let project = stage.house.project();
    let rotated = stage
        .house
        .keeper
        .rotate_key(&olga, project, stage.client.id(), turn, None)
        .await
        .unwrap();
    let secret = rotated.secret.unwrap().reveal().to_string();
    crate::house::canary(&secret);
    assert_eq!(
        stage.code(&token).await,
        "valid",
        "the old secret has its grace, and so has its token"
    );
    let during = stage.token_with(&stage.client, &[("expires_in", "900")]).await;
    let said = claims(&during);
    assert_eq!(
        said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(),
        60,
        "not beyond the grace"
    );
    stage.house.advance(Span::secs(60));
    assert_eq!(stage.code(&token).await, "unknown", "what the old secret is now, too");
    assert_eq!(stage.code(&stage.client.secret).await, "unknown");
    let fresh = crate::house::Held {
        secret,
        ..stage.client.clone()
    };
    let fresh = stage.token(&fresh).await;
    assert_eq!(stage.code(&fresh).await, "valid");
}

#[tokio::test]
async fn a_token_opens_keyholt_itself_where_it_is_meant_for_it() {
    let stage = Stage::open().await;
    let operator = &stage.house.operator;
    let token = stage
        .token_with(operator, &[("scope", "keyholt:keys:read keyholt:operate")])
        .await;
    assert_eq!(claims(&token)["iss"], BASE, "the root project has the bare address");
    stage.wire.get(&token, "/v1/projects/acme/keys").await.ok();
    let reply = stage.wire.get(&token, "/v1/projects/acme/roles").await;
    assert_eq!(reply.code(), "insufficient_scope", "its key may");
    let elsewhere = stage.token_with(operator, &[("audience", "https://api.example")]).await;
    let reply = stage.wire.get(&elsewhere, "/v1/projects/acme/keys").await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (401, "invalid_credential")
    );
}

#[tokio::test]
async fn a_token_that_may_do_less_cannot_end_its_key() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let reply = stage
        .wire
        .post(&token, "/v1/self/revoke", json!({"cause": "mischief"}))
        .await;
    assert_eq!(reply.code(), "insufficient_scope");
    assert_eq!(stage.code(&stage.client.secret).await, "valid");
}

#[tokio::test]
async fn what_a_token_is_for_is_asked_for() {
    let stage = Stage::open().await;
    let token = stage
        .token_with(&stage.client, &[("audience", "https://api.acme.example")])
        .await;
    let ask = |audience: serde_json::Value| {
        let mut body = json!({"credential": token});
        if !audience.is_null() {
            body["audience"] = audience;
        }
        stage.wire.post(&stage.verifier.secret, "/v1/verify", body)
    };
    assert_eq!(
        ask(json!("https://api.acme.example")).await.ok().json()["code"],
        "valid"
    );
    assert_eq!(
        ask(json!("https://other.example")).await.ok().json()["code"],
        "audience_not_allowed"
    );
    assert_eq!(ask(json!(null)).await.ok().json()["code"], "audience_not_allowed");
}

#[tokio::test]
async fn nothing_wider_longer_or_odder_is_given() {
    let stage = Stage::open().await;
    for (wishes, word) in [
        (&[("scope", "orders:delete")][..], "invalid_scope"),
        (&[("scope", "orders:*")], "invalid_scope"),
        (&[("scope", "*")], "invalid_scope"),
        (&[("scope", "orders:read orders:read")], "invalid_scope"),
        (&[("scope", "orders:read  orders:write")], "invalid_scope"),
        (&[("scope", "orders:read\u{1}")], "invalid_scope"),
        (&[("scope", &"a".repeat(10_000))], "invalid_scope"),
        (&[("expires_in", "901")], "invalid_request"),
        (&[("expires_in", "0")], "invalid_request"),
        (&[("expires_in", "-1")], "invalid_request"),
        (&[("expires_in", "1e2")], "invalid_request"),
        (
            &[("audience", "https://a"), ("resource", "https://a")],
            "invalid_target",
        ),
        (&[("audience", "\u{e4}")], "invalid_target"),
    ] {
        let form: Vec<_> = [GRANT].into_iter().chain(wishes.iter().copied()).collect();
        let reply = stage.ask(&stage.client, &form).await;
        assert_eq!(error(&reply), (400, word.to_owned()), "{wishes:?}");
    }
}

#[tokio::test]
async fn a_client_that_is_not_recognised_learns_nothing() {
    let stage = Stage::open().await;
    let good = &stage.client;
    let other = stage.verifier.id().to_string();
    let nobody = "0197a3c4-7b1e-7c00-8000-6f9d2f3f1a20";
    let mut answers = std::collections::BTreeSet::new();
    for authorization in [
        basic(nobody, &good.secret),
        basic(&other, &good.secret),
        basic(&good.id().to_string(), "acme_wrong"),
        basic(&good.id().to_string(), &stage.verifier.secret),
        basic("not-an-id", &good.secret),
        format!("Bearer {}", good.secret),
        "Basic !".to_owned(),
        "Basic".to_owned(),
    ] {
        let reply = stage.post("/oauth/token", Some(&authorization), &[GRANT]).await;
        assert_eq!(error(&reply), (401, "invalid_client".to_owned()), "{authorization}");
        assert_eq!(reply.header("www-authenticate"), r#"Basic realm="keyholt""#);
        answers.insert(reply.bytes);
    }
    assert_eq!(answers.len(), 1, "byte for byte the same");
    let none = stage.post("/oauth/token", None, &[GRANT]).await;
    assert_eq!(error(&none), (401, "invalid_client".to_owned()));
}

#[tokio::test]
async fn the_client_may_stand_in_the_body_but_not_in_both_places() {
    let stage = Stage::open().await;
    let id = stage.client.id().to_string();
    let body = [
        GRANT,
        ("client_id", id.as_str()),
        ("client_secret", stage.client.secret.as_str()),
    ];
    kept(stage.post("/oauth/token", None, &body).await.ok());
    let header = basic(&id, &stage.client.secret);
    let both = stage.post("/oauth/token", Some(&header), &body).await;
    assert_eq!(error(&both), (400, "invalid_request".to_owned()));
    kept(stage.post("/oauth/token", Some(&header), &body[..2]).await.ok());
    let other = [GRANT, ("client_id", "somebody")];
    let differs = stage.post("/oauth/token", Some(&header), &other).await;
    assert_eq!(error(&differs), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn requests_that_are_not_as_they_must_be_are_told_so() {
    let stage = Stage::open().await;
    let header = basic(&stage.client.id().to_string(), &stage.client.secret);
    let send = |form: &str| stage.wire.send(posted("/oauth/token", Some(&header), form));
    for (form, word) in [
        (
            "grant_type=client_credentials&grant_type=client_credentials",
            "invalid_request",
        ),
        ("", "invalid_request"),
        ("grant_type=", "invalid_request"),
        ("grant_type=%FF", "invalid_request"),
        ("grant_type=password", "unsupported_grant_type"),
        ("grant_type=implicit", "unsupported_grant_type"),
        ("grant_type=unknown", "unsupported_grant_type"),
    ] {
        assert_eq!(error(&send(form).await), (400, word.to_owned()), "{form}");
    }
    let large = encoded(&[GRANT, ("x", &"y".repeat(1 << 20))]);
    assert_eq!(send(&large).await.status.as_u16(), 413);

    let get = stage.wire.get("", "/oauth/token").await;
    assert_eq!(get.code(), "method_not_allowed");
    let json = stage
        .wire
        .post("", "/oauth/token", json!({"grant_type": "client_credentials"}))
        .await;
    assert_eq!(error(&json), (400, "invalid_request".to_owned()));
    for query in ["grant_type=client_credentials", "client_secret=x", "client_id=x"] {
        let reply = stage
            .wire
            .send(posted(&format!("/oauth/token?{query}"), Some(&header), ""))
            .await;
        assert!([400, 422].contains(&reply.status.as_u16()), "{query}");
    }
}

#[tokio::test]
async fn using_a_token_counts_as_using_its_key() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    for _ in 0..3 {
        stage.code(&token).await;
    }
    let house = &stage.house;
    let (olga, now) = (house.olga(), house.keeper.now());
    let usage = house
        .keeper
        .key_usage(&olga, house.project(), stage.client.id(), now, now)
        .await
        .unwrap();
    let granted: u64 = usage.hours.iter().map(|(_, _, count)| count).sum();
    assert_eq!(granted, 4, "once to get the token, three times to use it");
    let _ = source();
}

#[tokio::test]
async fn proofs_of_possession_are_passed_over_and_make_no_bound_token() {
    let stage = Stage::open().await;
    let client = basic(&stage.client.id().to_string(), &stage.client.secret);
    let mut request = posted("/oauth/token", Some(&client), "grant_type=client_credentials");
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCJ9.e30.AA";
    request.headers_mut().insert("dpop", proof.parse().unwrap());
    let reply = stage.wire.send(request).await.ok();
    assert_eq!(reply.json()["token_type"], "Bearer");
    let token = kept(reply);
    assert_eq!(claims(&token)["cnf"], serde_json::Value::Null);
    assert_eq!(stage.code(&token).await, "valid");
    // Nor is there a scheme by which a token could seem to be bound.
    let mut request = crate::wire::request(http::Method::GET, "/v1/self", "", axum::body::Body::empty());
    request
        .headers_mut()
        .insert("authorization", format!("DPoP {token}").parse().unwrap());
    assert_eq!(stage.wire.send(request).await.status, 401);
}

#[tokio::test]
async fn whatever_became_of_a_client_the_refusal_is_the_same_to_the_byte() {
    let stage = Stage::open().await;
    let house = &stage.house;
    let (olga, project) = (house.olga(), house.project());
    let owner = house.service("warehouse", "member").await;
    let client = async |name: &str| {
        let wish = wish(Owner::Service(owner.id), name).scopes(&["orders:read"]);
        house.issue(wish.lasting(Span::days(1))).await
    };
    let (expired, revoked, suspended) = (client("a").await, client("b").await, client("c").await);
    let cause = || Cause::new("over").unwrap();
    house
        .keeper
        .revoke_key(&olga, project, revoked.id(), cause(), None)
        .await
        .unwrap();
    house
        .keeper
        .suspend_key(&olga, project, suspended.id(), None, None)
        .await
        .unwrap();
    house.advance(Span::days(1));
    let of_suspended = client("d").await;
    let owner = Owner::Service(owner.id);
    house
        .keeper
        .suspend_owner(&olga, project, owner, None, None)
        .await
        .unwrap();
    let unknown = crate::house::Held {
        secret: format!("{}x", stage.client.secret),
        ..stage.client.clone()
    };
    let mut answers = std::collections::BTreeSet::new();
    for client in [&unknown, &expired, &revoked, &suspended, &of_suspended] {
        let reply = stage.ask(client, &[GRANT]).await;
        assert_eq!(error(&reply), (401, "invalid_client".to_owned()));
        let mut headers = reply.headers.clone();
        headers.remove("x-request-id");
        answers.insert((format!("{headers:?}"), reply.bytes));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_client_s_secret_in_the_query_is_refused_and_marked_as_exposed() {
    let stage = Stage::open().await;
    for (name, path) in [
        ("client_secret", "token"),
        ("token", "introspect"),
        ("anything", "revoke"),
    ] {
        let key = stage
            .house
            .issue(wish(stage.client.key.owner, name).scopes(&["orders:read"]))
            .await;
        let path = format!("/oauth/{path}?{name}={}", key.secret);
        let reply = stage.post(&path, None, &[GRANT]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (400, "token_in_url"),
            "{name}"
        );
        let event = stage.house.events(stage.house.project()).await.remove(0);
        assert_eq!(
            (event.action.as_str(), event.target.id),
            ("key.exposed", Some(key.id().uuid()))
        );
    }
    let token = stage.token(&stage.client).await;
    let reply = stage
        .post(&format!("/oauth/introspect?access_token={token}"), None, &[])
        .await;
    assert_eq!(reply.code(), "token_in_url");
}

#[tokio::test]
async fn what_the_policy_names_of_a_key_s_metadata_stands_in_its_tokens_and_says_nothing_to_us() {
    let stage = Stage::open().await;
    stage
        .house
        .policy(|policy| {
            let names = ["plan", "seats", "scope", "sub", "roles"];
            policy.tokens.claims = names.map(str::to_owned).into();
        })
        .await;
    let said =
        json!({"plan": "gold", "seats": [1, 2], "scope": "admin", "sub": "root", "roles": ["admin"], "secret": "x"});
    let mut wish = wish(stage.client.key.owner, "with metadata").scopes(&["orders:read"]);
    wish.metadata = keyholt_core::text::Metadata::new(said.as_object().unwrap().clone()).unwrap();
    let client = stage.house.issue(wish).await;
    let token = stage.token(&client).await;
    let told = claims(&token);
    assert_eq!((&told["plan"], &told["seats"]), (&json!("gold"), &json!([1, 2])));
    assert_eq!(
        (&told["scope"], &told["sub"]),
        (&json!("orders:read"), &json!(client.id().to_string()))
    );
    assert_eq!((&told["roles"], &told["secret"]), (&json!(null), &json!(null)));
    assert_eq!(stage.verdict(&token, &["orders:read"]).await["code"], "valid");
    assert_eq!(stage.verdict(&token, &["admin"]).await["code"], "insufficient_scope");
}
