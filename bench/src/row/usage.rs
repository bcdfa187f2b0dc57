//! What counting uses costs: the same load with usage written every second, and not written while it is measured.

use std::sync::Arc;

use super::{Findings, Table};
use crate::figure::{Figure, Limit, Unit, ratio, spread};
use crate::load::{Expected, Round};
use crate::setting::{Extent, Setting, by_turns, rest, started, verify_script};

const CONNECTIONS: usize = 64;

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let set = setting.set(size)?;
    let (one, other) = (set.copy(&setting.home)?, set.copy(&setting.home)?);
    let counting = setting.start(&one.set.folder)?;
    let silent = started(setting.serve(&other.set.folder).args(["--usage-flush-every", "1h"]))?;
    let words = Arc::new(set.presented(size.distinct)?);
    let script = verify_script(&set, &words, Expected::Verdicts)?;
    rest();
    let servers = [&counting, &silent];
    let rounds = by_turns(setting.extent.rounds, servers.len(), |at| {
        setting.closed(servers[at], CONNECTIONS, &script)
    })?;
    let of = |at: usize, number: fn(&Round) -> f64| rounds[at].iter().map(number).collect::<Vec<f64>>();
    let figures = vec![
        Figure::limited(
            "usage-throughput",
            "usage written every second against not written: requests per second",
            ratio(&of(0, Round::per_second), &of(1, Round::per_second)),
            Unit::Times,
            Limit::AtLeast(0.97),
        ),
        Figure::told(
            "usage-cpu",
            "usage written every second against not written: server CPU for each request",
            ratio(&of(0, Round::cpu_us), &of(1, Round::cpu_us)),
            Unit::Times,
        ),
    ];
    let title = format!("Usage counting among {} keys", Extent::word(size));
    let remark = "Uses are gathered in memory in both cases; in the second none is written to the store meanwhile.";
    let mut table = Table::new(
        title,
        &["usage", "requests/s", "server CPU µs/request", "p99 ms"],
        remark,
    );
    for (at, what) in ["written every second", "not written"].into_iter().enumerate() {
        let cells = [of(at, Round::per_second), of(at, Round::cpu_us), of(at, Round::p99_ms)];
        let [speed, cpu, p99] = cells;
        table.line([what.to_owned(), spread(&speed, 0), spread(&cpu, 2), spread(&p99, 2)]);
    }
    counting.stop()?;
    silent.stop()?;
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}
