//! `keyholt events`: the audit trail, in pages or as a whole.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use keyholt_api::event::{EventFilter, EventPage};
use tempfile::NamedTempFile;

use super::arguments::OwnerArguments;
use super::list::{ListArguments, list};
use crate::connection::request::Request;
use crate::context::Context;
use crate::exit::Exit;
use crate::login::file::FILE_MODE;
use crate::trouble::Trouble;
use crate::world::Reader;

/// What can be done with the audit trail.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  keyholt events list --action 'key.*' --outcome refused")]
pub enum Events {
    /// List events, newest first
    #[command(
        after_help = "Examples:\n  keyholt events list --action key.revoke --since 2030-01-01T00:00:00Z\n  \
                            keyholt audit list --user u_42 --wide"
    )]
    List(List),
    /// Write all events as JSON Lines or CSV
    #[command(after_help = "Example:\n  keyholt events export --format csv --output events.csv")]
    Export(Export),
}

/// Which events.
#[derive(Args)]
struct FilterArguments {
    /// With this action, such as `key.revoke`, or of this kind: `key.*`
    #[arg(long)]
    action: Option<String>,
    /// About this thing, such as `key:0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20`
    #[arg(long, value_name = "KIND:ID")]
    target: Option<String>,
    /// Done with the key of this id
    #[arg(long, value_name = "KEY")]
    actor: Option<String>,
    /// Done, or refused
    #[arg(long, value_enum)]
    outcome: Option<OutcomeWord>,
    /// From this instant on
    #[arg(long, value_name = "INSTANT")]
    since: Option<String>,
    /// Before this instant
    #[arg(long, value_name = "INSTANT")]
    until: Option<String>,
    #[command(flatten)]
    owner: OwnerArguments,
}

/// Whether a thing was done.
#[derive(Clone, Copy, ValueEnum)]
enum OutcomeWord {
    Done,
    Refused,
}

impl From<FilterArguments> for EventFilter {
    fn from(words: FilterArguments) -> Self {
        let outcome = words.outcome.map(|outcome| match outcome {
            OutcomeWord::Done => "done".to_owned(),
            OutcomeWord::Refused => "refused".to_owned(),
        });
        Self {
            action: words.action,
            target: words.target,
            actor: words.actor,
            owner: words.owner.filter(),
            outcome,
            since: words.since,
            until: words.until,
        }
    }
}

/// Events to list.
#[derive(Args)]
pub struct List {
    #[command(flatten)]
    filter: FilterArguments,
    #[command(flatten)]
    list: ListArguments,
}

/// Events to write.
#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    filter: FilterArguments,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Into this file, which only you may read; it appears once it is complete [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The form of an export.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object on each line
    Jsonl,
    /// Comma-separated values, safe to open in a spreadsheet
    Csv,
}

impl Events {
    /// Runs the verb.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::List(words) => list_events(context, words).await,
            Self::Export(words) => export(context, words).await,
        }
    }
}

async fn list_events(context: &mut Context, words: List) -> Result<Exit, Trouble> {
    let request =
        Request::read(context.in_project(&["events"])?, "list the events").query(&EventFilter::from(words.filter))?;
    list::<EventPage>(context, request, &words.list).await
}

async fn export(context: &mut Context, words: Export) -> Result<Exit, Trouble> {
    let format = match words.format {
        Format::Jsonl => "jsonl",
        Format::Csv => "csv",
    };
    let request = Request::read(context.in_project(&["events", "export"])?, "export the events")
        .query(&EventFilter::from(words.filter))?
        .parameter("format", format)
        .flowing();
    context.connection()?;
    let spinner = context.printer.spinner("bytes");
    match words.output {
        None => export_to_stdout(context, &request, |count| spinner.inc(count)).await?,
        Some(path) => {
            export_to_file(context, &request, &path, |count| spinner.inc(count)).await?;
            context.printer.say(&format!("Wrote `{}`.", path.display()));
        }
    }
    spinner.finish_and_clear();
    Ok(Exit::Yes)
}

async fn export_to_stdout(context: &mut Context, request: &Request, count: impl Fn(u64)) -> Result<(), Trouble> {
    let reader = context.printer.data_reader();
    let mut line = Vec::new();
    let mut pieces = Vec::new();
    let (connection, printer) = context.connection_and_printer()?;
    let ended = connection
        .stream(request, |piece| {
            count(piece.len() as u64);
            match reader {
                Reader::Program => printer.verbatim(piece),
                // What names hold must not steer the terminal, so lines are put together first.
                Reader::Person { .. } => {
                    line.extend_from_slice(piece);
                    let Some(end) = line.iter().rposition(|byte| *byte == b'\n') else {
                        return Ok(());
                    };
                    pieces.extend(line.drain(..=end));
                    let text = String::from_utf8_lossy(&pieces).into_owned();
                    pieces.clear();
                    text.lines().try_for_each(|line| printer.line(line))
                }
            }
        })
        .await;
    if !line.is_empty() {
        printer.line(&String::from_utf8_lossy(&line))?;
    }
    ended.map_err(|trouble| match trouble.is_unheard() {
        true => trouble,
        false => trouble.hint("if something was written, it is not complete"),
    })
}

async fn export_to_file(
    context: &mut Context,
    request: &Request,
    path: &Path,
    count: impl Fn(u64),
) -> Result<(), Trouble> {
    let cannot =
        |error: &dyn std::error::Error| Trouble::new(format!("cannot write `{}`", path.display())).because(error);
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file: NamedTempFile = tempfile::Builder::new()
        .prefix(".events")
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(folder)
        .map_err(|error| cannot(&error))?;
    context
        .connection()?
        .stream(request, |piece| {
            count(piece.len() as u64);
            file.write_all(piece).map_err(|error| cannot(&error))
        })
        .await?;
    file.as_file().sync_all().map_err(|error| cannot(&error))?;
    file.persist(path).map_err(|error| cannot(&error.error))?;
    Ok(())
}
