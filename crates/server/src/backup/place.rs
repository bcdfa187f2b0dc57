//! Where data lie, and how to get at them without the server's help.

use std::path::PathBuf;
use std::sync::Arc;

use keyholt_core::bond::Masters;
use keyholt_core::entropy::Entropy;
use keyholt_store::{DumpLine, EventNumber, Postgres, Sqlite, SqliteToRead, Store, StoreError};

use super::BackupError;
use crate::config::{self, Config, Database};
use crate::master;
use crate::serve::DATABASE_FILE;

/// Where data lie.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In an SQLite file.
    Sqlite(PathBuf),
    /// In a PostgreSQL database, which is reached at this address.
    Postgres(Database),
}

impl Place {
    /// Where the data of a server with these settings lie.
    pub fn of(config: &Config) -> Result<Self, BackupError> {
        match &config.database {
            Database::Sqlite(Some(path)) => Ok(Self::Sqlite(path.clone())),
            Database::Sqlite(None) => Ok(Self::Sqlite(config.data.join(DATABASE_FILE))),
            database @ Database::Postgres(_) => Ok(Self::Postgres(database.clone())),
            Database::Memory => Err(BackupError::InMemory),
        }
    }

    /// Opens the data to read them, whether a server works on them or not.
    pub async fn open(&self, entropy: &mut (dyn Entropy + Send)) -> Result<Data, BackupError> {
        Ok(match self {
            Self::Sqlite(path) => Data::Beside(Sqlite::open_to_read(path)?),
            Self::Postgres(address) => Data::Opened(connect(address, entropy).await?),
        })
    }
}

pub(super) async fn connect(
    address: &Database,
    entropy: &mut (dyn Entropy + Send),
) -> Result<Arc<dyn Store>, BackupError> {
    match address {
        Database::Postgres(url) => Ok(Arc::new(Postgres::connect(url, entropy).await?)),
        Database::Sqlite(_) | Database::Memory => Err(BackupError::InMemory),
    }
}

/// Data that can be read.
pub enum Data {
    /// A file that a server may work on at the same time.
    Beside(SqliteToRead),
    /// A store.
    Opened(Arc<dyn Store>),
}

impl Data {
    pub(super) async fn dump(&self, each: &mut (dyn FnMut(DumpLine) + Send)) -> Result<EventNumber, StoreError> {
        match self {
            Self::Beside(file) => file.dump(each).await,
            Self::Opened(store) => store.dump(each).await,
        }
    }
}

/// The master keys that the settings name. None is ever made here.
pub fn read_master_keys(config: &Config) -> Result<Arc<Masters>, BackupError> {
    let present = match &config.master_key {
        config::MasterKey::Given(text) => master::parse(text.trim())?,
        config::MasterKey::File(path) => master::read(path)?.ok_or_else(|| BackupError::NoMasterKey(path.clone()))?,
    };
    let previous = config.master_key_previous.as_ref().map(master::read_previous);
    Ok(Arc::new(Masters {
        present,
        previous: previous.transpose()?,
    }))
}
