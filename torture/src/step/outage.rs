//! PostgreSQL frozen, killed and cut off under load: never a wrong verdict, 503 while nobody can know, and soon back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use keyholt_rig::postgres::Server;
use serde_json::json;

use crate::caller::Caller;
use crate::figure::{Figure, Wrongs};
use crate::house::{KEYS, People, furnish, owner_name, text};
use crate::proxy::Cable;
use crate::setting::{Dice, Setting, Start, until};

/// `staleness.max` in the short form, and its default.
const STALENESS_MAX: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));
/// What a busy machine may add to an agreed time before it counts as broken.
const TOLERANCE: Duration = Duration::from_secs(2);
/// How soon after its database a server must be back.
const BACK_WITHIN: Duration = Duration::from_secs(2);
/// After so long without an answer a client takes it for a hang.
const HANG: Duration = Duration::from_secs(20);
/// Who asks at the same time.
const VERIFIERS: usize = 4;
/// How long everything works before something breaks.
const CALM: Duration = Duration::from_millis(500);

/// A way to lose a database.
struct Outage {
    what: &'static str,
    begin: fn(&Server, &Cable),
    end: fn(&Server, &Cable),
}

const OUTAGES: [Outage; 4] = [
    Outage {
        what: "frozen (SIGSTOP)",
        begin: |server, _| server.freeze(),
        end: |server, _| server.thaw(),
    },
    Outage {
        what: "killed and started again",
        begin: |server, _| server.crash(),
        end: |server, _| server.restart(),
    },
    Outage {
        what: "cut off without a word",
        begin: |_, cable| cable.silence(),
        end: |_, cable| cable.mend(),
    },
    Outage {
        what: "cut off with every connection broken",
        begin: |_, cable| cable.tear(),
        end: |_, cable| cable.mend(),
    },
];

/// What all know while something is broken.
struct Board {
    good: String,
    /// The secret of a key that was deleted.
    unknown: String,
    revoked: Mutex<Vec<String>>,
    /// From when on nobody can know, until when.
    dark: Mutex<Option<(Instant, Option<Instant>)>>,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Outcome {
    verifies: usize,
    cannot_know: usize,
    longest: Duration,
    wrongs: Wrongs,
}

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let postgres = Server::start();
    let cable = Cable::to(SocketAddr::from(([127, 0, 0, 1], postgres.port())))?;
    let url = postgres.url().replace(
        &format!(":{}/", postgres.port()),
        &format!(":{}/", cable.address().port()),
    );
    let folder = setting.folder()?;
    let staleness_max = setting.form.of(STALENESS_MAX.0, STALENESS_MAX.1);
    let start = Start::default()
        .variable("KEYHOLT_DATABASE", url)
        .flag("staleness-max", format!("{}ms", staleness_max.as_millis()));
    let mut server = setting.start(folder.path(), &start)?;
    let people = furnish(&mut server)?;
    setting.register([&people.operator, &people.gateway])?;
    let mut figures = Vec::new();
    for outage in &OUTAGES {
        figures.push(suffer(setting, &postgres, &cable, &people, server.address(), outage)?);
    }
    server.stop()?;
    setting.keep(folder.path(), "outage")?;
    Ok(figures)
}

fn suffer(
    setting: &Setting,
    postgres: &Server,
    cable: &Cable,
    people: &People,
    address: SocketAddr,
    outage: &Outage,
) -> anyhow::Result<Figure> {
    let length = setting.form.of(Duration::from_millis(3500), Duration::from_secs(60));
    let staleness_max = setting.form.of(STALENESS_MAX.0, STALENESS_MAX.1);
    let (_, good) = make(&mut people.operator(address)).context("before the outage")?;
    let mut operator = people.operator(address);
    let (gone, unknown) = make(&mut operator)?;
    operator.must("DELETE", &format!("{KEYS}/{gone}"), None, 204)?;
    let board = Board {
        good,
        unknown,
        revoked: Mutex::default(),
        dark: Mutex::new(None),
        over: AtomicBool::new(false),
    };
    let mut outcome = Outcome::default();
    let back = thread::scope(|scope| {
        let verifiers: Vec<_> = (0..VERIFIERS)
            .map(|number| {
                scope.spawn({
                    let board = &board;
                    move || verify(people, address, board, number as u64)
                })
            })
            .collect();
        let changer = scope.spawn(|| change(setting, people, address, &board));
        thread::sleep(CALM);
        (outage.begin)(postgres, cable);
        let began = Instant::now();
        *board.dark.lock().unwrap_or_else(PoisonError::into_inner) = Some((began + staleness_max + TOLERANCE, None));
        thread::sleep(length);
        // What is asked just before the end may be answered after it.
        if let Some((_, end)) = &mut *board.dark.lock().unwrap_or_else(PoisonError::into_inner) {
            *end = Some(Instant::now());
        }
        (outage.end)(postgres, cable);
        let mut gateway = people.gateway(address).patient_for(HANG);
        let mut operator = people.operator(address).patient_for(HANG);
        let back = until(HANG, || {
            let verified = gateway.verdict("/v1/verify", &board.good, &["orders:read"]);
            verified.is_ok_and(|answer| answer.code() == "valid") && make(&mut operator).is_ok()
        });
        thread::sleep(CALM);
        board.over.store(true, Ordering::Relaxed);
        for thread in verifiers.into_iter().chain([changer]) {
            match thread.join() {
                Ok(part) => {
                    outcome.verifies += part.verifies;
                    outcome.cannot_know += part.cannot_know;
                    outcome.longest = outcome.longest.max(part.longest);
                    outcome.wrongs.join(part.wrongs);
                }
                Err(_) => outcome.wrongs.add("a client panicked"),
            }
        }
        back
    });
    let revoked = board.revoked.into_inner().unwrap_or_else(PoisonError::into_inner);
    setting.register(revoked.iter().chain([&board.good, &board.unknown]))?;
    let shown = back.map_or("not back".to_owned(), |back| {
        format!("back after {:.2} s", back.as_secs_f64())
    });
    Ok(Figure::new(
        format!(
            "PostgreSQL {} for {:.0} s under load",
            outage.what,
            length.as_secs_f64()
        ),
        format!(
            "{}; {} verifies, {} of them 503 `cannot_know`, longest answer {:.2} s, {shown}",
            outcome.wrongs.told(),
            outcome.verifies,
            outcome.cannot_know,
            outcome.longest.as_secs_f64()
        ),
        "no wrong verdict, 503 past staleness.max, back within 2 s, no hang",
        outcome.wrongs.count() == 0
            && outcome.cannot_know > 0
            && back.is_some_and(|back| back <= BACK_WITHIN + TOLERANCE),
    ))
}

