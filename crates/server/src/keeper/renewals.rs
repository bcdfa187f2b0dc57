//! Renewals: what the previous master key made is made anew, rows by the keeper alone and digests when their secrets are shown.
//!
//! A secret that the present master key does not know is looked up once more with the previous one, as long as that is
//! known. Verify waits for nothing: which keys were recognised so is noted in memory, and their digests are written behind.

use std::collections::HashSet;
use std::time::Duration;

use keyholt_core::actor::{Actor, Operate, Subject};
use keyholt_core::audit::Noun;
use keyholt_core::bond::{Bond, Sealing};
use keyholt_core::commit::{Commit, Record};
use keyholt_core::id::{KeyId, ProjectId, SYSTEM};
use keyholt_core::password::Made;
use keyholt_core::renew::{renew, reseal};
use keyholt_core::secret::{Fingerprint, Presented};
use keyholt_core::verify::Shown;
use keyholt_store::{CommitError, Limit, Loaded, RecordQuery, Sharing, StoreError, StoredRecord, Touched};

use super::seals::is_previous;
use super::signers::itself;
use super::{Keeper, Refusal};
use crate::keyring::ring::Found;

/// Most keys that wait for their new digests. More are noted when they are shown again.
const WAITING_MAX: usize = 4096;
/// Renewals in one transaction.
const RENEWED_AT_ONCE: usize = 64;
/// Rows that are looked for at once before they are sealed anew; each takes 40 bytes.
const FOUND_MAX: usize = 1 << 18;
/// Rows that are sealed anew in one transaction.
const RESEALED_AT_ONCE: usize = 256;
/// Keys that are named to whoever asks what still hangs on an earlier master key.
pub const HANGING_NAMED_MAX: usize = 1000;

/// The keys that were recognised by the previous master key, each with the fingerprint of what was shown.
#[derive(Default)]
pub(super) struct Renewals(papaya::HashMap<KeyId, Fingerprint>);

/// What still hangs on an earlier master key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hanging {
    /// Whether the previous master key is known, so that what hangs on it works.
    pub previous: Known,
    /// Whether rows are still sealed with it.
    pub sealing: Sealing,
    /// How many secrets of keys and sessions.
    pub digests: u64,
    /// How many passwords.
    pub passwords: u64,
    /// The keys and sessions of the first [`HANGING_NAMED_MAX`] of those secrets.
    pub keys: Vec<(ProjectId, KeyId)>,
}

/// Whether the previous master key is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// It is.
    Yes,
    /// It is not: what hangs on it is not recognised.
    No,
}

impl Keeper {
    /// The key that answers to a fingerprint, by the present master key or by the previous one.
    pub(super) fn find(&self, shown: &Fingerprint) -> Option<Found> {
        let found = self.keyring.find(&self.pepper.digest(shown));
        found.or_else(|| self.find_earlier(shown))
    }

    /// The session that answers to a fingerprint, by the present master key or by the previous one.
    pub(super) fn find_session(&self, shown: &Fingerprint) -> Option<Found> {
        let found = self.keyring.find_session(&self.pepper.digest(shown));
        found.or_else(|| {
            let found = self.keyring.find_session(&self.pepper.earlier(shown)?)?;
            self.note_renewal(&found, shown);
            Some(found)
        })
    }

    /// The second look-up of a text that the present master key does not know.
    #[cold]
    pub(super) fn find_text_earlier(&self, text: &str) -> Option<Found> {
        if !self.pepper.has_earlier() {
            return None;
        }
        self.find_earlier(Presented::parse(text).ok()?.fingerprint())
    }

    #[cold]
    fn find_earlier(&self, shown: &Fingerprint) -> Option<Found> {
        let found = self.keyring.find(&self.pepper.earlier(shown)?)?;
        self.note_renewal(&found, shown);
        Some(found)
    }

    /// Whether a key or session has this secret by the previous master key: no other one may get it.
    pub(super) fn is_taken_earlier(&self, fingerprint: &Fingerprint) -> bool {
        let earlier = self.pepper.earlier(fingerprint);
        earlier
            .is_some_and(|digest| self.keyring.find(&digest).is_some() || self.keyring.find_session(&digest).is_some())
    }

    fn note_renewal(&self, found: &Found, shown: &Fingerprint) {
        let waiting = self.renewals.0.pin();
        if found.shown == Shown::Current && waiting.len() < WAITING_MAX {
            waiting.insert(found.key(), *shown);
        }
    }

