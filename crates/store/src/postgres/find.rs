//! Filters, order and pages as SQL.

use keyholt_core::audit::Noun;
use keyholt_core::id::ProjectId;
use keyholt_core::key::{Key, Kind};
use keyholt_core::seal::Seal;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

use super::columns::{self, Reading};
use super::line::Session;
use super::plan::Value;
use super::ready::{scope_label, tag_label, word_label};
use crate::words::{self, COMPLETIONS_MAX, Sought};
use crate::{
    After, EventQuery, KeyQuery, Limit, NumberedEvent, Owners, Page, RecordQuery, Refused, StateFilter, StoreError,
    StoredRecord,
};

/// The words of a project that begin in a certain way, each found by one look into the index, however many keys have it.
const COMPLETIONS: &str = "\
WITH RECURSIVE found(label, place) AS (
    (SELECT label, 1 FROM labels WHERE project = $1 AND label >= $2 AND label < $3 ORDER BY label LIMIT 1)
    UNION ALL
    SELECT (SELECT l.label FROM labels l
            WHERE l.project = $1 AND l.label > f.label AND l.label < $3 ORDER BY l.label LIMIT 1), f.place + 1
    FROM found f WHERE f.label IS NOT NULL AND f.place < $4)
SELECT label FROM found WHERE label IS NOT NULL";

/// When a key was used last, or made.
const ACTIVE_AT: &str = "GREATEST(k.created_at, COALESCE(u.last_at, k.created_at))";

/// A statement that is put together from the filters of one question. Values never become part of the text.
struct Question<'a> {
    sql: String,
    values: Vec<(Value<'a>, Type)>,
}

impl<'a> Question<'a> {
    fn new(sql: String) -> Self {
        Self {
            sql,
            values: Vec::new(),
        }
    }

    /// Adds a condition; each `?` in it stands for the next of the values.
    fn and(&mut self, condition: &str, values: Vec<(Value<'a>, Type)>) {
        let mut values = values.into_iter();
        self.sql
            .push_str(if self.values.is_empty() { " WHERE " } else { " AND " });
        for (place, part) in condition.split('?').enumerate() {
            if place > 0
                && let Some(value) = values.next()
            {
                self.values.push(value);
                self.sql.push('$');
                self.sql.push_str(&self.values.len().to_string());
            }
            self.sql.push_str(part);
        }
    }

    /// Asks for a page, and for one entry more to see whether there is another.
    async fn ask(mut self, session: &Session, order: &str, limit: Limit) -> Result<Vec<Row>, StoreError> {
        self.sql.push_str(" ORDER BY ");
        self.sql.push_str(order);
        self.sql.push_str(&format!(" LIMIT {}", limit.entries() + 1));
        let values: Vec<(&(dyn ToSql + Sync), Type)> = self
            .values
            .iter()
            .map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone()))
            .collect();
        session.query_once(&self.sql, &values).await
    }
}

fn number<'a>(value: i64) -> (Value<'a>, Type) {
    (Box::new(value), Type::INT8)
}

fn id<'a>(value: Uuid) -> (Value<'a>, Type) {
    (Box::new(value), Type::UUID)
}

fn text<'a>(value: impl Into<String>) -> (Value<'a>, Type) {
    (Box::new(value.into()), Type::TEXT)
}

fn texts<'a>(values: Vec<String>) -> (Value<'a>, Type) {
    (Box::new(values), Type::TEXT_ARRAY)
}

/// Cuts a page out of rows; `place` tells where an entry stands in the order.
fn page<T>(
    rows: &[Row],
    limit: Limit,
    read: impl Fn(&Row) -> Result<T, StoreError>,
    place: impl Fn(&T, &Row) -> Result<After, StoreError>,
) -> Result<Page<T>, StoreError> {
    let entries = rows
        .iter()
        .take(limit.entries())
        .map(&read)
        .collect::<Result<Vec<T>, StoreError>>()?;
    let next = match (
        rows.len() > limit.entries(),
        entries.last(),
        rows.get(entries.len().wrapping_sub(1)),
    ) {
        (true, Some(last), Some(row)) => Some(place(last, row)?),
        _ => None,
    };
    Ok(Page { entries, next })
}

fn nothing<T>() -> Page<T> {
    Page {
        entries: Vec::new(),
        next: None,
    }
}

/// PostgreSQL has no text with a NUL in it, so nothing is called so.
pub(super) fn is_unheard_of(text: &str) -> bool {
    text.contains('\0')
}