fn verify(people: &People, address: SocketAddr, board: &Board, number: u64) -> Outcome {
    let mut outcome = Outcome::default();
    let mut gateway = people.gateway(address).patient_for(HANG);
    let mut dice = Dice::new(number, 6);
    while !board.over.load(Ordering::Relaxed) {
        let revoked = {
            let revoked = board.revoked.lock().unwrap_or_else(PoisonError::into_inner);
            dice.pick(&revoked).cloned()
        };
        let unknown = &board.unknown;
        let questions = [
            (board.good.as_str(), "valid"),
            (
                revoked.as_ref().unwrap_or(unknown),
                if revoked.is_some() { "revoked" } else { "unknown" },
            ),
            (unknown.as_str(), "unknown"),
        ];
        for (secret, right) in questions {
            let asked = Instant::now();
            let answer = gateway.verdict("/v1/verify", secret, &["orders:read"]);
            let took = asked.elapsed();
            outcome.verifies += 1;
            outcome.longest = outcome.longest.max(took);
            let said = match answer {
                Ok(answer) if answer.status == 503 && answer.code() == "cannot_know" => None,
                Ok(answer) => Some(answer.code().to_owned()),
                Err(error) => {
                    outcome.wrongs.add(format!("a verify was not answered: {error}"));
                    continue;
                }
            };
            let dark = *board.dark.lock().unwrap_or_else(PoisonError::into_inner);
            let is_dark = dark.is_some_and(|(from, to)| asked >= from && to.is_none());
            match said.as_deref() {
                None => outcome.cannot_know += 1,
                Some(said) if said != right => outcome.wrongs.add(format!("`{said}` where `{right}` is right")),
                Some(said) if is_dark => outcome.wrongs.add(format!("`{said}` where nobody can know")),
                Some(_) => {}
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    outcome
}

/// Makes keys and revokes them; what was acknowledged as revoked must never be valid again.
fn change(setting: &Setting, people: &People, address: SocketAddr, board: &Board) -> Outcome {
    let mut outcome = Outcome::default();
    let mut operator = people.operator(address).patient_for(HANG);
    while !board.over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let made = make(&mut operator);
        if asked.elapsed() >= HANG {
            outcome.wrongs.add("a create hangs");
        }
        if let Ok((id, secret)) = made {
            // A secret that is forgotten here is searched for all the same.
            if let Err(error) = setting.register([&secret]) {
                outcome.wrongs.add(format!("{error:#}"));
            }
            let revoke = operator.ask("POST", &format!("{KEYS}/{id}/revoke"), Some(&json!({ "cause": "x" })));
            if revoke.is_ok_and(|answer| answer.status == 200) {
                board
                    .revoked
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(secret);
            }
        }
        outcome.longest = outcome.longest.max(asked.elapsed());
        thread::sleep(Duration::from_millis(20));
    }
    outcome
}

/// Id and secret of a new key.
fn make(operator: &mut Caller) -> anyhow::Result<(String, String)> {
    let body = json!({ "name": "outage", "owner": { "user": owner_name(0) }, "scopes": ["orders:read"] });
    let made = operator.must("POST", KEYS, Some(&body), 201)?;
    Ok((text(&made, "/key/id"), text(&made, "/secret")))
}
