//! `keyholt doctor`: looks whether all is well between this machine and the server.

use clap::Args;
use jiff::fmt::rfc2822;
use keyholt_api::master_key::MasterKeyState;
use keyholt_api::meta::{Health, Meta};
use keyholt_api::whoami::Whoami;
use keyholt_core::id::SYSTEM;
use keyholt_core::scope::{ScopeSet, Wanted};
use keyholt_core::time::{Moment, Span};
use serde::Serialize;

use super::version::VERSION;
use super::whoami::about_self;
use crate::connection::request::{Path, Request};
use crate::connection::{Connection, Look};
use crate::context::Context;
use crate::exit::Exit;
use crate::login::file::is_open_to_others;
use crate::login::{Credential, Source};
use crate::printer::Form;
use crate::printer::table::{Cell, Head, Table, Tone};
use crate::show::owner_text;
use crate::trouble::Trouble;

/// The interface that this program speaks.
const API: &str = "v1";
/// Clocks this far apart are worth a word: the `Date` header counts whole seconds.
const SKEW_NOTED: Span = Span::secs(5);
/// Clocks this far apart make expiries and logs misleading.
const SKEW_BAD: Span = Span::secs(300);
/// An end this near is worth a word.
const END_NEAR: Span = Span::days(14);
/// Keys that are named where something hangs on an earlier master key.
const KEYS_SHOWN: usize = 5;
/// What scopes in Keyholt's own name allow, in words.
const MAY: [(&str, &str); 12] = [
    ("keyholt:verify", "verify keys"),
    ("keyholt:explain", "explain verdicts"),
    ("keyholt:keys:read", "read all keys"),
    ("keyholt:keys:write", "create and change all keys"),
    ("keyholt:owners:read", "read owners"),
    ("keyholt:owners:write", "change owners"),
    ("keyholt:project:read", "read the project"),
    ("keyholt:project:write", "change the project and its roles"),
    ("keyholt:audit:read", "read the audit trail"),
    ("keyholt:operate", "operate all projects"),
    ("keyholt:self:read", "read its owner's keys"),
    ("keyholt:self:write", "create and change its owner's keys"),
];

/// Nothing more to say.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 all is well, warnings aside; 1 something is wrong; 2 the server cannot be asked.\n\n\
                        Example:\n  keyholt doctor --server https://keys.example.com"
)]
pub struct Doctor {}

/// What was looked at, and what was found.
#[derive(Serialize)]
struct Finding {
    check: &'static str,
    outcome: Outcome,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Good,
    Warning,
    Wrong,
    Unknown,
}

#[derive(Serialize)]
struct Report {
    checks: Vec<Finding>,
}

impl Report {
    fn add(&mut self, check: &'static str, outcome: Outcome, found: impl Into<String>) {
        self.checks.push(Finding {
            check,
            outcome,
            found: found.into(),
            hint: None,
        });
    }

    fn add_with_hint(&mut self, check: &'static str, outcome: Outcome, found: impl Into<String>, hint: &str) {
        self.add(check, outcome, found);
        if let Some(finding) = self.checks.last_mut() {
            finding.hint = Some(hint.to_owned());
        }
    }

    fn has(&self, outcome: Outcome) -> bool {
        self.checks.iter().any(|finding| finding.outcome == outcome)
    }
}

