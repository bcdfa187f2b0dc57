//! Sources of candidates: ranges of an index in which what a filter wants stands in the order of the listing.
//!
//! A query with several filters is answered from the smallest source; the other filters are checked on its candidates.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Up to so many candidates of a source are taken at once, whatever their order; a source that has more is walked.
pub(super) const FEW: usize = 1000;
/// Most candidates in one step of a walk.
const STEP_MAX: usize = 4096;

/// Where candidates come from.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// The column that names candidates: `id` or `number`.
    column: &'static str,
    /// Each is `FROM … WHERE …` with its values; what stands in several of them counts once.
    ranges: Vec<(String, Vec<Value>)>,
    order: Order,
}

/// Whether a source's ranges stand in the order of the listing, newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// They do: the source can be walked.
    Listing,
    /// They do not: it is of use only where it is small.
    Other,
}

impl Source {
    pub(super) fn new(column: &'static str, order: Order, ranges: Vec<(String, Vec<Value>)>) -> Self {
        Self { column, ranges, order }
    }

    pub(super) fn can_be_walked(&self) -> bool {
        self.order == Order::Listing
    }

    /// How many candidates there are, counted up to one more than [`FEW`].
    pub(super) fn size(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let limit = FEW + 1;
        let union = self.union(" ");
        let sql = format!("SELECT count(*) FROM (SELECT * FROM ({union}) LIMIT {limit})");
        let values = self.ranges.iter().flat_map(|(_, values)| values);
        let size: i64 = connection
            .prepare_cached(&sql)?
            .query_row(params_from_iter(values), |row| row.get(0))?;
        Ok(usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// All candidates, at most [`FEW`] and newest first.
    pub(super) fn all(&self, connection: &Connection) -> rusqlite::Result<Vec<Value>> {
        let sql = format!("{} ORDER BY 1 DESC LIMIT {FEW}", self.union(" "));
        let values = self.ranges.iter().flat_map(|(_, values)| values);
        connection
            .prepare_cached(&sql)?
            .query_map(params_from_iter(values), |row| row.get(0))?
            .collect()
    }

    /// The next candidates older than one.
    pub(super) fn next(&self, connection: &Connection, before: &Value, most: usize) -> rusqlite::Result<Vec<Value>> {
        let sql = format!(
            "{} ORDER BY 1 DESC LIMIT {most}",
            self.union(&format!(" AND {} < ? ", self.column))
        );
        let values = self.ranges.iter().flat_map(|(_, values)| values.iter().chain([before]));
        connection
            .prepare_cached(&sql)?
            .query_map(params_from_iter(values), |row| row.get(0))?
            .collect()
    }

    fn union(&self, bound: &str) -> String {
        let selects = self
            .ranges
            .iter()
            .map(|(range, _)| format!("SELECT {} {range}{bound}", self.column));
        selects.collect::<Vec<_>>().join(" UNION ")
    }
}

/// Which source to answer from, and how.
pub(super) enum Chosen {
    /// There are few candidates: take them all.
    Few(Source),
    /// There are many: walk them in the order of the listing.
    Walk(Source),
}

/// The smallest of several sources. The last one is the whole listing, and sources that are likely small come first.
pub(super) fn choose(connection: &Connection, mut sources: Vec<Source>, whole: Source) -> rusqlite::Result<Chosen> {
    if let [only] = sources.as_slice()
        && only.can_be_walked()
    {
        return Ok(Chosen::Walk(only.clone()));
    }
    let mut smallest = None;
    for (at, source) in sources.iter().enumerate() {
        let size = source.size(connection)?;
        if size <= FEW && smallest.is_none_or(|(_, least)| size < least) {
            smallest = Some((at, size));
        }
    }
    if let Some((at, _)) = smallest {
        return Ok(Chosen::Few(sources.swap_remove(at)));
    }
    let walked = sources.into_iter().find(Source::can_be_walked);
    Ok(Chosen::Walk(walked.unwrap_or(whole)))
}

/// How many candidates the next step of a walk takes: twice as many as the one before.
pub(super) fn longer(step: usize) -> usize {
    (step * 2).min(STEP_MAX)
}
