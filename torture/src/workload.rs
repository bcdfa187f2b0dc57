//! The workload: clients that create, rotate, amend, suspend, revoke and delete keys at random, and put down what they were told.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::caller::{Answer, Caller};
use crate::figure::Wrongs;
use crate::house::{KEYS, owner_name};
use crate::ledger::{Act, FIRST_SCOPES, Grace, Held, State};
use crate::setting::Dice;

/// Which scopes a key may be given later.
const LATER_SCOPES: [&[&str]; 3] = [&["orders:read"], &["orders:read", "orders:write"], &["reports:read"]];

/// What the clients did in one run.
#[derive(Debug, Default)]
pub struct Done {
    /// Changes that were acknowledged.
    pub acknowledged: usize,
    /// Changes that were refused with these codes: nothing was done.
    pub refused: Vec<String>,
    /// Changes of which nobody knows.
    pub doubtful: usize,
    /// Answers that must not be.
    pub wrongs: Wrongs,
}

impl Done {
    fn join(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.refused.extend(other.refused);
        self.doubtful += other.doubtful;
        self.wrongs.join(other.wrongs);
    }
}

/// When clients stop by themselves.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    /// At this time.
    pub time: Instant,
    /// After so many changes each.
    pub changes: usize,
}

/// What a client does after a change of which it does not know whether it was made.
#[derive(Clone, Copy, Debug)]
pub enum Shock<'a> {
    /// It stops: the server is gone.
    Stops,
    /// It goes on with other keys: the server must recover by itself.
    GoesOn,
    /// It goes on until the power goes, which this tells. What is answered later is no acknowledgement: the machine would be
    /// dark, and nobody would have heard it.
    Dark(&'a AtomicBool),
}

impl Shock<'_> {
    fn is_dark(self) -> bool {
        matches!(self, Self::Dark(dark) if dark.load(Ordering::SeqCst))
    }
}

/// Lets clients work, each on keys of its own, until their time is up or no answer comes.
pub fn run(
    address: SocketAddr,
    operator: &str,
    ledgers: &mut [Vec<Held>],
    dice: &mut Dice,
    until: Until,
    shock: Shock<'_>,
) -> Done {
    let gone = AtomicBool::new(false);
    let mut done = Done::default();
    thread::scope(|scope| {
        let threads: Vec<_> = ledgers
            .iter_mut()
            .enumerate()
            .map(|(owner, ledger)| {
                let client = Client {
                    caller: Caller::new(address, operator),
                    owner,
                    dice: Dice::new(dice.throw(), owner as u64),
                    gone: &gone,
                    shock,
                };
                scope.spawn(move || client.work(ledger, until))
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(part) => done.join(part),
                Err(_) => done.wrongs.add("a client panicked"),
            }
        }
    });
    done
}

struct Client<'a> {
    caller: Caller,
    owner: usize,
    dice: Dice,
    gone: &'a AtomicBool,
    shock: Shock<'a>,
}

