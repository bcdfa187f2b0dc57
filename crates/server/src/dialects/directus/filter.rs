//! Filters: which entries of a collection are wanted, by fields and operators, joined by `_and` and `_or`.

use std::cmp::Ordering;

use serde_json::Value;

use super::query::{entries, invalid};
use crate::http::fail::Answer;

/// Most levels that a filter may nest.
const DEPTH_MAX: usize = 16;
/// Most conditions of one filter.
const CONDITIONS_MAX: usize = 256;

/// The fields of a collection that may be asked about.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its own.
    pub fields: &'static [&'static str],
    /// Those of things that it names.
    pub relations: &'static [(&'static str, &'static [&'static str])],
    /// Those of which only may be asked whether they are there.
    pub concealed: &'static [&'static str],
}

/// Which entries are wanted.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Those that every one of these wants.
    All(Vec<Filter>),
    /// Those that one of these wants.
    Any(Vec<Filter>),
    /// Those with a field like this.
    Field(Vec<String>, Operator, Value),
}

impl Default for Filter {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

/// How a field is held against a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Operator {
    test: Test,
    negated: Negated,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Negated {
    Yes,
    No,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Test {
    Equal,
    Less,
    Greater,
    In,
    Null,
    Empty,
    Contains,
    ContainsAnyCase,
    Starts,
    StartsAnyCase,
    Ends,
    EndsAnyCase,
    Between,
}

impl Operator {
    const EQUAL: Self = Self {
        test: Test::Equal,
        negated: Negated::No,
    };

    fn named(word: &str) -> Option<Self> {
        let test = |word: &str| {
            Some(match word {
                "eq" => Test::Equal,
                "lt" => Test::Less,
                "gt" => Test::Greater,
                "in" => Test::In,
                "null" => Test::Null,
                "empty" => Test::Empty,
                "contains" => Test::Contains,
                "icontains" => Test::ContainsAnyCase,
                "starts_with" => Test::Starts,
                "istarts_with" => Test::StartsAnyCase,
                "ends_with" => Test::Ends,
                "iends_with" => Test::EndsAnyCase,
                "between" => Test::Between,
                _ => return None,
            })
        };
        let with = |test, negated| Some(Self { test, negated });
        match word {
            "neq" => with(Test::Equal, Negated::Yes),
            "gte" => with(Test::Less, Negated::Yes),
            "lte" => with(Test::Greater, Negated::Yes),
            word => match test(word) {
                Some(test) => with(test, Negated::No),
                None => with(test(word.strip_prefix('n')?)?, Negated::Yes),
            },
        }
    }

    fn holds(self, field: &Value, value: &Value) -> bool {
        let holds = match self.test {
            Test::Null => return is_yes(value) == (field.is_null() == (self.negated == Negated::No)),
            Test::Empty => {
                let empty =
                    field.is_null() || field.as_str() == Some("") || field.as_array().is_some_and(Vec::is_empty);
                return is_yes(value) == (empty == (self.negated == Negated::No));
            }
            // As in SQL: what is not there is neither like nor unlike anything.
            _ if field.is_null() => return false,
            Test::Equal => compare(field, value) == Ordering::Equal,
            Test::Less => compare(field, value) == Ordering::Less,
            Test::Greater => compare(field, value) == Ordering::Greater,
            Test::In => listed(value)
                .iter()
                .any(|value| compare(field, value) == Ordering::Equal),
            Test::Between => match listed(value).as_slice() {
                [least, most] => compare(field, least) != Ordering::Less && compare(field, most) != Ordering::Greater,
                _ => false,
            },
            Test::Contains => text(field).contains(&text(value)),
            Test::ContainsAnyCase => text(field).to_lowercase().contains(&text(value).to_lowercase()),
            Test::Starts => text(field).starts_with(&text(value)),
            Test::StartsAnyCase => text(field).to_lowercase().starts_with(&text(value).to_lowercase()),
            Test::Ends => text(field).ends_with(&text(value)),
            Test::EndsAnyCase => text(field).to_lowercase().ends_with(&text(value).to_lowercase()),
        };
        holds == (self.negated == Negated::No)
    }
}

impl Known {
    /// Refuses a field that the collection does not have.
    pub fn check(&self, path: &[String]) -> Answer<()> {
        let known = match path {
            [field] => self.fields.contains(&field.as_str()) || self.concealed.contains(&field.as_str()),
            [relation, field] => self
                .relations
                .iter()
                .any(|(name, fields)| name == relation && fields.contains(&field.as_str())),
            _ => false,
        };
        if known {
            Ok(())
        } else {
            Err(invalid("a field is named that this collection does not have"))
        }
    }

    fn allows(&self, path: &[String], operator: Operator) -> Answer<()> {
        self.check(path)?;
        let concealed = path
            .first()
            .is_some_and(|field| self.concealed.contains(&field.as_str()));
        if concealed && !matches!(operator.test, Test::Null | Test::Empty) {
            return Err(invalid("of a concealed field only `_null` and `_nnull` may be asked"));
        }
        Ok(())
    }
}

impl Filter {
    /// Reads a filter on a collection with these fields.
    pub fn read(filter: &Value, known: &Known) -> Answer<Self> {
        let mut left = CONDITIONS_MAX;
        Self::read_below(filter, &[], known, 0, &mut left)
    }

    fn read_below(filter: &Value, path: &[String], known: &Known, depth: usize, left: &mut usize) -> Answer<Self> {
        let too_much = || invalid("the filter is too large");
        if depth > DEPTH_MAX {
            return Err(too_much());
        }
        let Value::Object(map) = filter else {
            *left = left.checked_sub(1).ok_or_else(too_much)?;
            if path.is_empty() {
                return Err(invalid("`filter` must be an object"));
            }
            known.allows(path, Operator::EQUAL)?;
            return Ok(Self::Field(path.to_vec(), Operator::EQUAL, filter.clone()));
        };
        let mut all = Vec::new();
        for (word, value) in map {
            *left = left.checked_sub(1).ok_or_else(too_much)?;
            let each = |left: &mut usize| match value {
                Value::Array(_) | Value::Object(_) => entries(value)
                    .into_iter()
                    .map(|entry| Self::read_below(entry, path, known, depth + 1, left))
                    .collect::<Answer<Vec<Self>>>(),
                _ => Err(invalid("`_and` and `_or` join a list of filters")),
            };
            all.push(match (word.as_str(), word.strip_prefix('_')) {
                ("_and", _) => Self::All(each(left)?),
                ("_or", _) => Self::Any(each(left)?),
                (_, Some(operator)) => {
                    let operator = Operator::named(operator)
                        .ok_or_else(|| invalid("the filter has an operator that is not spoken here"))?;
                    known.allows(path, operator)?;
                    Self::Field(path.to_vec(), operator, value.clone())
                }
                (field, None) => {
                    let path: Vec<String> = path.iter().cloned().chain([field.to_owned()]).collect();
                    Self::read_below(value, &path, known, depth + 1, left)?
                }
            });
        }
        Ok(Self::All(all))
    }

    /// Whether an entry is wanted.
    pub fn matches(&self, entry: &Value) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(entry)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(entry)),
            Self::Field(path, operator, value) => operator.holds(at(entry, path), value),
        }
    }

    /// The one text that this field must have, if the filter says so: what a look-up can begin with.
    pub fn must_be(&self, field: &str) -> Option<&str> {
        match self {
            Self::All(filters) => filters.iter().find_map(|filter| filter.must_be(field)),
            Self::Field(path, Operator::EQUAL, value) if *path == [field] => value.as_str(),
            Self::Any(_) | Self::Field(..) => None,
        }
    }

    /// Whether a field of this name is asked about.
    pub fn names(&self, field: &str) -> bool {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().any(|filter| filter.names(field)),
            Self::Field(path, ..) => path.first().is_some_and(|first| first == field),
        }
    }
}

