//! The keyring: every live key in memory, an index and not a cache; what the verify path reads, and nothing else.
//!
//! One writer at a time changes it, after the commit and before the reply; readers take no lock that a writer can hold.

mod turns;
mod writer;

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use keyholt_core::audit::Noun;
use keyholt_core::commit::{Record, Revision};
use keyholt_core::id::{KeyId, ProjectId, TokenId};
use keyholt_core::key::{Bounds, Kind};
use keyholt_core::owner::{Owner, Standing};
use keyholt_core::project::Project;
use keyholt_core::scope::Access;
use keyholt_core::secret::Digest;
use keyholt_core::time::{Expiry, Moment};
use keyholt_core::token::{Generation, Recall};
use keyholt_core::verify::{Dossier, Form, Shown, Stopped};
use uuid::Uuid;

use super::directory::Directory;
use super::holders::{OwnerEntry, Presence};
use super::intern::Interned;
use super::lines::{Array, KeyHash, Lines, Now};
use super::pages;
use super::rows::{Row, Rows};
use super::table::Table;
use super::tallies::Tallies;
use turns::Turns;
use writer::WriterState;

pub use turns::{Past, TURNS_KEPT, TURNS_MAX};

/// All live keys, and what they hang on.
pub struct Keyring {
    rows: Rows,
    tallies: Tallies,
    by_digest: Lines,
    by_key: Lines,
    key_hash: KeyHash,
    accesses: Interned<Arc<Access>>,
    bounds: Interned<Arc<Bounds>>,
    owners: Table<ArcSwap<OwnerEntry>>,
    directory: RwLock<Directory>,
    writer: Mutex<WriterState>,
    /// The tokens that were revoked before their end.
    revoked_tokens: papaya::HashMap<Uuid, ()>,
    /// How many tokens of a key were revoked before an end that is not there yet.
    recalls: papaya::HashMap<u128, u32>,
    /// What changed lately.
    turns: Mutex<Turns>,
    /// How often a project or a signing key changed.
    issuer_changes: AtomicU64,
    owner_numbers: papaya::HashMap<Owner, u32>,
    /// Odd while a change is being applied; a reader that found nothing meanwhile looks again.
    changes: AtomicU64,
}

/// A key that answers to a presented digest or an id.
#[derive(Clone, Copy)]
pub struct Found {
    row: Row,
    number: u32,
    generation: Generation,
    /// Which of its secrets was shown.
    pub shown: Shown,
}

impl Found {
    /// By a row of its own.
    fn current(row: Row, number: u32) -> Self {
        Self {
            row,
            number,
            generation: Generation::from_number(row.digest[0]),
            shown: Shown::Current,
        }
    }

    /// The key.
    pub fn key(&self) -> KeyId {
        KeyId::from_uuid(Uuid::from_u128(self.row.key))
    }

    /// Which of the key's secrets was shown, in short; retiring secrets have a row of their own.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The number of its row.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its expiry.
    pub fn expiry(&self) -> Expiry {
        if self.row.expires == i64::MAX {
            Expiry::Never
        } else {
            Expiry::At(Moment::from_ms(self.row.expires))
        }
    }

    /// How often the key was changed.
    pub fn revision(&self) -> Revision {
        Revision::from_number(self.row.revision)
    }

    /// Whether its row is as Keyholt wrote it.
    pub fn integrity(&self) -> Integrity {
        if self.row.flags & TAMPERED == 0 {
            Integrity::Sealed
        } else {
            Integrity::Broken
        }
    }

