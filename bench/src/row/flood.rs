//! Floods of secrets that open nothing: as quick as real ones, no work for the store, no memory.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use keyholt_server::clock::{Clock, SystemClock};

use super::{Findings, Table};
use crate::data::{DataSet, Secrets};
use crate::figure::{Figure, Limit, Unit, ratio, spread};
use crate::load::{Expected, Outlook, Round, Script, Words};
use crate::process::Process;
use crate::setting::{Extent, Setting, by_turns, rest, started, verify_script};

const CONNECTIONS: usize = 64;
/// Floods in a row for the question about memory.
const FLOODS: usize = 3;
/// What the allocator may keep of a flood; it is the same after one flood and after many.
const GROWTH_MB_MAX: f64 = 4.0;
/// How long memory settles before it is read.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the trace of a server that has ended may take to be written.
const TRACE_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let copy = setting.set(size)?.copy(&setting.home)?;
    let set = &copy.set;
    let scripts = scripts(set, size.distinct)?;
    let server = setting.start(&set.folder)?;
    rest();
    // Before anything good is shown: its uses are written for minutes, with memory of their own.
    let growth = growth(setting, &server, &scripts[1..])?;
    let rounds = by_turns(setting.extent.rounds, scripts.len(), |at| {
        setting.closed(&server, CONNECTIONS, &scripts[at].1)
    })?;
    let of = |at: usize, number: fn(&Round) -> f64| rounds[at].iter().map(number).collect::<Vec<f64>>();
    let against_valid = |at: usize| ratio(&of(at, Round::per_second), &of(0, Round::per_second));
    server.stop()?;
    let reads = reads_of_the_store(setting, set, &scripts)?;

    let throughput = |name: &str, what: &str, at| {
        let what = format!("flood of {what} secrets: requests per second against valid verifies");
        Figure::limited(name, &what, against_valid(at), Unit::Times, Limit::AtLeast(1.0))
    };
    let figures = vec![
        throughput("flood-unknown-throughput", "unknown well-formed", 1),
        throughput("flood-malformed-throughput", "malformed", 2),
        Figure::limited(
            "flood-store-reads",
            "floods of unknown and malformed secrets: system calls on the database files",
            reads as f64,
            Unit::Count,
            Limit::AtMost(0.0),
        ),
        Figure::limited(
            "flood-memory",
            "floods of unknown and malformed secrets: growth of resident memory",
            growth,
            Unit::Megabytes,
            Limit::AtMost(GROWTH_MB_MAX),
        ),
    ];
    let title = format!("Floods, {} keys", Extent::word(size));
    let remark = "Calls on the database files (reads, locks) were counted with strace in a run of its own, in which \
                  usage of the caller's key was not written.";
    let mut table = Table::new(
        title,
        &["secrets", "requests/s", "server CPU µs/request", "p99 ms"],
        remark,
    );
    for (at, (what, _)) in scripts.iter().enumerate() {
        let cells = [
            spread(&of(at, Round::per_second), 0),
            spread(&of(at, Round::cpu_us), 2),
            spread(&of(at, Round::p99_ms), 2),
        ];
        table.line(std::iter::once((*what).to_owned()).chain(cells));
    }
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

/// By how many megabytes memory grows in floods after the first of each.
fn growth(setting: &Setting, server: &Process, floods: &[(&str, Script)]) -> anyhow::Result<f64> {
    let flood = || {
        floods
            .iter()
            .try_for_each(|(_, script)| setting.closed(server, CONNECTIONS, script).map(drop))
    };
    flood()?;
    std::thread::sleep(SETTLE);
    let before = server.resident()?;
    for _ in 0..FLOODS {
        flood()?;
    }
    std::thread::sleep(SETTLE);
    Ok((server.resident()? as f64 - before as f64) / 1e6)
}

