//! `keyholt keys create`.

use clap::Args;
use keyholt_api::key::{CreateKey, IssuedKey};
use keyholt_api::scopes::Scopes;
use keyholt_core::key::Kind;

use super::filter::KindWord;
use super::reveal::SecretArguments;
use crate::commands::arguments::{MetadataArgument, OwnerArguments, some_if_any};
use crate::commands::records::KEY;
use crate::connection::request::Request;
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// The wish for a key.
#[derive(Args)]
#[command(
    after_help = "The secret is the only thing on stdout. A key without `--scope` or `--everything` may do nothing.\n\n\
                  Examples:\n  \
                  keyholt keys create --name ci --user u_42 --scope orders:read --expires-in 90d\n  \
                  keyholt keys create --name gateway --service api --scope keyholt:verify\n  \
                  SECRET=$(keyholt keys create --name ci --scope orders:read --secret-only)"
)]
pub struct Create {
    /// What people call it
    #[arg(long)]
    name: String,
    #[command(flatten)]
    owner: OwnerArguments,
    /// Of which kind [default: standard]
    #[arg(long, value_enum)]
    kind: Option<KindWord>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    metadata: MetadataArgument,
    /// A word to find it by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What it may do; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// It may do all that its owner may do
    #[arg(long, conflicts_with = "scopes")]
    everything: bool,
    /// How long it works, such as `90d` [default: the project's default lifetime]
    #[arg(long, value_name = "TIME", conflicts_with_all = ["expires_at", "never_expires"])]
    expires_in: Option<String>,
    /// When it stops, such as `2030-01-31T09:00:00Z`
    #[arg(long, value_name = "INSTANT", conflicts_with = "never_expires")]
    expires_at: Option<String>,
    /// It works for ever, where the project allows it
    #[arg(long)]
    never_expires: bool,
    /// Where it is meant to be used; becomes part of its prefix
    #[arg(long, value_name = "WORD")]
    environment: Option<String>,
    /// A client network that it works from, such as `192.0.2.0/24`; may be repeated
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
    /// A web origin that it works from; may be repeated
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// Whom it may be shown to; may be repeated
    #[arg(long = "audience", value_name = "NAME")]
    audience: Vec<String>,
    #[command(flatten)]
    secret: SecretArguments,
}

/// Creates a key.
pub async fn create(context: &mut Context, words: Create) -> Result<Exit, Trouble> {
    let kind = words.kind.map(KindWord::word);
    let domain_kind = kind.and_then(Kind::parse).unwrap_or(Kind::Standard);
    let made = words
        .secret
        .make(context, domain_kind, words.environment.as_deref())
        .await?;
    let body = CreateKey {
        owner: words.owner.choice(),
        kind: kind.map(str::to_owned),
        description: words.description,
        metadata: words.metadata.metadata,
        tags: some_if_any(words.tags),
        scopes: if words.everything {
            Some(Scopes::Everything)
        } else {
            some_if_any(words.scopes).map(Scopes::Only)
        },
        expires_at: words.expires_at,
        expires_in: words.expires_in,
        never_expires: words.never_expires.then_some(true),
        environment: words.environment,
        networks: some_if_any(words.networks),
        origins: some_if_any(words.origins),
        audience: some_if_any(words.audience),
        secret_sha256: made.as_ref().map(|made| made.sha256()),
        name: words.name,
    };
    let purpose = KEY.purpose("create", &body.name);
    let request = Request::create(KEY.all(context)?, purpose, &mut *context.entropy).body(&body)?;
    let answer = context.send::<IssuedKey>(&request).await?;
    let says = format!("Created key `{}`.", body.name);
    words.secret.show(context, answer, made, &says)
}
