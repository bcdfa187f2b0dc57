//! A server as a process: started, asked for its address, read in `/proc`, stopped or killed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// How long a server may take to say where it listens. Ten million keys are read before that.
const START_WITHIN: Duration = Duration::from_secs(300);
/// How long a server may take to end when it is asked to.
const STOP_WITHIN: Duration = Duration::from_secs(60);
/// How often scheduling is tried again.
const SCHEDULED_AGAIN: u32 = 5;
/// How often it is looked whether a server has ended.
const LOOK: Duration = Duration::from_millis(5);

/// A running server. Dropping it kills it and all that descend from it; [`Process::stop`] is the polite way.
pub struct Process {
    child: Child,
    started: Instant,
    address: SocketAddr,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a server and waits for the line in which it says `listens on http://…`.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let started = Instant::now();
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut stdout = BufReader::new(child.stdout.take().context("no output to read")?);
        let mut line = String::new();
        let address = loop {
            line.clear();
            if stdout.read_line(&mut line)? == 0 {
                let status = child.wait()?;
                bail!("{name} ended with {status} before it listened");
            }
            if let Some(address) = address_in(&line) {
                break address;
            }
            if started.elapsed() > START_WITHIN {
                // Children are not killed by being forgotten.
                let _ = child.kill();
                bail!("{name} did not listen within {START_WITHIN:?}");
            }
        };
        let server = Self {
            child,
            started,
            address,
            stdout,
        };
        server.is_no_batch_task()?;
        Ok(server)
    }

    /// Gives the server the ordinary scheduling that it would have anywhere: the load may be a batch task (see the method
    /// of the benchmark), and what it starts would be one too.
    fn is_no_batch_task(&self) -> anyhow::Result<()> {
        let schedule = |pid: u32| {
            Command::new("chrt")
                .args(["--all-tasks", "--other", "--pid", "0", &pid.to_string()])
                .stderr(Stdio::null())
                .status()
                .context("chrt is needed to schedule a server")
        };
        for pid in family(self.id())? {
            // It fails when a thread ends after it was listed: then there is one less the next time.
            let mut done = schedule(pid)?.success();
            for _ in 0..SCHEDULED_AGAIN {
                done = done || schedule(pid)?.success();
            }
            anyhow::ensure!(done, "chrt could not schedule a server");
        }
        Ok(())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Processor time used so far by it and its children, in user and system mode.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let ticks: u64 = family(self.id())?
            .iter()
            .filter_map(|pid| Stat::read(*pid).ok())
            .map(|stat| stat.ticks)
            .sum();
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.id()))?;
        let pages: u64 = statm.split(' ').nth(1).context("statm has no second field")?.parse()?;
        Ok(pages * rustix::param::page_size() as u64)
    }

    /// The next word that it says on stdout and that begins so. Blocks until it is said.
    pub fn word(&mut self, beginning: &str) -> anyhow::Result<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.stdout.read_line(&mut line)? == 0 {
                bail!("the server ended before it said `{beginning}`");
            }
            if let Some(word) = line.split_whitespace().find(|word| word.starts_with(beginning)) {
                return Ok(word.to_owned());
            }
        }
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Kills it and all that descend from it, as a crash would.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        // Children first: a tracer that dies first would let its tracee go on.
        for pid in family(self.id())?.into_iter().rev() {
            // One that ended in between needs no signal.
            let _ = rustix::process::kill_process(raw(pid)?, rustix::process::Signal::KILL);
        }
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, without waiting.
    pub fn terminate(&self) -> anyhow::Result<()> {
        Ok(rustix::process::kill_process(
            raw(self.id())?,
            rustix::process::Signal::TERM,
        )?)
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(self) -> anyhow::Result<()> {
        self.terminate()?;
        self.wait()
    }

    /// Waits until it has ended, as it was asked to.
    pub fn wait(mut self) -> anyhow::Result<()> {
        let asked = Instant::now();
        while asked.elapsed() < STOP_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                // The servers that know no signals die of it, which is as good.
                return match status.code() {
                    Some(0) | None => Ok(()),
                    Some(code) => bail!("a server ended with status {code} when it was asked to stop"),
                };
            }
            std::thread::sleep(LOOK);
        }
        bail!("a server did not end within {STOP_WITHIN:?}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell what goes wrong here. One that has ended is left alone: its number may be another's by now.
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _ = self.kill();
        }
    }
}

fn raw(pid: u32) -> anyhow::Result<rustix::process::Pid> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.context("no process id")
}

/// The address in a line that says where a server listens.
fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, after) = line.split_once("listens on http://")?;
    after.trim().trim_end_matches('/').parse().ok()
}

struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> anyhow::Result<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat"))?).context("a line of /proc is not as it was")
    }

    /// The name of a process stands in parentheses and may contain anything, so fields are counted from behind it.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.rsplit_once(") ")?.1.split(' ');
        let parent = fields.nth(1)?.parse().ok()?;
        let user: u64 = fields.nth(9)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self {
            parent,
            ticks: user + system,
        })
    }
}

/// A process and all that descend from it.
fn family(root: u32) -> anyhow::Result<Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir(Path::new("/proc"))? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end while it is being read.
        if let Ok(stat) = Stat::read(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut all = vec![root];
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        all.extend(children.remove(pid).unwrap_or_default());
        at += 1;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_stands_in_the_first_line_of_every_server() {
        let line = "Keyholt 0.1.0 listens on http://127.0.0.1:7311\n";
        assert_eq!(address_in(line), Some(([127, 0, 0, 1], 7311).into()));
        assert_eq!(address_in("API documentation: http://127.0.0.1:7311/docs\n"), None);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 1 0 9 8 7";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 300));
    }

    #[test]
    fn processor_time_and_memory_of_this_very_process_can_be_read() {
        assert!(Stat::read(std::process::id()).is_ok());
        assert_eq!(family(std::process::id()).unwrap()[0], std::process::id());
    }
}
