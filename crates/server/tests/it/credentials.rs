//! Credentials, each way of getting them wrong: one refusal for all, and no second spelling of a key.

use axum::body::Body;
use http::{HeaderValue, Method, Request};
use keyholt_core::key::{Allowed, Bounds};
use keyholt_core::owner::Owner;
use keyholt_core::time::Span;

use crate::house::{House, Wishes, wish};
use crate::wire::{Reply, Wire, administrator, request};

fn with_headers(path: &str, headers: &[(&'static str, &[u8])]) -> Request<Body> {
    let mut request = request(Method::GET, path, "", Body::empty());
    for (name, value) in headers {
        request
            .headers_mut()
            .append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    request
}

fn bearer(credential: impl AsRef<[u8]>) -> Request<Body> {
    let value = [b"Bearer ", credential.as_ref()].concat();
    with_headers("/v1/self", &[("authorization", &value)])
}

/// A secret with other text but the right check.
fn forged(body: &str) -> String {
    let symbols: Vec<char> = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        .chars()
        .collect();
    let mut crc = crc32(body.as_bytes());
    let mut check = Vec::new();
    for _ in 0..6 {
        check.insert(0, symbols[(crc % 62) as usize]);
        crc /= 62;
    }
    format!("{body}{}", check.into_iter().collect::<String>())
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

#[tokio::test]
async fn whatever_is_shown_instead_of_a_key_is_refused_in_the_same_words() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let good = administrator(&house).await.secret;
    let (start, last) = good.split_at(good.len() - 1);
    let swapped: String = good
        .char_indices()
        .map(|(at, c)| match at {
            20 if c.is_ascii_lowercase() => c.to_ascii_uppercase(),
            20 if c.is_ascii_uppercase() => c.to_ascii_lowercase(),
            20 => 'x',
            _ => c,
        })
        .collect();
    let bodied = &good[..good.len() - 6];
    let mut wrong: Vec<Vec<u8>> = [
        format!(" {good}"),
        format!("{good}x"),
        start.to_owned(),
        format!("{start}{last}{last}"),
        swapped,
        forged(&format!("acme_{}", "A".repeat(32))),
        forged(&bodied.replace("acme_", "other_")),
        "ghp_0123456789012345678901234567890123456".to_owned(),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.".to_owned(),
        "' OR '1'='1".to_owned(),
        r#"{"$ne":null}"#.to_owned(),
        "../../etc/passwd".to_owned(),
        "${jndi:ldap://x}".to_owned(),
        format!("{good}%00"),
        format!("{good}%0a"),
        "x".repeat(600),
    ]
    .map(String::into_bytes)
    .into();
    wrong.push(good.replace('a', "а").into_bytes()); // a Cyrillic а
    wrong.push([good.as_bytes(), b"\xff"].concat());
    wrong.push([good.as_bytes(), "\u{200B}".as_bytes()].concat());
    let expected = wire.send(bearer("nonsense")).await;
    for credential in wrong {
        let reply = wire.send(bearer(&credential)).await;
        assert_same(&reply, &expected, &String::from_utf8_lossy(&credential));
    }
    assert_eq!(expected.code(), "invalid_credential");
    assert_eq!(
        expected.header("www-authenticate"),
        r#"Bearer realm="keyholt", error="invalid_token""#
    );
}

#[tokio::test]
async fn a_stranger_is_not_told_why_a_key_does_not_work() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let bob = house.user("bob").await;
    let key = || wish(Owner::User(bob.id), "key").everything();
    let (revoked, suspended, deleted, expired) = (
        house.issue(key()).await,
        house.issue(key()).await,
        house.issue(key()).await,
        house.issue(key().lasting(Span::hours(1))).await,
    );
    let (operator, acme) = (house.olga(), house.project());
    let cause = keyholt_core::text::Cause::new("tidying").unwrap();
    let keeper = &house.keeper;
    keeper
        .revoke_key(&operator, acme, revoked.id(), cause, None)
        .await
        .unwrap();
    keeper
        .suspend_key(&operator, acme, suspended.id(), None, None)
        .await
        .unwrap();
    keeper
        .delete_key(&operator, acme, deleted.id(), None, None)
        .await
        .unwrap();
    house.advance(Span::hours(1));
    let orphan = house.issue(key()).await;
    keeper
        .suspend_owner(&operator, acme, Owner::User(bob.id), None, None)
        .await
        .unwrap();
    let expected = wire.send(bearer("nonsense")).await;
    for held in [revoked, suspended, deleted, expired, orphan] {
        let reply = wire.send(bearer(&held.secret)).await;
        assert_same(&reply, &expected, "a key that does not work");
    }
}

/// Two refusals must not differ but for their request ids.
fn assert_same(reply: &Reply, expected: &Reply, what: &str) {
    let bare = |reply: &Reply| {
        let mut headers = reply.headers.clone();
        let id = headers.remove("x-request-id").unwrap();
        let body = String::from_utf8(reply.bytes.clone()).unwrap();
        (reply.status, headers, body.replace(id.to_str().unwrap(), "id"))
    };
    assert_eq!(bare(reply), bare(expected), "{what}");
}

#[tokio::test]
async fn a_request_carries_one_credential_in_a_header_or_is_told_so() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let good = administrator(&house).await.secret;
    let bearer = format!("Bearer {good}");
    let bearer = bearer.as_bytes();
    let twice = format!("Bearer {good}, Bearer {good}");
    let basic = format!("Basic {good}");
    let tabbed = format!("Bearer\t{good}");
    let lower = format!("bearer {good}");
    let upper = format!("BEARER {good}");
    let rows: Vec<(&str, Request<Body>, u16, &str)> = vec![
        (
            "no credential",
            with_headers("/v1/self", &[]),
            401,
            "credential_required",
        ),
        (
            "empty",
            with_headers("/v1/self", &[("authorization", b"")]),
            401,
            "credential_required",
        ),
        (
            "scheme alone",
            with_headers("/v1/self", &[("authorization", b"Bearer")]),
            401,
            "credential_required",
        ),
        (
            "scheme and space",
            with_headers("/v1/self", &[("authorization", b"Bearer ")]),
            401,
            "credential_required",
        ),
        (
            "tab",
            with_headers("/v1/self", &[("authorization", tabbed.as_bytes())]),
            401,
            "invalid_credential",
        ),
        (
            "Basic",
            with_headers("/v1/self", &[("authorization", basic.as_bytes())]),
            401,
            "invalid_credential",
        ),
        (
            "two headers",
            with_headers("/v1/self", &[("authorization", bearer), ("authorization", bearer)]),
            400,
            "multiple_credentials",
        ),
        (
            "two in one",
            with_headers("/v1/self", &[("authorization", twice.as_bytes())]),
            400,
            "multiple_credentials",
        ),
        (
            "two kinds",
            with_headers("/v1/self", &[("authorization", bearer), ("x-api-key", good.as_bytes())]),
            400,
            "multiple_credentials",
        ),
        (
            "in the query",
            with_headers("/v1/self?api_key=x", &[]),
            400,
            "token_in_url",
        ),
        (
            "in the query too",
            with_headers("/v1/self?access_token=x", &[("authorization", bearer)]),
            400,
            "token_in_url",
        ),
        (
            "in the query of nothing",
            with_headers("/nowhere?token=x", &[]),
            400,
            "token_in_url",
        ),
        (
            "in the query of a page",
            with_headers("/docs?token=x", &[]),
            400,
            "token_in_url",
        ),
    ];
    for (what, request, status, code) in rows {
        let reply = wire.send(request).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (status, code), "{what}");
    }
    for (what, headers) in [
        ("lower", ("authorization", lower.as_bytes())),
        ("upper", ("authorization", upper.as_bytes())),
        ("header", ("x-api-key", good.as_bytes())),
    ] {
        let reply = wire.send(with_headers("/v1/self", &[headers])).await;
        assert_eq!(reply.status, 200, "{what}");
    }
    let none = wire.send(with_headers("/v1/self", &[])).await;
    assert_eq!(none.header("www-authenticate"), r#"Bearer realm="keyholt""#);
}

#[tokio::test]
async fn a_bound_key_works_from_its_network_and_a_header_moves_nobody() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let bob = house.user("bob").await;
    let network = "198.51.100.0/24".parse().unwrap();
    let bounds = Bounds {
        networks: Allowed::only(vec![network]).unwrap(),
        ..Bounds::default()
    };
    let held = house
        .issue(wish(Owner::User(bob.id), "bound").everything().bound(bounds))
        .await;
    let from = |peer: &str, forwarded: &'static str| {
        let mut request = crate::wire::from(bearer(&held.secret), peer);
        request
            .headers_mut()
            .insert("x-forwarded-for", HeaderValue::from_static(forwarded));
        request
    };
    let stranger = wire.send(from("192.0.2.7", "198.51.100.9")).await;
    assert_eq!(
        (stranger.status.as_u16(), stranger.code().as_str()),
        (403, "address_not_allowed")
    );
    assert_eq!(wire.send(from("10.0.0.1", "198.51.100.9")).await.status, 200);
    assert_eq!(wire.send(from("10.0.0.1", "198.51.100.9, 192.0.2.9")).await.status, 403);
    assert_eq!(wire.send(from("198.51.100.9", "192.0.2.9")).await.status, 200);
}
