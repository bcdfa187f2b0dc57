//! The keeper: the only one who walks between the doors, the core and the store.
//!
//! Every door knocks here. A request is authenticated, permitted, decided by a verb of the core, committed by the store,
//! applied to the keyring, and only then answered.

mod adoption;
mod attempt;
mod authenticate;
mod broken;
mod bulk;
mod descendants;
mod exposure;
mod follow;
mod guesses;
mod key_views;
mod keys;
mod lend;
mod names;
mod owners;
mod passwords;
mod people;
mod progress;
mod projects;
mod recall;
mod refusal;
mod remembered;
mod renewals;
mod reuse;
mod roles;
mod seals;
mod sessions;
mod setup;
mod signers;
mod statuses;
mod tokens;
mod trail;
mod usage;
mod verify;
mod way_in;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyholt_core::actor::{Action, Actor, Permit, Subject, WriteKeys};
use keyholt_core::audit::Noun;
use keyholt_core::bond::{BondError, Masters};
use keyholt_core::commit::{Change, Commit, Record, Revision};
use keyholt_core::entropy::Entropy;
use keyholt_core::id::ProjectId;
use keyholt_core::issue::Circumstances;
use keyholt_core::owner::Owner;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::seal::Sealer;
use keyholt_core::secret::Pepper;
use keyholt_core::time::Moment;
use keyholt_store::{CommitError, EventNumber, Loaded, Store, StoreError, TimeKept, Write};
use tracing::Instrument;

pub use attempt::Attempted;
pub use authenticate::Unauthenticated;
pub use bulk::{BULK_MAX, Import, ImportRefusal, Imported, Rehearsal};
pub use descendants::{DESCENDANTS_MAX, Descendants, Extent};
pub use follow::Background;
pub use guesses::{Allowance, Guesser, Guesses, Wait};
pub use key_views::{KeyView, Validity};
pub use keyholt_core::enrol::Label;
pub use keys::Idempotency;
pub use names::ProjectFront;
pub use owners::{MembershipChange, OwnerChange};
pub use passwords::{HASHES_AT_ONCE, HASHES_WAITING_MAX};
pub use people::{GUESSES_AT_NAME, LoggedIn};
pub use projects::ProjectChange;
pub use recall::{Introspected, ShownAs};
pub use refusal::Refusal;
pub use renewals::{HANGING_NAMED_MAX, Hanging, Known};
pub use roles::RoleChange;
pub use sessions::{Refreshed, SESSIONS_PER_USER_MAX, SessionView};
pub use setup::{FirstStart, Operator};
pub use signers::{Issuer, Issuers};
pub use statuses::{STATUS_TTL, compressed, status_lists_uri, status_uri};
pub use tokens::{AccessToken, Parent};
pub use verify::{
    AboutShown, Admitted, Answer, BATCH_MAX, Counting, Inadmissible, KeyShown, Question, Rules, Search, Sought,
    Verifier, Wish,
};

use crate::clock::Clock;
use crate::keyring::directory::noun_of;
use crate::keyring::ring::{Integrity, Keyring};
use attempt::Attempt;
use progress::{Arrivals, Progress};
use signers::Signers;

/// How often a change that somebody else got in front of is tried again, where trying again is right.
const TRIES: usize = 5;

/// Walks between the doors, the core and the store.
pub struct Keeper {
    store: Arc<dyn Store>,
    keyring: Arc<Keyring>,
    pepper: Pepper,
    sealer: Sealer,
    seals: seals::Seals,
    remembered: remembered::RememberedKeys,
    called: names::CalledLately,
    renewals: renewals::Renewals,
    clock: Arc<dyn Clock>,
    entropy: Mutex<Box<dyn Entropy + Send>>,
    usage: usage::UsageBook,
    progress: Arc<Progress>,
    /// Whose turn it is to change Keyholt's own project.
    system_turn: tokio::sync::Mutex<()>,
    /// Wrong credentials, by where they came from.
    guesses: Guesses,
    signers: Signers,
    statuses: statuses::Statuses,
    exposed: exposure::Marks,
    reuses: reuse::Reuses,
    passwords: passwords::Passwords,
    alarms: AtomicU64,
}

