//! The commands: one file for each noun, one function for each verb.

mod arguments;
mod completions;
mod doctor;
mod events;
mod keys;
mod list;
mod login;
mod logout;
mod projects;
mod records;
mod roles;
mod serve;
mod services;
mod settings;
mod setup;
mod teams;
mod users;
mod version;
mod whoami;

use clap::Subcommand;

use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::trouble::Trouble;

pub use self::serve::Start;

/// What can be done.
#[derive(Subcommand)]
pub enum Command {
    /// Start the server
    Serve(serve::Serve),
    /// The server's settings
    #[command(subcommand)]
    Config(serve::Settings),
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

impl Command {
    /// Runs the command, if it is one of the server's own, which speak to nobody; else gives it back.
    pub fn run_here(self, start: &Start, printer: &mut Printer) -> Result<Result<Exit, Trouble>, Self> {
        match self {
            Self::Serve(words) => Ok(words.run(start)),
            Self::Config(verb) => Ok(verb.run(start, printer)),
            other => Err(other),
        }
    }

    /// Runs a command that speaks to a server.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::Serve(_) | Self::Config(_) => Err(Trouble::new("this command runs without a server")),
            Self::Setup(words) => words.run(context).await,
            Self::Login(words) => words.run(context).await,
            Self::Logout(words) => words.run(context),
            Self::Whoami(words) => words.run(context).await,
            Self::Projects(verb) => verb.run(context).await,
            Self::Users(verb) => verb.run(context).await,
            Self::Teams(verb) => verb.run(context).await,
            Self::Services(verb) => verb.run(context).await,
            Self::Roles(verb) => verb.run(context).await,
            Self::Keys(verb) => verb.run(context).await,
            Self::Events(verb) => verb.run(context).await,
            Self::Doctor(words) => words.run(context).await,
            Self::Completions(words) => words.run(context),
            Self::Version(words) => words.run(context),
        }
    }
}
