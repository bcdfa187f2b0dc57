//! `keyholt keys`: the verbs about keys, each in a file of its own below.

mod amend;
mod create;
mod filter;
mod import;
mod lifecycle;
mod reveal;
mod revoke_matching;
mod rotate;
mod rows;
mod usage;
mod verify;

use clap::{Args, Subcommand};
use keyholt_api::key::{FindKey, FoundKey, Key, KeyPage};
use keyholt_api::secret::PresentedSecret;

use super::list::{ListArguments, list};
use super::records::{self, KEY};
use crate::connection::request::Request;
use crate::context::Context;
use crate::exit::Exit;
use crate::intake::SecretInput;
use crate::trouble::Trouble;

/// What can be done with keys.
#[derive(Subcommand)]
#[command(
    after_help = "Examples:\n  keyholt keys create --name ci --user u_42 --scope orders:read --expires-in 90d\n  \
                        keyholt keys verify --scope orders:read < secret.txt"
)]
pub enum Keys {
    /// Create a key; its secret goes to stdout, this once
    Create(create::Create),
    /// List and search keys
    #[command(after_help = "Examples:\n  keyholt keys list --user u_42 --state active\n  \
                            keyholt keys list --unused-for 30d --all --json")]
    List(List),
    /// Show a key
    #[command(after_help = "Example:\n  keyholt keys show 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20")]
    Show(Which),
    /// Change a key's name, scopes, expiry, restrictions or data
    Amend(amend::Amend),
    /// Give a key a new secret; the old one works until its grace ends
    Rotate(rotate::Rotate),
    /// End the old secret of a rotated key at once
    #[command(after_help = "Example:\n  keyholt keys end-grace 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20")]
    EndGrace(lifecycle::Step),
    /// Stop a key until it is resumed
    #[command(
        after_help = "Example:\n  keyholt keys suspend 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20 --cause \"odd traffic\""
    )]
    Suspend(lifecycle::Step),
    /// Let a suspended key work again
    #[command(after_help = "Example:\n  keyholt keys resume 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20")]
    Resume(lifecycle::Step),
    /// End a key for good; its record stays
    Revoke(lifecycle::Revoke),
    /// Remove a key and its record; the audit trail stays
    #[command(after_help = "Example:\n  keyholt keys delete 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20")]
    Delete(lifecycle::Delete),
    /// Import keys that another system issued, by the SHA-256 of their secrets
    Import(import::Import),
    /// Tell which key has a secret
    #[command(after_help = "The secret is read from stdin, a file or a hidden prompt.\n\n\
                            Example:\n  keyholt keys find < secret.txt")]
    Find(Find),
    /// Tell whether a secret is good for something
    Verify(verify::Verify),
    /// Tell why a secret is judged as it is, rule by rule
    Explain(verify::Explain),
    /// Tell whether a key works now, by its id
    Validity(verify::ValidityOf),
    /// Tell how often, when and from where a key was used
    Usage(usage::UsageOf),
    /// Revoke all keys that filters find, after their number was confirmed
    RevokeMatching(revoke_matching::RevokeAll),
}

/// Which key.
#[derive(Args)]
pub struct Which {
    /// The key's id
    key: String,
}

/// Keys to list.
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    filter: filter::FilterArguments,
    #[command(flatten)]
    list: ListArguments,
}

/// Where the secret is.
#[derive(Args, Default)]
pub struct SecretArgument {
    /// Where the secret is: a file, or `-` for stdin [default: asks at a terminal, else stdin]
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<SecretInput>,
}

/// A secret whose key is wanted.
#[derive(Args)]
pub struct Find {
    #[command(flatten)]
    secret: SecretArgument,
}

impl Keys {
    /// Runs the verb.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::Create(words) => create::create(context, words).await,
            Self::List(words) => {
                let request = KEY.list(context)?.query(&words.filter.filter())?;
                list::<KeyPage>(context, request, &words.list).await
            }
            Self::Show(words) => records::show::<Key>(context, KEY, &words.key).await,
            Self::Amend(words) => amend::amend(context, words).await,
            Self::Rotate(words) => rotate::rotate(context, words).await,
            Self::EndGrace(words) => lifecycle::end_grace(context, words).await,
            Self::Suspend(words) => lifecycle::suspend(context, words).await,
            Self::Resume(words) => lifecycle::resume(context, words).await,
            Self::Revoke(words) => lifecycle::revoke(context, words).await,
            Self::Delete(words) => lifecycle::delete(context, words).await,
            Self::Import(words) => import::import(context, words).await,
            Self::Find(words) => find(context, words).await,
            Self::Verify(words) => verify::verify(context, words).await,
            Self::Explain(words) => verify::explain(context, words).await,
            Self::Validity(words) => verify::validity(context, words).await,
            Self::Usage(words) => usage::usage(context, words).await,
            Self::RevokeMatching(words) => revoke_matching::revoke_matching(context, words).await,
        }
    }
}

async fn find(context: &mut Context, words: Find) -> Result<Exit, Trouble> {
    let secret = context.read_secret(words.secret.secret_file.as_ref(), "the secret")?;
    let body = FindKey {
        secret: PresentedSecret::new(secret),
    };
    let request = Request::ask(KEY.all(context)?.then("find"), "find the key of that secret").body(&body)?;
    let answer = context.send::<FoundKey>(&request).await?;
    context.printer.answer(&answer)?;
    Ok(Exit::Yes)
}
