//! Marks a key as exposed: its secret was shown where others can read it. Nothing changes but what people know of it.

use serde_json::json;

use crate::actor::Source;
use crate::audit::{Event, Noun, Outcome, Target};
use crate::commit::Commit;
use crate::key::Kind;
use crate::time::Moment;
use crate::verify::{Dossier, Shown, Stopped};

/// The action of the event.
pub const EXPOSED: &str = "key.exposed";

/// Where others can read what was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exposure {
    /// In a URL: logs, histories and referrers keep it.
    Url,
    /// On a connection that nobody encrypts.
    PlainHttp,
}

impl Exposure {
    /// The word for it in the audit trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Url => "url",
            Self::PlainHttp => "plain_http",
        }
    }
}

/// The event that a key's secret was exposed; nothing for a key that is revoked, or that is meant to be seen.
///
/// There is no actor: possession of an exposed secret no longer says who somebody is.
pub fn expose(dossier: &Dossier<'_>, exposure: Exposure, source: Source, now: Moment) -> Option<Commit> {
    if dossier.stopped == Stopped::Revoked || dossier.kind == Kind::Publishable {
        return None;
    }
    let secret = match dossier.shown {
        Shown::Current => "current",
        Shown::Retiring { until } if now < until => "retiring",
        // Of use to nobody, wherever it was shown.
        Shown::Retiring { .. } | Shown::Superseded => return None,
    };
    let event = Event {
        project: dossier.project,
        at: now,
        action: EXPOSED.to_owned(),
        outcome: Outcome::Done,
        actor: None,
        target: Target {
            noun: Noun::Key,
            id: Some(dossier.key.uuid()),
        },
        owner: Some(dossier.owner),
        cause: None,
        source,
        before: None,
        after: Some(json!({ "shown_in": exposure.as_str(), "secret": secret })),
    };
    Some(Commit::by_itself(event, Vec::new()))
}
