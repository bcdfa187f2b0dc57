//! `keyholt users`: people whom keys act for.

use clap::{Args, Subcommand};
use keyholt_api::owner::{AmendUser, CreateUser, User, UserPage};
use keyholt_api::secret::PresentedSecret;
use keyholt_api::session;
use serde_json::Value;

use super::arguments::{
    ActArguments, CauseArgument, MetadataArgument, RevisionArgument, replace_or_empty, set_or_clear, some_if_any,
};
use super::list::{ListArguments, list};
use super::records::{self, USER};
use crate::connection::request::Request;
use crate::context::Context;
use crate::exit::Exit;
use crate::intake::SecretInput;
use crate::trouble::Trouble;

/// What can be done with users.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  keyholt users create u_42 --name Ada --role member")]
pub enum Users {
    /// List the users
    #[command(after_help = "Example:\n  keyholt users list --all --json")]
    List(ListArguments),
    /// Enrol a user
    #[command(after_help = "Example:\n  keyholt users create u_42 --name Ada --email ada@example.com --role member")]
    Create(Create),
    /// Show a user
    #[command(after_help = "Example:\n  keyholt users show u_42")]
    Show(Which),
    /// Change a user
    #[command(after_help = "Example:\n  keyholt users change u_42 --role admin")]
    Change(Change),
    /// Stop a user's keys until the user is resumed
    #[command(after_help = "Example:\n  keyholt users suspend u_42 --cause \"on leave\"")]
    Suspend(On),
    /// Let a user's keys work again
    #[command(after_help = "Example:\n  keyholt users resume u_42")]
    Resume(On),
    /// Give a user a password; the user's sessions end
    #[command(
        name = "set-password",
        after_help = "Example:\n  keyholt users set-password u_42 --password password.txt"
    )]
    SetPassword(SetPassword),
    /// Remove a user and revoke the user's keys
    #[command(after_help = "Example:\n  keyholt users remove u_42 --cause \"left the company\"")]
    Remove(On),
}

/// A user to enrol.
#[derive(Args)]
pub struct Create {
    /// How your product calls the user
    external_id: String,
    /// What people call the user [default: the external id]
    #[arg(long)]
    name: Option<String>,
    /// Where to reach the user
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// A role of the user; may be repeated [default: the project's default roles]
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Give the user no role at all
    #[arg(long, conflicts_with = "roles")]
    no_roles: bool,
    #[command(flatten)]
    metadata: MetadataArgument,
    #[command(flatten)]
    cause: CauseArgument,
}

/// Which user.
#[derive(Args)]
pub struct Which {
    /// The user, by id or external id
    user: String,
}

/// Changes to a user.
#[derive(Args)]
pub struct Change {
    /// The user, by id or external id
    user: String,
    /// A new external id
    #[arg(long, value_name = "ID")]
    external_id: Option<String>,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// A new e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// No e-mail address any more
    #[arg(long, conflicts_with = "email")]
    no_email: bool,
    /// A role, in place of all that the user has; may be repeated
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

/// A user to suspend, resume or remove.
#[derive(Args)]
pub struct On {
    /// The user, by id or external id
    user: String,
    #[command(flatten)]
    how: ActArguments,
}

/// A user to give a password.
#[derive(Args)]
pub struct SetPassword {
    /// The user, by id or external id
    user: String,
    /// Where the password is: a file, or `-` for stdin [default: asks at a terminal, else stdin]
    #[arg(long, value_name = "FILE")]
    password: Option<SecretInput>,
    #[command(flatten)]
    cause: CauseArgument,
}

impl Users {
    /// Runs the verb.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::List(words) => list::<UserPage>(context, USER.list(context)?, &words).await,
            Self::Create(words) => create(context, words).await,
            Self::Show(words) => records::show::<User>(context, USER, &words.user).await,
            Self::Change(words) => change(context, words).await,
            Self::Suspend(words) => records::suspend(context, USER, &words.user, words.how).await,
            Self::Resume(words) => records::resume(context, USER, &words.user, words.how).await,
            Self::SetPassword(words) => set_password(context, words).await,
            Self::Remove(words) => records::remove_owner(context, USER, &words.user, words.how).await,
        }
    }
}

async fn create(context: &mut Context, words: Create) -> Result<Exit, Trouble> {
    let body = CreateUser {
        external_id: words.external_id.clone(),
        name: words.name,
        email: words.email,
        roles: if words.no_roles {
            Some(Vec::new())
        } else {
            some_if_any(words.roles)
        },
        metadata: words.metadata.metadata,
        cause: words.cause.cause,
    };
    records::create::<User>(context, USER, &words.external_id, &body).await
}

async fn change(context: &mut Context, words: Change) -> Result<Exit, Trouble> {
    let body = AmendUser {
        external_id: words.external_id.into(),
        name: words.name.into(),
        email: set_or_clear(words.email, words.no_email),
        roles: replace_or_empty(words.roles, words.no_roles),
        metadata: set_or_clear(words.metadata.metadata, words.no_metadata),
        cause: words.cause.cause,
    };
    records::change::<User>(context, USER, &words.user, &body, words.revision.if_revision).await
}

async fn set_password(context: &mut Context, words: SetPassword) -> Result<Exit, Trouble> {
    let user = &words.user;
    let path = USER.at(context, user)?.then("password");
    let password = context.read_new_password(words.password.as_ref())?;
    let body = session::SetPassword {
        password: PresentedSecret::new(password),
        cause: words.cause.cause,
    };
    let request = Request::put(path, format!("give user `{user}` a password")).body(&body)?;
    let answer = context.send_act::<Value>(&request).await?;
    let says = format!("User `{user}` has the new password, and is logged out everywhere.");
    records::done(context, answer.as_ref(), &says)
}
