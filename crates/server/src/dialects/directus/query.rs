//! What Directus' clients may ask of a list: `fields`, `filter`, `sort`, `limit`, `offset`, `page` and `search`.
//!
//! In the URL a filter is JSON or in brackets (`filter[status][_eq]=active`); with the method SEARCH all of it is JSON.

use std::borrow::Cow;
use std::cmp::Ordering;

use axum::extract::FromRequestParts;
use http::request::Parts;
use keyholt_api::code::Code;
use serde_json::{Map, Value};

use super::body::object;
use super::fields::Fields;
use super::filter::{Filter, Known, at, compare};
use crate::dialects::reading::Body;
use crate::http::Fail;
use crate::http::fail::Answer;
use crate::http::query::pairs;

/// How many entries there are in an answer to a question that does not say.
pub const LIMIT_DEFAULT: usize = 100;
/// Most entries of one answer, whatever the limit says; `-1` asks for as many.
pub const LIMIT_MOST: usize = 10_000;
/// Most parameters of one question; a filter in brackets has one for each condition.
const PARAMETERS_MAX: usize = 256;
/// Most fields that a list is sorted by.
const SORTS_MAX: usize = 8;

/// A question about a collection.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Which fields of an entry are wanted.
    pub fields: Fields,
    /// Which entries.
    pub filter: Filter,
    /// With this text in one of their fields.
    pub search: Option<String>,
    /// In which order; the collection's own when empty.
    pub sort: Vec<Sort>,
    /// How many are passed over.
    pub offset: usize,
    /// How many at most.
    pub limit: usize,
}

/// One field of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sort {
    /// The field.
    pub path: Vec<String>,
    /// From the smallest or from the largest.
    pub order: Order,
}

/// From the smallest or from the largest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// From the smallest.
    Ascending,
    /// From the largest.
    Descending,
}

/// The parameters of a question, not read yet: what they may name depends on the collection.
#[derive(Clone, Debug)]
pub struct Asked(Map<String, Value>);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fail> {
        Self::in_url(parts.uri.query().unwrap_or_default())
    }
}

/// A query that cannot be read, and why.
pub fn invalid(reason: impl Into<String>) -> Fail {
    Fail::saying(Code::MalformedRequest, reason)
}

impl Asked {
    /// What the query of a URL asks.
    pub fn in_url(query: &str) -> Answer<Self> {
        let mut asked = Value::Object(Map::new());
        let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = pairs(query).take(PARAMETERS_MAX + 1).collect();
        // SECURITY: a filter that was left out because it could not be read would answer with everything.
        if pairs.len() != query.split('&').filter(|pair| !pair.is_empty()).count() {
            return Err(invalid(
                "the query has too many parameters, or is not percent-encoded UTF-8",
            ));
        }
        for (name, value) in pairs {
            let (first, rest) = name.split_once('[').unwrap_or((&name, ""));
            let path = rest
                .split('[')
                .filter(|_| !rest.is_empty())
                .map(|part| part.trim_end_matches(']'));
            put(
                &mut asked,
                &[first].into_iter().chain(path).collect::<Vec<_>>(),
                value.into_owned(),
            )?;
        }
        let Value::Object(mut asked) = asked else {
            return Err(invalid("the query cannot be read"));
        };
        if let Some(Value::String(text)) = asked.get("filter") {
            let filter = serde_json::from_str(text).map_err(|_| invalid("`filter` is not JSON"))?;
            asked.insert("filter".to_owned(), filter);
        }
        Ok(Self(asked))
    }

    /// What the member `query` of a body asks; without one it is everything.
    pub fn in_body(body: &Body) -> Answer<Self> {
        match object(body)?.remove("query") {
            Some(Value::Object(query)) => Ok(Self(query)),
            None | Some(Value::Null) => Ok(Self(Map::new())),
            Some(_) => Err(invalid("`query` must be an object")),
        }
    }

