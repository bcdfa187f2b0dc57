//! Sources of candidates: ranges of an index in which what a filter wants stands in the order of the listing.
//!
//! A query with several filters walks the source that is sparsest from the page's start on; the other filters are
//! checked on its candidates.

use std::collections::VecDeque;

use rusqlite::types::{FromSql, ToSql, Value};
use rusqlite::{Connection, params_from_iter};
use uuid::Uuid;

/// Up to so many candidates that do not stand in the order of the listing are put in order.
pub(super) const FEW: usize = 1000;
/// So many candidates of each source are looked at to find the sparsest.
const PROBE: usize = 128;
/// Fewest and most candidates that one range of an index is asked for at a time.
const STEP: (usize, usize) = (16, 1024);

/// What names a candidate and orders the listing, newest first: a key's id or an event's number.
pub(super) trait Place: Copy + Ord + ToSql + FromSql {
    /// The column.
    const COLUMN: &'static str;
}

impl Place for Uuid {
    const COLUMN: &'static str = "id";
}

impl Place for i64 {
    const COLUMN: &'static str = "number";
}

/// Where candidates come from: ranges of one index. What stands in several of them counts once.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// `FROM … WHERE …` of each range.
    range: String,
    /// The values of each range.
    values: Vec<Vec<Value>>,
    order: Order,
}

/// Whether a source's ranges stand in the order of the listing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// They do: the source can be walked.
    Listing,
    /// They do not: it is of use only where it is small.
    Other,
}

impl Source {
    pub(super) fn new(order: Order, range: String, values: Vec<Vec<Value>>) -> Self {
        Self { range, values, order }
    }

    /// How many candidates there are, counted up to one more than [`FEW`].
    pub(super) fn size(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let sql = format!("SELECT count(*) FROM (SELECT 1 {} LIMIT {})", self.range, FEW + 1);
        let mut statement = connection.prepare_cached(&sql)?;
        let mut size = 0;
        for values in &self.values {
            let more: i64 = statement.query_row(params_from_iter(values), |row| row.get(0))?;
            size += usize::try_from(more).unwrap_or(0);
            if size > FEW {
                break;
            }
        }
        Ok(size)
    }

    /// All candidates, newest first; to be asked of a small source only.
    pub(super) fn all<P: Place>(&self, connection: &Connection) -> rusqlite::Result<Vec<P>> {
        let mut statement = connection.prepare_cached(&format!("SELECT {} {}", P::COLUMN, self.range))?;
        let mut all = Vec::new();
        for values in &self.values {
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                all.push(row.get(0)?);
            }
        }
        all.sort_unstable();
        all.dedup();
        all.reverse();
        Ok(all)
    }
}

/// The best way to walk the candidates older than one: over the sparsest source, or over everything where there is none.
pub(super) fn choose<'c, P: Place>(
    connection: &'c Connection,
    sources: &[Source],
    whole: &Source,
    before: P,
) -> rusqlite::Result<Walk<'c, P>> {
    let mut walks = Vec::with_capacity(sources.len());
    for source in sources {
        match source.order {
            Order::Listing => walks.push(Walk::over(connection, source, before)),
            Order::Other if source.size(connection)? <= FEW => {
                let mut few = source.all(connection)?;
                few.retain(|candidate| *candidate < before);
                walks.push(Walk::of(connection, few));
            }
            Order::Other => {}
        }
    }
    if walks.len() < 2 {
        return Ok(walks.pop().unwrap_or_else(|| Walk::over(connection, whole, before)));
    }
    let mut best: Option<(Sparsity<P>, Walk<'c, P>)> = None;
    for mut walk in walks {
        let sparsity = walk.sparsity()?;
        if best.as_ref().is_none_or(|(least, _)| sparsity < *least) {
            best = Some((sparsity, walk));
        }
    }
    Ok(best.map_or_else(|| Walk::over(connection, whole, before), |(_, walk)| walk))
}

/// How few candidates there are: less is sparser.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Sparsity<P> {
    /// These are all.
    Ends(usize),
    /// The first of many reach back to this one: the further back, the sparser.
    ReachesBack(P),
}

/// Candidates, newest first.
pub(super) struct Walk<'c, P> {
    connection: &'c Connection,
    sql: String,
    ranges: Vec<Range<P>>,
    /// Looked at ahead.
    ahead: VecDeque<P>,
}

struct Range<P> {
    values: Vec<Value>,
    chunk: VecDeque<P>,
    /// The next chunk holds what is older than this; `None` after the last chunk.
    before: Option<P>,
    step: usize,
}

impl<'c, P: Place> Walk<'c, P> {
    /// Merges a source's ranges.
    pub(super) fn over(connection: &'c Connection, source: &Source, before: P) -> Self {
        let column = P::COLUMN;
        let range = |values: &Vec<Value>| Range {
            values: values.clone(),
            chunk: VecDeque::new(),
            before: Some(before),
            step: STEP.0,
        };
        Self {
            connection,
            sql: format!(
                "SELECT {column} {} AND {column} < ? ORDER BY {column} DESC LIMIT ?",
                source.range
            ),
            ranges: source.values.iter().map(range).collect(),
            ahead: VecDeque::new(),
        }
    }

    fn of(connection: &'c Connection, candidates: Vec<P>) -> Self {
        Self {
            connection,
            sql: String::new(),
            ranges: Vec::new(),
            ahead: candidates.into(),
        }
    }

    /// The next candidate.
    pub(super) fn next(&mut self) -> rusqlite::Result<Option<P>> {
        match self.ahead.pop_front() {
            Some(candidate) => Ok(Some(candidate)),
            None => self.merge(),
        }
    }

    fn sparsity(&mut self) -> rusqlite::Result<Sparsity<P>> {
        while self.ahead.len() < PROBE {
            match self.merge()? {
                Some(candidate) => self.ahead.push_back(candidate),
                None => return Ok(Sparsity::Ends(self.ahead.len())),
            }
        }
        Ok(self
            .ahead
            .back()
            .map_or(Sparsity::Ends(0), |last| Sparsity::ReachesBack(*last)))
    }

    fn merge(&mut self) -> rusqlite::Result<Option<P>> {
        for range in &mut self.ranges {
            range.refill(self.connection, &self.sql)?;
        }
        let newest = self
            .ranges
            .iter()
            .filter_map(|range| range.chunk.front())
            .max()
            .copied();
        for range in &mut self.ranges {
            if range.chunk.front() == newest.as_ref() {
                range.chunk.pop_front();
            }
        }
        Ok(newest)
    }
}

impl<P: Place> Range<P> {
    fn refill(&mut self, connection: &Connection, sql: &str) -> rusqlite::Result<()> {
        let Some(before) = self.before.filter(|_| self.chunk.is_empty()) else {
            return Ok(());
        };
        let step = Value::Integer(i64::try_from(self.step).unwrap_or(i64::MAX));
        let values = self
            .values
            .iter()
            .map(|value| value as &dyn ToSql)
            .chain([&before as &dyn ToSql, &step]);
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            self.chunk.push_back(row.get(0)?);
        }
        self.before = self.chunk.back().copied().filter(|_| self.chunk.len() == self.step);
        self.step = (self.step * 4).min(STEP.1);
        Ok(())
    }
}
