//! `keyholt version`: the version of this program.

use clap::Args;
use serde_json::json;

use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Form;
use crate::trouble::Trouble;

/// This program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Nothing more to say.
#[derive(Args)]
#[command(after_help = "`keyholt doctor` tells the server's version as well.\n\nExample:\n  keyholt version --json")]
pub struct Version {}

impl Version {
    /// Runs the command.
    pub fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match context.printer.form() {
            Form::Json => context.printer.document(&json!({ "version": VERSION }).to_string())?,
            Form::Text => context.printer.line(&format!("keyholt {VERSION}"))?,
        }
        Ok(Exit::Yes)
    }
}
