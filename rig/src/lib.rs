//! The rig: servers as processes, and clients that load them; what the bench and the torture both stand on.

pub mod load;
pub mod machine;
pub mod postgres;
pub mod process;
pub mod wire;
