//! Revokes a key: final, idempotent, the first time kept.

use crate::actor::{Permit, WriteKeys};
use crate::commit::Commit;
use crate::entropy::Entropy;
use crate::key::{Bounds, Key, State};
use crate::rotate::replace;
use crate::scope::{Access, ScopeSet};
use crate::secret::{Credentials, Digest};
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

/// Revokes a key whose row somebody changed in the database, whatever state the row says it is in.
///
/// SECURITY: the row is sealed anew, so nothing is left in it that could ever give or take anybody anything: it is over for
/// good, carries no scope, and answers to no secret, for the one that it names may be another key's. Whose it is, is what the
/// row says, and so nobody knows. Whoever calls this must have every key of every project in reach.
pub fn revoke_tampered(
    permit: &Permit<WriteKeys>,
    row: &Key,
    cause: Cause,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> (Key, Commit) {
    let mut nobodys = [0; 32];
    entropy.fill(&mut nobodys);
    let mut revoked = Key {
        access: Access::Only(ScopeSet::default()),
        bounds: Bounds::default(),
        state: State::Revoked {
            at: now,
            cause: cause.clone(),
        },
        credentials: Credentials::One(Digest::from_bytes(nobodys)),
        ..row.clone()
    };
    let commit = replace(permit, "key.revoke", row, &mut revoked, Some(cause), now);
    (revoked, commit.about_tampered())
}
