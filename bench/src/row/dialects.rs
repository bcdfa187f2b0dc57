//! The dialects: an authenticated trivial request in each against the native verify of the same keys, all in one process.

use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Findings, Table};
use crate::data::{ASKED, Facts, PROJECT, owner_handle};
use crate::figure::{Figure, Limit, Unit, ratio, spread};
use crate::load::{Expected, Outlook, Request, Round, SLOT, Script, Words};
use crate::process::Process;
use crate::setting::{Extent, Setting, bearer, by_turns, rest, started};
use crate::wire;

const CONNECTIONS: usize = 32;
/// Keys that are presented in each dialect, one owner each.
const KEYS: usize = 200;
/// Every dialect below a path of the main listener.
pub(super) const FLAGS: [&str; 16] = [
    "--dialects-meerschaum-project",
    PROJECT,
    "--dialects-meerschaum-mount",
    "/meerschaum",
    "--dialects-datalayer-project",
    PROJECT,
    "--dialects-datalayer-mount",
    "/datalayer",
    "--dialects-directus-project",
    PROJECT,
    "--dialects-directus-mount",
    "/directus",
    "--dialects-stackauth-project",
    PROJECT,
    "--dialects-stackauth-mount",
    "/stackauth",
];

/// A request in one tongue.
pub(super) struct Spoken {
    /// The name of its figure.
    pub name: &'static str,
    /// What is asked.
    pub what: &'static str,
    /// The request.
    pub script: Script,
}

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let copy = setting.set(size)?.copy(&setting.home)?;
    let server = started(setting.serve(&copy.set.folder).args(FLAGS))?;
    let made = made(&server, &copy.set.facts)?;
    let mut spoken = vec![native(&copy.set.facts, &made)?];
    spoken.extend(tongues(&server, &copy.set.facts, &made)?);
    rest();
    let rounds = by_turns(setting.extent.rounds, spoken.len(), |at| {
        let Spoken { name, script, .. } = &spoken[at];
        setting.closed(&server, CONNECTIONS, script).context(*name)
    })?;
    let of = |at: usize, number: fn(&Round) -> f64| rounds[at].iter().map(number).collect::<Vec<f64>>();
    let remark = format!(
        "{CONNECTIONS} connections, {} keys held, {KEYS} presented, all dialects in one process on one database.",
        Extent::word(size)
    );
    let columns = ["request", "requests/s", "server CPU µs/request", "p50 ms", "p99 ms"];
    let mut table = Table::new("Dialects beside the native verify", &columns, remark);
    let mut figures = Vec::new();
    for (at, Spoken { name, what, .. }) in spoken.iter().enumerate() {
        if at > 0 {
            figures.push(Figure::limited(
                &format!("dialect-{name}"),
                &format!("{what}: requests per second against the native verify"),
                ratio(&of(at, Round::per_second), &of(0, Round::per_second)),
                Unit::Times,
                Limit::AtLeast(0.5),
            ));
        }
        table.line([
            (*what).to_owned(),
            spread(&of(at, Round::per_second), 0),
            spread(&of(at, Round::cpu_us), 1),
            spread(&of(at, Round::p50_ms), 2),
            spread(&of(at, Round::p99_ms), 1),
        ]);
    }
    server.stop()?;
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

/// A key that was made for this.
pub(super) struct Made {
    id: String,
    secret: String,
}

/// Makes the keys: each carries everything that its owner may do.
pub(super) fn made(server: &Process, facts: &Facts) -> anyhow::Result<Vec<Made>> {
    let path = format!("/v1/projects/{PROJECT}/keys");
    let one = |number: usize| {
        let wish = json!({"name": "bench", "owner": {"user": owner_handle(number)}, "scopes": "everything"});
        let request = Request {
            method: "POST",
            path: &path,
            headers: bearer(&facts.operator),
            body: Some(wish.to_string()),
        };
        let made = wire::ask(server.address(), &request, 201)?;
        Ok(Made {
            id: text(&made["key"]["id"])?,
            secret: text(&made["secret"])?,
        })
    };
    (0..KEYS).map(one).collect()
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value.as_str().context("a text in the answer")?.to_owned())
}

