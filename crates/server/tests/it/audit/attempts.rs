//! Attempts of those who are turned away at the door: told in the trail of where they belong, and never more than is good.

use std::sync::Arc;

use http::Method;
use keyholt_core::audit::{Event, Noun};
use keyholt_core::commit::Record;
use keyholt_core::found::FirstOperator;
use keyholt_core::id::SYSTEM;
use keyholt_core::owner::Owner;
use keyholt_core::text::{ExternalId, Name};
use keyholt_core::time::Span;
use keyholt_server::clock::FakeClock;
use keyholt_server::keeper::FirstStart;
use keyholt_store::{EventQuery, Memory, Store};
use serde_json::json;

use crate::house::{
    GUESSES, House, NEW_YEAR, Wishes, all_events, canary, charter, held, in_short, keeper_on, source, wish,
};
use crate::wire::Wire;

#[tokio::test]
async fn an_attempt_on_another_project_is_told_in_ones_own_and_nowhere_else() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let ada = house.user("ada").await;
    let adas = house.issue(wish(Owner::User(ada.id), "laptop").everything()).await;
    let globex = house
        .keeper
        .found_project(&house.olga(), charter("globex"))
        .await
        .unwrap();
    let hank = house.new_user(globex.id, "hank", &["admin"]);
    house.enrol(Record::User(hank.clone())).await;
    let hanks = house
        .issue_in(globex.id, wish(Owner::User(hank.id), "hank").everything())
        .await;
    let (here, all) = (house.trail().await, house.commits().await);

    let key = format!("/v1/projects/acme/keys/{}", adas.id());
    let reply = wire
        .post(&hanks.secret, &format!("{key}/revoke"), json!({"cause": "mine"}))
        .await;
    assert_eq!((reply.status.as_u16(), reply.code().as_str()), (404, "not_found"));
    let event = house.events(globex.id).await.remove(0);
    assert_eq!(in_short(&event), "key.revoke refused: not_found");
    assert_eq!(
        (event.target.noun, event.target.id),
        (Noun::Key, Some(adas.id().uuid()))
    );
    assert_eq!((event.actor.unwrap().key, event.owner), (hanks.id(), None));

    // By a name it is not told which user that would have been.
    let body = json!({"name": "Mine"});
    wire.call(Method::PATCH, &hanks.secret, "/v1/projects/acme/users/ada", body)
        .await;
    let event = house.events(globex.id).await.remove(0);
    assert_eq!(in_short(&event), "user.change refused: not_found");
    assert_eq!((event.target.noun, event.target.id), (Noun::User, None));
    assert_eq!(house.commits().await, all + 2);

    // Whoever only wants to read leaves no mark, as everywhere.
    assert_eq!(wire.get(&hanks.secret, &key).await.status, 404);
    assert_eq!(house.commits().await, all + 2);
    assert_eq!(house.trail().await, here, "the other project learns of nothing");
}

#[tokio::test]
async fn an_operator_who_misspells_a_project_is_told_of_in_keyholts_own() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let reply = wire
        .post(&house.operator.secret, "/v1/projects/amce/suspend", json!({}))
        .await;
    assert_eq!(reply.status, 404);
    let event = house.events(SYSTEM).await.remove(0);
    assert_eq!(in_short(&event), "project.suspend refused: not_found");
}

#[tokio::test]
async fn a_component_session_is_told_of_and_so_is_one_that_is_refused() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let bob = Owner::User(house.user("bob").await.id);
    let root = house.user_with("root", &["admin"]).await;
    let backend = house
        .issue(wish(Owner::User(root.id), "back end").scopes(&["keyholt:sessions:write", "orders:read"]))
        .await;
    let bobs = house.issue(wish(bob, "bob").everything()).await;
    let ask = async |secret: &str| {
        let path = "/v1/projects/acme/component-sessions";
        wire.post(secret, path, json!({"owner": {"user": "bob"}, "expires_in": "5m"}))
            .await
    };
    let reply = ask(&backend.secret).await.ok().json();
    canary(reply["token"].as_str().unwrap());
    let event = house.events(house.project()).await.remove(0);
    assert_eq!(in_short(&event), "component_session.start");
    assert_eq!((event.owner, event.actor.unwrap().key), (Some(bob), backend.id()));
    assert_eq!(event.target.noun, Noun::Token);
    assert!(event.target.id.is_some());
    assert_eq!(event.after.unwrap()["expires_at"], reply["expires_at"]);

    assert_eq!(ask(&bobs.secret).await.code(), "insufficient_scope");
    let event = house.events(house.project()).await.remove(0);
    assert_eq!(in_short(&event), "component_session.start refused: insufficient_scope");
    assert_eq!((event.owner, event.actor.unwrap().key), (Some(bob), bobs.id()));
}

/// What Keyholt's own trail tells, newest first.
async fn of_the_system(store: &dyn Store) -> Vec<Event> {
    let query: EventQuery = all_events();
    let page = store.events(SYSTEM, &query).await.unwrap();
    page.entries.into_iter().map(|entry| entry.event).collect()
}

#[tokio::test]
async fn a_wrong_set_up_token_is_told_of_but_strangers_cannot_fill_the_trail() {
    let (store, clock) = (Arc::new(Memory::new()), Arc::new(FakeClock::at(NEW_YEAR)));
    let keeper = keeper_on(Arc::clone(&store) as _, Arc::clone(&clock), 1).await;
    let FirstStart::Token(token) = keeper.start(source()).await.unwrap() else {
        panic!("complete already")
    };
    let token = token.reveal().to_string();
    canary(&token);
    let who = || FirstOperator {
        name: Name::new("Olga").unwrap(),
        external_id: ExternalId::new("olga").unwrap(),
        email: None,
    };
    let from = |host: usize| keyholt_core::actor::Source {
        address: Some(format!("198.51.100.{host}").parse().unwrap()),
        ..source()
    };
    assert!(keeper.set_up("khsetup_wrong", who(), from(1)).await.is_err());
    let event = of_the_system(&*store).await.remove(0);
    assert_eq!(in_short(&event), "setup.complete refused: setup_token_invalid");
    assert_eq!((event.target.noun, event.actor), (Noun::Setup, None));
    assert_eq!(event.source, from(1));

    // However many they are and however often they try.
    let most = usize::try_from(GUESSES.per_minute.get()).unwrap();
    for host in 1..=3 {
        for _ in 0..most {
            assert!(keeper.set_up("khsetup_wrong", who(), from(host)).await.is_err());
        }
    }
    let told = async || {
        let events = of_the_system(&*store).await;
        events.iter().filter(|event| event.action == "setup.complete").count()
    };
    assert_eq!(told().await, most);
    clock.advance(std::time::Duration::from_millis(Span::secs(60).ms()));
    assert!(keeper.set_up("khsetup_wrong", who(), from(4)).await.is_err());
    assert_eq!(told().await, most + 1);
    held(keeper.set_up(&token, who(), from(5)).await.unwrap().issued);
}
