//! `keyholt services`: machine accounts.

use clap::{Args, Subcommand};
use keyholt_api::owner::{AmendService, CreateService, Service, ServicePage};

use super::arguments::{
    ActArguments, CauseArgument, MetadataArgument, RevisionArgument, replace_or_empty, set_or_clear, some_if_any,
};
use super::list::{ListArguments, list};
use super::records::{self, SERVICE};
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// What can be done with services.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  keyholt services create api --role verifier")]
pub enum Services {
    /// List the services
    #[command(after_help = "Example:\n  keyholt services list --all --json")]
    List(ListArguments),
    /// Enrol a service
    #[command(after_help = "Example:\n  keyholt services create ci --description \"the build machines\" --role member")]
    Create(Create),
    /// Show a service
    #[command(after_help = "Example:\n  keyholt services show ci")]
    Show(Which),
    /// Change a service
    #[command(after_help = "Example:\n  keyholt services change ci --role admin")]
    Change(Change),
    /// Stop a service's keys until the service is resumed
    #[command(after_help = "Example:\n  keyholt services suspend ci --cause \"build machine compromised\"")]
    Suspend(On),
    /// Let a service's keys work again
    #[command(after_help = "Example:\n  keyholt services resume ci")]
    Resume(On),
    /// Remove a service and revoke the service's keys
    #[command(after_help = "Example:\n  keyholt services remove ci --cause \"retired\"")]
    Remove(On),
}

/// A service to enrol.
#[derive(Args)]
pub struct Create {
    /// Its name: lower-case letters, digits and hyphens
    name: String,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// A role of the service; may be repeated [default: the project's default roles]
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Give the service no role at all
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    #[command(flatten)]
    metadata: MetadataArgument,
    #[command(flatten)]
    cause: CauseArgument,
}

/// Which service.
#[derive(Args)]
pub struct Which {
    /// The service, by id or name
    service: String,
}

/// Changes to a service.
#[derive(Args)]
pub struct Change {
    /// The service, by id or name
    service: String,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// A new description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// No description any more
    #[arg(long, conflicts_with = "description")]
    no_description: bool,
    /// A role, in place of all that the service has; may be repeated
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// No role any more
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    #[command(flatten)]
    metadata: MetadataArgument,
    /// No metadata any more
    #[arg(long, conflicts_with = "metadata")]
    no_metadata: bool,
    #[command(flatten)]
    cause: CauseArgument,
    #[command(flatten)]
    revision: RevisionArgument,
}

/// A service to suspend, resume or remove.
#[derive(Args)]
pub struct On {
    /// The service, by id or name
    service: String,
    #[command(flatten)]
    how: ActArguments,
}

impl Services {
    /// Runs the verb.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::List(words) => list::<ServicePage>(context, SERVICE.list(context)?, &words).await,
            Self::Create(words) => create(context, words).await,
            Self::Show(words) => records::show::<Service>(context, SERVICE, &words.service).await,
            Self::Change(words) => change(context, words).await,
            Self::Suspend(words) => records::suspend(context, SERVICE, &words.service, words.how).await,
            Self::Resume(words) => records::resume(context, SERVICE, &words.service, words.how).await,
            Self::Remove(words) => records::remove_owner(context, SERVICE, &words.service, words.how).await,
        }
    }
}

async fn create(context: &mut Context, words: Create) -> Result<Exit, Trouble> {
    let body = CreateService {
        name: words.name.clone(),
        description: words.description,
        roles: if words.no_roles {
            Some(Vec::new())
        } else {
            some_if_any(words.roles)
        },
        metadata: words.metadata.metadata,
        cause: words.cause.cause,
    };
    records::create::<Service>(context, SERVICE, &words.name, &body).await
}

async fn change(context: &mut Context, words: Change) -> Result<Exit, Trouble> {
    let body = AmendService {
        name: words.name.into(),
        description: set_or_clear(words.description, words.no_description),
        roles: replace_or_empty(words.roles, words.no_roles),
        metadata: set_or_clear(words.metadata.metadata, words.no_metadata),
        cause: words.cause.cause,
    };
    records::change::<Service>(context, SERVICE, &words.service, &body, words.revision.if_revision).await
}
