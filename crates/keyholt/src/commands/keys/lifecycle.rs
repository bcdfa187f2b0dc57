//! `keyholt keys end-grace`, `suspend`, `resume`, `revoke` and `delete`.

use clap::Args;
use keyholt_api::key::{Because, DescendantsEnded, RevokeKey, RevokedKey};

use crate::commands::arguments::{CauseArgument, RevisionArgument};
use crate::commands::records::{self, Act, KEY, Removal};
use crate::connection::request::{Patience, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Form;
use crate::show::counted;
use crate::trouble::Trouble;

/// A key, and why.
#[derive(Args)]
pub struct Step {
    /// The key's id
    key: String,
    #[command(flatten)]
    cause: CauseArgument,
    #[command(flatten)]
    revision: RevisionArgument,
}

/// A key to revoke.
#[derive(Args)]
#[command(after_help = "Revoking is final, and revoking again changes nothing.\n\n\
                  A leaked key that could make keys may have made some: `--cascade` revokes them too, those that\n\
                  they made, and so on. Broken off half-way, say it again.\n\n\
                  Example:\n  keyholt keys revoke 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20 --cause \"leaked in a build log\"")]
pub struct Revoke {
    /// The key's id
    key: String,
    /// Why; kept with the key and in the audit trail
    #[arg(long, value_name = "TEXT")]
    cause: String,
    /// Revoke all that was made with the key too
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    revision: RevisionArgument,
}

/// A key to delete.
#[derive(Args)]
pub struct Delete {
    /// The key's id
    key: String,
    #[command(flatten)]
    cause: CauseArgument,
    #[command(flatten)]
    revision: RevisionArgument,
}

/// Ends the grace of the old secret.
pub async fn end_grace(context: &mut Context, words: Step) -> Result<Exit, Trouble> {
    let act = words.act(
        "end-grace",
        "end the old secret of",
        "Ended the old secret of",
        "; only the newest works.",
    );
    records::act(context, act).await
}

/// Suspends a key.
pub async fn suspend(context: &mut Context, words: Step) -> Result<Exit, Trouble> {
    let act = words.act(
        "suspend",
        "suspend",
        "Suspended",
        "; it does not work until it is resumed.",
    );
    records::act(context, act).await
}

/// Resumes a key.
pub async fn resume(context: &mut Context, words: Step) -> Result<Exit, Trouble> {
    let act = words.act("resume", "resume", "Resumed", "; it is again what it was.");
    records::act(context, act).await
}

/// Revokes a key.
pub async fn revoke(context: &mut Context, words: Revoke) -> Result<Exit, Trouble> {
    let body = RevokeKey {
        cause: words.cause,
        descendants: words.cascade.then(|| "revoke".to_owned()),
    };
    let path = KEY.at(context, &words.key)?.then("revoke");
    let request = Request::act(path, KEY.purpose("revoke", &words.key)).body(&body)?;
    let request = if words.cascade {
        request.patient(Patience::MUCH_WORK)
    } else {
        request
    };
    let request = request.at_revision(words.revision.if_revision);
    let answer = context.send::<RevokedKey>(&request).await?;
    if context.printer.form() == Form::Json {
        context.printer.document(&answer.json)?;
    }
    context
        .printer
        .say(&format!("Revoked key `{}`; it never works again.", words.key));
    match answer.value.descendants {
        Some(descendants) => tell(context, descendants),
        None => Ok(Exit::Yes),
    }
}

/// Tells what became of what was made with the key. Where something lives on, the answer is no.
fn tell(context: &mut Context, descendants: DescendantsEnded) -> Result<Exit, Trouble> {
    let DescendantsEnded {
        revoked,
        left,
        complete,
    } = descendants;
    let printer = &mut context.printer;
    printer.say(&format!("Revoked with it: {}.", counted(revoked, "key")));
    if left > 0 {
        let says = "the caller may not revoke them, or they are the last way in";
        printer.say(&format!("Left alive: {}; {says}.", counted(left, "key")));
    }
    if !complete {
        printer.say("There may be more: run the same command again.");
    }
    Ok(if left == 0 && complete { Exit::Yes } else { Exit::No })
}

/// Deletes a key.
pub async fn delete(context: &mut Context, words: Delete) -> Result<Exit, Trouble> {
    let removal = Removal {
        kind: KEY,
        word: &words.key,
        so: " and its record",
        because: words.cause.into(),
        revision: words.revision.if_revision,
    };
    records::remove(context, removal).await
}

impl Step {
    fn act<'a>(&'a self, step: &'a str, verb: &'a str, done: &'a str, so: &'a str) -> Act<'a> {
        Act {
            kind: KEY,
            word: &self.key,
            step,
            verb,
            done,
            so,
            because: Because {
                cause: self.cause.cause.clone(),
            },
            revision: self.revision.if_revision,
        }
    }
}