impl Doctor {
    /// Runs the command.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        let mut report = Report { checks: Vec::new() };
        let (server, named) = context.server()?;
        report.add("server", Outcome::Good, format!("{server} ({named})"));
        if server.is_encrypted() {
            report.add(
                "tls",
                Outcome::Good,
                "requests are encrypted and the certificate is checked",
            );
        } else if server.is_in_the_clear() {
            let found = "plain HTTP: anybody on the way can read the credential";
            report.add_with_hint("tls", Outcome::Warning, found, "use the server's `https` address");
        } else {
            report.add("tls", Outcome::Good, "plain HTTP that does not leave this machine");
        }
        look_at_files(context, &mut report);
        let credential = look_for_credential(context, &server.to_string(), &mut report);
        let nobody = context.connection_with(None)?;
        if look_at_server(context, &nobody, &mut report).await
            && let Some(credential) = credential
        {
            let connection = context.connection_with(Some(&credential))?;
            look_at_credential(context.now(), &connection, &mut report).await;
        }
        print(context, &report)?;
        // Where something could not be asked, "something is wrong" would be a verdict without evidence.
        Ok(if report.has(Outcome::Unknown) {
            Exit::Trouble
        } else if report.has(Outcome::Wrong) {
            Exit::No
        } else {
            Exit::Yes
        })
    }
}

fn look_at_files(context: &Context, report: &mut Report) {
    let Some(file) = context.wallet.file() else { return };
    for (path, mode) in file.modes() {
        let shown = path.display();
        match mode {
            None => {}
            Some(mode) if is_open_to_others(mode) => {
                let hint = format!("chmod go= '{shown}'");
                report.add_with_hint(
                    "files",
                    Outcome::Wrong,
                    format!("others may use `{shown}` (mode {mode:o})"),
                    &hint,
                );
            }
            Some(mode) => report.add(
                "files",
                Outcome::Good,
                format!("only you may use `{shown}` (mode {mode:o})"),
            ),
        }
    }
}

fn look_for_credential(context: &Context, server: &str, report: &mut Report) -> Option<Credential> {
    match context.wallet.credential(server) {
        Ok(Some(credential)) => {
            report.add("credential", Outcome::Good, format!("comes from {}", credential.source));
            if let Source::NamedFile(path) = &credential.source {
                look_at_named_file(path, report);
            }
            Some(credential)
        }
        Ok(None) => {
            report.add_with_hint(
                "credential",
                Outcome::Warning,
                "there is none for this server",
                "log in with `keyholt login`",
            );
            None
        }
        Err(trouble) => {
            let hint = trouble.hints().first().cloned().unwrap_or_default();
            report.add_with_hint("credential", Outcome::Wrong, told(&trouble), &hint);
            None
        }
    }
}

fn look_at_named_file(path: &std::path::Path, report: &mut Report) {
    use std::os::unix::fs::MetadataExt;
    let mode = std::fs::metadata(path).map(|metadata| metadata.mode() & 0o777);
    if let Ok(mode) = mode
        && is_open_to_others(mode)
    {
        let shown = path.display();
        let found = format!("others may read `{shown}` (mode {mode:o})");
        report.add_with_hint("files", Outcome::Warning, found, &format!("chmod go= '{shown}'"));
    }
}

/// Whether the server answers at all.
async fn look_at_server(context: &Context, connection: &Connection, report: &mut Report) -> bool {
    let request = Request::read(Path::of(&[API, "meta"]), "ask the server what it is");
    let before = context.now();
    let look = match connection.look(&request).await {
        Ok(look) => look,
        Err(trouble) => {
            report.add_with_hint(
                "reachable",
                Outcome::Unknown,
                told(&trouble),
                "is the server running, and is `--server` its address?",
            );
            return false;
        }
    };
    let after = context.now();
    let meta: Option<Meta> = serde_json::from_str(&look.body).ok();
    let Some(meta) = meta.filter(|_| look.status.is_success()) else {
        let found = format!("it answered `{}`, and not in Keyholt's words", look.status);
        report.add_with_hint("reachable", Outcome::Unknown, found, "is that the address of Keyholt?");
        return false;
    };
    let took = after.since(before).ms();
    report.add("reachable", Outcome::Good, format!("it answered within {took} ms"));
    look_at_version(&meta, report);
    look_at_clock(&look, before, after, report);
    let ready = Request::read(Path::of(&["readyz"]), "ask the server whether it is ready");
    match connection.look(&ready).await {
        Ok(look) if look.status.is_success() => {
            report.add("ready", Outcome::Good, "it says that it is ready");
            look_at_time(&look, report);
        }
        Ok(look) => report.add_with_hint(
            "ready",
            Outcome::Wrong,
            format!("it says that it is not ready (`{}`)", look.status),
            "its log says why",
        ),
        Err(trouble) => report.add("ready", Outcome::Unknown, told(&trouble)),
    }
    true
}

