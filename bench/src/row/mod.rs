//! The rows of the table: each group measures one thing and says what it found.

mod batch;
mod client_credentials;
mod create;
mod dialects;
mod flood;
mod footprint;
mod inside;
mod list;
mod log_in;
mod open_loop;
mod originals;
mod peers;
mod start;
mod status_list;
mod tokens;
mod usage;
mod verify;

use serde::{Deserialize, Serialize};

use crate::figure::{Figure, spread};
use crate::load::Round;
use crate::setting::Setting;
use crate::signature::Pace;

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

/// What one turn of a subject came to, whether a server answered or a signature was made in process.
#[derive(Clone, Copy)]
struct Turn {
    per_second: f64,
    cpu_us: f64,
    /// No number where nobody waited for an answer.
    p99_ms: f64,
}

impl Turn {
    const COLUMNS: [&str; 4] = ["what", "per second", "CPU µs of one", "p99 ms"];

    fn cells(what: &str, turns: &[Self]) -> [String; 4] {
        let of = |number: fn(&Self) -> f64| turns.iter().map(number).collect::<Vec<f64>>();
        let p99 = of(|turn| turn.p99_ms);
        let waited = p99.iter().all(|p99| p99.is_finite());
        [
            what.to_owned(),
            spread(&of(|turn| turn.per_second), 0),
            spread(&of(|turn| turn.cpu_us), 2),
            if waited { spread(&p99, 2) } else { String::new() },
        ]
    }
}

impl From<Round> for Turn {
    fn from(round: Round) -> Self {
        Self {
            per_second: round.per_second(),
            cpu_us: round.cpu_us(),
            p99_ms: round.p99_ms(),
        }
    }
}

impl From<Pace> for Turn {
    fn from(pace: Pace) -> Self {
        Self {
            per_second: pace.per_second,
            cpu_us: pace.cpu_us,
            p99_ms: f64::NAN,
        }
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
        name: "client-credentials",
        about: "an access token for a client's id and secret, against the bare answer and a signature",
        measure: client_credentials::measure,
    },
    Group {
        name: "tokens",
        about: "verify and introspection of access tokens, new and seen before",
        measure: tokens::measure,
    },
    Group {
        name: "status-list",
        about: "the status list at 1 M live tokens: size, building, checking",
        measure: status_list::measure,
    },
    Group {
        name: "log-in",
        about: "log-in with a password: memory of 200 at once, how many in a second",
        measure: log_in::measure,
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
    Group {
        name: "originals",
        about: "two dialects beside the servers whose tongues they are",
        measure: originals::measure,
    },
];
