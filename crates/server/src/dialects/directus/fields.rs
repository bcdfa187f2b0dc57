//! Fields: which part of an entry an answer holds, such as `id,role.name` or `*`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::query::invalid;
use crate::http::fail::Answer;

/// Most fields that one question names.
const FIELDS_MAX: usize = 200;
/// Most steps of one field, as in `role.name`.
const STEPS_MAX: usize = 8;
/// The fields that name other entries. Whatever else is an object is a value and stays whole, whatever it holds.
const RELATIONS: [&str; 2] = ["role", "revisions"];

/// The wanted part of an entry. Nothing named is everything, as `*` is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields {
    named: BTreeMap<String, Fields>,
    /// What is wanted of every field, where `*` was said.
    every: Option<Box<Fields>>,
}

impl Fields {
    /// Reads names, each with steps parted by dots.
    pub fn read(words: &[&str]) -> Answer<Self> {
        if words.len() > FIELDS_MAX {
            return Err(invalid(format!("`fields` names more than {FIELDS_MAX} fields")));
        }
        let mut fields = Self::default();
        for word in words {
            let steps: Vec<&str> = word.split('.').collect();
            if steps.len() > STEPS_MAX {
                return Err(invalid("`fields` goes too deep"));
            }
            fields.add(&steps);
        }
        Ok(fields)
    }

    fn add(&mut self, steps: &[&str]) {
        match steps.split_first() {
            None => {}
            Some((&"*", rest)) => self.every.get_or_insert_default().add(rest),
            Some((name, rest)) => self.named.entry((*name).to_owned()).or_default().add(rest),
        }
    }

    /// Whether this field is wanted.
    pub fn want(&self, field: &str) -> bool {
        self.every.is_some() || self.named.is_empty() || self.named.contains_key(field)
    }

    /// The wanted part of an entry. What an entry names, it names by its id unless more was asked for.
    pub fn of(&self, entry: &Value) -> Value {
        let Value::Object(map) = entry else {
            return entry.clone();
        };
        let everything = self.named.is_empty() && self.every.is_none();
        let part = |(name, value): (&String, &Value)| {
            let below = match (self.named.get(name), &self.every) {
                (Some(below), _) => below,
                (None, Some(below)) => below,
                (None, None) if everything => self,
                (None, None) => return None,
            };
            let shown = match RELATIONS.contains(&name.as_str()) {
                true => below.of_relation(value),
                false => value.clone(),
            };
            Some((name.clone(), shown))
        };
        Value::Object(map.iter().filter_map(part).collect::<Map<String, Value>>())
    }

    fn of_relation(&self, value: &Value) -> Value {
        let asked = !self.named.is_empty() || self.every.is_some();
        match value {
            Value::Object(map) => match map.get("id") {
                Some(id) if !asked => id.clone(),
                Some(_) => self.of(value),
                None => value.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.of_relation(item)).collect(),
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for_is_answered() {
        let entry = json!({
            "id": 1, "name": "Ann", "tags": ["a"], "more": {"id": "x"}, "none": null,
            "role": {"id": "r", "name": "admin"}, "revisions": [{"id": 7, "delta": {"a": 1}}],
        });
        let plain = json!({
            "id": 1, "name": "Ann", "tags": ["a"], "more": {"id": "x"}, "none": null, "role": "r", "revisions": [7],
        });
        for (words, expected) in [
            ("", plain.clone()),
            ("*", plain),
            ("id,name", json!({"id": 1, "name": "Ann"})),
            ("id,nonsense", json!({"id": 1})),
            ("role", json!({"role": "r"})),
            ("role.name", json!({"role": {"name": "admin"}})),
            ("role.*", json!({"role": {"id": "r", "name": "admin"}})),
            ("role,role.id", json!({"role": {"id": "r"}})),
            ("revisions.delta", json!({"revisions": [{"delta": {"a": 1}}]})),
            ("*.*", entry.clone()),
        ] {
            let words: Vec<&str> = words.split(',').filter(|word| !word.is_empty()).collect();
            assert_eq!(Fields::read(&words).unwrap().of(&entry), expected, "{words:?}");
        }
    }

    #[test]
    fn what_is_asked_for_is_known_beforehand() {
        let fields = |word: &str| Fields::read(&[word]).unwrap();
        assert!(Fields::default().want("token") && fields("*").want("token") && fields("token").want("token"));
        assert!(!fields("id").want("token"));
    }

    #[test]
    fn a_question_has_an_end() {
        assert!(Fields::read(&["id"; 1000]).is_err());
        assert!(Fields::read(&["a.".repeat(50).as_str()]).is_err());
    }
}
