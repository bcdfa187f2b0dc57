//! Rotates a key: a new secret now, the old one until its grace ends; never three.

use crate::actor::{Beyond, Permit, WriteKeys};
use crate::commit::{Change, Commit, Record};
use crate::entropy::Entropy;
use crate::issue::Circumstances;
use crate::key::{Key, Kind, State};
use crate::project::PolicyBreach;
use crate::secret::{Credentials, Fingerprint, Secret, Visibility};
use crate::text::Cause;
use crate::time::{Moment, Span};

/// The action of the event.
pub const ROTATED: &str = "key.rotate";

/// What the caller wishes for.
#[derive(Clone, Debug)]
pub struct Turn {
    /// How long the old secret still works.
    pub grace: Grace,
    /// SHA-256 of a new secret that the client made; `None` has Keyholt make one.
    pub client_made: Option<Fingerprint>,
    /// Why.
    pub cause: Option<Cause>,
}

/// How long the old secret still works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grace {
    /// As long as the project's policy says; a static key's old secret dies at once.
    Default,
    /// That long; zero ends it at once.
    For(Span),
}

/// What came of it.
#[derive(Debug)]
pub struct Rotated {
    /// The key after the rotation.
    pub key: Key,
    /// The new secret, where Keyholt made it: to be shown once.
    pub secret: Option<Secret>,
}

/// Why a key is not rotated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotateError {
    /// The caller would learn a secret that can do more than its own.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// The grace is too long.
    #[error(transparent)]
    Policy(#[from] PolicyBreach),
    /// A revoked key stays revoked.
    #[error("the key is revoked; that is final")]
    Revoked,
    /// The secret that the client made is one that the key has already.
    #[error("the new secret is not new: the key has it already")]
    SameSecret,
    /// An expired key would come out dead.
    #[error("the key has expired; prolong it first")]
    Expired,
}

/// Rotates a key. A rotation during a grace ends that grace: there are never three live secrets.
pub fn rotate(
    permit: &Permit<WriteKeys>,
    key: &Key,
    turn: Turn,
    world: Circumstances<'_>,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<(Rotated, Commit), RotateError> {
    if matches!(key.state, State::Revoked { .. }) {
        return Err(RotateError::Revoked);
    }
    if key.expiry.is_past(now) {
        return Err(RotateError::Expired);
    }
    permit.actor().may_hand_on(&key.access, world.permissions, key.expiry)?;
    let policy = &world.project.policy;
    let grace = match turn.grace {
        // Regenerating a static key kills the old one at once: its holder has one master key, not two.
        Grace::Default if key.kind == Kind::Static => Span::ZERO,
        Grace::Default => policy.default_grace.min(policy.longest_grace),
        Grace::For(grace) if grace > policy.longest_grace => {
            return Err(PolicyBreach::GraceTooLong {
                longest: policy.longest_grace,
            }
            .into());
        }
        Grace::For(grace) => grace,
    };
    let (secret, fingerprint, hint) = match turn.client_made {
        Some(fingerprint) => (None, fingerprint, None),
        None => {
            let visibility = if key.kind == Kind::Publishable {
                Visibility::Publishable
            } else {
                Visibility::Secret
            };
            let secret = Secret::mint(&policy.prefix, visibility, key.bounds.environment.as_ref(), entropy);
            let (fingerprint, hint) = (secret.fingerprint(), secret.hint());
            (Some(secret), fingerprint, Some(hint))
        }
    };
    let current = world.pepper.digest(&fingerprint);
    // SECURITY: a leaked secret that is put in its own place lives on, while everybody believes that it is gone.
    let retiring = key.credentials.retiring().map(|(digest, _)| digest);
    if [Some(key.credentials.current()), retiring]
        .into_iter()
        .flatten()
        .any(|digest| world.pepper.recognises(&fingerprint, digest))
    {
        return Err(RotateError::SameSecret);
    }
    let mut rotated = key.clone();
    // Without a grace the old secret is dead now; it is remembered all the same.
    rotated.credentials = Credentials::Rotating {
        current,
        retiring: *key.credentials.current(),
        until: now.plus(grace),
    };
    rotated.about.hint = hint;
    let commit = replace(permit, ROTATED, key, &mut rotated, turn.cause, now);
    Ok((Rotated { key: rotated, secret }, commit))
}

/// Ends the old secret's grace early. A key in no grace is left as it is: there is nothing to end.
pub fn end_grace(permit: &Permit<WriteKeys>, key: &Key, cause: Option<Cause>, now: Moment) -> Option<(Key, Commit)> {
    key.credentials.retiring().filter(|(_, until)| *until > now)?;
    let mut ended = key.clone();
    ended.credentials = key.credentials.cut_short(now);
    let commit = replace(permit, "key.end_grace", key, &mut ended, cause, now);
    Some((ended, commit))
}

/// The commit that replaces a key by its next revision.
pub(crate) fn replace(
    permit: &Permit<WriteKeys>,
    action: &str,
    before: &Key,
    after: &mut Key,
    cause: Option<Cause>,
    now: Moment,
) -> Commit {
    after.revision = before.revision.next();
    let change = Change::Replace {
        record: Record::Key(Box::new(after.clone())),
        expected: before.revision,
    };
    Commit::by(
        permit,
        action,
        Some(&Record::Key(Box::new(before.clone()))),
        change,
        cause,
        now,
    )
}
