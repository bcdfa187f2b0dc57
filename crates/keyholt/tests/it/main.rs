//! The command line as people and programs see it: exit code, stdout and stderr against a server that plays its part.

mod backup;
mod binary;
mod desk;
mod doctor;
mod help;
mod import;
mod keys;
mod login;
mod output;
mod records;
mod sessions;
mod stub;
mod tokens;
mod trouble;
mod verify;
