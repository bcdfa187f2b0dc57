//! The accept loop as a client meets it: through real sockets, with good and bad manners.

mod drain;
mod frames;
mod framing;
mod patience;
mod short;
mod stage;
mod tls;
