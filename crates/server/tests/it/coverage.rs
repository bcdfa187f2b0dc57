//! Every operation of the contract: who may not do it, who may, and what it leaves in the audit trail.
//!
//! An operation that has no request here fails the suite, and so does one that the contract does not have.

mod attempts;
mod members;
mod ways;

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use keyholt_core::audit::{Event, Noun};
use keyholt_core::found::Charter;
use keyholt_core::id::{KeyId, ProjectId, SYSTEM, UserId};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::secret::Prefix;
use keyholt_core::text::{Name, Slug};
use keyholt_core::token::Wished;
use keyholt_server::http::{Needs, Operation, operations};
use keyholt_store::{DumpLine, Touched};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{Held, House, Wishes, canary, in_short, source, wish};
use crate::people::{In, KETTLE, STAPLE, kept, tokens, typed};
use crate::tokens::stage::{self, basic, encoded, posted};
use crate::wire::{Reply, Wire};

/// A house in which there is one of everything.
struct Village {
    house: House,
    wire: Wire,
    /// Ada's key, which every request about a key is about.
    adas: Held,
    /// A key of the project that may do nothing.
    idle: Held,
    /// An administrator's key of another project.
    stranger: Held,
    /// A session that was prepared, and its refresh token.
    session: std::sync::Mutex<Option<In>>,
    /// An access token of Ada's key, once there is one.
    token: std::sync::Mutex<String>,
    /// The key of a back end, which may start component sessions.
    backend: Held,
}

impl Village {
    async fn open() -> Self {
        let house = House::open().await;
        let wire = Wire::to(&house.keeper);
        let ada = house.user_with("ada", &["member"]).await;
        house.user_with("bob", &["member"]).await;
        house.team("platform", vec![]).await;
        house.service("ci", "member").await;
        let adas = house.issue(wish(Owner::User(ada.id), "laptop").everything()).await;
        let idle = house.issue(wish(Owner::User(ada.id), "idle")).await;
        let carl = house.user_with("carl", &["admin"]).await;
        let backend = house.issue(wish(Owner::User(carl.id), "back end").everything()).await;
        let admin = house.olga();
        let charter = Charter {
            slug: Slug::new("globex").unwrap(),
            name: Name::new("Globex").unwrap(),
            prefix: Prefix::new("globex").unwrap(),
        };
        let globex = house.keeper.found_project(&admin, charter).await.unwrap();
        let operator = &house.operator.secret;
        let hank = json!({"external_id": "hank", "roles": ["admin"]});
        wire.post(operator, "/v1/projects/globex/users", hank).await.ok();
        let key = json!({"name": "hank", "owner": {"user": "hank"}, "scopes": "everything"});
        let made = wire.post(operator, "/v1/projects/globex/keys", key).await.ok().json();
        let secret = made["secret"].as_str().unwrap().to_owned();
        canary(&secret);
        let id = made["key"]["id"].as_str().unwrap().parse().unwrap();
        let view = house.keeper.key(&admin, globex.id, id).await.unwrap();
        let role = json!({"name": "reader", "scopes": ["a:read"]});
        wire.post(operator, "/v1/projects/acme/roles", role).await.ok();
        Self {
            stranger: Held { key: view.key, secret },
            session: std::sync::Mutex::default(),
            token: std::sync::Mutex::default(),
            backend,
            house,
            wire,
            adas,
            idle,
        }
    }

    /// A request that is right in everything but, perhaps, who makes it.
    async fn ask(&self, operation: &Operation, secret: &str) -> Reply {
        let (path, body) = self.example(operation);
        let method: Method = operation.method.parse().unwrap();
        if operation.needs == Needs::Client {
            return self.ask_as_client(&path).await;
        }
        match body {
            Some(body) => self.wire.call(method, secret, &path, body).await,
            None => {
                let request = crate::wire::request(method, &path, secret, axum::body::Body::empty());
                self.wire.send(request).await
            }
        }
    }

    /// A form, as Ada's key.
    async fn ask_as_client(&self, path: &str) -> Reply {
        let token = self.token.lock().unwrap().clone();
        let form = [("grant_type", "client_credentials"), ("token", token.as_str())];
        let ada = basic(&self.adas.id().to_string(), &self.adas.secret);
        let reply = self.wire.send(posted(path, Some(&ada), &encoded(&form))).await;
        if path == "/oauth/token" && reply.status == 200 {
            *self.token.lock().unwrap() = stage::kept(reply.clone());
        }
        reply
    }

