//! Durable creates over HTTP against single commits of the same store, in alternation.

use std::process::Command;
use std::sync::Arc;

use keyholt_server::entropy::SystemEntropy;
use keyholt_store::{Postgres, Sqlite, Store};

use super::{Findings, Table};
use crate::data::{
    ASKED, Facts, House, OWNERS, PROJECT, Population, facts, fill, master_text, owner_handle, write_private,
};
use crate::figure::{Figure, Limit, Unit, median, spread};
use crate::load::{Expected, Outlook, Request, SLOT, Script, Words};
use crate::process::Process;
use crate::scratch::Scratch;
use crate::setting::{Setting, bearer, rest, started};
use crate::single::SingleCommits;

const CONNECTIONS: usize = 64;

pub(super) fn on_sqlite(setting: &Setting) -> anyhow::Result<Findings> {
    let set = setting.set(setting.extent.small)?;
    let (one, other) = (set.copy(&setting.home)?, set.copy(&setting.home)?);
    let server = setting.start(&one.set.folder)?;
    let store = Arc::new(Sqlite::open(&other.set.database())?);
    measure(setting, "sqlite", "SQLite, synchronous=FULL", server, store, &set.facts)
}

pub(super) fn on_postgres(setting: &Setting) -> anyhow::Result<Findings> {
    let (one, other) = (Scratch::make(setting, "http")?, Scratch::make(setting, "single")?);
    let size = setting.extent.small;
    // The same house in both, so that the same secret opens both.
    let house = setting.runtime.block_on(House::build())?;
    for scratch in [&one, &other] {
        let population = Population::new(&house, size.keys, size.detail)?;
        setting.runtime.block_on(async {
            let store = Postgres::connect(&scratch.url, &mut SystemEntropy).await?;
            fill(&store, &house, population, size.keys, &|_| ()).await?;
            store.close().await;
            anyhow::Ok(())
        })?;
    }
    let folder = tempfile::tempdir_in(&setting.home)?;
    write_private(&folder.path().join("master.key"), master_text().as_bytes())?;
    let mut command: Command = setting.serve(folder.path());
    // In the environment, because a process list shows arguments.
    let server = started(command.env("KEYHOLT_DATABASE", &one.url))?;
    let store = Arc::new(
        setting
            .runtime
            .block_on(Postgres::connect(&other.url, &mut SystemEntropy))?,
    );
    measure(
        setting,
        "postgres",
        "PostgreSQL, synchronous_commit=on",
        server,
        store,
        &facts(&house, size.keys),
    )
}

fn measure(
    setting: &Setting,
    name: &str,
    engine: &str,
    server: Process,
    store: Arc<dyn Store>,
    facts: &Facts,
) -> anyhow::Result<Findings> {
    let mut single = setting.runtime.block_on(SingleCommits::open(store, facts))?;
    let owners = Arc::new(Words::new(Outlook::Good, (0..OWNERS).map(owner_handle))?);
    let body = format!(r#"{{"owner":{{"user":"{SLOT}"}},"name":"made by the bench","scopes":["{ASKED}"]}}"#);
    let path = format!("/v1/projects/{PROJECT}/keys");
    let request = Request {
        method: "POST",
        path: &path,
        headers: bearer(&facts.operator),
        body: Some(body),
    };
    let script = Script::with_words(&request, &owners, Expected::Status(201))?;
    rest();
    let (mut creates, mut p99, mut cpu, mut singles) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..setting.extent.rounds {
        let mut http = || {
            let round = setting.closed(&server, CONNECTIONS, &script)?;
            creates.push(round.per_second());
            p99.push(round.p99_ms());
            cpu.push(round.cpu_us());
            anyhow::Ok(())
        };
        let mut alone = || {
            singles.push(setting.runtime.block_on(single.run(setting.extent.time))?);
            anyhow::Ok(())
        };
        if round % 2 == 0 {
            http()?;
            alone()?;
        } else {
            alone()?;
            http()?;
        }
    }
    setting.runtime.block_on(single.close());
    server.stop()?;
    let figures = vec![
        Figure::limited(
            &format!("create-{name}-throughput"),
            &format!("create over HTTP, 64 clients ({engine}): creates per second against single commits"),
            crate::figure::ratio(&creates, &singles),
            Unit::Times,
            Limit::AtLeast(3.0),
        ),
        Figure::limited(
            &format!("create-{name}-p99"),
            &format!("create over HTTP, 64 clients ({engine}): p99"),
            median(&p99),
            Unit::Milliseconds,
            Limit::AtMost(20.0),
        ),
    ];
    let columns = ["what", "per second", "p99 ms", "server CPU µs"];
    let mut table = Table::new(
        format!("Durable creates on {engine}"),
        &columns,
        "Each create is acknowledged after its commit is on disk.",
    );
    table.line([
        "create over HTTP, 64 clients".to_owned(),
        spread(&creates, 0),
        spread(&p99, 1),
        spread(&cpu, 0),
    ]);
    table.line([
        "single commits, one after the other".to_owned(),
        spread(&singles, 0),
        String::new(),
        String::new(),
    ]);
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}
