//! `cargo xtask`: the chores of this repository that are better written in Rust than in a shell.

mod canary;
mod generate;
mod tidy;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Keyholt repository")]
struct Xtask {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the house style: sizes, first lines, forbidden words, links, who may depend on whom
    Tidy,
    /// Write the OpenAPI document and the reference pages anew
    Generate,
    /// Search everything the test suite left behind for the secrets that it made
    Canary(canary::Canary),
}

fn main() -> anyhow::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match Xtask::parse().chore {
        Chore::Tidy => tidy::run(repository(), &mut out),
        Chore::Generate => generate::run(repository(), &mut out),
        Chore::Canary(canary) => Ok(canary.run(&mut out)),
    }
}

/// The root of the repository that this binary was built from.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
