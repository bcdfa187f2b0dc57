//! Guesses: how many wrong credentials somebody may show before being told to wait.
//!
//! Only failures are counted, so whoever shows a good credential pays nothing and is not stopped by others at the same
//! address. What is cheap to check, such as a key, is checked first, and `failed` is told of a failure. What is dear to
//! check, such as a password, asks `may_try` before.

use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Guessers that are told apart; of more, those with the least to pay off are forgotten first.
const GUESSERS_MAX: usize = 1 << 15;
const WAYS: usize = 8;
const BUCKETS: usize = GUESSERS_MAX / WAYS;
/// The time over which an allowance is counted.
pub const WINDOW: Duration = Duration::from_secs(60);

/// How many wrong credentials in a minute are answered like the first one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// So many; all at once or spread over the minute.
    pub per_minute: NonZeroU32,
}

/// Who guesses, as far as that can be told.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Guesser(u128);

impl Guesser {
    /// All who show wrong set-up tokens, as one: the trail has room for so many of them.
    pub(super) const AT_SET_UP: Self = Self(3 << 64);
}

/// How long to wait before the next try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait(pub Duration);

impl Wait {
    /// Whole seconds, never too few and never none.
    pub fn seconds(self) -> u64 {
        self.0.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
    }
}

impl From<Option<IpAddr>> for Guesser {
    /// An IPv4 address, or the /64 of an IPv6 address: that is what one subscriber has, and may choose from freely.
    /// Whoever comes from nowhere is one guesser.
    fn from(address: Option<IpAddr>) -> Self {
        Self(match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(address)) => address.to_bits() >> 64,
            Some(IpAddr::V4(address)) => 1 << 64 | u128::from(address.to_bits()),
            None => 2 << 64,
        })
    }
}

/// Failures of every guesser, in memory of a fixed size.
pub struct Guesses {
    /// What one failure costs.
    price: Duration,
    /// Makes places in the table unforeseeable, so that nobody can choose addresses that push others out of it.
    random: [u64; 2],
    /// Made for the first who shows something.
    buckets: LazyLock<Box<[Mutex<Bucket>]>>,
}

type Bucket = [Debt; WAYS];

/// What a guesser has to pay off. The generic cell rate algorithm: one instant says all.
#[derive(Clone, Copy, Default)]
struct Debt {
    mark: u64,
    paid_off: Duration,
}

impl Guesses {
    /// Nobody guessed yet.
    pub fn new(allowance: Allowance, random: [u64; 2]) -> Self {
        Self {
            price: WINDOW / allowance.per_minute.get(),
            random,
            buckets: LazyLock::new(|| (0..BUCKETS).map(|_| Mutex::default()).collect()),
        }
    }

    /// Whether somebody may try at all. `now` is time that has passed, and not the time of day, which can be set.
    pub fn may_try(&self, guesser: Guesser, now: Duration) -> Result<(), Wait> {
        let (bucket, mark) = self.bucket(guesser);
        let debt = bucket.iter().find(|debt| debt.mark == mark);
        self.price_beyond(debt.map_or(Duration::ZERO, |debt| debt.paid_off), now)
            .map(drop)
    }

    /// Counts a failure; beyond the allowance it is not counted, and the guesser has to wait.
    pub fn failed(&self, guesser: Guesser, now: Duration) -> Result<(), Wait> {
        let (mut bucket, mark) = self.bucket(guesser);
        if let Some(debt) = debt_of(&mut bucket, mark) {
            debt.paid_off = self.price_beyond(debt.paid_off, now)?;
        }
        Ok(())
    }

    /// Takes in failures from before a restart, the oldest first: how long each is ago.
    pub fn recollect(&self, guesser: Guesser, ages: impl IntoIterator<Item = Duration>, now: Duration) {
        let (mut owed, mut before) = (Duration::ZERO, Duration::ZERO);
        for age in ages {
            owed = owed.saturating_sub(before.saturating_sub(age));
            // Beyond the allowance none was counted then either.
            if owed + self.price <= WINDOW {
                owed += self.price;
            }
            before = age;
        }
        let owed = owed.saturating_sub(before);
        let (mut bucket, mark) = self.bucket(guesser);
        if let Some(debt) = debt_of(&mut bucket, mark) {
            debt.paid_off = debt.paid_off.max(now + owed);
        }
    }

    /// When everything is paid off after one more failure, if that is within the allowance.
    fn price_beyond(&self, paid_off: Duration, now: Duration) -> Result<Duration, Wait> {
        let after = paid_off.max(now) + self.price;
        match after.saturating_sub(now).checked_sub(WINDOW) {
            None | Some(Duration::ZERO) => Ok(after),
            Some(too_much) => Err(Wait(too_much)),
        }
    }

