//! `keyholt token`: the stored credential becomes an access token, and only that is printed.

use clap::Args;
use keyholt_api::oauth::TokenAnswer;

use crate::connection::request::{Path, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// What we call a key's secret; a credential that is a token already is taken as one all the same.
const KEY: &str = "urn:keyholt:token-type:key";

/// What the token shall be.
#[derive(Args)]
#[command(after_help = "Example:
  keyholt token --scope orders:read --expires-in 60")]
pub struct Token {
    /// What it may do; may be repeated. Without any, all that the credential may do
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Whom it is for
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// How many seconds it shall live
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u32>,
}

impl Token {
    /// Runs the command.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        let credential = context.credential()?;
        let scopes = self.scopes.join(" ");
        let seconds = self.expires_in.map(|seconds| seconds.to_string());
        let mut form = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", credential.expose()),
            ("subject_token_type", KEY),
        ];
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        form.extend(self.audience.as_deref().map(|audience| ("audience", audience)));
        form.extend(seconds.as_deref().map(|seconds| ("expires_in", seconds)));
        let request = Request::form(Path::of(&["oauth", "token"]), &form, "get an access token");
        // The credential goes in the form: shown twice it would be refused.
        let answer = context.connection_with(None)?.send::<TokenAnswer>(&request).await?;
        if context.printer.form() == crate::printer::Form::Json {
            context.printer.document(&answer.json)?;
        } else {
            context.printer.secret(&answer.value.access_token)?;
        }
        Ok(Exit::Yes)
    }
}