/// Records of one kind, by id.
pub(super) async fn records(
    session: &Session,
    project: ProjectId,
    noun: Noun,
    query: &RecordQuery,
) -> Result<Page<StoredRecord>, StoreError> {
    let mut question = Question::new(format!("SELECT {} FROM records", columns::RECORD));
    question.and("project = ?", vec![id(project.uuid())]);
    question.and("noun = ?", vec![text(noun.as_str())]);
    if let Some(prefix) = query.handle_prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        if is_unheard_of(prefix) {
            return Ok(nothing());
        }
        starts_with(&mut question, "handle", prefix);
    }
    if let Some(after) = query.after {
        question.and("id > ?", vec![id(after.id)]);
    }
    let rows = question.ask(session, "id", query.limit).await?;
    page(&rows, query.limit, columns::record, |record, _| {
        Ok(After {
            value: 0,
            id: record.id,
        })
    })
}

fn starts_with(question: &mut Question<'_>, column: &'static str, prefix: &str) {
    question.and(&format!("{column} >= ?"), vec![text(prefix)]);
    if let Some(end) = words::after_all_with(prefix) {
        question.and(&format!("{column} < ?"), vec![text(end)]);
    }
}

/// How keys are put in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    SoonestEnd,
    LongestUnused,
    Newest,
}

impl Order {
    fn of(query: &KeyQuery) -> Self {
        match (query.expiring_before, query.unused_since) {
            (Some(_), _) => Self::SoonestEnd,
            (None, Some(_)) => Self::LongestUnused,
            (None, None) => Self::Newest,
        }
    }

    /// The value that the order goes by.
    fn value(self) -> &'static str {
        match self {
            Self::SoonestEnd => "k.expires_at",
            Self::LongestUnused => ACTIVE_AT,
            Self::Newest => "0::bigint",
        }
    }
}

/// Keys that a query finds.
pub(super) async fn keys(
    session: &Session,
    project: ProjectId,
    query: &KeyQuery,
) -> Result<Page<(Key, Seal)>, StoreError> {
    let order = Order::of(query);
    let uses = match query.unused_since {
        Some(_) => " LEFT JOIN usage_last u ON u.key = k.id",
        None => "",
    };
    // The value of the order comes last, so that the columns before it are those of a key.
    let mut question = Question::new(format!("SELECT {}, {} FROM keys k{uses}", columns::KEY, order.value()));
    question.and("k.project = ?", vec![id(project.uuid())]);
    match &query.owners {
        Owners::Anybody => {}
        Owners::These(owners) => {
            let kinds = owners.iter().map(|owner| owner.kind().as_str().to_owned()).collect();
            let ids = || -> (Value<'_>, Type) {
                let ids: Vec<Uuid> = owners.iter().map(|owner| owner.uuid()).collect();
                (Box::new(ids), Type::UUID_ARRAY)
            };
            question.and("k.owner = ANY(?)", vec![ids()]);
            question.and(
                "(k.owner_kind, k.owner) IN (SELECT * FROM UNNEST(?, ?))",
                vec![texts(kinds), ids()],
            );
        }
    }
    match query.kind {
        // By the letter, so that the indexes of keys and of sessions are recognised.
        None => question.and("k.kind <> 'session'", vec![]),
        Some(Kind::Session) => question.and("k.kind = 'session'", vec![]),
        Some(kind) => question.and("k.kind = ? AND k.kind <> 'session'", vec![text(kind.as_str())]),
    }
    match query.state {
        None => {}
        Some(StateFilter::Active { now }) => question.and(
            "k.state = 'active' AND (k.expires_at IS NULL OR k.expires_at > ?)",
            vec![number(now.ms())],
        ),
        Some(StateFilter::Suspended) => question.and("k.state = 'suspended'", vec![]),
        Some(StateFilter::Revoked) => question.and("k.state = 'revoked'", vec![]),
        Some(StateFilter::Expired { now }) => {
            question.and("k.state <> 'revoked' AND k.expires_at <= ?", vec![number(now.ms())])
        }
    }
    if let Some(maker) = query.created_by {
        question.and("k.created_by = ?", vec![id(maker.uuid())]);
    }
    let scope = query.scope.as_ref().map(|scope| scope_label(scope.as_str()));
    let tag = query.tag.as_ref().map(|tag| tag_label(tag.as_str()));
    for label in scope.into_iter().chain(tag) {
        labelled(&mut question, project, vec![label]);
    }
    if let Some(wanted) = &query.text {
        let Some(Sought { whole, beginning }) = words::sought(wanted) else {
            return Ok(nothing());
        };
        let completions = completions(session, project, &beginning).await?;
        if completions.is_empty() {
            return Ok(nothing());
        }
        for word in whole {
            labelled(&mut question, project, vec![word_label(&word)]);
        }
        labelled(&mut question, project, completions);
    }
    if let Some(since) = query.unused_since {
        question.and(&format!("{ACTIVE_AT} < ?"), vec![number(since.ms())]);
    }
    if let Some(before) = query.expiring_before {
        question.and("k.expires_at < ?", vec![number(before.ms())]);
    }
    let rows = match order {
        Order::Newest => {
            if let Some(after) = query.after {
                question.and("k.id < ?", vec![id(after.id)]);
            }
            question.ask(session, "k.id DESC", query.limit).await?
        }
        Order::SoonestEnd | Order::LongestUnused => {
            let value = order.value();
            if let Some(after) = query.after {
                question.and(
                    &format!("({value}, k.id) > (?, ?)"),
                    vec![number(after.value), id(after.id)],
                );
            }
            question.ask(session, &format!("{value}, k.id"), query.limit).await?
        }
    };
    let read = |row: &Row| columns::key(row)?.read();
    page(&rows, query.limit, read, |(key, _), row| {
        let value = row
            .try_get(row.len() - 1)
            .map_err(|error| super::trouble::store_error(&error))?;
        Ok(After {
            value,
            id: key.id.uuid(),
        })
    })
}

