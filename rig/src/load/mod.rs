//! The load generator: keeps connections open, sends prepared requests, checks every answer, and takes the time.
//!
//! It shares the machine with the server under load, so it must cost little: one thread for many connections, requests
//! made by copying a few bytes into a template, answers read by a parser that looks only at status and length.
//! Pipelining is off: a connection has one request under way.

mod closed;
mod link;
mod open;
mod reply;
mod script;

pub use closed::{Closed, Round};
pub use open::{Open, Punctual};
pub use reply::{Progress, Reply};
pub use script::{Expected, Outlook, Request, SLOT, Script, Words};

use hdrhistogram::Histogram;

/// The longest latency that is told apart from longer ones.
const LATENCY_US_MAX: u64 = 60_000_000;
/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// An empty histogram of latencies in microseconds.
pub(crate) fn latencies() -> Histogram<u64> {
    // The bounds are constants that the library accepts; a default histogram would grow by itself.
    Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS).unwrap_or_else(|_| Histogram::new(DIGITS).expect("3 digits"))
}
