//! Where and when it was measured, as far as a reader needs to know it.

use std::fs;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The model of its processors.
    pub processor: String,
    /// How many there are.
    pub processors: usize,
    /// Its memory in GiB.
    pub memory_gib: u64,
    /// Its system and kernel.
    pub system: String,
    /// The compiler.
    pub compiler: String,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_default()
                .to_owned();
            line.split_once([':', '='])
                .map(|(_, value)| value.trim().trim_matches('"').to_owned())
                .unwrap_or_default()
        };
        let memory_kb = field("/proc/meminfo", "MemTotal")
            .split(' ')
            .next()
            .and_then(|kb| kb.parse::<u64>().ok());
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_kb.unwrap_or(0).div_ceil(1 << 20),
            system: format!("{}, kernel {}", field("/etc/os-release", "PRETTY_NAME"), kernel.trim()),
            compiler: said_by("rustc", &["--version"]),
        }
    }
}

/// One run of a harness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The minute in which it began, UTC.
    pub began: String,
    /// The commit that was measured.
    pub commit: String,
    /// Whether the tree was as committed.
    pub tree: Tree,
}

/// Whether a working tree is as committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tree {
    /// It is.
    Committed,
    /// Something was changed since.
    Changed,
}

impl Run {
    /// A run that begins now, which is an instant in RFC 3339.
    pub fn begin(now: &str) -> Self {
        // The report is written by the run itself, so that it differs says nothing.
        let changed = said_by(
            "git",
            &[
                "status",
                "--porcelain",
                "--untracked-files=no",
                "--",
                ".",
                ":!docs/benchmarks.md",
                ":!docs/explanation/reliability.md",
            ],
        );
        Self {
            began: minute(now),
            commit: said_by("git", &["rev-parse", "--short=12", "HEAD"]),
            tree: if changed.is_empty() {
                Tree::Committed
            } else {
                Tree::Changed
            },
        }
    }

    /// The run in words.
    pub fn words(&self) -> String {
        let tree = match self.tree {
            Tree::Committed => "",
            Tree::Changed => ", with changes that were not committed",
        };
        format!("{}, commit {}{tree}", self.began, self.commit)
    }
}

/// An instant in RFC 3339, in UTC, as people read it: `2030-01-01 10:00`.
fn minute(instant: &str) -> String {
    let (day, time) = instant.split_once('T').unwrap_or((instant, ""));
    let time: Vec<&str> = time.split(':').take(2).collect();
    format!("{day} {}", time.join(":")).trim_end().to_owned()
}

/// How many processes wanted a processor in the last minute.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or(f64::NAN)
}

/// What a program prints; nothing where it cannot be asked.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_tells_the_minute_in_which_it_began() {
        assert_eq!(Run::begin("2030-01-01T10:20:30.123Z").began, "2030-01-01 10:20");
        assert_eq!(minute("2030-01-01"), "2030-01-01");
    }
}
