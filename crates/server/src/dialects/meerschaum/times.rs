//! Times as Meerschaum reads and writes them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use keyholt_api::fault::{FaultCode, Reason};
use keyholt_core::time::{Expiry, LATEST, Moment};

/// Longest text that is read as a time.
const TIME_BYTES_MAX: usize = 40;

/// An instant with a zone: Python before 3.11 cannot read `Z`, nor fractions of other than three or six digits.
pub fn zoned(at: Moment) -> String {
    written(at, "%Y-%m-%dT%H:%M:%S%.6f+00:00")
}

/// An instant in UTC without a zone and always with a fraction: the client reads the end of a log-in in no other form.
pub fn naive(at: Moment) -> String {
    written(at, "%Y-%m-%dT%H:%M:%S%.6f")
}

fn written(at: Moment, form: &str) -> String {
    let timestamp = Timestamp::from_millisecond(at.ms()).unwrap_or(Timestamp::UNIX_EPOCH);
    timestamp.strftime(form).to_string()
}

/// The end of a token; null is never.
pub fn end(expiry: Expiry) -> Option<String> {
    expiry.at().map(zoned)
}

/// Reads an instant, a time without a zone or a date; without a zone it is UTC.
pub fn read(text: &str) -> Result<Moment, Reason> {
    let refused = || {
        Reason(
            FaultCode::Form,
            "must be a date or a time of ISO 8601 in the years 1970 to 2999".into(),
        )
    };
    if text.len() > TIME_BYTES_MAX {
        return Err(refused());
    }
    let civil = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    let instant = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok().and_then(civil))
        .or_else(|| {
            text.parse::<Date>()
                .ok()
                .and_then(|day| civil(day.to_datetime(Default::default())))
        });
    instant
        .map(|instant| Moment::from_ms(instant.as_millisecond()))
        .filter(|at| (0..=LATEST.ms()).contains(&at.ms()))
        .ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_client_reads_them() {
        let at = Moment::from_ms(1_893_456_000_120);
        assert_eq!(zoned(at), "2030-01-01T00:00:00.120000+00:00");
        assert_eq!(naive(at), "2030-01-01T00:00:00.120000");
    }

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        for text in [
            "2030-01-01",
            "2030-01-01T00:00:00",
            "2030-01-01T00:00:00.000000+00:00",
            "2030-01-01T02:00:00+02:00",
            "2030-01-01T00:00:00Z",
        ] {
            assert_eq!(read(text).unwrap().ms(), 1_893_456_000_000, "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "1969-12-31",
            "3000-01-01",
            "2030-13-01",
            &"2".repeat(50),
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
