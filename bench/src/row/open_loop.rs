//! Latency at a fixed rate, counted from when each request was due.

use std::sync::Arc;
use std::time::Duration;

use super::{Findings, Table};
use crate::figure::{Figure, Limit, Unit, ratio, spread};
use crate::load::{Expected, Open};
use crate::setting::{Extent, Setting, answer_to_first, by_turns, rest, verify_script};

const CONNECTIONS: usize = 16;
const PER_SECOND: u32 = 5_000;
/// A quantile near the end needs more requests than a median does.
const TIMES_LONGER: u32 = 2;

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let copy = setting.set(size)?.copy(&setting.home)?;
    let set = &copy.set;
    let keyholt = setting.start(&set.folder)?;
    let presented = Arc::new(set.presented(size.distinct)?);
    let bare = setting.start_bare(&answer_to_first(&keyholt, set, &presented)?)?;
    let subjects = [
        (&keyholt, verify_script(set, &presented, Expected::Verdicts)?),
        (&bare, verify_script(set, &presented, Expected::Status(200))?),
    ];
    rest();
    let rounds = by_turns(setting.extent.rounds, subjects.len(), |at| {
        let (server, script) = &subjects[at];
        let open = Open {
            address: server.address(),
            connections: CONNECTIONS,
            per_second: PER_SECOND,
            warm_up: setting.extent.warm_up.max(Duration::from_millis(200)),
            time: setting.extent.time * TIMES_LONGER,
        };
        let round = open.run(script)?;
        Ok([0.5, 0.9, 0.99, 0.999].map(|quantile| round.quantile_ms(quantile)))
    })?;
    let of = |at: usize, quantile: usize| rounds[at].iter().map(|round| round[quantile]).collect::<Vec<f64>>();
    let figures = vec![
        Figure::limited(
            "open-loop-p99",
            "verify at 5 000/s, 16 connections: p99 against the bare answer",
            ratio(&of(0, 2), &of(1, 2)),
            Unit::Times,
            Limit::AtMost(1.2),
        ),
        Figure::told(
            "open-loop-p50",
            "verify at 5 000/s, 16 connections: p50 against the bare answer",
            ratio(&of(0, 0), &of(1, 0)),
            Unit::Times,
        ),
    ];
    let title = format!(
        "Latency at {PER_SECOND} requests a second among {} keys",
        Extent::word(size)
    );
    let remark = "Milliseconds from when a request was due to its answer, client and loopback included.";
    let mut table = Table::new(title, &["server", "p50", "p90", "p99", "p99.9"], remark);
    for (at, who) in ["keyholt", "bare answer"].into_iter().enumerate() {
        table.line([
            who.to_owned(),
            spread(&of(at, 0), 2),
            spread(&of(at, 1), 2),
            spread(&of(at, 2), 2),
            spread(&of(at, 3), 2),
        ]);
    }
    drop(subjects);
    keyholt.stop()?;
    bare.stop()?;
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}
