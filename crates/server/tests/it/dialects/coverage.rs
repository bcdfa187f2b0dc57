//! Every operation of every dialect: who may not do it, who may, and what it leaves in the audit trail.
//!
//! The operations are those that the dialects' tables are made of. One that has no request here fails the suite.

use keyholt_server::dialects::DIALECTS;
use keyholt_server::http::{Needs, Operation};

use super::village::{Complaint, Speaker, Village};
use super::{datalayer, directus, meerschaum, stackauth};
use crate::house::{Wishes, wish};
use crate::people::STAPLE;
use crate::wire::Reply;

/// Who speaks what.
const SPEAKERS: [&Speaker; 4] = [
    &meerschaum::SPEAKER,
    &datalayer::SPEAKER,
    &directus::SPEAKER,
    &stackauth::SPEAKER,
];

fn operations(speaker: &Speaker) -> Vec<Operation> {
    speaker.dialect.routes().iter().map(|route| route.operation).collect()
}

fn needing_a_key(speaker: &Speaker) -> impl Iterator<Item = Operation> {
    let all = operations(speaker).into_iter();
    all.filter(|operation| !operation.needs.is_met_without_a_key())
}

async fn ask(speaker: &Speaker, village: &Village, operation: &Operation, secret: &str) -> Reply {
    let request = (speaker.example)(village, operation, secret);
    assert_eq!(request.method().as_str(), operation.method, "{}", operation.id);
    let reply = village.wire.send(request).await;
    for (header, expected) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(reply.header(header), expected, "{}", operation.id);
    }
    assert!(!reply.header("x-request-id").is_empty(), "{}", operation.id);
    reply
}

#[test]
fn every_dialect_is_spoken_here() {
    let spoken: Vec<&str> = SPEAKERS.iter().map(|speaker| speaker.dialect.name()).collect();
    let there: Vec<&str> = DIALECTS.iter().map(|dialect| dialect.name()).collect();
    assert_eq!(spoken, there);
}

#[tokio::test]
async fn nobody_may_do_anything_without_a_key_of_this_very_project() {
    for speaker in SPEAKERS {
        let village = Village::open(speaker.dialect).await;
        let before = village.house.commits().await;
        let nobodies = [
            "",
            "acme_nobody",
            &village.stranger.secret,
            // Operators have a door of their own.
            &village.house.operator.secret,
        ];
        for operation in needing_a_key(speaker) {
            for nobody in nobodies {
                let reply = ask(speaker, &village, &operation, nobody).await;
                let told = (speaker.complaint)(&reply);
                assert_eq!(told, Complaint::NotKnown, "{} {nobody}", operation.id);
            }
        }
        assert_eq!(village.house.commits().await, before, "nothing happened");
    }
}

#[tokio::test]
async fn a_key_without_the_scope_may_not() {
    for speaker in SPEAKERS {
        let village = Village::open(speaker.dialect).await;
        for operation in needing_a_scope(speaker) {
            let reply = ask(speaker, &village, &operation, &village.idle.secret).await;
            let told = (speaker.complaint)(&reply);
            assert_eq!(told, Complaint::NotAllowed, "{}: {reply:?}", operation.id);
        }
    }
}

/// The scopes that looking at things takes.
const LOOKING: [&str; 6] = [
    "keyholt:keys:read",
    "keyholt:owners:read",
    "keyholt:project:read",
    "keyholt:audit:read",
    "keyholt:self:read",
    "users:read",
];

#[tokio::test]
async fn whoever_may_look_but_not_change_is_told_so_and_each_attempt_is_in_the_audit_trail() {
    let mut odd = Vec::new();
    for speaker in SPEAKERS {
        for operation in needing_a_scope(speaker).filter(|operation| operation.audit.is_some()) {
            let village = Village::open(speaker.dialect).await;
            village.let_cora_in().await;
            let looker = wish(village.admins.key.owner, "looker").scopes(&LOOKING);
            let looker = village.house.issue(looker).await;
            let before = village.house.trail().await.len();
            let reply = ask(speaker, &village, &operation, &looker.secret).await;
            let told = (speaker.complaint)(&reply);
            let mut trail = village.house.trail().await;
            trail.truncate(trail.len() - before);
            let expected = format!("{} refused: insufficient_scope", attempted(&operation));
            if told != Complaint::NotAllowed || trail != [expected.as_str()] {
                odd.push(format!("{}: {told:?} {trail:?}, not {expected}", operation.id));
            }
        }
    }
    assert!(odd.is_empty(), "{odd:#?}");
}

