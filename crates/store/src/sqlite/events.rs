//! The audit trail and the feed.

use keyholt_core::commit::Replay;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::text::RequestKey;
use keyholt_core::time::Moment;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use uuid::Uuid;

use super::source::{Order, Source, choose};
use crate::words::after_all_with;
use crate::{After, EventNumber, EventQuery, FeedEntry, Limit, NumberedEvent, Page, Refused, StoreError};

/// Most actions of one kind (`key.*`) that are looked for; far more than there are.
const ACTIONS_MAX: usize = 64;

pub(super) fn feed(connection: &Connection, after: EventNumber, limit: Limit) -> Result<Vec<FeedEntry>, StoreError> {
    let sql = "SELECT number, touched, at FROM events WHERE number > ?1 ORDER BY number LIMIT ?2";
    let limit = i64::try_from(limit.entries()).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![after.0.cast_signed(), limit])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let number = EventNumber(row.get::<_, i64>(0)?.cast_unsigned());
        let touched = serde_json::from_str(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)
            .map_err(|_| StoreError::Corrupt(format!("what commit {} touched", number.0)))?;
        let at = Moment::from_ms(row.get(2)?);
        entries.push(FeedEntry { number, at, touched });
    }
    Ok(entries)
}

pub(super) fn replay(
    connection: &Connection,
    actor: KeyId,
    request: &RequestKey,
) -> Result<Option<Replay>, StoreError> {
    let sql = "SELECT question, made, at FROM replays WHERE actor = ?1 AND request = ?2";
    let found = connection
        .prepare_cached(sql)?
        .query_row(params![actor.uuid(), request.as_str()], |row| {
            Ok(Replay {
                actor,
                request: request.clone(),
                question: row.get(0)?,
                made: row.get(1)?,
                at: Moment::from_ms(row.get(2)?),
            })
        });
    Ok(found.optional()?)
}

/// Newest first.
pub(super) fn find(
    connection: &Connection,
    project: ProjectId,
    query: &EventQuery,
) -> Result<Page<NumberedEvent>, StoreError> {
    let instant = connection.unchecked_transaction()?;
    let filters = Filters::new(&instant, project, query)?;
    let from = first_since(&instant, query.since)?;
    let below = first_after(&instant, query.until)?;
    let below = query.after.map_or(below, |after| below.min(after.value));
    let mut check = instant.prepare_cached(&filters.check())?;
    let limit = query.limit.entries();
    let mut found: Vec<NumberedEvent> = Vec::new();
    let mut walk = choose(&instant, &filters.sources, &filters.whole, below)?;
    while let Some(candidate) = walk
        .next()?
        .filter(|candidate| *candidate >= from && found.len() <= limit)
    {
        let candidate = Value::Integer(candidate);
        let mut rows = check.query(params_from_iter(filters.values.iter().chain([&candidate])))?;
        if let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| After {
        value: last.number.0.cast_signed(),
        id: Uuid::nil(),
    });
    Ok(Page { entries: found, next })
}

fn read(row: &rusqlite::Row<'_>) -> Result<NumberedEvent, StoreError> {
    let number = EventNumber(row.get::<_, i64>(0)?.cast_unsigned());
    let body = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    match serde_json::from_str(body) {
        Ok(event) => Ok(NumberedEvent { number, event }),
        Err(_) => Err(StoreError::Corrupt(format!("event {}", number.0))),
    }
}

/// No event from that instant on has a smaller number.
fn first_since(connection: &Connection, since: Option<Moment>) -> rusqlite::Result<i64> {
    // Before the instant was reached for the first time, everything was earlier.
    since.map_or(Ok(1), |since| first_reaching(connection, since.ms()))
}

/// No event before that instant has this number or a larger one.
fn first_after(connection: &Connection, until: Option<Moment>) -> rusqlite::Result<i64> {
    let Some(until) = until else {
        return Ok(i64::MAX);
    };
    let newest = "SELECT most_late FROM events ORDER BY number DESC LIMIT 1";
    let most_late: i64 = connection
        .prepare_cached(newest)?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or_default();
    // Once the instant was passed by more than any event was ever late, nothing from before it can come any more.
    first_reaching(connection, until.ms().saturating_add(most_late))
}

