//! `keyholt keys revoke-matching`: many keys at once, after somebody said how many.

use clap::Args;
use keyholt_api::code::Code;
use keyholt_api::filter::{KeyFilter, RevokeMatching, RevokedMatching};
use keyholt_api::key::{Key, KeyPage};
use keyholt_api::page::LIMIT_MAX;

use super::filter::FilterArguments;
use crate::commands::list::{table_of, walk};
use crate::commands::records::KEY;
use crate::connection::request::{Patience, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Form;
use crate::show::{Breadth, counted};
use crate::trouble::Trouble;

/// How many of the keys are shown before the number is asked for.
const SHOWN_MAX: usize = 10;

/// Keys to revoke.
#[derive(Args)]
#[command(
    after_help = "At a terminal the keys are counted and you type the number. Scripts say `--expect-count`;\n\
                  if the server finds another number, nothing is revoked.\n\n\
                  Example:\n  keyholt keys revoke-matching --user u_42 --unused-for 90d --cause \"spring cleaning\""
)]
pub struct RevokeAll {
    #[command(flatten)]
    filter: FilterArguments,
    /// Why; kept with the keys and in the audit trail
    #[arg(long, value_name = "TEXT")]
    cause: String,
    /// How many keys this is about
    #[arg(long, value_name = "NUMBER")]
    expect_count: Option<u64>,
}

/// Revokes all keys that the filters find.
pub async fn revoke_matching(context: &mut Context, words: RevokeAll) -> Result<Exit, Trouble> {
    let filter = words.filter.filter();
    if filter == KeyFilter::default() {
        return Err(Trouble::new("no filter says which keys are meant")
            .hint("name at least one, such as `--user u_42`; saying nothing does not mean every key"));
    }
    let expect_count = match words.expect_count {
        Some(count) => count,
        None => {
            let count = count(context, &filter).await?;
            if count == 0 {
                context
                    .printer
                    .say("No key that is not revoked already matches; nothing was done.");
                return Ok(Exit::Yes);
            }
            let question = format!("This revokes {} for good.", counted(count, "key"));
            context.confirm_count(
                &question,
                count,
                &format!("`--expect-count {count}` confirms it beforehand"),
            )?;
            count
        }
    };
    let body = RevokeMatching {
        filter,
        expect_count,
        cause: words.cause,
    };
    let request = Request::act(KEY.all(context)?.then("revoke-matching"), "revoke the matching keys")
        .body(&body)?
        .patient(Patience::MUCH_WORK);
    let answer = context.send::<RevokedMatching>(&request).await.map_err(with_count)?;
    if context.printer.form() == Form::Json {
        context.printer.document(&answer.json)?;
    }
    context
        .printer
        .say(&format!("Revoked {}.", counted(answer.value.revoked, "key")));
    Ok(Exit::Yes)
}

/// Counts the keys that would be revoked, and shows the first of them.
async fn count(context: &mut Context, filter: &KeyFilter) -> Result<u64, Trouble> {
    let request = KEY
        .list(context)?
        .query(filter)?
        .parameter("limit", &LIMIT_MAX.to_string());
    let mut count = 0;
    let mut first: Vec<Key> = Vec::new();
    walk::<KeyPage>(context, request, |keys, _| {
        let keys = keys.into_iter().filter(|key| key.state != "revoked");
        for key in keys {
            count += 1;
            if first.len() < SHOWN_MAX {
                first.push(key);
            }
        }
        Ok(())
    })
    .await?;
    context.printer.say_table(&table_of(&first, Breadth::Usual));
    let more = count - first.len() as u64;
    if more > 0 {
        context.printer.say(&format!("and {more} more."));
    }
    Ok(count)
}

/// The refusal with the number that the server found.
fn with_count(trouble: Trouble) -> Trouble {
    match (trouble.code(), trouble.problem().and_then(|problem| problem.count)) {
        (Some(Code::CountDiffers), Some(count)) => trouble.hint(format!("the server finds {}", counted(count, "key"))),
        _ => trouble,
    }
}