/// Whether the server goes by a later time than its machine does.
fn look_at_time(look: &Look, report: &mut Report) {
    let health: Option<Health> = serde_json::from_str(&look.body).ok();
    if let Some(seconds) = health.and_then(|health| health.clock_behind_s) {
        let behind = Span::secs(seconds);
        let found = format!("the server's machine has a clock that is {behind} behind the time it had reached");
        let hint = "put the machine's clock right; if the time before was wrong, start the server once with \
                    `--clock-set-back believe`";
        report.add_with_hint("time", Outcome::Wrong, found, hint);
    }
}

fn look_at_version(meta: &Meta, report: &mut Report) {
    let found = format!(
        "server {}, this program {VERSION}, interface {}",
        meta.version, meta.api
    );
    if meta.api != API {
        let hint = "use a command line of the server's version";
        report.add_with_hint("version", Outcome::Wrong, found, hint);
    } else if meta.version != VERSION {
        report.add_with_hint(
            "version",
            Outcome::Warning,
            found,
            "newer things may be missing on one side",
        );
    } else {
        report.add("version", Outcome::Good, found);
    }
}

fn look_at_clock(look: &Look, before: Moment, after: Moment, report: &mut Report) {
    let date = look.date.as_deref().and_then(|date| rfc2822::parse(date).ok());
    let Some(date) = date else {
        report.add("clock", Outcome::Warning, "the answer has no readable `Date`");
        return;
    };
    let theirs = Moment::from_ms(date.timestamp().as_millisecond());
    // The header leaves out the part of a second that had passed, and was written some time between asking and hearing.
    let second = Span::secs(1);
    let apart = theirs.since(after).max(before.since(theirs.plus(second)));
    let found = if apart == Span::ZERO {
        "the server's clock and this machine's agree".to_owned()
    } else {
        format!("the server's clock and this machine's are {apart} apart")
    };
    let outcome = if apart > SKEW_BAD {
        Outcome::Wrong
    } else if apart > SKEW_NOTED {
        Outcome::Warning
    } else {
        Outcome::Good
    };
    if outcome == Outcome::Good {
        report.add("clock", outcome, found);
    } else {
        report.add_with_hint(
            "clock",
            outcome,
            found,
            "keys expire by the server's clock: set both by NTP",
        );
    }
}

async fn look_at_credential(now: Moment, connection: &Connection, report: &mut Report) {
    let whoami = match connection.send::<Whoami>(&about_self("try the credential")).await {
        Ok(answer) => answer.value,
        Err(trouble) => {
            // A refusal is an answer; everything else leaves the question open.
            let outcome = match trouble.problem().map(|problem| problem.status) {
                Some(400..=499) => Outcome::Wrong,
                _ => Outcome::Unknown,
            };
            report.add_with_hint("accepted", outcome, told(&trouble), "log in again with `keyholt login`");
            return;
        }
    };
    let owner = owner_text(&whoami.owner);
    let found = format!(
        "key `{}` of {owner} in project `{}`",
        whoami.key.name, whoami.project.slug
    );
    report.add("accepted", Outcome::Good, found);
    let scopes = ScopeSet::parse(whoami.effective_scopes.iter().map(String::as_str)).unwrap_or_default();
    let covers = |scope| Wanted::parse(scope).is_ok_and(|wanted| scopes.covers(wanted));
    let may: Vec<&str> = MAY
        .iter()
        .filter(|(scope, _)| covers(scope))
        .map(|(_, words)| *words)
        .collect();
    if may.is_empty() {
        report.add("may", Outcome::Warning, "nothing in Keyholt but look at itself");
    } else {
        report.add("may", Outcome::Good, may.join(", "));
    }
    if whoami.project.id == SYSTEM && covers("keyholt:operate") {
        look_at_master_key(connection, report).await;
    }
    match whoami.key.expires_at {
        None => report.add("expiry", Outcome::Good, "the key never expires"),
        Some(at) if at.since(now) < END_NEAR => {
            report.add_with_hint(
                "expiry",
                Outcome::Warning,
                format!("the key expires at {at}"),
                "make a new key in time",
            );
        }
        Some(at) => report.add("expiry", Outcome::Good, format!("the key expires at {at}")),
    }
}

