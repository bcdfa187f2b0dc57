//! Whoever checks tokens by themselves in Rust, as the page about that says, believes what is good and nothing else.

mod page;

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use keyholt_core::owner::Owner;
use keyholt_core::time::Span;
use keyholt_store::Memory;
use serde_json::{Value, json};

use super::stage::{BASE, Stage, claims, part};
use crate::house::{House, Wishes, wish};

const PAGE: &str = include_str!("../../../../../docs/how-to/verify-tokens-offline.md");
const TRIED: &str = include_str!("offline/page.rs");
/// The audience of the page.
const AUDIENCE: &str = "https://orders.example.com";

impl Stage {
    /// A stage in this hour, for `jsonwebtoken` asks the machine what time it is.
    async fn an_hour_ago() -> Self {
        let then = i64::try_from(get_current_timestamp()).unwrap() - 3_600;
        Self::in_house(House::open_at(Arc::new(Memory::new()), then * 1_000).await).await
    }

    /// The keys that an issuer publishes.
    async fn keys(&self, issuer: &str) -> JwkSet {
        let path = format!("{}/.well-known/jwks.json", issuer.strip_prefix(BASE).unwrap());
        serde_json::from_value(self.wire.get("", &path).await.ok().json()).unwrap()
    }

    async fn orders_token(&self) -> String {
        self.token_with(&self.client, &[("audience", AUDIENCE)]).await
    }

    /// What the page's code reads in the list that a token names.
    async fn status_by_the_page(&self, token: &str, keys: &JwkSet) -> u8 {
        // Lists are built at most once a second.
        self.house.advance(Span::secs(1));
        let (uri, idx) = place(token);
        let list = self.list_at(&uri).await;
        page::status(&list, key_of(&list, keys), &self.issuer(), &uri, idx).unwrap()
    }

    async fn list_at(&self, uri: &str) -> String {
        let list = self.wire.get("", uri.strip_prefix(BASE).unwrap()).await.ok();
        String::from_utf8(list.bytes).unwrap()
    }
}

/// The list that a token names, and its place there.
fn place(token: &str) -> (String, usize) {
    let place = &claims(token)["status"]["status_list"];
    let idx = place["idx"].as_u64().unwrap();
    (place["uri"].as_str().unwrap().to_owned(), usize::try_from(idx).unwrap())
}

fn key_of<'a>(text: &str, keys: &'a JwkSet) -> &'a Jwk {
    keys.find(part(text, 0)["kid"].as_str().unwrap()).unwrap()
}

/// Why the page's code does not believe a token.
fn refusal(token: &str, keys: &JwkSet, issuer: &str) -> String {
    let read = page::read(token, keys, issuer);
    read.expect_err("a token that is not to be believed").to_string()
}

#[test]
fn the_rust_of_the_page_is_what_is_tried_here() {
    let tried: String = TRIED
        .lines()
        .map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or(line)))
        .collect();
    let blocks: Vec<&str> = PAGE
        .split("```rust\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 2, "a token and a status list");
    for block in blocks {
        assert!(tried.contains(block), "tests/it/tokens/offline/page.rs has no\n{block}");
    }
}

#[tokio::test]
async fn a_good_token_is_believed_and_an_old_one_or_one_of_another_issuer_is_not() {
    let stage = Stage::an_hour_ago().await;
    let issuer = stage.issuer();
    let expired = stage.orders_token().await;
    stage.house.advance(Span::hours(1));
    let token = stage.orders_token().await;
    let keys = stage.keys(&issuer).await;
    let (read, may) = page::read(&token, &keys, &issuer).unwrap();
    assert_eq!(read.client_id, stage.client.id().to_string());
    assert!(may, "{}", read.scope);

    assert_eq!(refusal(&expired, &keys, &issuer), "ExpiredSignature");
    let elsewhere = stage
        .token_with(&stage.client, &[("audience", "https://else.example.com")])
        .await;
    assert_eq!(refusal(&elsewhere, &keys, &issuer), "InvalidAudience");
    let list = stage.list_at(&place(&token).0).await;
    assert!(refusal(&list, &keys, &issuer).contains("missing field `client_id`"));
    assert_eq!(refusal(&token, &keys, BASE), "InvalidIssuer");

    // Another project of the same service is another issuer, with keys of its own.
    let globex = globex(&stage).await;
    let foreign = stage.token_with(&globex, &[("audience", AUDIENCE)]).await;
    assert_eq!(refusal(&foreign, &keys, &issuer), "unknown key");
    let mut of_both = stage.keys(&format!("{BASE}/projects/{}", globex.key.project)).await;
    of_both.keys.extend(keys.keys);
    assert_eq!(refusal(&foreign, &of_both, &issuer), "InvalidIssuer");
}

/// A client of another project.
async fn globex(stage: &Stage) -> crate::house::Held {
    let (house, olga) = (&stage.house, stage.house.olga());
    let charter = crate::house::charter("globex");
    let globex = house.keeper.found_project(&olga, charter).await.unwrap();
    let hank = house.new_user(globex.id, "hank", &["member"]);
    house.enrol(keyholt_core::commit::Record::User(hank.clone())).await;
    house
        .issue_in(globex.id, wish(Owner::User(hank.id), "hank").scopes(&["orders:read"]))
        .await
}

