//! Component sessions: a back end's short credential for one user, which manages that user's keys and nothing else.

use http::Method;
use keyholt_core::owner::{MemberRight, Owner};
use keyholt_core::text::Cause;
use serde_json::{Value, json};

use super::stage::{Stage, claims};
use crate::house::{Held, Wishes, canary, wish};
use crate::wire::Reply;

const PATH: &str = "/v1/projects/acme/component-sessions";

/// A back end with a key that may hand out sessions, and bob, who shall manage his keys.
struct Page {
    stage: Stage,
    backend: Held,
}

impl Page {
    async fn open() -> Self {
        let stage = Stage::open().await;
        stage.house.user_with("bob", &["member"]).await;
        stage.house.user_with("eve", &["member"]).await;
        let admin = stage.house.user_with("root", &["admin"]).await;
        let scopes = ["keyholt:sessions:write", "orders:read"];
        let backend = stage
            .house
            .issue(wish(Owner::User(admin.id), "back end").scopes(&scopes))
            .await;
        Self { stage, backend }
    }

    async fn ask(&self, body: Value) -> Reply {
        self.stage.wire.post(&self.backend.secret, PATH, body).await
    }

    async fn session(&self, body: Value) -> String {
        let token = self.ask(body).await.ok().json()["token"].as_str().unwrap().to_owned();
        canary(&token);
        token
    }

    async fn make_key(&self, session: &str, body: Value) -> Reply {
        let reply = self.stage.wire.post(session, "/v1/projects/self/keys", body).await;
        if let Ok(made) = serde_json::from_slice::<Value>(&reply.bytes)
            && let Some(secret) = made["secret"].as_str()
        {
            canary(secret);
        }
        reply
    }
}

#[tokio::test]
async fn its_user_manages_own_keys_with_it_and_no_others() {
    let page = Page::open().await;
    let session = page.session(json!({"owner": {"user": "bob"}})).await;
    let said = claims(&session);
    assert_eq!(said["owner"]["handle"], "bob");
    assert_eq!(
        said["status"],
        Value::Null,
        "it hangs on two owners: whoever has to know asks"
    );
    assert_eq!(said["act"]["sub"], page.backend.id().to_string());
    assert_eq!(said["client_id"], page.backend.id().to_string());
    let made = page
        .make_key(&session, json!({"name": "mine", "scopes": ["orders:read"]}))
        .await
        .ok()
        .json();
    assert_eq!(made["key"]["owner"]["handle"], "bob");
    let list = page
        .stage
        .wire
        .get(&session, "/v1/projects/self/keys")
        .await
        .ok()
        .json();
    assert_eq!(list["keys"].as_array().unwrap().len(), 1, "{list}");
    let others = json!({"name": "hers", "owner": {"user": "eve"}});
    assert_eq!(page.make_key(&session, others).await.status, 404);
    let wider = json!({"name": "wider", "scopes": ["orders:write"]});
    assert_eq!(page.make_key(&session, wider).await.code(), "beyond_own_rights");
    let all = json!({"name": "all", "scopes": "everything"});
    assert_eq!(page.make_key(&session, all).await.code(), "beyond_own_rights");
    assert_eq!(
        page.stage.wire.get(&session, "/v1/projects/self/users").await.code(),
        "insufficient_scope"
    );
    let again = page
        .stage
        .wire
        .post(&session, PATH, json!({"owner": {"user": "eve"}}))
        .await;
    assert_eq!(again.code(), "insufficient_scope", "it hands out no sessions itself");
}

