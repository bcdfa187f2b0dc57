//! Copies of the database with random bytes flipped: the same answers or a refusal, never a wrong yes.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::figure::{Figure, Wrongs};
use crate::house::{BATCH, GATE, House, KEYS, SCOPES, database, owner_name, text};
use crate::setting::{Dice, Setting, Start};

/// Keys in the database; every kind of life is among them.
const KEYS_MADE: usize = 60;
/// Most bytes that are flipped in one copy.
const FLIPS_MAX: u64 = 12;
/// Copies that are tried at the same time.
const LANES: usize = 3;

/// What became of the copies.
#[derive(Debug, Default)]
struct Outcome {
    /// It did not start, and said why.
    refused: usize,
    /// It started and answered everything as before.
    same: usize,
    /// It started and refused some of what it had granted.
    fewer: usize,
    wrongs: Wrongs,
}

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(setting)?;
    let folder = house.copy(setting)?;
    let server = setting.start(folder.path(), &Start::default())?;
    let secrets = fill(&mut house.people.operator(server.address()))?;
    setting.register(&secrets)?;
    server.stop()?;
    // A start without a flip gives the answers to compare with.
    let right = answers(setting, &house, folder.path(), &secrets)?;
    let granted = right.iter().filter(|answer| answer["code"] == "valid").count();
    anyhow::ensure!(
        granted > KEYS_MADE && granted < right.len(),
        "the answers say nothing: {granted}"
    );
    let copies = setting.count(50, 1000);
    let mut all = Outcome::default();
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let (house, folder, secrets, right) = (&house, folder.path(), &secrets, &right);
                scope.spawn(move || {
                    let mut outcome = Outcome::default();
                    for number in (lane..copies).step_by(LANES) {
                        let mut dice = Dice::new(setting.seed, 4_000 + number as u64);
                        one_copy(setting, house, folder, secrets, right, &mut dice, &mut outcome)?;
                    }
                    anyhow::Ok(outcome)
                })
            })
            .collect();
        for lane in lanes {
            let outcome = lane.join().map_err(|_| anyhow::anyhow!("a lane panicked"))??;
            all.refused += outcome.refused;
            all.same += outcome.same;
            all.fewer += outcome.fewer;
            all.wrongs.join(outcome.wrongs);
        }
        anyhow::Ok(())
    })?;
    let honest = Figure::new(
        format!(
            "{copies} copies of the database with 1 to {FLIPS_MAX} random bytes flipped, {} questions each",
            right.len()
        ),
        format!(
            "{}; {} refused to start, {} answered the same, {} refused some of what they had granted",
            all.wrongs.told(),
            all.refused,
            all.same,
            all.fewer
        ),
        "the same answers or a refusal, never a wrong yes",
        all.wrongs.count() == 0 && all.refused + all.same + all.fewer == copies && all.refused + all.fewer > 0,
    );
    Ok(vec![honest, planted(setting, &house, folder.path(), &secrets, &right)?])
}

/// Makes keys of every kind of life, and tells their secrets.
fn fill(olga: &mut Caller) -> anyhow::Result<Vec<String>> {
    let mut secrets = Vec::new();
    for number in 0..KEYS_MADE {
        let scopes: &[&str] = if number % 3 == 0 { &SCOPES } else { &["orders:read"] };
        let body = json!({
            "name": format!("k-{number}"), "owner": { "user": owner_name(number % 5) }, "scopes": scopes,
            "expires_in": "30d", "metadata": { "number": number }, "tags": ["flip"],
        });
        let made = olga.must("POST", KEYS, Some(&body), 201)?;
        let path = format!("{KEYS}/{}", text(&made, "/key/id"));
        secrets.push(text(&made, "/secret"));
        match number % 6 {
            1 => drop(olga.must("POST", &format!("{path}/revoke"), Some(&json!({ "cause": "x" })), 200)?),
            2 => drop(olga.must("POST", &format!("{path}/suspend"), None, 200)?),
            3 => {
                let rotated = olga.must("POST", &format!("{path}/rotate"), Some(&json!({ "grace": "1d" })), 200)?;
                secrets.push(text(&rotated, "/secret"));
            }
            4 => {
                let rotated = olga.must("POST", &format!("{path}/rotate"), Some(&json!({ "grace": "0s" })), 200)?;
                secrets.push(text(&rotated, "/secret"));
            }
            _ => {}
        }
    }
    Ok(secrets)
}

