//! Somebody who can write to the database, but has no master key: every change of a row is refused, and an alarm is raised.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use keyholt_rig::postgres::Server;
use keyholt_rig::process::Process;
use serde_json::json;

use crate::caller::Caller;
use crate::figure::{Figure, Wrongs};
use crate::house::{KEYS, People, VERIFY, copy_files, database, furnish, owner_name, text};
use crate::setting::{Setting, Start, log_of, until};

/// What the log says when a seal is broken.
const ALARM: &str = "a stored row is not as Keyholt wrote it";
/// How soon a running server must have seen what was announced to it. It looks twenty times a second.
const SEEN_WITHIN: Duration = Duration::from_secs(20);
/// How long a key lives that is going to be found expired.
const SHORT_LIFE: Duration = Duration::from_millis(1500);

/// One thing that somebody does to the database.
struct Attack {
    what: &'static str,
    /// Statements; `{narrow}` and so on stand for the ids of those keys.
    sql: &'static [&'static str],
    /// Whose secret is shown then, and for what; and what may be said about it.
    asked: &'static [(&'static str, &'static str, &'static [&'static str])],
}

const TAMPERED: &[&str] = &["tampered"];

const ATTACKS: &[Attack] = &[
    Attack {
        what: "a scope widened",
        sql: &["UPDATE keys SET access = '\"everything\"' WHERE id = {narrow}"],
        asked: &[
            ("narrow", "orders:write", TAMPERED),
            ("narrow", "orders:read", TAMPERED),
        ],
    },
    Attack {
        what: "a revocation cleared",
        sql: &["UPDATE keys SET state = 'active', state_at = 0 WHERE id = {revoked}"],
        asked: &[("revoked", "orders:read", TAMPERED)],
    },
    Attack {
        what: "an owner changed",
        sql: &["UPDATE keys SET owner = (SELECT owner FROM keys WHERE id = {wide}) WHERE id = {narrow}"],
        asked: &[("narrow", "orders:read", TAMPERED)],
    },
    Attack {
        what: "an expiry prolonged",
        sql: &["UPDATE keys SET expires_at = expires_at + 100000000 WHERE id = {expired}"],
        asked: &[("expired", "orders:read", TAMPERED)],
    },
    Attack {
        what: "an expiry taken away",
        sql: &["UPDATE keys SET expires_at = NULL WHERE id = {expired}"],
        asked: &[("expired", "orders:read", TAMPERED)],
    },
    Attack {
        what: "digests exchanged between two rows",
        sql: &[
            "CREATE TABLE swap AS SELECT id, current FROM keys WHERE id IN ({wide}, {narrow})",
            "UPDATE keys SET current = {zeros} WHERE id = {wide}",
            "UPDATE keys SET current = (SELECT current FROM swap WHERE id = {wide}) WHERE id = {narrow}",
            "UPDATE keys SET current = (SELECT current FROM swap WHERE id = {narrow}) WHERE id = {wide}",
            "DROP TABLE swap",
        ],
        asked: &[("narrow", "orders:write", TAMPERED), ("wide", "orders:read", TAMPERED)],
    },
    Attack {
        what: "seals exchanged between two rows",
        sql: &[
            "CREATE TABLE swap AS SELECT id, seal FROM keys WHERE id IN ({wide}, {narrow})",
            "UPDATE keys SET seal = (SELECT seal FROM swap WHERE id = {wide}) WHERE id = {narrow}",
            "UPDATE keys SET seal = (SELECT seal FROM swap WHERE id = {narrow}) WHERE id = {wide}",
            "DROP TABLE swap",
        ],
        asked: &[("narrow", "orders:read", TAMPERED), ("wide", "orders:read", TAMPERED)],
    },
    Attack {
        what: "another row's access under one's own seal",
        sql: &["UPDATE keys SET access = (SELECT access FROM keys WHERE id = {wide}), \
             seal = (SELECT seal FROM keys WHERE id = {wide}) WHERE id = {narrow}"],
        asked: &[("narrow", "orders:write", TAMPERED)],
    },
    Attack {
        what: "a role widened",
        sql: &[
            "UPDATE records SET body = replace(body, 'reports:read', '*') WHERE noun = 'role' AND handle = 'reader'",
        ],
        asked: &[("full", "orders:write", &["insufficient_scope", "tampered"])],
    },
    Attack {
        what: "a suspension of an owner lifted",
        sql: &[
            "UPDATE records SET body = replace(body, '{standing}', '\"good\"') WHERE noun = 'user' AND handle = 'u-3'",
        ],
        asked: &[("stopped", "orders:read", &["tampered"])],
    },
];

