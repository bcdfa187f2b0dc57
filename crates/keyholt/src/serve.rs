//! `keyholt serve`: starts the server, says what to do next, and stops it politely.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use keyholt_server::config::{self, Config, LogFormat};
use keyholt_server::keeper::FirstStart;
use keyholt_server::serve::{Running, start};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Where the command line looks for the server unless it is told.
const DEFAULT_URL: &str = "http://127.0.0.1:7311";

/// What the process was started with, as far as settings go.
pub struct Given {
    /// How the program was called.
    pub program: String,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags and their values.
    pub flags: Vec<(String, String)>,
    /// Variables that belong to the other commands.
    pub foreign: &'static [&'static str],
}

impl Given {
    fn load(self) -> Result<config::Loaded, config::ConfigError> {
        Config::load(self.environment, self.flags, self.foreign)
    }
}

/// Runs the server until it is told to stop.
pub fn run(given: Given) -> anyhow::Result<ExitCode> {
    let program = given.program.clone();
    let config = given.load()?.config;
    init_log(&config);
    forbid_core_dumps();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("keeper")
        .enable_all()
        .build()
        .context("the runtime does not start")?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (running, first) = start(&config).await?;
        greet(&running, first, &program)?;
        let mut hang_up = signal(SignalKind::hangup())?;
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
                Ok(ExitCode::SUCCESS)
            }
            // Whoever asks twice means it.
            _ = terminate.recv() => Ok(ExitCode::from(2)),
            _ = interrupt.recv() => Ok(ExitCode::from(2)),
        }
    })
}

/// `keyholt config show`: each setting's value and where it comes from, secrets hidden.
pub fn show(given: Given) -> anyhow::Result<ExitCode> {
    let loaded = given.load()?;
    io::stdout().write_all(config::show(&loaded).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Says where Keyholt is, and to whoever starts it for the first time, what to do next.
///
/// `program` is how the program was called, so that the commands can be pasted as they stand.
fn greet(running: &Running, first: FirstStart, program: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let url = &running.url;
    writeln!(out, "Keyholt {} listens on {url}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "API documentation: {url}/docs")?;
    for (dialect, url) in &running.dialects {
        writeln!(out, "The dialect {dialect} is spoken at {url}")?;
    }
    if let Some(path) = &running.made_master_key {
        let path = path.display();
        writeln!(
            out,
            "A master key was made in {path}: keep a copy of it apart from the data and its backups."
        )?;
    }
    if let FirstStart::Token(token) = first {
        let token = token.reveal();
        let server = if *url == DEFAULT_URL {
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
