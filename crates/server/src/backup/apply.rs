//! Writes a backup into a new store: fills it, ends what ended after the backup, and sees that it is as it should be.

use keyholt_core::actor::Source;
use keyholt_core::audit::Noun;
use keyholt_core::commit::{Commit, Record};
use keyholt_core::entropy::Entropy;
use keyholt_core::found::setup_token;
use keyholt_core::id::{KeyId, ProjectId, SYSTEM};
use keyholt_core::key::State;
use keyholt_core::owner::Owner;
use keyholt_core::restore::{Present, carry_over, reopen_setup, restored, suspend_unknown};
use keyholt_core::scope::Access;
use keyholt_core::secret::Pepper;
use keyholt_core::time::Moment;
use keyholt_store::{CommitError, DumpLine, EventNumber, KeyQuery, Limit, Loaded, Store, Write};

use super::check::Proof;
use super::compare::Ended;
use super::form::Backup;
use super::restore::Operators;
use super::{BackupError, Progress, Seals, Step, Summary, TOLD_EVERY, Watch};

/// Lines that are filled in at once.
const FILLED_AT_ONCE: usize = 2048;
/// Commits in one transaction.
const COMMITTED_AT_ONCE: usize = 256;

/// A new store, and what is needed to write into it.
pub(super) struct Restoring<'a> {
    pub store: &'a dyn Store,
    pub proof: &'a Proof,
    pub source: &'a Source,
    pub now: Moment,
}