    fn bucket(&self, guesser: Guesser) -> (MutexGuard<'_, Bucket>, u64) {
        let mut hasher = DefaultHasher::new();
        self.random.into_iter().for_each(|word| hasher.write_u64(word));
        hasher.write_u128(guesser.0);
        let hash = hasher.finish();
        let place = usize::try_from(hash % BUCKETS as u64).unwrap_or_default();
        // A vacant place has the mark 0.
        let mark = hash | 1 << 63;
        let bucket = &self.buckets[place];
        (bucket.lock().unwrap_or_else(PoisonError::into_inner), mark)
    }
}

/// What a guesser owes, in a place of its own from now on.
fn debt_of(bucket: &mut Bucket, mark: u64) -> Option<&mut Debt> {
    let known = bucket.iter().position(|debt| debt.mark == mark);
    let debt = match known {
        Some(at) => bucket.get_mut(at),
        // Whoever has the least to pay off is forgotten: somebody who guesses all the time never is.
        None => bucket.iter_mut().min_by_key(|debt| debt.paid_off),
    }?;
    if debt.mark != mark {
        *debt = Debt {
            mark,
            paid_off: Duration::ZERO,
        };
    }
    Some(debt)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn guesses(per_minute: u32) -> Guesses {
        let per_minute = NonZeroU32::new(per_minute).unwrap();
        Guesses::new(Allowance { per_minute }, [1, 2])
    }

    fn from(address: &str) -> Guesser {
        Some(address.parse::<IpAddr>().unwrap()).into()
    }

    #[test]
    fn so_many_failures_are_allowed_and_time_pays_them_off() {
        let guesses = guesses(60);
        let eve = from("192.0.2.1");
        for _ in 0..60 {
            assert_eq!(guesses.may_try(eve, NOW), Ok(()));
            assert_eq!(guesses.failed(eve, NOW), Ok(()));
        }
        let second = Duration::from_secs(1);
        for _ in 0..1_000 {
            assert_eq!(
                guesses.failed(eve, NOW),
                Err(Wait(second)),
                "waiting does not get longer"
            );
            assert_eq!(guesses.may_try(eve, NOW), Err(Wait(second)));
        }
        assert_eq!(guesses.failed(eve, NOW + second), Ok(()));
        assert_eq!(guesses.failed(eve, NOW + second), Err(Wait(second)));
        for _ in 0..60 {
            assert_eq!(guesses.failed(eve, NOW + Duration::from_secs(61)), Ok(()));
        }
    }

    #[test]
    fn failures_from_before_a_restart_are_owed_as_if_there_had_been_none() {
        let second = Duration::from_secs(1);
        let ages = |newest: u64| (newest..newest + 60).rev().map(Duration::from_secs);
        for (newest, free) in [(0, 0), (10, 10), (59, 59), (60, 60)] {
            let (live, restarted) = (guesses(60), guesses(60));
            let eve = from("192.0.2.1");
            for age in ages(newest) {
                for _ in 0..2 {
                    let _ = live.failed(eve, NOW - age);
                }
            }
            restarted.recollect(eve, ages(newest).flat_map(|age| [age, age]), NOW);
            for guesses in [&live, &restarted] {
                let left = (0..).take_while(|_| guesses.failed(eve, NOW).is_ok()).count();
                assert_eq!(left, free, "the newest {newest} s ago");
                assert_eq!(guesses.failed(from("192.0.2.2"), NOW), Ok(()), "nobody else owes it");
            }
            assert_eq!(restarted.failed(eve, NOW + second), Ok(()));
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_too_short() {
        for (millis, seconds) in [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (60_000, 60)] {
            assert_eq!(Wait(Duration::from_millis(millis)).seconds(), seconds);
        }
    }

    #[test]
    fn a_source_is_an_ipv4_address_or_the_64_of_an_ipv6_address() {
        assert_eq!(from("2001:db8::1"), from("2001:db8::ffff:1:2:3"));
        assert_ne!(from("2001:db8::1"), from("2001:db8:0:1::1"));
        assert_eq!(from("192.0.2.1"), from("::ffff:192.0.2.1"));
        assert_ne!(from("192.0.2.1"), from("192.0.2.2"));
        assert_ne!(from("192.0.2.1"), None.into());
        // The last 32 bits of a /64 are not an IPv4 address.
        assert_ne!(from("0.0.0.1"), from("0:0:0:1::"));
    }

    #[test]
    fn of_more_guessers_than_are_kept_the_busy_one_is_remembered() {
        let guesses = guesses(10);
        let eve = from("192.0.2.1");
        for _ in 0..10 {
            guesses.failed(eve, NOW).unwrap();
        }
        for n in 0..4 * u128::try_from(GUESSERS_MAX).unwrap() {
            guesses.failed(Guesser(n << 70), NOW).unwrap();
        }
        assert!(guesses.failed(eve, NOW).is_err());
        let kept = guesses.buckets.len() * WAYS;
        assert_eq!(kept, GUESSERS_MAX);
        assert!(GUESSERS_MAX * size_of::<Debt>() < 1 << 20, "less than a megabyte");
    }
}
