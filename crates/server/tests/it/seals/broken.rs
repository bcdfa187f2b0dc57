//! What may be done with a key whose row somebody changed: an operator revokes or deletes it, and that is all.

use keyholt_core::audit::{Noun, Outcome};
use keyholt_core::commit::Record;
use keyholt_core::id::SYSTEM;
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::rotate::Grace;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_server::keeper::Refusal;
use keyholt_store::KeyQuery;

use super::{EVERYTHING, Treasury, row_of};
use crate::acts::{cause, turn};
use crate::house::{Wishes, charter, refusal, wish};

#[tokio::test]
async fn a_changed_row_is_not_shown_listed_or_changed() {
    let treasury = Treasury::open().await;
    let house = treasury
        .after_changing(&treasury.narrow, |row| row.access = EVERYTHING.to_owned())
        .await;
    let (olga, project, id) = (house.olga(), house.project(), treasury.narrow.id());
    let keeper = &house.keeper;
    let refusals = [
        refusal(keeper.key(&olga, project, id).await),
        refusal(keeper.find_key(&olga, project, &treasury.narrow.secret).await),
        refusal(keeper.validity(&olga, project, id).await),
        refusal(keeper.rotate_key(&olga, project, id, turn(Grace::Default), None).await),
        refusal(keeper.resume_key(&olga, project, id, None, None).await),
        refusal(keeper.suspend_key(&olga, project, id, None, None).await),
    ];
    assert!(
        refusals
            .iter()
            .all(|refusal| matches!(refusal, Refusal::Tampered(Noun::Key)))
    );
    let mut listed = house.named(KeyQuery::default()).await;
    listed.sort();
    assert_eq!(listed, ["revoked", "wide"]);
    assert_eq!(house.trail().await[0], "key.suspend refused: tampered");
    let alarms = keeper.alarms();
    assert!(alarms > 1, "each time it is met");
    // A bulk action does not put a right seal under a changed row.
    let theirs = keeper
        .revoke_matching(&olga, project, KeyQuery::default(), 1, cause("x"))
        .await;
    assert_eq!(theirs.unwrap(), 1);
    assert_eq!(house.code(&treasury.narrow.secret, &[]), "tampered");

    // To a user whom it does not concern it does not exist.
    let boss = Treasury::open().await;
    let again = boss
        .after_changing(&boss.narrow, |row| row.access = EVERYTHING.to_owned())
        .await;
    let wide = again.actor(&boss.wide.secret);
    let read = again.keeper.key(&wide, again.project(), boss.narrow.id()).await;
    assert!(matches!(refusal(read), Refusal::NotFound(_)));
}

#[tokio::test]
async fn an_operator_revokes_or_deletes_a_changed_row_and_the_trail_repeats_nothing_that_it_said() {
    for deletes in [false, true] {
        let treasury = Treasury::open().await;
        let (wide, narrow) = (treasury.wide.id(), treasury.narrow.id());
        // The attacker's row says that it is the boss's, and the boss's row answers to the attacker's secret.
        let house = treasury
            .after(|lines| {
                let boss = row_of(lines, |row| row.id == wide).owner;
                let row = row_of(lines, |row| row.id == narrow);
                let his = row.current;
                (row.owner, row.access) = (boss, EVERYTHING.to_owned());
                row_of(lines, |row| row.id == wide).current = his;
            })
            .await;
        let (olga, project) = (house.olga(), house.project());
        let before = house.commits().await;
        if deletes {
            let why = Some(cause("somebody changed it"));
            house
                .keeper
                .delete_key(&olga, project, narrow, why, None)
                .await
                .unwrap();
            assert!(matches!(
                refusal(house.keeper.key(&olga, project, narrow).await),
                Refusal::NotFound(_)
            ));
        } else {
            let why = cause("somebody changed it");
            let revoked = house
                .keeper
                .revoke_key(&olga, project, narrow, why, None)
                .await
                .unwrap()
                .key;
            assert_eq!(
                (revoked.state.as_str(), &revoked.access),
                ("revoked", &Access::Only(ScopeSet::default()))
            );
            assert_eq!(
                house.key(narrow).await.state.as_str(),
                "revoked",
                "it is as Keyholt wrote it"
            );
        }
        assert_eq!(house.commits().await, before + 1);
        let event = house.events(project).await.remove(0);
        let expected = if deletes { "key.delete" } else { "key.revoke" };
        assert_eq!((event.action.as_str(), &event.outcome), (expected, &Outcome::Done));
        assert_eq!((event.owner, event.target.id), (None, Some(narrow.uuid())));
        assert_eq!(event.before, Some(serde_json::json!({ "tampered": true })));
        assert_eq!(event.actor.unwrap().key, olga.key);
        // What it said about secrets is not believed either: the row that has the digest now is met as it was before.
        let code = house.code(&treasury.narrow.secret, &[]);
        assert_eq!(code, "tampered", "by the other row, which is changed too");
        house.keeper.delete_key(&olga, project, wide, None, None).await.unwrap();
        assert_eq!(house.code(&treasury.narrow.secret, &[]), "unknown");
    }
}

#[tokio::test]
async fn a_row_that_was_moved_gives_nobody_of_its_new_project_a_hold_on_the_key() {
    let treasury = Treasury::open().await;
    let olga = treasury.house.olga();
    let globex = treasury
        .house
        .keeper
        .found_project(&olga, charter("globex"))
        .await
        .unwrap();
    let hank = treasury.house.new_user(globex.id, "hank", &["admin"]);
    treasury.house.enrol(Record::User(hank.clone())).await;
    let hanks = treasury
        .house
        .issue_in(globex.id, wish(Owner::User(hank.id), "hank").everything())
        .await;
    let id = treasury.wide.id();
    let house = treasury
        .after_changing(&treasury.wide, |row| row.project = globex.id)
        .await;
    let manager = house.actor(&hanks.secret);
    let refusals = [
        refusal(house.keeper.delete_key(&manager, globex.id, id, None, None).await),
        refusal(house.keeper.revoke_key(&manager, globex.id, id, cause("x"), None).await),
    ];
    assert!(
        refusals
            .iter()
            .all(|refusal| matches!(refusal, Refusal::Tampered(Noun::Key)))
    );
    let is_there = house.store.key(globex.id, id).await.unwrap().is_some();
    assert!(is_there, "nothing was done to it");
    // An operator who may only read keys has no more of a hold on it.
    let user = house.keeper.owner_named(SYSTEM, OwnerKind::User, "olga").unwrap();
    let reader = house
        .issue_in(SYSTEM, wish(user, "reader").scopes(&["keyholt:keys:read"]))
        .await;
    let reader = house.actor(&reader.secret);
    let refused = refusal(house.keeper.delete_key(&reader, globex.id, id, None, None).await);
    assert!(matches!(refused, Refusal::Lacks { .. }));
    house
        .keeper
        .delete_key(&house.olga(), globex.id, id, None, None)
        .await
        .unwrap();
}
