//! What the bench says while it works: talk on stderr, the table on stdout.

use std::io::Write;

/// Says what is going on. That nobody listens is no reason to stop measuring.
pub fn talk(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Prints what was asked for.
pub fn print(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}
