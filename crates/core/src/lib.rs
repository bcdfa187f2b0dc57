//! The domain of Keyholt, pure: values in, decisions and commits out.
//!
//! Nothing here reads a clock, a random source, a file or the environment, and nothing is async.
//! Nouns are what the service knows (`key`, `owner`, `project`, `scope`, …); verbs are what can be done
//! (`issue`, `rotate`, `revoke`, …). A verb takes a [`actor::Permit`] and returns a [`commit::Commit`]:
//! the new state together with the audit event that explains it.

pub mod actor;
pub mod audit;
pub mod authority;
pub mod bond;
pub mod commit;
pub mod denial;
pub mod entropy;
pub mod id;
pub mod key;
pub mod owner;
pub mod password;
pub mod project;
pub mod refresh_token;
pub mod role;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod setup;
pub mod signing;
pub mod strength;
pub mod text;
pub mod time;
pub mod token;

pub mod amend;
pub mod enrol;
pub mod expose;
pub mod found;
pub mod issue;
pub mod pause;
pub mod remove;
pub mod renew;
pub mod restore;
pub mod reuse;
pub mod revoke;
pub mod rotate;
pub mod session;
pub mod verify;
