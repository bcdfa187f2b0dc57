//! Stories about backups: what is in the file, when it is refused, and that nothing comes back to life by it.

mod encrypted;
mod file;
mod revive;
mod way_back;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyholt_core::bond::Masters;
use keyholt_core::entropy::Entropy;
use keyholt_core::seal::MasterKey;
use keyholt_core::time::Span;
use keyholt_server::backup::{
    self, BackupError, BrokenSeals, Comparison, Consent, Data, Gap, Passphrase, Place, Plan, Request, Restored, Summary,
};
use keyholt_server::clock::Clock;
use keyholt_server::keeper::Keeper;
use keyholt_store::{DumpLine, Sqlite, Store};
use tempfile::TempDir;

use crate::house::{House, keeper_on, seeded};

/// A folder with a database, backups beside it, and at times a server on it.
struct Yard {
    folder: TempDir,
    /// What the backups are encrypted with, if they are.
    passphrase: Option<&'static str>,
}

impl Yard {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            passphrase: None,
        }
    }

    fn passphrase(&self) -> Option<Passphrase> {
        self.passphrase.map(Passphrase::new)
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("keyholt.db")
    }

    fn place(&self) -> Place {
        Place::Sqlite(self.database())
    }

    fn backup(&self) -> PathBuf {
        self.folder.path().join("backup")
    }

    /// A set-up installation on a fresh database.
    async fn house(&self) -> House {
        House::open_on(Arc::new(Sqlite::open(&self.database()).unwrap())).await
    }

    /// Makes a backup, of whatever works on the database or not.
    async fn back_up(&self, house: &House) -> Summary {
        let data = self.place().open(&mut seeded(1)).await.unwrap();
        let now = house.keeper.now();
        let made = backup::create(&data, &self.backup(), self.passphrase().as_ref(), now, &mut |_| ())
            .await
            .unwrap();
        keep(&self.backup());
        made
    }

    async fn plan(&self, now: i64) -> Result<Plan, BackupError> {
        self.plan_with(&Arc::new(MasterKey::new([42; 32]).into()), BrokenSeals::Refuse, now)
            .await
    }

    async fn plan_with(&self, masters: &Arc<Masters>, broken: BrokenSeals, now: i64) -> Result<Plan, BackupError> {
        let (backup, into, passphrase) = (self.backup(), self.place(), self.passphrase());
        let request = Request {
            backup: &backup,
            passphrase: passphrase.as_ref(),
            into: &into,
            present: None,
            masters,
            broken,
            now: keyholt_core::time::Moment::from_ms(now),
        };
        backup::plan(request, &mut seeded(2), &mut |_| ()).await
    }

    async fn restore(&self, house: &House, consent: Consent) -> Result<Restored, BackupError> {
        let plan = self.plan(house.clock.now_ms()).await?;
        plan.carry_out(consent, &mut seeded(3), &mut |_| ()).await
    }

    /// A server on the restored data.
    async fn reopened(&self, house: &House) -> Arc<Keeper> {
        let store = Arc::new(Sqlite::open(&self.database()).unwrap());
        keeper_on(store, Arc::clone(&house.clock), 99).await
    }

    /// All files but the locks, with what is in them.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_none_or(|ending| ending != "lock"))
            .map(|path| (path.clone(), fs::read(path).unwrap()))
            .collect();
        files.sort();
        files
    }
}

/// Ends the server of a house, as SIGTERM does.
async fn stop(house: &House) {
    house.keeper.rest().await;
}

/// The code of the verdict on a secret.
fn code(house: &House, keeper: &Arc<Keeper>, secret: &str) -> String {
    let question = keyholt_server::keeper::Question {
        credential: secret,
        ask: keyholt_core::verify::Ask::default(),
        counting: keyholt_server::keeper::Counting::DryRun,
    };
    let mut json = Vec::new();
    keeper
        .verify(house.project(), &question, |answer| answer.write_json(None, &mut json))
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&json).unwrap();
    answer["code"].as_str().unwrap().to_owned()
}

async fn dump_of(store: &dyn Store) -> Vec<DumpLine> {
    let mut lines = Vec::new();
    store.dump(&mut |line| lines.push(line)).await.unwrap();
    lines
}

/// Leaves a copy where the suite's last gate searches for secrets.
#[expect(
    clippy::disallowed_methods,
    reason = "the suite tells its tests by the environment where the gate collects"
)]
fn keep(backup: &Path) {
    if let Some(folder) = std::env::var_os("KEYHOLT_TEST_CANARY") {
        let kept = Path::new(&folder).join("kept");
        fs::create_dir_all(&kept).unwrap();
        let copy = tempfile::Builder::new().prefix("backup-").tempfile_in(kept).unwrap();
        fs::copy(backup, copy.path()).unwrap();
        copy.keep().unwrap();
    }
}

/// Some numbers, the same in every run.
fn numbers(seed: u64) -> impl Iterator<Item = usize> {
    let mut random = seeded(seed);
    std::iter::repeat_with(move || {
        let mut bytes = [0; 4];
        random.fill(&mut bytes);
        u32::from_be_bytes(bytes) as usize
    })
}
