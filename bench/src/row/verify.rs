//! Verify over HTTP against a fixed answer of the same server and against the floor, on the same request bytes.

use std::sync::Arc;

use super::{Findings, Table};
use crate::figure::{Figure, Limit, Unit, median, ratio, spread};
use crate::load::{Expected, Round};
use crate::setting::{Extent, Setting, Size, answer_to_first, by_turns, rest, verify_script};

const CONNECTIONS: usize = 64;

/// One data set and its limits.
#[derive(Clone, Copy)]
pub(super) struct Case {
    name: &'static str,
    size: fn(&Extent) -> Size,
    cpu_most: f64,
    throughput_least: f64,
    floor_most: Option<f64>,
}

pub(super) const LARGE: Case = Case {
    name: "verify-1m",
    size: |extent| extent.large,
    cpu_most: 1.20,
    throughput_least: 0.88,
    floor_most: Some(1.6),
};

pub(super) const HUGE: Case = Case {
    name: "verify-10m",
    size: |extent| extent.huge,
    cpu_most: 1.25,
    throughput_least: 0.85,
    floor_most: None,
};

pub(super) fn measure(setting: &Setting, case: Case) -> anyhow::Result<Findings> {
    let size = (case.size)(&setting.extent);
    let copy = setting.set(size)?.copy(&setting.home)?;
    let set = &copy.set;
    let keyholt = setting.start(&set.folder)?;
    let presented = Arc::new(set.presented(size.distinct)?);
    let bare = setting.start_bare(&answer_to_first(&keyholt, set, &presented)?)?;
    let floor = setting.start_floor()?;
    let others = Arc::new(presented.again());
    let subjects = [
        ("keyholt", &keyholt, verify_script(set, &presented, Expected::Verdicts)?),
        (
            "bare answer",
            &bare,
            verify_script(set, &others, Expected::Status(200))?,
        ),
        ("floor", &floor, verify_script(set, &others, Expected::Status(200))?),
    ];
    rest();
    let rounds = by_turns(setting.extent.rounds, subjects.len(), |at| {
        let (_, server, script) = &subjects[at];
        setting.closed(server, CONNECTIONS, script)
    })?;
    let of = |at: usize, number: fn(&Round) -> f64| rounds[at].iter().map(number).collect::<Vec<f64>>();
    let (cpu, speed) = (|at| of(at, Round::cpu_us), |at| of(at, Round::per_second));

    let keys = Extent::word(size);
    let name = case.name;
    let mut figures = vec![
        Figure::limited(
            &format!("{name}-cpu"),
            &format!("verify, {keys} keys: server CPU for each request against the bare answer"),
            ratio(&cpu(0), &cpu(1)),
            Unit::Times,
            Limit::AtMost(case.cpu_most),
        ),
        Figure::limited(
            &format!("{name}-throughput"),
            &format!("verify, {keys} keys: requests per second against the bare answer"),
            ratio(&speed(0), &speed(1)),
            Unit::Times,
            Limit::AtLeast(case.throughput_least),
        ),
    ];
    let floor_name = format!("{name}-floor-cpu");
    let floor_what = format!("verify, {keys} keys: server CPU for each request against a hand-written loop's bare 200");
    let floor_value = ratio(&cpu(0), &cpu(2));
    figures.push(match case.floor_most {
        Some(most) => Figure::limited(&floor_name, &floor_what, floor_value, Unit::Times, Limit::AtMost(most)),
        None => Figure::told(&floor_name, &floor_what, floor_value, Unit::Times),
    });
    let remark = format!(
        "{CONNECTIONS} connections, {} different secrets presented, one in ten of no key. Median [least–most] of {} rounds.",
        presented.presented(),
        setting.extent.rounds
    );
    let columns = ["server", "requests/s", "server CPU µs/request", "p50 ms", "p99 ms"];
    let mut table = Table::new(format!("Verify among {keys} keys"), &columns, remark);
    for (at, (who, ..)) in subjects.iter().enumerate() {
        table.line([
            (*who).to_owned(),
            spread(&speed(at), 0),
            spread(&cpu(at), 2),
            format!("{:.2}", median(&of(at, Round::p50_ms))),
            format!("{:.2}", median(&of(at, Round::p99_ms))),
        ]);
    }
    drop(subjects);
    for server in [keyholt, bare, floor] {
        server.stop()?;
    }
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}
