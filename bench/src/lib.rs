//! The bench: measures Keyholt against its own bare answer, against the floor of its stack, and against others.

pub mod data;
pub mod figure;
pub mod inside;
pub mod offline;
pub mod peer;
pub mod report;
pub mod rival;
pub mod row;
pub mod say;
pub mod scratch;
pub mod setting;
pub mod signature;
mod single;

pub use keyholt_rig::{load, machine, process, wire};
