//! `keyholt sessions`: who is logged in, and logging out from afar.

use clap::{Args, Subcommand};
use keyholt_api::key::Because;
use keyholt_api::session::{self, SessionsEnded};
use serde_json::Value;

use super::arguments::CauseArgument;
use super::list::print_rows;
use super::records::{USER, done};
use crate::connection::request::{Path, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Form;
use crate::show::{Breadth, counted};
use crate::trouble::Trouble;

/// What can be done with sessions.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  keyholt sessions list")]
pub enum Sessions {
    /// List your sessions, or another user's
    #[command(after_help = "Example:\n  keyholt sessions list --user u_42")]
    List(List),
    /// End a session, or all of them: log out everywhere
    #[command(
        after_help = "Examples:\n  keyholt sessions end 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20\n  \
                            keyholt sessions end --all --user u_42 --cause \"laptop lost\""
    )]
    End(End),
}

/// Whose sessions.
#[derive(Args)]
pub struct List {
    /// Another user's, by id or external id [default: your own]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// More columns
    #[arg(long, short)]
    wide: bool,
}

/// Which sessions.
#[derive(Args)]
pub struct End {
    /// The session, by id
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    session: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
    /// Another user's, by id or external id [default: your own]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    #[command(flatten)]
    cause: CauseArgument,
}

impl Sessions {
    /// Runs the verb.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::List(words) => list(context, words).await,
            Self::End(words) => end(context, words).await,
        }
    }
}

fn of(context: &Context, user: Option<&str>) -> Result<Path, Trouble> {
    Ok(match user {
        Some(user) => USER.at(context, user)?.then("sessions"),
        None => Path::of(&["v1", "self", "sessions"]),
    })
}

async fn list(context: &mut Context, words: List) -> Result<Exit, Trouble> {
    let request = Request::read(of(context, words.user.as_deref())?, "list the sessions");
    let answer = context.send::<session::Sessions>(&request).await?;
    if context.printer.form() == Form::Json {
        context.printer.document(&answer.json)?;
        return Ok(Exit::Yes);
    }
    let breadth = if words.wide { Breadth::Wide } else { Breadth::Usual };
    print_rows(context, &answer.value.sessions, "sessions", breadth)?;
    Ok(Exit::Yes)
}

async fn end(context: &mut Context, words: End) -> Result<Exit, Trouble> {
    let because = Because::from(words.cause);
    let all = of(context, words.user.as_deref())?;
    match words.session {
        Some(session) => {
            let path = all.and(&session)?;
            let request = Request::remove(path, format!("end session `{session}`")).query(&because)?;
            let answer = context.send_act::<Value>(&request).await?;
            done(context, answer.as_ref(), &format!("Ended session `{session}`."))
        }
        None => {
            let whose = words
                .user
                .map_or_else(|| "your".to_owned(), |user| format!("all of `{user}`'s"));
            context.confirm(&format!("End {whose} sessions?"))?;
            let request = Request::remove(all, "end all sessions").query(&because)?;
            let answer = context.send::<SessionsEnded>(&request).await?;
            if context.printer.form() == Form::Json {
                context.printer.document(&answer.json)?;
            }
            let ended = counted(answer.value.ended, "session");
            context.printer.say(&format!("Ended {ended}."));
            Ok(Exit::Yes)
        }
    }
}
