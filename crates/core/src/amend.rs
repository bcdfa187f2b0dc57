//! Amends a key: its label, its access, its expiry, where it works.

use std::collections::BTreeSet;

use crate::actor::{Beyond, Permit, WriteKeys};
use crate::commit::Commit;
use crate::issue::{Circumstances, is_publishable};
use crate::key::{Bounds, Key, Kind, State};
use crate::project::PolicyBreach;
use crate::rotate::replace;
use crate::scope::{Access, Scope, ScopeSet};
use crate::text::{Cause, Description, Metadata, Name, Tag};
use crate::time::{Expiry, Moment};

/// What shall become different; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Amendment {
    /// A new name.
    pub name: Option<Name>,
    /// A new description.
    pub description: Option<Description>,
    /// New metadata, in place of the old.
    pub metadata: Option<Metadata>,
    /// New tags, in place of the old.
    pub tags: Option<BTreeSet<Tag>>,
    /// New access.
    pub access: Option<Access>,
    /// A new end.
    pub expiry: Option<Expiry>,
    /// New bounds.
    pub bounds: Option<Bounds>,
    /// Why.
    pub cause: Option<Cause>,
}

/// Why a key is not amended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AmendError {
    /// It would come to exceed the key that it is amended with.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// The project's policy is against it.
    #[error(transparent)]
    Policy(#[from] PolicyBreach),
    /// The expiry is not in the future.
    #[error("the expiry is not in the future; revoke the key to end it now")]
    AlreadyExpired,
    /// A revoked key stays as it was.
    #[error("the key is revoked; that is final")]
    Revoked,
    /// Static and publishable keys have the access that their kind has.
    #[error("the access of a {0} key cannot become that")]
    Kind(Kind),
    /// The environment is part of the secret's text.
    #[error("the environment is part of the secret and cannot be changed")]
    Environment,
}

/// Amends a key. Nothing different is no commit.
pub fn amend(
    permit: &Permit<WriteKeys>,
    key: &Key,
    amendment: Amendment,
    world: Circumstances<'_>,
    now: Moment,
) -> Result<Option<(Key, Commit)>, AmendError> {
    if matches!(key.state, State::Revoked { .. }) {
        return Err(AmendError::Revoked);
    }
    let mut amended = key.clone();
    let about = &mut amended.about;
    about.name = amendment.name.unwrap_or_else(|| key.about.name.clone());
    about.description = amendment.description.unwrap_or_else(|| key.about.description.clone());
    about.metadata = amendment.metadata.unwrap_or_else(|| key.about.metadata.clone());
    about.tags = amendment.tags.unwrap_or_else(|| key.about.tags.clone());

    let authority = amendment.access.is_some() || amendment.expiry.is_some() || amendment.bounds.is_some();
    if let Some(access) = amendment.access {
        check_access(key.kind, &access)?;
        world.project.policy.knows_scopes(&added(&key.access, &access))?;
        amended.access = access;
    }
    if let Some(expiry) = amendment.expiry {
        if expiry.is_past(now) {
            return Err(AmendError::AlreadyExpired);
        }
        // A key from before a stricter policy may still be shortened.
        if key.kind != Kind::Static && expiry.outlives(key.expiry) {
            world.project.policy.allows_expiry(expiry, now)?;
        }
        amended.expiry = expiry;
    }
    if let Some(bounds) = amendment.bounds {
        if bounds.environment != key.bounds.environment {
            return Err(AmendError::Environment);
        }
        amended.bounds = bounds;
    }
    if authority && widens(key, &amended) {
        permit
            .actor()
            .may_hand_on(&amended.access, world.permissions, amended.expiry)?;
    }
    if amended.about == key.about
        && amended.access == key.access
        && amended.expiry == key.expiry
        && amended.bounds == key.bounds
    {
        return Ok(None);
    }
    let commit = replace(permit, "key.amend", key, &mut amended, amendment.cause, now);
    Ok(Some((amended, commit)))
}

fn check_access(kind: Kind, access: &Access) -> Result<(), AmendError> {
    let fits = match (kind, access) {
        (Kind::Standard, _) | (Kind::Static, Access::Everything) => true,
        (Kind::Publishable, access) => is_publishable(access),
        (Kind::Static, Access::Only(_)) | (Kind::Session, _) => false,
    };
    if fits { Ok(()) } else { Err(AmendError::Kind(kind)) }
}

/// The scopes that the new access names and the old one did not: what a key names already may stay,
/// though the project does not know it any more.
fn added(before: &Access, after: &Access) -> ScopeSet {
    let Access::Only(after) = after else {
        return ScopeSet::default();
    };
    let named = |scope: &Scope| matches!(before, Access::Only(before) if before.contains(scope));
    after.without(named)
}

/// Whether the key could do anything after the change that it could not do before.
///
/// Narrowing is always allowed to whoever may change the key: an emergency must not fail for want of rights.
fn widens(before: &Key, after: &Key) -> bool {
    let access = match (&before.access, &after.access) {
        (Access::Everything, _) => false,
        (Access::Only(_), Access::Everything) => true,
        (Access::Only(before), Access::Only(after)) => before.lacks(after).is_some(),
    };
    // Bounds are compared as a whole: any change to where a key works counts as widening.
    access || after.expiry.outlives(before.expiry) || before.bounds != after.bounds
}
