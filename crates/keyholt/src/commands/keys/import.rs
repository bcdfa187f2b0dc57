//! `keyholt keys import`: tries all keys first, and imports them only if none would be refused.

use std::path::PathBuf;

use clap::Args;
use keyholt_api::import::{IMPORT_MAX, ImportKeys, Imported, ImportedKey, RefusedKey};

use super::rows::{self, Format, Row};
use crate::commands::records::KEY;
use crate::connection::request::{Patience, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::Form;
use crate::printer::table::{Head, Table};
use crate::show::counted;
use crate::trouble::Trouble;

/// Most bytes of one batch: below the 16 MiB that the server takes.
const BATCH_BYTES_MAX: usize = 15 * 1024 * 1024;

/// Keys to import.
#[derive(Args)]
#[command(
    after_help = "Each key has `secret_sha256` and `name`, and what `keys create` knows: owner, scopes, tags and so on.\n\
                  A `secret` in its place is hashed here: only its SHA-256 is sent.\n\
                  In CSV the owner is a column `user`, `team` or `service`, and lists are separated by `;`.\n\
                  Nothing is imported if any key would be refused.\n\n\
                  Examples:\n  keyholt keys import keys.csv --dry-run\n  keyholt keys import keys.jsonl"
)]
pub struct Import {
    /// A file of keys: .json, .jsonl or .csv; `-` reads stdin
    file: PathBuf,
    /// The file's form, where its name does not tell
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Only tell what would happen
    #[arg(long)]
    dry_run: bool,
}

/// Whether a batch is tried or taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Trial,
    Earnest,
}

/// Imports the keys of a file.
pub async fn import(context: &mut Context, words: Import) -> Result<Exit, Trouble> {
    let Some(format) = words.format.or_else(|| Format::of(&words.file)) else {
        return Err(
            Trouble::new(format!("the form of `{}` is not known", words.file.display()))
                .hint("say `--format json`, `jsonl` or `csv`"),
        );
    };
    let rows = rows::read(&words.file, format, context.stdin())?;
    let batches = batches(&rows)?;
    let tried = run(context, &rows, &batches, Round::Trial).await?;
    if !tried.refused.is_empty() {
        return refused(context, &rows, &tried);
    }
    if words.dry_run {
        report(context, &tried)?;
        context
            .printer
            .say(&format!("{} can be imported; none was.", keys(tried.accepted)));
        return Ok(Exit::Yes);
    }
    let taken = run(context, &rows, &batches, Round::Earnest).await?;
    if !taken.refused.is_empty() {
        context.printer.warn("something changed since the trial");
        return refused(context, &rows, &taken);
    }
    report(context, &taken)?;
    context.printer.say(&format!("Imported {}.", keys(taken.accepted)));
    Ok(Exit::Yes)
}

/// Cuts the rows into batches that the server takes, as the places where each ends.
fn batches(rows: &[Row]) -> Result<Vec<usize>, Trouble> {
    let mut ends = Vec::new();
    let (mut count, mut bytes) = (0, 0);
    for (index, row) in rows.iter().enumerate() {
        let size = serde_json::to_vec(&row.key)
            .map_err(|error| Trouble::new("cannot write the keys").because(&error))?
            .len();
        if count == IMPORT_MAX || (count > 0 && bytes + size > BATCH_BYTES_MAX) {
            ends.push(index);
            (count, bytes) = (0, 0);
        }
        count += 1;
        // A comma stands between two keys.
        bytes += size + 1;
    }
    ends.push(rows.len());
    Ok(ends)
}

/// Sends all batches; the answers become one, with places counted over the whole file.
async fn run(context: &mut Context, rows: &[Row], ends: &[usize], round: Round) -> Result<Imported, Trouble> {
    let doing = match round {
        Round::Trial => "trying",
        Round::Earnest => "importing",
    };
    let bar = context.printer.progress(doing, rows.len() as u64);
    let mut all = Imported {
        accepted: 0,
        refused: Vec::new(),
    };
    let mut start = 0;
    for end in ends {
        let keys: Vec<ImportedKey> = rows.iter().take(*end).skip(start).map(|row| row.key.clone()).collect();
        let body = ImportKeys {
            dry_run: round == Round::Trial,
            keys,
        };
        let path = KEY.all(context)?.then("import");
        let request = match round {
            Round::Trial => Request::ask(path, "try the import"),
            Round::Earnest => Request::act(path, "import the keys"),
        };
        let request = request.body(&body)?.patient(Patience::MUCH_WORK);
        let answer = context
            .send::<Imported>(&request)
            .await
            .map_err(|trouble| match round {
                Round::Trial => trouble.hint("nothing was imported"),
                Round::Earnest => trouble.hint(format!(
                    "{} keys of the batches before were imported; import the rest of the file again",
                    all.accepted
                )),
            })?;
        all.accepted += answer.value.accepted;
        let moved = answer.value.refused.into_iter().map(|refused| RefusedKey {
            index: refused.index.saturating_add(start),
            ..refused
        });
        all.refused.extend(moved);
        bar.set_position(*end as u64);
        start = *end;
        // The batches before are in already; going on would only tear the file further apart.
        if round == Round::Earnest && !all.refused.is_empty() {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(all)
}

fn refused(context: &mut Context, rows: &[Row], imported: &Imported) -> Result<Exit, Trouble> {
    report(context, imported)?;
    if context.printer.form() == Form::Text {
        let mut table = Table::new([
            Head::whole("PLACE"),
            Head::words("NAME"),
            Head::whole("CODE"),
            Head::words("WHY"),
        ]);
        for refused in &imported.refused {
            let row = rows.get(refused.index);
            table.row([
                row.map(|row| row.place.to_string()).unwrap_or_default().into(),
                row.map(|row| row.key.name.clone()).unwrap_or_default().into(),
                refused.code.as_str().into(),
                refused.detail.as_str().into(),
            ]);
        }
        context.printer.table(&table)?;
    }
    Err(Trouble::new(format!(
        "the server refuses {}; nothing of that batch was imported",
        keys(imported.refused.len())
    ))
    .hint("correct or remove them, and import the file again")
    .into_no())
}

fn report(context: &mut Context, imported: &Imported) -> Result<(), Trouble> {
    if context.printer.form() != Form::Json {
        return Ok(());
    }
    let json =
        serde_json::to_string(imported).map_err(|error| Trouble::new("cannot write the report").because(&error))?;
    context.printer.document(&json)
}

fn keys(count: usize) -> String {
    counted(count as u64, "key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_no_more_than_the_server_takes() {
        let row = |size: usize| Row {
            place: rows::Place::Entry(1),
            key: ImportedKey {
                description: Some("x".repeat(size)),
                ..ImportedKey::default()
            },
        };
        let many: Vec<Row> = (0..IMPORT_MAX + 1).map(|_| row(0)).collect();
        assert_eq!(batches(&many).ok().unwrap(), [IMPORT_MAX, IMPORT_MAX + 1]);
        let large: Vec<Row> = (0..3).map(|_| row(BATCH_BYTES_MAX / 2)).collect();
        assert_eq!(batches(&large).ok().unwrap(), [1, 2, 3]);
    }
}