    fn example(&self, operation: &Operation) -> (String, Option<Value>) {
        let (session, token) = match &*self.session.lock().unwrap() {
            Some(In { session, secret }) => (session.id.to_string(), secret.clone()),
            None => (KeyId::from_uuid(uuid::Uuid::nil()).to_string(), String::new()),
        };
        let keys = self.house.keeper.issuer(self.house.project()).unwrap();
        let keys = keys.published(self.house.keeper.now());
        let kid = keys.first().map_or("none", |key| key.kid.as_str());
        let project = match operation.needs {
            // Issuers go by ids: their names never change.
            Needs::Nothing => self.house.project().to_string(),
            _ => "acme".to_owned(),
        };
        let path = operation
            .path
            .replace("{project}", &project)
            .replace("{kid}", kid)
            .replace("{key}", &self.adas.id().to_string())
            .replace("{session}", &session)
            .replace("{user}", "bob")
            .replace("{team}", "platform")
            .replace("{service}", "ci")
            .replace("{role}", "reader");
        let question = json!({"credential": self.adas.secret});
        let sha256 = "0123456789abcdef".repeat(4);
        let body = match operation.id {
            "log_in" => json!({"login": "bob", "password": STAPLE}),
            "refresh_session" | "log_out" => json!({"refresh_token": token}),
            "set_password" => json!({"password": KETTLE}),
            "change_password" => json!({"present": STAPLE, "new": KETTLE}),
            "set_up" => json!({"token": "khsetup_x", "name": "Eve"}),
            "verify" | "verify_in_project" | "explain" => question,
            "verify_batch" => json!({"items": [question, {"credential": "x"}]}),
            "create_key" => json!({"name": "new", "owner": {"user": "ada"}, "secret_sha256": sha256}),
            "find_key" => json!({"secret": self.adas.secret}),
            "import_keys" => {
                json!({"dry_run": false, "keys": [{"name": "old", "secret_sha256": sha256, "owner": {"user": "ada"}}]})
            }
            "revoke_matching" => json!({"filter": {"text": "laptop"}, "expect_count": 1, "cause": "tidying"}),
            "amend_key" => json!({"name": "desktop", "networks": ["192.0.2.0/24"]}),
            "start_component_session" => json!({"owner": {"user": "bob"}}),
            "withdraw_signing_key" => json!({"cause": "leaked"}),
            "revoke_key" => json!({"cause": "tidying"}),
            "create_user" | "create_team" => json!({"external_id": "new"}),
            "create_service" => json!({"name": "new"}),
            "create_role" => json!({"name": "new", "scopes": ["a:*"]}),
            "amend_user" | "amend_team" | "amend_project" => json!({"name": "Renamed"}),
            "amend_service" | "amend_role" => json!({"description": "renamed"}),
            "put_member" => json!({"right": "manage_keys"}),
            "create_project" => json!({"slug": "initech", "name": "Initech"}),
            _ => return (path, None),
        };
        (path, Some(body))
    }

    /// What must have happened before an operation changes anything.
    async fn prepare(&self, operation: &Operation) {
        let operator = &self.house.operator.secret;
        let key = format!("/v1/projects/acme/keys/{}", self.adas.id());
        if matches!(
            operation.id,
            "log_in" | "refresh_session" | "log_out" | "end_user_session" | "end_user_sessions"
        ) {
            self.logged_in(self.house.project(), "bob").await;
        }
        if matches!(operation.id, "end_own_session" | "end_own_sessions" | "change_password") {
            self.logged_in(SYSTEM, "olga").await;
        }
        if operation.needs == Needs::Client || operation.id.contains("signing") || operation.id.contains("component") {
            self.ask_as_client("/oauth/token").await.ok();
        }
        if operation.id.contains("status_list") {
            for project in [SYSTEM, self.house.project()] {
                self.house.keeper.make_due_key(project).await.unwrap();
            }
        }
        let before = match operation.id {
            "resume_key" => format!("{key}/suspend"),
            "end_grace" => format!("{key}/rotate"),
            "resume_user" => "/v1/projects/acme/users/bob/suspend".to_owned(),
            "resume_team" => "/v1/projects/acme/teams/platform/suspend".to_owned(),
            "resume_service" => "/v1/projects/acme/services/ci/suspend".to_owned(),
            "resume_project" => "/v1/projects/acme/suspend".to_owned(),
            "delete_member" => {
                let path = "/v1/projects/acme/teams/platform/members/bob";
                self.wire
                    .call(Method::PUT, operator, path, json!({"right": "belong"}))
                    .await
                    .ok();
                return;
            }
            _ => return,
        };
        let reply = self.wire.post(operator, &before, json!({})).await.ok();
        if let Some(secret) = reply.json()["secret"].as_str() {
            canary(secret);
        }
    }
}

