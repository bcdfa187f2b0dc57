//! Restores a backup in two steps: a plan that touches nothing, and its carrying out, which puts the data in place last.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyholt_core::actor::Source;
use keyholt_core::bond::Masters;
use keyholt_core::entropy::Entropy;
use keyholt_core::restore::Ending;
use keyholt_core::text::RequestKey;
use keyholt_core::time::Moment;
use keyholt_store::{EventNumber, Held, Limit, Sqlite, Store};

use super::apply::Restoring;
use super::check::{Proof, check};
use super::compare::{Comparison, Gap, compare};
use super::encrypted::Passphrase;
use super::form::Backup;
use super::place::{Place, connect};
use super::{BackupError, Seals, Summary, Watch};

/// What shall be restored, and where.
pub struct Request<'a> {
    /// The backup.
    pub backup: &'a Path,
    /// Its passphrase, where it is encrypted.
    pub passphrase: Option<&'a Passphrase>,
    /// Where the data shall lie: nobody may work on it now.
    pub into: &'a Place,
    /// The data in use until now, where they do not lie in the same place.
    pub present: Option<&'a Place>,
    /// The one secret of the installation, and the one before it where it was replaced.
    pub masters: &'a Arc<Masters>,
    /// What to do about rows that are not as Keyholt wrote them.
    pub broken: BrokenSeals,
    /// What time it is.
    pub now: Moment,
}

/// What to do about rows of a backup that are not as Keyholt wrote them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BrokenSeals {
    /// Do not restore.
    Refuse,
    /// Restore them as they are: the server refuses them, as it did before.
    Keep,
}

/// What a person decides after having seen the plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consent {
    /// What is known to have ended shall stay ended.
    EndWhatEnded,
    /// The same, and every key shall come back suspended.
    SuspendAllKeys,
    /// The same, and whatever is not known to have ended may come back to life.
    AcceptGap,
}

/// A restore that is ready to be carried out. Nothing was touched yet; nobody else can work on the data meanwhile.
pub struct Plan {
    backup: Backup,
    summary: Summary,
    comparison: Comparison,
    target: Target,
    proof: Proof,
    source: Source,
    now: Moment,
}

/// Where restored data come to lie.
enum Target {
    File(Held),
    Database(Arc<dyn Store>),
}

/// What came of a restore.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Where the data in use until now lie, if there were any.
    pub aside: Option<PathBuf>,
    /// How many things were ended, by what had happened to them; one thing can count more than once.
    pub endings: BTreeMap<Ending, u64>,
    /// How many things were ended.
    pub ended: u64,
    /// How many keys came back suspended because nobody knows whether they had ended.
    pub suspended: u64,
    /// Who can operate the restored installation.
    pub operators: Operators,
    /// The last event of the restored audit trail.
    pub head: EventNumber,
}

/// Who can operate a restored installation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operators {
    /// Somebody has a key that works.
    Known,
    /// Nobody: the next start prints a set-up token.
    SetUpAgain,
}

/// Checks the backup as a whole and compares it with the present data.
pub async fn plan(
    request: Request<'_>,
    entropy: &mut (dyn Entropy + Send),
    watch: Watch<'_>,
) -> Result<Plan, BackupError> {
    let mut backup = Backup::open(request.backup, request.passphrase)?;
    let proof = Proof::of_backup(request.masters, &mut backup)?;
    let summary = check(&mut backup, Some(&proof), watch)?;
    if let (Seals::Checked { count, .. }, BrokenSeals::Refuse) = (&summary.seals, request.broken)
        && *count > 0
    {
        return Err(BackupError::BrokenSeals(*count));
    }
    let request_key = RequestKey::new("restore").map_err(|error| BackupError::NotAsBackedUp(error.to_string()))?;
    let source = Source {
        address: None,
        request: request_key,
    };
    let (target, present) = match request.into {
        Place::Sqlite(path) => {
            let held = Sqlite::hold(path)?;
            let present = held.is_there().then_some(request.into);
            (Target::File(held), present)
        }
        Place::Postgres(address) => {
            let store = connect(address, entropy).await?;
            if !store.feed(EventNumber::default(), Limit::DEFAULT).await?.is_empty() {
                return Err(BackupError::NotEmpty);
            }
            (Target::Database(store), None)
        }
    };
    let comparison = match request.present.or(present) {
        None => Comparison::Unknown(Gap::NoData),
        Some(place) => match place.open(entropy).await {
            Err(error) => Comparison::Unknown(Gap::Unreadable(error.to_string())),
            Ok(present) => compare(&mut backup, &present, &proof, &source, request.now, watch).await?,
        },
    };
    Ok(Plan {
        backup,
        summary,
        comparison,
        target,
        proof,
        source,
        now: request.now,
    })
}

