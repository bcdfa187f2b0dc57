//! Texts from outside, each with its limit: names, descriptions, slugs, tags, metadata.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::looks_like_id;
use crate::secret::{PUBLISHABLE_MARK, holds_secret};

/// Why a text is refused; says what is allowed, never repeats the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Shorter or longer than allowed.
    #[error("must have {least} to {most} characters")]
    Length {
        /// Fewest characters allowed.
        least: usize,
        /// Most characters allowed.
        most: usize,
    },
    /// Characters outside what this text may hold.
    #[error("may only hold {0}")]
    Characters(&'static str),
    /// A text that could be mistaken for an id.
    #[error("must not look like an id")]
    LooksLikeId,
    /// Somebody pasted a key where it would be kept and shown for ever.
    #[error("holds what looks like a secret; it was not stored")]
    LooksLikeSecret,
    /// Too much structure or volume.
    #[error("{0}")]
    Bulk(&'static str),
}

/// Holds emoji sequences together and moves nothing.
const JOINER: char = '\u{200D}';

/// Printable text: no control characters, none that end a line, and none that reorder or hide their neighbours on a screen.
pub(crate) fn is_plain(c: char) -> bool {
    let hides = matches!(c,
        '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}');
    !c.is_control() && (!hides || c == JOINER)
}

const PLAIN: &str = "printable characters on one line, without spaces at the ends";

fn plain_line(text: &str) -> Result<(), TextError> {
    // A joiner or a variation selector joins or varies something: at the beginning it is a name that nobody sees.
    let dangling = |c: char| c.is_whitespace() || c == JOINER;
    let bare = |c: char| dangling(c) || matches!(c, '\u{FE00}'..='\u{FE0F}');
    if text.starts_with(bare) || text.ends_with(dangling) || !text.chars().all(is_plain) {
        return Err(TextError::Characters(PLAIN));
    }
    Ok(())
}

fn plain_lines(text: &str) -> Result<(), TextError> {
    if text.chars().all(|c| is_plain(c) || c == '\n') {
        Ok(())
    } else {
        Err(TextError::Characters("printable characters and line feeds"))
    }
}

fn person_chosen(text: &str) -> Result<(), TextError> {
    plain_line(text)?;
    if looks_like_id(text) {
        Err(TextError::LooksLikeId)
    } else {
        Ok(())
    }
}

fn slug(text: &str) -> Result<(), TextError> {
    let shaped = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !text.ends_with('-');
    if !shaped {
        return Err(TextError::Characters(
            "lower-case letters, digits and hyphens, starting with a letter",
        ));
    }
    if looks_like_id(text) {
        Err(TextError::LooksLikeId)
    } else {
        Ok(())
    }
}

fn tag(text: &str) -> Result<(), TextError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.:/=-".contains(c);
    if text.chars().all(allowed) {
        Ok(())
    } else {
        Err(TextError::Characters("lower-case letters, digits and `_ . : / = -`"))
    }
}

fn label(text: &str) -> Result<(), TextError> {
    let shaped = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if shaped {
        Ok(())
    } else {
        Err(TextError::Characters(
            "lower-case letters and digits, starting with a letter",
        ))
    }
}

fn environment(text: &str) -> Result<(), TextError> {
    label(text)?;
    // SECURITY: in that place of a secret `pub` says that everybody may see it; a secret key must not look like that.
    if text == PUBLISHABLE_MARK {
        return Err(TextError::Characters(
            "another word than `pub`, which marks publishable keys",
        ));
    }
    Ok(())
}

fn email(text: &str) -> Result<(), TextError> {
    plain_line(text)?;
    let shaped = text.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && !host.is_empty() && !host.contains('@') && !text.contains(char::is_whitespace)
    });
    if shaped {
        Ok(())
    } else {
        Err(TextError::Characters("an e-mail address such as `ada@example.org`"))
    }
}

fn printable_ascii(text: &str) -> Result<(), TextError> {
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(TextError::Characters("printable ASCII without spaces"))
    }
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident($least:literal..=$most:literal, $check:expr);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Most characters allowed.
            pub const MOST: usize = $most;

            /// Checks and keeps a text.
            pub fn new(text: &str) -> Result<Self, TextError> {
                let length = text.chars().take($most + 1).count();
                if !($least..=$most).contains(&length) {
                    return Err(TextError::Length { least: $least, most: $most });
                }
                ($check)(text)?;
                if holds_secret(text) {
                    return Err(TextError::LooksLikeSecret);
                }
                Ok(Self(text.into()))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = TextError;

            fn try_from(text: String) -> Result<Self, TextError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0.into()
            }
        }
    )*};
}

