//! `keyholt setup`: the one-time token becomes the first operator.

use clap::Args;
use keyholt_api::secret::PresentedSecret;
use keyholt_api::setup::{FirstOperatorKey, SetUp};

use crate::connection::request::{Path, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::intake::SecretInput;
use crate::login::Place;
use crate::printer::{Form, Shown};
use crate::trouble::Trouble;

/// Who becomes the first operator.
#[derive(Args)]
#[command(
    after_help = "The new key's secret goes to stdout, and is stored as with `keyholt login`.\n\n\
                        Example:\n  keyholt setup --server http://127.0.0.1:7311 --token token.txt --name Ada"
)]
pub struct Setup {
    /// Where the token is: a file, or `-` for stdin [default: asks at a terminal, else stdin]
    #[arg(long, value_name = "FILE")]
    token: Option<SecretInput>,
    /// What people call you
    #[arg(long, default_value = "Operator")]
    name: String,
    /// How you are called in commands [default: operator]
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// Where to reach you
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Where to store the new key's secret
    #[arg(long, value_enum, default_value_t = Place::Auto)]
    store: Place,
    /// Do not store the new key's secret
    #[arg(long, conflicts_with = "store")]
    no_store: bool,
}

impl Setup {
    /// Runs the command.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        let connection = context.connection_with(None)?;
        let token = context.read_secret(self.token.as_ref(), "the set-up token")?;
        let body = SetUp {
            token: PresentedSecret::new(token),
            name: self.name,
            external_id: self.external_id,
            email: self.email,
        };
        let request = Request::act(Path::of(&["v1", "setup"]), "set up Keyholt").body(&body)?;
        let answer = connection.send::<FirstOperatorKey>(&request).await?;
        let FirstOperatorKey { operator, key, secret } = &answer.value;
        let server = connection.server().to_string();
        context.printer.say(&format!("You are the first operator of {server}."));
        context.printer.say_card(&operator.card());
        // The secret is shown before it is stored: if storing fails, it is not lost.
        match context.printer.form() {
            Form::Json => context.printer.document(&answer.json)?,
            Form::Text => {
                context
                    .printer
                    .say("This is the secret of your key; it is shown this once:");
                context.printer.secret(secret.expose())?;
            }
        }
        if !self.no_store {
            let place = context.wallet.keep(&server, key.id, secret.expose(), self.store)?;
            context.printer.say(&format!("It is stored in {place}."));
        }
        Ok(Exit::Yes)
    }
}
