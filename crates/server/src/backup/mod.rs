//! Backups: one file that holds everything but secrets and the master key, and a way back that revives nothing silently.
//!
//! A backup is JSON Lines: a header, a store's dump, and a trailer with the number of lines and the SHA-256 of all of
//! them, encrypted as a whole where there is a passphrase. It is made beside a running server or from the data of a stopped one, and restored where no server runs.

mod apply;
mod check;
mod compare;
mod create;
mod encrypted;
mod form;
mod order;
mod place;
mod restore;

use std::io;
use std::path::PathBuf;

use keyholt_core::audit::Noun;
use keyholt_core::bond::BondError;
use keyholt_core::time::Moment;
use keyholt_store::{CommitError, StoreError};
use uuid::Uuid;

pub use check::verify;
pub use compare::{Comparison, Ended, Gap, Was};
pub use create::create;
pub use encrypted::{Passphrase, WORK_FACTOR, WORK_FACTOR_MAX};
pub use place::{Data, Place, read_master_keys};
pub use restore::{BrokenSeals, Consent, Operators, Plan, Request, Restored, plan};

use crate::master::MasterKeyError;

/// What a backup holds, as far as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary {
    /// When it was begun: it knows everything that was acknowledged before.
    pub made_at: Moment,
    /// The version of Keyholt that made it.
    pub made_by: String,
    /// Lines of the file, the trailer not counted.
    pub lines: u64,
    /// Projects, Keyholt's own included.
    pub projects: u64,
    /// Records other than keys: projects, owners, roles and the set-up.
    pub records: u64,
    /// Keys, revoked ones included.
    pub keys: u64,
    /// Keys that are neither revoked nor suspended; some of them may have expired.
    pub active_keys: u64,
    /// Audit events.
    pub events: u64,
    /// What the seals tell.
    pub seals: Seals,
}

/// What the seals of a backup tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seals {
    /// Nothing: they were not checked, for want of the master key.
    Unchecked,
    /// The backup belongs to the master key.
    Checked {
        /// Rows that are not as Keyholt wrote them; the first [`BROKEN_SHOWN_MAX`] of them.
        broken: Vec<BrokenRow>,
        /// How many there are in all.
        count: u64,
    },
}

/// Most rows with broken seals that are named; the others are counted.
pub const BROKEN_SHOWN_MAX: usize = 100;

/// A row of a backup that is not as Keyholt wrote it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokenRow {
    /// The line of the file.
    pub line: u64,
    /// What kind of thing.
    pub noun: Noun,
    /// Which.
    pub id: Uuid,
}

/// How far a long piece of work has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// How much of it is done: bytes of the file, or rows.
    pub done: u64,
    /// How much there is, where that is known.
    pub of: Option<u64>,
}

/// The steps of long work on backups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// The data are read and written to the file.
    Create,
    /// The file is checked.
    Verify,
    /// The file is compared with the present data.
    Compare,
    /// The new database is filled.
    Fill,
    /// What ended after the backup is ended.
    End,
    /// Keys are suspended.
    Suspend,
    /// The new database is loaded, every seal checked.
    Load,
}

/// Is told how far the work has come, every [`TOLD_EVERY`] lines.
pub type Watch<'a> = &'a mut (dyn FnMut(Progress) + Send);

/// After how many lines progress is told again.
pub const TOLD_EVERY: u64 = 512;

/// Why a backup is not made, not good, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is a file of that name already, and no backup is ever overwritten.
    #[error("there is a file {0} already; choose another name, no backup is overwritten")]
    Exists(PathBuf),
    /// The file is cut off, altered, or no backup.
    #[error("the backup is not good: line {line}: {says}")]
    Bad {
        /// The line at which it was noticed.
        line: u64,
        /// What is wrong with it.
        says: String,
    },
    /// The backup is encrypted and nobody gave its passphrase.
    #[error("the backup is encrypted; it is read with its passphrase only")]
    Encrypted,
    /// There is a passphrase, and the backup is not encrypted.
    #[error("the backup is not encrypted, and a passphrase was given for it")]
    NotEncrypted,
    /// The passphrase opens nothing.
    #[error("the passphrase is not the one that the backup was encrypted with, or the header of the file was altered")]
    WrongPassphrase,
    /// A newer program made the backup.
    #[error("the backup has format {found}, this program knows up to {known}: use the newer program")]
    TooNew {
        /// The format that was found.
        found: u32,
        /// The newest one that this program knows.
        known: u32,
    },
    /// The master key is not the one that the backup was made with.
    #[error("the backup was made with another master key; without that one no key in it could be verified")]
    WrongMasterKey,
    /// The previous master key is missing, or is not the one before.
    #[error("the backup and the previous master key do not go together: {0}")]
    PreviousMasterKey(#[source] BondError),
    /// There is no master key where the settings say it is.
    #[error("there is no master key at {0}; put the one there that the backup was made with")]
    NoMasterKey(PathBuf),
    /// The master key cannot be used.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// Rows of the backup are not as Keyholt wrote them.
    #[error(
        "{0} rows of the backup have broken seals: somebody changed the database before it was backed up, or the file"
    )]
    BrokenSeals(u64),
    /// A server works on the data.
    #[error("a server works on the data; stop it first")]
    InUse,
    /// The database to restore into has something in it.
    #[error("the database is not empty; a backup is restored into an empty one")]
    NotEmpty,
    /// The data of a server that keeps everything in memory cannot be reached from outside.
    #[error("the settings name no database: what a server keeps in memory alone cannot be backed up")]
    InMemory,
    /// What ended after the backup is not known, and nobody accepted that.
    #[error("it is not known what ended after the backup")]
    GapNotAccepted,
    /// The restored data are not what the backup holds; they were not put in place.
    #[error("the restored data are not what the backup holds: {0}")]
    NotAsBackedUp(String),
    /// The store does not answer or cannot be read.
    #[error(transparent)]
    Store(StoreError),
    /// What ended could not be ended.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::InUse => Self::InUse,
            StoreError::NotEmpty => Self::NotEmpty,
            error => Self::Store(error),
        }
    }
}

impl From<BondError> for BackupError {
    fn from(error: BondError) -> Self {
        match error {
            BondError::Other => Self::WrongMasterKey,
            error => Self::PreviousMasterKey(error),
        }
    }
}

impl BackupError {
    /// Whether it is the backup itself that is at fault: a well-asked question whose answer is no.
    pub fn is_about_the_backup(&self) -> bool {
        matches!(
            self,
            Self::Bad { .. }
                | Self::NotEncrypted
                | Self::WrongPassphrase
                | Self::WrongMasterKey
                | Self::PreviousMasterKey(_)
                | Self::BrokenSeals(_)
                | Self::NotAsBackedUp(_)
        )
    }
}
