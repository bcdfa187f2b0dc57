//! Every operation of every dialect: who may not do it, who may, and what it leaves in the audit trail.
//!
//! The operations are those that the dialects' routers are made of. One that has no request here fails the suite.

use keyholt_server::dialects::DIALECTS;
use keyholt_server::http::{Needs, Operation};

use super::village::{Complaint, Speaker, Village};
use super::{datalayer, directus, meerschaum, stackauth};
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
        for operation in needing_a_key(speaker) {
            if matches!(operation.needs, Needs::Scope(_) | Needs::ScopeOrOwn(..)) {
                let reply = ask(speaker, &village, &operation, &village.idle.secret).await;
                let told = (speaker.complaint)(&reply);
                assert_eq!(told, Complaint::NotAllowed, "{}: {reply:?}", operation.id);
            }
        }
    }
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
