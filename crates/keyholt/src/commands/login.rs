//! `keyholt login`: tries a key or a password, and stores what the server accepts.

use clap::Args;
use keyholt_api::scopes::Scopes;
use keyholt_api::secret::PresentedSecret;
use keyholt_api::session::{LogIn, LoggedIn};
use keyholt_api::whoami::Whoami;

use super::whoami::about_self;
use crate::connection::request::{Path, Request};
use crate::context::{Context, OWN_PROJECT, no_tokens};
use crate::exit::Exit;
use crate::intake::SecretInput;
use crate::login::session::KeptSession;
use crate::login::{Credential, Place};
use crate::printer::Form;
use crate::show::owner_text;
use crate::trouble::Trouble;

/// The project that operators log in to.
const OPERATORS: &str = "keyholt";
/// What the session is called in lists.
const SESSION_NAME: &str = "command line";

/// The credential to store.
#[derive(Args)]
#[command(
    after_help = "Neither the secret nor the password is ever an argument: others on this machine can see those.\n\n\
                        Examples:\n  keyholt login --server https://keys.example.com\n  \
                        keyholt login --server https://keys.example.com --credential secret.txt --store file\n  \
                        keyholt login --user ada@example.com --project acme"
)]
pub struct Login {
    /// Where the key's secret is: a file, or `-` for stdin [default: asks at a terminal, else stdin]
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    credential: Option<SecretInput>,
    /// Log in as this user, with a password: the external id or the e-mail address. Without `--project` as an operator
    #[arg(long, value_name = "LOGIN")]
    user: Option<String>,
    /// Where the password is: a file, or `-` for stdin [default: asks at a terminal, else stdin]
    #[arg(long, value_name = "FILE", requires = "user")]
    password: Option<SecretInput>,
    /// What this log-in may do; may be repeated [default: everything that the user may]
    #[arg(long = "scope", value_name = "SCOPE", requires = "user")]
    scopes: Vec<String>,
    /// Where to store it
    #[arg(long, value_enum, default_value_t = Place::Auto)]
    store: Place,
}

impl Login {
    /// Runs the command.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self.user.clone() {
            None => self.with_key(context).await,
            Some(user) => self.with_password(context, user).await,
        }
    }

    async fn with_key(self, context: &mut Context) -> Result<Exit, Trouble> {
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

    async fn with_password(self, context: &mut Context, user: String) -> Result<Exit, Trouble> {
        let (server, _) = context.server()?;
        let project = match context.project() {
            OWN_PROJECT => OPERATORS,
            project => project,
        };
        let path = Path::of(&["v1", "projects"]).and(project)?.then("sessions");
        let password = context.read_password(self.password.as_ref(), "Your password (it is not shown):")?;
        let body = LogIn {
            login: user,
            password: PresentedSecret::new(password),
            scopes: (!self.scopes.is_empty()).then_some(Scopes::Only(self.scopes)),
            mode: None,
            name: Some(SESSION_NAME.to_owned()),
        };
        let request = Request::act(path, "log in").body(&body)?;
        let given = context.connection_with(None)?.send::<LoggedIn>(&request).await?.value;
        let kept = KeptSession::of(&given, context.now()).ok_or_else(no_tokens)?;
        let server = server.to_string();
        let place = context
            .wallet
            .keep(&server, given.session.id, &kept.text(), self.store)?;
        let who = owner_text(&given.session.owner);
        context.printer.say(&format!("Logged in to {server} as {who}."));
        context.printer.say(&format!("The log-in is stored in {place}."));
        Ok(Exit::Yes)
    }
}