/// What a keeper is made of.
pub struct Parts {
    /// Where everything is remembered.
    pub store: Arc<dyn Store>,
    /// The one secret of the installation, and the one before it where it was replaced.
    pub masters: Masters,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Box<dyn Entropy + Send>,
    /// A view older than this is not used, where other nodes may write.
    pub staleness_max: Duration,
    /// How many wrong credentials one source may show.
    pub guesses: Allowance,
    /// What issuers of tokens are called.
    pub issuers: Issuers,
    /// What is done where the machine's clock is behind the time that the data has seen.
    pub set_back: SetBack,
}

/// What is done where the machine's clock is behind the time that the data has seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SetBack {
    /// Time goes on from the later one, so that nothing that had expired lives again.
    Refuse,
    /// The machine is right, and the data had seen a clock that was wrong.
    Believe,
}

/// Why a keeper cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The master keys are not those of the data.
    #[error(transparent)]
    Bond(#[from] BondError),
    /// The store does not answer or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More keys than the keyring has numbers for.
    #[error("there are more keys than one node can hold")]
    Full,
}

impl Keeper {
    /// Binds the store to the master keys and reads every key into memory.
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        let Parts {
            store,
            masters,
            clock,
            mut entropy,
            staleness_max,
            guesses,
            issuers,
            set_back,
        } = parts;
        let bond = seals::bind(&*store, &masters).await?;
        match set_back {
            // SECURITY: a machine that starts with a clock set back must not wake what had expired.
            SetBack::Refuse => {
                if let Some(latest) = store.latest_time().await? {
                    clock.not_before(latest.ms());
                }
            }
            SetBack::Believe => store.keep_time(Moment::from_ms(clock.now_ms()), TimeKept::Anew).await?,
        }
        let mut word = || {
            let mut word = [0; 8];
            entropy.fill(&mut word);
            u64::from_be_bytes(word)
        };
        let random = [word(), word()];
        let keeper = Self {
            keyring: Arc::new(Keyring::with_capacity(1024, random)),
            pepper: masters.pepper(),
            passwords: passwords::Passwords::new(&masters),
            sealer: masters.present.sealer(),
            seals: seals::Seals::new(&masters, &bond),
            remembered: remembered::RememberedKeys::new(),
            called: names::CalledLately::default(),
            renewals: renewals::Renewals::default(),
            progress: Arc::new(Progress::new(store.sharing(), staleness_max, elapsed_ms(&*clock))),
            system_turn: tokio::sync::Mutex::default(),
            guesses: Guesses::new(guesses, random),
            signers: Signers::new(&masters, issuers)?,
            statuses: statuses::Statuses::default(),
            store,
            clock,
            entropy: Mutex::new(entropy),
            usage: usage::UsageBook::new(),
            exposed: exposure::Marks::default(),
            reuses: reuse::Reuses::default(),
            alarms: AtomicU64::new(0),
        };
        let before = elapsed_ms(&*keeper.clock);
        let seen = keeper.load().await?;
        keeper.recollect(seen).await?;
        keeper.recollect_failures().await?;
        keeper.progress.seen_up_to(seen);
        keeper.progress.proven_at(before);
        Ok(keeper)
    }

    async fn load(&self) -> Result<EventNumber, OpenError> {
        let mut full = false;
        let (sealers, now) = (self.seals.believed(), self.now());
        let seen = self
            .store
            .load(&mut |loaded| match loaded {
                Loaded::Ahead(keys) => self.keyring.make_room(keys),
                Loaded::Record(stored) => match stored.opened(&sealers) {
                    Ok((record, _)) => full |= self.keyring.put(&record).is_err(),
                    Err(broken) => self.alarm(broken.0, &stored.id.to_string()),
                },
                Loaded::Key(row, seal) => {
                    let (row, integrity) = match row.opened(&sealers, &seal) {
                        Some((row, _)) => (seals::without_former(row, now), Integrity::Sealed),
                        None => {
                            self.alarm(Noun::Key, &row.id.to_string());
                            (row, Integrity::Broken)
                        }
                    };
                    full |= self.keyring.put_key(&row, integrity).is_err();
                }
            })
            .await?;
        if full { Err(OpenError::Full) } else { Ok(seen) }
    }

    /// Raises an alarm about a row that is not as Keyholt wrote it.
    fn alarm(&self, noun: Noun, id: &str) {
        self.alarms.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            noun = noun.as_str(),
            id,
            "a stored row is not as Keyholt wrote it: somebody changed the database; it is refused"
        );
    }

    /// How many rows were refused because their seals are broken.
    pub fn alarms(&self) -> u64 {
        self.alarms.load(Ordering::Relaxed)
    }

    /// The time by the keeper's clock.
    pub fn now(&self) -> Moment {
        Moment::from_ms(self.clock.now_ms())
    }

    /// How far the machine's clock is behind the time that is gone by; no more than a blink unless it was set back.
    pub fn clock_behind(&self) -> Duration {
        self.clock.ahead()
    }

    /// Whether the keyring's view is young enough to answer from.
    pub fn is_fresh(&self) -> bool {
        self.progress.is_fresh(|| elapsed_ms(&*self.clock))
    }

    /// Whether requests can be answered now: the view is fresh and the store answers.
    pub async fn ready(&self) -> Result<(), Refusal> {
        if !self.is_fresh() {
            return Err(Refusal::CannotKnow);
        }
        Ok(self.store.ping().await?)
    }

    /// How many secrets are known in memory: of each key the newest, and the one before it.
    pub fn keys_held(&self) -> u32 {
        self.keyring.len()
    }

    /// A short MAC for values that are handed out and must come back unchanged, such as cursors.
    pub fn mac(&self, fields: &[&[u8]]) -> [u8; 16] {
        mac_by(&self.sealer, fields)
    }

    /// The MAC that such a value got before the master key was replaced, while the previous one is known.
    pub fn earlier_mac(&self, fields: &[&[u8]]) -> Option<[u8; 16]> {
        self.seals.previous().map(|sealer| mac_by(sealer, fields))
    }

    /// The id of the project that a path word names: an id, a slug, or `self` for the actor's own.
    pub fn project_named(&self, actor: &Actor, word: &str) -> Result<ProjectId, Refusal> {
        let named = if word == "self" {
            Some(actor.home)
        } else {
            // SECURITY: to anybody but operators another project does not exist.
            self.project_called(word)
                .filter(|id| *id == actor.home || actor.is_operator())
        };
        named.ok_or(Refusal::NotFound(Noun::Project))
    }

    /// The owner that a reference names: an id, or the handle by which people name it.
    pub fn owner_named(
        &self,
        project: ProjectId,
        kind: keyholt_core::owner::OwnerKind,
        word: &str,
    ) -> Result<Owner, Refusal> {
        let nil = Owner::new(kind, uuid::Uuid::nil());
        let noun = noun_of(nil);
        let directory = self.keyring.directory();
        let id = match word.parse::<keyholt_core::id::KeyId>() {
            Ok(id) => Some(id.uuid()),
            Err(_) => directory.id_of(noun, project, word),
        };
        let known = id.filter(|id| {
            directory
                .record(noun, *id)
                .is_some_and(|record| record.project() == project)
        });
        known.map(|id| Owner::new(kind, id)).ok_or(Refusal::NotFound(noun))
    }

    fn permit<A: Action>(
        &self,
        actor: &Actor,
        project: ProjectId,
        subject: Subject,
        noun: Noun,
    ) -> Result<Permit<A>, Refusal> {
        actor
            .permit::<A>(project, subject)
            .map_err(|forbidden| Refusal::forbidden(forbidden, noun))
    }

    /// Asks for leave to read; what changes something needs a permit.
    fn may<A: Action>(&self, actor: &Actor, project: ProjectId, subject: Subject, noun: Noun) -> Result<(), Refusal> {
        actor
            .may::<A>(project, subject)
            .map_err(|forbidden| Refusal::forbidden(forbidden, noun))
    }

    /// Runs a verb with what it needs to know of the world.
    fn with_circumstances<R>(
        &self,
        project: ProjectId,
        permissions: &ScopeSet,
        run: impl FnOnce(Circumstances<'_>, Moment, &mut dyn Entropy) -> R,
    ) -> Result<R, Refusal> {
        let world = self.keyring.project(project).ok_or(Refusal::NotFound(Noun::Project))?;
        let circumstances = Circumstances {
            project: &world,
            permissions,
            pepper: &self.pepper,
        };
        let mut entropy = self.entropy.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(run(circumstances, self.now(), &mut **entropy))
    }

    /// What an owner of a project may do now.
    fn permissions(&self, project: ProjectId, owner: Owner) -> Result<ScopeSet, Refusal> {
        let directory = self.keyring.directory();
        let record = directory.owner(owner).filter(|record| record.project() == project);
        record
            .map(|record| directory.permissions(record))
            .ok_or(Refusal::NotFound(noun_of(owner)))
    }

    /// All that the product lets an owner do, as far as the actor may hand it on, and nothing of Keyholt's own.
    ///
    /// For doors whose keys have no scopes: such a key acts for its owner in the product, and cannot make or change keys.
    /// It is asked on the way to a key, so whoever is refused here has attempted to make one.
    pub async fn access_handed_on(&self, actor: &Actor, project: ProjectId, owner: Owner) -> Result<Access, Refusal> {
        if let Err(refusal) = self.permit::<WriteKeys>(actor, project, Subject::Owner(owner), noun_of(owner)) {
            return self
                .refused(refusal, keys::attempt_to_issue(actor, project, owner))
                .await;
        }
        let common = self.permissions(project, owner)?.meet(&actor.effective);
        Ok(Access::Only(common.without(|scope| scope.is_reserved())))
    }

    /// Writes commits and applies them to the keyring; when this returns, every later verify sees them.
    ///
    /// A task of its own does it: a caller that goes away must not leave a change written and not applied.
    async fn commit(&self, commits: Vec<Commit>) -> Result<(), CommitError> {
        let writes: Vec<Write> = commits
            .iter()
            .map(|commit| Write::sealed(commit.clone(), &self.sealer))
            .collect();
        let (store, keyring, progress) = (
            Arc::clone(&self.store),
            Arc::clone(&self.keyring),
            Arc::clone(&self.progress),
        );
        let began = elapsed_ms(&*self.clock);
        let work = async move {
            let turn = progress.begin();
            let mut doubt = progress.doubt(began);
            let written = store.commit(writes).await;
            if !matches!(written, Err(CommitError::Uncertain(_))) {
                doubt.settle();
            }
            let numbers = written?;
            turn.apply(|arrivals| {
                for change in commits.iter().flat_map(Commit::changes) {
                    apply(&keyring, arrivals, change);
                }
                arrivals.made(&numbers);
            });
            Ok(())
        };
        let lost = |error: tokio::task::JoinError| StoreError::Unavailable(error.to_string());
        tokio::spawn(work.in_current_span())
            .await
            .unwrap_or_else(|error| Err(CommitError::Uncertain(lost(error))))
    }

    /// Checks the revision that a caller says its change is based on.
    fn based_on(expected: Option<Revision>, found: Revision, noun: Noun) -> Result<(), Refusal> {
        match expected {
            Some(expected) if expected != found => Err(Refusal::Stale(noun)),
            _ => Ok(()),
        }
    }
}

fn apply(keyring: &Keyring, arrivals: &mut Arrivals<'_>, change: &Change) {
    let applied = match change {
        Change::Insert(record) | Change::Replace { record, .. } if arrivals.is_gone(record.id()) => Ok(()),
        Change::Insert(record) | Change::Replace { record, .. } => keyring.put(record),
        Change::Remove { record } => {
            arrivals.goes(record.id());
            match record {
                Record::Key(key) => {
                    keyring.remove_key(key.id);
                    Ok(())
                }
                record => keyring.remove_record(record.noun(), record.id()),
            }
        }
    };
    if applied.is_err() {
        tracing::error!("the keyring is full: a key that was just made is not known on this node");
    }
}

fn mac_by(sealer: &Sealer, fields: &[&[u8]]) -> [u8; 16] {
    let mut tagged: Vec<&[u8]> = vec![b"handed out"];
    tagged.extend_from_slice(fields);
    let mut short = [0u8; 16];
    short
        .iter_mut()
        .zip(sealer.seal(&tagged).as_bytes())
        .for_each(|(place, byte)| *place = *byte);
    short
}

fn elapsed_ms(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}
