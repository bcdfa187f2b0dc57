//! The keyring: every live key in memory, an index and not a cache; what the verify path reads, and nothing else.
//!
//! One writer at a time changes it, after the commit and before the reply; readers take no lock that a writer can hold.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::id::{KeyId, ProjectId, SYSTEM};
use keyholt_core::key::{Bounds, KeyRow, Kind};
use keyholt_core::owner::{Owner, Standing};
use keyholt_core::project::Project;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::secret::Digest;
use keyholt_core::time::{Expiry, Moment};
use keyholt_core::verify::{Dossier, Shown, Stopped};
use uuid::Uuid;

use super::directory::Directory;
use super::intern::Interned;
use super::lines::{KeyHash, Lines};
use super::rows::{Row, Rows};
use super::table::{Full, Table};

/// All live keys, and what they hang on.
pub struct Keyring {
    rows: Rows,
    by_digest: Lines,
    by_key: Lines,
    key_hash: KeyHash,
    accesses: Interned<Arc<Access>>,
    bounds: Interned<Arc<Bounds>>,
    owners: Table<ArcSwap<OwnerEntry>>,
    directory: RwLock<Directory>,
    writer: Mutex<WriterState>,
    /// Odd while a change is being applied; a reader that found nothing meanwhile looks again.
    changes: AtomicU64,
}

/// What the one writer keeps for itself.
#[derive(Default)]
struct WriterState {
    owner_numbers: std::collections::HashMap<Owner, u32>,
    projects: std::collections::HashMap<ProjectId, Arc<ArcSwap<ProjectEntry>>>,
    /// Main row → row of the secret that its rotation retires.
    retiring: std::collections::HashMap<u32, u32>,
    /// The keys of Keyholt's own project: few, and the last one must not go.
    system_keys: std::collections::BTreeSet<KeyId>,
}

/// What judging needs to know of an owner.
pub struct OwnerEntry {
    /// Who.
    pub owner: Owner,
    /// How people name the owner.
    pub handle: Box<str>,
    /// What the owner may do now.
    pub permissions: Arc<ScopeSet>,
    /// Whether the owner's keys work.
    pub standing: Standing,
    /// Whether the owner's record was found and is as Keyholt wrote it.
    pub presence: Presence,
    project: Arc<ArcSwap<ProjectEntry>>,
}

/// What judging needs to know of a project.
pub struct ProjectEntry {
    id: ProjectId,
    standing: Standing,
    presence: Presence,
}

/// Whether a record was found and is as Keyholt wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It is there.
    Here,
    /// It is missing or its seal is broken: what hangs on it is not accepted.
    Missing,
}

/// A key that answers to a presented digest or an id.
#[derive(Clone, Copy)]
pub struct Found {
    row: Row,
    number: u32,
    /// Which of its secrets was shown.
    pub shown: Shown,
}

impl Found {
    /// The key.
    pub fn key(&self) -> KeyId {
        KeyId::from_uuid(Uuid::from_u128(self.row.key))
    }

    /// Its expiry.
    pub fn expiry(&self) -> Expiry {
        if self.row.expires == i64::MAX {
            Expiry::Never
        } else {
            Expiry::At(Moment::from_ms(self.row.expires))
        }
    }

    /// What sort of key it is.
    pub fn kind(&self) -> Kind {
        match self.row.flags & KIND {
            1 => Kind::Static,
            2 => Kind::Publishable,
            _ => Kind::Standard,
        }
    }

    /// The number of its interned access, and of its owner: together they name what the key may do.
    pub fn authority(&self) -> (u32, u32) {
        (self.row.access, self.row.owner)
    }
}

const KIND: u32 = 0b11;
const SUSPENDED: u32 = 0b0100;
const REVOKED: u32 = 0b1000;
const TAMPERED: u32 = 0b1_0000;
/// The row belongs to a retiring secret: `owner` is the number of the key's own row, `expires` the end of the grace.
const RETIRING: u32 = 0b10_0000;

