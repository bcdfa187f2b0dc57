//! What only the SQLite store promises: files, modes, locks, full disks and sudden ends.

use tempfile::TempDir;

use super::Sqlite;

async fn fresh() -> (Sqlite, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let store = Sqlite::open(&folder.path().join("keyholt.db")).expect("a new store");
    (store, folder)
}

crate::contract!(contract, fresh());