/// The keys that attacks are about.
struct Treasury {
    people: People,
    ids: BTreeMap<&'static str, String>,
    secrets: BTreeMap<&'static str, String>,
    /// How a suspended owner's standing is written.
    standing: String,
}

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let postgres = Server::start();
    let mut figures = on_sqlite(setting)?;
    figures.push(on_postgres(setting, &postgres)?);
    figures.push(on_running_postgres(setting, &postgres)?);
    Ok(figures)
}

impl Treasury {
    fn fill(server: &mut Process) -> anyhow::Result<Self> {
        let people = furnish(server)?;
        let mut olga = people.operator(server.address());
        let role = json!({ "name": "reader", "scopes": ["reports:read"] });
        olga.must("POST", "/v1/projects/acme/roles", Some(&role), 201)?;
        let eve = json!({ "external_id": "eve", "name": "Eve", "roles": ["reader"] });
        olga.must("POST", "/v1/projects/acme/users", Some(&eve), 201)?;
        let mut treasury = Self {
            people,
            ids: BTreeMap::new(),
            secrets: BTreeMap::new(),
            standing: String::new(),
        };
        let everything = json!("everything");
        let rows = [
            ("wide", owner_name(1), everything.clone()),
            ("narrow", owner_name(2), json!(["orders:read"])),
            ("revoked", owner_name(2), everything.clone()),
            ("expired", owner_name(2), everything.clone()),
            ("stopped", owner_name(3), everything.clone()),
            ("full", "eve".to_owned(), everything),
        ];
        for (name, owner, scopes) in rows {
            let mut body = json!({ "name": name, "owner": { "user": owner }, "scopes": scopes });
            if name == "expired" {
                let created = olga.must("GET", &format!("{KEYS}?limit=1"), None, 200)?;
                let now: jiff::Timestamp = text(&created, "/keys/0/created_at").parse()?;
                body["expires_at"] = json!((now + SHORT_LIFE).to_string());
            }
            let made = olga.must("POST", KEYS, Some(&body), 201)?;
            treasury.ids.insert(name, text(&made, "/key/id"));
            treasury.secrets.insert(name, text(&made, "/secret"));
        }
        let revoke = format!("{KEYS}/{}/revoke", treasury.id("revoked"));
        olga.must("POST", &revoke, Some(&json!({ "cause": "leaked" })), 200)?;
        let stopped = olga.must("POST", "/v1/projects/acme/users/u-3/suspend", None, 200)?;
        let since: jiff::Timestamp = text(&stopped, "/suspended_since").parse()?;
        treasury.standing = json!({ "suspended": { "since": since.to_string() } }).to_string();
        let gone = until(SHORT_LIFE * 20, || {
            treasury
                .ask(&mut olga, "expired", "orders:read")
                .is_ok_and(|code| code == "expired")
        });
        gone.context("a key does not expire")?;
        Ok(treasury)
    }

    fn id(&self, name: &str) -> &str {
        self.ids.get(name).map_or("", String::as_str)
    }

    fn ask(&self, olga: &mut Caller, name: &str, scope: &str) -> std::io::Result<String> {
        let secret = self.secrets.get(name).map_or("", String::as_str);
        Ok(olga.verdict(VERIFY, secret, &[scope])?.code().to_owned())
    }

    fn statements(&self, attack: &Attack, literal: impl Fn(&str) -> String) -> Vec<String> {
        let spelled = |sql: &&str| {
            let mut sql = (*sql).to_owned();
            for (name, id) in &self.ids {
                sql = sql.replace(&format!("{{{name}}}"), &literal(id));
            }
            sql.replace("{zeros}", &literal("zeros"))
                .replace("{standing}", &self.standing)
        };
        attack.sql.iter().map(spelled).collect()
    }

    /// What is wrong with what a server says after an attack.
    fn judge(&self, server: &Process, attack: &Attack, wrongs: &mut Wrongs) -> anyhow::Result<()> {
        let mut olga = self.people.operator(server.address());
        for (name, scope, allowed) in attack.asked {
            let said = self.ask(&mut olga, name, scope)?;
            if !allowed.contains(&said.as_str()) {
                wrongs.add(format!("{}: `{name}` for {scope} is `{said}`", attack.what));
            }
        }
        Ok(())
    }
}

