//! The way in: some operator always keeps a key that can do everything, or nobody could put anything right again.

use keyholt_core::commit::Record;
use keyholt_core::enrol::{self, EnrolError};
use keyholt_core::id::{KeyId, ProjectId, SYSTEM};
use keyholt_core::owner::Owner;
use keyholt_core::role::Role;
use keyholt_core::scope::{Access, ScopeSet, Wanted};
use keyholt_core::verify::standing;
use tokio::sync::MutexGuard;

use super::{Keeper, Refusal};
use crate::keyring::holders::standing_of;

/// What an operator may do who can put everything right: whatever can be done to Keyholt itself.
const EVERYTHING: &str = "keyholt:*";

/// What a change does to keys, or to what they hang on.
#[derive(Clone, Copy)]
pub(super) enum Loss<'a> {
    /// These keys will not work, or not carry everything.
    Keys(&'a [KeyId]),
    /// An owner will be gone.
    Owner(Owner),
    /// An owner will be as this record says.
    Changed(&'a Record),
    /// A role will be as this one says.
    Role(&'a Role),
}

impl Keeper {
    /// Takes the turn to change Keyholt's own project, where such changes are made one after the other: of two
    /// operators who stop each other at the same moment, one must stay.
    pub(super) async fn turn_in(&self, project: ProjectId) -> Option<MutexGuard<'_, ()>> {
        if project == SYSTEM {
            Some(self.system_turn.lock().await)
        } else {
            None
        }
    }

    /// Refuses a change that takes away the last way in.
    pub(super) fn keep_a_way_in(&self, project: ProjectId, loss: Loss<'_>) -> Result<(), Refusal> {
        if project != SYSTEM {
            return Ok(());
        }
        let before = self.ways_in();
        if before.is_empty() || before.iter().any(|way| self.stays_open(*way, loss)) {
            Ok(())
        } else {
            Err(EnrolError::LastOperator.into())
        }
    }

    /// The keys by which operators come in now, each with its owner.
    fn ways_in(&self) -> Vec<(KeyId, Owner)> {
        let now = self.now();
        let way_in = |key: KeyId| {
            let found = self.keyring.find_key(key)?;
            self.keyring.dossier(&found, |dossier, _| {
                let open = matches!(dossier.owner, Owner::User(_))
                    && *dossier.authority.access() == Access::Everything
                    && standing(dossier, now).is_none()
                    && is_everything(dossier.authority.permissions());
                open.then_some((key, dossier.owner))
            })?
        };
        self.keyring.system_keys().into_iter().filter_map(way_in).collect()
    }

    fn stays_open(&self, (key, owner): (KeyId, Owner), loss: Loss<'_>) -> bool {
        match loss {
            Loss::Keys(keys) => !keys.contains(&key),
            Loss::Owner(gone) => owner != gone,
            Loss::Changed(after) if after.owner() == Some(owner) => {
                standing_of(after).is_good() && is_everything(&self.keyring.directory().permissions(after))
            }
            Loss::Changed(_) => true,
            Loss::Role(after) => {
                let directory = self.keyring.directory();
                let roles = directory.owner(owner).and_then(|record| enrol::roles(record));
                let others = roles.into_iter().flatten().filter(|role| **role != after.id);
                let holds = roles.is_some_and(|roles| roles.contains(&after.id));
                let others = directory.scopes_of(others);
                is_everything(&if holds { others.union(&after.scopes) } else { others })
            }
        }
    }
}

fn is_everything(permissions: &ScopeSet) -> bool {
    Wanted::parse(EVERYTHING).is_ok_and(|everything| permissions.covers(everything))
}