fn needing_a_scope(speaker: &Speaker) -> impl Iterator<Item = Operation> {
    needing_a_key(speaker).filter(|operation| matches!(operation.needs, Needs::Scope(_) | Needs::ScopeOrOwn(..)))
}

/// The action that an attempt is told as: an import has many events where it is done, and one where it is not.
fn attempted(operation: &Operation) -> &'static str {
    match operation.id {
        "import" => "key.issue",
        _ => operation.audit.unwrap_or_default(),
    }
}

#[tokio::test]
async fn whatever_else_an_operation_is_asked_for_leaves_its_events() {
    let mut odd = Vec::new();
    for speaker in SPEAKERS {
        for turn in speaker.turns {
            let village = Village::open(speaker.dialect).await;
            village.house.give_password(&village.cora, STAPLE).await;
            for before in turn.before {
                village.wire.send(before(&village)).await.ok();
            }
            let before = village.house.trail().await.len();
            let reply = village.wire.send((turn.asked)(&village)).await.ok();
            (speaker.canary)(&reply);
            let mut trail = village.house.trail().await;
            trail.truncate(trail.len() - before);
            trail.retain(|action| action != "signing_key.rotate");
            trail.reverse();
            if trail != turn.events {
                odd.push(format!("{}: {trail:?}, not {:?}", turn.name, turn.events));
            }
        }
    }
    assert!(odd.is_empty(), "{odd:#?}");
}

#[tokio::test]
async fn what_is_done_leaves_its_event_and_what_changes_nothing_leaves_none() {
    for speaker in SPEAKERS {
        for operation in operations(speaker) {
            let village = Village::open(speaker.dialect).await;
            let is_about_a_session = operation.audit == Some("session.end");
            if is_about_a_session || matches!(operation.needs, Needs::Password | Needs::Session) {
                village.let_cora_in().await;
            }
            let before = village.house.trail().await.len();
            // What is nobody's own takes an administrator.
            let is_own = !matches!(operation.needs, Needs::Scope(scope) if scope.starts_with("keyholt:"));
            let doer = if is_own {
                (speaker.doer)(&village)
            } else {
                &village.admins
            };
            let reply = ask(speaker, &village, &operation, &doer.secret).await.ok();
            (speaker.canary)(&reply);
            let mut trail = village.house.trail().await;
            trail.truncate(trail.len() - before);
            // Whoever wants the project's first token makes its signing key too, which tells of itself.
            trail.retain(|action| action != "signing_key.rotate");
            let expected: Vec<&str> = operation.audit.into_iter().collect();
            assert_eq!(trail, expected, "{}", operation.id);
        }
    }
}

#[tokio::test]
async fn what_is_nowhere_is_told_in_the_dialect_s_own_words() {
    for speaker in SPEAKERS {
        let village = Village::open(speaker.dialect).await;
        let reply = village.wire.get(&village.adas.secret, "/nowhere").await;
        assert_eq!((speaker.complaint)(&reply), Complaint::NotThere);
        // What the native API answers is not answered here.
        let reply = village.wire.get(&village.adas.secret, "/v1/self").await;
        assert_eq!((speaker.complaint)(&reply), Complaint::NotThere);
        let path = operations(speaker)[0].path;
        let patch = crate::wire::request(http::Method::PATCH, path, "", axum::body::Body::empty());
        let reply = village.wire.send(patch).await;
        assert_eq!(
            (reply.status.as_u16(), (speaker.complaint)(&reply)),
            (405, Complaint::Wrong)
        );
        assert!(!reply.header("allow").is_empty());
    }
}
