//! Users and teams as the clients see them, and who manages whose keys.

use keyholt_core::commit::Record;
use keyholt_core::id::{TeamId, UserId};
use keyholt_core::owner::{MemberRight, Owner};
use keyholt_core::text::ExternalId;
use keyholt_server::dialects::StackAuth;
use keyholt_server::keeper::MembershipChange;
use serde_json::{Value, json};

use super::{ask, complaint, serve, told};
use crate::dialects::village::{Complaint, Village};
use crate::house::{Wishes, wish};

#[tokio::test]
async fn a_browser_manages_the_keys_of_who_is_signed_in_there_and_nobody_else_s() {
    let village = Village::open(&StackAuth).await;
    let (adas, bobs) = (&village.adas.secret, &village.bobs.secret);
    let mine = json!({"user_id": "me", "description": "mine", "expires_at_millis": null});
    let made = ask(&village, "client", adas, ("POST", "/user-api-keys"), mine.clone())
        .await
        .ok()
        .json();
    assert_eq!(made["user_id"], json!(village.ada.id));
    let one = format!("/user-api-keys/{}", made["id"].as_str().unwrap());
    ask(&village, "client", adas, ("GET", &one), Value::Null).await.ok();
    assert_eq!(
        told(&ask(&village, "client", bobs, ("GET", &one), Value::Null).await),
        "API_KEY_NOT_FOUND"
    );
    let revoke = json!({"revoked": true});
    assert_eq!(
        told(&ask(&village, "client", bobs, ("PATCH", &one), revoke).await),
        "API_KEY_NOT_FOUND"
    );
    let list = format!("/user-api-keys?user_id={}", village.ada.id);
    let reply = ask(&village, "client", bobs, ("GET", &list), Value::Null).await;
    assert_eq!(
        (complaint(&reply), told(&reply)),
        (
            Complaint::NotAllowed,
            "Client can only manage their own api keys".into()
        )
    );
    let named = format!("{one}?user_id={}", village.ada.id);
    let reply = ask(
        &village,
        "client",
        adas,
        ("PATCH", &named),
        json!({"description": "renamed"}),
    )
    .await;
    assert_eq!(reply.ok().json()["description"], "renamed");
    assert_eq!(
        told(&ask(&village, "client", "", ("POST", "/user-api-keys"), mine).await),
        "USER_AUTHENTICATION_REQUIRED"
    );
}

