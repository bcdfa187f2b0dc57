//! Start to ready, and what a key costs in memory.

use super::{Findings, Table};
use crate::figure::{Figure, Limit, Unit, median, spread};
use crate::setting::{Extent, Setting, Size};

/// How long a server is left alone before its memory is read.
const SETTLE: std::time::Duration = std::time::Duration::from_secs(2);

struct Starts {
    seconds: Vec<f64>,
    resident: Vec<f64>,
}

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let extent = setting.extent;
    let small = starts(setting, extent.small)?;
    let mut figures = Vec::new();
    let columns = ["keys", "start to ready, s", "resident MB", "bytes for each key more"];
    let remark = format!(
        "{} starts each, files in the page cache, every seal checked. Resident memory two seconds after it was ready.",
        extent.rounds
    );
    let mut table = Table::new("Start and memory", &columns, remark);
    let megabytes = |starts: &Starts| spread(&starts.resident.iter().map(|bytes| bytes / 1e6).collect::<Vec<_>>(), 1);
    table.line([
        Extent::word(extent.small),
        spread(&small.seconds, 3),
        megabytes(&small),
        String::new(),
    ]);
    for (name, size, most) in [("1m", extent.large, 1.5), ("10m", extent.huge, 15.0)] {
        let many = starts(setting, size)?;
        let word = Extent::word(size);
        let each = (median(&many.resident) - median(&small.resident)) / (size.keys - extent.small.keys) as f64;
        figures.push(Figure::limited(
            &format!("memory-{name}"),
            &format!("resident bytes for each key, {word} keys"),
            each,
            Unit::Bytes,
            Limit::AtMost(128.0),
        ));
        figures.push(Figure::limited(
            &format!("start-{name}"),
            &format!("start to ready with {word} keys on SQLite, seals checked"),
            median(&many.seconds),
            Unit::Seconds,
            Limit::AtMost(most),
        ));
        table.line([word, spread(&many.seconds, 2), megabytes(&many), format!("{each:.1}")]);
    }
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

fn starts(setting: &Setting, size: Size) -> anyhow::Result<Starts> {
    let set = setting.set(size)?;
    let mut starts = Starts {
        seconds: Vec::new(),
        resident: Vec::new(),
    };
    for _ in 0..setting.extent.rounds {
        let server = setting.start(&set.folder)?;
        starts.seconds.push(server.started().elapsed().as_secs_f64());
        std::thread::sleep(SETTLE);
        starts.resident.push(server.resident()? as f64);
        server.stop()?;
    }
    Ok(starts)
}