impl Village {
    /// Gives a user a password and logs the user in.
    async fn logged_in(&self, project: ProjectId, name: &str) {
        let keeper = &self.house.keeper;
        let owner = keeper.owner_named(project, OwnerKind::User, name).unwrap();
        let user = UserId::from_uuid(owner.uuid());
        let olga = self.house.olga();
        keeper.set_password(&olga, project, user, &typed(STAPLE)).await.unwrap();
        let logged_in = keeper.log_in(project, name, &typed(STAPLE), tokens(), source()).await;
        let session = kept(logged_in.unwrap());
        // The first token of a project makes its signing key, which has an event of its own.
        keeper.session_token(session.session.id, Wished::All).await.unwrap();
        *self.session.lock().unwrap() = Some(session);
    }
}

/// All that is kept, at one instant.
struct Ledger {
    /// Records and keys, each as it is stored.
    records: BTreeMap<(Noun, Uuid), DumpLine>,
    /// Events, oldest first, each with what it touched.
    events: Vec<(Event, Vec<Touched>)>,
}

impl Village {
    async fn ledger(&self) -> Ledger {
        let (mut records, mut events) = (BTreeMap::new(), Vec::new());
        let mut each = |line: DumpLine| match line {
            DumpLine::Event { numbered, touched } => events.push((numbered.event, touched)),
            DumpLine::Key(ref key) => drop(records.insert((Noun::Key, key.id.uuid()), line)),
            DumpLine::Record { noun, id, .. } => drop(records.insert((noun, id), line)),
            DumpLine::Begin { .. } | DumpLine::LastUse { .. } | DumpLine::Hour { .. } | DumpLine::End { .. } => {}
        };
        self.house.store.dump(&mut each).await.unwrap();
        Ledger { records, events }
    }
}

impl Ledger {
    fn told_since(&self, before: &Self) -> &[(Event, Vec<Touched>)] {
        &self.events[before.events.len()..]
    }

    /// What came, went or is not what it was.
    fn changed_since(&self, before: &Self) -> BTreeSet<(Noun, Uuid)> {
        let all = self.records.keys().chain(before.records.keys());
        all.filter(|id| self.records.get(id) != before.records.get(id))
            .copied()
            .collect()
    }
}

fn needing_a_key() -> impl Iterator<Item = &'static Operation> {
    operations()
        .iter()
        .filter(|operation| !operation.needs.is_met_without_a_key())
}

#[tokio::test]
async fn nobody_may_do_anything_without_a_key() {
    let village = Village::open().await;
    for operation in needing_a_key() {
        let reply = village.ask(operation, "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (401, "credential_required"),
            "{}",
            operation.id
        );
        let reply = village.ask(operation, "acme_nobody").await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (401, "invalid_credential"),
            "{}",
            operation.id
        );
    }
}

#[tokio::test]
async fn a_key_without_the_scope_is_told_which_one_it_lacks() {
    let village = Village::open().await;
    for operation in needing_a_key() {
        let scope = match operation.needs {
            Needs::Scope(scope) | Needs::ScopeOrOwn(scope, _) => scope,
            Needs::AnyKey | Needs::Nothing | Needs::SetupToken | Needs::Password | Needs::Session | Needs::Client => {
                continue;
            }
        };
        let reply = village.ask(operation, &village.idle.secret).await;
        // What is outside this project at all does not exist for a key of it.
        if reply.status == 404 && matches!(scope, "keyholt:operate") {
            continue;
        }
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (403, "insufficient_scope"),
            "{}",
            operation.id
        );
        assert!(reply.header("www-authenticate").contains(scope), "{}", operation.id);
        assert!(
            reply.json()["detail"].as_str().unwrap().contains(scope),
            "{}",
            operation.id
        );
    }
}

