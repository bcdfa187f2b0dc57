//! A database file beside a server, to read; and one that nobody works on, to put another one in its place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::reader::Readers;
use super::{Place, Role, Sqlite, beside, dump, good_enough, lock, schema};
use crate::{DumpLine, EventNumber, StoreError};

/// What a database consists of while somebody works on it; the first is the database itself.
const FILES: [&str; 3] = ["", "-wal", "-shm"];

/// A database that is only read, whether a server works on it or not.
///
/// It takes no lock that a server would miss, writes nothing into the database and leaves every checkpoint to the server.
#[derive(Debug)]
pub struct SqliteToRead {
    readers: Readers,
    thread: Mutex<Vec<JoinHandle<()>>>,
}

impl Sqlite {
    /// Opens a file to read it, beside the server that works on it.
    pub fn open_to_read(path: &Path) -> Result<SqliteToRead, StoreError> {
        good_enough()?;
        let place = Arc::new(Place {
            path: path.to_owned(),
            database: None,
            _lock: None,
        });
        schema::expect(&place.connect(Role::Guest)?)?;
        let mut threads = Vec::with_capacity(1);
        let readers = Readers::start(&place, Role::Guest, 1, &mut threads)?;
        Ok(SqliteToRead {
            readers,
            thread: Mutex::new(threads),
        })
    }

    /// Takes the lock of a file, existing or not, that no server works on; nothing is opened or made.
    ///
    /// An exchange of files that was interrupted before is undone first.
    pub fn hold(path: &Path) -> Result<Held, StoreError> {
        let held = Held {
            path: path.to_owned(),
            _lock: lock(path)?,
        };
        held.undo()
            .map_err(|error| trouble("undo an interrupted restore", &error))?;
        Ok(held)
    }
}

impl SqliteToRead {
    /// Reads every line as of one instant; see [`crate::Store::dump`].
    pub async fn dump(&self, each: &mut (dyn FnMut(DumpLine) + Send)) -> Result<EventNumber, StoreError> {
        dump::dump(&self.readers, each).await
    }
}

impl Drop for SqliteToRead {
    fn drop(&mut self) {
        self.readers.close();
        for thread in std::mem::take(&mut *self.thread.lock().unwrap_or_else(PoisonError::into_inner)) {
            if thread.join().is_err() {
                tracing::error!("a thread that read the SQLite store had panicked");
            }
        }
    }
}

/// A database file that no server works on as long as this is held.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    _lock: File,
}

impl Held {
    /// Whether there is a database file.
    pub fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Opens a new, empty database beside it; what an earlier attempt left there is removed.
    pub fn open_new(&self) -> Result<Sqlite, StoreError> {
        self.forget_new()?;
        Sqlite::open(&self.new_path())
    }

    /// Removes the new database again.
    pub fn forget_new(&self) -> Result<(), StoreError> {
        let new = self.new_path();
        for ending in FILES.into_iter().chain([".lock"]) {
            unless_missing(fs::remove_file(beside(&new, ending)))
                .map_err(|error| trouble("remove what an earlier restore left", &error))?;
        }
        Ok(())
    }

    /// Puts the new database, closed by now, in the place of the old one, and tells where the old one lies now.
    ///
    /// The old files are renamed to `….before-restore-<label>` and never removed. Interrupted at any point, the next
    /// start refuses and the next [`Sqlite::hold`] puts the old files back: there is no instant at which a server could
    /// start on the one without its log, or on nothing.
    pub fn put_in_place(self, label: &str) -> Result<Option<PathBuf>, StoreError> {
        let new = self.new_path();
        if beside(&new, "-wal").exists() {
            return Err(StoreError::Unavailable("the new database is still open".to_owned()));
        }
        let old = old_path(&self.path, label);
        if FILES.iter().any(|ending| beside(&old, ending).exists()) {
            let old = old.display();
            return Err(StoreError::Unavailable(format!("there is a file {old} already")));
        }
        let was_there = self.is_there();
        for step in Step::ALL {
            self.take(step, label)
                .map_err(|error| trouble("put the new database in place", &error))?;
        }
        Ok(was_there.then_some(old))
    }

    fn take(&self, step: Step, label: &str) -> io::Result<()> {
        let (new, old, note) = (self.new_path(), old_path(&self.path, label), note(&self.path));
        match step {
            Step::Finish => {
                if let Ok(there) = fs::metadata(&self.path)
                    && there.uid() != fs::metadata(&new)?.uid()
                {
                    // A restore by root must not leave a file that the server's own user cannot open.
                    std::os::unix::fs::chown(&new, Some(there.uid()), Some(there.gid()))?;
                }
                File::open(&new)?.sync_all()?;
                unless_missing(fs::remove_file(beside(&new, ".lock")))
            }
            Step::Note => {
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&note)?;
                file.write_all(label.as_bytes())?;
                file.sync_all()?;
                self.sync_folder()
            }
            Step::MoveOld => {
                for ending in FILES {
                    unless_missing(fs::rename(beside(&self.path, ending), beside(&old, ending)))?;
                }
                self.sync_folder()
            }
            Step::MoveNew => {
                fs::rename(&new, &self.path)?;
                self.sync_folder()
            }
            Step::EndNote => {
                fs::remove_file(&note)?;
                self.sync_folder()
            }
        }
    }

    /// Puts the old files back where an exchange was interrupted.
    fn undo(&self) -> io::Result<()> {
        let note = note(&self.path);
        let label = match fs::read_to_string(&note) {
            Ok(label) => label,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let old = old_path(&self.path, &label);
        // The new database was in place already: it stays, and only the note was left.
        let done = self.path.exists() && old.exists() && !self.new_path().exists();
        // No label: the note itself was not written to its end, so nothing was moved yet.
        if !done && !label.is_empty() {
            for ending in FILES.into_iter().rev() {
                unless_missing(fs::rename(beside(&old, ending), beside(&self.path, ending)))?;
            }
            tracing::warn!("an interrupted restore was undone: the data are as they were before it");
        }
        self.sync_folder()?;
        fs::remove_file(&note)?;
        self.sync_folder()
    }

    fn new_path(&self) -> PathBuf {
        beside(&self.path, ".restoring")
    }

    fn sync_folder(&self) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

/// The steps of an exchange. Up to the last rename the old files can be put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Finish,
    Note,
    MoveOld,
    MoveNew,
    EndNote,
}

