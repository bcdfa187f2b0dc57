//! Lists: one page, or all pages in a row.

use std::collections::BTreeMap;

use clap::Args;
use keyholt_api::page::LIMIT_MAX;
use serde_json::value::RawValue;

use crate::connection::request::Request;
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Form;
use crate::printer::table::Table;
use crate::show::{Breadth, Listed, Page};
use crate::trouble::Trouble;

/// Most pages that `--all` reads: a million things at the largest page.
const PAGES_MAX: usize = 1000;

/// Which part of a list is wanted.
#[derive(Args, Default)]
pub struct ListArguments {
    /// How many at most, 1 to 1000 [default: 100]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=LIMIT_MAX))]
    limit: Option<u64>,
    /// Go on where the page before ended
    #[arg(long, value_name = "CURSOR", conflicts_with = "all")]
    cursor: Option<String>,
    /// All pages
    #[arg(long)]
    all: bool,
    /// More columns
    #[arg(long, short)]
    wide: bool,
}

/// Prints a list, or as much of it as is wanted.
pub async fn list<P: Page>(
    context: &mut Context,
    request: Request,
    arguments: &ListArguments,
) -> Result<Exit, Trouble> {
    let limit = match (arguments.limit, arguments.all) {
        (Some(limit), _) => Some(limit),
        (None, true) => Some(LIMIT_MAX),
        (None, false) => None,
    };
    let mut request = request;
    if let Some(limit) = limit {
        request = request.parameter("limit", &limit.to_string());
    }
    if arguments.all {
        return list_all::<P>(context, request, breadth(arguments)).await;
    }
    if let Some(cursor) = &arguments.cursor {
        request = request.parameter("cursor", cursor);
    }
    let answer = context.send::<P>(&request).await?;
    if context.printer.form() == Form::Json {
        context.printer.document(&answer.json)?;
        return Ok(Exit::Yes);
    }
    let (items, next) = answer.value.into_parts();
    print_rows(context, &items, P::NOUN, breadth(arguments))?;
    if let Some(next) = next {
        context
            .printer
            .say(&format!("There are more: `--all`, or `--cursor {next}`."));
    }
    Ok(Exit::Yes)
}

async fn list_all<P: Page>(context: &mut Context, request: Request, breadth: Breadth) -> Result<Exit, Trouble> {
    let mut items = Vec::new();
    let mut documents = Vec::new();
    let form = context.printer.form();
    walk::<P>(context, request, |page, json| {
        match form {
            Form::Json => documents.extend(entries(P::NOUN, json)?),
            Form::Text => items.extend(page),
        }
        Ok(())
    })
    .await?;
    match form {
        Form::Json => context.printer.document(&merged(P::NOUN, &documents))?,
        Form::Text => print_rows(context, &items, P::NOUN, breadth)?,
    }
    Ok(Exit::Yes)
}

/// Reads all pages and hands over each, with its JSON.
pub async fn walk<P: Page>(
    context: &mut Context,
    request: Request,
    mut take: impl FnMut(Vec<P::Item>, &str) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let spinner = context.printer.spinner("reading");
    let mut request = request;
    let mut before: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let answer = context.send::<P>(&request).await?;
        let (items, next) = answer.value.into_parts();
        spinner.inc(items.len() as u64);
        take(items, &answer.json)?;
        let Some(next) = next else {
            spinner.finish_and_clear();
            return Ok(());
        };
        // A server that gives the same cursor again would keep us here for ever.
        if before.as_ref() == Some(&next) {
            break;
        }
        request = request.parameter("cursor", &next);
        before = Some(next);
    }
    spinner.finish_and_clear();
    Err(Trouble::new(format!("the list of {} does not end", P::NOUN)).hint("narrow it with filters"))
}

fn breadth(arguments: &ListArguments) -> Breadth {
    if arguments.wide { Breadth::Wide } else { Breadth::Usual }
}

/// Prints things that are all there are, or says that there are none.
pub fn print_rows<T: Listed>(context: &mut Context, items: &[T], noun: &str, breadth: Breadth) -> Result<(), Trouble> {
    if items.is_empty() {
        context.printer.say(&format!("There are no {noun}."));
        return Ok(());
    }
    context.printer.table(&table_of(items, breadth))
}

/// A table of these things.
pub fn table_of<T: Listed>(items: &[T], breadth: Breadth) -> Table {
    let mut table = Table::new(T::heads(breadth));
    for item in items {
        table.row(item.row(breadth));
    }
    table
}

/// The entries of a page, each as it came.
fn entries(noun: &str, json: &str) -> Result<Vec<Box<RawValue>>, Trouble> {
    let unclear = |error: serde_json::Error| Trouble::new("cannot put the pages together").because(&error);
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).map_err(unclear)?;
    let Some(list) = members.remove(noun) else {
        return Ok(Vec::new());
    };
    serde_json::from_str(list.get()).map_err(unclear)
}

/// One document in the shape of a page that holds everything.
fn merged(noun: &str, entries: &[Box<RawValue>]) -> String {
    let entries: Vec<&str> = entries.iter().map(|entry| entry.get()).collect();
    format!("{{\"{noun}\":[{}],\"next_cursor\":null}}", entries.join(","))
}
