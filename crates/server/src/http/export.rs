//! Taking the audit trail away: JSON Lines or CSV, streamed page by page.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use keyholt_api::event::{Event, EventFilter};
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_api::words::ExportFormat;
use keyholt_core::actor::Actor;
use keyholt_core::id::ProjectId;
use keyholt_store::{EventQuery, NumberedEvent, Page};
use serde::Deserialize;
use utoipa::IntoParams;

use super::fail::Answer;
use super::place::InProject;
use super::query::Query;
use super::{Door, events, show};
use crate::keeper::{Keeper, Refusal};

/// The columns of a CSV export.
const COLUMNS: [&str; 19] = [
    "number",
    "at",
    "action",
    "outcome",
    "refusal",
    "actor_project",
    "actor_key",
    "actor_owner_kind",
    "actor_owner",
    "target_kind",
    "target_id",
    "owner_kind",
    "owner_id",
    "owner",
    "cause",
    "address",
    "request_id",
    "before",
    "after",
];

/// In what form.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ExportForm {
    /// `jsonl` (when left out) or `csv`.
    #[serde(default)]
    #[param(value_type = Option<ExportFormat>, inline, nullable = false)]
    format: Option<String>,
}

/// Which events to take away, and in what form. Parameters that are neither were refused before.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ExportRequest {
    #[serde(flatten)]
    form: ExportForm,
    #[serde(flatten)]
    filter: EventFilter,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    JsonLines,
    Csv,
}

/// Export audit events
///
/// All that the filters find, newest first, as JSON Lines or as CSV whose cells are safe in a spreadsheet.
#[utoipa::path(get, path = "/v1/projects/{project}/events/export", operation_id = "export_events", tag = "Audit",
    params(ExportForm, EventFilter),
    responses((status = 200, description = "The events, one a line.",
        content((String = "application/jsonl"), (String = "text/csv")))))]
pub async fn export(State(door): State<Door>, at: InProject, Query(wish): Query<ExportRequest>) -> Answer<Response> {
    let format = match wish.form.format.as_deref() {
        None | Some("jsonl") => Format::JsonLines,
        Some("csv") => Format::Csv,
        Some(_) => {
            let reason = Reason(FaultCode::UnknownWord, "must be `jsonl` or `csv`".into());
            return Err(Faults::one("format", reason).into());
        }
    };
    let query = events::query(&door, at.project, wish.filter.read()?);
    // The first page is read before anything is answered, so that a refusal is a problem and not half a file.
    let first = door.keeper.events(&at.actor, at.project, &query).await?;
    let export = Export {
        keeper: Arc::clone(&door.keeper),
        actor: at.actor,
        project: at.project,
        query,
        format,
        next: Next::Ready(first),
    };
    let (media_type, file) = match format {
        Format::JsonLines => ("application/jsonl", r#"attachment; filename="events.jsonl""#),
        Format::Csv => (
            "text/csv; charset=utf-8; header=present",
            r#"attachment; filename="events.csv""#,
        ),
    };
    let mut response = Response::new(Body::from_stream(stream::try_unfold(export, Export::step)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(file));
    Ok(response)
}

/// An export on its way.
struct Export {
    keeper: Arc<Keeper>,
    actor: Actor,
    project: ProjectId,
    query: EventQuery,
    format: Format,
    next: Next,
}

enum Next {
    /// The first page, which was read already.
    Ready(Page<NumberedEvent>),
    /// The page after this place.
    After(keyholt_store::After),
    /// Nothing.
    End,
}

impl Export {
    /// The next piece of the file. An error ends the connection: a file that is cut off must not look whole.
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, io::Error> {
        let mut piece = Vec::new();
        let page = match std::mem::replace(&mut self.next, Next::End) {
            Next::End => return Ok(None),
            Next::Ready(page) => {
                if self.format == Format::Csv {
                    write_row(COLUMNS, &mut piece);
                }
                page
            }
            Next::After(after) => {
                self.query.after = Some(after);
                let read = self.keeper.events(&self.actor, self.project, &self.query).await;
                read.map_err(|refusal: Refusal| io::Error::other(refusal.to_string()))?
            }
        };
        let names = show::Called(&self.keeper);
        for entry in &page.entries {
            let event = Event::show(entry.number.0, &entry.event, &names);
            match self.format {
                Format::JsonLines => {
                    serde_json::to_writer(&mut piece, &event)?;
                    piece.push(b'\n');
                }
                Format::Csv => write_row(cells(&event), &mut piece),
            }
        }
        self.next = page.next.map_or(Next::End, Next::After);
        Ok(Some((Bytes::from(piece), self)))
    }
}

fn cells(event: &Event) -> [String; COLUMNS.len()] {
    let text = |value: Option<String>| value.unwrap_or_default();
    let json = |value: &Option<serde_json::Value>| text(value.as_ref().map(ToString::to_string));
    let actor = event.actor.as_ref();
    let owner = event.owner.as_ref();
    [
        event.number.to_string(),
        event.at.to_string(),
        event.action.clone(),
        event.outcome.clone(),
        text(event.refusal.clone()),
        text(actor.map(|actor| actor.project.to_string())),
        text(actor.map(|actor| actor.key.to_string())),
        text(actor.map(|actor| actor.owner.kind.to_string())),
        text(actor.and_then(|actor| actor.owner.handle.clone())),
        event.target.kind.as_str().to_owned(),
        text(event.target.id.map(|id| id.to_string())),
        text(owner.map(|owner| owner.kind.to_string())),
        text(owner.map(|owner| owner.id.to_string())),
        text(owner.and_then(|owner| owner.handle.clone())),
        text(event.cause.clone()),
        text(event.source.address.map(|address| address.to_string())),
        event.source.request_id.clone(),
        json(&event.before),
        json(&event.after),
    ]
}

/// Writes a row as RFC 4180 has it.
///
/// SECURITY: a spreadsheet runs a cell that starts like a formula; an apostrophe before it makes it text.
fn write_row(cells: impl IntoIterator<Item = impl AsRef<str>>, out: &mut Vec<u8>) {
    let mut separator: &[u8] = b"";
    for cell in cells {
        let cell = cell.as_ref();
        out.extend_from_slice(separator);
        separator = b",";
        let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let needs_quotes = is_formula || cell.contains(['"', ',', '\r', '\n']);
        if needs_quotes {
            out.push(b'"');
        }
        if is_formula {
            out.push(b'\'');
        }
        out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
        if needs_quotes {
            out.push(b'"');
        }
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_can_neither_run_nor_leave_its_place() {
        let mut out = Vec::new();
        write_row(
            [
                "a",
                "",
                "=1+1",
                "-1",
                "@x",
                "+1",
                "\tx",
                "a,b",
                "say \"hi\"",
                "two\nlines",
            ],
            &mut out,
        );
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a,,\"'=1+1\",\"'-1\",\"'@x\",\"'+1\",\"'\tx\",\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"\r\n"
        );
    }
}
