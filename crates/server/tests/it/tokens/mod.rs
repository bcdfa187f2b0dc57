//! Stories of access tokens: how they are got, what they may do, and how they die.

mod client_credentials;
mod shape;
mod stage;