/// How often a reader looks again that found nothing while a change was being applied.
const SECOND_LOOKS: usize = 64;

fn halves(digest: &Digest) -> [u64; 2] {
    let bytes = digest.as_bytes();
    let half = |from: usize| {
        bytes
            .get(from..from + 8)
            .and_then(|half| half.try_into().ok())
            .map_or(0, u64::from_be_bytes)
    };
    [half(0), half(8)]
}

fn hash_of(digest: [u64; 2]) -> u64 {
    digest[0]
}

impl Keyring {
    /// An empty keyring with room for that many keys before it has to grow. `random` makes key ids unguessable as hashes.
    pub fn with_capacity(keys: usize, random: [u64; 2]) -> Self {
        Self {
            rows: Rows::new(),
            by_digest: Lines::with_capacity(keys),
            by_key: Lines::with_capacity(keys),
            key_hash: KeyHash::new(random),
            accesses: Interned::default(),
            bounds: Interned::default(),
            owners: Table::new(),
            directory: RwLock::default(),
            writer: Mutex::default(),
            changes: AtomicU64::new(0),
        }
    }

    /// The live key that answers to a digest.
    pub fn find(&self, digest: &Digest) -> Option<Found> {
        let digest = halves(digest);
        self.look(|| self.look_for(digest))
    }

    fn look_for(&self, digest: [u64; 2]) -> Option<Found> {
        let mut tampered = None;
        let found = self.by_digest.now().lookup(hash_of(digest), |number| {
            let row = self.rows.read(number).filter(|row| row.answers_to(digest))?;
            let found = if row.flags & RETIRING == 0 {
                Found {
                    row,
                    number,
                    shown: Shown::Current,
                }
            } else {
                let main = self.rows.read(row.owner).filter(|main| main.key == row.key)?;
                let until = Moment::from_ms(row.expires);
                Found {
                    row: main,
                    number: row.owner,
                    shown: Shown::Retiring { until },
                }
            };
            if found.row.flags & TAMPERED == 0 {
                return Some(found);
            }
            // Somebody may have copied a good key's digest into another row: the good one still counts.
            tampered = Some(found);
            None
        });
        found.or(tampered)
    }

    /// The live key with this id, as if its newest secret had been shown.
    pub fn find_key(&self, key: KeyId) -> Option<Found> {
        let id = key.uuid().as_u128();
        self.look(|| {
            self.by_key.now().lookup(self.key_hash.of(id), |number| {
                let row = self
                    .rows
                    .read(number)
                    .filter(|row| row.key == id && row.flags & RETIRING == 0)?;
                Some(Found {
                    row,
                    number,
                    shown: Shown::Current,
                })
            })
        })
    }

    /// The same key as it is now, found by its row alone; `None` if it is gone or has another secret by now.
    pub fn again(&self, found: &Found) -> Option<Found> {
        let row = self.rows.read(found.number)?;
        let same = row.key == found.row.key && row.digest == found.row.digest && row.flags & RETIRING == 0;
        (same && found.shown == Shown::Current).then_some(Found { row, ..*found })
    }

    fn look<R>(&self, look: impl Fn() -> Option<R>) -> Option<R> {
        for _ in 0..SECOND_LOOKS {
            let before = self.changes.load(Ordering::Acquire);
            let found = look();
            if found.is_some() || (before.is_multiple_of(2) && self.changes.load(Ordering::Acquire) == before) {
                return found;
            }
            std::hint::spin_loop();
        }
        look()
    }

