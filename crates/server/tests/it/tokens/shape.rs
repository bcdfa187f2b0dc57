//! What tokens look like to strangers: metadata, keys, and all the ways in which one can be wrong.

use serde_json::json;

use super::stage::{BASE, Stage, part};

#[tokio::test]
async fn each_project_is_an_issuer_and_the_root_has_the_bare_address() {
    let stage = Stage::open().await;
    let (acme, issuer) = (stage.house.project(), stage.issuer());
    let root = stage.wire.get("", "/.well-known/oauth-authorization-server").await.ok();
    assert_eq!(root.json()["issuer"], BASE);
    assert_eq!(root.json()["jwks_uri"], format!("{BASE}/.well-known/jwks.json"));
    let path = format!("/.well-known/oauth-authorization-server/projects/{acme}");
    let metadata = stage.wire.get("", &path).await.ok().json();
    assert_eq!(metadata["issuer"], issuer);
    assert_eq!(metadata["token_endpoint"], format!("{BASE}/oauth/token"));
    assert_eq!(metadata["jwks_uri"], format!("{issuer}/.well-known/jwks.json"));
    for wrong in ["acme", "nobody", "0197a3c4-7b1e-7c00-8000-6f9d2f3f1a20"] {
        let path = format!("/.well-known/oauth-authorization-server/projects/{wrong}");
        assert_eq!(stage.wire.get("", &path).await.code(), "not_found", "{wrong}");
    }
}

#[tokio::test]
async fn keys_are_published_with_public_members_only() {
    let stage = Stage::open().await;
    let path = format!("/projects/{}/.well-known/jwks.json", stage.house.project());
    let empty = stage.wire.get("", &path).await.ok();
    assert_eq!(empty.json(), json!({"keys": []}));
    assert_eq!(
        empty.header("cache-control"),
        "no-store",
        "an empty set must not be kept"
    );
    let token = stage.token(&stage.client).await;
    let reply = stage.wire.get("", &path).await.ok();
    assert_eq!(reply.header("cache-control"), "public, max-age=600");
    let keys = reply.json()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 1);
    let names: Vec<_> = keys[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!(keys[0]["kid"], part(&token, 0)["kid"]);
}
