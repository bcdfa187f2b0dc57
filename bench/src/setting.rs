//! What a run measures with: programs, data sets, sizes, rounds.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::data::{ASKED, DataSet, Detail};
use crate::load::{Closed, Expected, Outlook, Request, Round, SLOT, Script, Words};
use crate::process::Process;
use crate::wire::fetch;

/// Threads of the load generator.
const THREADS: usize = 2;
/// On this machine, at a port that the system chooses.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// How long a server under load rests after its start.
const REST: Duration = Duration::from_millis(300);

/// Everything that a measurement needs.
pub struct Setting {
    /// The program under test.
    pub keyholt: PathBuf,
    /// This program, which is also the rivals.
    pub bench: PathBuf,
    /// The program that counts allocations.
    pub counter: PathBuf,
    /// Where data sets and copies lie.
    pub home: PathBuf,
    /// The folder with the servers of others.
    pub peers: PathBuf,
    /// A PostgreSQL in which databases may be made.
    pub postgres: Option<String>,
    /// How much is measured.
    pub extent: Extent,
    /// Drives what is asynchronous.
    pub runtime: tokio::runtime::Runtime,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Rounds of each measurement.
    pub rounds: usize,
    /// How long a round is counted.
    pub time: Duration,
    /// How long it runs before.
    pub warm_up: Duration,
    /// The data set that others are compared with.
    pub small: Size,
    /// The ordinary data set.
    pub large: Size,
    /// The data set at the end of the range.
    pub huge: Size,
}

/// A data set's size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Keys.
    pub keys: u64,
    /// What they have besides.
    pub detail: Detail,
    /// How many different ones are presented.
    pub distinct: u64,
}

impl Extent {
    /// What the published numbers are made with.
    pub const FULL: Self = Self {
        rounds: 7,
        time: Duration::from_secs(3),
        warm_up: Duration::from_millis(500),
        small: Size {
            keys: 10_000,
            detail: Detail::Listed,
            distinct: 9_000,
        },
        large: Size {
            keys: 1_000_000,
            detail: Detail::Listed,
            distinct: 450_000,
        },
        huge: Size {
            keys: 10_000_000,
            detail: Detail::Plain,
            distinct: 2_700_000,
        },
    };

    /// Enough to see that every measurement works.
    pub const QUICK: Self = Self {
        rounds: 2,
        time: Duration::from_millis(300),
        warm_up: Duration::from_millis(100),
        small: Size {
            keys: 10_000,
            detail: Detail::Listed,
            distinct: 9_000,
        },
        large: Size {
            keys: 100_000,
            detail: Detail::Listed,
            distinct: 45_000,
        },
        huge: Size {
            keys: 100_000,
            detail: Detail::Listed,
            distinct: 90_000,
        },
    };

    /// A size in words: `1 M`.
    pub fn word(size: Size) -> String {
        match size.keys {
            keys if keys.is_multiple_of(1_000_000) => format!("{} M", keys / 1_000_000),
            keys => format!("{} k", keys / 1_000),
        }
    }
}

impl Setting {
    /// The data set of a size.
    pub fn set(&self, size: Size) -> anyhow::Result<DataSet> {
        let say = |text: &str| crate::say::talk(text);
        self.runtime
            .block_on(DataSet::prepare(&self.home, size.keys, size.detail, &say))
    }

    /// The command that starts Keyholt on a folder.
    pub fn serve(&self, folder: &Path) -> Command {
        self.serve_at(ANYWHERE, folder)
    }

    /// The command that starts Keyholt on a folder and at an address.
    pub fn serve_at(&self, address: SocketAddr, folder: &Path) -> Command {
        let mut command = Command::new(&self.keyholt);
        // Nothing from the caller's environment: a setting there would be measured unseen.
        command
            .env_clear()
            .args(["serve", "--log-level", "error"])
            .args(["--listen", &address.to_string(), "--data"])
            .arg(folder);
        command.stderr(std::process::Stdio::inherit());
        command
    }

    /// Starts Keyholt on a folder and waits until it is ready.
    pub fn start(&self, folder: &Path) -> anyhow::Result<Process> {
        started(&mut self.serve(folder))
    }