    /// What sort of key it is.
    pub fn kind(&self) -> Kind {
        match self.row.flags & KIND {
            1 => Kind::Static,
            2 => Kind::Publishable,
            3 => Kind::Session,
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
/// The row belongs to a family of refresh tokens: as for a retiring secret, but there is no grace.
const FAMILY: u32 = 0b100_0000;
/// The row belongs to the digest that a secret had before the master key was replaced: as for a retiring secret, but the
/// secret is the newest one, and tokens alone are looked up by it.
const FORMER: u32 = 0b1000_0000;
/// The row's own secret is recognised by an earlier master key alone.
const HANGING: u32 = 0b1_0000_0000;
/// The row is not a key's own.
const BESIDE: u32 = RETIRING | FAMILY | FORMER;

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
            tallies: Tallies::default(),
            by_digest: Lines::with_capacity(keys),
            by_key: Lines::with_capacity(keys),
            key_hash: KeyHash::new(random),
            accesses: Interned::default(),
            bounds: Interned::default(),
            owners: Table::new(),
            directory: RwLock::default(),
            writer: Mutex::default(),
            revoked_tokens: papaya::HashMap::new(),
            recalls: papaya::HashMap::new(),
            turns: Mutex::default(),
            issuer_changes: AtomicU64::new(0),
            owner_numbers: papaya::HashMap::new(),
            changes: AtomicU64::new(0),
        }
    }

    /// Makes room for so many keys, as long as there are none.
    pub fn make_room(&self, keys: usize) {
        pages::for_keys(keys);
        self.by_digest.make_room(keys);
        self.by_key.make_room(keys);
    }

    /// The live key that answers to a digest.
    ///
    /// SECURITY: a session is none. What refreshes it or stands in its cookie opens nothing as a key.
    pub fn find(&self, digest: &Digest) -> Option<Found> {
        self.find_any(digest).filter(|found| found.kind() != Kind::Session)
    }

    /// The session that answers to a digest: of its newest secret, or of its family.
    pub fn find_session(&self, digest: &Digest) -> Option<Found> {
        self.find_any(digest).filter(|found| found.kind() == Kind::Session)
    }

    fn find_any(&self, digest: &Digest) -> Option<Found> {
        let digest = halves(digest);
        self.look(|| self.look_for(hash_of(digest), |row| row.answers_to(digest)))
    }

    fn look_for(&self, hash: u64, is_it: impl Fn(&Row) -> bool) -> Option<Found> {
        let mut tampered = None;
        let found = self.by_digest.now().lookup(hash, |number| {
            let row = self.rows.read(number).filter(&is_it)?;
            let found = if row.flags & BESIDE == 0 {
                Found::current(row, number)
            } else {
                let main = self.rows.read(row.owner).filter(|main| main.key == row.key)?;
                let shown = if row.flags & FAMILY != 0 {
                    Shown::Superseded
                } else if row.flags & FORMER != 0 {
                    Shown::Current
                } else {
                    Shown::Retiring {
                        until: Moment::from_ms(row.expires),
                    }
                };
                Found {
                    row: main,
                    number: row.owner,
                    generation: Generation::from_number(row.digest[0]),
                    shown,
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
                    .filter(|row| row.key == id && row.flags & BESIDE == 0)?;
                Some(Found::current(row, number))
            })
        })
    }

    /// The key that is in a row now.
    pub fn key_in(&self, number: u32) -> Option<KeyId> {
        let row = self.rows.read(number).filter(|row| row.flags & BESIDE == 0)?;
        Some(KeyId::from_uuid(Uuid::from_u128(row.key)))
    }

    /// The uses that are counted beside the rows.
    pub fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// The index of digests as it is now, for one request.
    pub fn index(&self) -> Now {
        self.by_digest.now()
    }

    /// Asks for the part of the index in which a digest is looked up, without waiting for it.
    pub fn touch_index(index: &Array, digest: &Digest) {
        index.touch(hash_of(halves(digest)));
    }

    /// Asks for the row to which the index leads from a digest, and for the word in which its uses are counted, without waiting
    /// for them; tells which row that is. The index itself was asked for before.
    pub fn touch_row(&self, index: &Array, digest: &Digest) -> Option<u32> {
        // The first candidate is nearly always the one.
        index.lookup(hash_of(halves(digest)), |number| {
            self.rows.touch(number);
            self.tallies.touch(number);
            Some(number)
        })
    }

    /// As [`find`](Self::find), but looks at one row before the index, if [`touch_row`](Self::touch_row) told of one.
    pub fn find_near(&self, digest: &Digest, near: Option<u32>) -> Option<Found> {
        near.and_then(|number| self.find_in(number, digest))
            .or_else(|| self.find(digest))
    }