impl Step {
    const ALL: [Self; 5] = [Self::Finish, Self::Note, Self::MoveOld, Self::MoveNew, Self::EndNote];
}

/// The file that tells of an exchange that is under way.
pub(super) fn note(path: &Path) -> PathBuf {
    beside(path, ".restore-note")
}

fn old_path(path: &Path, label: &str) -> PathBuf {
    beside(path, &format!(".before-restore-{label}"))
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn trouble(what: &str, error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use keyholt_core::bond::Bond;

    use super::*;
    use crate::Store;

    const OLD: Bond = Bond::to([1; 32]);
    const NEW: Bond = Bond::to([2; 32]);

    /// A folder with a database bound to `OLD`, left behind by a crash, and a new one bound to `NEW` beside it.
    async fn before_the_exchange() -> (tempfile::TempDir, PathBuf, Held) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyholt.db");
        let store = Sqlite::open(&path).unwrap();
        store.rebind(None, OLD).await.unwrap();
        // As after a crash: the log holds what the database does not have yet.
        let crashed: Vec<(PathBuf, Vec<u8>)> = ["", "-wal"]
            .map(|ending| beside(&path, ending))
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .into();
        store.close().await;
        for (path, bytes) in crashed {
            fs::write(path, bytes).unwrap();
        }
        let held = Sqlite::hold(&path).unwrap();
        let new = held.open_new().unwrap();
        assert!(new.rebind(None, NEW).await.unwrap());
        new.close().await;
        drop(new);
        (folder, path, held)
    }

    #[tokio::test]
    async fn the_new_database_is_in_place_and_the_old_one_aside() {
        let (_folder, path, held) = before_the_exchange().await;
        let aside = held.put_in_place("then").unwrap().unwrap();
        assert_eq!(Sqlite::open(&path).unwrap().bond().await.unwrap(), Some(NEW));
        assert_eq!(Sqlite::open(&aside).unwrap().bond().await.unwrap(), Some(OLD));
        assert!(!beside(&path, ".restoring").exists());
    }

    #[tokio::test]
    async fn an_exchange_that_is_interrupted_is_all_or_nothing() {
        for interrupted_after in 0..=Step::ALL.len() {
            let (_folder, path, held) = before_the_exchange().await;
            for step in Step::ALL.into_iter().take(interrupted_after) {
                held.take(step, "then").unwrap();
            }
            drop(held);
            let noted = (2..=4).contains(&interrupted_after);
            assert_eq!(Sqlite::open(&path).is_err(), noted, "after {interrupted_after} steps");
            drop(Sqlite::hold(&path).unwrap());
            let master = if interrupted_after >= 4 { NEW } else { OLD };
            let bound = Sqlite::open(&path).unwrap().bond().await.unwrap();
            assert_eq!(bound, Some(master), "after {interrupted_after} steps");
        }
    }

    #[tokio::test]
    async fn nobody_can_hold_what_a_server_works_on_and_anybody_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyholt.db");
        let server = Sqlite::open(&path).unwrap();
        assert!(matches!(Sqlite::hold(&path), Err(StoreError::InUse)));
        server.rebind(None, OLD).await.unwrap();
        let guest = Sqlite::open_to_read(&path).unwrap();
        let mut lines = Vec::new();
        guest.dump(&mut |line| lines.push(line)).await.unwrap();
        assert!(matches!(&lines[0], DumpLine::Begin { bond: Some(bond), .. } if *bond == OLD));
        assert_eq!(server.bond().await.unwrap(), Some(OLD));
    }

    #[tokio::test]
    async fn a_reader_leaves_the_database_and_its_log_as_they_are() {
        let (_folder, path, _held) = before_the_exchange().await;
        let read = |ending| fs::read(beside(&path, ending)).unwrap();
        let before = (read(""), read("-wal"));
        let guest = Sqlite::open_to_read(&path).unwrap();
        guest.dump(&mut drop).await.unwrap();
        drop(guest);
        assert!(before == (read(""), read("-wal")));
    }

    #[tokio::test]
    async fn what_is_no_database_of_keyholt_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keyholt.db");
        assert!(Sqlite::open_to_read(&path).is_err());
        assert!(!path.exists(), "reading made a file");
        fs::write(&path, b"").unwrap();
        assert!(matches!(Sqlite::open_to_read(&path), Err(StoreError::Corrupt(_))));
        fs::write(&path, [7; 8192]).unwrap();
        assert!(matches!(Sqlite::open_to_read(&path), Err(StoreError::Corrupt(_))));
    }
}