texts! {
    /// What people call a key, user, team, service or project.
    Name(1..=64, plain_line);
    /// What something is for, in a few lines.
    Description(0..=1024, plain_lines);
    /// A project's or role's or service's handle in URLs and commands.
    Slug(1..=40, slug);
    /// How the relying product calls its user or team.
    ExternalId(1..=128, person_chosen);
    /// A person's e-mail address; only its shape is checked.
    Email(3..=254, email);
    /// A word to find keys by.
    Tag(1..=64, tag);
    /// Where a key is meant to be used, such as `live` or `test`; part of its prefix.
    Environment(1..=12, environment);
    /// Whom a token is meant for, usually the URL of an API (RFC 8707).
    Audience(1..=256, printable_ascii);
    /// Why somebody did what they did, kept in the audit trail.
    Cause(1..=256, plain_line);
    /// A caller's request id or an `Idempotency-Key`.
    RequestKey(1..=128, printable_ascii);
}

/// A web origin (RFC 6454): scheme, host and port, without a path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin(Box<str>);

impl Origin {
    /// Checks and keeps an origin such as `https://app.example.org`.
    pub fn new(text: &str) -> Result<Self, TextError> {
        const SHAPE: TextError =
            TextError::Characters("a web origin such as `https://app.example.org`, in lower case, without a path");
        let (scheme, host) = text.split_once("://").ok_or(SHAPE)?;
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.:[]".contains(c);
        if text.len() > 256 || !matches!(scheme, "http" | "https") || host.is_empty() || !host.chars().all(named) {
            return Err(SHAPE);
        }
        Ok(Self(text.into()))
    }

    /// The origin as browsers send it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Origin {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        Self::new(&text)
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.0.into()
    }
}

/// Free-form JSON that a project keeps with a key or an owner; never used to judge.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Metadata(Map<String, Value>);

/// Most bytes that metadata may take as JSON.
pub const METADATA_BYTES_MAX: usize = 4096;
/// Most levels that metadata may nest.
pub const METADATA_DEPTH_MAX: usize = 8;

impl Metadata {
    /// Checks and keeps a JSON object.
    pub fn new(map: Map<String, Value>) -> Result<Self, TextError> {
        fn check(value: &Value, depth: usize) -> Result<(), TextError> {
            if depth > METADATA_DEPTH_MAX {
                return Err(TextError::Bulk("may nest at most 8 levels"));
            }
            match value {
                Value::String(text) if holds_secret(text) => Err(TextError::LooksLikeSecret),
                Value::String(text) if text.contains('\0') => Err(TextError::Characters("text without NUL")),
                Value::Array(items) => items.iter().try_for_each(|item| check(item, depth + 1)),
                Value::Object(map) => map.iter().try_for_each(|(name, item)| {
                    if holds_secret(name) {
                        return Err(TextError::LooksLikeSecret);
                    }
                    if name.contains('\0') {
                        return Err(TextError::Characters("text without NUL"));
                    }
                    check(item, depth + 1)
                }),
                _ => Ok(()),
            }
        }
        let whole = Value::Object(map);
        check(&whole, 0)?;
        if whole.to_string().len() > METADATA_BYTES_MAX {
            return Err(TextError::Bulk("may take at most 4096 bytes as JSON"));
        }
        match whole {
            Value::Object(map) => Ok(Self(map)),
            _ => Ok(Self::default()),
        }
    }

    /// The JSON object.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<Map<String, Value>> for Metadata {
    type Error = TextError;

    fn try_from(map: Map<String, Value>) -> Result<Self, TextError> {
        Self::new(map)
    }
}

impl From<Metadata> for Map<String, Value> {
    fn from(metadata: Metadata) -> Self {
        metadata.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_shows_what_it_says() {
        assert!(Name::new("deploy 🧑‍🚀").is_ok());
        assert!(
            Name::new("=HYPERLINK(1)<script>").is_ok(),
            "stored as it is, encoded wherever it is shown"
        );
        for refused in [
            "",
            "   ",
            " a",
            "a\n",
            "a\u{202E}b",
            "a\0b",
            "\u{1b}[2J",
            &"x".repeat(65),
        ] {
            assert!(Name::new(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn an_external_id_cannot_stand_in_for_an_id() {
        assert_eq!(
            ExternalId::new("0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20"),
            Err(TextError::LooksLikeId)
        );
        assert!(ExternalId::new("u_42").is_ok());
    }

    #[test]
    fn metadata_is_bounded() {
        let mut deep = Value::Null;
        for _ in 0..20 {
            deep = serde_json::json!({ "a": deep });
        }
        let Value::Object(map) = deep else {
            unreachable!("built above")
        };
        assert!(Metadata::new(map).is_err());
        let wide = serde_json::json!({ "a": "x".repeat(5000) });
        let Value::Object(map) = wide else {
            unreachable!("built above")
        };
        assert!(Metadata::new(map).is_err());
    }
}
