//! What the watchdog of one connection knows: what it is waiting for, since when, and when that is too long.
//!
//! Nothing here is registered with a timer per request. A request only notes times; the connection's one timer
//! (in `drive`) looks at them when it fires and is set anew only when an earlier deadline appears.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Limits;
use super::head::{Blemish, LineCheck};
use super::plain::Part;
use super::short::Scratch;
use crate::clock;

/// How long an unused connection may still bring a request after the signal to stop.
///
/// A client may have sent a request at the moment the signal came; it is answered, with `Connection: close`.
pub(super) const LAST_CALL: Duration = Duration::from_secs(1);

/// How long a closed connection is kept to read what the client still sends, so that it gets our last answer.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// What all connections of one worker share.
#[derive(Debug)]
pub(super) struct Lane {
    /// Rung when the drain begins.
    pub bell: Notify,
    /// What the short way works in; borrowed within one poll of a connection, so one is enough for all.
    pub scratch: RefCell<Scratch>,
    draining_since: Cell<Option<Instant>>,
    /// One instant by two clocks.
    epoch: (Instant, Duration),
}

impl Lane {
    pub fn new() -> Self {
        Self {
            bell: Notify::new(),
            scratch: RefCell::default(),
            draining_since: Cell::new(None),
            epoch: (Instant::now(), clock::tick()),
        }
    }

    /// The time as of the kernel's last tick: good enough for limits of seconds, and cheap enough for every request.
    pub fn about_now(&self) -> Instant {
        let (instant, tick) = self.epoch;
        instant + clock::tick().saturating_sub(tick)
    }

    pub fn start_drain(&self, now: Instant) {
        self.draining_since.set(Some(now));
        self.bell.notify_waiters();
    }

    pub fn is_draining(&self) -> bool {
        self.draining_since.get().is_some()
    }

    /// Ends when a connection that has brought nothing yet is no longer waited for.
    pub async fn last_call(&self) {
        if !self.is_draining() {
            self.bell.notified().await;
        }
        tokio::time::sleep(LAST_CALL).await;
    }
}

/// The state of one connection, shared by its socket, its requests and its watchdog, all on one thread.
#[derive(Debug)]
pub(super) struct Pulse {
    pub lane: Rc<Lane>,
    limits: Limits,
    speech: Cell<Speech>,
    in_flight: Cell<u32>,
    quiet_since: Cell<Instant>,
    /// How long it may stay quiet: for a new connection less than for one that has brought a request.
    patience: Cell<Duration>,
    head_since: Cell<Option<Instant>>,
    body_since: Cell<Option<Instant>>,
    /// The same for a body that the short way waits for; the long way takes it over with the body.
    short_body_since: Cell<Option<Instant>>,
    stalled_since: Cell<Option<Instant>>,
    closing_since: Cell<Option<Instant>>,
    reset_on_drop: Cell<bool>,
    /// Checks the lines of a head as they arrive, for what the parser would let pass.
    pub lines: LineCheck,
    /// The one request body that can be on its way over HTTP/1.
    pub body: Arc<BodyWatch>,
}

/// How the two sides talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    /// HTTP/1: lines, one request after the other.
    Lines,
    /// HTTP/2: frames, many requests at once.
    Frames,
}

/// Why the watchdog acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No request for too long.
    Idle,
    /// A head was begun and is not complete.
    Head,
    /// A body is not complete.
    Body,
    /// The client takes nothing of the answer.
    Write,
    /// The last answer is sent and the client does not close.
    Close,
}

impl Pulse {
    /// A connection that was just opened. Something must come within the time for a head.
    pub fn new(limits: Limits, lane: Rc<Lane>, now: Instant) -> Self {
        Self {
            lane,
            limits,
            speech: Cell::new(Speech::Lines),
            in_flight: Cell::new(0),
            quiet_since: Cell::new(now),
            patience: Cell::new(limits.header_timeout),
            head_since: Cell::new(None),
            body_since: Cell::new(None),
            short_body_since: Cell::new(None),
            stalled_since: Cell::new(None),
            closing_since: Cell::new(None),
            reset_on_drop: Cell::new(false),
            lines: LineCheck::default(),
            body: Arc::default(),
        }
    }

    /// The connection turned out to speak HTTP/2.
    pub fn speaks_frames(&self) {
        self.speech.set(Speech::Frames);
    }

    pub fn speech(&self) -> Speech {
        self.speech.get()
    }

    /// Bytes came in.
    pub fn received(&self, bytes: &[u8]) {
        if self.speech.get() == Speech::Frames {
            // A ping or a window update is no sign of a request, and must not start its time.
            return;
        }
        if self.in_flight.get() == 0 {
            if self.head_since.get().is_none() {
                self.head_since.set(Some(Instant::now()));
            }
            self.lines.feed(bytes);
        } else {
            self.lines.pass_over(bytes);
        }
    }

    /// A part of a request has come by the short way.
    pub fn waits_for(&self, part: Part, now: Instant) {
        let since = match part {
            Part::Head => &self.head_since,
            Part::Body => {
                self.head_since.set(None);
                &self.short_body_since
            }
        };
        since.set(since.get().or(Some(now)));
    }

