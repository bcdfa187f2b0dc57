//! What the tests of PostgreSQL share: databases, servers to torture, and a small world to write about.

#![expect(dead_code, reason = "each test program uses a part of it")]

pub mod database;
pub mod server;
pub mod world;
