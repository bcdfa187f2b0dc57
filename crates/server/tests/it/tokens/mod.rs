//! Stories of access tokens: how they are got, what they may do, and how they die.

mod client_credentials;
mod clocks;
mod components;
mod death;
mod exchange;
mod forged;
mod offline;
mod recall;
mod rotation;
mod shape;
pub mod stage;
mod statuses;
