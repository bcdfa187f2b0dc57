//! Stories of the keeper: personas, a fake clock, seeded randomness, and the memory store.

mod acts;
mod audit;
mod backup;
mod bad_inputs;
mod coverage;
mod credentials;
mod dialects;
mod exposure;
mod first_run;
mod follow;
mod guesses;
mod hammer;
mod house;
mod keys;
mod native_api;
mod no_store_calls;
mod owners;
mod people;
mod refusals;
mod relay;
mod ring;
mod seals;
mod tokens;
mod usage;
mod verify;
mod wire;
