//! The wire: bodies of requests and answers, the catalogue of error codes, and how both become values of the domain.
//!
//! Requests refuse members that they do not know. Reading one gives either values of `keyholt-core` or *all* that is
//! wrong with it at once ([`fault::Faults`]). Answers are made from values of the domain, and everything here can be
//! both written and read, so that the server, the command line and tests speak through the same types.

pub mod code;
pub mod event;
pub mod fault;
pub mod filter;
pub mod import;
pub mod key;
pub mod master_key;
pub mod meta;
pub mod oauth;
pub mod owner;
pub mod page;
pub mod patch;
pub mod problem;
pub mod project;
mod reading;
pub mod reference;
pub mod role;
pub mod scopes;
pub mod secret;
pub mod session;
pub mod setup;
pub mod signing_key;
pub mod usage;
pub mod verify;
pub mod whoami;
pub mod words;
