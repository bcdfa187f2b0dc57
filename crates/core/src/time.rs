//! Instants and spans in whole milliseconds, written the way RFC 3339 and people write them.

use std::fmt;
use std::str::FromStr;

use jiff::{SpanRelativeTo, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant in UTC, in milliseconds since 1970: what every column, row and answer carries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Moment(i64);

/// The last instant that is accepted from outside: the end of the year 2999.
///
/// Beyond it lie typing errors (milliseconds given as seconds), not plans.
pub const LATEST: Moment = Moment(32_503_679_999_999);

impl Moment {
    /// The instant that many milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// This instant moved forward, but not beyond [`LATEST`]: what is written can be read back.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        let moved = self.0.saturating_add_unsigned(span.0);
        if moved > LATEST.0 { LATEST } else { Self(moved) }
    }

    /// This instant moved back; saturates at the beginning of time rather than wrapping.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self(self.0.saturating_sub_unsigned(span.0))
    }

    /// How long after `earlier` this instant is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Span {
        Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The hour that this instant falls in, counted since 1970: the grain of usage counts.
    pub const fn hour(self) -> i64 {
        self.0.div_euclid(3_600_000)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Rendered::of(*self), Timestamp::from_millisecond(self.0)) {
            (Some(rendered), _) => f.write_str(rendered.as_str()),
            (None, Ok(timestamp)) => write!(f, "{timestamp}"),
            (None, Err(_)) => write!(f, "{}ms", self.0),
        }
    }
}

/// An instant as text, without an allocation: every verify writes one or two.
#[derive(Clone, Copy, Debug)]
pub struct Rendered {
    text: [u8; 24],
    length: usize,
}

impl Rendered {
    /// The instant in the shortest form of RFC 3339, if it lies between 1970 and [`LATEST`].
    pub fn of(moment: Moment) -> Option<Self> {
        if moment.0 < 0 || moment > LATEST {
            return None;
        }
        // The days until 2999 and the milliseconds of one fit into 32 bits, in which to divide costs half.
        let (day, in_day) = ((moment.0 / 86_400_000) as u32, (moment.0 % 86_400_000) as u32);
        let (year, month, date) = civil(day);
        let (second, ms) = (in_day / 1_000, in_day % 1_000);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let digit = |number: u32| b'0' + (number % 10) as u8;
        let pair = |number: u32| [digit(number / 10), digit(number)];
        let ([y0, y1], [y2, y3]) = (pair(year / 100), pair(year));
        let ([m0, m1], [d0, d1]) = (pair(month), pair(date));
        let ([h0, h1], [n0, n1], [s0, s1]) = (pair(hour), pair(minute), pair(second));
        let (f0, [f1, f2]) = (digit(ms / 100), pair(ms));
        // The form ends where only zeros would follow.
        let (f, length) = match ms {
            0 => ([b'Z', 0, 0, 0, 0], 20),
            _ if ms % 100 == 0 => ([b'.', f0, b'Z', 0, 0], 22),
            _ if ms % 10 == 0 => ([b'.', f0, f1, b'Z', 0], 23),
            _ => ([b'.', f0, f1, f2, b'Z'], 24),
        };
        let [p, f0, f1, f2, z] = f;
        let text = [
            y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T', h0, h1, b':', n0, n1, b':', s0, s1, p, f0, f1, f2, z,
        ];
        Some(Self { text, length })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }
}

/// Year, month and day of a day since 1970-01-01, by the Gregorian calendar of 400-year eras that begin in March.
fn civil(day: u32) -> (u32, u32, u32) {
    let day = day + 719_468;
    let (era, in_era) = (day / 146_097, day % 146_097);
    let year = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * in_year + 2) / 153;
    let date = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year + era * 400 + u32::from(month <= 2), month, date)
}

/// Why a text is not an instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MomentError {
    /// Not RFC 3339 with a zone.
    #[error("`{0}` is not an RFC 3339 instant such as `2030-01-31T09:00:00Z`")]
    Form(String),
    /// Before 1970 or after 2999.
    #[error("`{0}` is outside the years 1970 to 2999")]
    Range(String),
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let short: String = text.chars().take(40).collect();
        if !is_rfc3339(text) {
            return Err(MomentError::Form(short));
        }
        let parsed: Timestamp = text.parse().map_err(|_| MomentError::Form(short.clone()))?;
        let moment = Self(parsed.as_millisecond());
        if parsed < Timestamp::UNIX_EPOCH || moment > LATEST {
            return Err(MomentError::Range(short));
        }
        Ok(moment)
    }
}

