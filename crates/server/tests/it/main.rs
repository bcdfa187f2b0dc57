//! Stories of the keeper: personas, a fake clock, seeded randomness, and the memory store.

mod acts;
mod bad_inputs;
mod coverage;
mod first_run;
mod house;
mod keys;
mod owners;
mod native_api;
mod verify;
mod wire;
