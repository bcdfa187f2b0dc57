//! The keyring's one writer: applies what was committed, in an order that no reader can stumble over.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::id::{KeyId, ProjectId, SYSTEM, TeamId, UserId};
use keyholt_core::key::{Bounds, KeyRow, Kind};
use keyholt_core::owner::{Owner, Standing};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::secret::{Age, Digest};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::turns::Comes;
use super::{
    BESIDE, FAMILY, FORMER, HANGING, Integrity, Keyring, RETIRING, REVOKED, SUSPENDED, TAMPERED, halves, hash_of,
};
use crate::keyring::directory::Directory;
use crate::keyring::holders::{OwnerEntry, Presence, ProjectCell, Within, standing_of};
use crate::keyring::intern::Interned;
use crate::keyring::lines::LinesWriter;
use crate::keyring::rows::Row;
use crate::keyring::table::Full;

/// What the one writer keeps for itself.
#[derive(Default)]
pub(super) struct WriterState {
    projects: HashMap<ProjectId, Arc<ProjectCell>>,
    /// Main row → row of the secret that its rotation retires.
    retiring: HashMap<u32, u32>,
    /// The keys of Keyholt's own project: few, and the last one must not go.
    pub(super) system_keys: BTreeSet<KeyId>,
}

impl WriterState {
    /// Whether what hangs on a project works; `None` where there is no such project.
    pub(super) fn standing_of(&self, project: ProjectId) -> Option<Standing> {
        self.projects.get(&project)?.standing()
    }
}

impl Keyring {
    /// Applies what a commit wrote. Versions older than what is known already are passed over.
    pub fn put(&self, record: &Record) -> Result<(), Full> {
        match record {
            Record::Key(key) => {
                let at_rest = key.at_rest();
                self.put_key(&key.row(&at_rest), Integrity::Sealed)
            }
            // What judging does not need is not kept in memory.
            record if !record.noun().is_judged_by() => Ok(()),
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
        // A session is no way in that lasts: it must not be taken for the last one.
        if key.project == SYSTEM && key.kind != Kind::Session {
            state.system_keys.insert(key.id);
        }
        let owner = self.owner_number(state, key.owner, key.project)?;
        let mut integrity = integrity;
        let access = number_of_text(
            &self.accesses,
            key.access,
            Access::Only(ScopeSet::default()),
            &mut integrity,
        )?;
        let bounds = number_of_text(&self.bounds, key.bounds, Bounds::default(), &mut integrity)?;
        let kind = match key.kind {
            Kind::Standard => 0,
            Kind::Static => 1,
            Kind::Publishable => 2,
            Kind::Session => 3,
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
            flags: kind | stopped | tampered | hanging(&key.current),
            expires: key.expires_at.unwrap_or(i64::MAX),
            revision: key.revision.number(),
        };
        let retired = known.and_then(|number| state.retiring.remove(&number));
        let before = known.and_then(|number| self.rows.read(number));
        let mut retiring = [retired.and_then(|number| self.rows.read(number)), None];
        let number = match known {
            None => {
                let number = self.rows.writer().allocate(&row)?;
                self.by_key_writer().insert(self.key_hash.of(row.key), number);
                self.by_digest_writer().insert(hash_of(row.digest), number);
                number
            }
            Some(number) => number,
        };
        if let Some(beside) = &key.retiring {
            // The row of the digest beside the newest comes first: at no moment is a secret in its grace not found.
            let alias = Row {
                digest: halves(beside),
                owner: number,
                flags: match (key.retiring_until, beside.age()) {
                    (None, _) => FAMILY,
                    (Some(_), Age::Former) => FORMER,
                    (Some(_), Age::Present | Age::Earlier) => RETIRING | hanging(beside),
                },
                expires: key.retiring_until.unwrap_or_default(),
                ..row
            };
            retiring[1] = Some(alias);
            let alias_number = self.rows.writer().allocate(&alias)?;
            self.by_digest_writer().insert(hash_of(alias.digest), alias_number);
            state.retiring.insert(number, alias_number);
        }
        if let Some(old) = &before {
            self.turn_of_key(old, &row, retiring);
        }
        if known.is_some() {
            let old = before;
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
            if let Some(row) = self.rows.read(number) {
                self.turn_of_gone(&row);
            }
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

    pub(super) fn number_of(&self, key: KeyId) -> Option<u32> {
        let id = key.uuid().as_u128();
        self.by_key.now().lookup(self.key_hash.of(id), |number| {
            self.rows
                .read(number)
                .filter(|row| row.key == id && row.flags & BESIDE == 0)
                .map(|_| number)
        })
    }

    fn by_digest_writer(&self) -> LinesWriter<'_, impl Fn(u32) -> Option<u64>> {
        self.by_digest
            .writer(|number| self.rows.read(number).map(|row| hash_of(row.digest)))
    }

    fn by_key_writer(&self) -> LinesWriter<'_, impl Fn(u32) -> Option<u64>> {
        self.by_key
            .writer(|number| self.rows.read(number).map(|row| self.key_hash.of(row.key)))
    }

    fn put_record(&self, record: Arc<Record>) -> Result<(), Full> {
        let mut state = self.begin();
        let known = {
            let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
            let known = directory.record(record.noun(), record.id()).map(Arc::clone);
            if known
                .as_ref()
                .is_some_and(|known| known.revision() >= record.revision())
            {
                return Ok(());
            }
            directory.put(Arc::clone(&record));
            known
        };
        self.refresh(&mut state, &record)?;
        let (before, now) = (known.as_deref().map(managers).unwrap_or_default(), managers(&record));
        self.refresh_managers(&mut state, before.symmetric_difference(&now), record.project())
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
            Some(record) => {
                self.refresh(&mut state, &record)?;
                self.refresh_managers(&mut state, &managers(&record), record.project())
            }
            None => Ok(()),
        }
    }

