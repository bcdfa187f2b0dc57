//! A page of 100 keys with each filter: among many it must not cost more than among few.

use serde_json::Value;

use super::{Findings, Table};
use crate::data::{BULK_OWNER, DataSet, PROJECT, RARE_OWNER};
use crate::figure::{Figure, Limit, Unit, median, ratio};
use crate::load::{Expected, Request, Script};
use crate::process::Process;
use crate::setting::{Extent, Setting, bearer, by_turns, rest};
use crate::wire::ask;

const CONNECTIONS: usize = 4;
const PAGE: usize = 100;

/// Each filter with a value that few keys have and with one that many have. A word after `~` stands for what a data set
/// has in its place.
const FILTERS: &[(&str, &str)] = &[
    ("no filter", ""),
    ("owner, few", "owner=user:~rare"),
    ("owner, many", "owner=user:~bulk"),
    ("kind, few", "kind=publishable"),
    ("kind, many", "kind=standard"),
    ("state, few: suspended", "state=suspended"),
    ("state, few: revoked", "state=revoked"),
    ("state, few: expired", "state=expired"),
    ("state, many: active", "state=active"),
    ("scope, few", "scope=herons:read"),
    ("scope, many", "scope=orders:read"),
    ("tag, few", "tag=rare"),
    ("tag, many", "tag=common"),
    ("text, few", "text=heron"),
    ("text, the beginning of a word", "text=her"),
    ("text, many", "text=key"),
    ("unused_for, few", "unused_for=1825d"),
    ("unused_for, many", "unused_for=1d"),
    ("expiring_within, few", "expiring_within=730d"),
    ("expiring_within, many", "expiring_within=8000d"),
    ("created_by, few", "created_by=~gateway"),
    ("created_by, many", "created_by=~operator"),
];

struct Subject {
    server: Process,
    set: DataSet,
}

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let copies = [setting.extent.small, setting.extent.large].map(|size| setting.set(size)?.copy(&setting.home));
    let mut subjects = Vec::new();
    let mut kept = Vec::new();
    for copy in copies {
        let copy = copy?;
        subjects.push(Subject {
            server: setting.start(&copy.set.folder)?,
            set: copy.set.clone(),
        });
        kept.push(copy);
    }
    rest();
    let (few, many) = (Extent::word(setting.extent.small), Extent::word(setting.extent.large));
    let columns = [
        "filter",
        "CPU ratio",
        &format!("µs among {few}"),
        &format!("µs among {many}"),
        "p99 ms",
    ];
    let remark = "Server CPU for a page of 100 keys; the last column is the larger data set's. \"Few\" is a value that 200 \
                  keys have in either set.";
    let mut table = Table::new(format!("Pages among {many} keys against {few}"), &columns, remark);
    let mut worst = (f64::NEG_INFINITY, "");
    let mut paths: Vec<(&str, [String; 2])> = Vec::new();
    for (name, query) in FILTERS {
        let path = |subject: &Subject| page_path(&subject.set, query);
        paths.push((name, [path(&subjects[0]), path(&subjects[1])]));
    }
    let next = |subject: &Subject| -> anyhow::Result<String> {
        let first = page(subject, &page_path(&subject.set, ""))?;
        let cursor = first.get("next_cursor").and_then(Value::as_str).unwrap_or_default();
        Ok(format!("/v1/projects/{PROJECT}/keys?limit={PAGE}&cursor={cursor}"))
    };
    paths.push(("no filter, second page", [next(&subjects[0])?, next(&subjects[1])?]));
    for (name, paths) in &paths {
        let mut scripts = Vec::new();
        for (subject, path) in subjects.iter().zip(paths) {
            page(subject, path)?;
            let headers = bearer(&subject.set.facts.operator);
            let request = Request {
                method: "GET",
                path,
                headers,
                body: None,
            };
            scripts.push(Script::fixed(&request, Expected::Status(200)));
        }
        let rounds = by_turns(setting.extent.rounds, subjects.len(), |at| {
            setting.closed(&subjects[at].server, CONNECTIONS, &scripts[at])
        })?;
        let cpu = |at: usize| rounds[at].iter().map(|round| round.cpu_us()).collect::<Vec<f64>>();
        let p99 = rounds[1].iter().map(|round| round.p99_ms()).collect::<Vec<f64>>();
        let dearer = ratio(&cpu(1), &cpu(0));
        if dearer > worst.0 {
            worst = (dearer, name);
        }
        let number = |value: f64| format!("{value:.0}");
        table.line([
            (*name).to_owned(),
            format!("{dearer:.2}"),
            number(median(&cpu(0))),
            number(median(&cpu(1))),
            format!("{:.1}", median(&p99)),
        ]);
    }
    for subject in subjects {
        subject.server.stop()?;
    }
    drop(kept);
    let what = format!(
        "page of 100 among {many} keys: CPU against {few}, the worst filter ({})",
        worst.1
    );
    let figures = vec![Figure::limited(
        "list-cpu",
        &what,
        worst.0,
        Unit::Times,
        Limit::AtMost(1.5),
    )];
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

fn page_path(set: &DataSet, query: &str) -> String {
    let query = query
        .replace("~rare", RARE_OWNER)
        .replace("~bulk", BULK_OWNER)
        .replace("~gateway", &set.facts.gateway_key.to_string())
        .replace("~operator", &set.facts.operator_key.to_string());
    let separator = if query.is_empty() { "" } else { "&" };
    format!("/v1/projects/{PROJECT}/keys?limit={PAGE}{separator}{query}")
}

/// Asks for a page and sees that it is a full one.
fn page(subject: &Subject, path: &str) -> anyhow::Result<Value> {
    let request = Request {
        method: "GET",
        path,
        headers: bearer(&subject.set.facts.operator),
        body: None,
    };
    let page = ask(subject.server.address(), &request, 200)?;
    let keys = page.get("keys").and_then(Value::as_array).map_or(0, Vec::len);
    anyhow::ensure!(keys == PAGE, "{path} answered with {keys} keys instead of {PAGE}");
    Ok(page)
}
