//! The spelling of a question that most clients send: a credential, one scope or none, no spaces, nothing to unescape. It means
//! what any reader of JSON says that it means; for these few, in a third of the time.

use keyholt_core::scope::Wanted;
use keyholt_core::verify::{Ask, Needed};

use crate::keeper::{BATCH_MAX, Counting, Question};

/// About so long is a question.
const BYTES: usize = 64;

/// A question as it is spelt.
#[derive(Clone, Copy)]
pub(super) struct Terse<'a> {
    pub credential: &'a str,
    scope: Option<&'a str>,
}

impl<'a> Terse<'a> {
    /// Reads one.
    pub fn one(json: &'a [u8]) -> Option<Self> {
        Self::item(json).and_then(|(terse, rest)| rest.is_empty().then_some(terse))
    }

    /// Reads as many as a batch may have, or nothing. All of them tend to ask for the same scope.
    pub fn many(json: &'a [u8]) -> Option<Vec<Question<'a>>> {
        let mut rest = json.strip_prefix(br#"{"items":["#)?;
        let mut questions = Vec::with_capacity(json.len() / BYTES);
        let mut asked: Option<(&str, Wanted<'_>)> = None;
        while questions.len() < BATCH_MAX {
            let (terse, behind) = Self::item(rest)?;
            let question = match (terse.scope, asked) {
                (Some(scope), Some((before, wanted))) if scope == before => terse.asking(Needed::One(wanted)),
                _ => terse.question()?,
            };
            if let (Some(scope), Needed::One(wanted)) = (terse.scope, &question.ask.scopes) {
                asked = Some((scope, *wanted));
            }
            questions.push(question);
            match behind.split_first()? {
                (b',', next) => rest = next,
                _ => return (behind == b"]}").then_some(questions),
            }
        }
        None
    }

    /// The question, or nothing if its scope is none.
    pub fn question(self) -> Option<Question<'a>> {
        Some(self.asking(match self.scope {
            None => Needed::Nothing,
            Some(scope) => Needed::One(Wanted::parse(scope).ok()?),
        }))
    }

    fn asking(self, scopes: Needed<'a>) -> Question<'a> {
        Question {
            credential: self.credential,
            ask: Ask {
                scopes,
                ..Ask::default()
            },
            counting: Counting::Counted,
        }
    }

    /// Reads one, and tells what is behind it.
    fn item(json: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (credential, rest) = text(json.strip_prefix(br#"{"credential":""#)?)?;
        let (scope, rest) = match rest.strip_prefix(b"}") {
            Some(rest) => (None, rest),
            None => {
                let (scope, rest) = text(rest.strip_prefix(br#","scopes":[""#)?)?;
                (Some(scope), rest.strip_prefix(b"]}")?)
            }
        };
        Some((Self { credential, scope }, rest))
    }
}

/// The text before a quotation mark and what is behind it, if the text is printable ASCII without an escape.
fn text(json: &[u8]) -> Option<(&str, &[u8])> {
    let (text, rest) = json.split_at_checked(memchr::memchr(b'"', json)?)?;
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) & (*byte != b'\\');
    let plain = text.iter().fold(true, |plain, byte| plain & is_plain(byte));
    Some((std::str::from_utf8(text).ok().filter(|_| plain)?, rest.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::super::verify::{BatchBody, Body};
    use super::*;

    fn told(question: Question<'_>) -> String {
        format!("{question:?}")
    }

    fn terse(json: &str) -> Option<String> {
        Terse::one(json.as_bytes())?.question().map(told)
    }

    fn terse_batch(json: &str) -> Option<Vec<String>> {
        Some(Terse::many(json.as_bytes())?.into_iter().map(told).collect())
    }

    #[test]
    fn the_terse_spelling_means_what_json_means() {
        for json in [
            r#"{"credential":"acme_1"}"#,
            r#"{"credential":"","scopes":["orders:read"]}"#,
            r#"{"credential":"a b~{}[]:,","scopes":["orders:read@a/b"]}"#,
        ] {
            let whole: Body<'_> = serde_json::from_str(json).unwrap();
            assert!(terse(json).is_some(), "{json}");
            assert_eq!(terse(json), whole.question().map(told), "{json}");
        }
        let no_scope = r#"{"credential":"acme_1","scopes":[""]}"#;
        assert_eq!(terse(no_scope), None);
    }

    #[test]
    fn a_terse_batch_means_what_json_means() {
        let (one, two, three) = (
            r#"{"credential":"acme_1"}"#,
            r#"{"credential":"acme_2","scopes":["orders:read"]}"#,
            r#"{"credential":"acme_3","scopes":["orders:write"]}"#,
        );
        let slow = |json: &str| {
            let body: BatchBody<'_> = serde_json::from_str(json).ok()?;
            body.items
                .iter()
                .map(|item| item.question().map(told))
                .collect::<Option<Vec<_>>>()
        };
        for items in [
            vec![one],
            vec![two],
            vec![one, two, one, two, three, two, two],
            vec![two; BATCH_MAX],
        ] {
            let json = format!(r#"{{"items":[{}]}}"#, items.join(","));
            assert_eq!(terse_batch(&json).map(|told| told.len()), Some(items.len()));
            assert_eq!(terse_batch(&json), slow(&json), "{json}");
            for end in (0..json.len()).rev().take(200) {
                assert_eq!(terse_batch(&json[..end]), None, "{end} bytes of {json}");
            }
        }
        let many = vec![one; BATCH_MAX + 1].join(",");
        for other in [
            r#"{"items":[]}"#.to_owned(),
            format!(r#"{{"items":[{one},]}}"#),
            format!(r#"{{"items":[{one} ]}}"#),
            format!(r#"{{"items":[{one}{one}]}}"#),
            format!(r#"{{"items":[{one}]}}}}"#),
            format!(r#"{{"items":[{one}],"more":1}}"#),
            format!(r#"{{"items":[{two},{}]}}"#, two.replace("orders", "")),
            format!(r#"{{"items":[{many}]}}"#),
        ] {
            assert_eq!(terse_batch(&other), None, "{other}");
        }
    }

    #[test]
    fn whatever_is_spelt_otherwise_is_left_to_the_reader_of_json() {
        let json = r#"{"credential":"acme_1","scopes":["orders:read"]}"#;
        for end in 0..json.len() {
            assert!(Terse::one(&json.as_bytes()[..end]).is_none(), "{end} bytes");
        }
        for (from, to) in [
            ("acme", "\\u0061"),
            ("acme", "a\\\\"),
            ("acme", "\u{7f}"),
            ("acme", "\n"),
            ("acme", "é"),
            ("\":", "\": "),
            ("[", "[ "),
            ("\"]", "\",\"b\"]"),
            ("}", ",\"origin\":\"a\"}"),
            ("}", "} "),
            ("}", "}}"),
            ("credential", "scopes"),
        ] {
            let other = json.replacen(from, to, 1);
            assert!(Terse::one(other.as_bytes()).is_none(), "{other}");
        }
    }
}