    /// Brings what judging reads in line with the directory, as far as this record matters to it.
    fn refresh(&self, state: &mut WriterState, record: &Record) -> Result<(), Full> {
        let directory = self.directory();
        match record {
            Record::Project(project) => {
                let cell = project_cell(state, project.id);
                match directory.record(Noun::Project, project.id.uuid()) {
                    Some(_) => cell.stands(project.standing),
                    None => cell.goes(),
                }
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
            Record::Token(token) => {
                let revoked = self.revoked_tokens.pin();
                let changed = match directory.record(Noun::Token, token.id.uuid()) {
                    Some(_) => (revoked.insert(token.id.uuid(), ()), Comes::In),
                    None => (revoked.remove(&token.id.uuid()), Comes::Out),
                };
                if let (None, Comes::In) | (Some(()), Comes::Out) = (changed.0.copied(), changed.1) {
                    self.turn_of_token(token, changed.1);
                }
            }
            Record::SigningKey(_) | Record::Setup(_) | Record::Password(_) | Record::Key(_) => {}
        }
        if let Record::Project(_) | Record::SigningKey(_) = record {
            self.issuer_changes.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Brings up to date which teams these users manage.
    fn refresh_managers<'a>(
        &self,
        state: &mut WriterState,
        users: impl IntoIterator<Item = &'a UserId>,
        project: ProjectId,
    ) -> Result<(), Full> {
        let directory = self.directory();
        users
            .into_iter()
            .try_for_each(|user| self.refresh_owner(state, &directory, Owner::User(*user), project))
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
            None => OwnerEntry::missing(owner, cell),
            Some(record) => OwnerEntry {
                changes: directory.changes_of(record),
                owner,
                handle: record.handle().unwrap_or_default().into(),
                permissions: Arc::new(directory.permissions(record)),
                standing: standing_of(record),
                presence: Presence::Here,
                manages: managed_by(owner, directory),
                within: Within::default(),
                project: cell,
            },
        };
        if let Some(place) = self.owners.get(number) {
            self.turn_of_owner(number, &place.load(), &entry);
            place.store(Arc::new(entry));
        }
        Ok(())
    }

    fn owner_number(&self, state: &mut WriterState, owner: Owner, project: ProjectId) -> Result<u32, Full> {
        // The writer's turn makes sure that nobody else gives out a number meanwhile.
        let numbers = self.owner_numbers.pin();
        if let Some(number) = numbers.get(&owner) {
            return Ok(*number);
        }
        let cell = project_cell(state, project);
        let number = self
            .owners
            .push(ArcSwap::from_pointee(OwnerEntry::missing(owner, cell)))?;
        numbers.insert(owner, number);
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

/// The number of the value with this text, or of `instead` where the text cannot be read, which breaks the row.
///
/// SECURITY: a text that cannot be read is not remembered, or the next row that holds it would pass for a good one.
fn number_of_text<T: DeserializeOwned>(
    known: &Interned<Arc<T>>,
    text: &str,
    instead: T,
    integrity: &mut Integrity,
) -> Result<u32, Full> {
    match known.number(text, |text| serde_json::from_str(text).ok().map(Arc::new))? {
        Some(number) => Ok(number),
        None => {
            *integrity = Integrity::Broken;
            known.unnamed(Arc::new(instead))
        }
    }
}

/// The users who may manage the keys of a team.
fn managers(record: &Record) -> BTreeSet<UserId> {
    match record {
        Record::Team(team) => team.managers().collect(),
        _ => BTreeSet::new(),
    }
}

fn managed_by(owner: Owner, directory: &Directory) -> Option<Arc<Vec<TeamId>>> {
    let Owner::User(user) = owner else { return None };
    let teams: Vec<TeamId> = directory.managed_by(user).collect();
    (!teams.is_empty()).then(|| Arc::new(teams))
}

fn hanging(digest: &Digest) -> u32 {
    if digest.age() == Age::Earlier { HANGING } else { 0 }
}

fn project_cell(state: &mut WriterState, id: ProjectId) -> Arc<ProjectCell> {
    Arc::clone(
        state
            .projects
            .entry(id)
            .or_insert_with(|| Arc::new(ProjectCell::missing(id))),
    )
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
