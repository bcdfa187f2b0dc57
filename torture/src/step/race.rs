//! One key hammered by many verifiers while it is revoked: none that started after the acknowledgement may succeed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;

use crate::caller::{Caller, PATIENCE};
use crate::figure::{Figure, Wrongs};
use crate::house::{House, KEYS, owner_name, text};
use crate::proxy::Liar;
use crate::setting::{Dice, Setting, Start};

/// Who hammers.
const VERIFIERS: usize = 32;
/// Verifies before the revocation, all verifiers together, so that it comes into the thick of it.
const BEFORE: usize = 2 * VERIFIERS;

/// What all know of the round that is on.
#[derive(Default)]
struct Board {
    /// The key that is hammered, and in which round; round 0 is before the first.
    key: Mutex<(u64, String)>,
    /// Microseconds from the beginning to the acknowledgement, once it came.
    acknowledged: AtomicU64,
    asked: AtomicUsize,
    /// Verifiers that asked at least once after the acknowledgement.
    satisfied: AtomicUsize,
    over: AtomicBool,
}

#[derive(Debug, Default)]
struct Outcome {
    verifies: usize,
    after: usize,
    wrongs: Wrongs,
}

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(setting)?;
    let folder = house.copy(setting)?;
    let server = setting.start(folder.path(), &Start::default())?;
    let rounds = setting.count(200, 10_000);
    let outcome = hammer(&house, server.address(), server.address(), rounds, setting)?;
    let honest = Figure::new(
        format!("{VERIFIERS} verifiers hammer one key while it is revoked, {rounds} rounds"),
        format!(
            "{}; {} verifies, {} of them started after the acknowledgement",
            outcome.wrongs.told(),
            outcome.verifies,
            outcome.after
        ),
        "no verify that started after the acknowledgement succeeds",
        outcome.wrongs.count() == 0 && outcome.after >= rounds * VERIFIERS,
    );
    let liar = Liar::before(server.address())?;
    let planted = hammer(&house, server.address(), liar.address(), 50, setting)?;
    let caught = Figure::new(
        "50 rounds with a planted fault: revocations acknowledged before they are made",
        format!("{} late successes found", planted.wrongs.count()),
        "the harness finds it",
        planted.wrongs.count() > 0,
    );
    server.stop()?;
    setting.keep(folder.path(), "race")?;
    Ok(vec![honest, caught])
}

fn hammer(
    house: &House,
    server: SocketAddr,
    revokes: SocketAddr,
    rounds: usize,
    setting: &Setting,
) -> anyhow::Result<Outcome> {
    let board = Board::default();
    let began = Instant::now();
    let mut outcome = Outcome::default();
    thread::scope(|scope| {
        let verifiers: Vec<_> = (0..VERIFIERS)
            .map(|_| scope.spawn(|| verify(house, server, &board, began)))
            .collect();
        let driven = drive(house, server, revokes, rounds, &board, began, setting);
        board.over.store(true, Ordering::Relaxed);
        for verifier in verifiers {
            let part = verifier.join().map_err(|_| anyhow::anyhow!("a verifier panicked"))?;
            outcome.verifies += part.verifies;
            outcome.after += part.after;
            outcome.wrongs.join(part.wrongs);
        }
        driven
    })?;
    Ok(outcome)
}

fn drive(
    house: &House,
    server: SocketAddr,
    revokes: SocketAddr,
    rounds: usize,
    board: &Board,
    began: Instant,
    setting: &Setting,
) -> anyhow::Result<()> {
    let mut dice = Dice::new(setting.seed, 2);
    let mut maker = house.people.operator(server);
    let mut revoker = house.people.operator(revokes);
    let wait = |what: &str, holds: &dyn Fn() -> bool| {
        let since = Instant::now();
        while !holds() {
            ensure!(since.elapsed() < PATIENCE, "{what} did not happen within {PATIENCE:?}");
            thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    };
    for round in 1..=rounds {
        let key = json!({ "name": "hammered", "owner": { "user": owner_name(0) }, "scopes": ["orders:read"] });
        let made = maker.must("POST", KEYS, Some(&key), 201)?;
        let (id, secret) = (text(&made, "/key/id"), text(&made, "/secret"));
        setting.register([&secret])?;
        board.acknowledged.store(0, Ordering::SeqCst);
        board.asked.store(0, Ordering::SeqCst);
        board.satisfied.store(0, Ordering::SeqCst);
        *board.key.lock().unwrap_or_else(PoisonError::into_inner) = (round as u64, secret);
        let before = BEFORE + usize::try_from(dice.below(VERIFIERS as u64))?;
        wait("enough verifies", &|| board.asked.load(Ordering::Relaxed) >= before)?;
        revoker.must(
            "POST",
            &format!("{KEYS}/{id}/revoke"),
            Some(&json!({ "cause": "torture" })),
            200,
        )?;
        board.acknowledged.store(micros(began), Ordering::SeqCst);
        wait("a verify of each after the acknowledgement", &|| {
            board.satisfied.load(Ordering::Relaxed) >= VERIFIERS || board.over.load(Ordering::Relaxed)
        })?;
        // So that no folder grows with the number of rounds.
        maker
            .must("DELETE", &format!("{KEYS}/{id}"), None, 204)
            .or_else(|error| {
                // The liar's revocation may still be on its way.
                thread::sleep(Duration::from_millis(50));
                maker
                    .must("DELETE", &format!("{KEYS}/{id}"), None, 204)
                    .map_err(|_| error)
            })?;
    }
    Ok(())
}

fn verify(house: &House, server: SocketAddr, board: &Board, began: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    let mut caller: Caller = house.people.gateway(server);
    let mut satisfied = 0;
    while !board.over.load(Ordering::Relaxed) {
        let (round, secret) = board.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if round == satisfied {
            thread::sleep(Duration::from_micros(200));
            continue;
        }
        let acknowledged = board.acknowledged.load(Ordering::SeqCst);
        // Read after the acknowledgement, so that a verify counts as late only if it is.
        let started = micros(began);
        let answer = match caller.verdict("/v1/verify", &secret, &["orders:read"]) {
            Ok(answer) => answer,
            Err(error) => {
                outcome.wrongs.add(format!("a verify was not answered: {error}"));
                return outcome;
            }
        };
        outcome.verifies += 1;
        board.asked.fetch_add(1, Ordering::Relaxed);
        let still = board.key.lock().unwrap_or_else(PoisonError::into_inner).0 == round;
        let late = acknowledged != 0 && started >= acknowledged;
        if late && still {
            outcome.after += 1;
            if answer.code() == "valid" {
                outcome.wrongs.add(format!(
                    "round {round}: valid {} µs after the acknowledgement",
                    started - acknowledged
                ));
            }
            satisfied = round;
            board.satisfied.fetch_add(1, Ordering::Relaxed);
        }
    }
    outcome
}

fn micros(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)
}
