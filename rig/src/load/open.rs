//! The open loop: requests are due at a fixed rate whatever the server does, and latency counts from when they were due.
//!
//! A closed loop waits for a slow server and so never sees how long others would have waited ("coordinated omission").

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::ensure;
use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use super::latencies;
use super::link::Link;
use super::script::Script;

const TIMER: Token = Token(usize::MAX);
/// From the set-up to the first request.
const RUN_UP: Duration = Duration::from_millis(50);
/// How long the last answers may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open loop.
#[derive(Clone, Debug)]
pub struct Open {
    /// Where to.
    pub address: SocketAddr,
    /// How many connections.
    pub connections: usize,
    /// Requests due in a second.
    pub per_second: u32,
    /// How long it runs before anything is recorded.
    pub warm_up: Duration,
    /// How long it is recorded.
    pub time: Duration,
}

/// What was recorded in one round.
#[derive(Clone, Debug)]
pub struct Punctual {
    /// From when a request was due to its answer, in microseconds.
    pub latencies: Histogram<u64>,
}

impl Punctual {
    /// The latency that this part of the requests keeps below, in milliseconds.
    pub fn quantile_ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }
}

impl Open {
    /// Runs the loop.
    pub fn run(&self, script: &Script) -> anyhow::Result<Punctual> {
        ensure!(
            self.per_second > 0 && self.connections > 0,
            "an open loop needs a rate and connections"
        );
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(256);
        let timer = Timer::new()?;
        poll.registry()
            .register(&mut SourceFd(&timer.0.as_raw_fd()), TIMER, Interest::READABLE)?;
        let mut links = Vec::with_capacity(self.connections);
        for number in 0..self.connections {
            links.push(Link::open(self.address, script, poll.registry(), Token(number))?);
        }
        let gap = Duration::from_secs(1) / self.per_second;
        let begin = Instant::now() + RUN_UP;
        let (record_from, end) = (begin + self.warm_up, begin + self.warm_up + self.time);
        let mut next = begin;
        let mut idle: Vec<usize> = (0..links.len()).collect();
        let mut waiting: VecDeque<Instant> = VecDeque::new();
        let mut latencies = latencies();
        timer.wake_at(next)?;
        while next < end || idle.len() < links.len() {
            ensure!(
                Instant::now() < end + PATIENCE,
                "answers are still missing after {PATIENCE:?}"
            );
            match poll.poll(&mut events, Some(PATIENCE)) {
                Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            for event in &events {
                if event.token() == TIMER {
                    timer.hush();
                    continue;
                }
                let number = event.token().0;
                // A connection without a request has nothing to say; what it reports is its own making.
                let Some(link) = links.get_mut(number).filter(|_| !idle.contains(&number)) else {
                    continue;
                };
                let Some(due) = link.go_on(script)? else { continue };
                if due >= record_from {
                    latencies.saturating_record(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
                }
                match waiting.pop_front() {
                    Some(due) => link.ask(script, due)?,
                    None => idle.push(number),
                }
            }
            while next < end && next <= Instant::now() {
                match idle.pop().and_then(|number| links.get_mut(number)) {
                    Some(link) => link.ask(script, next)?,
                    None => waiting.push_back(next),
                }
                next += gap;
            }
            if next < end {
                timer.wake_at(next)?;
            }
        }
        Ok(Punctual { latencies })
    }
}

/// A timer that wakes a poll to the microsecond; the poll's own time-out knows whole milliseconds only.
struct Timer(OwnedFd);

impl Timer {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?))
    }

    fn wake_at(&self, at: Instant) -> anyhow::Result<()> {
        // Zero would switch the timer off.
        let wait = at
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec {
            tv_sec: i64::try_from(wait.as_secs())?,
            tv_nsec: i64::from(wait.subsec_nanos()),
        };
        timerfd_settime(
            &self.0,
            TimerfdTimerFlags::empty(),
            &Itimerspec {
                it_interval: none,
                it_value: value,
            },
        )?;
        Ok(())
    }

    fn hush(&self) {
        // Nothing to read means that it was set anew meanwhile.
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}
