//! What the trail tells: one event for each change, with actor, owner and key apart, before and after, and the cause.

use std::collections::HashMap;

use keyholt_core::audit::{Event, Outcome};
use keyholt_core::id::SYSTEM;
use keyholt_store::{DumpLine, Touched};
use serde_json::Value;

use super::deeds::{DEEDS, Scene};
use crate::house::{House, source};
use crate::relay::Relay;

/// Which events each deed leaves: the action, whose thing it was, what became of it, and whether a cause is told.
const TABLE: [(&str, &[&str]); 27] = [
    ("issue a key", &["key.issue user made because"]),
    (
        "import keys",
        &["key.issue user made because", "key.issue user made because"],
    ),
    ("amend a key", &["key.amend user changed because"]),
    ("rotate a key", &["key.rotate user changed because"]),
    ("end a grace", &["key.end_grace user changed because"]),
    ("suspend a key", &["key.suspend user changed because"]),
    ("resume a key", &["key.resume user changed because"]),
    ("revoke a key", &["key.revoke user changed because"]),
    ("delete a key", &["key.delete user gone because"]),
    (
        "revoke many keys",
        &["key.revoke user changed because", "key.revoke user changed because"],
    ),
    ("revoke the own key", &["key.revoke service changed because"]),
    ("enrol a user", &["user.enrol user made because"]),
    ("enrol a team", &["team.enrol team made because"]),
    ("enrol a service", &["service.enrol service made because"]),
    ("change a user", &["user.change user changed because"]),
    ("join a team", &["team.change team changed because"]),
    ("leave a team", &["team.change team changed because"]),
    ("suspend a user", &["user.suspend user changed because"]),
    ("resume a user", &["user.resume user changed because"]),
    (
        "remove a user",
        &[
            "key.revoke user changed owner removed",
            "key.revoke user changed owner removed",
            "team.change team changed because",
            "user.remove user gone because",
        ],
    ),
    ("make a role", &["role.enrol nobody made because"]),
    ("change a role", &["role.change nobody changed because"]),
    ("remove a role", &["role.remove nobody gone because"]),
    ("found a project", &["project.found nobody made because"]),
    ("change a project", &["project.change nobody changed because"]),
    ("suspend a project", &["project.suspend nobody changed because"]),
    ("resume a project", &["project.resume nobody changed because"]),
];

async fn whole_trail(relay: &Relay) -> Vec<(Event, Vec<Touched>)> {
    let mut trail = Vec::new();
    for line in relay.dump().await {
        if let DumpLine::Event { numbered, touched } = line {
            assert_eq!(numbered.number.0, trail.len() as u64 + 1, "numbers have no gaps");
            trail.push((numbered.event, touched));
        }
    }
    trail
}

fn in_a_line(event: &Event) -> String {
    let became = match (&event.before, &event.after) {
        (None, Some(_)) => "made",
        (Some(_), Some(_)) => "changed",
        (Some(_), None) => "gone",
        (None, None) => "nothing",
    };
    let owner = event.owner.map_or("nobody", |owner| owner.kind().as_str());
    let cause = event
        .cause
        .as_ref()
        .map(|cause| format!(" {cause}"))
        .unwrap_or_default();
    format!("{} {owner} {became}{cause}", event.action)
}

