//! The keeper's memory of every live key; the verify path reads it and nothing else.

pub mod directory;
pub mod holders;
pub mod intern;
pub mod lines;
pub mod pages;
pub mod ring;
pub mod rows;
pub mod table;
pub mod tallies;