impl Restoring<'_> {
    /// Fills the store with all lines of the backup, and binds it.
    pub(super) async fn fill(&self, backup: &mut Backup, watch: Watch<'_>) -> Result<(), BackupError> {
        let mut reader = backup.read()?;
        let mut lines = Vec::with_capacity(FILLED_AT_ONCE);
        // Not before its trailer was read may the last line make the store a whole one.
        let mut end = None;
        while let Some(line) = reader.next()? {
            match line {
                DumpLine::End { .. } => end = Some(line),
                // What is written here from now on is sealed with the present master key, whichever the backup had.
                DumpLine::Begin { format, .. } => lines.push(DumpLine::Begin {
                    format,
                    bond: Some(self.proof.bond),
                }),
                line => lines.push(line),
            }
            if lines.len() == FILLED_AT_ONCE {
                self.store.fill(std::mem::take(&mut lines)).await?;
                watch(Progress {
                    step: Step::Fill,
                    done: reader.bytes(),
                    of: Some(reader.size()),
                });
            }
        }
        lines.extend(end);
        self.store.fill(lines).await?;
        Ok(())
    }

    /// Does to the restored data what happened to the present ones after the backup.
    pub(super) async fn end(&self, ended: &[Ended], watch: Watch<'_>) -> Result<(), BackupError> {
        for (done, batch) in ended.chunks(COMMITTED_AT_ONCE).enumerate() {
            let mut commits = Vec::with_capacity(batch.len());
            for one in batch {
                commits.extend(self.ending_of(one, one.was.as_present()).await?);
            }
            match self.commit(commits).await {
                // A secret went from one key to another after the backup. One at a time: it may have a place by then.
                Err(CommitError::SecretTaken) => self.end_singly(batch).await?,
                done => done?,
            }
            watch(Progress {
                step: Step::End,
                done: (done * COMMITTED_AT_ONCE + batch.len()) as u64,
                of: Some(ended.len() as u64),
            });
        }
        Ok(())
    }

    async fn end_singly(&self, ended: &[Ended]) -> Result<(), BackupError> {
        for one in ended {
            let commits = self.ending_of(one, one.was.as_present()).await?;
            match self.commit(commits).await {
                // Its present secret still belongs to another key here, so it gets none: a key that is gone is revoked.
                Err(CommitError::SecretTaken) => {
                    let commits = self.ending_of(one, Present::Gone).await?;
                    self.commit(commits).await?;
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn ending_of(&self, ended: &Ended, present: Present<'_>) -> Result<Vec<Commit>, BackupError> {
        let record = self.record(ended.noun, ended.project, ended.id).await?;
        let carried = carry_over(&record, present, self.source, self.now);
        Ok(carried.map(|carried| carried.commit).into_iter().collect())
    }

    async fn record(&self, noun: Noun, project: ProjectId, id: uuid::Uuid) -> Result<Record, BackupError> {
        let lost = || BackupError::NotAsBackedUp(format!("the {} {id} is missing or broken", noun.as_str()));
        if noun == Noun::Key {
            let found = self.store.key(project, KeyId::from_uuid(id)).await?;
            let found = found.map(|(key, seal)| {
                key.clone()
                    .opened(&self.proof.sealers, &seal)
                    .map_or(key, |(key, _)| key)
            });
            return found.map(|key| Record::Key(Box::new(key))).ok_or_else(lost);
        }
        let found = self.store.record(project, noun, id).await?;
        found
            .and_then(|stored| stored.opened(&self.proof.sealers).ok())
            .map(|(record, _)| record)
            .ok_or_else(lost)
    }

    /// Suspends every key that works, and tells how many did.
    pub(super) async fn suspend_all(&self, backup: &mut Backup, watch: Watch<'_>) -> Result<u64, BackupError> {
        let mut reader = backup.read()?;
        let mut commits = Vec::with_capacity(COMMITTED_AT_ONCE);
        let (mut suspended, mut lines) = (0, 0u64);
        while let Some(line) = reader.next()? {
            lines += 1;
            if let DumpLine::Key(columns) = line
                && let Some((key, seal)) = self.store.key(columns.project, columns.id).await?
                // A broken key is refused as it is; written anew it would get a right seal.
                && let Some((key, _)) = key.opened(&self.proof.sealers, &seal)
            {
                commits.extend(suspend_unknown(&key, self.source, self.now));
            }
            if commits.len() == COMMITTED_AT_ONCE {
                suspended += commits.len() as u64;
                self.commit(std::mem::take(&mut commits)).await?;
            }
            if lines.is_multiple_of(TOLD_EVERY) {
                watch(Progress {
                    step: Step::Suspend,
                    done: reader.bytes(),
                    of: Some(reader.size()),
                });
            }
        }
        suspended += commits.len() as u64;
        self.commit(commits).await?;
        Ok(suspended)
    }

    /// Opens the set-up again if nobody has an operator's key that works.
    pub(super) async fn keep_a_way_in(
        &self,
        pepper: &Pepper,
        entropy: &mut (dyn Entropy + Send),
    ) -> Result<Operators, BackupError> {
        let setup = match self.store.record(SYSTEM, Noun::Setup, SYSTEM.uuid()).await? {
            Some(stored) => stored.opened(&self.proof.sealers).ok().map(|(record, _)| record),
            None => None,
        };
        let Some(Record::Setup(setup)) = setup else {
            // An installation that was never founded is founded by its first start.
            return Ok(Operators::SetUpAgain);
        };
        if setup.is_open() {
            return Ok(Operators::SetUpAgain);
        }
        if self.somebody_operates().await? {
            return Ok(Operators::Known);
        }
        if let Some(token) = setup_token(entropy) {
            let commit = reopen_setup(&setup, &token.fingerprint(), pepper, self.source, self.now);
            self.commit(vec![commit]).await?;
        }
        Ok(Operators::SetUpAgain)
    }

    async fn somebody_operates(&self) -> Result<bool, BackupError> {
        let mut query = KeyQuery {
            limit: Limit::LARGEST,
            ..KeyQuery::default()
        };
        loop {
            let page = self.store.keys(SYSTEM, &query).await?;
            for (key, seal) in page.entries {
                let Some((key, _)) = key.opened(&self.proof.sealers, &seal) else {
                    continue;
                };
                let works =
                    key.state == State::Active && key.access == Access::Everything && !key.expiry.is_past(self.now);
                if works && self.is_in_good_standing(key.owner).await? {
                    return Ok(true);
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(false),
            }
        }
    }

    async fn is_in_good_standing(&self, owner: Owner) -> Result<bool, BackupError> {
        let noun = crate::keyring::directory::noun_of(owner);
        let stored = self.store.record(SYSTEM, noun, owner.uuid()).await?;
        let record = stored.and_then(|stored| stored.opened(&self.proof.sealers).ok());
        Ok(matches!(record, Some((Record::User(user), _)) if user.standing.is_good() && !user.roles.is_empty()))
    }

    /// Writes into the audit trail that the data were restored.
    pub(super) async fn tell(&self, account: &str) -> Result<(), BackupError> {
        let told = restored(account, self.source, self.now);
        let commit = told.map_err(|error| BackupError::NotAsBackedUp(error.to_string()))?;
        Ok(self.commit(vec![commit]).await?)
    }

    async fn commit(&self, commits: Vec<Commit>) -> Result<(), CommitError> {
        if commits.is_empty() {
            return Ok(());
        }
        let sealed = |commit| Write::sealed(commit, self.proof.sealers.present());
        self.store
            .commit(commits.into_iter().map(sealed).collect())
            .await
            .map(drop)
    }

    /// Loads the store as a server would, every seal checked.
    pub(super) async fn load(&self, summary: &Summary, watch: Watch<'_>) -> Result<EventNumber, BackupError> {
        let (mut records, mut keys, mut broken) = (0u64, 0u64, 0u64);
        let head = self
            .store
            .load(&mut |loaded| {
                let whole = match loaded {
                    Loaded::Ahead(_) => true,
                    Loaded::Record(stored) => {
                        records += 1;
                        stored.opened(&self.proof.sealers).is_ok()
                    }
                    Loaded::Key(row, seal) => {
                        keys += 1;
                        row.opened(&self.proof.sealers, &seal).is_some()
                    }
                };
                broken += u64::from(!whole);
                if (records + keys).is_multiple_of(TOLD_EVERY) {
                    watch(Progress {
                        step: Step::Load,
                        done: records + keys,
                        of: Some(summary.records + summary.keys),
                    });
                }
            })
            .await?;
        let known_broken = match &summary.seals {
            Seals::Unchecked => 0,
            Seals::Checked { count, .. } => *count,
        };
        if (records, keys, broken) != (summary.records, summary.keys, known_broken) {
            return Err(BackupError::NotAsBackedUp(format!(
                "{records} records and {keys} keys were read back, {broken} of them with broken seals"
            )));
        }
        Ok(head)
    }
}
