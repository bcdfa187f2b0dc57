//! Counts what a verify in process asks of the allocator. A program of its own, because counting slows allocation down.

use std::alloc::System;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use keyholt_bench::inside::{Case, Inside};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls of each case.
const CALLS: usize = 10_000;

/// `count-allocations FOLDER DISTINCT` prints allocations per call as JSON, by case.
fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("which data folder?")?);
    let distinct = arguments.next().context("how many different keys?")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // No background work here: what it allocates belongs to no call.
    let inside = runtime.block_on(Inside::open(&folder, distinct))?;
    inside.check()?;
    let mut out = Inside::buffer();
    let mut found = Vec::new();
    for case in [Case::Hit, Case::Unknown, Case::Malformed] {
        // The list of uses grows by doubling; after one pass its room is there, as in a server that has run for a while.
        for at in 0..CALLS {
            inside.ask(case, at, &mut out)?;
        }
        let region = Region::new(ALLOCATOR);
        for at in 0..CALLS {
            inside.ask(case, at, &mut out)?;
        }
        let change = region.change();
        found.push((change.allocations + change.reallocations) as f64 / CALLS as f64);
    }
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(&found)?)?)
}
