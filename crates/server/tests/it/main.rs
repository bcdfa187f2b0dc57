//! Stories of the keeper: personas, a fake clock, seeded randomness, and the memory store.

mod backup;
mod first_run;
mod house;
mod verify;
