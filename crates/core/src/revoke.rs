//! Revokes a key: final, idempotent, the first time kept.

use crate::actor::{Permit, WriteKeys};
use crate::commit::Commit;
use crate::key::{Key, State};
use crate::rotate::replace;
use crate::text::Cause;
use crate::time::Moment;

/// Revokes a key. One that is revoked already stays as it is, with its first time and cause.
pub fn revoke(permit: &Permit<WriteKeys>, key: &Key, cause: Cause, now: Moment) -> Option<(Key, Commit)> {
    if matches!(key.state, State::Revoked { .. }) {
        return None;
    }
    let mut revoked = key.clone();
    revoked.state = State::Revoked {
        at: now,
        cause: cause.clone(),
    };
    // The old secret goes with the key; the newest is kept, so that its holder is told `revoked` and not `unknown`.
    revoked.credentials = key.credentials.cut_short(now);
    let commit = replace(permit, "key.revoke", key, &mut revoked, Some(cause), now);
    Some((revoked, commit))
}