    /// The question, to a collection with these fields.
    pub fn read(&self, known: &Known) -> Answer<Query> {
        for odd in ["aggregate", "groupBy", "group"] {
            if self.0.get(odd).is_some_and(|value| !value.is_null()) {
                return Err(invalid(format!("`{odd}` is not spoken here")));
            }
        }
        let limit = match self.number("limit", -1)? {
            None => LIMIT_DEFAULT,
            Some(-1) => LIMIT_MOST,
            Some(limit) => usize::try_from(limit).map_or(LIMIT_MOST, |limit| limit.min(LIMIT_MOST)),
        };
        let offset = usize::try_from(self.number("offset", 0)?.unwrap_or(0)).unwrap_or(usize::MAX);
        let before = usize::try_from(self.number("page", 1)?.unwrap_or(1) - 1).unwrap_or(usize::MAX);
        Ok(Query {
            fields: Fields::read(&self.words("fields")?)?,
            filter: match self.0.get("filter") {
                None | Some(Value::Null) => Filter::default(),
                Some(filter) => Filter::read(filter, known)?,
            },
            search: match self.0.get("search") {
                None | Some(Value::Null) => None,
                Some(Value::String(text)) => Some(text.to_lowercase()).filter(|text| !text.is_empty()),
                Some(other) => Some(other.to_string()),
            },
            sort: self.sort(known)?,
            offset: offset.saturating_add(before.saturating_mul(limit)),
            limit,
        })
    }

    fn sort(&self, known: &Known) -> Answer<Vec<Sort>> {
        let words = self.words("sort")?;
        if words.len() > SORTS_MAX {
            return Err(invalid(format!("`sort` names more than {SORTS_MAX} fields")));
        }
        words.iter().map(|word| Sort::read(word, known)).collect()
    }

    /// Words joined by commas, or a list of them.
    fn words(&self, name: &str) -> Answer<Vec<&str>> {
        let listed = match self.0.get(name) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => vec![text.as_str()],
            Some(other) => entries(other)
                .into_iter()
                .map(Value::as_str)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| invalid(format!("`{name}` must be a list of fields")))?,
        };
        let words = listed.into_iter().flat_map(|text| text.split(','));
        Ok(words.map(str::trim).filter(|word| !word.is_empty()).collect())
    }

    /// A whole number of at least `least`.
    pub fn number(&self, name: &str, least: i64) -> Answer<Option<i64>> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) => text.parse().ok(),
            Some(other) => other.as_i64(),
        };
        let number = number.filter(|number| *number >= least);
        number
            .map(Some)
            .ok_or_else(|| invalid(format!("`{name}` must be a whole number of at least {least}")))
    }
}

impl Query {
    /// Whether an entry is one of those that are asked for.
    pub fn wants(&self, entry: &Value) -> bool {
        self.filter.matches(entry) && self.search.as_ref().is_none_or(|text| holds(entry, text))
    }

    /// Puts entries into the order that is asked for; equals stay as they are.
    pub fn order<T>(&self, entries: &mut [T], shown: impl Fn(&T) -> &Value) {
        entries.sort_by(|one, other| {
            let (one, other) = (shown(one), shown(other));
            self.sort.iter().fold(Ordering::Equal, |before, sort| {
                before.then_with(|| {
                    let ascending = compare(at(one, &sort.path), at(other, &sort.path));
                    match sort.order {
                        Order::Ascending => ascending,
                        Order::Descending => ascending.reverse(),
                    }
                })
            })
        });
    }

    /// Whether the collection's own order is the one that is asked for.
    pub fn is_in_order(&self, natural: &[(&str, Order)]) -> bool {
        let named = |sort: &Sort| {
            natural
                .iter()
                .any(|(name, order)| sort.path == [*name] && sort.order == *order)
        };
        self.sort.first().is_none_or(named)
    }
}

impl Sort {
    fn read(word: &str, known: &Known) -> Answer<Self> {
        let (path, order) = match word.strip_prefix('-') {
            Some(path) => (path, Order::Descending),
            None => (word, Order::Ascending),
        };
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        known.check(&path)?;
        Ok(Self { path, order })
    }
}

/// The entries of a list, or of an object that brackets made of one: `{"0": …, "1": …}`.
pub fn entries(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        other => vec![other],
    }
}

