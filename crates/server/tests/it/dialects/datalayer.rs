//! Datalayer's tongue.

use axum::body::Body;
use http::{Method, Request};
use keyholt_server::dialects::Datalayer;
use keyholt_server::http::Operation;
use serde_json::{Value, json};

use super::village::{Complaint, Speaker, Turn, Village};
use crate::house::canary;
use crate::people::STAPLE;
use crate::wire::{Reply, request, with_json};

pub const SPEAKER: Speaker = Speaker {
    dialect: &Datalayer,
    example,
    doer: |village| &village.adas,
    complaint,
    canary: register,
    turns: &[Turn {
        name: "log-in by handle and password",
        before: &[],
        asked: |_| {
            let body = json!({"handle": "cora", "password": STAPLE});
            with_json(Method::POST, "/api/iam/v1/authentication/login", "", body)
        },
        events: &["session.start", "key.issue", "session.end"],
    }],
};

fn example(village: &Village, operation: &Operation, secret: &str) -> Request<Body> {
    let method: Method = operation.method.parse().unwrap();
    let path = operation.path.replace("{uid}", &village.target.id().to_string());
    let body = match operation.id {
        "login" | "login_by_name" => return with_json(method, &path, "", json!({ "token": secret })),
        "create_token" => json!({"name": "new", "description": "YQ==", "variant": "user_token", "expiration_date": 0}),
        "create_api_key" => json!({"name": "new", "description": "a", "expirationDate": 1_900_000_000_000_i64}),
        "update_token" | "update_api_key" => json!({"name": "renamed"}),
        _ => return request(method, &path, secret, Body::empty()),
    };
    with_json(method, &path, secret, body)
}

/// `success` is false, and `message` says why.
fn complaint(reply: &Reply) -> Complaint {
    let body = reply.json();
    assert_eq!(body["success"], Value::Bool(false), "{body}");
    assert!(!body["message"].as_str().unwrap().is_empty(), "{body}");
    match reply.status.as_u16() {
        401 => Complaint::NotKnown,
        403 => Complaint::NotAllowed,
        404 => Complaint::NotThere,
        400..500 => Complaint::Wrong,
        _ => panic!("{body}"),
    }
}

fn register(reply: &Reply) {
    let told = reply.json();
    for value in [&told["access_token"], &told["token"]]
        .into_iter()
        .filter_map(Value::as_str)
    {
        canary(value);
        canary(value.rsplit('.').next().unwrap());
    }
}