    /// Starts the server that repeats an answer of Keyholt's.
    pub fn start_bare(&self, answer: &[u8]) -> anyhow::Result<Process> {
        let file = self.home.join("answer");
        std::fs::write(&file, answer)?;
        Process::start(Command::new(&self.bench).arg("bare").arg(&file))
    }

    /// Starts the hand-written loop.
    pub fn start_floor(&self) -> anyhow::Result<Process> {
        Process::start(Command::new(&self.bench).arg("floor"))
    }

    /// One round of a closed loop.
    pub fn closed(&self, server: &Process, connections: usize, script: &Script) -> anyhow::Result<Round> {
        self.closed_for(server, connections, script, self.extent.time)
    }

    /// One round of a closed loop that is counted for so long.
    pub fn closed_for(
        &self,
        server: &Process,
        connections: usize,
        script: &Script,
        time: Duration,
    ) -> anyhow::Result<Round> {
        let closed = Closed {
            address: server.address(),
            connections,
            threads: THREADS.min(connections),
            warm_up: self.extent.warm_up,
            time,
        };
        closed.run(script, || server.cpu())
    }
}

/// An address that is free now, for a server that others must be told of before it starts.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(ANYWHERE)?.local_addr()?)
}

/// Starts Keyholt and waits until it says that it is ready.
pub fn started(command: &mut Command) -> anyhow::Result<Process> {
    let server = Process::start(command)?;
    let request = Script::fixed(
        &Request {
            method: "GET",
            path: "/readyz",
            ..Request::default()
        },
        Expected::Status(200),
    );
    loop {
        let answer = fetch(server.address(), request.template())?;
        if answer.status() == 200 {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(server)
}

/// Lets a server finish what its start left over.
pub fn rest() {
    std::thread::sleep(REST);
}

/// The header that shows a caller's key.
pub fn bearer(secret: &str) -> Vec<(&'static str, String)> {
    vec![("Authorization", format!("Bearer {secret}"))]
}

/// One question about the next word.
pub fn verify_script(set: &DataSet, words: &Arc<Words>, expected: Expected) -> anyhow::Result<Script> {
    let body = Some(format!(r#"{{"credential":"{SLOT}","scopes":["{ASKED}"]}}"#));
    let request = Request {
        method: "POST",
        path: "/v1/verify",
        headers: bearer(&set.facts.gateway),
        body,
    };
    Script::with_words(&request, words, expected)
}

/// What a server answers to the first of these words, head and body.
pub fn answer_to_first(server: &Process, set: &DataSet, words: &Words) -> anyhow::Result<Vec<u8>> {
    let first = Arc::new(Words::new(Outlook::Good, [words.word(0)])?);
    answer_to(server, &verify_script(set, &first, Expected::Verdicts)?)
}

/// What a server answers to the next words of a script, head and body.
pub fn answer_to(server: &Process, script: &Script) -> anyhow::Result<Vec<u8>> {
    let mut request = script.template().to_vec();
    let good = script.fill(&mut request);
    let reply = fetch(server.address(), &request)?;
    match script.fault(reply.status(), reply.body(), good) {
        None => Ok([reply.head(), reply.body()].concat()),
        Some(fault) => anyhow::bail!("the first question went wrong: {fault}"),
    }
}

/// Runs things by turns, so many rounds, each round in the opposite order of the one before.
pub fn by_turns<T>(
    rounds: usize,
    things: usize,
    mut run: impl FnMut(usize) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<Vec<T>>> {
    let mut all: Vec<Vec<T>> = (0..things).map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..things).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for thing in order {
            let outcome = run(thing).with_context(|| format!("round {}", round + 1))?;
            if let Some(outcomes) = all.get_mut(thing) {
                outcomes.push(outcome);
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_always_first() {
        let mut order = Vec::new();
        let rounds = by_turns(2, 2, |thing| {
            order.push(thing);
            Ok(thing * 10)
        });
        assert_eq!(order, [0, 1, 1, 0]);
        assert_eq!(rounds.unwrap(), [[0, 0], [10, 10]]);
    }

    #[test]
    fn sizes_are_said_as_people_say_them() {
        assert_eq!(Extent::word(Extent::FULL.huge), "10 M");
        assert_eq!(Extent::word(Extent::FULL.small), "10 k");
    }
}