/// An issuer that signs whatever a test wants signed.
struct Pliant {
    key: EncodingKey,
    keys: JwkSet,
}

const TYPE: Option<&str> = Some("at+jwt");
const KEY: Option<&str> = Some("k");

impl Pliant {
    fn new() -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let key = EncodingKey::from_ec_der(key.to_pkcs8v1().unwrap().as_ref());
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap();
        jwk.common.key_id = KEY.map(str::to_owned);
        Self {
            key,
            keys: JwkSet { keys: vec![jwk] },
        }
    }

    /// Signs a good token or list, but for what is odd about it.
    fn signs(&self, typ: Option<&str>, kid: Option<&str>, odd: Value) -> String {
        let mut claims = json!({
            "iss": BASE, "sub": LIST, "aud": AUDIENCE, "exp": get_current_timestamp() + 300,
            "client_id": "shop", "scope": "orders:read", "status_list": {"bits": 2, "lst": "eNpjYAAAAAIAAQ"},
        });
        for (claim, value) in odd.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        encode(&header(Algorithm::ES256, typ, kid), &claims, &self.key).unwrap()
    }
}

/// Where its status list is.
const LIST: &str = "https://keyholt.example/status-list";

fn header(algorithm: Algorithm, typ: Option<&str>, kid: Option<&str>) -> Header {
    let mut header = Header::new(algorithm);
    (header.typ, header.kid) = (typ.map(str::to_owned), kid.map(str::to_owned));
    header
}

#[test]
fn whatever_the_page_says_to_check_of_a_token_is_checked() {
    let pliant = Pliant::new();
    let (may_read, may_write) = (json!({}), json!({"scope": "orders:write"}));
    for (odd, may) in [(may_read, true), (may_write, false)] {
        let read = page::read(&pliant.signs(TYPE, KEY, odd), &pliant.keys, BASE).unwrap();
        assert_eq!(read.1, may, "{}", read.0.scope);
    }
    let good = json!({});
    for (typ, kid, odd, why) in [
        (Some("JWT"), KEY, good.clone(), "not an access token"),
        (None, KEY, good.clone(), "not an access token"),
        (TYPE, None, good.clone(), "no kid"),
        (TYPE, Some("l"), good.clone(), "unknown key"),
        (TYPE, KEY, json!({"iss": format!("{BASE}/")}), "InvalidIssuer"),
        (TYPE, KEY, json!({"iss": null}), "Missing required claim: iss"),
        (TYPE, KEY, json!({"aud": BASE}), "InvalidAudience"),
        (TYPE, KEY, json!({"aud": null}), "Missing required claim: aud"),
        (TYPE, KEY, json!({"exp": 1}), "ExpiredSignature"),
        (TYPE, KEY, json!({"exp": null}), "Missing required claim: exp"),
    ] {
        assert_eq!(refusal(&pliant.signs(typ, kid, odd), &pliant.keys, BASE), why);
    }
    let secret = EncodingKey::from_secret(b"k").unwrap();
    let otherwise = encode(&header(Algorithm::HS256, TYPE, KEY), &good, &secret).unwrap();
    assert_eq!(refusal(&otherwise, &pliant.keys, BASE), "InvalidAlgorithm");
}

#[test]
fn whatever_the_page_says_to_check_of_a_list_is_checked() {
    let pliant = Pliant::new();
    let typ = Some("statuslist+jwt");
    let read = |typ, odd| page::status(&pliant.signs(typ, KEY, odd), &pliant.keys.keys[0], BASE, LIST, 1);
    assert_eq!(read(typ, json!({})).unwrap(), 0);
    for (typ, odd, why) in [
        (TYPE, json!({}), "not a status list"),
        (typ, json!({"iss": format!("{BASE}/")}), "InvalidIssuer"),
        (typ, json!({"sub": BASE}), "InvalidSubject"),
        (typ, json!({"sub": null}), "Missing required claim: sub"),
        (typ, json!({"exp": 1}), "ExpiredSignature"),
    ] {
        assert_eq!(
            read(typ, odd)
                .expect_err("a list that is not to be believed")
                .to_string(),
            why
        );
    }
}

#[tokio::test]
async fn the_list_says_that_a_token_is_good_and_later_that_it_is_dead() {
    let stage = Stage::an_hour_ago().await;
    let issuer = stage.issuer();
    stage.house.advance(Span::hours(1));
    let token = stage.orders_token().await;
    let keys = stage.keys(&issuer).await;
    assert_eq!(stage.status_by_the_page(&token, &keys).await, 0);
    stage.house.revoke(stage.client.id(), "leaked").await;
    assert_eq!(stage.status_by_the_page(&token, &keys).await, 1);

    let (uri, idx) = place(&token);
    let list = stage.list_at(&uri).await;
    let told = |text: &str, issuer: &str, uri: &str| {
        let status = page::status(text, key_of(text, &keys), issuer, uri, idx);
        status.expect_err("a list that is not to be believed").to_string()
    };
    assert_eq!(told(&list, BASE, &uri), "InvalidIssuer");
    assert_eq!(told(&list, &issuer, &issuer), "InvalidSubject");
    stage.house.advance(Span::secs(1));
    assert!(told(&token, &issuer, &uri).starts_with("JSON error: missing field `status_list`"));
}
