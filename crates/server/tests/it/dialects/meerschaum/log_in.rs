//! Meerschaum's people log in, by password and with a token.

use axum::body::Body;
use http::Method;
use keyholt_server::dialects::Meerschaum;
use serde_json::{Value, json};

use super::{as_ada, complaint, register, registered, send};
use crate::dialects::village::{Complaint, Village};
use crate::house::canary;
use crate::wire::{Reply, request};

const PASSWORD: &str = "a holt is a den, this one is for keys";

async fn log_in(village: &Village, form: &str) -> Reply {
    let reply = village
        .wire
        .send(request(Method::POST, "/login", "", Body::from(form.to_owned())))
        .await;
    if reply.status.is_success() {
        register(&reply);
    }
    reply
}

fn encoded(text: &str) -> String {
    text.replace(' ', "+").replace(',', "%2C")
}

#[tokio::test]
async fn a_log_in_by_password_gives_a_token_that_the_end_of_the_session_reaches_at_once() {
    canary(PASSWORD);
    let village = Village::open(&Meerschaum).await;
    let typed = keyholt_core::password::Typed::read(PASSWORD).unwrap();
    let (house, olga) = (&village.house, village.house.olga());
    let set = house
        .keeper
        .set_password(&olga, house.project(), village.ada.id, &typed);
    set.await.unwrap();
    let good = format!("username=ada&password={}", encoded(PASSWORD));
    for bad in [
        "username=ada&password=a+holt+is+a+den%2C+this+one+is+for+kegs".to_owned(),
        format!("username=nobody&password={}", encoded(PASSWORD)),
        "username=ada&password=".to_owned(),
        "username=ada&grant_type=password".to_owned(),
        json!({"username": "ada", "password": PASSWORD}).to_string(),
        String::new(),
    ] {
        let reply = log_in(&village, &bad).await;
        assert_eq!(complaint(&reply), Complaint::NotKnown, "{bad}");
        assert_eq!(reply.json()["detail"], "Invalid credentials", "{bad}");
    }
    let reply = log_in(&village, &format!("{good}&grant_type=implicit")).await;
    assert_eq!((complaint(&reply), reply.status.as_u16()), (Complaint::Wrong, 422));

    let reply = log_in(&village, &good).await.ok().json();
    assert_eq!(reply["token_type"], "bearer");
    let expires = reply["expires"].as_str().unwrap();
    assert_eq!(
        (expires.len(), &expires[..11]),
        (26, "2030-01-01T"),
        "naive, and always with a fraction"
    );
    let bearer = format!("Bearer {}", reply["access_token"].as_str().unwrap());
    let made = send(
        &village,
        &bearer,
        Method::POST,
        "/tokens/register",
        json!({"label": "by password"}),
    )
    .await;
    let made = made.ok().json();
    assert_eq!(made["expiration"], Value::Null, "a person hands on without an end");
    let own = send(&village, &bearer, Method::GET, "/users/ada/id", Value::Null)
        .await
        .ok();
    assert_eq!(own.json(), json!(village.ada.id));

    let cause = keyholt_core::text::Cause::new("lost laptop").unwrap();
    let owner = keyholt_core::owner::Owner::User(village.ada.id);
    house
        .keeper
        .end_sessions(&olga, house.project(), owner, cause)
        .await
        .unwrap();
    let reply = send(&village, &bearer, Method::GET, "/users/me", Value::Null).await;
    assert_eq!(complaint(&reply), Complaint::NotKnown);
}

#[tokio::test]
async fn a_log_in_with_a_token_gives_its_scopes_and_dies_with_it() {
    let village = Village::open(&Meerschaum).await;
    let token = registered(
        &village,
        json!({"label": "sensor", "scopes": ["users:read", "pipes:read"]}),
    )
    .await;
    let (id, secret) = (token["id"].as_str().unwrap(), token["secret"].as_str().unwrap());
    let form = format!("client_id={id}&client_secret={secret}");
    for bad in [
        format!("client_id={}&client_secret={secret}", village.target.id()),
        format!("client_id=ada&client_secret={secret}"),
        format!("client_id={id}&client_secret=x{secret}"),
        format!("client_id={id}"),
    ] {
        let reply = log_in(&village, &bad).await;
        assert_eq!(complaint(&reply), Complaint::NotKnown, "{bad}");
        assert_eq!(reply.json()["detail"], "Invalid credentials");
    }
    let by_header = send(
        &village,
        token["api_key"].as_str().unwrap(),
        Method::POST,
        "/login",
        Value::Null,
    )
    .await;
    by_header.ok();
    let narrow = log_in(&village, &format!("{form}&scope=pipes:read")).await.ok().json();
    let bearer = format!("Bearer {}", narrow["access_token"].as_str().unwrap());
    let reply = send(&village, &bearer, Method::GET, "/users/ada/id", Value::Null).await;
    assert_eq!(complaint(&reply), Complaint::NotAllowed);
    let wide = log_in(&village, &format!("{form}&scope=pipes:write")).await;
    assert_eq!(
        complaint(&wide),
        Complaint::NotAllowed,
        "never more than the token itself"
    );

    let whole = log_in(&village, &form).await.ok().json();
    let bearer = format!("Bearer {}", whole["access_token"].as_str().unwrap());
    send(&village, &bearer, Method::GET, "/users/ada/id", Value::Null)
        .await
        .ok();
    as_ada(&village, Method::POST, &format!("/tokens/{id}/invalidate"), Value::Null)
        .await
        .ok();
    let reply = send(&village, &bearer, Method::GET, "/users/ada/id", Value::Null).await;
    assert_eq!(
        complaint(&reply),
        Complaint::NotKnown,
        "invalidation reaches what the token has made"
    );
    assert_eq!(complaint(&log_in(&village, &form).await), Complaint::NotKnown);
}
