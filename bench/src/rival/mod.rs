//! The servers that Keyholt is measured against, each a process of its own: what its stack could do at best.

mod bare;
mod floor;

pub use bare::serve as serve_bare;
pub use floor::serve as serve_floor;

use std::io::Write;
use std::net::SocketAddr;

/// Says where a rival listens, in the words of `keyholt serve`, so that one reader understands all of them.
fn announce(address: SocketAddr) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listens on http://{address}")?;
    out.flush()
}
