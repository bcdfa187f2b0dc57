//! Finds keys: one index for each filter, the rest checked on the candidates.

use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Key;
use keyholt_core::seal::Seal;
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params, params_from_iter};
use uuid::Uuid;

use super::labels::{SCOPE, TAG, WORD};
use super::row::{self, key_column_names};
use super::source::{Chosen, Order, Source, choose, longer};
use crate::words::{self, COMPLETIONS_MAX, Sought};
use crate::{After, KeyQuery, Owners, Page, StateFilter, StoreError};

/// Up to so many owners have their keys merged; with more, every key is looked at.
const OWNERS_MERGED_MAX: usize = 32;

/// One key of a project.
pub(super) fn by_id(connection: &Connection, project: ProjectId, id: KeyId) -> Result<Option<(Key, Seal)>, StoreError> {
    let found = connection
        .prepare_cached(row::KEY_BY_ID)?
        .query_row([id.uuid()], row::key_columns)
        .optional()?;
    found
        .filter(|columns| columns.project == project)
        .map(|columns| columns.read())
        .transpose()
}

/// The page that a query asks for.
pub(super) fn find(
    connection: &Connection,
    project: ProjectId,
    query: &KeyQuery,
) -> Result<Page<(Key, Seal)>, StoreError> {
    // One instant for all statements of the question.
    let instant = connection.unchecked_transaction()?;
    let Some(filters) = Filters::new(&instant, project, query)? else {
        return Ok(Page {
            entries: Vec::new(),
            next: None,
        });
    };
    let order = if query.expiring_before.is_some() {
        ListOrder::Expiry
    } else if query.unused_since.is_some() {
        ListOrder::Activity
    } else {
        ListOrder::Newest
    };
    let mut finder = Finder {
        check: instant.prepare_cached(&filters.check(order))?,
        values: filters.check_values(project),
        wanted: query.limit.entries() + 1,
        found: Vec::new(),
    };
    let whole = whole(project);
    match (order, choose(&instant, filters.sources, whole.clone())?) {
        (ListOrder::Newest, Chosen::Few(source)) => finder.take_newest(&source.all(&instant)?, query.after)?,
        (ListOrder::Newest, Chosen::Walk(source)) => finder.walk(&instant, &source, query.after)?,
        (_, Chosen::Few(source)) => finder.take_and_sort(&source.all(&instant)?, query.after)?,
        (order, Chosen::Walk(_)) => finder.walk_by_value(&instant, project, query, order)?,
    }
    finder.page(query.limit.entries())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListOrder {
    Newest,
    Expiry,
    Activity,
}

/// Every key of the project, newest first.
fn whole(project: ProjectId) -> Source {
    keys_in(Order::Listing, "keys_by_project", "", vec![vec![id(project.uuid())]])
}

fn id(uuid: Uuid) -> Value {
    Value::Blob(uuid.as_bytes().to_vec())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Ranges of an index on keys.
fn keys_in(order: Order, index: &str, more: &str, ranges: Vec<Vec<Value>>) -> Source {
    let range = format!("FROM keys INDEXED BY {index} WHERE project = ?{more}");
    Source::new(
        "id",
        order,
        ranges.into_iter().map(|values| (range.clone(), values)).collect(),
    )
}

/// Keys with one of several labels.
fn labelled(project: ProjectId, sort: &str, values: &[String]) -> Source {
    let range = "FROM labels WHERE project = ? AND sort = ? AND value = ?".to_owned();
    let ranges = values
        .iter()
        .map(|value| (range.clone(), vec![id(project.uuid()), text(sort), text(value)]));
    Source::new("id", Order::Listing, ranges.collect())
}

/// What a query's filters mean: a check of each on a candidate, and a source for each that has one.
#[derive(Default)]
struct Filters {
    checks: Vec<String>,
    values: Vec<Value>,
    sources: Vec<Source>,
}

impl Filters {
    /// None where nothing can be found.
    fn new(connection: &Connection, project: ProjectId, query: &KeyQuery) -> rusqlite::Result<Option<Self>> {
        let mut filters = Self::default();
        let here = id(project.uuid());
        if let Owners::These(owners) = &query.owners {
            if owners.is_empty() {
                return Ok(None);
            }
            filters.owners(&here, owners);
        }
        if let Some(maker) = query.created_by {
            let range = vec![here.clone(), id(maker.uuid())];
            let source = keys_in(Order::Listing, "keys_by_maker", " AND created_by = ?", vec![range]);
            filters.add("k.created_by = ?", [id(maker.uuid())], Some(source));
        }
        if let Some(asked) = &query.text {
            let Some(sought) = words::sought(asked) else {
                return Ok(None);
            };
            if !filters.words(connection, project, &sought)? {
                return Ok(None);
            }
        }
        if let Some(tag) = &query.tag {
            filters.label(project, TAG, &[tag.as_str().to_owned()]);
        }
        if let Some(scope) = &query.scope {
            filters.label(project, SCOPE, &[scope.as_str().to_owned()]);
        }
        if let Some(state) = query.state {
            filters.state(&here, state);
        }
        if let Some(kind) = query.kind {
            let range = vec![here.clone(), text(kind.as_str())];
            let source = keys_in(Order::Listing, "keys_by_kind", " AND kind = ?", vec![range]);
            filters.add("k.kind = ?", [text(kind.as_str())], Some(source));
        }
        if let Some(before) = query.expiring_before {
            let source = ending(&here, "<", before.ms());
            filters.add("k.expires_at < ?", [before.ms().into()], Some(source));
        }
        if let Some(since) = query.unused_since {
            let range = "FROM activity INDEXED BY activity_by_age WHERE project = ? AND active_at < ?".to_owned();
            let source = Source::new("id", Order::Other, vec![(range, vec![here, since.ms().into()])]);
            filters.add("u.active_at < ?", [since.ms().into()], Some(source));
        }
        Ok(Some(filters))
    }

    fn add(&mut self, check: &str, values: impl IntoIterator<Item = Value>, source: Option<Source>) {
        self.checks.push(check.to_owned());
        self.values.extend(values);
        self.sources.extend(source);
    }

    fn owners(&mut self, here: &Value, owners: &[keyholt_core::owner::Owner]) {
        let named = |owner: &keyholt_core::owner::Owner| [text(owner.kind().as_str()), id(owner.uuid())];
        if owners.len() > OWNERS_MERGED_MAX {
            let list: Vec<String> = owners
                .iter()
                .map(|owner| format!("{}:{:X}", owner.kind(), owner.uuid().simple()))
                .collect();
            let list = text(&serde_json::to_string(&list).unwrap_or_default());
            self.add(
                "k.owner_kind || ':' || hex(k.owner) IN (SELECT value FROM json_each(?))",
                [list],
                None,
            );
            return;
        }
        let check = vec!["(k.owner_kind = ? AND k.owner = ?)"; owners.len()].join(" OR ");
        let ranges = owners
            .iter()
            .map(|owner| [here.clone()].into_iter().chain(named(owner)).collect())
            .collect();
        let source = keys_in(
            Order::Listing,
            "keys_by_owner",
            " AND owner_kind = ? AND owner = ?",
            ranges,
        );
        self.add(&format!("({check})"), owners.iter().flat_map(named), Some(source));
    }

    fn label(&mut self, project: ProjectId, sort: &str, values: &[String]) {
        let marks = vec!["?"; values.len()].join(", ");
        let check = format!(
            "EXISTS (SELECT 1 FROM labels l WHERE l.project = k.project AND l.sort = '{sort}' AND l.value IN ({marks}) \
             AND l.id = k.id)"
        );
        self.add(
            &check,
            values.iter().map(|value| text(value)),
            Some(labelled(project, sort, values)),
        );
    }

    /// False where no word of the project has that beginning.
    fn words(&mut self, connection: &Connection, project: ProjectId, sought: &Sought) -> rusqlite::Result<bool> {
        for word in &sought.whole {
            self.label(project, WORD, std::slice::from_ref(word));
        }
        let completions = completions(connection, project, &sought.beginning)?;
        if completions.is_empty() {
            return Ok(false);
        }
        self.label(project, WORD, &completions);
        Ok(true)
    }

    fn state(&mut self, here: &Value, state: StateFilter) {
        let of_state = |word: &str| {
            keys_in(
                Order::Listing,
                "keys_by_state",
                " AND state = ?",
                vec![vec![here.clone(), text(word)]],
            )
        };
        match state {
            StateFilter::Active { now } => {
                let check = "k.state = 'active' AND (k.expires_at IS NULL OR k.expires_at > ?)";
                self.add(check, [now.ms().into()], Some(of_state("active")));
            }
            StateFilter::Suspended => self.add("k.state = 'suspended'", [], Some(of_state("suspended"))),
            StateFilter::Revoked => self.add("k.state = 'revoked'", [], Some(of_state("revoked"))),
            StateFilter::Expired { now } => {
                let source = ending(here, "<=", now.ms());
                self.add(
                    "k.state <> 'revoked' AND k.expires_at <= ?",
                    [now.ms().into()],
                    Some(source),
                );
            }
        }
    }

    /// The statement that reads a candidate if it passes every check, with the value that the listing goes by.
    fn check(&self, order: ListOrder) -> String {
        let value = match order {
            ListOrder::Newest => "0",
            ListOrder::Expiry => "k.expires_at",
            ListOrder::Activity => "u.active_at",
        };
        let mut sql = format!(
            "SELECT {}, {value} FROM keys k JOIN abouts a USING (number) JOIN activity u USING (number) \
             WHERE k.project = ?",
            key_column_names!()
        );
        for check in &self.checks {
            sql.push_str(" AND ");
            sql.push_str(check);
        }
        sql.push_str(" AND k.id = ?");
        sql
    }

    fn check_values(&self, project: ProjectId) -> Vec<Value> {
        [id(project.uuid())]
            .into_iter()
            .chain(self.values.iter().cloned())
            .collect()
    }
}

fn ending(here: &Value, comparison: &str, at: i64) -> Source {
    let more = format!(" AND expires_at {comparison} ?");
    keys_in(
        Order::Other,
        "keys_by_expiry",
        &more,
        vec![vec![here.clone(), at.into()]],
    )
}

/// The first words of the project that start like this: one step in the index for each word, however many keys have it.
fn completions(connection: &Connection, project: ProjectId, beginning: &str) -> rusqlite::Result<Vec<String>> {
    let first = "SELECT min(value) FROM labels WHERE project = ?1 AND sort = 'word' AND value >= ?2";
    let next = "SELECT min(value) FROM labels WHERE project = ?1 AND sort = 'word' AND value > ?2";
    let mut found: Vec<String> = Vec::new();
    while found.len() < COMPLETIONS_MAX {
        let (sql, from) = found.last().map_or((first, beginning), |last| (next, last.as_str()));
        let word: Option<String> = connection
            .prepare_cached(sql)?
            .query_row(params![project.uuid(), from], |row| row.get(0))?;
        match word.filter(|word| word.starts_with(beginning)) {
            Some(word) => found.push(word),
            None => break,
        }
    }
    Ok(found)
}

/// Reads candidates until there is one more than the page holds.
struct Finder<'c> {
    check: CachedStatement<'c>,
    values: Vec<Value>,
    wanted: usize,
    found: Vec<(After, (Key, Seal))>,
}

impl Finder<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.wanted
    }

    /// Keeps a candidate if it passes.
    fn consider(&mut self, candidate: &Value) -> Result<(), StoreError> {
        let values = params_from_iter(self.values.iter().chain([candidate]));
        let mut rows = self.check.query(values)?;
        if let Some(row) = rows.next()? {
            let columns = row::key_columns(row)?;
            let after = After {
                value: row.get(row::COLUMNS)?,
                id: columns.id.uuid(),
            };
            self.found.push((after, columns.read()?));
        }
        Ok(())
    }

    fn take_newest(&mut self, candidates: &[Value], after: Option<After>) -> Result<(), StoreError> {
        let after = after.map(|after| id(after.id));
        for candidate in candidates {
            if self.is_full() {
                break;
            }
            if after.as_ref().is_none_or(|after| is_before(candidate, after)) {
                self.consider(candidate)?;
            }
        }
        Ok(())
    }

    fn take_and_sort(&mut self, candidates: &[Value], after: Option<After>) -> Result<(), StoreError> {
        for candidate in candidates {
            self.consider(candidate)?;
        }
        self.found
            .retain(|(at, _)| after.is_none_or(|after| (at.value, at.id) > (after.value, after.id)));
        self.found.sort_by_key(|(at, _)| (at.value, at.id));
        self.found.truncate(self.wanted);
        Ok(())
    }

    fn walk(&mut self, connection: &Connection, source: &Source, after: Option<After>) -> Result<(), StoreError> {
        // No id is all ones: a UUID has a version.
        let mut before = id(after.map_or(Uuid::max(), |after| after.id));
        let mut step = self.wanted;
        loop {
            let candidates = source.next(connection, &before, step)?;
            for candidate in &candidates {
                if self.is_full() {
                    return Ok(());
                }
                self.consider(candidate)?;
            }
            match candidates.last() {
                Some(last) if candidates.len() == step => before = last.clone(),
                _ => return Ok(()),
            }
            step = longer(step);
        }
    }

    fn walk_by_value(
        &mut self,
        connection: &Connection,
        project: ProjectId,
        query: &KeyQuery,
        order: ListOrder,
    ) -> Result<(), StoreError> {
        let (sql, end) = match order {
            ListOrder::Expiry => (
                "SELECT expires_at, id FROM keys INDEXED BY keys_by_expiry WHERE project = ?1 AND expires_at < ?2 \
                 AND (expires_at, id) > (?3, ?4) ORDER BY expires_at, id LIMIT ?5",
                query.expiring_before,
            ),
            ListOrder::Activity | ListOrder::Newest => (
                "SELECT active_at, id FROM activity INDEXED BY activity_by_age WHERE project = ?1 AND active_at < ?2 \
                 AND (active_at, id) > (?3, ?4) ORDER BY active_at, id LIMIT ?5",
                query.unused_since,
            ),
        };
        let end = end.map_or(i64::MAX, |end| end.ms());
        let (mut value, mut last) = query
            .after
            .map_or((i64::MIN, id(Uuid::nil())), |after| (after.value, id(after.id)));
        let mut step = self.wanted;
        loop {
            let mut statement = connection.prepare_cached(sql)?;
            let limit = i64::try_from(step).unwrap_or(i64::MAX);
            let candidates: Vec<(i64, Value)> = statement
                .query_map(params![project.uuid(), end, value, last, limit], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<rusqlite::Result<_>>()?;
            for (_, candidate) in &candidates {
                if self.is_full() {
                    return Ok(());
                }
                self.consider(candidate)?;
            }
            if candidates.len() < step {
                return Ok(());
            }
            if let Some(from_here) = candidates.into_iter().next_back() {
                (value, last) = from_here;
            }
            step = longer(step);
        }
    }

    fn page(mut self, limit: usize) -> Result<Page<(Key, Seal)>, StoreError> {
        let more = self.found.len() > limit;
        self.found.truncate(limit);
        let next = self.found.last().filter(|_| more).map(|(after, _)| *after);
        Ok(Page {
            entries: self.found.into_iter().map(|(_, entry)| entry).collect(),
            next,
        })
    }
}

fn is_before(one: &Value, other: &Value) -> bool {
    matches!((one, other), (Value::Blob(one), Value::Blob(other)) if one < other)
}
