//! A batch of 100 questions in one request against the same questions one by one.

use std::sync::Arc;

use super::{Findings, Table};
use crate::data::ASKED;
use crate::figure::{Figure, Limit, Unit, ratio, spread};
use crate::load::{Expected, Request, SLOT, Script};
use crate::setting::{Extent, Setting, bearer, by_turns, rest, verify_script};

const CONNECTIONS: usize = 64;
const ITEMS: usize = 100;

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let copy = setting.set(size)?.copy(&setting.home)?;
    let set = &copy.set;
    let server = setting.start(&set.folder)?;
    let words = Arc::new(set.presented(size.distinct)?);
    let item = format!(r#"{{"credential":"{SLOT}","scopes":["{ASKED}"]}}"#);
    let request = Request {
        method: "POST",
        path: "/v1/verify/batch",
        headers: bearer(&set.facts.gateway),
        body: Some(format!(r#"{{"items":[{}]}}"#, vec![item; ITEMS].join(","))),
    };
    let single = verify_script(set, &words, Expected::Verdicts)?;
    let batch = Script::with_words(&request, &words, Expected::Verdicts)?;
    rest();
    let scripts = [(&single, 1), (&batch, ITEMS)];
    let rounds = by_turns(setting.extent.rounds, scripts.len(), |at| {
        let (script, keys) = scripts[at];
        let round = setting.closed(&server, CONNECTIONS, script)?;
        let keys = keys as f64;
        Ok((round.per_second() * keys, round.cpu_us() / keys, round.p99_ms()))
    })?;
    let speed = |at: usize| rounds[at].iter().map(|round| round.0).collect::<Vec<f64>>();
    let cpu = |at: usize| rounds[at].iter().map(|round| round.1).collect::<Vec<f64>>();
    let p99 = |at: usize| rounds[at].iter().map(|round| round.2).collect::<Vec<f64>>();
    let figures = vec![Figure::limited(
        "batch-100",
        "batch of 100: keys per second against single verifies",
        ratio(&speed(1), &speed(0)),
        Unit::Times,
        Limit::AtLeast(20.0),
    )];
    let title = format!("A batch of {ITEMS} among {} keys", Extent::word(size));
    let remark = format!("{CONNECTIONS} connections. The client's work is part of it: both sides share the machine.");
    let mut table = Table::new(
        title,
        &["question", "keys/s", "server CPU µs/key", "p99 ms of a request"],
        remark,
    );
    for (at, what) in ["single", "batch"].into_iter().enumerate() {
        table.line([
            what.to_owned(),
            spread(&speed(at), 0),
            spread(&cpu(at), 2),
            spread(&p99(at), 2),
        ]);
    }
    server.stop()?;
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}
