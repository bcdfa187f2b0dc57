//! The rows of the table: each group measures one thing and says what it found.

mod batch;
mod create;
mod dialects;
mod flood;
mod footprint;
mod inside;
mod list;
mod open_loop;
mod peers;
mod start;
mod usage;
mod verify;

use serde::{Deserialize, Serialize};

use crate::figure::Figure;
use crate::setting::Setting;

/// What a group found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// The figures.
    pub figures: Vec<Figure>,
    /// The numbers behind them.
    pub tables: Vec<Table>,
}

/// Numbers for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its lines.
    pub lines: Vec<Vec<String>>,
    /// What a reader must know to read it right.
    pub remark: String,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, columns: &[&str], remark: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            lines: Vec::new(),
            remark: remark.into(),
        }
    }

    fn line(&mut self, cells: impl IntoIterator<Item = String>) {
        self.lines.push(cells.into_iter().collect());
    }
}

/// A group of figures that are measured together.
#[derive(Clone, Copy)]
pub struct Group {
    /// The name by which it is asked for.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Measures it.
    pub measure: fn(&Setting) -> anyhow::Result<Findings>,
}

/// All groups, in the order in which they are measured and shown.
pub const GROUPS: &[Group] = &[
    Group {
        name: "verify-1m",
        about: "verify over HTTP, 1 M keys, against the bare answer and the floor",
        measure: |setting| verify::measure(setting, verify::LARGE),
    },
    Group {
        name: "verify-10m",
        about: "verify over HTTP, 10 M keys, against the bare answer",
        measure: |setting| verify::measure(setting, verify::HUGE),
    },
    Group {
        name: "inside",
        about: "the keeper in process",
        measure: inside::measure,
    },
    Group {
        name: "batch",
        about: "a batch of 100 against single verifies",
        measure: batch::measure,
    },
    Group {
        name: "open-loop",
        about: "latency at 5 000 requests a second",
        measure: open_loop::measure,
    },
    Group {
        name: "start",
        about: "start to ready, and memory for each key",
        measure: start::measure,
    },
    Group {
        name: "create-sqlite",
        about: "durable creates on SQLite",
        measure: create::on_sqlite,
    },
    Group {
        name: "create-postgres",
        about: "durable creates on PostgreSQL",
        measure: create::on_postgres,
    },
    Group {
        name: "list",
        about: "a page of 100 keys, each filter",
        measure: list::measure,
    },
    Group {
        name: "flood",
        about: "floods of unknown and malformed secrets",
        measure: flood::measure,
    },
    Group {
        name: "usage",
        about: "usage counting",
        measure: usage::measure,
    },
    Group {
        name: "footprint",
        about: "size, idle memory, first start",
        measure: footprint::measure,
    },
    Group {
        name: "peers",
        about: "beside others",
        measure: peers::measure,
    },
    Group {
        name: "dialects",
        about: "a trivial request in each dialect, against the native verify",
        measure: dialects::measure,
    },
];
