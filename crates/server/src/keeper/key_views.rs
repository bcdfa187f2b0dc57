//! Keys as they are shown: one, many, by secret; whether they work, and how they were used.

use std::collections::HashMap;

use keyholt_core::actor::{Actor, ReadKeys, Subject};
use keyholt_core::audit::Noun;
use keyholt_core::denial::DenialCode;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Key;
use keyholt_core::owner::Owner;
use keyholt_core::secret::Fingerprint;
use keyholt_core::time::{Moment, Span};
use keyholt_core::verify::standing;
use keyholt_store::{KeyQuery, LastUse, Owners, Page, StateFilter, Usage};

use super::{Keeper, Refusal};

/// A key as it is shown: with the name of its owner and its last use.
#[derive(Clone, Debug)]
pub struct KeyView {
    /// The key.
    pub key: Key,
    /// How people name its owner.
    pub owner_handle: String,
    /// When and from where it was used.
    pub last_use: Option<LastUse>,
}

/// Whether a key works now, and what speaks against it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    /// Why it does not work; `None` is that it does.
    pub denial: Option<DenialCode>,
    /// When its secret was last shown where others can read it, if it got no new one since.
    pub exposed_at: Option<Moment>,
}

impl Keeper {
    /// One key.
    pub async fn key(&self, actor: &Actor, project: ProjectId, id: KeyId) -> Result<KeyView, Refusal> {
        let key = self.readable_key(actor, project, id).await?;
        self.viewed(vec![key]).await?.pop().ok_or(Refusal::NotFound(Noun::Key))
    }

    /// Keys that a query finds, as far as they are in the actor's reach.
    pub async fn keys(&self, actor: &Actor, project: ProjectId, query: KeyQuery) -> Result<Page<KeyView>, Refusal> {
        let query = self.within_reach(actor, project, query)?;
        let page = self.store.keys(project, &query).await?;
        let entries = self.viewed(self.genuine(page.entries).collect()).await?;
        Ok(Page {
            entries,
            next: page.next,
        })
    }

    /// Narrows a query to what the actor may see.
    fn within_reach(&self, actor: &Actor, project: ProjectId, query: KeyQuery) -> Result<KeyQuery, Refusal> {
        if self
            .may::<ReadKeys>(actor, project, Subject::Project, Noun::Project)
            .is_ok()
        {
            return Ok(query);
        }
        self.may::<ReadKeys>(actor, project, Subject::Owner(actor.owner), Noun::Project)?;
        let mut own: Vec<Owner> = actor.manages.iter().map(|team| Owner::Team(*team)).collect();
        own.push(actor.owner);
        let owners = match &query.owners {
            Owners::Anybody => own,
            Owners::These(asked) => asked.iter().filter(|owner| own.contains(owner)).copied().collect(),
        };
        Ok(KeyQuery {
            owners: Owners::These(owners),
            ..query
        })
    }

    /// The key that has this secret.
    pub async fn find_key(&self, actor: &Actor, project: ProjectId, secret: &str) -> Result<KeyView, Refusal> {
        if !self.is_fresh() {
            return Err(Refusal::CannotKnow);
        }
        // SECURITY: asked first, or a caller who may read nothing could tell other projects' secrets from nonsense.
        self.may::<ReadKeys>(actor, project, Subject::Owner(actor.owner), Noun::Key)?;
        let shown = self.present(secret).filter(|credential| credential.token.is_none());
        let found = shown.ok_or(Refusal::NotFound(Noun::Key))?.found;
        self.key(actor, project, found.key()).await
    }

    /// Whether this is a key's newest secret, by its SHA-256.
    pub fn is_newest(&self, key: &Key, secret: &Fingerprint) -> bool {
        self.pepper.recognises(secret, key.credentials.current())
    }

    /// Whether a key works now, and if not why, in the words of verify.
    pub async fn validity(&self, actor: &Actor, project: ProjectId, id: KeyId) -> Result<Validity, Refusal> {
        if !self.is_fresh() {
            return Err(Refusal::CannotKnow);
        }
        let key = self.readable_key(actor, project, id).await?;
        let found = self.keyring.find_key(key.id).ok_or(Refusal::NotFound(Noun::Key))?;
        let now = self.now();
        let denial = self
            .keyring
            .dossier(&found, |dossier, _| standing(dossier, now))
            .ok_or(Refusal::NotFound(Noun::Key))?;
        Ok(Validity {
            denial: denial.map(|denial| denial.code()),
            exposed_at: self.exposed_at(project, key.id).await?,
        })
    }

    /// A key's usage in the hours from one instant to another.
    pub async fn key_usage(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        from: Moment,
        to: Moment,
    ) -> Result<Usage, Refusal> {
        let key = self.readable_key(actor, project, id).await?;
        // What was noted up to now is part of the answer.
        if let Some(found) = self.keyring.find_key(key.id) {
            self.usage.flush_key(&*self.store, &self.keyring, &found).await?;
        }
        Ok(self
            .store
            .usage(project, key.id, from.hour(), to.plus(Span::hours(1)).hour())
            .await?)
    }

    /// The key that the actor showed, about itself.
    pub async fn own_key(&self, actor: &Actor) -> Result<KeyView, Refusal> {
        let key = self.stored(actor.home, actor.key).await?;
        self.view(key).await
    }

    /// The state filter that a word names.
    pub fn state_filter(&self, word: &str) -> Option<StateFilter> {
        let now = self.now();
        match word {
            "active" => Some(StateFilter::Active { now }),
            "suspended" => Some(StateFilter::Suspended),
            "revoked" => Some(StateFilter::Revoked),
            "expired" => Some(StateFilter::Expired { now }),
            _ => None,
        }
    }

    pub(super) async fn view(&self, key: Key) -> Result<KeyView, Refusal> {
        self.viewed(vec![key]).await?.pop().ok_or(Refusal::NotFound(Noun::Key))
    }

    async fn viewed(&self, keys: Vec<Key>) -> Result<Vec<KeyView>, Refusal> {
        let ids: Vec<KeyId> = keys.iter().map(|key| key.id).collect();
        let uses: HashMap<KeyId, LastUse> = self.store.last_uses(&ids).await?.into_iter().collect();
        let directory = self.keyring.directory();
        Ok(keys
            .into_iter()
            .map(|key| KeyView {
                owner_handle: directory
                    .owner(key.owner)
                    .and_then(|record| record.handle())
                    .unwrap_or_default()
                    .to_owned(),
                last_use: uses.get(&key.id).copied(),
                key,
            })
            .collect())
    }
}
