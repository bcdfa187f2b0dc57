//! The program `keyholt`: gathers the world around it and hands it over.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use keyholt::world::{Reader, Stream, World};
use keyholt::{AtTerminal, Person, SystemVault};
use keyholt_server::clock::SystemClock;
use keyholt_server::entropy::SystemEntropy;
use keyholt_server::keyring::pages;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Columns of a terminal that does not say how wide it is.
const COLUMNS_USUAL: u16 = 80;

fn main() -> ExitCode {
    pages::small();
    // The one place of the binary that reads the environment; all else is handed on.
    let variables = std::env::vars_os().collect();
    let stdin = io::stdin();
    let person = stdin.is_terminal().then(|| Box::new(AtTerminal) as Box<dyn Person>);
    let world = World {
        arguments: std::env::args_os().collect(),
        variables,
        stdin: Box::new(stdin),
        stdout: Stream {
            reader: reader(&io::stdout(), terminal_size::terminal_size_of(io::stdout())),
            to: Box::new(io::stdout()),
        },
        stderr: Stream {
            reader: reader(&io::stderr(), terminal_size::terminal_size_of(io::stderr())),
            to: Box::new(io::stderr()),
        },
        person,
        vault: Box::new(SystemVault),
        clock: Box::new(SystemClock::new()),
        entropy: Box::new(SystemEntropy),
    };
    keyholt::run(world).into()
}

fn reader(stream: &impl IsTerminal, size: Option<(terminal_size::Width, terminal_size::Height)>) -> Reader {
    if stream.is_terminal() {
        let columns = size.map_or(COLUMNS_USUAL, |(width, _)| width.0);
        Reader::Person { columns }
    } else {
        Reader::Program
    }
}
