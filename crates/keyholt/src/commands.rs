//! The commands: one file for each noun, one function for each verb.

mod arguments;
mod backup;
mod completions;
mod doctor;
mod events;
mod jwks;
mod keys;
mod list;
mod login;
mod logout;
mod projects;
mod records;
mod roles;
mod server;
mod services;
mod sessions;
mod setup;
mod teams;
mod token;
mod users;
mod version;
mod whoami;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

pub use backup::BackupCommand;
pub use server::ServerCommand;

/// What can be done: on the machine of the server, with its data, or over HTTP from anywhere.
#[derive(Subcommand)]
pub enum Command {
    /// The server itself.
    #[command(flatten)]
    Server(ServerCommand),
    /// Backups: made beside the server, checked anywhere, restored where it stands still
    #[command(subcommand)]
    Backup(Box<BackupCommand>),
    /// What speaks to a server.
    #[command(flatten)]
    Client(Box<ClientCommand>),
}

/// What can be done over HTTP from anywhere.
#[derive(Subcommand)]
pub enum ClientCommand {
    /// Become the first operator, with the one-time token that the server printed
    Setup(setup::Setup),
    /// Store the credential for a server
    Login(login::Login),
    /// Forget the stored credential for a server
    Logout(logout::Logout),
    /// Tell which key is used, whom it acts for and what it may do
    Whoami(whoami::Whoami),
    /// Projects: the tenants and the policy for their keys
    #[command(subcommand, visible_alias = "project")]
    Projects(projects::Projects),
    /// Sessions: who is logged in, and from where
    #[command(subcommand, visible_alias = "session")]
    Sessions(sessions::Sessions),
    /// Users: people whom keys act for
    #[command(subcommand, visible_alias = "user")]
    Users(users::Users),
    /// Teams: groups of people with keys of their own
    #[command(subcommand, visible_alias = "team")]
    Teams(teams::Teams),
    /// Services: machine accounts
    #[command(subcommand, visible_alias = "service")]
    Services(services::Services),
    /// Roles: named sets of scopes
    #[command(subcommand, visible_alias = "role")]
    Roles(roles::Roles),
    /// Keys: create, find, verify, change, rotate and revoke them
    #[command(subcommand, visible_alias = "key")]
    Keys(keys::Keys),
    /// Exchange the stored credential for an access token, and print only that
    Token(token::Token),
    /// Signing keys: list, rotate and withdraw those that sign access tokens
    #[command(subcommand)]
    Jwks(jwks::Jwks),
    /// Events: the audit trail
    #[command(subcommand, visible_alias = "audit")]
    Events(events::Events),
    /// Look whether all is well between this machine and the server
    Doctor(doctor::Doctor),
    /// Print a completion script for a shell
    Completions(completions::Completions),
    /// Print the version of this program
    Version(version::Version),
}

impl ClientCommand {
    /// Runs the command.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        if self.is_sent_with_the_stored_credential() {
            context.renew().await?;
        }
        match self {
            Self::Setup(words) => words.run(context).await,
            Self::Login(words) => words.run(context).await,
            Self::Logout(words) => words.run(context).await,
            Self::Whoami(words) => words.run(context).await,
            Self::Projects(verb) => verb.run(context).await,
            Self::Sessions(verb) => verb.run(context).await,
            Self::Users(verb) => verb.run(context).await,
            Self::Teams(verb) => verb.run(context).await,
            Self::Services(verb) => verb.run(context).await,
            Self::Roles(verb) => verb.run(context).await,
            Self::Keys(verb) => verb.run(context).await,
            Self::Token(words) => words.run(context).await,
            Self::Jwks(verb) => verb.run(context).await,
            Self::Events(verb) => verb.run(context).await,
            Self::Doctor(words) => words.run(context).await,
            Self::Completions(words) => words.run(context),
            Self::Version(words) => words.run(context),
        }
    }

    /// Whether the stored credential is needed, so that a log-in at its end has to be renewed first.
    fn is_sent_with_the_stored_credential(&self) -> bool {
        match self {
            Self::Setup(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Doctor(_)
            | Self::Completions(_)
            | Self::Version(_) => false,
            Self::Whoami(_)
            | Self::Projects(_)
            | Self::Sessions(_)
            | Self::Users(_)
            | Self::Teams(_)
            | Self::Services(_)
            | Self::Roles(_)
            | Self::Keys(_)
            | Self::Token(_)
            | Self::Jwks(_)
            | Self::Events(_) => true,
        }
    }
}
