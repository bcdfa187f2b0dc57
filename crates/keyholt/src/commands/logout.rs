//! `keyholt logout`: forgets the stored credential. A key goes on working; a person's log-in is over.

use clap::Args;
use keyholt_api::secret::PresentedSecret;
use keyholt_api::session::ShowSession;
use serde_json::Value;

use crate::connection::request::{Path, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// Where to log out.
#[derive(Args)]
#[command(
    after_help = "A key goes on working; `keyholt keys revoke` ends it. A log-in with a password is over.\n\n\
                  Example:\n  keyholt logout --server https://keys.example.com"
)]
pub struct Logout {}

impl Logout {
    /// Runs the command.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        let (server, _) = context.server()?;
        let address = server.to_string();
        let session = context.wallet.session(&address)?;
        let Some(place) = context.wallet.forget(&address)? else {
            return Err(Trouble::new(format!("you are not logged in to {server}")).into_no());
        };
        context
            .printer
            .say(&format!("Logged out of {server}: the secret is no longer in {place}."));
        if let Some((session, _lock)) = session {
            let shown = ShowSession {
                refresh_token: Some(PresentedSecret::new(session.refresh_token)),
            };
            let request = Request::act(Path::of(&["v1", "sessions", "log-out"]), "end your session").body(&shown)?;
            // What is forgotten cannot be shown again: the session then ends by itself.
            if let Err(trouble) = context.connection_with(None)?.send_act::<Value>(&request).await {
                context.printer.warn(&format!(
                    "the server was not told, so the session goes on until it ends: {}",
                    trouble.says()
                ));
            }
        }
        Ok(Exit::Yes)
    }
}
