//! `keyholt roles`: named sets of scopes.

use clap::{Args, Subcommand};
use keyholt_api::role::{AmendRole, CreateRole, Role, RolePage};

use super::arguments::{CauseArgument, RevisionArgument, replace_or_empty, set_or_clear};
use super::list::{ListArguments, list};
use super::records::{self, ROLE, Removal};
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// What can be done with roles.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  keyholt roles create reader --scope orders:read")]
pub enum Roles {
    /// List the roles
    #[command(after_help = "Example:\n  keyholt roles list --wide")]
    List(ListArguments),
    /// Make a role
    #[command(after_help = "Example:\n  keyholt roles create reader --scope orders:read --scope invoices:read")]
    Create(Create),
    /// Show a role
    #[command(after_help = "Example:\n  keyholt roles show reader")]
    Show(Which),
    /// Change a role; its holders' keys follow at once
    #[command(after_help = "Example:\n  keyholt roles change reader --scope orders:read")]
    Change(Change),
    /// Remove a role that nobody holds
    #[command(after_help = "Example:\n  keyholt roles remove reader")]
    Remove(Remove),
}

/// A role to make.
#[derive(Args)]
pub struct Create {
    /// Its name: lower-case letters, digits and hyphens
    name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What its holders may do; may be repeated. Without any it grants nothing
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    #[command(flatten)]
    cause: CauseArgument,
}

/// Which role.
#[derive(Args)]
pub struct Which {
    /// The role, by id or name
    role: String,
}

/// Changes to a role.
#[derive(Args)]
pub struct Change {
    /// The role, by id or name
    role: String,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// A new description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// No description any more
    #[arg(long, conflicts_with = "description")]
    no_description: bool,
    /// What its holders may do, in place of all that they might before; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Its holders may do nothing any more
    #[arg(long, conflicts_with = "scopes")]
    no_scopes: bool,
    #[command(flatten)]
    cause: CauseArgument,
    #[command(flatten)]
    revision: RevisionArgument,
}

/// A role to remove.
#[derive(Args)]
pub struct Remove {
    /// The role, by id or name
    role: String,
    #[command(flatten)]
    cause: CauseArgument,
    #[command(flatten)]
    revision: RevisionArgument,
}

impl Roles {
    /// Runs the verb.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::List(words) => list::<RolePage>(context, ROLE.list(context)?, &words).await,
            Self::Create(words) => create(context, words).await,
            Self::Show(words) => records::show::<Role>(context, ROLE, &words.role).await,
            Self::Change(words) => change(context, words).await,
            Self::Remove(words) => remove(context, words).await,
        }
    }
}

async fn create(context: &mut Context, words: Create) -> Result<Exit, Trouble> {
    let body = CreateRole {
        name: words.name.clone(),
        description: words.description,
        scopes: words.scopes,
        cause: words.cause.cause,
    };
    records::create::<Role>(context, ROLE, &words.name, &body).await
}

async fn change(context: &mut Context, words: Change) -> Result<Exit, Trouble> {
    let body = AmendRole {
        name: words.name.into(),
        description: set_or_clear(words.description, words.no_description),
        scopes: replace_or_empty(words.scopes, words.no_scopes),
        cause: words.cause.cause,
    };
    records::change::<Role>(context, ROLE, &words.role, &body, words.revision.if_revision).await
}

async fn remove(context: &mut Context, words: Remove) -> Result<Exit, Trouble> {
    let removal = Removal {
        kind: ROLE,
        word: &words.role,
        so: "",
        because: words.cause.into(),
        revision: words.revision.if_revision,
    };
    records::remove(context, removal).await
}
