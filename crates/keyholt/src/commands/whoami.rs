//! `keyholt whoami`: the key that is used, about itself.

use clap::Args;
use keyholt_api::whoami::Whoami as Answer;

use crate::connection::request::{Path, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// Nothing more to say.
#[derive(Args)]
#[command(after_help = "Example:\n  keyholt whoami --json")]
pub struct Whoami {}

impl Whoami {
    /// Runs the command.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        let answer = context.send::<Answer>(&about_self("tell who you are")).await?;
        context.printer.answer(&answer)?;
        Ok(Exit::Yes)
    }
}

/// The question of a key about itself.
pub fn about_self(purpose: &str) -> Request {
    Request::read(Path::of(&["v1", "self"]), purpose)
}
