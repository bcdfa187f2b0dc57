//! What the tests of PostgreSQL share: databases, and a small world to write about.

pub mod database;
pub mod world;