/// Puts a text into a tree of objects; an empty step appends, as in `fields[]=id`.
fn put(tree: &mut Value, path: &[&str], text: String) -> Answer<()> {
    let unreadable = || invalid("the brackets of the query do not fit together");
    let Value::Object(map) = tree else {
        return Err(unreadable());
    };
    let Some((first, rest)) = path.split_first() else {
        return Err(unreadable());
    };
    // Two digits or more keep ten entries in their order.
    let step = if first.is_empty() {
        format!("{:04}", map.len())
    } else {
        (*first).to_owned()
    };
    if rest.is_empty() {
        map.insert(step, Value::String(text));
        return Ok(());
    }
    put(map.entry(step).or_insert_with(|| Value::Object(Map::new())), rest, text)
}

/// Whether one of an entry's texts holds this one, whatever the case of its letters.
fn holds(entry: &Value, text: &str) -> bool {
    let Value::Object(map) = entry else { return false };
    map.values()
        .filter_map(Value::as_str)
        .any(|field| field.to_lowercase().contains(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: Known = Known {
        fields: &["id", "name", "status", "role"],
        relations: &[("role", &["id", "name"])],
        concealed: &["token"],
    };

    fn read(query: &str) -> Result<Query, String> {
        Asked::in_url(query)
            .and_then(|asked| asked.read(&KNOWN))
            .map_err(|fail| fail.detail())
    }

    fn found(query: &str) -> Vec<u64> {
        let query = read(query).unwrap();
        let mut entries: Vec<Value> = [
            json!({"id": 1, "name": "Ann", "status": "active", "role": {"id": "r", "name": "admin"}}),
            json!({"id": 2, "name": "bob", "status": "archived", "role": null}),
            json!({"id": 3, "name": null, "status": "active", "role": null}),
        ]
        .into_iter()
        .filter(|entry| query.wants(entry))
        .collect();
        query.order(&mut entries, |entry| entry);
        let page = entries.iter().skip(query.offset).take(query.limit);
        page.map(|entry| entry["id"].as_u64().unwrap()).collect()
    }

    #[test]
    fn a_filter_is_json_or_in_brackets() {
        for query in [
            "filter={\"status\":{\"_eq\":\"active\"}}",
            "filter[status][_eq]=active",
            "filter%5Bstatus%5D%5B_eq%5D=active",
            "filter[_and][0][status][_eq]=active&filter[_and][1][id][_lt]=5",
            "filter[status][_in]=active,draft",
            "filter[status][_in][]=active&filter[status][_in][]=draft",
            "filter={\"status\":\"active\"}",
        ] {
            assert_eq!(found(query), [1, 3], "{query}");
        }
    }

    #[test]
    fn order_offset_and_page() {
        for (query, expected) in [
            ("sort=-id", vec![3, 2, 1]),
            ("sort=name", vec![3, 1, 2]),
            ("sort=-status,id", vec![2, 1, 3]),
            ("sort=role.name,-id", vec![3, 2, 1]),
            ("limit=2", vec![1, 2]),
            ("limit=2&page=2", vec![3]),
            ("limit=1&offset=1", vec![2]),
            ("limit=-1", vec![1, 2, 3]),
            ("limit=0", vec![]),
            ("search=OB", vec![2]),
        ] {
            assert_eq!(found(query), expected, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_answered_is_refused_and_not_guessed() {
        for query in [
            "limit=x",
            "limit=-2",
            "page=0",
            "offset=-1",
            "filter=x",
            "filter[name][_like]=x",
            "filter[nonsense][_eq]=x",
            "filter[token][_eq]=x",
            "filter[_and]=x",
            "sort=nonsense",
            "sort=id,id,id,id,id,id,id,id,id",
            "aggregate[count]=*",
            "groupBy=status",
            "fields[a][b]=x&fields[a]=y&fields[a][c]=z",
        ] {
            assert!(read(query).is_err(), "{query}");
        }
        assert!(read("filter[token][_null]=true&sort=id&unknown=1").is_ok());
    }
}