    /// Writes the new digests of the keys that were shown. What cannot be written now is noted when it is shown again.
    pub async fn renew_shown(&self) -> Result<(), Refusal> {
        let waiting: Vec<(KeyId, Fingerprint)> = {
            let waiting = self.renewals.0.pin();
            let taken: Vec<_> = waiting.iter().map(|(key, shown)| (*key, *shown)).collect();
            for (key, _) in &taken {
                waiting.remove(key);
            }
            taken
        };
        for some in waiting.chunks(RENEWED_AT_ONCE) {
            let mut commits = Vec::with_capacity(some.len());
            for (key, shown) in some {
                commits.extend(self.renewal(*key, shown).await?);
            }
            match self.commit(commits.clone()).await {
                Ok(()) => {}
                // One of them changed meanwhile, or somebody else has its secret: the others must not wait for it.
                Err(CommitError::Stale { .. } | CommitError::SecretTaken) => {
                    for commit in commits {
                        drop(self.commit(vec![commit]).await);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn renewal(&self, key: KeyId, shown: &Fingerprint) -> Result<Option<Commit>, Refusal> {
        let found = self.keyring.find_key(key);
        let project = found.and_then(|found| self.keyring.dossier(&found, |dossier, _| dossier.project));
        let Some(project) = project else { return Ok(None) };
        match self.stored(project, key).await {
            Ok(key) => Ok(renew(&key, shown, &self.pepper, &itself(), self.now()).map(|(_, commit)| commit)),
            Err(Refusal::NotFound(_) | Refusal::Tampered(_)) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Seals every row anew that the previous master key sealed. It may be stopped at any moment and begun again.
    ///
    /// Nobody notes how far it came: each walk looks at all rows, and the last one finds nothing.
    pub async fn seal_anew(&self) -> Result<(), Refusal> {
        if !self.is_sealing() {
            return Ok(());
        }
        let began = self.clock.elapsed();
        let mut unreadable = HashSet::new();
        loop {
            let walked_at = self.clock.elapsed();
            let found = self.sealed_by_previous(&unreadable).await?;
            if found.is_empty() && self.others_gave_up(walked_at.saturating_sub(began)) {
                break;
            }
            for rows in found.chunks(RESEALED_AT_ONCE) {
                let before = self.clock.elapsed();
                self.seal_these_anew(rows, &mut unreadable).await?;
                // As long a pause as it took: others write too.
                tokio::time::sleep(self.clock.elapsed().saturating_sub(before)).await;
            }
            if found.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        self.end_sealing().await
    }

    fn is_sealing(&self) -> bool {
        self.seals.believed().is_pair()
    }

    /// Whether no node writes with the previous master key alone any more: for as long as two views may be old, each must
    /// have seen that the data belong to another one.
    fn others_gave_up(&self, since: Duration) -> bool {
        self.store.sharing() == Sharing::Alone || since > 2 * self.progress.staleness_max()
    }

    /// The rows that are sealed with the previous master key, or hold what is encrypted with it; so many at most.
    async fn sealed_by_previous(&self, but: &HashSet<uuid::Uuid>) -> Result<Vec<Touched>, Refusal> {
        let sealers = self.seals.believed();
        let (mut found, mut projects) = (Vec::new(), vec![SYSTEM]);
        let is_old = |stored: &StoredRecord| match stored.opened(&sealers) {
            Ok((record, by)) => is_previous(by) || self.signers.is_wrapped_by_previous(&record),
            Err(_) => false,
        };
        let mut note = |project, noun, id| {
            if found.len() < FOUND_MAX && !but.contains(&id) {
                found.push(Touched { project, noun, id });
            }
        };
        let mut look = |loaded: Loaded<'_>| match loaded {
            Loaded::Ahead(_) => {}
            Loaded::Record(stored) => {
                if stored.noun == Noun::Project {
                    projects.push(ProjectId::from_uuid(stored.id));
                }
                if is_old(&stored) {
                    note(stored.project, stored.noun, stored.id);
                }
            }
            Loaded::Key(row, seal) => {
                if row.opened(&sealers, &seal).is_some_and(|(_, by)| is_previous(by)) {
                    note(row.project, Noun::Key, row.id.uuid());
                }
            }
        };
        self.store.load(&mut look).await?;
        projects.dedup();
        for project in projects {
            self.each_password(project, |stored| {
                if is_old(stored) {
                    note(stored.project, stored.noun, stored.id);
                }
            })
            .await?;
        }
        Ok(found)
    }

    /// Passwords are not among what is loaded: nothing but a log-in is judged by them.
    async fn each_password(&self, project: ProjectId, mut each: impl FnMut(&StoredRecord)) -> Result<(), StoreError> {
        let mut query = RecordQuery {
            handle_prefix: None,
            after: None,
            limit: Limit::LARGEST,
        };
        loop {
            let page = self.store.records(project, Noun::Password, &query).await?;
            page.entries.iter().for_each(&mut each);
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn seal_these_anew(&self, rows: &[Touched], unreadable: &mut HashSet<uuid::Uuid>) -> Result<(), Refusal> {
        let mut records = Vec::with_capacity(rows.len());
        for row in rows {
            match self.to_seal_anew(row).await {
                Ok(record) => records.extend(record),
                // Its seal is right and the rest of it is not: somebody changed what the seal does not cover.
                Err(StoreError::Corrupt(_)) => {
                    self.alarm(row.noun, &row.id.to_string());
                    unreadable.insert(row.id);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let Some(commit) = reseal(records, &itself(), self.now()) else {
            return Ok(());
        };
        match self.commit(vec![commit]).await {
            // Whoever changed one of them sealed it with the present key. The others come with the next walk.
            Ok(()) | Err(CommitError::Stale { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The row as it is now, if it still has to be sealed anew.
    async fn to_seal_anew(&self, row: &Touched) -> Result<Option<Record>, StoreError> {
        let sealers = self.seals.believed();
        if row.noun == Noun::Key {
            let stored = self.store.key(row.project, KeyId::from_uuid(row.id)).await?;
            let opened = stored.and_then(|(key, seal)| key.opened(&sealers, &seal));
            return Ok(opened
                .filter(|(_, by)| is_previous(*by))
                .map(|(key, _)| Record::Key(Box::new(key))));
        }
        let stored = self.store.record(row.project, row.noun, row.id).await?;
        let opened = stored.and_then(|stored| stored.opened(&sealers).ok());
        Ok(opened.and_then(|(record, by)| match record {
            Record::SigningKey(key) => {
                let wrapped = self.wrapped_anew(&key);
                match wrapped {
                    Some(sealed) => Some(Record::SigningKey(Box::new(keyholt_core::signing::SigningKey {
                        sealed,
                        ..*key
                    }))),
                    None => is_previous(by).then_some(Record::SigningKey(key)),
                }
            }
            record => is_previous(by).then_some(record),
        }))
    }

    async fn end_sealing(&self) -> Result<(), Refusal> {
        if let Some(bond) = self.store.bond().await?
            && let Some(mut previous) = bond.previous
            && previous.sealing == Sealing::UnderWay
        {
            previous.sealing = Sealing::Done;
            let done = Bond {
                previous: Some(previous),
                ..bond
            };
            // Of several nodes one writes it.
            self.store.rebind(Some(bond), done).await?;
        }
        self.seals.forget_previous(&self.sealer);
        tracing::info!("all rows are sealed with the new master key");
        Ok(())
    }

    /// What still hangs on an earlier master key. It walks through all keys and passwords.
    pub async fn hanging(&self, actor: &Actor) -> Result<Hanging, Refusal> {
        self.may::<Operate>(actor, SYSTEM, Subject::Project, Noun::Project)?;
        let (digests, named) = self.keyring.hanging(self.now(), HANGING_NAMED_MAX);
        let project = |key: &KeyId| {
            let found = self.keyring.find_key(*key)?;
            self.keyring.dossier(&found, |dossier, _| dossier.project)
        };
        let keys = named.into_iter().filter_map(|key| Some((project(&key)?, key)));
        let keys = keys.collect();
        let mut passwords = 0;
        let projects: Vec<ProjectId> = self.keyring.directory().projects().map(|project| project.id).collect();
        for project in projects {
            self.each_password(project, |stored| {
                let opened = self.opened(stored);
                let hangs = matches!(opened, Ok(Record::Password(password)) if password.made == Made::Earlier);
                passwords += u64::from(hangs);
            })
            .await?;
        }
        Ok(Hanging {
            previous: if self.pepper.has_earlier() {
                Known::Yes
            } else {
                Known::No
            },
            sealing: if self.is_sealing() {
                Sealing::UnderWay
            } else {
                Sealing::Done
            },
            digests,
            passwords,
            keys,
        })
    }
}
