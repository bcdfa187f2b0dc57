//! `keyholt keys usage`.

use clap::Args;
use keyholt_api::usage::{Usage, UsageRequest};

use crate::commands::records::KEY;
use crate::connection::request::Request;
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Form;
use crate::printer::Shown;
use crate::printer::table::{Head, Table};
use crate::trouble::Trouble;

/// Whose usage, and when.
#[derive(Args)]
#[command(
    after_help = "Example:\n  keyholt keys usage 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20 --from 2030-01-01T00:00:00Z"
)]
pub struct UsageOf {
    /// The key's id
    key: String,
    /// From the hour of this instant on [default: a week before --to]
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// Up to the hour of this instant [default: now]
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
}

/// Tells how a key was used.
pub async fn usage(context: &mut Context, words: UsageOf) -> Result<Exit, Trouble> {
    let span = UsageRequest {
        from: words.from,
        to: words.to,
    };
    let path = KEY.at(context, &words.key)?.then("usage");
    let request = Request::read(path, KEY.purpose("tell the usage of", &words.key)).query(&span)?;
    let answer = context.send::<Usage>(&request).await?;
    if context.printer.form() == Form::Json {
        context.printer.document(&answer.json)?;
        return Ok(Exit::Yes);
    }
    let usage = answer.value;
    context.printer.card(&usage.card())?;
    if usage.hours.is_empty() {
        context.printer.say("It was not used in these hours.");
        return Ok(Exit::Yes);
    }
    let mut table = Table::new([Head::whole("HOUR"), Head::words("OUTCOME"), Head::whole("COUNT")]);
    for hour in usage.hours {
        table.row([
            hour.hour.to_string().into(),
            hour.outcome.into(),
            hour.count.to_string().into(),
        ]);
    }
    context.printer.verbatim(b"\n")?;
    context.printer.table(&table)?;
    Ok(Exit::Yes)
}