/// Whether a text is laid out as RFC 3339 §5.6 says. The parser behind it also reads the other notations of ISO 8601
/// (`20300101T120000Z`, `+002030-…`, `12:00:00,5`), in which leap seconds and a year of six digits would slip through. It
/// does read the digits of a fraction.
fn is_rfc3339(text: &str) -> bool {
    let shaped = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(b, place)| match place {
                b'0' => b.is_ascii_digit(),
                _ => b.eq_ignore_ascii_case(&place),
            })
    };
    let Some((instant, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else {
        return false;
    };
    let Some(zone_at) = rest.find(['Z', 'z', '+', '-']) else {
        return false;
    };
    let (fraction, zone) = rest.split_at(zone_at);
    // A leap second and `24:00` are valid in some notations; accepting them here would give one instant two spellings.
    let odd = instant.ends_with(":60") || instant.get(11..13) == Some("24");
    shaped(instant, "0000-00-00T00:00:00")
        && !odd
        && (fraction.is_empty() || fraction.starts_with('.'))
        && (zone.eq_ignore_ascii_case("Z") || shaped(zone, "+00:00") || shaped(zone, "-00:00"))
        && zone.get(1..3).is_none_or(|hours| hours < "24")
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A length of time in milliseconds, written `90d`, `1h 30m` or `P90D`; a day is 24 hours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span(u64);

/// The longest span accepted from outside: a thousand years.
pub const LONGEST: Span = Span::days(365_000);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// That many milliseconds.
    pub const fn millis(ms: u64) -> Self {
        Self(ms)
    }

    /// That many seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// That many hours.
    pub const fn hours(hours: u64) -> Self {
        Self::secs(hours.saturating_mul(3_600))
    }

    /// That many days of 24 hours.
    pub const fn days(days: u64) -> Self {
        Self::hours(days.saturating_mul(24))
    }

    /// The whole length in milliseconds.
    pub const fn ms(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 5] = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1_000, "s"),
            (1, "ms"),
        ];
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut left = self.0;
        let mut first = true;
        for (size, unit) in UNITS {
            let count = left / size;
            if count > 0 {
                if !first {
                    f.write_str(" ")?;
                }
                write!(f, "{count}{unit}")?;
                first = false;
                left %= size;
            }
        }
        Ok(())
    }
}

/// Why a text is not a span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a length of time such as `90d`, `1h 30m` or `P90D` (at most 1000 years; no months or years)")]
pub struct SpanError(String);

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let refuse = || SpanError(text.chars().take(40).collect());
        if text.len() > 64 {
            return Err(refuse());
        }
        let span: jiff::Span = text.parse().map_err(|_| refuse())?;
        let duration = span
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .map_err(|_| refuse())?;
        let ms = u64::try_from(duration.as_millis()).map_err(|_| refuse())?;
        // `-0.5ms` would be cut to nothing, and nothing is not what was asked for.
        if duration.is_negative() || ms > LONGEST.0 {
            return Err(refuse());
        }
        Ok(Self(ms))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// When a key stops working by itself.
///
/// Expiry is a fact about *now*, not a state: nothing sweeps, nothing can be forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// Works until somebody ends it.
    Never,
    /// Dead **at** this instant.
    At(Moment),
}

impl Expiry {
    /// Whether the instant has come; a key is dead at its instant, not a moment later.
    pub fn is_past(self, now: Moment) -> bool {
        match self {
            Self::Never => false,
            Self::At(at) => now >= at,
        }
    }

    /// Whether something with this expiry would live on after something with the other one.
    pub fn outlives(self, other: Self) -> bool {
        match (self, other) {
            (_, Self::Never) => false,
            (Self::Never, Self::At(_)) => true,
            (Self::At(mine), Self::At(theirs)) => mine > theirs,
        }
    }

    /// The instant, if there is one.
    pub fn at(self) -> Option<Moment> {
        match self {
            Self::Never => None,
            Self::At(at) => Some(at),
        }
    }
}

/// A limit on how long something may live.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetime {
    /// Without end.
    Unlimited,
    /// At most this long.
    For(Span),
}

impl Lifetime {
    /// The expiry of something made now with this lifetime.
    pub fn from(self, now: Moment) -> Expiry {
        match self {
            Self::Unlimited => Expiry::Never,
            Self::For(span) => Expiry::At(now.plus(span)),
        }
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::For(span) => span.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn an_instant_is_written_as_the_calendar_has_it(ms in 0..=LATEST.ms(), coarse in proptest::sample::select(vec![1, 10, 100, 1_000, 86_400_000])) {
            let ms = ms / coarse * coarse;
            let expected = Timestamp::from_millisecond(ms).unwrap().to_string();
            proptest::prop_assert_eq!(Moment::from_ms(ms).to_string(), expected);
        }
    }

    #[test]
    fn the_last_day_of_february_is_found() {
        for text in [
            "2000-02-29T23:59:59.999Z",
            "2100-02-28T23:59:59Z",
            "2100-03-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
        ] {
            assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_instant_has_one_spelling_and_needs_a_zone() {
        let noon: Moment = "2030-01-01T12:00:00Z".parse().unwrap();
        assert_eq!(noon.to_string(), "2030-01-01T12:00:00Z");
        assert_eq!("2030-01-01T13:00:00+01:00".parse::<Moment>().unwrap(), noon);
        for refused in [
            "2030-01-01T12:00:00",
            "2030-02-30T12:00:00Z",
            "2030-01-01T24:00:00Z",
            "2030-12-31T23:59:60Z",
            "2030-01-01",
            "1893499200",
            "9999-12-31T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "",
            "NaN",
        ] {
            assert!(refused.parse::<Moment>().is_err(), "`{refused}` was accepted");
        }
    }

    #[test]
    fn a_span_is_written_as_it_is_read() {
        for (text, same) in [
            ("90d", "90d"),
            ("P90D", "90d"),
            ("1h 30m", "1h 30m"),
            ("PT90M", "1h 30m"),
            ("2w", "14d"),
            ("0s", "0s"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string(), same);
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        for refused in ["", "90", "1y", "P1M", "-1d", "1001000d", "soon"] {
            assert!(refused.parse::<Span>().is_err(), "`{refused}` was accepted");
        }
    }

    #[test]
    fn a_thing_is_dead_at_its_instant() {
        let at = Moment::from_ms(1_000);
        assert!(!Expiry::At(at).is_past(Moment::from_ms(999)));
        assert!(Expiry::At(at).is_past(at));
        assert!(!Expiry::Never.is_past(LATEST));
        assert!(Expiry::Never.outlives(Expiry::At(at)));
        assert!(!Expiry::At(at).outlives(Expiry::At(at)));
    }
}
