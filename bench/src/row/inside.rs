//! The keeper in process: admission, judging and answer without HTTP, each data set in a process of its own.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;

use super::{Findings, Table};
use crate::figure::{Figure, Limit, Unit};
use crate::inside::Found;
use crate::setting::{Extent, Setting};

/// Calls of each case in a round, for a second of measuring.
const CALLS_PER_SECOND: f64 = 200_000.0;

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let extent = setting.extent;
    let calls = (extent.time.as_secs_f64() * CALLS_PER_SECOND) as usize;
    let mut figures = Vec::new();
    let columns = [
        "keys",
        "hit",
        "unknown",
        "malformed",
        "admission alone",
        "malformed, judged alone",
    ];
    let remark = format!(
        "Nanoseconds of processor time for one call: admission of the caller, judging and writing the answer, unless it says alone. \
         Medians of {} rounds of {calls} calls, up to {} different keys.",
        extent.rounds, extent.huge.distinct
    );
    let mut table = Table::new("The keeper in process", &columns, remark);
    for (name, size, most) in [("10k", extent.small, 600.0), ("10m", extent.huge, 900.0)] {
        let set = setting.set(size)?;
        let mut command = Command::new(&setting.bench);
        command.arg("inside").arg(&set.folder);
        command.args([size.distinct.to_string(), extent.rounds.to_string(), calls.to_string()]);
        let found: Found = json_of(&mut command)?;
        let word = Extent::word(size);
        for (case, what, nanoseconds) in [
            ("hit", "a known key", found.hit),
            ("unknown", "an unknown key", found.unknown),
        ] {
            figures.push(Figure::limited(
                &format!("inside-{case}-{name}"),
                &format!("keeper, {word} keys: {what}, admission of the caller and answer included"),
                nanoseconds,
                Unit::Nanoseconds,
                Limit::AtMost(most),
            ));
        }
        figures.push(Figure::limited(
            &format!("inside-malformed-{name}"),
            &format!("keeper, {word} keys: judging a mistyped secret"),
            found.malformed_alone,
            Unit::Nanoseconds,
            Limit::AtMost(50.0),
        ));
        figures.push(Figure::told(
            &format!("inside-malformed-admitted-{name}"),
            &format!("keeper, {word} keys: a mistyped secret, admission of the caller and answer included"),
            found.malformed,
            Unit::Nanoseconds,
        ));
        let numbers = [
            found.hit,
            found.unknown,
            found.malformed,
            found.admit,
            found.malformed_alone,
        ];
        table.line(std::iter::once(word).chain(numbers.map(|number| format!("{number:.0}"))));
    }
    let small = setting.set(extent.small)?;
    let mut counter = Command::new(&setting.counter);
    counter.arg(&small.folder).arg(extent.small.distinct.to_string());
    let counts: Vec<f64> = json_of(&mut counter)?;
    for (case, count) in ["hit", "unknown", "malformed"].into_iter().zip(counts) {
        figures.push(Figure::told(
            &format!("inside-allocations-{case}"),
            &format!("keeper: allocations for one call, {case}, the answer's buffer not counted"),
            count,
            Unit::Count,
        ));
    }
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

/// What a program prints.
fn json_of<T: DeserializeOwned>(command: &mut Command) -> anyhow::Result<T> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(output.status.success(), "{name} ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}
