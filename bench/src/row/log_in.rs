//! Log-in with a password: two hundred at once take no more memory than a few, and how many there are in a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::{Findings, Table};
use crate::data::{Facts, PROJECT, owner_handle};
use crate::figure::{Figure, Limit, Unit, median, spread};
use crate::load::{Expected, Outlook, Request, Round, SLOT, Script, Words};
use crate::process::Process;
use crate::setting::{Setting, bearer, rest};
use crate::wire;

/// Attempts at once.
const MANY: usize = 200;
/// What they are compared with: as many as are hashed at the same time.
const FEW: usize = 2;
/// People who log in, each many times.
const PEOPLE: usize = 20;
const PASSWORD: &str = "four yellow trains to Riga";
/// One hash takes 19 MiB: two hundred attempts take less than one of them more than two do.
const GROWTH_MB_MAX: f64 = 19.0;
/// The shortest round: one hash takes tens of milliseconds.
const LEAST: Duration = Duration::from_secs(2);
/// How often memory is read.
const LOOK: Duration = Duration::from_millis(10);

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let copy = setting.set(setting.extent.small)?.copy(&setting.home)?;
    let server = setting.start(&copy.set.folder)?;
    let people: Vec<String> = (0..PEOPLE).map(owner_handle).collect();
    for handle in &people {
        give_password(&server, &copy.set.facts, handle)?;
    }
    let path = format!("/v1/projects/{PROJECT}/sessions");
    let request = Request {
        method: "POST",
        path: &path,
        headers: Vec::new(),
        body: Some(format!(r#"{{"login":"{SLOT}","password":"{PASSWORD}"}}"#)),
    };
    let words = Arc::new(Words::new(Outlook::Good, people)?);
    let script = Script::with_words(&request, &words, Expected::Status(201))?;
    rest();
    let time = setting.extent.time.max(LEAST);
    // Not by turns: what many leave behind would be there when few are measured.
    let measured = [FEW, MANY].map(|attempts| {
        (0..setting.extent.rounds)
            .map(|_| most_resident(&server, || setting.closed_for(&server, attempts, &script, time)))
            .collect::<anyhow::Result<Vec<(Round, u64)>>>()
    });
    server.stop()?;
    let [few, many] = measured;
    let (few, many) = (few?, many?);
    let memory = |rounds: &[(Round, u64)]| rounds.iter().map(|(_, most)| *most as f64 / 1e6).collect::<Vec<f64>>();
    let of = |rounds: &[(Round, u64)], number: fn(&Round) -> f64| {
        rounds.iter().map(|(round, _)| number(round)).collect::<Vec<f64>>()
    };
    let greatest = |values: Vec<f64>| values.into_iter().fold(f64::NAN, f64::max);
    let figures = vec![
        Figure::limited(
            "log-in-memory",
            "200 log-ins at once: growth of resident memory against 2 at once",
            greatest(memory(&many)) - greatest(memory(&few)),
            Unit::Megabytes,
            Limit::AtMost(GROWTH_MB_MAX),
        ),
        Figure::told(
            "log-in-speed",
            "log-ins in a second, 200 at once",
            median(&of(&many, Round::per_second)),
            Unit::Count,
        ),
        Figure::told(
            "log-in-cpu",
            "log-in: server CPU",
            median(&of(&many, Round::cpu_us)) / 1e3,
            Unit::Milliseconds,
        ),
    ];
    let remark = format!(
        "Every password is right; {PEOPLE} people log in again and again. Passwords are hashed two at a time, each in 19 MiB that is \
         taken once; whoever comes meanwhile waits. Unbounded, 200 at once would take 4 GB."
    );
    let columns = [
        "log-ins at once",
        "log-ins/s",
        "server CPU ms/log-in",
        "most resident MB",
    ];
    let mut table = Table::new("Log-in with a password", &columns, remark);
    for (attempts, rounds) in [(FEW, &few), (MANY, &many)] {
        let cpu: Vec<f64> = of(rounds, Round::cpu_us).iter().map(|cpu| cpu / 1e3).collect();
        table.line([
            attempts.to_string(),
            spread(&of(rounds, Round::per_second), 1),
            spread(&cpu, 1),
            spread(&memory(rounds), 1),
        ]);
    }
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

fn give_password(server: &Process, facts: &Facts, handle: &str) -> anyhow::Result<()> {
    let users = format!("/v1/projects/{PROJECT}/users/{handle}");
    let path = format!("{users}/password");
    let request = Request {
        method: "PUT",
        path: &path,
        headers: bearer(&facts.operator),
        body: Some(json!({"password": PASSWORD}).to_string()),
    };
    let reply = wire::fetch(
        server.address(),
        Script::fixed(&request, Expected::Status(204)).template(),
    )?;
    anyhow::ensure!(
        reply.status() == 204,
        "no password for {handle}: {} {}",
        reply.status(),
        String::from_utf8_lossy(reply.body())
    );
    Ok(())
}

/// Does something, and tells how much memory the server had at most meanwhile.
fn most_resident<T>(server: &Process, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, u64)> {
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(server.resident()?));
    let worked = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // A server that is gone is noticed by the work itself.
                most.fetch_max(server.resident().unwrap_or(0), Ordering::Relaxed);
                thread::sleep(LOOK);
            }
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        worked
    });
    Ok((worked?, most.into_inner()))
}
