//! The server: the keeper and its keyring, and the doors that knock at it.

pub mod backup;
pub mod clock;
pub mod config;
pub mod dialects;
pub mod entropy;
pub mod front;
pub mod http;
mod jose;
pub mod keeper;
pub mod keyring;
pub mod listen;
pub mod master;
mod oauth;
pub mod serve;
pub mod swift;
pub mod tls;
