//! The torture: breaks a running Keyholt from outside, in every way that is promised to be harmless, and counts the damage.

pub mod caller;
pub mod figure;
pub mod house;
pub mod ledger;
pub mod page;
pub mod proxy;
pub mod setting;
pub mod step;
pub mod workload;