    /// What the index leads to nearly always: a key's own row, with its newest secret, as we wrote it.
    fn find_in(&self, number: u32, digest: &Digest) -> Option<Found> {
        let row = self.rows.read(number)?;
        let found = Found::current(row, number);
        let is_it = row.answers_to(halves(digest)) && row.flags & (BESIDE | TAMPERED) == 0;
        (is_it && found.kind() != Kind::Session).then_some(found)
    }

    /// The same key as it is now, found by its row alone; `None` if it is gone or has another secret by now.
    pub fn again(&self, found: &Found) -> Option<Found> {
        let row = self.rows.read(found.number)?;
        let same = row.key == found.row.key && row.digest == found.row.digest && row.flags & BESIDE == 0;
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
        let owner = self.owner(found)?;
        Some(with(&self.dossier_on(found, &owner)?, &owner))
    }

    /// The owner of a found key, as it is now.
    pub fn owner(&self, found: &Found) -> Option<impl Deref<Target = Arc<OwnerEntry>> + use<>> {
        Some(self.owners.get(found.row.owner)?.load())
    }

    /// Whether a found key is that owner's.
    pub fn is_of(&self, found: &Found, owner: Owner) -> bool {
        self.owner(found).is_some_and(|entry| entry.owner == owner)
    }

    /// All that is known about a found key of that owner.
    pub fn dossier_on<'a>(&'a self, found: &Found, owner: &'a OwnerEntry) -> Option<Dossier<'a>> {
        let project = owner.project.standing();
        let here = owner.presence == Presence::Here && project.is_some();
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
        Some(Dossier {
            key: found.key(),
            project: owner.project.id,
            owner: owner.owner,
            kind: found.kind(),
            authority: owner.authority(found.row.access, self.accesses.value(found.row.access)?),
            bounds: self.bounds.value(found.row.bounds)?,
            expiry: found.expiry(),
            stopped,
            shown: found.shown,
            owner_standing: owner.standing,
            project_standing: project.unwrap_or(Standing::Good),
            form: Form::Secret,
        })
    }

    /// The key with this id, as if the secret of this generation had been shown; `None` when that secret is gone.
    pub fn find_generation(&self, key: KeyId, generation: Generation) -> Option<Found> {
        let id = key.uuid().as_u128();
        let half = generation.number();
        self.look(|| self.look_for(half, |row| row.key == id && row.digest[0] == half))
    }

    /// Whether a token was revoked before its end.
    pub fn recall(&self, token: TokenId) -> Recall {
        if self.revoked_tokens.pin().contains_key(&token.uuid()) {
            Recall::Revoked
        } else {
            Recall::Standing
        }
    }

    /// How often anything changed: what is derived from the keyring is good as long as this stays the same.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The same, where nothing is being changed at this moment.
    pub fn settled(&self) -> Option<u64> {
        Some(self.changes()).filter(|changes| changes.is_multiple_of(2))
    }

    /// How often a project or a signing key changed: what is derived from them is good as long as this stays the same.
    pub fn issuer_changes(&self) -> u64 {
        self.issuer_changes.load(Ordering::Acquire)
    }

    /// What judging needs to know of an owner who need not have a key.
    pub fn owner_entry(&self, owner: Owner) -> Option<Arc<OwnerEntry>> {
        let number = *self.owner_numbers.pin().get(&owner)?;
        Some(self.owners.get(number)?.load_full())
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

    /// How many secrets are recognised by an earlier master key alone, and the keys of the first of them. A walk through all
    /// rows, for diagnosis.
    pub fn hanging(&self, now: Moment, most: usize) -> (u64, Vec<KeyId>) {
        let end = self.rows.writer().end();
        let live = |row: &Row| row.flags & HANGING != 0 && row.flags & REVOKED == 0 && row.expires > now.ms();
        let (mut count, mut named) = (0, Vec::new());
        for row in (0..end).filter_map(|number| self.rows.read(number)).filter(live) {
            count += 1;
            if named.len() < most {
                named.push(KeyId::from_uuid(Uuid::from_u128(row.key)));
            }
        }
        (count, named)
    }

    /// How many rows are in use: one per key and one per secret in its grace.
    pub fn len(&self) -> u32 {
        self.rows.writer().in_use()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
