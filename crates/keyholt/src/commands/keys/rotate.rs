//! `keyholt keys rotate`.

use clap::Args;
use keyholt_api::key::{IssuedKey, Key, RotateKey};

use super::reveal::SecretArguments;
use crate::commands::arguments::{CauseArgument, RevisionArgument};
use crate::commands::records::KEY;
use crate::connection::request::Request;
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// A key to rotate.
#[derive(Args)]
#[command(after_help = "The new secret is the only thing on stdout.\n\n\
                  Example:\n  keyholt keys rotate 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20 --grace 24h")]
pub struct Rotate {
    /// The key's id
    key: String,
    /// How long the old secret still works; `0s` ends it at once [default: the project's default grace]
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
    #[command(flatten)]
    cause: CauseArgument,
    #[command(flatten)]
    revision: RevisionArgument,
    #[command(flatten)]
    secret: SecretArguments,
}

/// Gives a key a new secret.
pub async fn rotate(context: &mut Context, words: Rotate) -> Result<Exit, Trouble> {
    let id = &words.key;
    // A secret that is made here must have the form that the server would have given it.
    let made = if words.secret.is_made_here() {
        let request = Request::read(KEY.at(context, id)?, KEY.purpose("read", id));
        let key = context.send::<Key>(&request).await?.value;
        words.secret.make(context, key.kind, key.environment.as_deref()).await?
    } else {
        None
    };
    let body = RotateKey {
        grace: words.grace,
        secret_sha256: made.as_ref().map(|made| made.sha256()),
        cause: words.cause.cause,
    };
    let request = Request::act(KEY.at(context, id)?.then("rotate"), KEY.purpose("rotate", id))
        .body(&body)?
        .at_revision(words.revision.if_revision);
    let answer = context.send::<IssuedKey>(&request).await?;
    let says = match answer.value.key.retiring_until {
        Some(until) => format!("Rotated key `{id}`; its old secret works until {until}."),
        None => format!("Rotated key `{id}`; its old secret no longer works."),
    };
    words.secret.show(context, answer, made, &says)
}
