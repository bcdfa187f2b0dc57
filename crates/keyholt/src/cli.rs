//! The command line itself: global options, and the commands in the order in which help lists them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};
use keyholt_core::time::Span;

use crate::commands::Command;

/// The longest time that an answer may take.
const TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);

/// Issues, verifies, scopes, expires, rotates, revokes and audits API keys.
#[derive(Parser)]
#[command(
    name = "keyholt",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, or yes; 1 a well-asked no (not valid, refused, not found); 2 no answer.\n\n\
                  Example:\n  keyholt login --server https://keys.example.com"
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Address of the server [env: KEYHOLT_SERVER] [default: that of the last log-in, or http://127.0.0.1:7311]
    #[arg(long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// The project, by slug or id; `self` is the one of your own key [env: KEYHOLT_PROJECT] [default: self]
    #[arg(long, short, global = true, value_name = "PROJECT")]
    pub project: Option<String>,
    /// Print the API's JSON, as one document
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but data, warnings and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Confirm beforehand what would be asked
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// How long an answer may take
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = parse_timeout)]
    pub timeout: Duration,
    /// Trust these certificates (PEM) beside the system's [env: KEYHOLT_CA_FILE]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Send the credential over plain HTTP to another machine, where anybody on the way can read it
    #[arg(long, global = true)]
    pub plain_http: bool,
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    let span: Span = text
        .parse()
        .map_err(|_| "write a time such as `500ms`, `10s` or `2m`".to_owned())?;
    let time = Duration::from_millis(span.ms());
    if time.is_zero() || time > TIMEOUT_MAX {
        return Err("it must be more than nothing and at most an hour".to_owned());
    }
    Ok(time)
}
