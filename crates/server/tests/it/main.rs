//! Stories of the keeper: personas, a fake clock, seeded randomness, and the memory store.

mod bad_inputs;
mod coverage;
mod first_run;
mod house;
mod verify;
mod wire;
