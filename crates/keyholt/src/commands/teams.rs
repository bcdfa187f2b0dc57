//! `keyholt teams`: groups of people with keys of their own, and who belongs to them.

use clap::{Args, Subcommand, ValueEnum};
use keyholt_api::key::Because;
use keyholt_api::owner::{AmendTeam, CreateTeam, PutMember, Team, TeamPage};
use serde_json::Value;

use super::arguments::{
    ActArguments, CauseArgument, MetadataArgument, RevisionArgument, replace_or_empty, set_or_clear, some_if_any,
};
use super::list::{ListArguments, list};
use super::records::{self, TEAM};
use crate::connection::request::{Path, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// What can be done with teams.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  keyholt teams add-member platform u_42 --right manage-keys")]
pub enum Teams {
    /// List the teams
    #[command(after_help = "Example:\n  keyholt teams list --all --json")]
    List(ListArguments),
    /// Enrol a team
    #[command(after_help = "Example:\n  keyholt teams create platform --name Platform --role member")]
    Create(Create),
    /// Show a team
    #[command(after_help = "Example:\n  keyholt teams show platform")]
    Show(Which),
    /// Change a team
    #[command(after_help = "Example:\n  keyholt teams change platform --role admin")]
    Change(Change),
    /// Stop a team's keys until the team is resumed
    #[command(after_help = "Example:\n  keyholt teams suspend platform --cause \"under review\"")]
    Suspend(On),
    /// Let a team's keys work again
    #[command(after_help = "Example:\n  keyholt teams resume platform")]
    Resume(On),
    /// Add a user to a team, or change what the user may do in it
    #[command(after_help = "Example:\n  keyholt teams add-member platform u_42 --right manage-keys")]
    AddMember(AddMember),
    /// Remove a user from a team; the team's keys stay
    #[command(after_help = "Example:\n  keyholt teams remove-member platform u_42")]
    RemoveMember(RemoveMember),
    /// Remove a team and revoke the team's keys
    #[command(after_help = "Example:\n  keyholt teams remove platform --cause \"dissolved\"")]
    Remove(On),
}

/// A team to enrol.
#[derive(Args)]
pub struct Create {
    /// How your product calls the team
    external_id: String,
    /// What people call the team [default: the external id]
    #[arg(long)]
    name: Option<String>,
    /// A role of the team; may be repeated [default: the project's default roles]
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Give the team no role at all
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    #[command(flatten)]
    metadata: MetadataArgument,
    #[command(flatten)]
    cause: CauseArgument,
}

/// Which team.
#[derive(Args)]
pub struct Which {
    /// The team, by id or external id
    team: String,
}

/// Changes to a team.
#[derive(Args)]
pub struct Change {
    /// The team, by id or external id
    team: String,
    /// A new external id
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// A role, in place of all that the team has; may be repeated
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

/// A team to suspend, resume or remove.
#[derive(Args)]
pub struct On {
    /// The team, by id or external id
    team: String,
    #[command(flatten)]
    how: ActArguments,
}

/// A member to add.
#[derive(Args)]
pub struct AddMember {
    /// The team, by id or external id
    team: String,
    /// The user, by id or external id
    user: String,
    /// What the user may do with the team's keys
    #[arg(long, value_enum, default_value_t = Right::Belong)]
    right: Right,
    #[command(flatten)]
    cause: CauseArgument,
}

/// What a member may do with the team's keys.
#[derive(Clone, Copy, ValueEnum)]
enum Right {
    /// Nothing
    Belong,
    /// Manage them
    ManageKeys,
}

impl Right {
    fn word(self) -> String {
        match self {
            Self::Belong => "belong",
            Self::ManageKeys => "manage_keys",
        }
        .to_owned()
    }
}

/// A member to remove.
#[derive(Args)]
pub struct RemoveMember {
    /// The team, by id or external id
    team: String,
    /// The user, by id or external id
    user: String,
    #[command(flatten)]
    cause: CauseArgument,
}

impl Teams {
    /// Runs the verb.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::List(words) => list::<TeamPage>(context, TEAM.list(context)?, &words).await,
            Self::Create(words) => create(context, words).await,
            Self::Show(words) => records::show::<Team>(context, TEAM, &words.team).await,
            Self::Change(words) => change(context, words).await,
            Self::Suspend(words) => records::suspend(context, TEAM, &words.team, words.how).await,
            Self::Resume(words) => records::resume(context, TEAM, &words.team, words.how).await,
            Self::AddMember(words) => add_member(context, words).await,
            Self::RemoveMember(words) => remove_member(context, words).await,
            Self::Remove(words) => records::remove_owner(context, TEAM, &words.team, words.how).await,
        }
    }
}

async fn create(context: &mut Context, words: Create) -> Result<Exit, Trouble> {
    let body = CreateTeam {
        external_id: words.external_id.clone(),
        name: words.name,
        roles: if words.no_roles {
            Some(Vec::new())
        } else {
            some_if_any(words.roles)
        },
        metadata: words.metadata.metadata,
        cause: words.cause.cause,
    };
    records::create::<Team>(context, TEAM, &words.external_id, &body).await
}

async fn change(context: &mut Context, words: Change) -> Result<Exit, Trouble> {
    let body = AmendTeam {
        external_id: words.external_id.into(),
        name: words.name.into(),
        roles: replace_or_empty(words.roles, words.no_roles),
        metadata: set_or_clear(words.metadata.metadata, words.no_metadata),
        cause: words.cause.cause,
    };
    records::change::<Team>(context, TEAM, &words.team, &body, words.revision.if_revision).await
}

async fn add_member(context: &mut Context, words: AddMember) -> Result<Exit, Trouble> {
    let body = PutMember {
        right: words.right.word(),
        cause: words.cause.cause,
    };
    let purpose = format!("add user `{}` to team `{}`", words.user, words.team);
    let request = Request::put(member(context, &words.team, &words.user)?, purpose).body(&body)?;
    let answer = context.send_act::<Value>(&request).await?;
    let says = format!("User `{}` belongs to team `{}`.", words.user, words.team);
    records::done(context, answer.as_ref(), &says)
}

async fn remove_member(context: &mut Context, words: RemoveMember) -> Result<Exit, Trouble> {
    let purpose = format!("remove user `{}` from team `{}`", words.user, words.team);
    let path = member(context, &words.team, &words.user)?;
    let request = Request::remove(path, purpose).query(&Because::from(words.cause))?;
    let answer = context.send_act::<Value>(&request).await?;
    let says = format!("User `{}` no longer belongs to team `{}`.", words.user, words.team);
    records::done(context, answer.as_ref(), &says)
}

fn member(context: &Context, team: &str, user: &str) -> Result<Path, Trouble> {
    TEAM.at(context, team)?.then("members").and(user)
}
