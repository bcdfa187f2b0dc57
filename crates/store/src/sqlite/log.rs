//! The log's way into the database.
//!
//! What is committed stands in the log, and has to be copied before the log can be begun anew. To copy much takes the disk
//! longer than a commit may wait; so a thread of its own does that while commits go on, and only the little that they wrote
//! meanwhile is left to the writer, who alone can begin the log anew.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::{Place, Role};
use crate::StoreError;

/// So many pages in the log are worth copying: 64 MiB.
const MANY: i64 = 16 * 1024;
/// So few are copied between two commits.
const FEW: i64 = 1024;
/// Most rounds of one thread: it does not run after a writer for ever who is faster than it.
const ROUNDS_MAX: usize = 4;

/// The log, as the writer sees it.
#[derive(Default)]
pub(super) struct Log {
    copying: Option<JoinHandle<()>>,
}

/// What the log holds, in pages.
#[derive(Clone, Copy)]
struct Pages {
    all: i64,
    copied: i64,
}

impl Pages {
    fn not_copied(self) -> i64 {
        self.all - self.copied
    }
}

impl Log {
    /// Looks after the log between two transactions of the writer.
    pub(super) fn tend(&mut self, connection: &Connection, place: &Arc<Place>) {
        if self.copying.as_ref().is_some_and(|copying| !copying.is_finished()) {
            return;
        }
        self.wait();
        let tended = look(connection).and_then(|pages| match pages.not_copied() {
            _ if pages.all < MANY => Ok(()),
            0..=FEW => copy(connection).map(drop),
            _ => self.copy_beside(place),
        });
        if let Err(error) = tended {
            // Nothing is lost: the log is longer than it should be.
            tracing::warn!(%error, "the log was not copied into the database");
        }
    }

    /// Waits for the thread that copies, if there is one.
    pub(super) fn wait(&mut self) {
        if let Some(copying) = self.copying.take()
            && copying.join().is_err()
        {
            tracing::error!("the thread that copies the log had panicked");
        }
    }

    fn copy_beside(&mut self, place: &Arc<Place>) -> Result<(), StoreError> {
        let place = Arc::clone(place);
        let thread = std::thread::Builder::new().name("sqlite-copy".to_owned());
        let copying = thread.spawn(move || {
            if let Err(error) = copy_nearly_all(&place) {
                tracing::warn!(%error, "the log was not copied into the database");
            }
        });
        self.copying = Some(copying.map_err(|error| StoreError::Unavailable(error.to_string()))?);
        Ok(())
    }
}

/// Copies what the log holds, and what is written to it meanwhile, until that is little.
fn copy_nearly_all(place: &Place) -> Result<(), StoreError> {
    let connection = place.connect(Role::Reader)?;
    for _ in 0..ROUNDS_MAX {
        copy(&connection)?;
        // SQLite makes the copy durable once it is complete, which only the writer's can be. Most of it is on the disk by then.
        place.flush()?;
        if look(&connection)?.not_copied() <= FEW {
            break;
        }
    }
    Ok(())
}

/// Copies what the log holds now, and makes that durable if nothing was written meanwhile.
fn copy(connection: &Connection) -> Result<Pages, StoreError> {
    pages(connection, "PRAGMA wal_checkpoint(PASSIVE)")
}

fn look(connection: &Connection) -> Result<Pages, StoreError> {
    pages(connection, "PRAGMA wal_checkpoint(NOOP)")
}

fn pages(connection: &Connection, pragma: &str) -> Result<Pages, StoreError> {
    let mut statement = connection.prepare_cached(pragma)?;
    Ok(statement.query_row([], |row| {
        Ok(Pages {
            all: row.get(1)?,
            copied: row.get(2)?,
        })
    })?)
}
