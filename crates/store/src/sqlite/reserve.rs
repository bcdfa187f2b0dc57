//! Room on the disk that is kept back: revocations go on when nothing else finds room any more.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::beside;

/// How much is kept back: enough for some dozens of revocations at once, and as the log is copied into the database and
/// begun anew in between, for many more one after the other.
const RESERVE_BYTES: u64 = 4 << 20;

/// Room that is kept back in a file beside the database.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The room is taken.
    Kept,
    /// The room was given to what must not wait.
    Spent,
}

impl Reserve {
    /// Takes the room beside a database, if there is any.
    pub(super) fn beside(database: &Path) -> Self {
        let mut reserve = Self {
            path: beside(database, ".reserve"),
            state: State::Spent,
        };
        if let Err(error) = reserve.take() {
            tracing::warn!(%error, "no room on the disk can be kept back for revocations");
        }
        reserve
    }

    /// Whether there is room for what can wait. Where the reserve was spent it comes first.
    pub(super) fn is_whole(&mut self) -> bool {
        if self.state == State::Spent && self.take().is_ok() {
            tracing::info!("there is room on the disk again");
        }
        self.state == State::Kept
    }

    /// Gives the room up, for what must not wait. Tells whether there was any.
    pub(super) fn spend(&mut self) -> bool {
        if self.state == State::Spent {
            return false;
        }
        self.state = State::Spent;
        match OpenOptions::new()
            .write(true)
            .open(&self.path)
            .and_then(|file| file.set_len(0))
        {
            Ok(()) => {
                tracing::error!("the disk is full: what was kept back goes to revocations, all else waits for room");
                true
            }
            Err(error) => {
                tracing::error!(%error, "the disk is full, and what was kept back cannot be given up");
                false
            }
        }
    }

    fn take(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)?;
        let taken = allocate(&file);
        if taken.is_err() {
            // Half a reserve would only take room away.
            file.set_len(0)?;
        }
        taken?;
        self.state = State::Kept;
        Ok(())
    }
}

/// Takes blocks, not only a length: a file with holes keeps nothing back.
fn allocate(file: &File) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::empty(), 0, RESERVE_BYTES)?)
}
