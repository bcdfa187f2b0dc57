//! Stories of the keeper: personas, a fake clock, seeded randomness, and the memory store.

mod acts;
mod audit;
mod backup;
mod bad_inputs;
mod coverage;
mod credentials;
mod dialects;
mod first_run;
mod follow;
mod house;
mod keys;
mod native_api;
mod owners;
mod refusals;
mod relay;
mod seals;
mod verify;
mod wire;
