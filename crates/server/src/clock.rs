//! What time it is: the one place that asks the operating system, and a clock for tests that only moves when told.

use std::sync::atomic::{
    AtomicBool, AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A backward jump of the machine's clock beyond this is reported once as an error; below it is ordinary correction.
pub const TOLERATED_SETBACK: Duration = Duration::from_secs(1);

/// Tells the time of day and, apart from it, how much time has passed.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970-01-01T00:00:00Z, never less than an earlier answer of the same clock.
    fn now_ms(&self) -> i64;

    /// Time passed since this clock was made; unaffected by changes of the time of day.
    fn elapsed(&self) -> Duration;

    /// Goes on from this instant if it is not as late yet: somebody knows that it was reached before.
    fn not_before(&self, ms: i64);

    /// How far this clock is ahead of the machine's; more than a blink only after the latter was set back.
    fn ahead(&self) -> Duration;
}

/// The machine's clock, kept from running backwards.
///
/// The answer is the monotonic time plus the largest offset to the wall clock seen so far. So after somebody
/// sets the wall clock back, time goes on from where it was: what had expired stays expired, and what is about
/// to expire still does. (Holding the last value until the wall clock catches up would also be monotone, but
/// would stop time, and keep a key alive for as long as the jump was.) The latest time is kept in the store, so a
/// restart goes on from it as well ([`Clock::not_before`]). The price: if the wall clock was wrong in the *future*
/// and is put right, the later time stays until an operator says that it was wrong. That is the safe side (keys die
/// early, none lives long), it is said in the log, and [`Clock::ahead`] tells how far.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    /// Largest wall-clock time minus monotonic time seen, in microseconds.
    offset: AtomicI64,
    setback_reported: AtomicBool,
    /// The kernel's tick in which the clocks were read last, in nanoseconds, and what they said then.
    tick: AtomicI64,
    now_ms: AtomicI64,
}

impl SystemClock {
    /// Starts at the machine's present time.
    #[must_use]
    pub fn new() -> Self {
        let clock = Self {
            started: Instant::now(),
            offset: AtomicI64::new(i64::MIN),
            setback_reported: AtomicBool::new(false),
            tick: AtomicI64::new(i64::MIN),
            now_ms: AtomicI64::new(i64::MIN),
        };
        clock.now_ms();
        clock
    }

    /// The rule itself, with both readings as arguments so that it can be tested.
    fn advance(&self, wall_us: i64, elapsed: Duration) -> i64 {
        let elapsed_us = micros(elapsed);
        let offset = wall_us - elapsed_us;
        let mut highest = self.offset.load(Relaxed);
        if offset > highest {
            // Written only when the wall clock gained on the monotonic one, so that the threads that ask
            // ninety thousand times a second share the cache line instead of fighting for it.
            highest = self.offset.fetch_max(offset, Relaxed).max(offset);
            self.setback_reported.store(false, Relaxed);
        } else if highest - offset > micros(TOLERATED_SETBACK) && !self.setback_reported.swap(true, Relaxed) {
            tracing::error!(
                seconds = (highest - offset) / 1_000_000,
                "the machine's clock was set back; going on from the later time so that nothing expired comes \
                 back to life. Check time synchronisation. Where the time before was wrong, start once with \
                 clock.set_back = \"believe\""
            );
        }
        (elapsed_us + highest).div_euclid(1_000)
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    /// Reads the clocks once in each tick of the kernel (1 to 10 ms), because on a virtual machine two readings can cost
    /// a fifth of a verify. So the answer may be as old as a tick, here and in every instant that is kept.
    fn now_ms(&self) -> i64 {
        let tick = i64::try_from(tick().as_nanos()).unwrap_or(i64::MAX);
        if self.tick.load(Acquire) == tick {
            return self.now_ms.load(Relaxed);
        }
        // The wall clock is read first. A pause of this thread between the two readings then makes the offset
        // look smaller, which changes nothing; the other way round the longest pause ever would stay in it.
        let wall = wall_us();
        let now = self.advance(wall, self.elapsed());
        let latest = self.now_ms.fetch_max(now, Relaxed).max(now);
        self.tick.fetch_max(tick, Release);
        latest
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn not_before(&self, ms: i64) {
        let offset = ms.saturating_mul(1_000).saturating_sub(micros(self.elapsed()));
        self.offset.fetch_max(offset, Relaxed);
        self.now_ms.fetch_max(ms, Relaxed);
    }

    fn ahead(&self) -> Duration {
        let behind = self.offset.load(Relaxed) - (wall_us() - micros(self.elapsed()));
        Duration::from_micros(u64::try_from(behind).unwrap_or(0))
    }
}

/// Monotonic time as of the kernel's last tick, some milliseconds ago at most, for a tenth of the price of a clock.
pub fn tick() -> Duration {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    Duration::try_from(time).unwrap_or_default()
}

/// The machine's time of day as it is, for headers that tell it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's time of day"
)]
pub fn wall() -> SystemTime {
    SystemTime::now()
}

