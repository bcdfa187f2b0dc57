//! What only a dialect knows of a key, kept in the key's metadata: the member `dialect`, in it one member for each dialect.
//!
//! ```json
//! {"dialect": {"datalayer": {"variant": "user_token"}}}
//! ```
//!
//! A key's name and description are its name and description in every dialect; only what has no place in Keyholt's own
//! words comes here. Nothing here is ever used to judge.

use keyholt_core::text::{Metadata, TextError};
use serde_json::{Map, Value};

/// The reserved member.
pub const MEMBER: &str = "dialect";

/// What a dialect has noted.
pub fn read<'a>(metadata: &'a Metadata, dialect: &str) -> Option<&'a Map<String, Value>> {
    metadata.as_map().get(MEMBER)?.as_object()?.get(dialect)?.as_object()
}

/// One text that a dialect has noted.
pub fn text<'a>(metadata: &'a Metadata, dialect: &str, member: &str) -> Option<&'a str> {
    read(metadata, dialect)?.get(member)?.as_str()
}

/// The metadata with these notes in place of what the dialect had noted; everything else stays.
pub fn write(metadata: &Metadata, dialect: &str, notes: Map<String, Value>) -> Result<Metadata, TextError> {
    let mut whole = metadata.as_map().clone();
    let mut all = match whole.remove(MEMBER) {
        Some(Value::Object(all)) => all,
        _ => Map::new(),
    };
    all.insert(dialect.to_owned(), Value::Object(notes));
    whole.insert(MEMBER.to_owned(), Value::Object(all));
    Metadata::new(whole)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn a_dialect_s_notes_stand_beside_whatever_else_is_kept() {
        let metadata = Metadata::new(object(json!({"mine": 1, "dialect": {"other": {"a": 1}}}))).unwrap();
        let noted = write(&metadata, "datalayer", object(json!({"variant": "secret"}))).unwrap();
        assert_eq!(text(&noted, "datalayer", "variant"), Some("secret"));
        assert_eq!(
            Value::Object(noted.as_map().clone()),
            json!({"mine": 1, "dialect": {"other": {"a": 1}, "datalayer": {"variant": "secret"}}})
        );
        assert_eq!(text(&metadata, "datalayer", "variant"), None);
    }

    #[test]
    fn what_somebody_else_put_in_that_place_is_not_read_as_notes() {
        for odd in [json!({"dialect": 1}), json!({"dialect": {"datalayer": [1]}}), json!({})] {
            let metadata = Metadata::new(object(odd)).unwrap();
            assert_eq!(text(&metadata, "datalayer", "variant"), None);
            assert!(write(&metadata, "datalayer", Map::new()).is_ok());
        }
    }
}
