//! Data sets: data folders with many keys, made once through the store's own door and kept below `target/bench`.

mod house;
mod population;
mod secrets;
mod tokens;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use keyholt_core::id::ProjectId;
use keyholt_store::{DumpLine, Sqlite, Store};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use house::{
    BULK_OWNER, House, OWNERS, PROJECT, RARE_OWNER, keeper_on, master, master_text, owner_handle, source, wish,
};
pub use population::{ASKED, Detail, Population, Sort, sort};
pub use secrets::{Secrets, Seeded};
pub use tokens::{Client, Minted, Minter};

use crate::load::{Outlook, Words};

/// The database file in a data folder.
const DATABASE_FILE: &str = "keyholt.db";
/// Lines that are written in one transaction.
const BATCH: u64 = 20_000;
/// Batches on their way from the maker to the store.
const BATCHES_MAX: usize = 4;
/// The file that says what a data set holds; it is written last, so a set without it is not whole.
const FACTS_FILE: &str = "facts.json";
/// Counts up when the house or the population changes in a way that their fingerprint does not show.
const EDITION: u32 = 1;

/// A folder that `keyholt serve` starts on.
#[derive(Clone, Debug)]
pub struct DataSet {
    /// Where it is.
    pub folder: PathBuf,
    /// What it holds.
    pub facts: Facts,
}

/// What a data set holds, and the secrets that open it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Facts {
    /// How many keys, besides those of the house.
    pub count: u64,
    /// The project that is measured.
    pub project: ProjectId,
    /// The secret of the operator's key.
    pub operator: String,
    /// The secret of the gateway's key.
    pub gateway: String,
    /// The id of the operator's key.
    pub operator_key: keyholt_core::id::KeyId,
    /// The id of the gateway's key.
    pub gateway_key: keyholt_core::id::KeyId,
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl DataSet {
    /// The data set with so many keys: the one that is there, or a new one.
    pub async fn prepare(home: &Path, count: u64, detail: Detail, say: &dyn Fn(&str)) -> anyhow::Result<Self> {
        let house = House::build().await?;
        let population = Population::new(&house, count, detail)?;
        let kind = match detail {
            Detail::Listed => "listed",
            Detail::Plain => "plain",
        };
        let print = fingerprint(&population)?;
        let folder = home.join(format!("data-{count}-{kind}-{print}"));
        let kept = folder.join(FACTS_FILE);
        if kept.exists() {
            return Self::open(&folder);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        make_private(&folder)?;
        say(&format!(
            "making a data set of {count} keys ({kind}); it is kept for the next run"
        ));
        write_private(&folder.join("master.key"), house::master_text().as_bytes())?;
        let store = Arc::new(Sqlite::open(&folder.join(DATABASE_FILE))?);
        fill(&*store, &house, population, count, say).await?;
        store.close().await;
        let facts = facts(&house, count);
        write_private(&kept, &serde_json::to_vec(&facts)?)?;
        Ok(Self { folder, facts })
    }

    /// The data set in a folder.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let facts =
            fs::read(folder.join(FACTS_FILE)).with_context(|| format!("no data set in {}", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
            facts: serde_json::from_slice(&facts).context("the facts of a data set")?,
        })
    }

    /// A copy that may be changed; it is gone when it is dropped.
    pub fn copy(&self, home: &Path) -> anyhow::Result<Copy> {
        let folder = tempfile::Builder::new().prefix("copy-").tempdir_in(home)?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
        }
        let set = Self {
            folder: folder.path().to_owned(),
            facts: self.facts.clone(),
        };
        Ok(Copy { set, _folder: folder })
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.folder.join(DATABASE_FILE)
    }

    /// Secrets to present: so many different ones of keys that work, in no order, and every tenth of no key.
    pub fn presented(&self, distinct: u64) -> anyhow::Result<Words> {
        let secrets = Secrets::new()?;
        let known = self.working(distinct);
        let mut words = Vec::with_capacity(known.len() + known.len() / 9);
        for (at, number) in known.into_iter().enumerate() {
            words.push(secrets.text(number));
            if at % 9 == 8 {
                words.push(secrets.unknown(number));
            }
        }
        Words::new(Outlook::NineInTen, words)
    }

    /// Numbers of different keys that work, in no order.
    pub fn working(&self, distinct: u64) -> Vec<u64> {
        let count = self.facts.count;
        let mut random = Seeded::stream(count);
        // A step that has no divisor in common with the count visits every number once.
        let start = random.word() % count;
        let mut step = (count as f64 * 0.618_033_988) as u64;
        while gcd(step, count) != 1 {
            step += 1;
        }
        (0..count)
            .map(|at| ((u128::from(start) + u128::from(at) * u128::from(step)) % u128::from(count)) as u64)
            .filter(|number| sort(*number, count) == Sort::Ordinary)
            .take(usize::try_from(distinct).unwrap_or(usize::MAX))
            .collect()
    }
}