fn on_sqlite(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let folder = setting.folder()?;
    let mut server = setting.start(folder.path(), &Start::default())?;
    let treasury = Treasury::fill(&mut server)?;
    server.stop()?;
    let literal = |word: &str| match word {
        "zeros" => "zeroblob(32)".to_owned(),
        id => format!("X'{}'", id.replace('-', "")),
    };
    let mut wrongs = Wrongs::default();
    for attack in ATTACKS {
        let copy = setting.folder()?;
        copy_files(folder.path(), copy.path())?;
        let connection = rusqlite::Connection::open(database(copy.path()))?;
        run_all(&treasury, attack, literal, |sql| Ok(connection.execute(sql, [])?))?;
        drop(connection);
        after_restart(setting, copy.path(), &Start::default(), &treasury, attack, &mut wrongs)?;
    }
    setting.register(treasury.secrets.values())?;
    Ok(vec![
        figure("SQLite, changed while the server stood still", &wrongs),
        planted(setting, folder.path(), &treasury)?,
    ])
}

/// The first attack by somebody who has the master key: its seals are right, so the harness must say that it got through.
fn planted(setting: &Setting, original: &Path, treasury: &Treasury) -> anyhow::Result<Figure> {
    let copy = setting.folder()?;
    copy_files(original, copy.path())?;
    let server = setting.start(copy.path(), &Start::default())?;
    let mut olga = treasury.people.operator(server.address());
    let path = format!("{KEYS}/{}", treasury.id("narrow"));
    let wide = json!({ "scopes": ["orders:read", "orders:write"] });
    olga.must("PATCH", &path, Some(&wide), 200)?;
    server.stop()?;
    let mut wrongs = Wrongs::default();
    if let Some(attack) = ATTACKS.first() {
        after_restart(setting, copy.path(), &Start::default(), treasury, attack, &mut wrongs)?;
    }
    Ok(Figure::new(
        "the first of them with a planted fault: made by somebody who has the master key",
        wrongs.told(),
        "the harness finds it",
        wrongs.count() == 3,
    ))
}

fn on_postgres(setting: &Setting, postgres: &Server) -> anyhow::Result<Figure> {
    let folder = setting.folder()?;
    let start = Start::default().variable("KEYHOLT_DATABASE", postgres.url());
    let mut server = setting.start(folder.path(), &start)?;
    let treasury = Treasury::fill(&mut server)?;
    server.stop()?;
    let mut database = Sql::open(&postgres.url())?;
    database.run("CREATE TABLE kept_keys AS SELECT * FROM keys")?;
    database.run("CREATE TABLE kept_records AS SELECT * FROM records")?;
    let mut wrongs = Wrongs::default();
    for attack in ATTACKS {
        run_all(&treasury, attack, postgres_literal, |sql| database.run(sql))?;
        after_restart(setting, folder.path(), &start, &treasury, attack, &mut wrongs)?;
        for table in ["keys", "records"] {
            database.run(&format!("DELETE FROM {table}"))?;
            database.run(&format!("INSERT INTO {table} SELECT * FROM kept_{table}"))?;
        }
    }
    setting.register(treasury.secrets.values())?;
    Ok(figure("PostgreSQL, changed while the server stood still", &wrongs))
}

