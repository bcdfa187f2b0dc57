//! Reuse: a secret is shown that was taken out of use. Its holder missed a rotation, or somebody has what leaked.

use serde_json::json;

use crate::actor::Source;
use crate::audit::{Event, Noun, Outcome, Target};
use crate::commit::Commit;
use crate::id::{KeyId, ProjectId};
use crate::key::Kind;
use crate::owner::Owner;
use crate::time::Moment;
use crate::verify::{Dossier, Form, Shown, Stopped};

/// The action of the event.
pub const REUSED: &str = "key.reused";

/// A secret that was shown although it was taken out of use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reuse {
    /// The key.
    pub key: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// Whom it acts for.
    pub owner: Owner,
    /// Why the secret is of no use any more.
    pub end: End,
}

/// How a secret was taken out of use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The key was rotated, and the grace is over.
    Rotated,
    /// The key was revoked.
    Revoked,
}

impl End {
    /// The word for it in the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Revoked => "revoked",
        }
    }
}

/// Whether what was shown is a secret that was taken out of use.
///
/// A token that outlives its key is none, nor is a refresh token, whose reuse ends its session; and what is meant to be seen
/// may be shown by anybody.
pub fn reuse(dossier: &Dossier<'_>, now: Moment) -> Option<Reuse> {
    let is_secret = dossier.form == Form::Secret && !matches!(dossier.kind, Kind::Session | Kind::Publishable);
    let end = match (dossier.shown, dossier.stopped) {
        (_, Stopped::Tampered) => None,
        (Shown::Retiring { until }, _) => (now >= until).then_some(End::Rotated),
        (Shown::Current, Stopped::Revoked) => Some(End::Revoked),
        (Shown::Current | Shown::Superseded, _) => None,
    };
    Some(Reuse {
        key: dossier.key,
        project: dossier.project,
        owner: dossier.owner,
        end: end.filter(|_| is_secret)?,
    })
}

impl Reuse {
    /// The event that tells of it. Nothing changes: whoever has a dead secret must not be able to do anything to the key.
    pub fn told(self, source: Source, at: Moment) -> Commit {
        let event = Event {
            project: self.project,
            at,
            action: REUSED.to_owned(),
            outcome: Outcome::Done,
            actor: None,
            target: Target {
                noun: Noun::Key,
                id: Some(self.key.uuid()),
            },
            owner: Some(self.owner),
            cause: None,
            source,
            before: None,
            after: Some(json!({ "secret": self.end.as_str() })),
        };
        Commit::by_itself(event, Vec::new())
    }
}
