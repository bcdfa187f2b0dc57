//! The `Date` of answers, written once in a second.

use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use crate::clock;

/// The time of day as a header shows it.
#[derive(Debug, Default)]
pub(super) struct Date {
    text: String,
    good_until: Option<Instant>,
}

impl Date {
    /// The date at an instant, in the form of RFC 9110.
    pub fn at(&mut self, now: Instant) -> &str {
        if self.good_until.is_none_or(|until| now >= until) {
            let wall = clock::wall();
            self.text = httpdate::fmt_http_date(wall);
            let into_second = wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
            self.good_until = Some(now + Duration::from_secs(1) - Duration::from_nanos(into_second.into()));
        }
        &self.text
    }
}
