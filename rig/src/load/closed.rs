//! The closed loop: every connection asks again as soon as it was answered, so that the server is never idle.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use mio::{Events, Poll, Token};

use super::latencies;
use super::link::Link;
use super::script::Script;

/// How long a thread waits for events before it looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);

/// A closed loop.
#[derive(Clone, Debug)]
pub struct Closed {
    /// Where to.
    pub address: SocketAddr,
    /// How many connections.
    pub connections: usize,
    /// How many threads serve them.
    pub threads: usize,
    /// How long it runs before anything is counted.
    pub warm_up: Duration,
    /// How long it is counted.
    pub time: Duration,
}

/// What was counted in one round.
#[derive(Clone, Debug)]
pub struct Round {
    /// Requests answered.
    pub requests: u64,
    /// In what time.
    pub time: Duration,
    /// Processor time of the server.
    pub cpu: Duration,
    /// From question to answer, in microseconds.
    pub latencies: Histogram<u64>,
}

impl Round {
    /// Requests answered in a second.
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }

    /// Processor time of the server for one request, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    /// The latency that 99 of 100 requests keep below, in milliseconds.
    pub fn p99_ms(&self) -> f64 {
        self.latencies.value_at_quantile(0.99) as f64 / 1e3
    }

    /// The latency that half of the requests keep below, in milliseconds.
    pub fn p50_ms(&self) -> f64 {
        self.latencies.value_at_quantile(0.5) as f64 / 1e3
    }
}

/// What the threads of a load and the one who counts tell each other.
#[derive(Default)]
struct Board {
    counting: AtomicBool,
    stop: AtomicBool,
}

impl Closed {
    /// Runs the loop; `cpu` tells how much processor time the server has used so far.
    pub fn run(&self, script: &Script, cpu: impl Fn() -> anyhow::Result<Duration>) -> anyhow::Result<Round> {
        let board = Arc::new(Board::default());
        let counters: Vec<Arc<AtomicU64>> = (0..self.threads).map(|_| Arc::default()).collect();
        let answered = || {
            counters
                .iter()
                .map(|counter| counter.load(Ordering::Relaxed))
                .sum::<u64>()
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|number| {
                    let connections =
                        self.connections / self.threads + usize::from(number < self.connections % self.threads);
                    let (board, counter) = (Arc::clone(&board), counters.get(number).cloned().unwrap_or_default());
                    scope.spawn(move || {
                        let ended = drive(self.address, connections, script, &board, &counter);
                        // One thread's trouble ends the round at once instead of at its end.
                        if ended.is_err() {
                            board.stop.store(true, Ordering::Relaxed);
                        }
                        ended
                    })
                })
                .collect();
            let wait = |time: Duration| {
                let until = Instant::now() + time;
                while Instant::now() < until && !board.stop.load(Ordering::Relaxed) {
                    thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
                }
            };
            wait(self.warm_up);
            let (began, answered_before, cpu_before) = (Instant::now(), answered(), cpu());
            board.counting.store(true, Ordering::Relaxed);
            wait(self.time);
            let (time, requests, cpu_after) = (began.elapsed(), answered() - answered_before, cpu());
            board.stop.store(true, Ordering::Relaxed);
            let mut all = latencies();
            for thread in threads {
                let one = thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a thread of the load panicked"))??;
                all.add(&one).context("histograms of one form")?;
            }
            ensure!(requests > 0, "no request was answered in {time:?}");
            Ok(Round {
                requests,
                time,
                cpu: cpu_after?.saturating_sub(cpu_before?),
                latencies: all,
            })
        })
    }
}

fn drive(
    address: SocketAddr,
    connections: usize,
    script: &Script,
    board: &Board,
    counter: &AtomicU64,
) -> anyhow::Result<Histogram<u64>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut links = Vec::with_capacity(connections);
    for number in 0..connections {
        links.push(Link::open(address, script, poll.registry(), Token(number))?);
    }
    for link in &mut links {
        link.ask(script, Instant::now())?;
    }
    let (mut latencies, mut answered) = (latencies(), 0);
    while !board.stop.load(Ordering::Relaxed) {
        match poll.poll(&mut events, Some(LOOK)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let counting = board.counting.load(Ordering::Relaxed);
        for event in &events {
            let Some(link) = links.get_mut(event.token().0) else {
                continue;
            };
            let Some(due) = link.go_on(script)? else { continue };
            let now = Instant::now();
            if counting {
                latencies.saturating_record(u64::try_from((now - due).as_micros()).unwrap_or(u64::MAX));
            }
            answered += 1;
            counter.store(answered, Ordering::Relaxed);
            link.ask(script, now)?;
        }
    }
    Ok(latencies)
}
