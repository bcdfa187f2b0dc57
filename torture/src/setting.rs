//! What a run works with: the program, places, how much, and the dice.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use keyholt_rig::process::Process;
use tempfile::TempDir;

/// Lines of a log that are shown when a server does not start.
const LOG_LINES_SHOWN: usize = 5;

/// What the program says where another one holds its data.
const IN_USE: &str = "the store is in use by another process: ";
/// How long a killed process may hold its data.
const FREE_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether something holds.
const LOOK: Duration = Duration::from_millis(5);

/// Everything that a step needs.
pub struct Setting {
    /// The program under torture.
    pub keyholt: PathBuf,
    /// Where data folders lie while they are needed.
    pub home: PathBuf,
    /// The folder of the search after secrets, if there is going to be one.
    pub canary: Option<PathBuf>,
    /// How much is done.
    pub form: Form,
    /// Of what is counted in the long form, only so many of a hundred.
    pub percent: usize,
    /// Where the dice begin.
    pub seed: u64,
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Some minutes; part of the suite.
    Short,
    /// An hour or so; its figures are published.
    Long,
}

impl Form {
    /// One of two amounts.
    pub fn of<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }
}

/// How the program is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Programs and arguments before it, such as a tracer.
    pub through: Vec<String>,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Flags of `keyholt serve`, names and values.
    pub flags: Vec<(String, String)>,
}

impl Start {
    /// Started through another program.
    pub fn through<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Self {
        Self {
            through: words.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// A server that answers every wrong credential, however many come from one source.
    pub fn patient_with_guesses() -> Self {
        Self::default().flag("limits-guesses-per-minute", "1000000")
    }

    /// With one more flag.
    pub fn flag(mut self, name: &str, value: impl Into<String>) -> Self {
        self.flags.push((format!("--{name}"), value.into()));
        self
    }

    /// With one more variable.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }
}

impl Setting {
    /// One of two numbers of trials.
    pub fn count(&self, short: usize, long: usize) -> usize {
        self.form.of(short, (long * self.percent / 100).max(short))
    }

    /// An empty folder that is gone when it is dropped.
    pub fn folder(&self) -> anyhow::Result<TempDir> {
        Ok(tempfile::tempdir_in(&self.home)?)
    }

    /// Starts the program on a data folder. What it says on stderr is added to the file `log` in it.
    pub fn start(&self, data: &Path, start: &Start) -> anyhow::Result<Process> {
        let began = Instant::now();
        loop {
            match self.try_start(data, start) {
                // A process that was killed lets go of its lock when the system has cleaned up after it.
                Err(error) if format!("{error:#}").contains(IN_USE) && began.elapsed() < FREE_WITHIN => {
                    std::thread::sleep(LOOK);
                }
                other => return other,
            }
        }
    }

    fn try_start(&self, data: &Path, start: &Start) -> anyhow::Result<Process> {
        let mut words: Vec<&str> = start.through.iter().map(String::as_str).collect();
        let program = self.keyholt.to_str().context("a path in UTF-8")?;
        words.push(program);
        let (first, rest) = words.split_first().context("a program")?;
        let log = File::options().create(true).append(true).open(log_of(data))?;
        let mut command = Command::new(first);
        // Nothing from the caller's environment: a setting there would be used unseen.
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .args(rest);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        for (name, value) in &start.flags {
            command.arg(name).arg(value);
        }
        command.envs(start.environment.iter().cloned()).stderr(Stdio::from(log));
        Process::start(&mut command).with_context(|| {
            let log = std::fs::read_to_string(log_of(data)).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(LOG_LINES_SHOWN).collect();
            format!(
                "its last words: {}",
                last.into_iter().rev().collect::<Vec<_>>().join(" | ")
            )
        })
    }

    /// Names secrets that must be found nowhere afterwards.
    pub fn register<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) -> anyhow::Result<()> {
        let Some(canary) = &self.canary else { return Ok(()) };
        let lines: String = secrets
            .into_iter()
            .map(|secret| format!("{}\n", secret.as_ref()))
            .collect();
        let mut file = File::options().create(true).append(true).open(canary.join("secrets"))?;
        Ok(file.write_all(lines.as_bytes())?)
    }

    /// Keeps what a data folder and its log hold, for the search after secrets.
    pub fn keep(&self, data: &Path, name: &str) -> anyhow::Result<()> {
        let Some(canary) = &self.canary else { return Ok(()) };
        let folder = canary.join("kept").join(format!("torture-{name}"));
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(data)? {
            let entry = entry?;
            // The master key is no secret of a test, and belongs to nothing that is kept; the reserve is empty.
            let left_out = ["master.key", "keyholt.db.reserve"];
            let is_left_out = left_out.iter().any(|name| entry.file_name() == *name);
            if entry.file_type()?.is_file() && !is_left_out {
                std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
            }
        }
        Ok(())
    }
}

/// Where the program's log goes.
pub fn log_of(data: &Path) -> PathBuf {
    data.join("log")
}

/// Numbers that look random and are the same in each run with the same seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice with a seed and a purpose, so that no two purposes throw the same.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut dice = Self(seed ^ purpose.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        dice.throw();
        dice
    }

    /// The next number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.throw() % end.max(1)
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        things.get(usize::try_from(self.below(things.len() as u64)).ok()?)
    }

    /// A secret that a client made itself.
    pub fn secret(&mut self) -> String {
        format!(
            "torture-{:016x}{:016x}{:016x}",
            self.throw(),
            self.throw(),
            self.throw()
        )
    }
}

/// Waits until something holds, and tells how long that took; `None` if it does not within this time.
pub fn until(within: Duration, mut holds: impl FnMut() -> bool) -> Option<Duration> {
    let began = Instant::now();
    loop {
        if holds() {
            return Some(began.elapsed());
        }
        if began.elapsed() > within {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_and_another_purpose_does_not() {
        let throw = |purpose| {
            let mut dice = Dice::new(7, purpose);
            [dice.throw(), dice.throw()]
        };
        assert_eq!(throw(1), throw(1));
        assert_ne!(throw(1), throw(2));
    }
}