#[tokio::test]
async fn every_deed_leaves_its_events_and_no_other() {
    assert_eq!(TABLE.map(|(deed, _)| deed), DEEDS, "every deed has its row");
    for (deed, expected) in TABLE {
        let scene = Scene::set().await;
        scene.prepare(deed).await;
        let doer = scene.doer(deed);
        let before = whole_trail(&scene.relay).await.len();
        scene.play(deed, &doer).await.unwrap();
        let trail = whole_trail(&scene.relay).await;
        let new = &trail[before..];
        // The order of changes in one transaction is the keeper's own business.
        let mut told: Vec<String> = new.iter().map(|(event, _)| in_a_line(event)).collect();
        told.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(told, expected, "{deed}");
        for (event, touched) in new {
            let actor = event.actor.expect("somebody did it");
            assert_eq!(
                (actor.key, actor.owner, actor.home),
                (doer.key, doer.owner, doer.home),
                "{deed}"
            );
            assert_eq!(
                (event.at, &event.source),
                (scene.house.keeper.now(), &source()),
                "{deed}"
            );
            assert_eq!(event.outcome, Outcome::Done);
            let system = matches!(deed, "found a project" | "suspend a project" | "resume a project");
            let place = if system { SYSTEM } else { scene.house.project() };
            assert_eq!(event.project, place, "{deed}");
            assert!(
                touched.iter().any(|touched| Some(touched.id) == event.target.id),
                "{deed}"
            );
            // A project comes with its starting roles; anything else is one event for one record.
            assert_eq!(touched.len(), if deed == "found a project" { 5 } else { 1 }, "{deed}");
            let revision = |view: &Option<Value>| view.as_ref().and_then(|view| view["revision"].as_u64());
            match (revision(&event.before), revision(&event.after)) {
                (None, Some(made)) => assert_eq!(made, 1, "{deed}"),
                (Some(before), Some(after)) => assert_eq!(after, before + 1, "{deed}"),
                (before, after) => assert!(before.is_some() && after.is_none(), "{deed}"),
            }
        }
    }
}

#[tokio::test]
async fn the_trail_is_a_chain_in_which_nothing_is_missing() {
    let scene = Scene::set().await;
    for deed in [
        "issue a key",
        "amend a key",
        "rotate a key",
        "suspend a user",
        "change a role",
        "remove a user",
    ] {
        scene.play(deed, &scene.doer(deed)).await.unwrap();
    }
    let mut last: HashMap<_, Option<Value>> = HashMap::new();
    for (event, _) in whole_trail(&scene.relay).await {
        let at = (event.target.noun, event.target.id);
        if let Some(known) = last.get(&at) {
            assert_eq!(
                &event.before, known,
                "{}: it begins where the last one ended",
                event.action
            );
        }
        last.insert(at, event.after);
    }
}

#[tokio::test]
async fn the_trail_holds_neither_secrets_nor_digests() {
    let scene = Scene::set().await;
    for deed in ["rotate a key", "issue a key", "delete a key"] {
        scene.play(deed, &scene.doer(deed)).await.unwrap();
    }
    let lines = scene.relay.dump().await;
    let mut words = vec![scene.house.operator.secret.clone()];
    words.extend(scene.keys.iter().map(|key| key.secret.clone()));
    for line in &lines {
        if let DumpLine::Key(columns) = line {
            for digest in columns.digests().chain([columns.seal]) {
                words.push(serde_json::to_string(&digest).unwrap().trim_matches('"').to_owned());
            }
        }
    }
    let events: String = lines
        .iter()
        .filter(|line| matches!(line, DumpLine::Event { .. }))
        .map(|line| serde_json::to_string(line).unwrap())
        .collect();
    assert!(events.contains("key.rotate"));
    for word in words {
        assert!(!events.contains(&word));
    }
}

#[tokio::test]
async fn the_set_up_is_told_too() {
    let relay = Relay::new();
    let house = House::open_on(relay.lone()).await;
    let trail = whole_trail(&relay).await;
    let told: Vec<String> = trail.iter().map(|(event, _)| event.action.clone()).collect();
    assert_eq!(told, ["setup.open", "setup.complete", "project.found"]);
    for (event, _) in &trail[..2] {
        assert_eq!((event.project, event.actor), (SYSTEM, None), "Keyholt itself did it");
    }
    assert_eq!(
        trail[1]
            .1
            .iter()
            .filter(|touched| touched.id == house.operator.id().uuid())
            .count(),
        1
    );
}