fn scripts(set: &DataSet, distinct: u64) -> anyhow::Result<[(&'static str, Script); 3]> {
    let (secrets, numbers) = (Secrets::new()?, set.working(distinct));
    let script = |outlook, text: &dyn Fn(u64) -> String| -> anyhow::Result<Script> {
        let words = Arc::new(Words::new(outlook, numbers.iter().map(|number| text(*number)))?);
        verify_script(set, &words, Expected::Verdicts)
    };
    Ok([
        ("valid", script(Outlook::Good, &|number| secrets.text(number))?),
        (
            "unknown, well-formed",
            script(Outlook::Bad, &|number| secrets.unknown(number))?,
        ),
        ("malformed", script(Outlook::Bad, &|number| secrets.malformed(number))?),
    ])
}

/// Floods a server whose system calls are watched, and counts those on its database files meanwhile.
///
/// A question to SQLite takes a lock on its files even where every page is in its cache, so locks are counted too.
fn reads_of_the_store(setting: &Setting, set: &DataSet, scripts: &[(&str, Script)]) -> anyhow::Result<usize> {
    let trace = setting.home.join("trace");
    let plain = setting.serve(&set.folder);
    let mut watched = Command::new("strace");
    // As in `Setting::serve`: a setting in the caller's environment would be measured unseen.
    watched.env_clear();
    watched.args([
        "-D",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-ttt",
        "-e",
        "trace=pread64,preadv,read,readv,fcntl",
    ]);
    // The watcher detaches itself, so that the process started here is the server.
    watched
        .arg("-o")
        .arg(&trace)
        .arg(plain.get_program())
        .args(plain.get_args());
    watched.args(["--usage-flush-every", "1h"]);
    let server = started(&mut watched).context("strace is needed to see whether the store is read")?;
    rest();
    let clock = SystemClock::new();
    let from = clock.now_ms();
    for (_, script) in scripts.iter().skip(1) {
        setting.closed(&server, CONNECTIONS, script)?;
    }
    let to = clock.now_ms();
    stop_traced(server, &trace)?;
    let text = std::fs::read_to_string(&trace)?;
    ensure!(
        text.contains("keyholt.db"),
        "the trace shows no call on the database at all, not even at the start"
    );
    Ok(calls_on_the_database(&text, from, to))
}

fn stop_traced(server: Process, trace: &Path) -> anyhow::Result<()> {
    server.stop()?;
    let asked = Instant::now();
    let mut length = 0;
    // Whole when it has stopped growing; its writer is nobody's child who could be waited for.
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = std::fs::metadata(trace)?.len();
        if now == length || asked.elapsed() > TRACE_WITHIN {
            return Ok(());
        }
        length = now;
    }
}

/// Lines of a trace that name a database file, between two instants in milliseconds.
fn calls_on_the_database(trace: &str, from: i64, to: i64) -> usize {
    let within = |line: &&str| {
        let mut words = line.split_ascii_whitespace();
        let at = words
            .nth(1)
            .and_then(|at| at.parse::<f64>().ok())
            .map_or(0.0, |seconds| seconds * 1e3);
        at >= from as f64 && at <= to as f64
    };
    trace
        .lines()
        .filter(|line| line.contains("keyholt.db"))
        .filter(within)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_on_the_database_are_counted_within_the_time_of_the_flood() {
        let trace = "17 1000.000100 pread64(5</data/keyholt.db>, \"\"..., 100, 0) = 100\n\
                     18 2000.500000 fcntl(7</data/keyholt.db-shm>, F_SETLK, {}) = 0\n\
                     18 2000.600000 read(9<socket:[1]>, \"\", 1) = 1\n\
                     17 3000.000000 pread64(5</data/keyholt.db>, \"\"..., 100, 0) = 100\n";
        assert_eq!(calls_on_the_database(trace, 2_000_000, 2_001_000), 1);
        assert_eq!(calls_on_the_database(trace, 0, 4_000_000), 3);
    }
}
