//! What it takes to have it around: the program's size, its idle memory, the time of the first start.

use std::time::Duration;

use super::{Findings, Table};
use crate::figure::{Figure, Limit, Unit, median, spread};
use crate::setting::Setting;

/// A first start is quick, so more of them are made than of other things.
const TIMES_MORE: usize = 3;
/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let rounds = setting.extent.rounds;
    let program = std::fs::metadata(&setting.keyholt)?.len() as f64 / 1e6;
    let mut first = Vec::new();
    for _ in 0..rounds * TIMES_MORE {
        let folder = tempfile::tempdir_in(&setting.home)?;
        let server = setting.start(&folder.path().join("data"))?;
        first.push(server.started().elapsed().as_secs_f64() * 1e3);
        server.stop()?;
    }
    let set = setting.set(setting.extent.small)?;
    let mut idle = Vec::new();
    for _ in 0..rounds {
        let server = setting.start(&set.folder)?;
        std::thread::sleep(SETTLE);
        idle.push(server.resident()? as f64 / 1e6);
        server.stop()?;
    }
    let most = Limit::AtMost;
    let figures = vec![
        Figure::limited(
            "binary-size",
            "size of the stripped binary",
            program,
            Unit::Megabytes,
            most(30.0),
        ),
        Figure::limited(
            "idle-memory",
            "idle resident memory with 10 k keys",
            median(&idle),
            Unit::Megabytes,
            most(30.0),
        ),
        Figure::limited(
            "first-start",
            "empty folder to ready",
            median(&first),
            Unit::Milliseconds,
            most(150.0),
        ),
    ];
    let mut table = Table::new("Footprint", &["what", "measured"], "");
    table.line(["idle resident memory, MB".to_owned(), spread(&idle, 1)]);
    table.line(["empty folder to ready, ms".to_owned(), spread(&first, 1)]);
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}
