//! Bad inputs, each with the answer that it gets: never a guess, never a 500, never an echo.

use axum::body::Body;
use http::{HeaderValue, Method, Request};
use serde_json::json;

use crate::house::{House, canary};
use crate::wire::{Wire, administrator, request, with_json};

const KEYS: &str = "/v1/projects/acme/keys";

#[tokio::test]
async fn a_body_is_what_the_contract_says_or_is_refused_for_what_is_wrong_with_it() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let admin = administrator(&house).await.secret;
    let raw = |kind: &'static str, body: &[u8]| {
        let mut request = request(Method::POST, KEYS, &admin, Body::from(body.to_vec()));
        if !kind.is_empty() {
            request
                .headers_mut()
                .insert("content-type", HeaderValue::from_static(kind));
        }
        request
    };
    let json = |body: &str| raw("application/json", body.as_bytes());
    let deep = format!(
        r#"{{"name":"a","metadata":{}1{}}}"#,
        r#"{"a":"#.repeat(40),
        "}".repeat(40)
    );
    let bottomless = format!(r#"{{"name":{}"#, "[".repeat(60_000));
    let long = format!(r#"{{"name":"a","tags":[{}"a"]}}"#, r#""a","#.repeat(1000));
    let large = format!(r#"{{"name":"{}"}}"#, "a".repeat(70_000));
    let mut packed = json("{}");
    packed
        .headers_mut()
        .insert("content-encoding", HeaderValue::from_static("gzip"));
    let mut twice = json("{}");
    twice
        .headers_mut()
        .append("content-type", HeaderValue::from_static("application/json"));
    let rows: Vec<(&str, Request<Body>, u16, &str)> = vec![
        (
            "a member twice",
            json(r#"{"name":"a","name":"b"}"#),
            400,
            "duplicate_member",
        ),
        (
            "a member twice, escaped",
            json(r#"{"name":"a","n\u0061me":"b"}"#),
            400,
            "duplicate_member",
        ),
        (
            "twice in metadata",
            json(r#"{"name":"a","metadata":{"x":1,"x":2}}"#),
            400,
            "duplicate_member",
        ),
        (
            "an unknown member",
            json(r#"{"name":"a","user_id":"victim"}"#),
            422,
            "unknown_member",
        ),
        (
            "__proto__",
            json(r#"{"name":"a","__proto__":{}}"#),
            422,
            "unknown_member",
        ),
        (
            "a server's member",
            json(r#"{"name":"a","created_by":"x"}"#),
            422,
            "unknown_member",
        ),
        ("too deep", json(&deep), 400, "too_deep"),
        ("bottomless", json(&bottomless), 400, "too_deep"),
        ("a long list", json(&long), 400, "too_deep"),
        (
            "a number beyond numbers",
            json(r#"{"name":"a","metadata":{"x":1e400}}"#),
            400,
            "malformed_json",
        ),
        (
            "NaN",
            json(r#"{"name":"a","metadata":{"x":NaN}}"#),
            400,
            "malformed_json",
        ),
        ("a lone surrogate", json(r#"{"name":"\ud800"}"#), 400, "malformed_json"),
        (
            "a byte order mark",
            json("\u{FEFF}{\"name\":\"a\"}"),
            400,
            "malformed_json",
        ),
        (
            "bytes that are not UTF-8",
            raw("application/json", b"{\"name\":\"\xff\"}"),
            400,
            "malformed_json",
        ),
        ("no body", json(""), 400, "malformed_json"),
        ("a list", json(r#"[{"name":"a"}]"#), 400, "malformed_json"),
        ("a text", json(r#""a""#), 400, "malformed_json"),
        ("something after it", json(r#"{"name":"a"}{}"#), 400, "malformed_json"),
        ("half of it", json(r#"{"name":"a""#), 400, "malformed_json"),
        ("a wrong type", json(r#"{"name":7}"#), 422, "invalid_fields"),
        ("nothing for a name", json(r#"{"name":null}"#), 422, "invalid_fields"),
        ("no name", json("{}"), 422, "invalid_fields"),
        (
            "a list for an object",
            json(r#"{"name":"a","owner":["user","x"]}"#),
            422,
            "invalid_fields",
        ),
        (
            "two owners",
            json(r#"{"name":"a","owner":{"user":"a","team":"b"}}"#),
            422,
            "invalid_fields",
        ),
        (
            "text/plain",
            raw("text/plain", b"{\"name\":\"a\"}"),
            415,
            "unsupported_media_type",
        ),
        ("no type", raw("", b"{\"name\":\"a\"}"), 415, "unsupported_media_type"),
        (
            "UTF-16",
            raw("application/json; charset=utf-16", b"{}"),
            415,
            "unsupported_media_type",
        ),
        (
            "a form",
            raw("application/x-www-form-urlencoded", b"name=a"),
            415,
            "unsupported_media_type",
        ),
        ("packed", packed, 415, "unsupported_media_type"),
        ("two types", twice, 415, "unsupported_media_type"),
        ("too large", json(&large), 413, "body_too_large"),
    ];
    for (what, request, status, code) in rows {
        let reply = wire.send(request).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (status, code),
            "{what}: {}",
            String::from_utf8_lossy(&reply.bytes)
        );
    }
    for kind in [
        "application/json; charset=utf-8",
        "application/json;charset=\"UTF-8\"",
        "Application/JSON",
    ] {
        assert_eq!(wire.send(raw(kind, b"{\"name\":\"a\"}")).await.status, 201, "{kind}");
    }
}

#[tokio::test]
async fn a_value_is_within_its_limits_or_its_member_is_named() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let held = administrator(&house).await;
    let admin = &held.secret;
    let deep = (0..20).fold(json!(1), |inner, _| json!({ "a": inner }));
    let rows = [
        ("name", json!(""), "length"),
        ("name", json!("x".repeat(65)), "length"),
        ("name", json!("   "), "form"),
        ("name", json!("a\u{202E}b"), "form"),
        ("name", json!("a\nb"), "form"),
        ("name", json!("a\u{0}b"), "form"),
        ("name", json!(admin), "looks_like_secret"),
        ("description", json!(format!("see {admin}.")), "looks_like_secret"),
        ("metadata", json!({ "key": admin }), "looks_like_secret"),
        ("metadata", json!({ "a": "x".repeat(5000) }), "too_much"),
        ("metadata", json!({ "a": deep }), "too_much"),
        ("metadata", json!([]), "wrong_type"),
        ("tags[0]", json!(["Upper"]), "form"),
        ("tags", json!(vec!["a"; 33]), "too_much"),
        ("kind", json!("golden"), "unknown_word"),
        ("scopes[1]", json!(["a:b", "a b"]), "form"),
        ("scopes[0]", json!(["KEYHOLT:keys:read"]), "form"),
        ("scopes[0]", json!(["a:b\u{200B}"]), "form"),
        ("scopes", json!("all"), "wrong_type"),
        ("expires_at", json!("9999-12-31T00:00:00Z"), "form"),
        ("expires_at", json!("3000-01-01T00:00:00Z"), "range"),
        ("expires_at", json!("2030-02-30T00:00:00Z"), "form"),
        ("expires_at", json!("2030-01-02T24:00:00Z"), "form"),
        ("expires_at", json!("2030-01-02T00:00:00"), "form"),
        ("expires_at", json!("2030-12-31T23:59:60Z"), "form"),
        ("expires_at", json!(1_893_456_000), "wrong_type"),
        ("expires_at", json!("1893456000"), "form"),
        ("expires_in", json!("90"), "form"),
        ("expires_in", json!("-1d"), "form"),
        ("environment", json!("Live!"), "form"),
        ("networks[0]", json!(["10.0.0.0/33"]), "form"),
        ("networks", json!([]), "too_much"),
        ("origins[0]", json!(["https://app.example/x"]), "form"),
        ("secret_sha256", json!("ABC"), "form"),
    ];
    for (field, value, code) in rows {
        let member = field.split('[').next().unwrap();
        let mut body = json!({ "name": "a" });
        body[member] = value;
        let reply = wire.post(admin, KEYS, body.clone()).await;
        assert_eq!(reply.status, 422, "{body}");
        let expected = if code == "looks_like_secret" {
            code
        } else {
            "invalid_fields"
        };
        assert_eq!(reply.code(), expected, "{body}");
        let fault = &reply.json()["errors"][0];
        assert_eq!(
            (fault["field"].as_str(), fault["code"].as_str()),
            (Some(field), Some(code)),
            "{body}"
        );
        assert!(
            !String::from_utf8(reply.bytes).unwrap().contains(admin.as_str()),
            "an echo: {field}"
        );
    }
    let past = wire
        .post(admin, KEYS, json!({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}))
        .await;
    assert_eq!((past.status.as_u16(), past.code().as_str()), (422, "already_expired"));
    let all = json!({"name": "", "kind": "golden", "expires_in": "x", "never_expires": true, "tags": ["A", "b", "C"]});
    let reply = wire.post(admin, KEYS, all).await.json();
    let fields: Vec<&str> = reply["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["field"].as_str().unwrap())
        .collect();
    assert_eq!(
        fields,
        ["kind", "name", "tags[0]", "tags[2]", "expires_in"],
        "all at once"
    );
    for name in ["=1+1", "<script>alert(1)</script>", "deploy 🧑‍🚀", "x"] {
        let reply = wire.post(admin, KEYS, json!({ "name": name })).await.ok();
        assert_eq!(reply.json()["key"]["name"], name, "stored as it is");
        canary(reply.json()["secret"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_list_is_asked_for_within_limits_and_a_cursor_is_good_for_its_own_list() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let admin = administrator(&house).await.secret;
    for name in ["one", "two", "three"] {
        let reply = wire
            .post(&admin, KEYS, json!({ "name": name, "tags": ["x"] }))
            .await
            .ok();
        canary(reply.json()["secret"].as_str().unwrap());
    }
    for (query, status, code) in [
        ("limit=0", 422, "invalid_fields"),
        ("limit=1001", 422, "invalid_fields"),
        ("limit=1000000000", 422, "invalid_fields"),
        ("limit=-1", 422, "invalid_fields"),
        ("limit=abc", 422, "invalid_fields"),
        ("limit=", 422, "invalid_fields"),
        ("limit=1e3", 422, "invalid_fields"),
        ("limit=99999999999999999999999", 422, "invalid_fields"),
        ("limit=1&limit=2", 400, "duplicate_member"),
        ("offset=5", 422, "unknown_parameter"),
        ("sort=secret_hash", 422, "unknown_parameter"),
        ("filter%5Bhash%5D=a", 422, "unknown_parameter"),
        ("text=%ff", 400, "malformed_request"),
        ("state=dead", 422, "invalid_fields"),
        ("owner=ada", 422, "invalid_fields"),
        ("created_by=x", 422, "invalid_fields"),
        ("unused_for=soon", 422, "invalid_fields"),
        ("cursor=", 400, "invalid_cursor"),
        ("cursor=AAAA", 400, "invalid_cursor"),
        ("cursor=..%2F..", 400, "invalid_cursor"),
    ] {
        let reply = wire.get(&admin, &format!("{KEYS}?{query}")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (status, code),
            "{query}"
        );
    }
    let first = wire.get(&admin, &format!("{KEYS}?limit=2&tag=x")).await.ok().json();
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    let second = wire
        .get(&admin, &format!("{KEYS}?limit=2&tag=x&cursor={cursor}"))
        .await
        .ok()
        .json();
    assert_eq!(second["keys"].as_array().unwrap().len(), 1);
    assert_eq!(second["next_cursor"], json!(null));
    let mut forged = cursor.clone().into_bytes();
    forged[3] = if forged[3] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    let operator = &house.operator.secret;
    for (secret, path) in [
        (&admin, format!("{KEYS}?tag=x&cursor={forged}")),
        (&admin, format!("{KEYS}?cursor={cursor}")),
        (&admin, format!("{KEYS}?tag=y&cursor={cursor}")),
        (&admin, format!("/v1/projects/acme/users?cursor={cursor}")),
        (operator, format!("/v1/projects/keyholt/keys?tag=x&cursor={cursor}")),
    ] {
        assert_eq!(wire.get(secret, &path).await.code(), "invalid_cursor", "{path}");
    }
}

#[tokio::test]
async fn a_path_or_method_that_does_not_exist_is_a_problem_too() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let admin = administrator(&house).await.secret;
    for (method, path, status, code, allow) in [
        ("GET", "/nowhere", 404, "no_such_route", ""),
        ("GET", "/v1/../v1/self", 404, "no_such_route", ""),
        ("GET", "/v1/%2e%2e/self", 404, "no_such_route", ""),
        ("GET", "//v1/self", 404, "no_such_route", ""),
        ("GET", "/v1/self/", 404, "no_such_route", ""),
        ("GET", "/v1/self;x=", 404, "no_such_route", ""),
        ("GET", "/v1/projects/acme/keys/%00", 404, "not_found", ""),
        ("GET", "/v1/projects/acme/keys/%ff", 400, "malformed_request", ""),
        ("GET", "/v1/projects/acme/keys/x", 404, "not_found", ""),
        ("GET", "/v1/projects/nobody", 404, "not_found", ""),
        ("DELETE", "/v1/self", 405, "method_not_allowed", "GET,HEAD"),
        ("TRACE", "/v1/self", 405, "method_not_allowed", "GET,HEAD"),
        ("OPTIONS", "/v1/self", 405, "method_not_allowed", "GET,HEAD"),
        ("PUT", KEYS, 405, "method_not_allowed", "GET,HEAD,POST"),
    ] {
        let mut asked = request(method.parse().unwrap(), path, &admin, Body::empty());
        asked
            .headers_mut()
            .insert("origin", HeaderValue::from_static("https://evil.example"));
        let reply = wire.send(asked).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (status, code),
            "{method} {path}"
        );
        assert_eq!(reply.header("allow"), allow, "{method} {path}");
        assert!(
            reply
                .headers
                .keys()
                .all(|name| !name.as_str().starts_with("access-control"))
        );
    }
    let mut disguised = request(Method::GET, "/v1/self", &admin, Body::empty());
    let delete = HeaderValue::from_static("DELETE");
    disguised.headers_mut().insert("x-http-method-override", delete);
    assert_eq!(wire.send(disguised).await.status, 200, "the override is ignored");
    let with_body = request(Method::GET, "/v1/self", &admin, Body::from("not json"));
    assert_eq!(
        wire.send(with_body).await.status,
        200,
        "a body that nobody asked for is ignored"
    );
}

#[tokio::test]
async fn a_repeated_request_makes_one_key_and_shows_its_secret_once() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let admin = administrator(&house).await.secret;
    let create = |request_key: &str, name: &str| {
        let mut request = with_json(Method::POST, KEYS, &admin, json!({ "name": name }));
        let value = HeaderValue::from_str(request_key).unwrap();
        request.headers_mut().insert("idempotency-key", value);
        request
    };
    let first = wire.send(create("r-1", "a")).await.ok().json();
    canary(first["secret"].as_str().unwrap());
    let again = wire.send(create("r-1", "a")).await.ok().json();
    assert_eq!(again["key"]["id"], first["key"]["id"]);
    assert_eq!(
        (&again["secret"], &again["already_revealed"]),
        (&json!(null), &json!(true))
    );
    let other = wire.send(create("r-1", "b")).await;
    assert_eq!(
        (other.status.as_u16(), other.code().as_str()),
        (422, "request_key_reused")
    );
    for bad in ["x".repeat(10_000), "two words".to_owned(), String::new()] {
        let reply = wire.send(create(&bad, "a")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (400, "malformed_request"),
            "{bad:.20}"
        );
    }
    let (one, two) = tokio::join!(wire.send(create("r-2", "c")), wire.send(create("r-2", "c")));
    assert_eq!(one.json()["key"]["id"], two.json()["key"]["id"], "two at once make one");
    for reply in [one, two] {
        if let Some(secret) = reply.ok().json()["secret"].as_str() {
            canary(secret);
        }
    }
}

#[tokio::test]
async fn a_change_that_is_based_on_the_past_is_not_made() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let admin = administrator(&house).await.secret;
    let made = wire.post(&admin, KEYS, json!({ "name": "a" })).await.ok();
    canary(made.json()["secret"].as_str().unwrap());
    assert_eq!(made.header("etag"), "\"1\"");
    let path = made.header("location").to_owned();
    let amend = |etag: &'static str, name: &str| {
        let mut request = with_json(Method::PATCH, &path, &admin, json!({ "name": name }));
        request.headers_mut().insert("if-match", HeaderValue::from_static(etag));
        request
    };
    assert_eq!(wire.send(amend("\"1\"", "b")).await.ok().header("etag"), "\"2\"");
    for (etag, status, code) in [
        ("\"1\"", 412, "precondition_failed"),
        ("W/\"2\"", 412, "precondition_failed"),
        ("2", 400, "malformed_request"),
    ] {
        let reply = wire.send(amend(etag, "c")).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{etag}");
    }
    assert_eq!(wire.get(&admin, &path).await.ok().json()["name"], "b");
    assert_eq!(wire.send(amend("*", "d")).await.ok().header("etag"), "\"3\"");
}

#[tokio::test]
async fn every_answer_carries_an_id_and_is_kept_by_nobody() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    for path in ["/v1/meta", "/livez", "/readyz", "/openapi.json", "/v1/self", "/nowhere"] {
        let mut asked = request(Method::GET, path, "", Body::empty());
        asked
            .headers_mut()
            .insert("x-request-id", HeaderValue::from_static("mine-7"));
        let reply = wire.send(asked).await;
        assert_eq!(reply.header("x-request-id"), "mine-7", "{path}");
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
    }
    for bad in ["two words", "", &"x".repeat(200)] {
        let mut asked = request(Method::GET, "/livez", "", Body::empty());
        asked
            .headers_mut()
            .insert("x-request-id", HeaderValue::from_str(bad).unwrap());
        let id = wire.send(asked).await.header("x-request-id").to_owned();
        assert_eq!(id.len(), 33, "a fresh one instead of `{bad:.20}`");
    }
}
