//! Guessing: whoever shows too many wrong credentials is told to wait, and nobody else is.

use axum::body::Body;
use http::{Method, Request};
use keyholt_core::owner::Owner;
use keyholt_core::time::Span;
use keyholt_store::Memory;
use serde_json::json;

use crate::house::{GUESSES, House, Wishes, canary, keeper_on, source, wish};
use crate::relay::Relay;
use crate::wire::{PEER, Reply, Wire, administrator, from, request, with_json};

/// Each way of being wrong: nonsense, a text with the right check, a key that stopped.
async fn wrong(house: &House) -> Vec<String> {
    let owner = Owner::User(house.user("mallory").await.id);
    let revoked = house.issue(wish(owner, "revoked").scopes(&[])).await;
    house.revoke(revoked.id(), "x").await;
    let deleted = house.issue(wish(owner, "deleted").scopes(&[])).await;
    house.delete(deleted.id()).await;
    vec!["nonsense".to_owned(), revoked.secret, deleted.secret]
}

fn ask(secret: &str) -> Request<Body> {
    request(Method::GET, "/v1/self", secret, Body::empty())
}

/// Guesses until the allowance is used up.
async fn use_up(wire: &Wire, guesses: &[String], peer: &str) {
    for guess in guesses
        .iter()
        .cycle()
        .take(GUESSES.per_minute.get().try_into().unwrap())
    {
        let reply = wire.send(from(ask(guess), peer)).await;
        assert_eq!(reply.code(), "invalid_credential");
    }
}

fn assert_waits(reply: &Reply) {
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (429, "too_many_requests")
    );
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(
        reply.header("www-authenticate"),
        "",
        "nobody is invited to show another one"
    );
}

#[tokio::test]
async fn too_many_wrong_credentials_from_one_source_are_told_to_wait_and_good_ones_are_not() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let ada = administrator(&house).await;
    let verifier = house.verifier().await;
    let guesses = wrong(&house).await;
    use_up(&wire, &guesses, PEER).await;

    for guess in &guesses {
        assert_waits(&wire.send(ask(guess)).await);
        let asked = json!({"credential": ada.secret});
        assert_waits(&wire.post(guess, "/v1/verify", asked.clone()).await);
        assert_waits(
            &wire
                .call(Method::DELETE, guess, "/v1/projects/acme/users/ada", asked)
                .await,
        );
    }
    wire.get(&ada.secret, "/v1/self").await.ok();
    wire.post(&verifier.secret, "/v1/verify", json!({"credential": ada.secret}))
        .await
        .ok();
    // Elsewhere nobody has guessed yet.
    let elsewhere = wire.send(from(ask(&guesses[0]), "192.0.2.8")).await;
    assert_eq!(elsewhere.code(), "invalid_credential");

    house.advance(Span::secs(1));
    let paid = wire.send(ask(&guesses[0])).await;
    assert_eq!(paid.code(), "invalid_credential", "time has paid off a guess");
}

#[tokio::test]
async fn the_addresses_of_one_ipv6_subscriber_are_one_source() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let guesses = wrong(&house).await;
    use_up(&wire, &guesses, "2001:db8::1").await;
    assert_waits(&wire.send(from(ask("nonsense"), "2001:db8::ffff:2")).await);
    let neighbour = wire.send(from(ask("nonsense"), "2001:db8:0:1::1")).await;
    assert_eq!(neighbour.code(), "invalid_credential");
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_is_a_source_of_its_own() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let behind = |client: &'static str| {
        let mut request = from(ask("nonsense"), "10.0.0.1");
        request.headers_mut().insert("x-forwarded-for", client.parse().unwrap());
        request
    };
    for _ in 0..GUESSES.per_minute.get() {
        wire.send(behind("198.51.100.1")).await;
    }
    assert_waits(&wire.send(behind("198.51.100.1")).await);
    assert_eq!(wire.send(behind("198.51.100.2")).await.code(), "invalid_credential");
}

#[tokio::test]
async fn what_an_admitted_verifier_asks_about_is_no_guess_of_its_own() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let verifier = house.verifier().await;
    let guesses = wrong(&house).await;
    for guess in guesses
        .iter()
        .cycle()
        .take(2 * usize::try_from(GUESSES.per_minute.get()).unwrap())
    {
        let asked = wire
            .post(&verifier.secret, "/v1/verify", json!({"credential": guess}))
            .await;
        assert_eq!(asked.ok().json()["valid"], false);
    }
    assert_eq!(wire.send(ask("nonsense")).await.code(), "invalid_credential");
}

#[tokio::test]
async fn who_shows_nothing_or_comes_from_the_wrong_place_does_not_guess() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    for _ in 0..2 * GUESSES.per_minute.get() {
        assert_eq!(wire.get("", "/v1/self").await.code(), "credential_required");
    }
    assert_eq!(wire.send(ask("nonsense")).await.code(), "invalid_credential");
}

#[tokio::test]
async fn guesses_ask_no_store_and_leave_nothing_in_the_trail() {
    let line = Relay::new().lone();
    let house = House::open_on(line.clone()).await;
    let wire = Wire::to(&house.keeper);
    let guesses = wrong(&house).await;
    let before = line.calls();
    use_up(&wire, &guesses, PEER).await;
    for guess in &guesses {
        assert_waits(&wire.send(ask(guess)).await);
    }
    assert_eq!(line.calls(), before);
}

#[tokio::test]
async fn the_set_up_token_is_guessed_no_better_than_a_key() {
    let clock = std::sync::Arc::new(keyholt_server::clock::FakeClock::at(crate::house::NEW_YEAR));
    let keeper = keeper_on(std::sync::Arc::new(Memory::new()), clock, 5).await;
    let keyholt_server::keeper::FirstStart::Token(token) = keeper.start(source()).await.unwrap() else {
        panic!("set up already")
    };
    let token = token.reveal();
    canary(&token);
    let wire = Wire::to(&keeper);
    let try_with = |token: &str| {
        let body = json!({"token": token, "name": "Olga"});
        with_json(Method::POST, "/v1/setup", "", body)
    };
    for _ in 0..GUESSES.per_minute.get() {
        assert_eq!(wire.send(try_with("khsetup_x")).await.code(), "setup_token_invalid");
    }
    assert_waits(&wire.send(try_with("khsetup_x")).await);
    let made = wire.send(try_with(&token)).await.ok().json();
    canary(made["secret"].as_str().unwrap());
}
