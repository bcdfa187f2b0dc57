//! Adoption: a key that was imported without the digest of its secret takes it on when it is shown for the first time.

use keyholt_core::actor::Actor;
use keyholt_core::id::ProjectId;
use keyholt_core::key::Key;
use keyholt_core::rotate::{Grace, Turn};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::secret::Fingerprint;
use keyholt_core::text::{Cause, Tag};
use keyholt_core::time::Span;
use keyholt_store::{KeyQuery, Limit};

use super::{Keeper, Refusal};

/// Most keys with one tag that are looked at before it is known who calls.
const TAGGED_MAX: u64 = 8;
/// Why such a key gets another secret.
const ADOPTED: &str = "shown for the first time since its import";

impl Keeper {
    /// Keys with a tag, for a door that must look before it can know who calls. What is found must not be told.
    pub async fn tagged(&self, project: ProjectId, tag: Tag) -> Result<Vec<Key>, Refusal> {
        let query = KeyQuery {
            tag: Some(tag),
            limit: Limit::new(TAGGED_MAX).unwrap_or(Limit::DEFAULT),
            ..KeyQuery::default()
        };
        let page = self.store.keys(project, &query).await?;
        Ok(self.genuine(page.entries).collect())
    }

    /// Puts the secret of this fingerprint in the place of the one that the actor showed, which works no longer.
    ///
    /// Possession is leave enough: the key itself need not carry the scope, and nothing about what it may do changes.
    pub async fn take_on(&self, actor: &Actor, fingerprint: Fingerprint) -> Result<(), Refusal> {
        let holder = Actor {
            access: std::sync::Arc::new(Access::Everything),
            effective: std::sync::Arc::new(ScopeSet::parse(["*", "keyholt:*"]).unwrap_or_default()),
            ..actor.clone()
        };
        let turn = Turn {
            grace: Grace::For(Span::ZERO),
            client_made: Some(fingerprint),
            cause: Cause::new(ADOPTED).ok(),
        };
        self.rotate_key(&holder, actor.home, actor.key, turn, None)
            .await
            .map(drop)
    }
}
