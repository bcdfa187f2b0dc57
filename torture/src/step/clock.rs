//! The wall clock set back and forward under a running server: no expired key lives again, nothing is swept by mistake.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use keyholt_rig::process::Process;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::figure::{Figure, Wrongs};
use crate::house::{House, KEYS, owner_name, text};
use crate::setting::{Setting, Start, until};

/// How long a server may take to notice a clock that was set.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);
/// How long a state is watched that must stay as it is, in the short form and in the long one.
const WATCHED: (Duration, Duration) = (Duration::from_millis(600), Duration::from_secs(5));

/// How long the keys live, each with the clock's setting at which it must be found dead first.
const LIVES: [(&str, &str, &str); 3] = [
    ("hour", "1h", "+2h"),
    ("month", "30d", "+40d"),
    ("year", "365d", "+800d"),
];

/// What the clock is set to, one after the other.
const SETTINGS: [&str; 7] = ["+2h", "-5m", "+40d", "-10y", "+0", "+800d", "-50y"];

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let what = format!(
        "the wall clock set to {}, one after the other, under a running server, and set back while it stood still",
        SETTINGS.join(", ")
    );
    let Some(library) = library() else {
        return Ok(vec![Figure::not_tried(what, "libfaketime is not installed")]);
    };
    let house = House::build(setting)?;
    let folder = house.copy(setting)?;
    let clock = folder.path().join("clock");
    let set = |to: &str| {
        // Put in place at once, so that it is never read half written.
        fs::write(folder.path().join("clock.new"), format!("{to}\n"))?;
        fs::rename(folder.path().join("clock.new"), &clock)
    };
    set("+0")?;
    let start = Start::default()
        .variable("LD_PRELOAD", library.to_string_lossy())
        .variable("FAKETIME_TIMESTAMP_FILE", clock.to_string_lossy())
        .variable("FAKETIME_NO_CACHE", "1")
        .variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .variable("DONT_FAKE_MONOTONIC", "1");
    let server = setting.start(folder.path(), &start)?;
    let mut olga = house.people.operator(server.address());
    let mut gateway = house.people.gateway(server.address());
    let mut wrongs = Wrongs::default();

    let mut keys = Vec::new();
    for (name, life, _) in LIVES {
        keys.push((name, make(&mut olga, name, json!({ "expires_in": life }))?));
    }
    let eternal = make(&mut olga, "eternal", json!({}))?;
    let revoked = make(&mut olga, "revoked", json!({}))?;
    olga.must(
        "POST",
        &format!("{KEYS}/{}/revoke", revoked.0),
        Some(&json!({ "cause": "x" })),
        200,
    )?;
    let (records, events) = (count(&mut olga, KEYS, "keys")?, count(&mut olga, EVENTS, "events")?);

    let mut code = |secret: &str| -> anyhow::Result<String> {
        Ok(gateway
            .verdict("/v1/verify", secret, &["orders:read"])?
            .code()
            .to_owned())
    };
    let mut dead: Vec<&str> = Vec::new();
    for to in SETTINGS {
        set(to)?;
        for ((name, key), (_, _, dies_at)) in keys.iter().zip(LIVES) {
            if dies_at == to {
                let noticed = until(NOTICED_WITHIN, || code(&key.1).is_ok_and(|code| code == "expired"));
                noticed.with_context(|| format!("set to {to}, the clock does not end `{name}`"))?;
                dead.push(name);
            }
        }
        let since = std::time::Instant::now();
        while since.elapsed() < setting.form.of(WATCHED.0, WATCHED.1) {
            for (name, key) in &keys {
                let expected = if dead.contains(name) { "expired" } else { "valid" };
                let said = code(&key.1)?;
                if said != expected {
                    wrongs.add(format!("at {to} `{name}` is `{said}`, must be `{expected}`"));
                }
            }
            for (name, key, expected) in [("eternal", &eternal, "valid"), ("revoked", &revoked, "revoked")] {
                let said = code(&key.1)?;
                if said != expected {
                    wrongs.add(format!("at {to} `{name}` is `{said}`, must be `{expected}`"));
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let now = (count(&mut olga, KEYS, "keys")?, count(&mut olga, EVENTS, "events")?);
        if now != (records, events) {
            wrongs.add(format!(
                "at {to} there are {now:?} keys and events, there were {:?}",
                (records, events)
            ));
        }
    }
    if !fs::read_to_string(crate::setting::log_of(folder.path()))?.contains(ALARM) {
        wrongs.add("the log does not say that the clock was set back");
    }
    server.stop()?;
    after_restart(setting, &house, folder.path(), &keys, &start, &mut wrongs)?;
    setting.register(keys.iter().map(|(_, key)| &key.1).chain([&eternal.1, &revoked.1]))?;
    setting.keep(folder.path(), "clock")?;
    Ok(vec![Figure::new(
        what,
        wrongs.told(),
        "what has expired stays expired, what lives goes on, nothing is swept, and the log says so",
        wrongs.count() == 0,
    )])
}

/// The machine starts again with its clock where it was at first, after a stop and after a kill: what expired stays expired.
fn after_restart(
    setting: &Setting,
    house: &House,
    data: &Path,
    keys: &[(&str, (String, String))],
    start: &Start,
    wrongs: &mut Wrongs,
) -> anyhow::Result<()> {
    fs::write(data.join("clock"), "+0\n")?;
    for end in [Process::stop as fn(Process) -> anyhow::Result<()>, killed] {
        fs::write(crate::setting::log_of(data), "")?;
        let server = setting.start(data, start)?;
        let mut gateway = house.people.gateway(server.address());
        for (name, key) in keys {
            let said = gateway.verdict("/v1/verify", &key.1, &["orders:read"])?;
            if said.code() != "expired" {
                wrongs.add(format!(
                    "after a restart `{name}` is `{}`, must be `expired`",
                    said.code()
                ));
            }
        }
        let ready = gateway.must("GET", "/readyz", None, 200)?;
        if ready["clock_behind_s"].as_u64().is_none() {
            wrongs.add("after a restart the server does not tell that its machine's clock is behind");
        }
        end(server)?;
        if !fs::read_to_string(crate::setting::log_of(data))?.contains(ALARM) {
            wrongs.add("after a restart the log does not say that the clock was set back");
        }
    }
    Ok(())
}

fn killed(mut server: Process) -> anyhow::Result<()> {
    server.kill()
}

/// What the log says.
const ALARM: &str = "the machine's clock was set back";
const EVENTS: &str = "/v1/projects/acme/events";

/// Id and secret of a new key.
fn make(olga: &mut Caller, name: &str, life: Value) -> anyhow::Result<(String, String)> {
    let mut body = json!({ "name": name, "owner": { "user": owner_name(0) }, "scopes": ["orders:read"] });
    if let (Some(body), Some(life)) = (body.as_object_mut(), life.as_object()) {
        body.extend(life.clone());
    }
    let made = olga.must("POST", KEYS, Some(&body), 201)?;
    Ok((text(&made, "/key/id"), text(&made, "/secret")))
}

fn count(olga: &mut Caller, path: &str, member: &str) -> anyhow::Result<usize> {
    let page = olga.must("GET", &format!("{path}?limit=1000"), None, 200)?;
    Ok(page[member].as_array().map_or(0, Vec::len))
}

/// The library that answers instead of the system when somebody asks for the time.
fn library() -> Option<PathBuf> {
    let architectures = fs::read_dir("/usr/lib").ok()?.flatten();
    let mut candidates = architectures.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    candidates.find(|path| path.exists())
}
