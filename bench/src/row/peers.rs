//! Beside others, in one run behind the same load generator: better-auth and djangorestframework-api-key, each installed
//! from its registry. Their servers are in `bench/peers`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use super::{Findings, Table};
use crate::figure::{Figure, Limit, Unit, ratio, spread};
use crate::load::{Expected, Request, Round, SLOT, Script};
use crate::peer::{installed, keys, run};
use crate::process::Process;
use crate::setting::{Extent, Setting, by_turns, rest, verify_script};

const CONNECTIONS: usize = 32;
/// Keys that each of the others holds. Fewer than ours, which is to their advantage.
const KEYS: usize = 1_000;
/// The shortest round.
const LEAST: Duration = Duration::from_secs(2);

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let copy = setting.set(size)?.copy(&setting.home)?;
    let keyholt = setting.start(&copy.set.folder)?;
    let words = Arc::new(copy.set.presented(size.distinct)?);
    let ours = verify_script(&copy.set, &words, Expected::Verdicts)?;

    let better_auth_folder = tempfile::tempdir_in(&setting.home)?;
    let (better_auth, better_auth_script) = better_auth(setting, better_auth_folder.path())?;
    let django_folder = tempfile::tempdir_in(&setting.home)?;
    let (django, django_script) = django(setting, django_folder.path())?;

    let subjects = [
        ("keyholt", &keyholt, &ours),
        (
            "better-auth, API-key plugin, SQLite in WAL mode",
            &better_auth,
            &better_auth_script,
        ),
        ("djangorestframework-api-key, gunicorn", &django, &django_script),
    ];
    rest();
    let rounds = by_turns(setting.extent.rounds, subjects.len(), |at| {
        let (who, server, script) = subjects[at];
        // The others answer few requests in a short time.
        setting
            .closed_for(server, CONNECTIONS, script, setting.extent.time.max(LEAST))
            .context(who)
    })?;
    let of = |at: usize, number: fn(&Round) -> f64| rounds[at].iter().map(number).collect::<Vec<f64>>();
    let mut figures = Vec::new();
    for (at, name, who, least) in [
        (1, "better-auth", "better-auth", 50.0),
        (2, "drf", "djangorestframework-api-key", 25.0),
    ] {
        figures.push(Figure::limited(
            &format!("peer-{name}-throughput"),
            &format!("verifies per second against {who}"),
            ratio(&of(0, Round::per_second), &of(at, Round::per_second)),
            Unit::Times,
            Limit::AtLeast(least),
        ));
        figures.push(Figure::limited(
            &format!("peer-{name}-p99"),
            &format!("p99 of a verify against {who}"),
            ratio(&of(0, Round::p99_ms), &of(at, Round::p99_ms)),
            Unit::Times,
            Limit::AtMost(0.1),
        ));
    }
    let remark = format!(
        "{CONNECTIONS} connections. Keyholt holds {} keys, the others {KEYS}. better-auth runs in one process, its rate limit off \
         (by default a key works ten times a day); gunicorn runs one process for each processor, eight threads each.",
        Extent::word(size)
    );
    let columns = ["server", "requests/s", "server CPU µs/request", "p50 ms", "p99 ms"];
    let mut table = Table::new("Beside others", &columns, remark);
    for (at, (who, ..)) in subjects.iter().enumerate() {
        let cells = [
            spread(&of(at, Round::per_second), 0),
            spread(&of(at, Round::cpu_us), 1),
            spread(&of(at, Round::p50_ms), 2),
            spread(&of(at, Round::p99_ms), 1),
        ];
        table.line(std::iter::once((*who).to_owned()).chain(cells));
    }
    keyholt.stop()?;
    // The others are not asked politely: what they lose on the way is nobody's.
    drop((better_auth, django));
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

fn better_auth(setting: &Setting, folder: &Path) -> anyhow::Result<(Process, Script)> {
    let home = installed(setting, "better-auth", |home| {
        let arguments = ["install", "--no-audit", "--no-fund", "--no-package-lock"];
        run(Command::new("npm").args(arguments).current_dir(home))
    })?;
    let mut command = Command::new("node");
    let server = Process::start(command.arg(home.join("server.mjs")).arg(folder).arg(KEYS.to_string()))?;
    let request = Request {
        method: "POST",
        path: "/verify",
        headers: Vec::new(),
        body: Some(format!(r#"{{"key":"{SLOT}"}}"#)),
    };
    Ok((
        server,
        Script::with_words(&request, &keys(folder)?, Expected::Verdicts)?,
    ))
}

fn django(setting: &Setting, folder: &Path) -> anyhow::Result<(Process, Script)> {
    let home = installed(setting, "django-rest-framework", |home| {
        run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(home))?;
        run(Command::new(home.join("venv/bin/pip"))
            .args(["install", "--quiet", "-r", "requirements.txt"])
            .current_dir(home))
    })?;
    let mut seed = Command::new(home.join("venv/bin/python"));
    run(seed
        .arg("application.py")
        .arg(folder)
        .arg(KEYS.to_string())
        .current_dir(&home))?;
    let mut command = Command::new(home.join("venv/bin/gunicorn"));
    let server = Process::start(
        command
            .arg("application:application")
            .env("BENCH_FOLDER", folder)
            .current_dir(&home),
    )?;
    let headers = vec![("Authorization", format!("Api-Key {SLOT}"))];
    let request = Request {
        method: "GET",
        path: "/verify",
        headers,
        body: None,
    };
    Ok((
        server,
        Script::with_words(&request, &keys(folder)?, Expected::Verdicts)?,
    ))
}
