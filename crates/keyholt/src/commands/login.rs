//! `keyholt login`: tries a credential, and stores it if the server accepts it.

use clap::Args;
use keyholt_api::whoami::Whoami;

use super::whoami::about_self;
use crate::context::Context;
use crate::exit::Exit;
use crate::intake::SecretInput;
use crate::login::{Credential, Place};
use crate::printer::Form;
use crate::show::owner_text;
use crate::trouble::Trouble;

/// The credential to store.
#[derive(Args)]
#[command(
    after_help = "The secret is never an argument: others on this machine can see those.\n\n\
                        Examples:\n  keyholt login --server https://keys.example.com\n  \
                        keyholt login --server https://keys.example.com --credential secret.txt --store file"
)]
pub struct Login {
    /// Where the key's secret is: a file, or `-` for stdin [default: asks at a terminal, else stdin]
    #[arg(long, value_name = "FILE")]
    credential: Option<SecretInput>,
    /// Where to store it
    #[arg(long, value_enum, default_value_t = Place::Auto)]
    store: Place,
}

impl Login {
    /// Runs the command.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        let (server, _) = context.server()?;
        let secret = context.read_secret(self.credential.as_ref(), "the secret of your key")?;
        let credential = Credential::given(secret);
        let connection = context.connection_with(Some(&credential))?;
        let answer = connection.send::<Whoami>(&about_self("log in")).await?;
        let whoami = &answer.value;
        let server = server.to_string();
        let place = context
            .wallet
            .keep(&server, whoami.key.id, credential.expose(), self.store)?;
        context.printer.say(&format!(
            "Logged in to {server} as {} with key `{}` of project `{}`.",
            owner_text(&whoami.owner),
            whoami.key.name,
            whoami.project.slug
        ));
        context.printer.say(&format!("The secret is stored in {place}."));
        if context.printer.form() == Form::Json {
            context.printer.document(&answer.json)?;
        }
        Ok(Exit::Yes)
    }
}
