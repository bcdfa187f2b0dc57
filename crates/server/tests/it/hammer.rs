//! Eight threads verify one key all the time while it is changed: none of them is ever told something that is not true.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use keyholt_core::owner::Owner;
use keyholt_core::rotate::Grace;
use keyholt_core::time::Span;
use keyholt_core::verify::{Ask, Verification};
use keyholt_server::keeper::{Counting, Question};

use crate::house::{House, Wishes, wish};

const THREADS: usize = 8;
const ROUNDS: u64 = 200;

/// What the threads verify in one round.
#[derive(Default)]
struct Round {
    number: u64,
    secrets: Vec<String>,
}

/// Threads that verify without a pause.
struct Hammer {
    house: House,
    /// The key of whoever verifies.
    api: String,
    round: Mutex<Arc<Round>>,
    /// The last round whose key was revoked; set after the revocation was acknowledged.
    revoked: AtomicU64,
    /// Turns that each thread has ended.
    turns: [AtomicU64; THREADS],
    over: AtomicBool,
}

/// What was told about one secret.
struct Told<'a> {
    round: &'a Round,
    /// The last round whose key was revoked before the verify began.
    revoked: u64,
    code: &'static str,
}

impl Hammer {
    /// Begins to verify, and checks with `judge` whatever is told.
    async fn raise(house: &House, judge: fn(&Told<'_>)) -> (Arc<Self>, Vec<JoinHandle<()>>) {
        let hammer = Arc::new(Self {
            house: house.clone(),
            api: house.verifier().await.secret,
            round: Mutex::default(),
            revoked: AtomicU64::new(0),
            turns: [const { AtomicU64::new(0) }; THREADS],
            over: AtomicBool::new(false),
        });
        let strike = |at: usize| {
            let hammer = Arc::clone(&hammer);
            thread::spawn(move || {
                let _stop = StopAll(&hammer);
                while !hammer.over.load(Ordering::Acquire) {
                    let round = Arc::clone(&hammer.round.lock().unwrap_or_else(PoisonError::into_inner));
                    for secret in &round.secrets {
                        let revoked = hammer.revoked.load(Ordering::Acquire);
                        let code = hammer.code(secret);
                        judge(&Told {
                            round: &round,
                            revoked,
                            code,
                        });
                    }
                    hammer.turns[at].fetch_add(1, Ordering::AcqRel);
                    thread::yield_now();
                }
            })
        };
        let threads = (0..THREADS).map(strike).collect();
        (hammer, threads)
    }

    /// Looked up in steps, as on the short way, with some time between them.
    fn code(&self, secret: &str) -> &'static str {
        let question = Question {
            credential: secret,
            ask: Ask::default(),
            counting: Counting::DryRun,
        };
        let keeper = &self.house.keeper;
        let search = keeper.search();
        let mut sought = search.seek(secret);
        search.approach(&mut sought);
        thread::yield_now();
        let api = keeper.verifier(&self.api, None).unwrap();
        let admitted = keeper.admit(&api).unwrap();
        keeper.judge_sought(&admitted, &question, sought, |answer| match &answer.verification {
            Verification::Granted(_) => "valid",
            Verification::Denied(denial) => denial.code().as_str(),
        })
    }

    /// Gives the threads other secrets to verify, and waits until all of them do.
    fn turn_to(&self, number: u64, secrets: Vec<String>) {
        let round = Arc::new(Round { number, secrets });
        *self.round.lock().unwrap_or_else(PoisonError::into_inner) = round;
        self.wait();
    }

    /// Waits until every thread has ended a turn that began after now.
    fn wait(&self) {
        let before: Vec<u64> = self.turns.iter().map(|turns| turns.load(Ordering::Acquire)).collect();
        for (turns, before) in self.turns.iter().zip(before) {
            // One turn may be under way; the one after it began later.
            while turns.load(Ordering::Acquire) < before + 2 && !self.over.load(Ordering::Acquire) {
                thread::yield_now();
            }
        }
    }

    fn rest(&self, threads: Vec<JoinHandle<()>>) {
        self.over.store(true, Ordering::Release);
        for thread in threads {
            assert!(thread.join().is_ok(), "a thread was told something that is not true");
        }
        assert!(self.turns.iter().all(|turns| turns.load(Ordering::Acquire) > ROUNDS));
    }
}

/// Stops everybody when one thread was told a lie, so that nobody waits for it.
struct StopAll<'a>(&'a Hammer);

impl Drop for StopAll<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
    }
}

#[tokio::test]
async fn no_verify_that_begins_after_a_revocation_was_acknowledged_succeeds() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let (hammer, threads) = Hammer::raise(&house, |told| match told.code {
        "revoked" => {}
        "valid" => assert!(told.revoked < told.round.number, "round {}", told.round.number),
        other => panic!("round {}: {other}", told.round.number),
    })
    .await;
    for number in 1..=ROUNDS {
        let key = house.issue(wish(alice, "key").scopes(&[])).await;
        hammer.turn_to(number, vec![key.secret.clone()]);
        house.revoke(key.id(), "hammered").await;
        hammer.revoked.store(number, Ordering::Release);
        hammer.wait();
    }
    hammer.rest(threads);
}

#[tokio::test]
async fn while_a_key_rotates_both_its_secrets_are_valid_at_every_moment() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let mut old = house.issue(wish(alice, "key").scopes(&[])).await;
    let (hammer, threads) = Hammer::raise(&house, |told| {
        assert_eq!(told.code, "valid", "round {}", told.round.number);
    })
    .await;
    for number in 1..=ROUNDS {
        // The old secret while the new one comes, and both of them once it is there.
        hammer.turn_to(number, vec![old.secret.clone()]);
        let new = house.rotate(old.id(), Grace::For(Span::hours(1))).await;
        hammer.turn_to(number, vec![new.secret.clone(), old.secret.clone()]);
        old = new;
    }
    hammer.rest(threads);
}

#[tokio::test]
async fn a_key_is_never_unknown_while_others_come_and_go() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let key = house.issue(wish(alice, "key").scopes(&[])).await;
    let (hammer, threads) = Hammer::raise(&house, |told| {
        assert!(matches!(told.code, "valid" | "suspended"), "{}", told.code);
    })
    .await;
    hammer.turn_to(1, vec![key.secret.clone()]);
    for _ in 0..ROUNDS {
        house.suspend(key.id()).await;
        let other = house.issue(wish(alice, "other").scopes(&[])).await;
        house.resume(key.id()).await;
        house.delete(other.id()).await;
        hammer.wait();
    }
    hammer.rest(threads);
}
