//! `keyholt keys amend`.

use clap::Args;
use keyholt_api::key::{AmendKey, Key};
use keyholt_api::patch::Patch;
use keyholt_api::scopes::Scopes;

use crate::commands::arguments::{CauseArgument, MetadataArgument, RevisionArgument, set_or_clear, some_if_any};
use crate::commands::records::{self, KEY};
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// Changes to a key.
#[derive(Args)]
#[command(
    after_help = "What is not named stays as it is; a list that is named replaces the old one.\n\n\
                  Example:\n  keyholt keys amend 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20 --scope orders:read --expires-in 30d"
)]
pub struct Amend {
    /// The key's id
    key: String,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// A new description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// No description any more
    #[arg(long, conflicts_with = "description")]
    no_description: bool,
    #[command(flatten)]
    metadata: MetadataArgument,
    /// No metadata any more
    #[arg(long, conflicts_with = "metadata")]
    no_metadata: bool,
    /// A word to find it by; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// No tag any more
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// What it may do from now on; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// It may do all that its owner may do
    #[arg(long, conflicts_with = "scopes")]
    everything: bool,
    /// It may do nothing any more
    #[arg(long, conflicts_with_all = ["scopes", "everything"])]
    nothing: bool,
    /// A new end, counted from now, such as `30d`
    #[arg(long, value_name = "TIME", conflicts_with_all = ["expires_at", "never_expires"])]
    expires_in: Option<String>,
    /// A new end, such as `2030-01-31T09:00:00Z`
    #[arg(long, value_name = "INSTANT", conflicts_with = "never_expires")]
    expires_at: Option<String>,
    /// It works for ever, where the project allows it
    #[arg(long)]
    never_expires: bool,
    /// A client network that it works from; may be repeated
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
    /// It works from any network
    #[arg(long, conflicts_with = "networks")]
    any_network: bool,
    /// A web origin that it works from; may be repeated
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// It works from any origin
    #[arg(long, conflicts_with = "origins")]
    any_origin: bool,
    /// Whom it may be shown to; may be repeated
    #[arg(long = "audience", value_name = "NAME")]
    audience: Vec<String>,
    /// It may be shown to anybody
    #[arg(long, conflicts_with = "audience")]
    any_audience: bool,
    #[command(flatten)]
    cause: CauseArgument,
    #[command(flatten)]
    revision: RevisionArgument,
}

/// Changes a key.
pub async fn amend(context: &mut Context, words: Amend) -> Result<Exit, Trouble> {
    let scopes = match (words.everything, words.nothing) {
        (true, _) => Patch::Set(Scopes::Everything),
        (false, true) => Patch::Set(Scopes::Only(Vec::new())),
        (false, false) => some_if_any(words.scopes).map(Scopes::Only).into(),
    };
    let body = AmendKey {
        name: words.name.into(),
        description: set_or_clear(words.description, words.no_description),
        metadata: set_or_clear(words.metadata.metadata, words.no_metadata),
        tags: set_or_clear(some_if_any(words.tags), words.no_tags),
        scopes,
        expires_at: set_or_clear(words.expires_at, words.never_expires),
        expires_in: words.expires_in.into(),
        networks: set_or_clear(some_if_any(words.networks), words.any_network),
        origins: set_or_clear(some_if_any(words.origins), words.any_origin),
        audience: set_or_clear(some_if_any(words.audience), words.any_audience),
        cause: words.cause.cause,
    };
    records::change::<Key>(context, KEY, &words.key, &body, words.revision.if_revision).await
}
