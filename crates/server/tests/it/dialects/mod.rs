//! Dialects: each in its own words, and all of them under the rules that hold everywhere.

mod coverage;
mod datalayer;
mod directus;
mod doors;
mod in_the_clear;
mod meerschaum;
mod paths;
mod stackauth;
mod village;