/// What is said about each secret with each scope. A question without an answer is a refusal.
fn answers(setting: &Setting, house: &House, data: &Path, secrets: &[String]) -> anyhow::Result<Vec<Value>> {
    let server = setting.start(data, &Start::default())?;
    let mut gateway = house.people.gateway(server.address());
    let questions = secrets
        .iter()
        .flat_map(|secret| SCOPES.map(|scope| json!({ "credential": secret, "scopes": [scope], "dry_run": true })));
    let questions: Vec<Value> = questions.collect();
    let answer = gateway.ask("POST", BATCH, Some(&json!({ "items": questions })))?;
    let all = match answer.body.pointer("/results").and_then(Value::as_array) {
        Some(results) => results.clone(),
        None => vec![json!({ "code": answer.status }); questions.len()],
    };
    server.stop()?;
    Ok(all)
}

fn one_copy(
    setting: &Setting,
    house: &House,
    original: &Path,
    secrets: &[String],
    right: &[Value],
    dice: &mut Dice,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let copy = setting.folder()?;
    crate::house::copy_files(original, copy.path())?;
    let file = database(copy.path());
    let mut bytes = fs::read(&file)?;
    let mut flipped = Vec::new();
    for _ in 0..=dice.below(FLIPS_MAX) {
        let at = usize::try_from(dice.below(bytes.len() as u64))?;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << dice.below(8);
            flipped.push(at);
        }
    }
    fs::write(&file, bytes)?;
    let found = answers(setting, house, copy.path(), secrets);
    weigh(found, right, &format!("bytes {flipped:?}"), outcome);
    Ok(())
}

/// Puts a copy where it belongs.
fn weigh(found: anyhow::Result<Vec<Value>>, right: &[Value], what: &str, outcome: &mut Outcome) {
    match found {
        Err(error) if format!("{error:#}").contains("with exit status: 2 before it listened") => outcome.refused += 1,
        Err(error) => outcome.wrongs.add(format!("{what}: {error:#}")),
        Ok(found) => {
            let mut fewer = false;
            for (right, found) in right.iter().zip(&found) {
                let is_same = gist(right) == gist(found);
                fewer |= !is_same;
                if !is_same && found["code"] == "valid" {
                    outcome.wrongs.add(format!("{what}: {right} became {found}"));
                }
            }
            if fewer {
                outcome.fewer += 1;
            } else {
                outcome.same += 1;
            }
        }
    }
}

/// A copy in which somebody who has the master key widened a key: the seals are right, the answers are not.
fn planted(
    setting: &Setting,
    house: &House,
    original: &Path,
    secrets: &[String],
    right: &[Value],
) -> anyhow::Result<Figure> {
    let copy = setting.folder()?;
    crate::house::copy_files(original, copy.path())?;
    let server = setting.start(copy.path(), &Start::default())?;
    let mut olga = house.people.operator(server.address());
    let keys = olga.must("GET", &format!("{KEYS}?limit=1000"), None, 200)?;
    let narrow = keys["keys"].as_array().into_iter().flatten();
    let narrow = narrow
        .filter(|key| key["state"] == "active" && key["name"] != GATE)
        .find(|key| key["scopes"] == json!(["orders:read"]))
        .context("no narrow key is there")?;
    let path = format!("{KEYS}/{}", text(narrow, "/id"));
    olga.must("PATCH", &path, Some(&json!({ "scopes": SCOPES })), 200)?;
    server.stop()?;
    let mut outcome = Outcome::default();
    let found = answers(setting, house, copy.path(), secrets);
    weigh(found, right, "a key was widened", &mut outcome);
    Ok(Figure::new(
        "a copy with a planted fault: a key widened by somebody who has the master key",
        outcome.wrongs.told(),
        "the harness finds it",
        outcome.wrongs.count() > 0,
    ))
}

/// What of a verdict somebody may rely on.
fn gist(verdict: &Value) -> [&Value; 5] {
    [
        &verdict["code"],
        &verdict["key"]["id"],
        &verdict["key"]["expires_at"],
        &verdict["owner"]["id"],
        &verdict["scopes"],
    ]
}
