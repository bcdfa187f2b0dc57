//! Suspends a key for a time, and resumes it exactly as it was.

use crate::actor::{Beyond, Permit, WriteKeys};
use crate::commit::Commit;
use crate::issue::Circumstances;
use crate::key::{Key, State};
use crate::rotate::replace;
use crate::text::Cause;
use crate::time::Moment;

/// Why a key is not suspended or resumed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PauseError {
    /// It would come to life with more than the caller has.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// A revoked key stays revoked.
    #[error("the key is revoked; that is final")]
    Revoked,
}

/// Suspends a key. One that is suspended already stays as it is, since when it was.
pub fn suspend(
    permit: &Permit<WriteKeys>,
    key: &Key,
    cause: Option<Cause>,
    now: Moment,
) -> Result<Option<(Key, Commit)>, PauseError> {
    match key.state {
        State::Revoked { .. } => Err(PauseError::Revoked),
        State::Suspended { .. } => Ok(None),
        State::Active => {
            let mut suspended = key.clone();
            suspended.state = State::Suspended { since: now };
            let commit = replace(permit, "key.suspend", key, &mut suspended, cause, now);
            Ok(Some((suspended, commit)))
        }
    }
}

/// Resumes a suspended key. One that is active stays as it is.
pub fn resume(
    permit: &Permit<WriteKeys>,
    key: &Key,
    cause: Option<Cause>,
    world: Circumstances<'_>,
    now: Moment,
) -> Result<Option<(Key, Commit)>, PauseError> {
    match key.state {
        State::Revoked { .. } => Err(PauseError::Revoked),
        State::Active => Ok(None),
        State::Suspended { .. } => {
            permit.actor().may_hand_on(&key.access, world.permissions, key.expiry)?;
            let mut resumed = key.clone();
            resumed.state = State::Active;
            let commit = replace(permit, "key.resume", key, &mut resumed, cause, now);
            Ok(Some((resumed, commit)))
        }
    }
}