impl Plan {
    /// What the backup holds.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// What ended after the backup.
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// Fills a new database, ends in it what ended after the backup, checks it, and puts it in place.
    ///
    /// Up to the last moment the present data are as they were. A PostgreSQL database that was filled in part only is
    /// refused by every start.
    pub async fn carry_out(
        mut self,
        consent: Consent,
        entropy: &mut (dyn Entropy + Send),
        watch: Watch<'_>,
    ) -> Result<Restored, BackupError> {
        if matches!(
            (&self.comparison, consent),
            (Comparison::Unknown(_), Consent::EndWhatEnded)
        ) {
            return Err(BackupError::GapNotAccepted);
        }
        let store: Arc<dyn Store> = match &self.target {
            Target::File(held) => Arc::new(held.open_new()?),
            Target::Database(store) => Arc::clone(store),
        };
        let done = self.write(&*store, consent, entropy, watch).await;
        store.close().await;
        drop(store);
        match (done, self.target) {
            (Ok(restored), Target::Database(_)) => Ok(restored),
            (Ok(restored), Target::File(held)) => {
                let label = self.now.to_string().replace(':', "-");
                let aside = held.put_in_place(&label)?;
                Ok(Restored { aside, ..restored })
            }
            (Err(error), Target::File(held)) => {
                if let Err(left) = held.forget_new() {
                    tracing::warn!(%left, "what was restored in part could not be removed");
                }
                Err(error)
            }
            (Err(error), Target::Database(_)) => Err(error),
        }
    }

    async fn write(
        &mut self,
        store: &dyn Store,
        consent: Consent,
        entropy: &mut (dyn Entropy + Send),
        watch: Watch<'_>,
    ) -> Result<Restored, BackupError> {
        let restoring = Restoring {
            store,
            proof: &self.proof,
            source: &self.source,
            now: self.now,
        };
        restoring.fill(&mut self.backup, watch).await?;
        let (mut endings, mut ended) = (BTreeMap::new(), 0);
        if let Comparison::Known { ended: list, .. } = &self.comparison {
            restoring.end(list, watch).await?;
            ended = list.len() as u64;
            for ending in list.iter().flat_map(|one| &one.endings) {
                *endings.entry(*ending).or_insert(0) += 1;
            }
        }
        let suspended = match consent {
            Consent::SuspendAllKeys => restoring.suspend_all(&mut self.backup, watch).await?,
            Consent::EndWhatEnded | Consent::AcceptGap => 0,
        };
        let operators = restoring.keep_a_way_in(&self.proof.pepper(), entropy).await?;
        let way = match (&self.comparison, consent) {
            (_, Consent::SuspendAllKeys) => "every key suspended",
            (Comparison::Known { .. }, _) => "what had ended after it was ended",
            (Comparison::Unknown(_), _) => "what had ended after it is not known",
        };
        let account = format!("from the backup of {}; {way}", self.summary.made_at);
        restoring.tell(&account).await?;
        let head = restoring.load(&self.summary, watch).await?;
        Ok(Restored {
            aside: None,
            endings,
            ended,
            suspended,
            operators,
            head,
        })
    }
}