#[tokio::test]
async fn a_team_s_session_manages_the_team_s_keys_and_no_member_s() {
    let page = Page::open().await;
    let house = &page.stage.house;
    let carol = house.user_with("carol", &["member"]).await;
    let crew = house.team("crew", vec![(&carol, MemberRight::ManageKeys)]).await;
    let carols = house.issue(wish(Owner::User(carol.id), "her own")).await;
    let crews = house.issue(wish(Owner::Team(crew.id), "before")).await;
    let session = page.session(json!({"owner": {"team": "crew"}})).await;
    assert_eq!(claims(&session)["owner"]["kind"], "team");
    let made = page
        .make_key(&session, json!({"name": "deploy", "scopes": ["orders:read"]}))
        .await
        .ok()
        .json();
    assert_eq!(
        made["key"]["owner"],
        json!({"kind": "team", "id": crew.id, "handle": "crew"})
    );
    let wire = &page.stage.wire;
    let list = wire.get(&session, "/v1/projects/self/keys").await.ok().json();
    let names: Vec<_> = list["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["name"])
        .collect();
    assert_eq!(names, ["deploy", "before"]);
    let rotate = format!("/v1/projects/self/keys/{}/rotate", crews.id());
    let rotated = wire.post(&session, &rotate, json!({})).await.ok().json();
    canary(rotated["secret"].as_str().unwrap());
    let hers = format!("/v1/projects/self/keys/{}", carols.id());
    assert_eq!(wire.get(&session, &hers).await.status, 404);
    let for_her = json!({"name": "hers", "owner": {"user": "carol"}});
    assert_eq!(page.make_key(&session, for_her).await.status, 404);

    house
        .keeper
        .suspend_owner(&house.olga(), house.project(), Owner::Team(crew.id), None, None)
        .await
        .unwrap();
    assert_eq!(wire.get(&session, "/v1/projects/self/keys").await.status, 401);
    assert_eq!(page.stage.code(&session).await, "owner_suspended");
}

#[tokio::test]
async fn keys_that_are_made_with_it_last_no_longer_than_it_says() {
    let page = Page::open().await;
    let session = page
        .session(json!({"owner": {"user": "bob"}, "keys_last_at_most": "90d"}))
        .await;
    let key = |lasting: &str| json!({"name": "k", "expires_in": lasting});
    page.make_key(&session, key("90d")).await.ok();
    assert_eq!(page.make_key(&session, key("91d")).await.code(), "beyond_own_rights");
    let forever = json!({"name": "k", "never_expires": true});
    assert_eq!(page.make_key(&session, forever).await.code(), "beyond_own_rights");
}

#[tokio::test]
async fn it_dies_with_the_back_end_s_key_and_with_its_user() {
    let page = Page::open().await;
    let (house, olga) = (&page.stage.house, page.stage.house.olga());
    let session = page.session(json!({"owner": {"user": "bob"}})).await;
    page.stage.wire.get(&session, "/v1/projects/self/keys").await.ok();
    let bob = house
        .keeper
        .owner_named(house.project(), keyholt_core::owner::OwnerKind::User, "bob")
        .unwrap();
    house
        .keeper
        .suspend_owner(&olga, house.project(), bob, None, None)
        .await
        .unwrap();
    assert_eq!(
        page.stage.wire.get(&session, "/v1/projects/self/keys").await.status,
        401
    );
    assert_eq!(page.stage.code(&session).await, "owner_suspended");
    house
        .keeper
        .resume_owner(&olga, house.project(), bob, None, None)
        .await
        .unwrap();
    page.stage.wire.get(&session, "/v1/projects/self/keys").await.ok();
    let cause = Cause::new("leaked").unwrap();
    house
        .keeper
        .revoke_key(&olga, house.project(), page.backend.id(), cause, None)
        .await
        .unwrap();
    assert_eq!(
        page.stage.wire.get(&session, "/v1/projects/self/keys").await.status,
        401
    );
    assert_eq!(page.stage.code(&session).await, "revoked");
}

#[tokio::test]
async fn a_back_end_that_loses_the_scope_loses_its_sessions() {
    let page = Page::open().await;
    let session = page.session(json!({"owner": {"user": "bob"}})).await;
    let path = format!("/v1/projects/acme/keys/{}", page.backend.id());
    let body = json!({"scopes": ["orders:read"]});
    page.stage
        .wire
        .call(Method::PATCH, &page.stage.house.operator.secret, &path, body)
        .await
        .ok();
    assert_eq!(
        page.stage.wire.get(&session, "/v1/projects/self/keys").await.code(),
        "insufficient_scope"
    );
}

#[tokio::test]
async fn what_cannot_be_handed_out_is_refused() {
    let page = Page::open().await;
    let bob = json!({"user": "bob"});
    let asked = |more: Value| {
        let mut body = json!({"owner": bob.clone()});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        page.ask(body)
    };
    assert_eq!(asked(json!({"expires_in": "61m"})).await.code(), "lifetime_too_long");
    assert_eq!(
        asked(json!({"scopes": ["orders:write"]})).await.code(),
        "beyond_own_rights"
    );
    assert_eq!(
        asked(json!({"scopes": ["keyholt:keys:read"]})).await.code(),
        "beyond_own_rights"
    );
    assert_eq!(page.ask(json!({"owner": {"user": "nobody"}})).await.status, 404);
    let operators = page
        .stage
        .wire
        .post(&page.stage.house.operator.secret, PATH, json!({"owner": bob}))
        .await;
    assert_eq!(operators.code(), "insufficient_scope", "its key is of another project");
    let token = page.stage.token(&page.backend).await;
    let by_token = page.stage.wire.post(&token, PATH, json!({"owner": bob})).await;
    assert_eq!(by_token.code(), "insufficient_scope", "a token hands out nothing");
}