#[tokio::test]
async fn to_another_project_s_administrator_nothing_here_exists() {
    let village = Village::open().await;
    let before = village.ledger().await;
    for operation in needing_a_key().filter(|operation| operation.path.contains("{project}")) {
        let reply = village.ask(operation, &village.stranger.secret).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (404, "not_found"),
            "{}",
            operation.id
        );
        // By the id of this project it is the same, and so is a project that does not exist.
        let (path, body) = village.example(operation);
        for name in [village.house.project().to_string(), "nowhere".to_owned()] {
            let path = path.replace("/acme", &format!("/{name}"));
            let method: Method = operation.method.parse().unwrap();
            let other = village
                .wire
                .call(
                    method,
                    &village.stranger.secret,
                    &path,
                    body.clone().unwrap_or(json!({})),
                )
                .await;
            assert_eq!(other.status, 404, "{}", operation.id);
            let detail = |reply: &Reply| reply.json()["detail"].clone();
            assert_eq!(detail(&other), detail(&reply), "{}", operation.id);
        }
        // A foreign key's id below the stranger's own project.
        if operation.path.contains("{key}") {
            let path = path.replace("/acme", "/globex");
            let method: Method = operation.method.parse().unwrap();
            let other = village
                .wire
                .call(method, &village.stranger.secret, &path, body.unwrap_or(json!({})))
                .await;
            assert_eq!(other.code(), "not_found", "{}", operation.id);
        }
    }
    let after = village.ledger().await;
    assert_eq!(after.changed_since(&before), BTreeSet::new(), "nothing happened here");
    let here = |(event, _): &(Event, _)| event.project == village.house.project();
    assert!(!after.told_since(&before).iter().any(here), "nor is anything told here");
}

/// What an operation does besides what it is for.
fn also(operation: &str) -> &'static [&'static str] {
    match operation {
        // A new password ends the log-ins that were made with the old one.
        "change_password" => &["session.end"],
        _ => &[],
    }
}

#[tokio::test]
async fn what_an_operator_does_is_done_and_what_changes_something_leaves_its_event() {
    for operation in operations() {
        let village = Village::open().await;
        village.prepare(operation).await;
        let operator = village.house.operator.secret.clone();
        let secret = match operation.id {
            "verify" | "verify_batch" | "whoami" => operator.clone(),
            // An operator's own last key may not end itself.
            "revoke_self" => village.adas.secret.clone(),
            // Nor does an operator's key belong to the project of a product.
            "start_component_session" => village.backend.secret.clone(),
            _ => operator.clone(),
        };
        let before = village.ledger().await;
        let reply = village.ask(operation, &secret).await;
        if operation.id == "set_up" {
            assert_eq!(reply.code(), "setup_complete", "the set-up has stories of its own");
            continue;
        }
        let reply = reply.ok();
        if reply.header("content-type") == "application/json" {
            for name in ["secret", "refresh_token", "access_token", "token"] {
                if let Some(secret) = reply.json()[name].as_str() {
                    canary(secret);
                }
            }
        }
        let after = village.ledger().await;
        let told = after.told_since(&before);
        let done: Vec<String> = told.iter().map(|(event, _)| in_short(event)).collect();
        let expected: Vec<&str> = also(operation.id).iter().copied().chain(operation.audit).collect();
        assert_eq!(done, expected, "{}", operation.id);
        // What changed is what the event says that it touched, and the other way round.
        let touched = told.iter().flat_map(|(_, touched)| touched);
        let touched: BTreeSet<_> = touched.map(|it| (it.noun, it.id)).collect();
        assert_eq!(after.changed_since(&before), touched, "{}", operation.id);
    }
}

#[test]
fn no_operation_is_named_twice() {
    let ids: BTreeSet<&str> = operations().iter().map(|operation| operation.id).collect();
    assert_eq!(ids.len(), operations().len());
}