    /// All that is known about a found key, for the judge.
    pub fn dossier<R>(&self, found: &Found, with: impl FnOnce(&Dossier<'_>, &OwnerEntry) -> R) -> Option<R> {
        let owner = self.owners.get(found.row.owner)?.load();
        let project = owner.project.load();
        let here = owner.presence == Presence::Here && project.presence == Presence::Here;
        let flags = found.row.flags;
        let stopped = if flags & TAMPERED != 0 {
            Stopped::Tampered
        } else if flags & REVOKED != 0 {
            // Before what is missing: the keys of an owner that was removed are revoked, not tampered with.
            Stopped::Revoked
        } else if !here {
            Stopped::Tampered
        } else if flags & SUSPENDED != 0 {
            Stopped::Suspended
        } else {
            Stopped::No
        };
        let dossier = Dossier {
            key: found.key(),
            project: project.id,
            owner: owner.owner,
            kind: found.kind(),
            access: self.accesses.value(found.row.access)?,
            bounds: self.bounds.value(found.row.bounds)?,
            expiry: found.expiry(),
            stopped,
            shown: found.shown,
            permissions: &owner.permissions,
            owner_standing: owner.standing,
            project_standing: project.standing,
        };
        Some(with(&dossier, &owner))
    }

    /// The access of a found key.
    pub fn access(&self, found: &Found) -> Option<&Arc<Access>> {
        self.accesses.value(found.row.access)
    }

    /// Everything but keys.
    pub fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The project with this id.
    pub fn project(&self, id: ProjectId) -> Option<Project> {
        match self.directory().record(Noun::Project, id.uuid())?.as_ref() {
            Record::Project(project) => Some(project.clone()),
            _ => None,
        }
    }

    /// The keys of Keyholt's own project.
    pub fn system_keys(&self) -> Vec<KeyId> {
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .system_keys
            .iter()
            .copied()
            .collect()
    }

    /// How many rows are in use: one per key and one per secret in its grace.
    pub fn len(&self) -> u32 {
        self.rows.writer().in_use()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Applies what a commit wrote. Versions older than what is known already are passed over.
    pub fn put(&self, record: &Record) -> Result<(), Full> {
        match record {
            Record::Key(key) => {
                let at_rest = key.at_rest();
                self.put_key(&key.row(&at_rest), Integrity::Sealed)
            }
            record => self.put_record(Arc::new(record.clone())),
        }
    }

    /// Takes in the part of a key that judges.
    pub fn put_key(&self, key: &KeyRow<'_>, integrity: Integrity) -> Result<(), Full> {
        let mut state = self.begin();
        let state = &mut *state;
        let known = self.number_of(key.id);
        if let Some(old) = known.and_then(|number| self.rows.read(number))
            && old.revision >= key.revision.number()
        {
            return Ok(());
        }
        if key.project == SYSTEM {
            state.system_keys.insert(key.id);
        }
        let owner = self.owner_number(state, key.owner, key.project)?;
        let mut integrity = integrity;
        let access = self.accesses.number(key.access, |text| {
            read(text, &mut integrity, Access::Only(ScopeSet::default()))
        })?;
        let bounds = self
            .bounds
            .number(key.bounds, |text| read(text, &mut integrity, Bounds::default()))?;
        let kind = match key.kind {
            Kind::Standard => 0,
            Kind::Static => 1,
            Kind::Publishable => 2,
        };
        let stopped = match key.state {
            "active" => 0,
            "suspended" => SUSPENDED,
            _ => REVOKED,
        };
        let tampered = if integrity == Integrity::Broken { TAMPERED } else { 0 };
        let row = Row {
            digest: halves(&key.current),
            key: key.id.uuid().as_u128(),
            owner,
            access,
            bounds,
            flags: kind | stopped | tampered,
            expires: key.expires_at.unwrap_or(i64::MAX),
            revision: key.revision.number(),
        };
        let retired = known.and_then(|number| state.retiring.remove(&number));
        let number = match known {
            None => {
                let number = self.rows.writer().allocate(&row)?;
                self.by_key_writer().insert(self.key_hash.of(row.key), number);
                self.by_digest_writer().insert(hash_of(row.digest), number);
                number
            }
            Some(number) => number,
        };
        if let (Some(retiring), Some(until)) = (&key.retiring, key.retiring_until) {
            // The old secret's own row comes first: at no moment is a secret in its grace not found.
            let alias = Row {
                digest: halves(retiring),
                owner: number,
                flags: RETIRING,
                expires: until,
                ..row
            };
            let alias_number = self.rows.writer().allocate(&alias)?;
            self.by_digest_writer().insert(hash_of(alias.digest), alias_number);
            state.retiring.insert(number, alias_number);
        }
        if known.is_some() {
            let old = self.rows.read(number);
            self.rows.writer().write(number, &row);
            if let Some(old) = old.filter(|old| old.digest != row.digest) {
                self.by_digest_writer().insert(hash_of(row.digest), number);
                self.by_digest_writer().remove(hash_of(old.digest), number);
            }
        }
        if let Some(retired) = retired {
            self.drop_row(retired);
        }
        Ok(())
    }

    /// Forgets a key.
    pub fn remove_key(&self, key: KeyId) {
        let mut state = self.begin();
        state.system_keys.remove(&key);
        if let Some(number) = self.number_of(key) {
            if let Some(alias) = state.retiring.remove(&number) {
                self.drop_row(alias);
            }
            self.by_key_writer()
                .remove(self.key_hash.of(key.uuid().as_u128()), number);
            self.drop_row(number);
        }
    }

    fn drop_row(&self, number: u32) {
        if let Some(row) = self.rows.read(number) {
            self.by_digest_writer().remove(hash_of(row.digest), number);
            self.rows.writer().free(number);
        }
    }

    fn number_of(&self, key: KeyId) -> Option<u32> {
        let id = key.uuid().as_u128();
        self.by_key.now().lookup(self.key_hash.of(id), |number| {
            self.rows
                .read(number)
                .filter(|row| row.key == id && row.flags & RETIRING == 0)
                .map(|_| number)
        })
    }

    fn by_digest_writer(&self) -> super::lines::LinesWriter<'_, impl Fn(u32) -> Option<u64>> {
        self.by_digest
            .writer(|number| self.rows.read(number).map(|row| hash_of(row.digest)))
    }

    fn by_key_writer(&self) -> super::lines::LinesWriter<'_, impl Fn(u32) -> Option<u64>> {
        self.by_key
            .writer(|number| self.rows.read(number).map(|row| self.key_hash.of(row.key)))
    }