/// What an entry has at a place; nothing there is null. A thing that is named without saying which field is its id.
pub fn at<'a>(entry: &'a Value, path: &[String]) -> &'a Value {
    let mut place = entry;
    for step in path {
        place = place.get(step).unwrap_or(&Value::Null);
    }
    place.get("id").unwrap_or(place)
}

/// How two values stand to each other: numbers as numbers even where one came as text, nothing before everything.
pub fn compare(one: &Value, other: &Value) -> Ordering {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse::<f64>().ok(),
        _ => None,
    };
    match (one, other) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Number(_), _) | (_, Value::Number(_)) => match (number(one), number(other)) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            _ => text(one).cmp(&text(other)),
        },
        _ => text(one).cmp(&text(other)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A list, or a text whose entries commas part.
fn listed(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => text.split(',').map(|entry| Value::String(entry.to_owned())).collect(),
        other => entries(other).into_iter().cloned().collect(),
    }
}

/// In a URL `_null` has a text, and an empty one says yes.
fn is_yes(value: &Value) -> bool {
    !matches!(value, Value::Bool(false)) && !matches!(value.as_str(), Some("false" | "0"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: Known = Known {
        fields: &["id", "n", "tags", "role"],
        relations: &[("role", &["id", "name"])],
        concealed: &["token"],
    };

    fn matches(filter: Value) -> bool {
        let entry =
            json!({"id": "a", "n": 10, "tags": [], "token": "**********", "role": {"id": "r1", "name": "Admin"}});
        Filter::read(&filter, &KNOWN)
            .unwrap_or_else(|fail| panic!("{}", fail.detail()))
            .matches(&entry)
    }

    #[test]
    fn every_operator_says_what_it_says() {
        for yes in [
            json!({"id": {"_eq": "a"}}),
            json!({"id": {"_neq": "b"}}),
            json!({"id": {"_in": ["a", "b"]}}),
            json!({"id": {"_nin": ["b"]}}),
            json!({"n": {"_lt": 11, "_gt": "9", "_lte": 10, "_gte": 10}}),
            json!({"n": {"_between": [9, 10]}}),
            json!({"n": {"_nbetween": [1, 9]}}),
            json!({"n": {"_null": false}}),
            json!({"n": {"_nnull": true}}),
            json!({"tags": {"_empty": true}}),
            json!({"n": {"_nempty": true}}),
            json!({"role": {"_eq": "r1"}}),
            json!({"role": {"name": {"_contains": "dmi"}}}),
            json!({"role": {"name": {"_ncontains": "x"}}}),
            json!({"role": {"name": {"_icontains": "ADM"}}}),
            json!({"role": {"name": {"_starts_with": "A", "_ends_with": "n"}}}),
            json!({"role": {"name": {"_nstarts_with": "x", "_nends_with": "x"}}}),
            json!({"role": {"name": {"_istarts_with": "ad", "_iends_with": "IN"}}}),
            json!({"_or": [{"id": "x"}, {"n": 10}]}),
            json!({"_and": [{"id": "a"}, {"_or": [{"n": 10}]}]}),
            json!({"token": {"_nnull": true}}),
            json!({}),
        ] {
            assert!(matches(yes.clone()), "{yes}");
        }
        for no in [
            json!({"id": {"_neq": "a"}}),
            json!({"n": {"_null": true}}),
            json!({"n": {"_gt": 10}}),
            json!({"role": {"name": {"_contains": "adm"}}}),
            json!({"_or": []}),
            json!({"token": {"_null": true}}),
        ] {
            assert!(!matches(no.clone()), "{no}");
        }
    }

    #[test]
    fn a_filter_has_an_end() {
        let mut deep = json!({"id": "a"});
        for _ in 0..40 {
            deep = json!({ "_and": [deep] });
        }
        assert!(Filter::read(&deep, &KNOWN).is_err());
        let wide = json!({ "_or": vec![json!({"id": "a"}); 400] });
        assert!(Filter::read(&wide, &KNOWN).is_err());
    }

    #[test]
    fn what_an_entry_must_be_is_known_beforehand() {
        let filter = Filter::read(&json!({"_and": [{"n": 1}, {"id": {"_eq": "a"}}]}), &KNOWN).unwrap();
        assert_eq!(filter.must_be("id"), Some("a"));
        let filter = Filter::read(&json!({"_or": [{"n": 1}, {"id": {"_eq": "a"}}]}), &KNOWN).unwrap();
        assert_eq!((filter.must_be("id"), filter.names("id")), (None, true));
    }
}