#[tokio::test]
async fn a_member_without_the_permission_learns_nothing_of_a_team_s_keys() {
    let village = Village::open(&StackAuth).await;
    let (house, team) = (&village.house, village.platform.id);
    house
        .keeper
        .change_membership(
            &house.olga(),
            house.acme.id,
            team,
            village.cora.id,
            MembershipChange::Put(MemberRight::Belong),
        )
        .await
        .unwrap();
    let coras = house
        .issue(wish(Owner::User(village.cora.id), "laptop").everything())
        .await;
    let list = format!("/team-api-keys?team_id={team}");
    let one = format!("/team-api-keys/{}", village.platforms.id());
    for (method, path, body) in [
        ("GET", list.as_str(), Value::Null),
        ("GET", &one, Value::Null),
        ("PATCH", &one, json!({"revoked": true})),
        (
            "POST",
            "/team-api-keys",
            json!({"team_id": team, "description": "mine"}),
        ),
    ] {
        let reply = ask(&village, "client", &coras.secret, (method, path), body).await;
        assert_eq!(told(&reply), "API_KEY_NOT_FOUND", "{method} {path}");
    }
    // Ada may, and Cora does see that there is such a team.
    ask(&village, "client", &village.adas.secret, ("GET", &list), Value::Null)
        .await
        .ok();
    let teams = ask(
        &village,
        "client",
        &coras.secret,
        ("GET", "/teams?user_id=me"),
        Value::Null,
    )
    .await
    .ok()
    .json();
    assert_eq!(teams["items"][0]["id"], json!(team));
    let right = format!("/team-permissions?team_id={team}&user_id=me&recursive=true");
    for (secret, expected) in [(&village.adas.secret, true), (&coras.secret, false)] {
        let told = ask(&village, "client", secret, ("GET", &right), Value::Null)
            .await
            .ok()
            .json();
        let has = told["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["id"] == "$manage_api_keys");
        assert_eq!(has, expected);
    }
}

#[tokio::test]
async fn a_person_renames_themselves_and_nothing_that_they_may_do_hangs_on_it() {
    let village = Village::open(&StackAuth).await;
    let sent =
        json!({"display_name": "Ada K.", "client_metadata": {"a": 1}, "server_metadata": {"b": 2}, "roles": ["admin"]});
    let me = ask(&village, "client", &village.adas.secret, ("PATCH", "/users/me"), sent)
        .await
        .ok()
        .json();
    assert_eq!(
        (&me["display_name"], &me["client_metadata"]),
        (&json!("Ada K."), &json!({"a": 1}))
    );
    let path = format!("/users/{}", village.ada.id);
    let whole = serve(&village, ("GET", &path), Value::Null).await.ok().json();
    assert_eq!(
        whole["server_metadata"],
        Value::Null,
        "a browser does not write what is the server's"
    );
    assert_eq!(
        village.house.verdict(&village.adas.secret, &["keyholt:keys:write"])["code"],
        "insufficient_scope"
    );
}

#[tokio::test]
async fn who_came_from_stack_auth_keeps_the_id_from_there() {
    let village = Village::open(&StackAuth).await;
    let old = "3241a285-8329-4d69-8f3d-316e08cf140c";
    let mut user = village.house.new_user(village.house.acme.id, "grace", &["member"]);
    user.external_id = ExternalId::new(&format!("stackauth:{old}")).unwrap();
    village.house.enrol(Record::User(user.clone())).await;
    let shown = serve(&village, ("GET", &format!("/users/{old}")), Value::Null)
        .await
        .ok()
        .json();
    assert_eq!(shown["id"], old);
    let made = serve(
        &village,
        ("POST", "/user-api-keys"),
        json!({"user_id": old, "description": "a"}),
    )
    .await
    .ok()
    .json();
    assert_eq!(made["user_id"], old);
    let check = json!({ "api_key": made["value"] });
    let shown = serve(&village, ("POST", "/user-api-keys/check"), check)
        .await
        .ok()
        .json();
    assert_eq!(shown["user_id"], old);
}

#[tokio::test]
async fn ids_that_are_nobody_s_are_told_as_the_clients_know_it() {
    let village = Village::open(&StackAuth).await;
    let nobody = UserId::from_uuid(village.stranger.key.owner.uuid());
    let nothing = TeamId::from_uuid(nobody.uuid());
    for (path, code) in [
        (format!("/users/{nobody}"), "USER_NOT_FOUND"),
        ("/users/nobody".into(), "USER_NOT_FOUND"),
        ("/users/me".into(), "CANNOT_GET_OWN_USER_WITHOUT_USER"),
        (format!("/user-api-keys?user_id={nobody}"), "USER_NOT_FOUND"),
        (format!("/teams/{nothing}"), "TEAM_NOT_FOUND"),
        (format!("/team-api-keys?team_id={nothing}"), "TEAM_NOT_FOUND"),
        (
            format!("/user-api-keys/{}", village.platforms.id()),
            "API_KEY_NOT_FOUND",
        ),
        ("/user-api-keys/x".into(), "API_KEY_NOT_FOUND"),
    ] {
        assert_eq!(
            told(&serve(&village, ("GET", &path), Value::Null).await),
            code,
            "{path}"
        );
    }
    let grant = format!("/team-permissions/{}/{}/%24other", village.platform.id, village.ada.id);
    assert_eq!(
        told(&serve(&village, ("POST", &grant), json!({})).await),
        "PERMISSION_NOT_FOUND"
    );
}