    fn put_record(&self, record: Arc<Record>) -> Result<(), Full> {
        let mut state = self.begin();
        {
            let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
            let known = directory
                .record(record.noun(), record.id())
                .map(|known| known.revision());
            if known.is_some_and(|known| known >= record.revision()) {
                return Ok(());
            }
            directory.put(Arc::clone(&record));
        }
        self.refresh(&mut state, &record)
    }

    /// Forgets a record other than a key. What hangs on it stops.
    pub fn remove_record(&self, noun: Noun, id: Uuid) -> Result<(), Full> {
        let mut state = self.begin();
        let removed = self
            .directory
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(noun, id);
        match removed {
            Some(record) => self.refresh(&mut state, &record),
            None => Ok(()),
        }
    }

    /// Brings what judging reads in line with the directory, as far as this record matters to it.
    fn refresh(&self, state: &mut WriterState, record: &Record) -> Result<(), Full> {
        let directory = self.directory();
        match record {
            Record::Project(project) => {
                let entry = match directory.record(Noun::Project, project.id.uuid()) {
                    Some(_) => ProjectEntry {
                        id: project.id,
                        standing: project.standing,
                        presence: Presence::Here,
                    },
                    None => ProjectEntry {
                        id: project.id,
                        standing: project.standing,
                        presence: Presence::Missing,
                    },
                };
                project_cell(state, project.id).store(Arc::new(entry));
            }
            Record::Role(role) => {
                let holders: Vec<Owner> = directory.holders(role.id).collect();
                for owner in holders {
                    self.refresh_owner(state, &directory, owner, role.project)?;
                }
            }
            Record::User(_) | Record::Team(_) | Record::Service(_) => {
                if let Some(owner) = record.owner() {
                    self.refresh_owner(state, &directory, owner, record.project())?;
                }
            }
            Record::Setup(_) | Record::Key(_) => {}
        }
        Ok(())
    }

