//! Finds keys: one index for each filter, the rest checked on the candidates.

use std::collections::BTreeSet;

use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{Key, Kind};
use keyholt_core::seal::Seal;
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, OptionalExtension, params, params_from_iter};
use uuid::Uuid;

use super::labels::{SCOPE, TAG, WORD};
use super::row::{self, key_column_names};
use super::source::{FEW, Order, Source, choose};
use crate::words::{self, COMPLETIONS_MAX, Sought};
use crate::{After, KeyQuery, Owners, Page, StateFilter, StoreError};

/// Most candidates in one step of a walk by expiry or activity.
const STEP_MAX: usize = 4096;
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
    let order = ListOrder::of(query);
    let mut finder = Finder {
        check: instant.prepare_cached(&filters.check(order))?,
        values: filters.check_values(project),
        completions: filters.completions.as_ref(),
        wanted: query.limit.entries() + 1,
        found: Vec::new(),
    };
    if order == ListOrder::Newest {
        // No id is all ones: a UUID has a version.
        let before = query.after.map_or(Uuid::max(), |after| after.id);
        let mut walk = choose(&instant, &filters.sources, &Class::of(query).whole(project), before)?;
        while let Some(candidate) = walk.next()?.filter(|_| !finder.is_full()) {
            finder.consider(candidate)?;
        }
    } else if let Some(few) = smallest(&instant, &filters.sources)? {
        finder.take_and_sort(few.all(&instant)?, query.after)?;
    } else {
        finder.walk_by_value(&instant, project, query, order)?;
    }
    Ok(finder.page(query.limit.entries()))
}

/// The smallest source, where there is a small one.
fn smallest<'s>(connection: &Connection, sources: &'s [Source]) -> rusqlite::Result<Option<&'s Source>> {
    let mut smallest = None;
    for source in sources {
        let size = source.size(connection)?;
        if size <= FEW && smallest.is_none_or(|(least, _)| size < least) {
            smallest = Some((size, source));
        }
    }
    Ok(smallest.map(|(_, source)| source))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ListOrder {
    Newest,
    Expiry,
    Activity,
}

impl ListOrder {
    fn of(query: &KeyQuery) -> Self {
        if query.expiring_before.is_some() {
            Self::Expiry
        } else if query.unused_since.is_some() {
            Self::Activity
        } else {
            Self::Newest
        }
    }
}

/// Keys and sessions stand in indexes of their own.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Class {
    #[default]
    Keys,
    Sessions,
}

impl Class {
    fn of(query: &KeyQuery) -> Self {
        match query.kind {
            Some(Kind::Session) => Self::Sessions,
            _ => Self::Keys,
        }
    }

    /// The beginning of its indexes' names, and the condition that they have.
    const fn index(self) -> (&'static str, &'static str) {
        match self {
            Self::Keys => ("keys_by_", "kind <> 'session'"),
            Self::Sessions => ("sessions_by_", "kind = 'session'"),
        }
    }

    /// Every key of the project, newest first.
    fn whole(self, project: ProjectId) -> Source {
        self.among(Order::Listing, "project", "", vec![vec![id(project.uuid())]])
    }

    /// Ranges of an index on keys.
    fn among(self, order: Order, by: &'static str, more: &'static str, ranges: Vec<Vec<Value>>) -> Source {
        let (index, condition) = self.index();
        Source::new(
            order,
            format!("FROM keys INDEXED BY {index}{by} WHERE {condition} AND project = ?{more}"),
            ranges,
        )
    }

    /// Ranges of an index that only keys have: for sessions there is no such way to walk.
    fn among_keys(self, by: &'static str, more: &'static str, ranges: Vec<Vec<Value>>) -> Option<Source> {
        (self == Self::Keys).then(|| self.among(Order::Listing, by, more, ranges))
    }
}

fn id(uuid: Uuid) -> Value {
    Value::Blob(uuid.as_bytes().to_vec())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Keys with one of several labels.
fn labelled<'v>(project: ProjectId, sort: &str, values: impl IntoIterator<Item = &'v str>) -> Source {
    let range = "FROM labels WHERE project = ? AND sort = ? AND value = ?".to_owned();
    let ranges = values
        .into_iter()
        .map(|value| vec![id(project.uuid()), text(sort), text(value)]);
    Source::new(Order::Listing, range, ranges.collect())
}

/// What a query's filters mean: a check of each on a candidate, and a source for each that has one.
#[derive(Default)]
struct Filters {
    checks: Vec<String>,
    values: Vec<Value>,
    /// How many labels are checked.
    labels: usize,
    sources: Vec<Source>,
    /// What the last word of a search stands for; checked on a candidate's own texts.
    completions: Option<BTreeSet<String>>,
    class: Class,
}

