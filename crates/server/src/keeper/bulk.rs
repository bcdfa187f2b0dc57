//! Many keys at once: imports and revocations, all or none.

use std::collections::HashMap;

use keyholt_core::actor::{Actor, Subject, WriteKeys};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::commit::Commit;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::issue::{SecretOrigin, Wish};
use keyholt_core::key::{Key, State};
use keyholt_core::revoke::revoke;
use keyholt_core::text::Cause;
use keyholt_store::{KeyQuery, Limit};

use super::way_in::Loss;
use super::{Attempt, Keeper, Refusal};

/// Most keys that a bulk action changes at once.
pub const BULK_MAX: u64 = 10_000;

/// Keys to import, all or none.
#[derive(Clone, Debug)]
pub struct Import {
    /// The keys.
    pub wishes: Vec<Wish>,
    /// Whether they are only checked.
    pub rehearsal: Rehearsal,
}

/// Whether something is only tried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rehearsal {
    /// It is: nothing is written.
    Yes,
    /// It is meant.
    No,
}

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    /// The keys, where all were good.
    pub keys: Vec<Key>,
    /// The ones that are refused; when there is one, none is imported.
    pub refused: Vec<ImportRefusal>,
}

/// A key that is not imported.
#[derive(Debug)]
pub struct ImportRefusal {
    /// Its place in the list.
    pub index: usize,
    /// Why.
    pub refusal: Refusal,
}

impl Keeper {
    /// Imports keys by the fingerprints of their secrets: all of them, or none.
    pub async fn import_keys(&self, actor: &Actor, project: ProjectId, import: Import) -> Result<Imported, Refusal> {
        let attempt = || Attempt {
            actor,
            project,
            action: "key.issue",
            target: Target {
                noun: Noun::Key,
                id: None,
            },
            owner: None,
        };
        let permit = match self.permit::<WriteKeys>(actor, project, Subject::Project, Noun::Project) {
            Ok(permit) => permit,
            Err(refusal) => return self.refused(refusal, attempt()).await,
        };
        let (mut keys, mut commits, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        let mut fingerprints = HashMap::new();
        for (index, wish) in import.wishes.into_iter().enumerate() {
            let known = match wish.origin {
                SecretOrigin::Minted => None,
                SecretOrigin::ClientMade(fingerprint) | SecretOrigin::Imported { fingerprint, .. } => {
                    let digest = self.pepper.digest(&fingerprint);
                    let twice = fingerprints.insert(*digest.as_bytes(), index).is_some();
                    (twice || self.keyring.find(&digest).is_some() || self.is_taken_earlier(&fingerprint))
                        .then_some(Refusal::SecretTaken)
                }
            };
            let made = match known {
                Some(refusal) => Err(refusal),
                None => self.issue(&permit, wish),
            };
            match made {
                Ok((issued, commit)) => {
                    keys.push(issued.key);
                    commits.push(commit);
                }
                Err(refusal) => refused.push(ImportRefusal { index, refusal }),
            }
        }
        if import.rehearsal == Rehearsal::No
            && let Some(first) = refused.first()
        {
            self.write_attempt(&first.refusal, attempt()).await;
        }
        if !refused.is_empty() || import.rehearsal == Rehearsal::Yes {
            return Ok(Imported {
                keys: if refused.is_empty() { keys } else { Vec::new() },
                refused,
            });
        }
        match self.commit(commits).await {
            Ok(()) => Ok(Imported { keys, refused }),
            Err(error) => self.refused(error.into(), attempt()).await,
        }
    }

    /// Revokes every key that a query finds, provided that it finds as many as the caller expects.
    pub async fn revoke_matching(
        &self,
        actor: &Actor,
        project: ProjectId,
        query: KeyQuery,
        expected: u64,
        cause: Cause,
    ) -> Result<u64, Refusal> {
        let attempt = || Attempt {
            actor,
            project,
            action: "key.revoke",
            target: Target {
                noun: Noun::Key,
                id: None,
            },
            owner: None,
        };
        let _turn = self.turn_in(project).await;
        match self.revocations(actor, project, query, expected, cause).await {
            Ok(commits) if commits.is_empty() => Ok(expected),
            Ok(commits) => match self.commit(commits).await {
                Ok(()) => Ok(expected),
                Err(error) => self.refused(error.into(), attempt()).await,
            },
            Err(refusal) => self.refused(refusal, attempt()).await,
        }
    }

    async fn revocations(
        &self,
        actor: &Actor,
        project: ProjectId,
        query: KeyQuery,
        expected: u64,
        cause: Cause,
    ) -> Result<Vec<Commit>, Refusal> {
        let permit = self.permit::<WriteKeys>(actor, project, Subject::Project, Noun::Project)?;
        let keys = self.live_matching(project, query).await?;
        let count = keys.len() as u64;
        if count != expected {
            return Err(Refusal::CountDiffers { count });
        }
        let ids: Vec<KeyId> = keys.iter().map(|key| key.id).collect();
        self.keep_a_way_in(project, Loss::Keys(&ids))?;
        let now = self.now();
        let revoked = keys.iter().filter_map(|key| revoke(&permit, key, cause.clone(), now));
        Ok(revoked.map(|(_, commit)| commit).collect())
    }

    /// The keys that a query finds and that are not revoked.
    pub(super) async fn live_matching(&self, project: ProjectId, query: KeyQuery) -> Result<Vec<Key>, Refusal> {
        let mut query = KeyQuery {
            limit: Limit::LARGEST,
            after: None,
            ..query
        };
        let mut keys = Vec::new();
        loop {
            let page = self.store.keys(project, &query).await?;
            // What is revoked already does not count: an owner may have left any number of them behind.
            let live = self.genuine(page.entries);
            keys.extend(live.filter(|key| !matches!(key.state, State::Revoked { .. })));
            if keys.len() as u64 > BULK_MAX {
                return Err(Refusal::TooManyMatches { most: BULK_MAX });
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(keys),
            }
        }
    }
}
