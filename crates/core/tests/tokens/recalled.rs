//! How single tokens are recalled before their end, and forgotten after it.

use keyholt_core::audit::{Noun, Outcome};
use keyholt_core::commit::{Change, Record, Revision};
use keyholt_core::id::ProjectId;
use keyholt_core::token::{RevokedToken, forget, recall};

use super::*;
use crate::support::source;

#[test]
fn a_recalled_token_is_remembered_until_its_end() {
    let mut backend = Backend::new();
    let token = backend.token();
    let actor = backend.world.admin();
    let now = NEW_YEAR.plus(Span::secs(1));
    let commit = recall(&token, (&actor).into(), source(), now).unwrap();
    let record = RevokedToken {
        id: token.id,
        project: token.project,
        owner: token.owner,
        parent: token.parent,
        revoked_at: now,
        expires_at: token.expires_at,
        revision: Revision::FIRST,
    };
    assert!(matches!(commit.changes(), [Change::Insert(Record::Token(kept))] if *kept == record));
    let event = commit.event();
    assert_eq!(
        (event.action.as_str(), &event.outcome),
        ("token.revoke", &Outcome::Done)
    );
    assert_eq!(
        (event.project, event.at, &event.source),
        (token.project, now, &source())
    );
    assert_eq!(
        (event.target.noun, event.target.id),
        (Noun::Token, Some(token.id.uuid()))
    );
    assert_eq!(event.actor, Some((&actor).into()));
    assert_eq!((event.owner, event.before.is_none()), (Some(token.owner), true));
    assert_eq!(event.after, Some(Record::Token(record).view()));
}

#[test]
fn a_token_that_is_dead_anyway_needs_no_recalling() {
    let mut backend = Backend::new();
    let token = backend.token();
    let actor = backend.world.admin();
    let recalled = |now| recall(&token, (&actor).into(), source(), now).is_some();
    assert!(recalled(token.expires_at.minus(Span::millis(1))));
    assert!(!recalled(token.expires_at), "it is dead at its instant");
}

#[test]
fn what_is_dead_anyway_is_forgotten_and_nothing_else() {
    let mut backend = Backend::new();
    let token = backend.token();
    let project = token.project;
    let recalled = |project, secs| RevokedToken {
        id: token.id,
        project,
        owner: token.owner,
        parent: token.parent,
        revoked_at: NEW_YEAR,
        expires_at: NEW_YEAR.plus(Span::secs(secs)),
        revision: Revision::FIRST,
    };
    let now = NEW_YEAR.plus(Span::secs(10));
    let elsewhere = ProjectId::mint(NEW_YEAR, &mut backend.world.entropy);
    let all = vec![recalled(project, 10), recalled(project, 11), recalled(elsewhere, 10)];
    let commit = forget(project, all.clone(), source(), now).unwrap();
    assert!(matches!(commit.changes(), [Change::Remove { record: Record::Token(gone) }] if *gone == all[0]));
    let event = commit.event();
    assert_eq!((event.action.as_str(), event.project), ("token.forget", project));
    assert_eq!((event.target.noun, event.target.id), (Noun::Token, None));
    assert_eq!((event.actor, event.owner), (None, None), "Keyholt does it by itself");
    assert!(forget(project, all[1..].to_vec(), source(), now).is_none());
}
