//! The pure core, told in stories (one file for each verb) and in properties that hold whatever happens.

mod support;

mod amend;
mod commits;
mod enrol;
mod expose;
mod found;
mod issue;
mod passwords;
mod pause;
mod permit;
mod properties;
mod publishable_key;
mod remove;
mod renew;
mod restore;
mod reuse;
mod revoke;
mod rotate;
mod secrets;
mod sessions;
mod signing;
mod static_key;
mod statistics;
mod texts;
mod tokens;
mod verify;
