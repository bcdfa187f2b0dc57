//! The form of a JSON text, checked as a whole before any member is read: depth, lengths, no member twice.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;

/// Most levels that a body may nest.
pub const DEPTH_MAX: usize = 32;
/// Most members of one object.
const MEMBERS_MAX: usize = 1000;

/// What is wrong with the form of a JSON text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FormError {
    /// Not JSON.
    Syntax {
        /// The line where it stops being JSON.
        line: usize,
        /// The column in that line.
        column: usize,
    },
    /// Not UTF-8.
    NotUtf8,
    /// Nothing at all.
    Empty,
    /// A value other than an object.
    NotAnObject,
    /// Nested too deeply.
    TooDeep,
    /// A list, or an object, with too many entries.
    TooLong {
        /// How many are allowed.
        most: usize,
    },
    /// A member that is there twice.
    Duplicate {
        /// Its name.
        member: String,
    },
}

/// Checks that a text is one JSON object within all limits, whose objects hold every member once.
///
/// serde alone would take the last of two members in metadata, which is free-form, and the parser next to us on the way
/// might have taken the first.
pub fn check(bytes: &[u8], list_max: usize) -> Result<(), FormError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(FormError::Empty);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| FormError::NotUtf8)?;
    let found = RefCell::new(None);
    let mut deserializer = Deserializer::from_str(text);
    let walk = Walk {
        depth: 0,
        list_max,
        found: &found,
    };
    let walked = walk.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match walked {
        Ok(()) => Ok(()),
        Err(error) => Err(found.into_inner().unwrap_or(FormError::Syntax {
            line: error.line(),
            column: error.column(),
        })),
    }
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    depth: usize,
    list_max: usize,
    /// What was found wrong, beside the parser's error, which cannot carry it.
    found: &'a RefCell<Option<FormError>>,
}

impl Walk<'_> {
    fn refuse<E: Error>(&self, found: FormError) -> E {
        self.found.replace(Some(found));
        E::custom("form")
    }

    fn scalar<E: Error>(self) -> Result<(), E> {
        if self.depth == 0 {
            Err(self.refuse(FormError::NotAnObject))
        } else {
            Ok(())
        }
    }

    fn inside<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(self.refuse(FormError::TooDeep));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.scalar()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.depth == 0 {
            return Err(self.refuse(FormError::NotAnObject));
        }
        let inside = self.inside()?;
        let mut entries = 0;
        while seq.next_element_seed(inside)?.is_some() {
            entries += 1;
            if entries > self.list_max {
                return Err(self.refuse(FormError::TooLong { most: self.list_max }));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inside = self.inside()?;
        let mut members = HashSet::new();
        while let Some(member) = map.next_key::<String>()? {
            if members.len() == MEMBERS_MAX {
                return Err(self.refuse(FormError::TooLong { most: MEMBERS_MAX }));
            }
            if members.contains(&member) {
                return Err(self.refuse(FormError::Duplicate { member }));
            }
            members.insert(member);
            map.next_value_seed(inside)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "{\"a\":".repeat(levels), "1".to_owned() + &"}".repeat(levels))
    }

    #[test]
    fn a_good_text_passes() {
        for text in [
            "{}",
            r#" {"a":[1,-0,1e308,"\ud83d\ude00",null,{"a":true}]} "#,
            &nested(DEPTH_MAX),
        ] {
            assert_eq!(check(text.as_bytes(), 1000), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_bad_text_is_refused_for_what_is_wrong_with_it() {
        let long = format!("{{\"a\":[{}0]}}", "0,".repeat(1000));
        let deep = format!("{{\"a\":{}", "[".repeat(100_000));
        let duplicate = FormError::Duplicate { member: "a".to_owned() };
        for (text, error) in [
            ("", FormError::Empty),
            (" \n", FormError::Empty),
            ("[]", FormError::NotAnObject),
            ("\"x\"", FormError::NotAnObject),
            ("null", FormError::NotAnObject),
            (&nested(DEPTH_MAX + 1), FormError::TooDeep),
            (&deep, FormError::TooDeep),
            (&long, FormError::TooLong { most: 1000 }),
            (r#"{"a":1,"a":2}"#, duplicate.clone()),
            (r#"{"a":1,"\u0061":2}"#, duplicate.clone()),
            (r#"{"b":{"c":[{"a":1,"a":1}]}}"#, duplicate),
        ] {
            assert_eq!(check(text.as_bytes(), 1000), Err(error), "{text:.60}");
        }
        for text in [
            "{",
            "{} {}",
            "{}x",
            "{\"a\":NaN}",
            "{\"a\":1e400}",
            "{'a':1}",
            "{\"a\":1,}",
            "\u{FEFF}{}",
            r#"{"a":"\ud800"}"#,
            r#"{"\udc00":1}"#,
            "{\"a\":\"\n\"}",
            "{\"a\":01}",
        ] {
            assert!(
                matches!(check(text.as_bytes(), 1000), Err(FormError::Syntax { .. })),
                "{text}"
            );
        }
        assert_eq!(check(b"{\"a\":\"\xff\"}", 1000), Err(FormError::NotUtf8));
    }
}
