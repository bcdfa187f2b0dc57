//! Recalls single access tokens before their end, and forgets them after it.

use serde::{Deserialize, Serialize};

use super::Token;
use crate::actor::Source;
use crate::audit::{ActorRef, Event, Noun, Outcome, Target};
use crate::commit::{Change, Commit, Record, Revision};
use crate::id::{KeyId, ProjectId, TokenId};
use crate::owner::Owner;
use crate::time::Moment;

/// An access token that was revoked before its end, kept until that end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RevokedToken {
    /// The token.
    pub id: TokenId,
    /// Its project.
    pub project: ProjectId,
    /// Whom it acts for.
    pub owner: Owner,
    /// The key that it hangs on.
    pub parent: KeyId,
    /// When it was revoked.
    pub revoked_at: Moment,
    /// When it would have been dead anyway, and the record goes.
    pub expires_at: Moment,
    /// How often the record was changed.
    pub revision: Revision,
}

/// Recalls a token before its end. One that is dead anyway needs no recalling.
pub fn recall(token: &Token, actor: ActorRef, source: Source, now: Moment) -> Option<Commit> {
    if now >= token.expires_at {
        return None;
    }
    let record = Record::Token(RevokedToken {
        id: token.id,
        project: token.project,
        owner: token.owner,
        parent: token.parent,
        revoked_at: now,
        expires_at: token.expires_at,
        revision: Revision::FIRST,
    });
    let event = Event {
        actor: Some(actor),
        owner: Some(token.owner),
        after: Some(record.view()),
        ..own_event("token.revoke", token.project, Some(token.id), source, now)
    };
    Some(Commit::by_itself(event, vec![Change::Insert(record)]))
}

/// Forgets recalled tokens of one project that are dead by now. `None` where there is none.
pub fn forget(project: ProjectId, tokens: Vec<RevokedToken>, source: Source, now: Moment) -> Option<Commit> {
    let dead = |token: &RevokedToken| token.project == project && now >= token.expires_at;
    let changes: Vec<Change> = tokens
        .into_iter()
        .filter(dead)
        .map(|token| Change::Remove {
            record: Record::Token(token),
        })
        .collect();
    if changes.is_empty() {
        return None;
    }
    let event = own_event("token.forget", project, None, source, now);
    Some(Commit::by_itself(event, changes))
}

fn own_event(action: &str, project: ProjectId, token: Option<TokenId>, source: Source, now: Moment) -> Event {
    Event {
        project,
        at: now,
        action: action.to_owned(),
        outcome: Outcome::Done,
        actor: None,
        target: Target {
            noun: Noun::Token,
            id: token.map(TokenId::uuid),
        },
        owner: None,
        cause: None,
        source,
        before: None,
        after: None,
    }
}