impl Filters {
    /// None where nothing can be found.
    fn new(connection: &Connection, project: ProjectId, query: &KeyQuery) -> rusqlite::Result<Option<Self>> {
        let mut filters = Self {
            class: Class::of(query),
            ..Self::default()
        };
        let here = id(project.uuid());
        if let Owners::These(owners) = &query.owners {
            if owners.is_empty() {
                return Ok(None);
            }
            filters.owners(&here, owners);
        }
        if let Some(maker) = query.created_by {
            let range = vec![here.clone(), id(maker.uuid())];
            let source = filters.class.among_keys("maker", " AND created_by = ?", vec![range]);
            filters.add("k.created_by = ?", [id(maker.uuid())], source);
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
            filters.label(project, TAG, tag.as_str());
        }
        if let Some(scope) = &query.scope {
            filters.label(project, SCOPE, scope.as_str());
        }
        if let Some(state) = query.state {
            filters.state(&here, state);
        }
        match query.kind {
            None => filters.add("k.kind <> 'session'", [], None),
            Some(kind) => {
                let range = vec![here.clone(), text(kind.as_str())];
                let source = filters.class.among_keys("kind", " AND kind = ?", vec![range]);
                filters.add("k.kind = ?", [text(kind.as_str())], source);
            }
        }
        // The filter that orders the listing is walked, where it is not one of many.
        if let Some(before) = query.expiring_before {
            filters.add("k.expires_at < ?", [before.ms().into()], None);
        }
        if let Some(since) = query.unused_since {
            filters.add("u.active_at < ?", [since.ms().into()], None);
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
        let more = " AND owner_kind = ? AND owner = ?";
        let source = self.class.among(Order::Listing, "owner", more, ranges);
        self.add(&format!("({check})"), owners.iter().flat_map(named), Some(source));
    }

    fn label(&mut self, project: ProjectId, sort: &'static str, value: &str) {
        let at = self.labels;
        self.labels += 1;
        let check = format!("l{at}.id = ?1 AND l{at}.project = ?2 AND l{at}.sort = '{sort}' AND l{at}.value = ?");
        self.add(&check, [text(value)], Some(labelled(project, sort, [value])));
    }

    /// False where no word of the project has that beginning.
    fn words(&mut self, connection: &Connection, project: ProjectId, sought: &Sought) -> rusqlite::Result<bool> {
        for word in &sought.whole {
            self.label(project, WORD, word);
        }
        let completions = completions(connection, project, &sought.beginning)?;
        let any = !completions.is_empty();
        self.sources
            .push(labelled(project, WORD, completions.iter().map(String::as_str)));
        self.completions = Some(completions);
        Ok(any)
    }

    fn state(&mut self, here: &Value, state: StateFilter) {
        let class = self.class;
        let of_state = |word: &str| class.among_keys("state", " AND state = ?", vec![vec![here.clone(), text(word)]]);
        match state {
            StateFilter::Active { now } => {
                let check = "k.state = 'active' AND (k.expires_at IS NULL OR k.expires_at > ?)";
                self.add(check, [now.ms().into()], of_state("active"));
            }
            StateFilter::Suspended => self.add("k.state = 'suspended'", [], of_state("suspended")),
            StateFilter::Revoked => self.add("k.state = 'revoked'", [], of_state("revoked")),
            StateFilter::Expired { now } => {
                let range = vec![vec![here.clone(), now.ms().into()]];
                let source = class.among(Order::Other, "expiry", " AND expires_at <= ?", range);
                self.add(
                    "k.state <> 'revoked' AND k.expires_at <= ?",
                    [now.ms().into()],
                    Some(source),
                );
            }
        }
    }

    /// The statement that reads a candidate if it passes every check, with the value that the listing goes by. The candidate
    /// is its first value and the project its second.
    ///
    /// Labels are looked at first: a candidate without one costs one step in their index, and its row is not read at all.
    fn check(&self, order: ListOrder) -> String {
        let value = match order {
            ListOrder::Newest => "0",
            ListOrder::Expiry => "k.expires_at",
            ListOrder::Activity => "u.active_at",
        };
        let activity = if value.starts_with('u') || self.checks.iter().any(|check| check.starts_with("u.")) {
            "JOIN activity u USING (number)"
        } else {
            ""
        };
        let labels: String = (0..self.labels).map(|at| format!("labels l{at} CROSS JOIN ")).collect();
        let mut sql = format!(
            "SELECT {}, {value} FROM {labels}keys k JOIN abouts a USING (number) {activity} \
             WHERE k.id = ?1 AND k.project = ?2",
            key_column_names!()
        );
        for check in &self.checks {
            sql.push_str(" AND ");
            sql.push_str(check);
        }
        sql
    }

    fn check_values(&self, project: ProjectId) -> Vec<Value> {
        [id(project.uuid())]
            .into_iter()
            .chain(self.values.iter().cloned())
            .collect()
    }
}

/// The first words of the project that start like this: one step in the index for each word, however many keys have it.
fn completions(connection: &Connection, project: ProjectId, beginning: &str) -> rusqlite::Result<BTreeSet<String>> {
    let first = "SELECT min(value) FROM labels WHERE project = ?1 AND sort = 'word' AND value >= ?2";
    let next = "SELECT min(value) FROM labels WHERE project = ?1 AND sort = 'word' AND value > ?2";
    let mut found: BTreeSet<String> = BTreeSet::new();
    while found.len() < COMPLETIONS_MAX {
        let (sql, from) = found.last().map_or((first, beginning), |last| (next, last.as_str()));
        let word: Option<String> = connection
            .prepare_cached(sql)?
            .query_row(params![project.uuid(), from], |row| row.get(0))?;
        match word.filter(|word| word.starts_with(beginning)) {
            Some(word) => drop(found.insert(word)),
            None => break,
        }
    }
    Ok(found)
}

/// Reads candidates until there is one more than the page holds.
struct Finder<'c> {
    check: CachedStatement<'c>,
    values: Vec<Value>,
    completions: Option<&'c BTreeSet<String>>,
    wanted: usize,
    found: Vec<(After, (Key, Seal))>,
}