/// The number of the first event at which an instant was reached; a search by halves, as `latest_at` only grows.
fn first_reaching(connection: &Connection, instant: i64) -> rusqlite::Result<i64> {
    let newest = "SELECT coalesce(max(number), 0) FROM events";
    let newest: i64 = connection.prepare_cached(newest)?.query_row([], |row| row.get(0))?;
    let mut statement = connection.prepare_cached("SELECT latest_at FROM events WHERE number = ?1")?;
    let (mut low, mut high) = (1, newest + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let latest_at: i64 = statement.query_row([middle], |row| row.get(0))?;
        if latest_at >= instant {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}

/// What a query's filters mean: a check of each on a candidate, and a source for each that has one.
struct Filters {
    checks: Vec<String>,
    values: Vec<Value>,
    sources: Vec<Source>,
    whole: Source,
}

impl Filters {
    fn new(connection: &Connection, project: ProjectId, query: &EventQuery) -> rusqlite::Result<Self> {
        let here = blob(project.uuid());
        let mut filters = Self {
            checks: vec!["project = ?".to_owned()],
            values: vec![here.clone()],
            sources: Vec::new(),
            whole: source("events_by_project", "", vec![vec![here.clone()]]),
        };
        if let Some((noun, id)) = query.target {
            let range = vec![here.clone(), blob(id)];
            filters
                .sources
                .push(source("events_by_target", " AND target = ?", vec![range]));
            filters.add(
                "target_noun = ? AND target = ?",
                [Value::Text(noun.as_str().to_owned()), blob(id)],
            );
        }
        if let Some(actor) = query.actor {
            let range = vec![here.clone(), blob(actor.uuid())];
            filters
                .sources
                .push(source("events_by_actor", " AND actor = ?", vec![range]));
            filters.add("actor = ?", [blob(actor.uuid())]);
        }
        if let Some(owner) = query.owner {
            let range = vec![here.clone(), blob(owner.uuid())];
            filters
                .sources
                .push(source("events_by_owner", " AND owner = ?", vec![range]));
            filters.add(
                "owner_kind = ? AND owner = ?",
                [Value::Text(owner.kind().as_str().to_owned()), blob(owner.uuid())],
            );
        }
        if let Some(action) = &query.action {
            let actions = match action.strip_suffix('*') {
                Some(kind) if kind.ends_with('.') => actions(connection, project, kind)?,
                _ => vec![action.clone()],
            };
            let marks = vec!["?"; actions.len()].join(", ");
            filters.add(
                &format!("action IN ({marks})"),
                actions.iter().cloned().map(Value::Text),
            );
            // No such action is a source without candidates.
            let none = Value::Text(action.clone());
            let named = actions.into_iter().map(Value::Text);
            let named: Vec<Value> = if marks.is_empty() { vec![none] } else { named.collect() };
            let ranges = named.into_iter().map(|action| vec![here.clone(), action]).collect();
            filters
                .sources
                .push(source("events_by_action", " AND action = ?", ranges));
        }
        if let Some(refused) = query.refused {
            let refused = Value::Integer(i64::from(refused == Refused::Only));
            let range = vec![here, refused.clone()];
            filters
                .sources
                .push(source("events_by_refused", " AND refused = ?", vec![range]));
            filters.add("refused = ?", [refused]);
        }
        if let Some(since) = query.since {
            filters.add("at >= ?", [since.ms().into()]);
        }
        if let Some(until) = query.until {
            filters.add("at < ?", [until.ms().into()]);
        }
        Ok(filters)
    }

    fn add(&mut self, check: &str, values: impl IntoIterator<Item = Value>) {
        self.checks.push(check.to_owned());
        self.values.extend(values);
    }

    fn check(&self) -> String {
        format!(
            "SELECT number, body FROM events WHERE {} AND number = ?",
            self.checks.join(" AND ")
        )
    }
}

fn blob(uuid: Uuid) -> Value {
    Value::Blob(uuid.as_bytes().to_vec())
}

fn source(index: &'static str, more: &'static str, ranges: Vec<Vec<Value>>) -> Source {
    let range = format!("FROM events INDEXED BY {index} WHERE project = ?{more}");
    Source::new(Order::Listing, range, ranges)
}

/// The actions that begin like this, one step in the index for each.
fn actions(connection: &Connection, project: ProjectId, beginning: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT min(action) FROM events WHERE project = ?1 AND action >= ?2 AND action < ?3";
    let end = after_all_with(beginning).unwrap_or_default();
    let mut found: Vec<String> = Vec::new();
    let mut from = beginning.to_owned();
    while found.len() < ACTIONS_MAX {
        let next: Option<String> = connection
            .prepare_cached(sql)?
            .query_row(params![project.uuid(), from, end], |row| row.get(0))?;
        let Some(next) = next else { break };
        // The smallest text after this one is this one with a NUL behind it.
        from = format!("{next}\0");
        found.push(next);
    }
    Ok(found)
}
