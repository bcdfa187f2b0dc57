//! `keyholt serve`: starts the server, says what to do next, and stops it politely.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{Args, Subcommand};
use keyholt_server::config::{self, Config, LogFormat};
use keyholt_server::keeper::FirstStart;
use keyholt_server::serve::{Running, start};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::settings::SettingFlags;
use crate::connection::server::DEFAULT_SERVER;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::trouble::Trouble;
use crate::world::VARIABLES;

/// Threads of the runtime that the keeper's own work runs on; requests have threads of their own.
const KEEPER_THREADS: usize = 2;

/// The words after `keyholt serve`.
#[derive(Args)]
#[command(
    after_help = "Settings can also stand in `keyholt.toml` or in the environment, under the same names.\n\n\
                        Example:\n  keyholt serve --data /var/lib/keyholt --listen 127.0.0.1:7311"
)]
pub struct Serve {
    #[command(flatten)]
    settings: SettingFlags,
}

/// The verbs of `keyholt config`.
#[derive(Subcommand)]
pub enum Settings {
    /// Tell each setting's value and where it comes from, secrets hidden
    #[command(after_help = "Example:\n  keyholt config show --listen 127.0.0.1:9000")]
    Show(Serve),
}

/// What the process was started with, as far as the server's settings go.
pub struct Start {
    /// How the program was called.
    pub program: String,
    /// The whole environment.
    pub variables: Vec<(OsString, OsString)>,
}

impl Start {
    fn load(&self, flags: SettingFlags) -> Result<config::Loaded, Trouble> {
        let foreign = VARIABLES.map(|(name, _)| name);
        let loaded = Config::load(self.variables.iter().cloned(), flags.0, &foreign);
        loaded.map_err(|error| Trouble::new("the settings are not right").because(&error))
    }
}

impl Serve {
    /// Runs the server until it is told to stop.
    pub fn run(self, given: &Start) -> Result<Exit, Trouble> {
        let config = given.load(self.settings)?.config;
        init_log(&config);
        forbid_core_dumps();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(KEEPER_THREADS)
            .thread_name("keeper")
            .enable_all()
            .build()
            .map_err(|error| Trouble::new("the runtime does not start").because(&error))?;
        runtime.block_on(serve(&config, &given.program))
    }
}

impl Settings {
    /// Tells the settings.
    pub fn run(self, given: &Start, printer: &mut Printer) -> Result<Exit, Trouble> {
        let Self::Show(words) = self;
        let loaded = given.load(words.settings)?;
        printer.verbatim(config::show(&loaded).as_bytes())?;
        Ok(Exit::Yes)
    }
}

async fn serve(config: &Config, program: &str) -> Result<Exit, Trouble> {
    let no_signals = |error: io::Error| Trouble::new("signals cannot be received").because(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(no_signals)?;
    let started = start(config).await;
    let (running, first) = started.map_err(|error| Trouble::new("Keyholt does not start").because(&error))?;
    greet(&running, first, program)
        .map_err(|error| Trouble::new("the greeting could not be written").because(&error))?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => running.reload(),
        }
    }
    tracing::info!(patience = ?config.drain, "stopping: answering what was asked, accepting nothing new");
    tokio::select! {
        drained = running.stop(config.drain) => {
            if drained.cut > 0 {
                tracing::warn!(connections = drained.cut, "connections with a request in flight were cut");
            }
            tracing::info!("stopped");
            Ok(Exit::Yes)
        }
        // Whoever asks twice means it.
        _ = terminate.recv() => Ok(Exit::Trouble),
        _ = interrupt.recv() => Ok(Exit::Trouble),
    }
}

/// Says where Keyholt is, and to whoever starts it for the first time, what to do next.
///
/// `program` is how the program was called, so that the commands can be pasted as they stand.
fn greet(running: &Running, first: FirstStart, program: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let url = &running.url;
    writeln!(out, "Keyholt {} listens on {url}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "API documentation: {url}/docs")?;
    if let Some(path) = &running.made_master_key {
        let path = path.display();
        writeln!(
            out,
            "A master key was made in {path}: keep a copy of it apart from the data and its backups."
        )?;
    }
    if let FirstStart::Token(token) = first {
        let token = token.reveal();
        let server = if *url == DEFAULT_SERVER {
            String::new()
        } else {
            format!(" --server {url}")
        };
        writeln!(
            out,
            "\nNobody operates this installation yet. Paste these commands into another terminal; the"
        )?;
        writeln!(out, "set-up token works once, within 24 hours:\n")?;
        writeln!(out, "  echo {} | {program} setup --token -{server}", token.as_str())?;
        writeln!(out, "  {program} projects create acme")?;
        writeln!(out, "  {program} --project acme users create u_42 --name Ada\n")?;
    }
    out.flush()
}

fn init_log(config: &Config) {
    let filter = EnvFilter::new(config.log.level.to_string());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr);
    match config.log.format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
}

/// Keeps secrets in memory out of core dumps and away from other processes of the same user.
fn forbid_core_dumps() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps could not be forbidden");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the process could not be made undumpable");
    }
}
