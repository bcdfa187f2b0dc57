//! SIGTERM under load loses no request and no use; kill -9 loses at most the uses of the last moments.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::caller::{Caller, PATIENCE};
use crate::figure::{Figure, Wrongs};
use crate::house::{House, KEYS, owner_name, text};
use crate::setting::{Setting, Start};

/// Who asks at the same time, each on a connection that is kept.
const CLIENTS: usize = 16;
/// How long everything works before the signal.
const BEFORE: Duration = Duration::from_millis(300);
/// Before a kill it must be longer than uses are kept in memory.
const BEFORE_KILL: Duration = Duration::from_millis(3500);
/// The default of `usage.flush_every`, and what a busy machine may add to it.
const FLUSHED_WITHIN: Duration = Duration::from_secs(1);
const TOLERANCE: Duration = Duration::from_secs(1);

/// How a server is ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Asked,
    Killed,
}

/// What one client saw: the times of its grants, and what went wrong.
#[derive(Debug, Default)]
struct Seen {
    granted: Vec<Instant>,
    failed: usize,
    wrongs: Wrongs,
}

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(setting)?;
    Ok(vec![
        asked(setting, &house)?,
        killed(setting, &house)?,
        planted(setting, &house)?,
    ])
}

fn asked(setting: &Setting, house: &House) -> anyhow::Result<Figure> {
    let rounds = setting.count(5, 100);
    let (mut wrongs, mut failed, mut granted, mut lost) = (Wrongs::default(), 0, 0, 0);
    for _ in 0..rounds {
        let (seen, counted, _) = one_round(setting, house, &Start::default(), End::Asked)?;
        failed += seen.failed;
        granted += seen.granted.len();
        lost += seen.granted.len().abs_diff(counted);
        wrongs.join(seen.wrongs);
    }
    Ok(Figure::new(
        format!("SIGTERM under {CLIENTS} busy keep-alive clients, {rounds} times"),
        format!(
            "{}; {failed} of {granted} requests failed, {lost} uses lost",
            wrongs.told()
        ),
        "no failed request, no lost use",
        wrongs.count() == 0 && failed == 0 && lost == 0 && granted > rounds * CLIENTS,
    ))
}

fn killed(setting: &Setting, house: &House) -> anyhow::Result<Figure> {
    let rounds = setting.count(1, 20);
    let (mut wrongs, mut lost_all, mut granted) = (Wrongs::default(), 0, 0);
    for _ in 0..rounds {
        let (seen, counted, ended) = one_round(setting, house, &Start::default(), End::Killed)?;
        granted += seen.granted.len();
        lost_all += seen.granted.len().saturating_sub(counted);
        wrongs.join(after_kill(&seen, counted, ended));
    }
    Ok(Figure::new(
        format!("kill -9 under {CLIENTS} busy clients, {rounds} times"),
        format!("{}; {lost_all} of {granted} uses lost", wrongs.told()),
        "lost uses are those of the last two seconds: usage.flush_every, and as much again on a busy machine",
        wrongs.count() == 0 && granted > 0,
    ))
}

/// A server that keeps uses in memory for too long must be found out.
fn planted(setting: &Setting, house: &House) -> anyhow::Result<Figure> {
    let lazy = Start::default().flag("usage-flush-every", "1h");
    let (seen, counted, ended) = one_round(setting, house, &lazy, End::Killed)?;
    let wrongs = after_kill(&seen, counted, ended);
    Ok(Figure::new(
        "the same kill with a planted fault: uses are written once an hour",
        wrongs.told(),
        "the harness finds it",
        wrongs.count() > 0,
    ))
}

/// What is wrong with the uses that are counted after a kill.
fn after_kill(seen: &Seen, counted: usize, ended: Instant) -> Wrongs {
    let mut wrongs = Wrongs::default();
    let late = |at: &&Instant| ended.saturating_duration_since(**at) < FLUSHED_WITHIN + TOLERANCE;
    let may_be_lost = seen.granted.iter().filter(late).count();
    let lost = seen.granted.len().saturating_sub(counted);
    if lost > may_be_lost {
        wrongs.add(format!("{lost} uses lost, {may_be_lost} were of the last moments"));
    }
    // Those whose answers were cut off by the kill may be counted; no use is counted twice.
    if counted > seen.granted.len() + seen.failed {
        wrongs.add(format!("{counted} uses counted, {} granted", seen.granted.len()));
    }
    wrongs
}

/// What clients saw until the end, how many uses are counted after the next start, and when the end was.
fn one_round(setting: &Setting, house: &House, start: &Start, end: End) -> anyhow::Result<(Seen, usize, Instant)> {
    let folder = house.copy(setting)?;
    let mut server = setting.start(folder.path(), start)?;
    let address = server.address();
    let body = json!({ "name": "used", "owner": { "user": owner_name(0) }, "scopes": ["orders:read"] });
    let made = house.people.operator(address).must("POST", KEYS, Some(&body), 201)?;
    let (id, secret) = (text(&made, "/key/id"), text(&made, "/secret"));
    setting.register([&secret])?;
    let over = AtomicBool::new(false);
    let mut all = Seen::default();
    let ended = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| use_it(house, address, &secret, &over)))
            .collect();
        thread::sleep(if end == End::Asked { BEFORE } else { BEFORE_KILL });
        over.store(true, Ordering::Relaxed);
        let ended = Instant::now();
        match end {
            End::Asked => server.stop()?,
            End::Killed => server.kill()?,
        }
        for client in clients {
            let seen = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?;
            all.granted.extend(seen.granted);
            all.failed += seen.failed;
            all.wrongs.join(seen.wrongs);
        }
        anyhow::Ok(ended)
    })?;
    let server = setting.start(folder.path(), &Start::default())?;
    let usage = house
        .people
        .operator(server.address())
        .must("GET", &format!("{KEYS}/{id}/usage"), None, 200)?;
    let hours = usage["hours"].as_array().cloned().unwrap_or_default();
    let granted = hours.iter().filter(|hour| hour["outcome"] == "granted");
    let counted: u64 = granted.filter_map(|hour| hour["count"].as_u64()).sum();
    server.stop()?;
    Ok((all, usize::try_from(counted)?, ended))
}

/// Asks as fast as it can until it is told that the connection ends, or until nobody listens any more.
fn use_it(house: &House, address: SocketAddr, secret: &str, over: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let mut gateway: Caller = house.people.gateway(address).patient_for(PATIENCE);
    let question = json!({ "credential": secret, "scopes": ["orders:read"] });
    loop {
        match gateway.ask("POST", "/v1/verify", Some(&question)) {
            Ok(answer) => {
                if answer.code() == "valid" {
                    seen.granted.push(Instant::now());
                } else {
                    seen.wrongs.add(format!("{} {}", answer.status, answer.body));
                }
                if answer.closes {
                    return seen;
                }
            }
            // Nobody listens: nothing was asked.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return seen,
            Err(_) => {
                seen.failed += 1;
                if !over.load(Ordering::Relaxed) {
                    seen.wrongs.add("a request failed before the end");
                }
                return seen;
            }
        }
    }
}