#[tokio::test]
async fn bad_requests_are_told_in_datalayer_s_words_and_change_nothing() {
    let village = Village::open(&Datalayer).await;
    let before = village.house.commits().await;
    let (long, huge) = ("x".repeat(65), " ".repeat(70_000));
    let key = format!("/api/iam/v1/api-keys/{}", village.target.id());
    let broken: [(&str, u16, &str); 6] = [
        ("", 400, ""),
        ("{", 400, ""),
        ("[]", 400, ""),
        ("null", 400, ""),
        (r#"{"name": "a", "name": "b"}"#, 400, "name"),
        (&huge, 413, ""),
    ];
    for path in ["/api/iam/v1/tokens", "/api/iam/v1/api-keys", &key] {
        let method = if path == key { Method::PUT } else { Method::POST };
        for (body, status, field) in broken {
            let asked = request(method.clone(), path, &village.adas.secret, Body::from(body.to_owned()));
            told(
                &village.wire.send(asked).await,
                status,
                field,
                &format!("{method} {path} {body:.40}"),
            );
        }
        for (body, field) in [
            (json!({"name": 7}), "name"),
            (json!({"name": ["a"]}), "name"),
            (json!({"name": ""}), "name"),
            (json!({ "name": long }), "name"),
            (json!({"name": "a\u{7}"}), "name"),
            // Whoever mixes the fields up must not have the secret stored where everybody reads it.
            (json!({ "name": village.target.secret }), "name"),
            (
                json!({"name": "a", "description": village.target.secret}),
                "description",
            ),
            (json!({"name": "a", "description": {"text": "b"}}), "description"),
            (
                json!({"name": "a", "description": "not Base64!", "expiration_date": 0}),
                "description",
            ),
            (json!({"name": "a", "variant": long}), "variant"),
            (json!({"name": "a", "expiration_date": -1}), "expiration_date"),
            (json!({"name": "a", "expiration_date": "soon"}), "expiration_date"),
            (
                json!({"name": "a", "expiration_date": 1_900_000_000_000_i64}),
                "expiration_date",
            ),
            (json!({"name": "a", "expirationDate": 0}), "expirationDate"),
            (json!({"name": "a", "expirationDate": "tomorrow"}), "expirationDate"),
            (
                json!({"name": "a", "expirationDate": 99_000_000_000_000_i64}),
                "expirationDate",
            ),
        ] {
            let what = format!("{method} {path} {body}");
            let reply = village
                .wire
                .call(method.clone(), &village.adas.secret, path, body)
                .await;
            told(&reply, 422, field, &what);
        }
    }
    let past = json!({"name": "a", "expiration_date": 1_000_000_000});
    let reply = village
        .wire
        .post(&village.adas.secret, "/api/iam/v1/tokens", past)
        .await;
    assert_eq!((complaint(&reply), reply.status.as_u16()), (Complaint::Wrong, 422));
    let reply = village
        .wire
        .post(&village.adas.secret, "/api/iam/v1/tokens", json!({}))
        .await;
    told(&reply, 422, "name", "nothing is said");
    for body in [
        json!({}),
        json!({"handle": "ada"}),
        json!({"token": 7}),
        json!({"token": "a", "password": "b"}),
    ] {
        let reply = village.wire.post("", "/api/iam/v1/login", body.clone()).await;
        assert_eq!(
            (complaint(&reply), reply.status.as_u16()),
            (Complaint::Wrong, 422),
            "{body}"
        );
    }
    assert_eq!(
        village.house.commits().await,
        before + 1,
        "nothing but the attempt to make a key that has ended"
    );
}

/// A refusal names the field that is wrong, where it is one, and repeats no secret.
fn told(reply: &Reply, status: u16, field: &str, what: &str) {
    assert_eq!(
        (complaint(reply), reply.status.as_u16()),
        (Complaint::Wrong, status),
        "{what}: {reply:?}"
    );
    let body = reply.json();
    assert_eq!(
        body["errors"][0]["field"].as_str().unwrap_or_default(),
        field,
        "{what}: {body}"
    );
    assert!(!keyholt_core::secret::holds_secret(&body.to_string()), "{what}: {body}");
}

#[tokio::test]
async fn a_key_that_was_made_works_in_both_spellings_and_no_other_until_it_is_deleted() {
    let village = Village::open(&Datalayer).await;
    let wire = &village.wire;
    let body = json!({"name": "ci", "description": "builds", "expirationDate": 1_900_000_000_000_i64});
    let made = wire.post(&village.adas.secret, "/api/iam/v1/api-keys", body).await.ok();
    register(&made);
    let made = made.json();
    let value = made["token"].as_str().unwrap();
    let [header, payload, secret] = value.split('.').collect::<Vec<_>>().try_into().unwrap();
    for good in [value, secret] {
        let me = wire.get(good, "/api/iam/v1/whoami").await.ok().json();
        assert_eq!(me["profile"]["handle_s"], "ada");
    }
    let others = wire.get(&village.bobs.secret, "/api/iam/v1/api-keys").await.ok().json();
    assert_eq!(others["apiKeys"].as_array().unwrap().len(), 1, "Bob's own key alone");
    for bad in [
        format!("{header}.{payload}x.{secret}"),
        format!("{header}..{secret}"),
        format!("{header}.{payload}.{secret}."),
        format!("{header}.{payload}.{}", village.target.secret),
        format!("x{value}"),
    ] {
        let reply = wire.get(&bad, "/api/iam/v1/whoami").await;
        assert_eq!(complaint(&reply), Complaint::NotKnown, "{bad}");
    }
    let path = format!("/api/iam/v1/api-keys/{}", made["uid"].as_str().unwrap());
    for (secret, expected) in [
        (&village.bobs.secret, 404),
        (&village.adas.secret, 200),
        (&village.adas.secret, 404),
    ] {
        let delete = request(Method::DELETE, &path, secret, Body::empty());
        assert_eq!(wire.send(delete).await.status, expected);
    }
    for dead in [value, secret] {
        let reply = wire.get(dead, "/api/iam/v1/whoami").await;
        assert_eq!(complaint(&reply), Complaint::NotKnown);
    }
}

#[tokio::test]
async fn a_profile_is_told_as_far_as_the_key_may_see_it() {
    use crate::house::{Wishes, wish};
    let village = Village::open(&Datalayer).await;
    let profile = async |secret: &str| {
        let reply = village.wire.get(secret, "/api/iam/v1/whoami").await.ok();
        let told = reply.json();
        assert_eq!(reply.bytes, told.to_string().as_bytes(), "in the order of all answers");
        assert_eq!(
            (&told["success"], &told["message"]),
            (&json!(true), &json!("The profile"))
        );
        told["profile"].clone()
    };
    let (ada, cora) = (&village.ada, &village.cora);
    let mut expected = json!({
        "id": ada.id, "uid": ada.id, "type_s": "user", "handle_s": "ada", "email_s": null,
        "first_name_t": ada.name, "last_name_t": "", "roles_ss": ["member"],
        "creation_ts_dt": ada.created_at.to_string(),
    });
    assert_eq!(profile(&village.adas.secret).await, expected);
    // A key that may not read its owner's record.
    for unknown in ["roles_ss", "creation_ts_dt"] {
        expected[unknown] = Value::Null;
    }
    expected["roles_ss"] = json!([]);
    expected["first_name_t"] = json!("ada");
    assert_eq!(profile(&village.idle.secret).await, expected);
    let wish = wish(keyholt_core::owner::Owner::User(cora.id), "laptop").everything();
    let coras = village.house.issue(wish).await;
    assert_eq!(profile(&coras.secret).await["email_s"], "cora@example.org");
    let team = profile(&village.platforms.secret).await;
    assert_eq!(
        (&team["type_s"], &team["handle_s"]),
        (&json!("team"), &json!("platform"))
    );
}

#[tokio::test]
async fn a_key_carries_what_its_maker_s_key_carries_and_lives_no_longer() {
    use crate::house::{Wishes, wish};
    let village = Village::open(&Datalayer).await;
    let owner = keyholt_core::owner::Owner::User(village.ada.id);
    let narrow = wish(owner, "narrow")
        .scopes(&["orders:read", "keyholt:self:*"])
        .lasting(keyholt_core::time::Span::days(1));
    let narrow = village.house.issue(narrow).await;
    let body = json!({"name": "child", "description": "", "variant": "user_token", "expiration_date": 0});
    let made = village.wire.post(&narrow.secret, "/api/iam/v1/tokens", body).await.ok();
    register(&made);
    let made = made.json();
    let child = village.house.key(made["uid"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(
        (child.access, child.expiry),
        (narrow.key.access.clone(), narrow.key.expiry)
    );
    let body = json!({"name": "child", "description": "", "expirationDate": 1_900_000_000_000_i64});
    let reply = village.wire.post(&narrow.secret, "/api/iam/v1/api-keys", body).await;
    assert_eq!(
        complaint(&reply),
        Complaint::NotAllowed,
        "an explicit wish is not shortened silently"
    );
}

#[tokio::test]
async fn a_log_in_by_password_makes_a_key_that_a_log_out_ends() {
    const PASSWORD: &str = "a holt is a den, this one is for keys";
    canary(PASSWORD);
    let village = Village::open(&Datalayer).await;
    let typed = keyholt_core::password::Typed::read(PASSWORD).unwrap();
    let (house, olga) = (&village.house, village.house.olga());
    let set = house
        .keeper
        .set_password(&olga, house.project(), village.ada.id, &typed);
    set.await.unwrap();
    let path = "/api/iam/v1/authentication/login";
    for (handle, password, expected) in [
        ("ada", "a holt is a den, this one is for kegs", 401),
        ("nobody", PASSWORD, 401),
        ("bob", PASSWORD, 401),
    ] {
        let body = json!({"handle": handle, "password": password});
        let reply = village.wire.post("", path, body).await;
        assert_eq!(
            (complaint(&reply), reply.status.as_u16()),
            (Complaint::NotKnown, expected)
        );
    }
    let reply = village.wire.post("", path, json!({"handle": "ada"})).await;
    assert_eq!(complaint(&reply), Complaint::Wrong);
    let before = house.trail().await.len();
    let reply = village
        .wire
        .post("", path, json!({"handle": "ada", "password": PASSWORD}))
        .await
        .ok();
    let token = reply.json()["token"].as_str().unwrap().to_owned();
    canary(&token);
    canary(token.rsplit('.').next().unwrap());
    assert_eq!(reply.json()["user"]["handle_s"], "ada");
    let mut trail = house.trail().await;
    trail.truncate(trail.len() - before);
    assert_eq!(trail, ["session.end", "key.issue", "session.start"]);
    let me = village.wire.get(&token, "/api/iam/v1/whoami").await.ok().json();
    assert_eq!(me["profile"]["handle_s"], "ada");
    village.wire.get(&token, "/api/iam/v1/logout").await.ok();
    let reply = village.wire.get(&token, "/api/iam/v1/whoami").await;
    assert_eq!(complaint(&reply), Complaint::NotKnown);
    // Nobody logs out with a key that no log-in made.
    village.wire.get(&village.adas.secret, "/api/iam/v1/logout").await.ok();
    village.wire.get(&village.adas.secret, "/api/iam/v1/whoami").await.ok();
}