fn wall_us() -> i64 {
    match wall().duration_since(UNIX_EPOCH) {
        Ok(since) => micros(since),
        Err(before) => -micros(before.duration()),
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A clock for tests and replays: it stands still until it is moved.
#[derive(Debug)]
pub struct FakeClock {
    now_ms: AtomicI64,
    elapsed_us: AtomicU64,
    ahead_ms: AtomicU64,
}

impl FakeClock {
    /// Stands at `now_ms` with nothing elapsed.
    #[must_use]
    pub const fn at(now_ms: i64) -> Self {
        Self {
            now_ms: AtomicI64::new(now_ms),
            elapsed_us: AtomicU64::new(0),
            ahead_ms: AtomicU64::new(0),
        }
    }

    /// Lets time pass: both the time of day and the elapsed time move by `step`.
    pub fn advance(&self, step: Duration) {
        let us = u64::try_from(step.as_micros()).unwrap_or(u64::MAX);
        let before = self.elapsed_us.fetch_add(us, Relaxed);
        // Whole milliseconds by difference, so that a thousand small steps add up to one large one.
        let gained = (before + us) / 1_000 - before / 1_000;
        self.now_ms
            .fetch_add(i64::try_from(gained).unwrap_or(i64::MAX), Relaxed);
    }

    /// Sets the time of day, in either direction, as an operator might; no time passes.
    pub fn set(&self, now_ms: i64) {
        self.now_ms.store(now_ms, Relaxed);
    }
}

impl Clock for FakeClock {
    fn now_ms(&self) -> i64 {
        self.now_ms.load(Relaxed)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.elapsed_us.load(Relaxed))
    }

    fn not_before(&self, ms: i64) {
        let before = self.now_ms.fetch_max(ms, Relaxed);
        self.ahead_ms
            .fetch_add(u64::try_from(ms.saturating_sub(before)).unwrap_or(0), Relaxed);
    }

    fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000_000_000;
    const HOUR: i64 = 3_600_000_000;

    fn at_noon() -> SystemClock {
        let clock = SystemClock::new();
        clock.offset.store(i64::MIN, Relaxed);
        assert_eq!(clock.advance(NOON, Duration::ZERO), NOON / 1_000);
        clock
    }

    #[test]
    fn time_goes_on_from_where_it_was_when_the_wall_clock_is_set_back() {
        let clock = at_noon();
        let second = Duration::from_secs(1);
        assert_eq!(clock.advance(NOON - HOUR + 1_000_000, second), NOON / 1_000 + 1_000);
        assert_eq!(
            clock.advance(NOON - HOUR + 61_000_000, 61 * second),
            NOON / 1_000 + 61_000
        );
        assert!(clock.setback_reported.load(Relaxed));
    }

    #[test]
    fn a_forward_jump_is_taken_over_and_a_later_setback_is_reported_again() {
        let clock = at_noon();
        clock.advance(NOON - HOUR, Duration::ZERO);
        assert_eq!(clock.advance(NOON + HOUR, Duration::ZERO), (NOON + HOUR) / 1_000);
        assert!(!clock.setback_reported.load(Relaxed));
    }

    #[test]
    fn time_goes_on_from_an_instant_that_was_reached_before() {
        let clock = SystemClock::new();
        let (early, late) = (clock.now_ms() - 1_000, clock.now_ms() + 3_600_000);
        clock.not_before(early);
        assert!(clock.ahead() < TOLERATED_SETBACK, "it is later than that anyway");
        clock.not_before(late);
        assert!(clock.now_ms() >= late && clock.now_ms() < late + 60_000);
        assert!(clock.ahead() > Duration::from_secs(3_500));
    }

    #[test]
    fn a_small_correction_is_not_reported() {
        let clock = at_noon();
        assert_eq!(clock.advance(NOON - 500_000, Duration::ZERO), NOON / 1_000);
        assert!(!clock.setback_reported.load(Relaxed));
    }

    #[test]
    fn the_system_clock_agrees_with_the_machine() {
        let clock = SystemClock::new();
        assert!((clock.now_ms() - wall_us() / 1_000).abs() < 1_000);
        assert!(clock.ahead() < TOLERATED_SETBACK);
        let first = clock.now_ms();
        assert!((0..10_000).all(|_| clock.now_ms() >= first));
    }

    #[test]
    fn the_fake_clock_moves_only_when_told_and_loses_no_fraction() {
        let clock = FakeClock::at(1_000);
        for _ in 0..2_000 {
            clock.advance(Duration::from_micros(500));
        }
        assert_eq!(clock.now_ms(), 2_000);
        assert_eq!(clock.elapsed(), Duration::from_secs(1));
        clock.set(5);
        assert_eq!((clock.now_ms(), clock.elapsed()), (5, Duration::from_secs(1)));
    }
}