fn native(facts: &Facts, made: &[Made]) -> anyhow::Result<Spoken> {
    let request = Request {
        method: "POST",
        path: "/v1/verify",
        headers: bearer(&facts.gateway),
        body: Some(format!(r#"{{"credential":"{SLOT}","scopes":["{ASKED}"]}}"#)),
    };
    let secrets = words(made.iter().map(|made| made.secret.clone()))?;
    Ok(Spoken {
        name: "native",
        what: "native verify",
        script: Script::with_words(&request, &secrets, Expected::Verdicts)?,
    })
}

/// The trivial request of each tongue.
pub(super) fn tongues(server: &Process, facts: &Facts, made: &[Made]) -> anyhow::Result<Vec<Spoken>> {
    let ok = Expected::Status(200);
    let secrets = || words(made.iter().map(|made| made.secret.clone()));
    let get = |path, headers| Request {
        method: "GET",
        path,
        headers,
        body: None,
    };
    let pairs = made
        .iter()
        .map(|made| STANDARD.encode(format!("{}:{}", made.id, made.secret)));
    let validate = Request {
        method: "POST",
        path: "/meerschaum/tokens/validate",
        headers: bearer(&format!("mrsm-key:{SLOT}")),
        body: None,
    };
    let values = made
        .iter()
        .map(|made| value(server, made))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let whoami = get("/datalayer/api/iam/v1/whoami", bearer(SLOT));
    let me = get("/directus/users/me?fields=id", bearer(SLOT));
    let project = facts.project.to_string();
    let headers = |level: &str, (key, secret): (&'static str, &str)| {
        vec![
            ("x-stack-project-id", project.clone()),
            ("x-stack-access-type", level.to_owned()),
            (key, secret.to_owned()),
        ]
    };
    let server_key = server_key(server, facts)?;
    let check = Request {
        method: "POST",
        path: "/stackauth/api/v1/user-api-keys/check",
        headers: headers("server", ("x-stack-secret-server-key", &server_key)),
        body: Some(format!(r#"{{"api_key":"{SLOT}"}}"#)),
    };
    Ok(vec![
        Spoken {
            name: "directus",
            what: "Directus: who am I, with a static token",
            script: Script::with_words(&me, &secrets()?, ok)?,
        },
        Spoken {
            name: "meerschaum",
            what: "Meerschaum: validate an API key",
            script: Script::with_words(&validate, &words(pairs)?, ok)?,
        },
        Spoken {
            name: "datalayer",
            what: "Datalayer: who am I, with an API key",
            script: Script::with_words(&whoami, &words(values)?, ok)?,
        },
        Spoken {
            name: "stackauth",
            what: "Stack Auth: check a user's API key",
            script: Script::with_words(&check, &secrets()?, ok)?,
        },
    ])
}

fn words(texts: impl IntoIterator<Item = String>) -> anyhow::Result<Arc<Words>> {
    Ok(Arc::new(Words::new(Outlook::Good, texts)?))
}

/// A key in the form in which Datalayer's clients hold it.
fn value(server: &Process, made: &Made) -> anyhow::Result<String> {
    let request = Request {
        method: "POST",
        path: "/datalayer/api/iam/v1/api-keys",
        headers: bearer(&made.secret),
        body: Some(json!({"name": "bench", "description": "", "expirationDate": 4_000_000_000_000_i64}).to_string()),
    };
    text(&wire::ask(server.address(), &request, 201)?["token"])
}

/// The key of an application's server, which may do what such a server does.
fn server_key(server: &Process, facts: &Facts) -> anyhow::Result<String> {
    let services = format!("/v1/projects/{PROJECT}/services");
    let keys = format!("/v1/projects/{PROJECT}/keys");
    let asked = [
        (services.as_str(), json!({"name": "shop", "roles": ["admin"]})),
        (
            keys.as_str(),
            json!({"name": "shop", "owner": {"service": "shop"}, "scopes": "everything"}),
        ),
    ];
    let mut last = Value::Null;
    for (path, body) in asked {
        let request = Request {
            method: "POST",
            path,
            headers: bearer(&facts.operator),
            body: Some(body.to_string()),
        };
        last = wire::ask(server.address(), &request, 201)?;
    }
    text(&last["secret"])
}
