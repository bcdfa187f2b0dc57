//! What stories of tokens share: a client, its requests, and tokens taken apart.

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, Request};
use keyholt_core::owner::Owner;
use serde_json::Value;

use crate::house::{Held, House, Wishes, canary, wish};
use crate::wire::{Reply, Wire};

/// What `keyholt.example` says of itself.
pub const BASE: &str = "https://keyholt.example";

/// A house with a client in it: a service's key that may read and write orders.
pub struct Stage {
    pub house: House,
    pub wire: Wire,
    pub client: Held,
    /// A key that may verify.
    pub verifier: Held,
}

impl Stage {
    pub async fn open() -> Self {
        Self::in_house(House::open().await).await
    }

    pub async fn in_house(house: House) -> Self {
        let wire = Wire::to(&house.keeper);
        let service = house.service("shop", "member").await;
        let client = house
            .issue(wish(Owner::Service(service.id), "shop").scopes(&["orders:read", "orders:write"]))
            .await;
        let verifier = house.verifier().await;
        Self {
            house,
            wire,
            client,
            verifier,
        }
    }

    /// The name of the project as an issuer.
    pub fn issuer(&self) -> String {
        format!("{BASE}/projects/{}", self.house.project())
    }

    /// Posts a form to the token endpoint, as this client.
    pub async fn ask(&self, client: &Held, form: &[(&str, &str)]) -> Reply {
        self.post(
            "/oauth/token",
            Some(&basic(&client.id().to_string(), &client.secret)),
            form,
        )
        .await
    }

    /// Posts a form.
    pub async fn post(&self, path: &str, authorization: Option<&str>, form: &[(&str, &str)]) -> Reply {
        self.wire.send(posted(path, authorization, &encoded(form))).await
    }

    /// A token for this client, all that it may have.
    pub async fn token(&self, client: &Held) -> String {
        self.token_with(client, &[]).await
    }

    /// A token for this client.
    pub async fn token_with(&self, client: &Held, wishes: &[(&str, &str)]) -> String {
        let form: Vec<_> = [("grant_type", "client_credentials")]
            .into_iter()
            .chain(wishes.iter().copied())
            .collect();
        kept(self.ask(client, &form).await.ok())
    }

    /// What a verifier of the project is told about a credential.
    pub async fn verdict(&self, credential: &str, scopes: &[&str]) -> Value {
        let body = serde_json::json!({"credential": credential, "scopes": scopes});
        self.wire
            .post(&self.verifier.secret, "/v1/verify", body)
            .await
            .ok()
            .json()
    }

    /// The code of that verdict.
    pub async fn code(&self, credential: &str) -> String {
        self.verdict(credential, &[]).await["code"].as_str().unwrap().to_owned()
    }
}

/// The access token of an answer, registered with the last gate.
pub fn kept(reply: Reply) -> String {
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    canary(&token);
    token
}

/// A request with a form.
pub fn posted(path: &str, authorization: Option<&str>, form: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("content-type", "application/x-www-form-urlencoded");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.body(Body::from(form.to_owned())).unwrap()
}

/// A form, percent-encoded.
pub fn encoded(form: &[(&str, &str)]) -> String {
    let pairs: Vec<_> = form
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect();
    pairs.join("&")
}

/// A text as forms have it.
pub fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// An `Authorization` of the scheme Basic.
pub fn basic(id: &str, secret: &str) -> String {
    format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{}", escaped(id), escaped(secret)))
    )
}

/// One part of a token, decoded: 0 is the header, 1 the claims.
pub fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The claims of a token.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

/// What the OAuth endpoints say went wrong: status and word.
pub fn error(reply: &Reply) -> (u16, String) {
    assert_eq!(reply.header("content-type"), "application/json", "{reply:?}");
    let word = reply.json()["error"].as_str().unwrap().to_owned();
    (reply.status.as_u16(), word)
}