impl Finder<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.wanted
    }

    /// Keeps a candidate if it passes.
    fn consider(&mut self, candidate: Uuid) -> Result<(), StoreError> {
        let candidate = id(candidate);
        let mut rows = self
            .check
            .query(params_from_iter([&candidate].into_iter().chain(&self.values)))?;
        let Some(row) = rows.next()? else {
            return Ok(());
        };
        if let Some(completions) = self.completions {
            let (name, description) = row::texts(row)?;
            if completions.is_disjoint(&words::of_texts(name, description)) {
                return Ok(());
            }
        }
        let columns = row::key_columns(row)?;
        let after = After {
            value: row.get(row::COLUMNS)?,
            id: columns.id.uuid(),
        };
        self.found.push((after, columns.read()?));
        Ok(())
    }

    fn take_and_sort(&mut self, candidates: Vec<Uuid>, after: Option<After>) -> Result<(), StoreError> {
        for candidate in candidates {
            self.consider(candidate)?;
        }
        self.found
            .retain(|(at, _)| after.is_none_or(|after| (at.value, at.id) > (after.value, after.id)));
        self.found.sort_by_key(|(at, _)| (at.value, at.id));
        self.found.truncate(self.wanted);
        Ok(())
    }

    fn walk_by_value(
        &mut self,
        connection: &Connection,
        project: ProjectId,
        query: &KeyQuery,
        order: ListOrder,
    ) -> Result<(), StoreError> {
        let (sql, end) = match order {
            ListOrder::Expiry => {
                let (index, condition) = Class::of(query).index();
                let sql = format!(
                    "SELECT expires_at, id FROM keys INDEXED BY {index}expiry WHERE {condition} AND project = ?1 \
                     AND expires_at < ?2 AND (expires_at, id) > (?3, ?4) ORDER BY expires_at, id LIMIT ?5"
                );
                (sql, query.expiring_before)
            }
            ListOrder::Activity | ListOrder::Newest => {
                let sql = "SELECT active_at, id FROM activity INDEXED BY activity_by_age WHERE project = ?1 \
                           AND active_at < ?2 AND (active_at, id) > (?3, ?4) ORDER BY active_at, id LIMIT ?5";
                (sql.to_owned(), query.unused_since)
            }
        };
        let end = end.map_or(i64::MAX, |end| end.ms());
        let start = After {
            value: i64::MIN,
            id: Uuid::nil(),
        };
        let mut from = query.after.unwrap_or(start);
        let mut step = self.wanted;
        loop {
            let mut statement = connection.prepare_cached(&sql)?;
            let limit = i64::try_from(step).unwrap_or(i64::MAX);
            let candidates: Vec<After> = statement
                .query_map(params![project.uuid(), end, from.value, from.id, limit], |row| {
                    Ok(After {
                        value: row.get(0)?,
                        id: row.get(1)?,
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            for candidate in &candidates {
                if self.is_full() {
                    return Ok(());
                }
                self.consider(candidate.id)?;
            }
            match candidates.last() {
                Some(last) if candidates.len() == step => from = *last,
                _ => return Ok(()),
            }
            step = (step * 2).min(STEP_MAX);
        }
    }

    fn page(mut self, limit: usize) -> Page<(Key, Seal)> {
        let more = self.found.len() > limit;
        self.found.truncate(limit);
        let next = self.found.last().filter(|_| more).map(|(after, _)| *after);
        Page {
            entries: self.found.into_iter().map(|(_, entry)| entry).collect(),
            next,
        }
    }
}