/// What still hangs on the master key before. Nothing is said where there never was another one.
async fn look_at_master_key(connection: &Connection, report: &mut Report) {
    let request = Request::read(
        Path::of(&[API, "master-key"]),
        "ask what hangs on the master key before",
    );
    let state = match connection.send::<MasterKeyState>(&request).await {
        Ok(answer) => answer.value,
        // An older server has no such question.
        Err(trouble) if trouble.problem().is_some() => return,
        Err(trouble) => return report.add("master key", Outcome::Unknown, told(&trouble)),
    };
    let left = state.secrets_left + state.passwords_left;
    let first: Vec<String> = state
        .keys
        .iter()
        .take(KEYS_SHOWN)
        .map(|key| format!("`{}`", key.key))
        .collect();
    let such_as = if first.is_empty() {
        String::new()
    } else {
        format!(", such as {}", first.join(", "))
    };
    let left_behind = format!(
        "{} secrets of keys and sessions{such_as} and {} passwords",
        state.secrets_left, state.passwords_left
    );
    let (outcome, found, hint) = match (state.previous_known, state.sealing) {
        (false, _) if left == 0 => return,
        (false, _) => (
            Outcome::Wrong,
            format!("not recognised, for they are of an earlier master key: {left_behind}"),
            "give the server the previous master key again, or rotate them and set new passwords",
        ),
        (true, true) => (
            Outcome::Warning,
            "rows are still being sealed with the new master key".to_owned(),
            "leave the previous one beside it",
        ),
        (true, false) if left == 0 => (
            Outcome::Warning,
            "nothing hangs on the previous master key any more".to_owned(),
            "take the setting `master_key_previous_file` away, and restart the server",
        ),
        (true, false) => (
            Outcome::Warning,
            format!("recognised by the previous master key alone, until they are used: {left_behind}"),
            "leave it beside the new one until they are used, or rotate them; `GET /v1/master-key` names them",
        ),
    };
    report.add_with_hint("master key", outcome, found, hint);
}

/// A trouble in one line.
fn told(trouble: &Trouble) -> String {
    let causes = trouble.causes().iter().map(String::as_str);
    std::iter::once(trouble.says())
        .chain(causes)
        .collect::<Vec<_>>()
        .join(": ")
}

fn print(context: &mut Context, report: &Report) -> Result<(), Trouble> {
    if context.printer.form() == Form::Json {
        let json =
            serde_json::to_string(report).map_err(|error| Trouble::new("cannot write the report").because(&error))?;
        return context.printer.document(&json);
    }
    let mut table = Table::new([Head::whole("CHECK"), Head::whole("OUTCOME"), Head::words("FOUND")]);
    for finding in &report.checks {
        let outcome = match finding.outcome {
            Outcome::Good => Cell::toned("good", Tone::Good),
            Outcome::Warning => Cell::toned("warning", Tone::Wary),
            Outcome::Wrong => Cell::toned("wrong", Tone::Bad),
            Outcome::Unknown => Cell::toned("unknown", Tone::Bad),
        };
        let found = match &finding.hint {
            Some(hint) => format!("{}; {hint}", finding.found),
            None => finding.found.clone(),
        };
        table.row([finding.check.into(), outcome, found.into()]);
    }
    context.printer.table(&table)
}