    fn refresh_owner(
        &self,
        state: &mut WriterState,
        directory: &Directory,
        owner: Owner,
        project: ProjectId,
    ) -> Result<(), Full> {
        let number = self.owner_number(state, owner, project)?;
        let cell = project_cell(state, project);
        let entry = match directory.owner(owner) {
            None => missing(owner, cell),
            Some(record) => OwnerEntry {
                owner,
                handle: record.handle().unwrap_or_default().into(),
                permissions: Arc::new(directory.permissions(record)),
                standing: standing_of(record),
                presence: Presence::Here,
                project: cell,
            },
        };
        if let Some(place) = self.owners.get(number) {
            place.store(Arc::new(entry));
        }
        Ok(())
    }

    fn owner_number(&self, state: &mut WriterState, owner: Owner, project: ProjectId) -> Result<u32, Full> {
        if let Some(number) = state.owner_numbers.get(&owner) {
            return Ok(*number);
        }
        let cell = project_cell(state, project);
        let number = self.owners.push(ArcSwap::from_pointee(missing(owner, cell)))?;
        state.owner_numbers.insert(owner, number);
        Ok(number)
    }

    fn begin(&self) -> Applying<'_> {
        let state = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::AcqRel);
        Applying {
            state,
            changes: &self.changes,
        }
    }
}

/// Whether a row is as Keyholt wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Integrity {
    /// Its seal holds.
    Sealed,
    /// It does not: the key is refused.
    Broken,
}

fn read<T: serde::de::DeserializeOwned>(text: &str, integrity: &mut Integrity, instead: T) -> Result<Arc<T>, Full> {
    Ok(Arc::new(serde_json::from_str(text).unwrap_or_else(|_| {
        *integrity = Integrity::Broken;
        instead
    })))
}

fn missing(owner: Owner, project: Arc<ArcSwap<ProjectEntry>>) -> OwnerEntry {
    OwnerEntry {
        owner,
        handle: Box::default(),
        permissions: Arc::default(),
        standing: Standing::Good,
        presence: Presence::Missing,
        project,
    }
}

fn project_cell(state: &mut WriterState, id: ProjectId) -> Arc<ArcSwap<ProjectEntry>> {
    let missing = || {
        Arc::new(ArcSwap::from_pointee(ProjectEntry {
            id,
            standing: Standing::Good,
            presence: Presence::Missing,
        }))
    };
    Arc::clone(state.projects.entry(id).or_insert_with(missing))
}

/// Whether what hangs on a record works, as far as the record says.
pub fn standing_of(record: &Record) -> Standing {
    match record {
        Record::User(user) => user.standing,
        Record::Team(team) => team.standing,
        Record::Service(service) => service.standing,
        Record::Project(project) => project.standing,
        Record::Setup(_) | Record::Role(_) | Record::Key(_) => Standing::Good,
    }
}

/// The writer's turn; its end tells readers that the change is whole.
struct Applying<'a> {
    state: MutexGuard<'a, WriterState>,
    changes: &'a AtomicU64,
}

impl std::ops::Deref for Applying<'_> {
    type Target = WriterState;

    fn deref(&self) -> &WriterState {
        &self.state
    }
}

impl std::ops::DerefMut for Applying<'_> {
    fn deref_mut(&mut self) -> &mut WriterState {
        &mut self.state
    }
}

impl Drop for Applying<'_> {
    fn drop(&mut self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }
}