/// A copy of a data set.
pub struct Copy {
    /// The copy.
    pub set: DataSet,
    _folder: tempfile::TempDir,
}

/// Fills an empty store with a house and its keys, and says what is in it.
pub async fn fill(
    store: &dyn Store,
    house: &House,
    population: Population,
    count: u64,
    say: &dyn Fn(&str),
) -> anyhow::Result<()> {
    let mut before = house.dump().await?;
    // Records and keys come before events, and the last line tells how many lines there were.
    let keys_end = before
        .iter()
        .position(|line| matches!(line, DumpLine::Event { .. }))
        .context("a house has events")?;
    let mut after = before.split_off(keys_end);
    if let Some(DumpLine::End { lines, .. }) = after.last_mut() {
        *lines += count;
    }
    store.fill(before).await?;
    let (sender, mut batches) = tokio::sync::mpsc::channel::<anyhow::Result<Vec<DumpLine>>>(BATCHES_MAX);
    let maker = std::thread::spawn(move || {
        for first in (0..count).step_by(BATCH as usize) {
            let numbers = first..(first + BATCH).min(count);
            let lines = numbers
                .map(|number| Ok(DumpLine::Key(Box::new(population.columns(number)?))))
                .collect();
            if sender.blocking_send(lines).is_err() {
                break;
            }
        }
    });
    let mut written = 0u64;
    while let Some(batch) = batches.recv().await {
        let batch = batch?;
        let before = written;
        written += batch.len() as u64;
        store.fill(batch).await?;
        if written / 1_000_000 > before / 1_000_000 {
            say(&format!("  {written} of {count} keys written"));
        }
    }
    maker
        .join()
        .map_err(|_| anyhow::anyhow!("the maker of keys panicked"))?;
    store.fill(after).await?;
    Ok(())
}

/// What a house and so many keys come to.
pub fn facts(house: &House, count: u64) -> Facts {
    Facts {
        count,
        project: house.project,
        operator: house.operator.secret.clone(),
        gateway: house.gateway.secret.clone(),
        operator_key: house.operator.id,
        gateway_key: house.gateway.id,
    }
}

/// Changes with the form of the database and of what is in it, so that an old data set is not taken for a new one.
fn fingerprint(population: &Population) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(DATABASE_FILE);
    drop(Sqlite::open(&path)?);
    let mut hash = Sha256::new();
    hash.update(EDITION.to_be_bytes());
    hash.update(fs::read(&path)?);
    let sample = population.columns(0)?;
    // Ids and instants differ from house to house; what is derived from secrets and keys does not.
    hash.update(sample.current.0);
    hash.update(sample.access);
    hash.update(sample.bounds);
    hash.update(sample.tags);
    Ok(hash
        .finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

fn make_private(folder: &Path) -> anyhow::Result<()> {
    Ok(fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?)
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(count: u64) -> DataSet {
        let nobody = keyholt_core::id::KeyId::from_uuid(uuid::Uuid::nil());
        let facts = Facts {
            count,
            project: keyholt_core::id::SYSTEM,
            operator: String::new(),
            gateway: String::new(),
            operator_key: nobody,
            gateway_key: nobody,
        };
        DataSet {
            folder: PathBuf::new(),
            facts,
        }
    }

    #[test]
    fn keys_that_are_presented_work_and_are_all_different() {
        let mut numbers = set(10_000).working(8_000);
        assert!(numbers.iter().all(|number| sort(*number, 10_000) == Sort::Ordinary));
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 8_000);
    }

    #[test]
    fn one_in_ten_presented_secrets_is_of_no_key() {
        let words = set(10_000).presented(900).unwrap();
        assert_eq!(words.count(), 1_000);
        assert_eq!((0..1_000).filter(|at| !words.is_good(*at)).count(), 100);
    }
}