/// Keeps the keys that have one of these labels.
fn labelled(question: &mut Question<'_>, project: ProjectId, labels: Vec<String>) {
    question.and(
        "EXISTS (SELECT 1 FROM labels l WHERE l.project = ? AND l.key = k.id AND l.label = ANY(?))",
        vec![id(project.uuid()), texts(labels)],
    );
}

async fn completions(session: &Session, project: ProjectId, beginning: &str) -> Result<Vec<String>, StoreError> {
    let from = word_label(beginning);
    let Some(to) = words::after_all_with(&from) else {
        return Ok(Vec::new());
    };
    let most = i32::try_from(COMPLETIONS_MAX).unwrap_or(i32::MAX);
    let rows = session
        .query(COMPLETIONS, &[&project.uuid(), &from, &to, &most])
        .await?;
    rows.iter().map(|row| Reading::new(row, "a label").next()).collect()
}

/// Audit events, newest first.
pub(super) async fn events(
    session: &Session,
    project: ProjectId,
    query: &EventQuery,
) -> Result<Page<NumberedEvent>, StoreError> {
    let mut question = Question::new("SELECT number, body FROM events".to_owned());
    question.and("project = ?", vec![id(project.uuid())]);
    if let Some(action) = &query.action {
        if is_unheard_of(action) {
            return Ok(nothing());
        }
        match action.strip_suffix(".*") {
            Some(kind) => starts_with(&mut question, "action", &format!("{kind}.")),
            None => question.and("action = ?", vec![text(action.as_str())]),
        }
    }
    if let Some((noun, target)) = query.target {
        question.and("target_noun = ? AND target = ?", vec![text(noun.as_str()), id(target)]);
    }
    if let Some(actor) = query.actor {
        question.and("actor = ?", vec![id(actor.uuid())]);
    }
    if let Some(owner) = query.owner {
        question.and(
            "owner_kind = ? AND owner = ?",
            vec![text(owner.kind().as_str()), id(owner.uuid())],
        );
    }
    match query.refused {
        None => {}
        Some(Refused::Only) => question.and("refused", vec![]),
        Some(Refused::Not) => question.and("NOT refused", vec![]),
    }
    if let Some(since) = query.since {
        question.and("at >= ?", vec![number(since.ms())]);
    }
    if let Some(until) = query.until {
        question.and("at < ?", vec![number(until.ms())]);
    }
    if let Some(after) = query.after {
        question.and("number < ?", vec![number(after.value)]);
    }
    let rows = question.ask(session, "number DESC", query.limit).await?;
    page(&rows, query.limit, columns::event, |event, _| {
        Ok(After {
            value: event.number.0.cast_signed(),
            id: Uuid::nil(),
        })
    })
}
