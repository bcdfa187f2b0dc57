//! `keyholt jwks`: the keys that sign a project's access tokens.

use clap::{Args, Subcommand};
use keyholt_api::key::Because;
use keyholt_api::signing_key::{SigningKey, SigningKeys, WithdrawSigningKey};

use crate::connection::request::Request;
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Form;
use crate::printer::table::Table;
use crate::show::{Breadth, Listed};
use crate::trouble::Trouble;

/// What can be done with signing keys.
#[derive(Subcommand)]
#[command(after_help = "Example:
  keyholt jwks rotate --project acme")]
pub enum Jwks {
    /// List the signing keys, oldest first
    #[command(after_help = "Example:
  keyholt jwks list --project acme")]
    List(List),
    /// Publish the next signing key; it signs when verifiers have had time to read it (`oauth.publish_ahead`)
    #[command(after_help = "Example:
  keyholt jwks rotate --project acme --cause 'yearly exercise'")]
    Rotate(Rotate),
    /// Withdraw a signing key that is in wrong hands; what it signed is refused at once
    #[command(after_help = "Example:
  keyholt jwks withdraw NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs --cause leaked")]
    Withdraw(Withdraw),
}

/// Nothing more to say.
#[derive(Args)]
pub struct List {}

/// The next key.
#[derive(Args)]
pub struct Rotate {
    /// Why, for the audit trail
    #[arg(long, value_name = "TEXT")]
    cause: Option<String>,
}

/// A key to withdraw.
#[derive(Args)]
pub struct Withdraw {
    /// Its thumbprint, as `keyholt jwks list` shows it
    // One in 64 begins with a hyphen.
    #[arg(allow_hyphen_values = true)]
    kid: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    cause: String,
}

impl Jwks {
    /// Runs the verb.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        let path = context.in_project(&["signing-keys"])?;
        match self {
            Self::List(_) => {
                let request = Request::read(path, "list the signing keys");
                let answer = context.send::<SigningKeys>(&request).await?;
                if context.printer.form() == Form::Json {
                    context.printer.document(&answer.json)?;
                } else {
                    let mut table = Table::new(SigningKey::heads(Breadth::Usual));
                    for key in &answer.value.signing_keys {
                        table.row(key.row(Breadth::Usual));
                    }
                    context.printer.table(&table)?;
                }
            }
            Self::Rotate(words) => {
                let request = Request::act(path, "rotate the signing key").body(&Because { cause: words.cause })?;
                let answer = context.send::<SigningKey>(&request).await?;
                context.printer.answer(&answer)?;
            }
            Self::Withdraw(words) => {
                context.confirm(&format!(
                    "Withdraw `{}`? Every token that it signed stops working.",
                    words.kid
                ))?;
                let purpose = format!("withdraw the signing key `{}`", words.kid);
                let request = Request::act(path.and(&words.kid)?.then("withdraw"), purpose);
                let request = request.body(&WithdrawSigningKey { cause: words.cause })?;
                let answer = context.send::<SigningKey>(&request).await?;
                context.printer.answer(&answer)?;
            }
        }
        Ok(Exit::Yes)
    }
}
