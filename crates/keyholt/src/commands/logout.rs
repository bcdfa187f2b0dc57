//! `keyholt logout`: forgets the stored credential. The key itself goes on working.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// Where to log out.
#[derive(Args)]
#[command(after_help = "The key itself goes on working; `keyholt keys revoke` ends it.\n\n\
                        Example:\n  keyholt logout --server https://keys.example.com")]
pub struct Logout {}

impl Logout {
    /// Runs the command.
    pub fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        let (server, _) = context.server()?;
        match context.wallet.forget(&server.to_string())? {
            Some(place) => {
                context
                    .printer
                    .say(&format!("Logged out of {server}: the secret is no longer in {place}."));
                Ok(Exit::Yes)
            }
            None => Err(Trouble::new(format!("you are not logged in to {server}")).into_no()),
        }
    }
}
