//! Every way of showing a credential, on every operation: the verdict hangs on who it is and what is asked, not on the way.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{Method, Request};
use keyholt_core::id::UserId;
use keyholt_core::owner::Owner;
use keyholt_server::http::Operation;
use keyholt_store::{Memory, Store};
use serde_json::Value;

use super::{Village, needing_a_key};
use crate::house::{Wishes, canary, wish};
use crate::people::{STAPLE, in_cookie, typed};
use crate::tokens::stage::{self, basic, encoded, posted};
use crate::wire::{Reply, Wire};

/// A way of showing who one is: its name, and the header.
type Shown = (&'static str, (&'static str, String));

impl Village {
    /// The ways in which somebody shows who it is. Only users log in, so only they have a cookie.
    async fn shown(&self, owner: Owner) -> Vec<Shown> {
        // Not the key that requests are about: what is done to that one must not be done to who asks.
        let key = self.house.issue(wish(owner, "who asks").everything()).await;
        let form = encoded(&[("grant_type", "client_credentials")]);
        let client = basic(&key.id().to_string(), &key.secret);
        let reply = self.wire.send(posted("/oauth/token", Some(&client), &form)).await;
        let token = stage::kept(reply.ok());
        let mut ways = vec![
            ("bearer", ("authorization", format!("Bearer {}", key.secret))),
            ("header", ("x-api-key", key.secret.clone())),
            ("token", ("authorization", format!("Bearer {token}"))),
        ];
        if let Owner::User(user) = owner {
            ways.push(("cookie", ("cookie", self.cookie_of(user).await)));
        }
        ways
    }

    async fn cookie_of(&self, user: UserId) -> String {
        let (keeper, olga, project) = (&self.house.keeper, self.house.olga(), self.house.project());
        keeper.set_password(&olga, project, user, &typed(STAPLE)).await.unwrap();
        let record = keeper.owner(&olga, project, Owner::User(user)).unwrap();
        let logged_in = self.house.log_in(record.handle().unwrap(), STAPLE, in_cookie());
        format!("__Host-keyholt_session={}", logged_in.await.unwrap().secret)
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

/// How many operations were done, and how many refused, when every way of showing who asks was tried with each.
struct Tried {
    opened: usize,
    refused: usize,
}

/// Asks for everything in every way. The verdict must be the same, but that a token or a cookie may be less than its key.
async fn tried_in_every_way(template: &Village, owner: Owner) -> Tried {
    let shown = template.shown(owner).await;
    let mut tried = Tried { opened: 0, refused: 0 };
    for operation in needing_a_key() {
        let mut first = None;
        for (way, shown) in &shown {
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
            tried.opened += usize::from(verdict.0 < 300);
            tried.refused += usize::from(matches!(verdict.0, 403 | 404));
        }
    }
    tried
}

#[tokio::test]
async fn no_way_of_showing_a_users_credential_opens_more_than_another() {
    let template = Village::open().await;
    let ada = template.adas.key.owner;
    let Tried { opened, refused } = tried_in_every_way(&template, ada).await;
    assert!(opened > 20 && refused > 5, "{opened} opened, {refused} refused");
}

#[tokio::test]
async fn no_way_of_showing_a_services_credential_opens_more_than_another() {
    let template = Village::open().await;
    let deploy = template.house.service("deploy", "admin").await;
    let Tried { opened, refused } = tried_in_every_way(&template, Owner::Service(deploy.id)).await;
    assert!(opened > 60 && refused > 5, "{opened} opened, {refused} refused");
}

#[tokio::test]
async fn no_way_of_showing_a_teams_credential_opens_more_than_another() {
    let template = Village::open().await;
    let crew = template.house.team("crew", vec![]).await;
    let Tried { opened, refused } = tried_in_every_way(&template, Owner::Team(crew.id)).await;
    assert!(opened > 5 && refused > 60, "{opened} opened, {refused} refused");
}