/// While a server runs it believes its memory, until the feed names a row; the attacker writes the feed too.
fn on_running_postgres(setting: &Setting, postgres: &Server) -> anyhow::Result<Figure> {
    let mut wrongs = Wrongs::default();
    // Each needs a house of its own, because what a running server knows it does not unlearn.
    let of_keys = |attack: &&Attack| attack.sql.iter().any(|sql| sql.contains("UPDATE keys"));
    for (number, attack) in ATTACKS
        .iter()
        .filter(of_keys)
        .enumerate()
        .take(setting.form.of(3, usize::MAX))
    {
        let folder = setting.folder()?;
        let name = format!("running_{number}");
        let mut database = Sql::open(&postgres.url())?;
        database.run(&format!("CREATE DATABASE {name}"))?;
        let url = postgres.url().replace("/postgres", &format!("/{name}"));
        let mut database = Sql::open(&url)?;
        let start = Start::default().variable("KEYHOLT_DATABASE", url);
        let mut server = setting.start(folder.path(), &start)?;
        let treasury = Treasury::fill(&mut server)?;
        run_all(&treasury, attack, postgres_literal, |sql| database.run(sql))?;
        // What is in memory is right: nothing that was not valid may become so.
        let mut olga = treasury.people.operator(server.address());
        let early: &[(&str, &str)] = &[
            ("narrow", "orders:write"),
            ("revoked", "orders:read"),
            ("expired", "orders:read"),
        ];
        for (name, scope) in early {
            if treasury.ask(&mut olga, name, scope)? == "valid" {
                wrongs.add(format!("{}: `{name}` is valid for {scope}", attack.what));
            }
        }
        for (name, ..) in attack.asked {
            let id = postgres_literal(treasury.id(name));
            database.run(&format!("UPDATE keys SET revision = revision + 1 WHERE id = {id}"))?;
            database.run("UPDATE feed_head SET number = number + 1")?;
            database.run(&format!(
                "INSERT INTO events SELECT (SELECT number FROM feed_head), project, at, action, refused, actor, \
                 target_noun, target, owner_kind, owner, touched, body FROM events WHERE target = {id} \
                 ORDER BY number LIMIT 1"
            ))?;
        }
        let seen = until(SEEN_WITHIN, || {
            attack.asked.iter().all(|(name, scope, _)| {
                treasury
                    .ask(&mut olga, name, scope)
                    .is_ok_and(|said| said == "tampered")
            })
        });
        if seen.is_none() {
            treasury.judge(&server, attack, &mut wrongs)?;
        }
        expect_alarm(folder.path(), attack, &mut wrongs)?;
        server.stop()?;
        setting.register(treasury.secrets.values())?;
    }
    Ok(figure(
        "PostgreSQL, changed and announced in the feed while the server ran",
        &wrongs,
    ))
}

fn figure(engine: &str, wrongs: &Wrongs) -> Figure {
    Figure::new(
        format!("attacks of a database writer without the master key ({engine})"),
        wrongs.told(),
        "each changed row is refused, and the log raises an alarm",
        wrongs.count() == 0,
    )
}

/// Runs the statements of an attack; each must change something, or nothing was attacked.
fn run_all(
    treasury: &Treasury,
    attack: &Attack,
    literal: impl Fn(&str) -> String,
    mut run: impl FnMut(&str) -> anyhow::Result<usize>,
) -> anyhow::Result<()> {
    for sql in treasury.statements(attack, literal) {
        let changed = run(&sql).with_context(|| format!("{}: {sql}", attack.what))?;
        let is_change = sql.starts_with("UPDATE");
        ensure!(changed > 0 || !is_change, "{}: nothing was changed", attack.what);
    }
    Ok(())
}

fn after_restart(
    setting: &Setting,
    data: &Path,
    start: &Start,
    treasury: &Treasury,
    attack: &Attack,
    wrongs: &mut Wrongs,
) -> anyhow::Result<()> {
    std::fs::remove_file(log_of(data))?;
    let server = setting.start(data, start)?;
    treasury.judge(&server, attack, wrongs)?;
    expect_alarm(data, attack, wrongs)?;
    server.stop()
}

fn expect_alarm(data: &Path, attack: &Attack, wrongs: &mut Wrongs) -> anyhow::Result<()> {
    if !std::fs::read_to_string(log_of(data))?.contains(ALARM) {
        wrongs.add(format!("{}: no alarm", attack.what));
    }
    Ok(())
}

fn postgres_literal(word: &str) -> String {
    match word {
        "zeros" => "decode(repeat('00', 32), 'hex')".to_owned(),
        id => format!("'{id}'"),
    }
}

/// A connection to PostgreSQL, for one statement after the other.
pub(super) struct Sql {
    runtime: tokio::runtime::Runtime,
    client: tokio_postgres::Client,
}

impl Sql {
    /// Connects.
    pub(super) fn open(url: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let client = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
            // The connection ends with the client.
            tokio::spawn(connection);
            anyhow::Ok(client)
        })?;
        Ok(Self { runtime, client })
    }

    /// Runs a statement, and tells how many rows it changed.
    pub(super) fn run(&mut self, sql: &str) -> anyhow::Result<usize> {
        Ok(usize::try_from(self.runtime.block_on(self.client.execute(sql, &[]))?)?)
    }
}
