//! Exposure: a secret that was shown where others can read it leaves a mark in the audit trail.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keyholt_core::actor::Source;
use keyholt_core::audit::Noun;
use keyholt_core::expose::{EXPOSED, Exposure, expose};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::rotate::ROTATED;
use keyholt_core::time::{Moment, Span};
use keyholt_store::{EventQuery, Limit, NumberedEvent, Refused};

use super::{Keeper, Refusal};

/// A key is marked once in this time, so that whoever has its secret cannot fill the trail with it.
const MARK_EVERY: Span = Span::hours(1);
/// Most keys whose last mark is remembered. Beyond it none is marked until an hour has passed for some.
const MARKED_MAX: usize = 10_000;

/// When each key was marked last, as far as that is less than [`MARK_EVERY`] ago.
#[derive(Default)]
pub(super) struct Marks(Mutex<HashMap<KeyId, Moment>>);

impl Marks {
    /// Whether a key is to be marked now; if so, it is not for the next hour.
    fn take(&self, key: KeyId, now: Moment) -> bool {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() >= MARKED_MAX {
            marks.retain(|_, at| at.plus(MARK_EVERY) > now);
        }
        let is_due = marks.get(&key).is_none_or(|at| at.plus(MARK_EVERY) <= now);
        let has_room = marks.len() < MARKED_MAX || marks.contains_key(&key);
        if is_due && has_room {
            marks.insert(key, now);
        }
        is_due && has_room
    }

    /// The mark could not be written.
    fn give_back(&self, key: KeyId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

impl Keeper {
    /// Marks the key of a secret as exposed, if there is one. Nobody is told whether there is.
    pub async fn expose(&self, secret: &str, exposure: Exposure, source: &Source) {
        // A token that was shown somewhere ends by itself, and its key was not shown.
        let shown = self.present(secret).filter(|credential| credential.token.is_none());
        let Some(found) = shown.map(|credential| credential.found) else {
            return;
        };
        let now = self.now();
        let commit = self
            .keyring
            .dossier(&found, |dossier, _| expose(dossier, exposure, source.clone(), now));
        let Some(commit) = commit.flatten() else { return };
        if !self.exposed.take(found.key(), now) {
            return;
        }
        tracing::warn!(key = %found.key(), shown_in = exposure.as_str(), "a key's secret was shown where others can read it");
        if let Err(error) = self.commit(vec![commit]).await {
            self.exposed.give_back(found.key());
            tracing::warn!(key = %found.key(), %error, "that a key is exposed could not be written to the audit trail");
        }
    }

    /// When a key's secret was last exposed, if it got no new one since.
    pub(super) async fn exposed_at(&self, project: ProjectId, key: KeyId) -> Result<Option<Moment>, Refusal> {
        let Some(exposed) = self.newest(project, key, EXPOSED).await? else {
            return Ok(None);
        };
        let rotated = self.newest(project, key, ROTATED).await?;
        let is_over = rotated.is_some_and(|rotated| rotated.number > exposed.number);
        Ok((!is_over).then_some(exposed.event.at))
    }

    async fn newest(&self, project: ProjectId, key: KeyId, action: &str) -> Result<Option<NumberedEvent>, Refusal> {
        let query = EventQuery {
            action: Some(action.to_owned()),
            target: Some((Noun::Key, key.uuid())),
            actor: None,
            owner: None,
            refused: Some(Refused::Not),
            since: None,
            until: None,
            after: None,
            limit: Limit::ONE,
        };
        Ok(self.store.events(project, &query).await?.entries.pop())
    }
}
