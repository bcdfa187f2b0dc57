//! Audit events: who did or tried what to which thing, when, from where, and what it changed.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::actor::{Actor, Source};
use crate::id::{KeyId, ProjectId};
use crate::owner::Owner;
use crate::text::Cause;
use crate::time::Moment;

/// One entry of the audit trail. Owner, actor and key are three different things, and all three are named.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The project that it happened in.
    pub project: ProjectId,
    /// When.
    pub at: Moment,
    /// What was done or tried, such as `key.revoke`.
    pub action: String,
    /// Whether it was done.
    pub outcome: Outcome,
    /// Who did it; `None` is Keyholt itself or somebody unknown.
    pub actor: Option<ActorRef>,
    /// What it was done to.
    pub target: Target,
    /// Whom the thing belongs to, where it belongs to somebody.
    pub owner: Option<Owner>,
    /// Why, in the words of whoever did it.
    pub cause: Option<Cause>,
    /// From where.
    pub source: Source,
    /// What the thing was before; never holds secrets or digests.
    pub before: Option<Value>,
    /// What it is now.
    pub after: Option<Value>,
}

/// Whether it was done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// It was.
    Done,
    /// It was refused.
    Refused {
        /// The error code of the refusal.
        code: String,
    },
}

/// Who did it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ActorRef {
    /// The project that the actor belongs to.
    pub home: ProjectId,
    /// Whom the actor's key acts for.
    pub owner: Owner,
    /// The key that was used.
    pub key: KeyId,
}

impl From<&Actor> for ActorRef {
    fn from(actor: &Actor) -> Self {
        Self {
            home: actor.home,
            owner: actor.owner,
            key: actor.key,
        }
    }
}

/// What it was done to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Target {
    /// What kind of thing.
    pub noun: Noun,
    /// Which; `None` where it does not exist, or where many were meant.
    pub id: Option<Uuid>,
}

/// The kinds of thing that are kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Noun {
    /// A project.
    Project,
    /// A role.
    Role,
    /// A user.
    User,
    /// A team.
    Team,
    /// A service.
    Service,
    /// A user's password.
    Password,
    /// A key that signs access tokens.
    SigningKey,
    /// An access token that was revoked before its end.
    Token,
    /// A key.
    Key,
    /// The set-up.
    Setup,
}

impl Noun {
    /// All nouns, in the order in which they are kept: what others refer to comes first.
    pub const ALL: [Self; 10] = [
        Self::Setup,
        Self::Project,
        Self::Role,
        Self::User,
        Self::Team,
        Self::Service,
        Self::Password,
        Self::SigningKey,
        Self::Token,
        Self::Key,
    ];

    /// Whether judging needs it, so that it is kept in memory. What is asked for once in a log-in is read when it is.
    pub const fn is_judged_by(self) -> bool {
        !matches!(self, Self::Password)
    }

    /// The word for it in columns, paths and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Role => "role",
            Self::User => "user",
            Self::Team => "team",
            Self::Service => "service",
            Self::Password => "password",
            Self::SigningKey => "signing_key",
            Self::Token => "token",
            Self::Key => "key",
            Self::Setup => "setup",
        }
    }

    /// The noun that this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|noun| noun.as_str() == word)
    }
}

impl Event {
    /// The record of a refused attempt; there is no change to go with it.
    pub fn refused(
        actor: &Actor,
        project: ProjectId,
        action: &str,
        target: Target,
        owner: Option<Owner>,
        code: &str,
        now: Moment,
    ) -> Self {
        Self {
            project,
            at: now,
            action: action.to_owned(),
            outcome: Outcome::Refused { code: code.to_owned() },
            actor: Some(actor.into()),
            target,
            owner,
            cause: actor.cause.clone(),
            source: actor.source.clone(),
            before: None,
            after: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_alone_are_not_kept_in_memory() {
        let left: Vec<Noun> = Noun::ALL.into_iter().filter(|noun| !noun.is_judged_by()).collect();
        assert_eq!(left, [Noun::Password]);
    }
}