    /// Requests were answered on the short way.
    pub fn answered(&self, now: Instant) {
        self.head_since.set(None);
        self.short_body_since.set(None);
        self.patience.set(self.limits.idle_timeout);
        self.quiet_since.set(now);
    }

    /// A write made progress, or there is nothing left to write.
    pub fn wrote(&self) {
        self.stalled_since.set(None);
    }

    /// A write cannot go on until the client reads.
    pub fn write_blocked(&self) {
        if self.stalled_since.get().is_none() {
            self.stalled_since.set(Some(Instant::now()));
        }
    }

    /// The last answer is out; only the client's goodbye is missing.
    pub fn closing(&self) {
        if self.closing_since.get().is_none() {
            self.closing_since.set(Some(Instant::now()));
        }
    }

    /// Marks the connection for a reset instead of an orderly end, so that the system drops unsent data at once.
    pub fn reset_on_drop(&self) {
        self.reset_on_drop.set(true);
    }

    /// Whether HTTP/2's orderly end, which names the requests that will still be answered, should begin.
    pub fn wants_goaway(&self) -> bool {
        self.speech.get() == Speech::Frames && self.lane.is_draining()
    }

    pub fn wants_reset(&self) -> bool {
        self.reset_on_drop.get()
    }

    /// A request is complete up to its body. The guard it returns ends with the last byte of the answer.
    pub fn begin(self: &Rc<Self>) -> (InFlight, Option<Blemish>) {
        self.in_flight.set(self.in_flight.get() + 1);
        self.head_since.set(None);
        self.patience.set(self.limits.idle_timeout);
        (InFlight(Rc::clone(self)), self.lines.finish())
    }

    /// The request just begun has a body that is still to come (HTTP/1 only; over HTTP/2 each body has a timer).
    pub fn expect_body(&self) -> Arc<BodyWatch> {
        self.body.state.store(BodyWatch::COMING, Ordering::Relaxed);
        let since = self.short_body_since.take().unwrap_or_else(Instant::now);
        self.body_since.set(Some(since));
        Arc::clone(&self.body)
    }

    /// What is due first, and when. It never allocates and reads no clock.
    pub fn due(&self) -> (Instant, Overdue) {
        let waiting = if self.in_flight.get() > 0 {
            self.body_since
                .get()
                .filter(|_| self.body.is_coming())
                .map(|since| (since + self.limits.body_timeout, Overdue::Body))
        } else if let Some(since) = self.closing_since.get() {
            Some((since + LINGER, Overdue::Close))
        } else if let Some(since) = self.short_body_since.get() {
            Some((since + self.limits.body_timeout, Overdue::Body))
        } else if let Some(since) = self.head_since.get() {
            Some((since + self.limits.header_timeout, Overdue::Head))
        } else {
            let quiet = self.quiet_since.get();
            let idle = quiet + self.patience.get();
            Some(match self.lane.draining_since.get() {
                Some(drain) => (idle.min(drain.max(quiet) + LAST_CALL), Overdue::Idle),
                None => (idle, Overdue::Idle),
            })
        };
        let stalled = self
            .stalled_since
            .get()
            .map(|since| (since + self.limits.write_timeout, Overdue::Write));
        [waiting, stalled]
            .into_iter()
            .flatten()
            .min_by_key(|(at, _)| *at)
            // A handler is at work and nothing is asked of the client: look again later.
            .unwrap_or_else(|| (self.quiet_since.get() + A_LONG_WHILE, Overdue::Idle))
    }

    /// Tells the reader of the body that it took too long.
    pub fn body_is_overdue(&self) {
        self.body_since.set(None);
        self.body.state.store(BodyWatch::OVERDUE, Ordering::Relaxed);
        self.body.waker.wake();
    }
}

/// So far away that nothing waits for it.
const A_LONG_WHILE: Duration = Duration::from_secs(365 * 24 * 3_600);

/// A request between its head and the last byte of its answer.
#[derive(Debug)]
pub(super) struct InFlight(Rc<Pulse>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let pulse = &self.0;
        pulse.in_flight.set(pulse.in_flight.get() - 1);
        if pulse.in_flight.get() == 0 {
            pulse.quiet_since.set(Instant::now());
            pulse.body_since.set(None);
            if pulse.closing_since.get().is_some() {
                // A request that came in after our goodbye was answered; its answer gets the same time to arrive.
                pulse.closing_since.set(Some(Instant::now()));
            }
        }
    }
}

/// Where a request body stands. It may be read on another thread than the connection's, hence the atomics.
#[derive(Debug, Default)]
pub(super) struct BodyWatch {
    state: AtomicU8,
    pub waker: AtomicWaker,
}

impl BodyWatch {
    const DONE: u8 = 0;
    const COMING: u8 = 1;
    const OVERDUE: u8 = 2;

    pub fn is_coming(&self) -> bool {
        self.state.load(Ordering::Relaxed) == Self::COMING
    }

    pub fn is_overdue(&self) -> bool {
        self.state.load(Ordering::Relaxed) == Self::OVERDUE
    }

    /// The last byte was read.
    pub fn done(&self) {
        self.state.store(Self::DONE, Ordering::Relaxed);
    }
}
