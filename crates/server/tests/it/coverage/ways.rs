//! Every way of showing a credential, on every operation: the verdict hangs on who it is and what is asked, not on the way.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Method, Request};
use keyholt_core::id::UserId;
use keyholt_core::owner::OwnerKind;
use keyholt_server::http::Operation;
use keyholt_store::{Memory, Store};
use serde_json::Value;

use super::{Village, needing_a_key};
use crate::house::{Wishes, canary, source, wish};
use crate::people::{STAPLE, in_cookie, kept, typed};
use crate::tokens::stage::{self, basic, encoded, posted};
use crate::wire::{Reply, Wire};

/// The ways of showing who one is.
const WAYS: [&str; 4] = ["bearer", "header", "token", "cookie"];

/// Who asks, by the name of the user: a member, who may do some things and not others.
const WHO: &str = "ada";

impl Village {
    /// The headers in which somebody shows who it is, in each of the ways.
    async fn shown(&self, person: &str) -> [(&'static str, String); 4] {
        let (keeper, project) = (&self.house.keeper, self.house.project());
        let owner = keeper.owner_named(project, OwnerKind::User, person).unwrap();
        // Not the key that requests are about: what is done to that one must not be done to who asks.
        let key = self.house.issue(wish(owner, "who asks").everything()).await;
        let form = encoded(&[("grant_type", "client_credentials")]);
        let client = basic(&key.id().to_string(), &key.secret);
        let reply = self.wire.send(posted("/oauth/token", Some(&client), &form)).await;
        let token = stage::kept(reply.ok());
        let user = UserId::from_uuid(owner.uuid());
        let olga = self.house.olga();
        keeper.set_password(&olga, project, user, &typed(STAPLE)).await.unwrap();
        let password = typed(STAPLE);
        let logged_in = keeper.log_in(project, person, &password, in_cookie(), source());
        let session = kept(logged_in.await.unwrap()).secret;
        [
            ("authorization", format!("Bearer {}", key.secret)),
            ("x-api-key", key.secret.clone()),
            ("authorization", format!("Bearer {token}")),
            ("cookie", format!("__Host-keyholt_session={session}")),
        ]
    }

    /// Another village with the same in it.
    async fn again(&self) -> Self {
        let mut lines = Vec::new();
        self.house.store.dump(&mut |line| lines.push(line)).await.unwrap();
        let store = Arc::new(Memory::new());
        store.fill(lines).await.unwrap();
        let house = self.house.beside(store).await;
        Self {
            wire: Wire::to(&house.keeper),
            house,
            adas: self.adas.clone(),
            idle: self.idle.clone(),
            stranger: self.stranger.clone(),
            session: Mutex::default(),
            token: Mutex::default(),
            backend: self.backend.clone(),
        }
    }

    async fn ask_in(&self, operation: &Operation, (name, value): &(&'static str, String)) -> Reply {
        let (path, body) = self.example(operation);
        let method: Method = operation.method.parse().unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "keys.example.org")
            .header("origin", "https://keys.example.org")
            .header(*name, value);
        let request = match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.wire.send(request.unwrap()).await
    }
}

/// What was answered: the status, and the code of a refusal.
fn verdict(reply: &Reply) -> (u16, String) {
    let status = reply.status.as_u16();
    if status >= 400 {
        (status, reply.code())
    } else {
        (status, String::new())
    }
}

#[tokio::test]
async fn no_way_of_showing_a_credential_opens_more_than_another() {
    let template = Village::open().await;
    let shown = template.shown(WHO).await;
    let (mut opened, mut refused) = (0, 0);
    for operation in needing_a_key() {
        let mut first = None;
        for (way, shown) in WAYS.iter().zip(&shown) {
            // What one way did must not be in the way of the next.
            let village = template.again().await;
            // Sessions are prepared by logging in, which is dear; here there is one already.
            if !operation.id.contains("session") && operation.id != "change_password" {
                village.prepare(operation).await;
            }
            let reply = village.ask_in(operation, shown).await;
            if let Ok(json) = serde_json::from_slice::<Value>(&reply.bytes) {
                for secret in ["secret", "token"].iter().filter_map(|name| json[name].as_str()) {
                    canary(secret);
                }
            }
            let verdict = verdict(&reply);
            let bearer = first.get_or_insert_with(|| verdict.clone());
            let what = format!("{} by {way}", operation.id);
            let differs = verdict != *bearer;
            let may_differ = matches!(*way, "token" | "cookie") && matches!(verdict.0, 401 | 403 | 404);
            assert!(!differs || may_differ, "{what}: {verdict:?}, and not {bearer:?}");
            opened += usize::from(verdict.0 < 300);
            refused += usize::from(matches!(verdict.0, 403 | 404));
        }
    }
    assert!(opened > 20 && refused > 5, "{opened} opened, {refused} refused");
}