impl Client<'_> {
    fn work(mut self, ledger: &mut Vec<Held>, until: Until) -> Done {
        let mut done = Done::default();
        for _ in 0..until.changes {
            if self.gone.load(Ordering::Relaxed) || Instant::now() > until.time {
                break;
            }
            let (at, act) = self.choose(ledger);
            let Some(held) = ledger.get_mut(at) else { break };
            let answer = ask(&mut self.caller, held, &act);
            if self.shock.is_dark() {
                held.doubt = Some(act);
                done.doubtful += 1;
                break;
            }
            match answer {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    held.acknowledged(&act, &answer);
                    done.acknowledged += 1;
                }
                Ok(answer) if answer.code() == "outcome_unknown" => {
                    held.doubt = Some(act);
                    done.doubtful += 1;
                }
                Ok(answer) if matches!(answer.code(), "store_unavailable" | "storage_full" | "cannot_know") => {
                    done.refused.push(answer.code().to_owned());
                }
                Ok(answer) => done.wrongs.add(format!("{act:?}: {} {}", answer.status, answer.body)),
                Err(_) => {
                    held.doubt = Some(act);
                    done.doubtful += 1;
                    if matches!(self.shock, Shock::Stops) {
                        self.gone.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
        done
    }

    /// What to do next, and to which key.
    fn choose(&mut self, ledger: &mut Vec<Held>) -> (usize, Act) {
        let open: Vec<usize> = (0..ledger.len())
            .filter(|at| {
                ledger.get(*at).is_some_and(|held| {
                    held.doubt.is_none() && matches!(held.life.state, State::Active | State::Suspended | State::Revoked)
                })
            })
            .collect();
        let old = self.dice.pick(&open).copied();
        let Some(at) = old.filter(|_| self.dice.below(10) >= 4) else {
            let name = format!("k-{}-{:012x}", self.owner, self.dice.throw() >> 16);
            ledger.push(Held::new(name, self.owner));
            return (ledger.len() - 1, Act::Create(self.maybe_secret()));
        };
        let state = ledger.get(at).map_or(State::Unmade, |held| held.life.state);
        let act = match (state, self.dice.below(10)) {
            (State::Revoked, _) => Act::Delete,
            (_, 0..4) => Act::Revoke,
            (State::Suspended, _) => Act::Resume,
            (_, 4..6) => Act::Rotate(self.maybe_secret(), Grace::None),
            (_, 6..8) => Act::Rotate(self.maybe_secret(), Grace::Hour),
            (_, 8) => Act::Suspend,
            _ => {
                // What changes nothing is no change, and leaves no event.
                let now = ledger.get(at).map_or(FIRST_SCOPES, |held| held.life.scopes);
                let others: Vec<_> = LATER_SCOPES.into_iter().filter(|scopes| *scopes != now).collect();
                Act::Amend(self.dice.pick(&others).copied().unwrap_or(FIRST_SCOPES))
            }
        };
        (at, act)
    }

    fn maybe_secret(&mut self) -> Option<String> {
        (self.dice.below(2) == 0).then(|| self.dice.secret())
    }
}

/// Asks for an act.
fn ask(caller: &mut Caller, held: &Held, act: &Act) -> io::Result<Answer> {
    let path = format!("{KEYS}/{}", held.id);
    let with_secret = |mut body: Value, secret: &Option<String>| {
        if let Some(secret) = secret {
            body["secret_sha256"] = json!(sha256(secret));
        }
        body
    };
    match act {
        Act::Create(secret) => {
            let body = json!({
                "name": held.name, "owner": { "user": owner_name(held.owner) }, "scopes": FIRST_SCOPES,
            });
            // The name is of one use, so it serves as the request's name too.
            caller.ask_with(
                "POST",
                KEYS,
                Some(&with_secret(body, secret)),
                &[("Idempotency-Key", &held.name)],
            )
        }
        Act::Rotate(secret, grace) => {
            let grace = match grace {
                Grace::None => "0s",
                Grace::Hour => "1h",
            };
            let body = with_secret(json!({ "grace": grace }), secret);
            caller.ask("POST", &format!("{path}/rotate"), Some(&body))
        }
        Act::Revoke => caller.ask("POST", &format!("{path}/revoke"), Some(&json!({ "cause": "torture" }))),
        Act::Amend(scopes) => caller.ask("PATCH", &path, Some(&json!({ "scopes": scopes }))),
        Act::Suspend => caller.ask("POST", &format!("{path}/suspend"), None),
        Act::Resume => caller.ask("POST", &format!("{path}/resume"), None),
        Act::Delete => caller.ask("DELETE", &path, None),
    }
}

/// Asks again for keys whose making is in doubt, as a client would after a crash: one key must come of it.
pub fn ask_again(caller: &mut Caller, ledger: &mut [Held]) -> io::Result<Wrongs> {
    let mut wrongs = Wrongs::default();
    for held in ledger {
        let Some(act @ Act::Create(_)) = held.doubt.clone() else {
            continue;
        };
        let answer = ask(caller, held, &act)?;
        if answer.status != 201 {
            wrongs.add(format!(
                "{} asked for again: {} {}",
                held.name, answer.status, answer.body
            ));
            continue;
        }
        held.acknowledged(&act, &answer);
        held.doubt = None;
    }
    Ok(wrongs)
}

fn sha256(secret: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(secret.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
