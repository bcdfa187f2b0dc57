//! The short way for verify and its batch: plain JSON that needs no unescaping, from a caller with a Bearer credential.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;

use keyholt_core::scope::Wanted;
use keyholt_core::verify::{ASK_SCOPES_MAX, Ask, Needed};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::Caller;
use crate::keeper::{Admitted, BATCH_MAX, Counting, Question, Verifier};

/// About so long is a terse question.
const TERSE_BYTES: usize = 64;
/// About so long is an answer.
const ANSWER_BYTES: usize = 384;
/// Longest audience, environment or origin in a question.
const ASKED_BYTES_MAX: usize = 256;

/// Who the caller on one connection was last; asked anew each time whether it still may.
#[derive(Default)]
pub struct Memo(RefCell<Option<Remembered>>);

struct Remembered {
    authorization: Zeroizing<Vec<u8>>,
    address: IpAddr,
    verifier: Verifier,
}

/// Answers one question.
///
/// The caller is admitted last, because that counts as a use of its key: nothing after it may take the long way for a fault of
/// the body.
pub(super) fn one(caller: &Caller<'_>, body: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let authorization = caller.authorization?;
    let keeper = caller.keeper;
    let body = Body::terse(body).or_else(|| serde_json::from_slice(body).ok())?;
    // Whatever waits for memory is asked for before something that does not.
    let sought = keeper.seek(body.credential);
    let question = body.question()?;
    keeper.approach(&sought);
    let admitted = caller.admitted(authorization)?;
    keeper.judge_sought(&admitted, &question, sought, |answer| answer.write_json(None, out));
    Some(())
}

/// Answers many.
pub(super) fn many(caller: &Caller<'_>, body: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let authorization = caller.authorization?;
    let body = BatchBody::terse(body).or_else(|| serde_json::from_slice(body).ok())?;
    if body.items.len() > BATCH_MAX {
        return None;
    }
    let questions: Vec<Question<'_>> = body.items.iter().map(Body::question).collect::<Option<_>>()?;
    let admitted = caller.admitted(authorization)?;
    out.reserve(ANSWER_BYTES * questions.len());
    out.extend_from_slice(br#"{"results":["#);
    caller.keeper.judge_all_for(&admitted, &questions, |place, answer| {
        if place > 0 {
            out.push(b',');
        }
        answer.write_json(None, out);
    });
    out.extend_from_slice(b"]}");
    Some(())
}

impl Caller<'_> {
    fn admitted(&self, authorization: &[u8]) -> Option<Admitted> {
        let mut memo = self.memo.0.borrow_mut();
        if let Some(known) = memo.as_ref()
            && known.authorization.as_slice() == authorization
            && known.address == self.address
            && let Ok(admitted) = self.keeper.admit(&known.verifier)
        {
            return Some(admitted);
        }
        let secret = std::str::from_utf8(authorization.strip_prefix(b"Bearer ")?).ok()?;
        let verifier = self.keeper.verifier(secret, Some(self.address)).ok()?;
        let admitted = self.keeper.admit(&verifier).ok()?;
        *memo = Some(Remembered {
            authorization: Zeroizing::new(authorization.to_vec()),
            address: self.address,
            verifier,
        });
        Some(admitted)
    }
}

/// A question in the form that needs no unescaping.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    credential: &'a str,
    #[serde(borrow, default)]
    scopes: Scopes<'a>,
    #[serde(borrow, default)]
    any_scopes: Option<Vec<&'a str>>,
    #[serde(default)]
    audience: Option<&'a str>,
    #[serde(default)]
    environment: Option<&'a str>,
    #[serde(default)]
    client_address: Option<&'a str>,
    #[serde(default)]
    origin: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchBody<'a> {
    #[serde(borrow)]
    items: Vec<Body<'a>>,
}

impl<'a> BatchBody<'a> {
    /// Reads as many terse questions as a batch may have, or nothing.
    fn terse(json: &'a [u8]) -> Option<Self> {
        let mut rest = json.strip_prefix(br#"{"items":["#)?;
        let mut items = Vec::with_capacity(json.len() / TERSE_BYTES);
        while items.len() < BATCH_MAX {
            let (item, behind) = Body::terse_item(rest)?;
            items.push(item);
            match behind.split_first()? {
                (b',', next) => rest = next,
                _ => return (behind == b"]}").then_some(Self { items }),
            }
        }
        None
    }
}

impl<'a> Body<'a> {
    /// Reads the spelling that most clients send: a credential, one scope or none, no spaces, nothing to unescape. It says
    /// what any reader of JSON says of it; for these few, in a third of the time.
    fn terse(json: &'a [u8]) -> Option<Self> {
        Self::terse_item(json).and_then(|(body, rest)| rest.is_empty().then_some(body))
    }

    /// Reads one, and tells what is behind it.
    fn terse_item(json: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (credential, rest) = terse_text(json.strip_prefix(br#"{"credential":""#)?)?;
        let (scopes, rest) = match rest.strip_prefix(b"}") {
            Some(rest) => (Scopes::Absent, rest),
            None => {
                let (scope, rest) = terse_text(rest.strip_prefix(br#","scopes":[""#)?)?;
                (Scopes::One(scope), rest.strip_prefix(b"]}")?)
            }
        };
        let body = Self {
            credential,
            scopes,
            any_scopes: None,
            audience: None,
            environment: None,
            client_address: None,
            origin: None,
        };
        Some((body, rest))
    }

    /// The question, or nothing if anything about it is odd.
    fn question(&self) -> Option<Question<'a>> {
        let scopes = match (&self.scopes, &self.any_scopes) {
            (Scopes::Absent, None) => Needed::Nothing,
            (Scopes::One(scope), None) => Needed::One(Wanted::parse(scope).ok()?),
            (Scopes::Many(scopes), None) => Needed::AllOf(wanted(scopes)?),
            (Scopes::Absent, Some(scopes)) if !scopes.is_empty() => Needed::AnyOf(wanted(scopes)?),
            (_, Some(_)) => return None,
        };
        let short = |text: Option<&str>| text.is_none_or(|text| text.len() <= ASKED_BYTES_MAX);
        if !(short(self.audience) && short(self.environment) && short(self.origin)) {
            return None;
        }
        let client = match self.client_address {
            None => None,
            Some(text) => Some(text.parse().ok()?),
        };
        let ask = Ask {
            scopes,
            audience: self.audience,
            environment: self.environment,
            address: client,
            origin: self.origin,
        };
        Some(Question {
            credential: self.credential,
            ask,
            counting: Counting::Counted,
        })
    }
}

/// The text before a quotation mark and what is behind it, if the text is printable ASCII without an escape.
fn terse_text(json: &[u8]) -> Option<(&str, &[u8])> {
    let (text, rest) = json.split_at_checked(memchr::memchr(b'"', json)?)?;
    let is_plain = |byte: &u8| (b' '..=b'~').contains(byte) & (*byte != b'\\');
    let plain = text.iter().fold(true, |plain, byte| plain & is_plain(byte));
    Some((std::str::from_utf8(text).ok().filter(|_| plain)?, rest.get(1..)?))
}

fn wanted<'a>(scopes: &[&'a str]) -> Option<Vec<Wanted<'a>>> {
    if scopes.len() > ASK_SCOPES_MAX {
        return None;
    }
    scopes.iter().map(|scope| Wanted::parse(scope).ok()).collect()
}

/// Scopes as they are asked for; one alone, which is what nearly everybody asks for, needs no allocation.
#[derive(Default)]
enum Scopes<'a> {
    #[default]
    Absent,
    One(&'a str),
    Many(Vec<&'a str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Scopes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seen;
        impl<'de> Visitor<'de> for Seen {
            type Value = Scopes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of scopes")
            }

            fn visit_unit<E>(self) -> Result<Scopes<'de>, E> {
                Ok(Scopes::Absent)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Scopes<'de>, A::Error> {
                let Some(first) = list.next_element()? else {
                    return Ok(Scopes::Many(Vec::new()));
                };
                let Some(second) = list.next_element()? else {
                    return Ok(Scopes::One(first));
                };
                let mut all = vec![first, second];
                while all.len() <= ASK_SCOPES_MAX
                    && let Some(scope) = list.next_element()?
                {
                    all.push(scope);
                }
                // What is beyond the limit is passed over; that there is too much is said on the long way.
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scopes::Many(all))
            }
        }
        deserializer.deserialize_any(Seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: Option<Body<'_>>) -> Option<(String, Vec<String>)> {
        body.map(told_of)
    }

    fn told_of(body: Body<'_>) -> (String, Vec<String>) {
        let scopes = match body.scopes {
            Scopes::Absent => Vec::new(),
            Scopes::One(scope) => vec![scope.to_owned()],
            Scopes::Many(scopes) => scopes.into_iter().map(str::to_owned).collect(),
        };
        (body.credential.to_owned(), scopes)
    }

    #[test]
    fn the_terse_spelling_means_what_json_means() {
        for json in [
            r#"{"credential":"acme_1"}"#,
            r#"{"credential":"","scopes":[""]}"#,
            r#"{"credential":"a b~{}[]:,","scopes":["orders:read@a/b"]}"#,
        ] {
            let terse = told(Body::terse(json.as_bytes()));
            assert!(terse.is_some(), "{json}");
            assert_eq!(terse, told(serde_json::from_str(json).ok()), "{json}");
        }
    }

    #[test]
    fn a_terse_batch_means_what_json_means() {
        let (one, two) = (
            r#"{"credential":"acme_1"}"#,
            r#"{"credential":"acme_2","scopes":["orders:read"]}"#,
        );
        let terse = |json: &str| {
            Some(
                BatchBody::terse(json.as_bytes())?
                    .items
                    .into_iter()
                    .map(told_of)
                    .collect::<Vec<_>>(),
            )
        };
        let slow = |json: &str| {
            serde_json::from_str::<BatchBody<'_>>(json)
                .ok()
                .map(|body| body.items.into_iter().map(told_of).collect::<Vec<_>>())
        };
        for items in [vec![one], vec![two], vec![one, two, one], vec![two; BATCH_MAX]] {
            let json = format!(r#"{{"items":[{}]}}"#, items.join(","));
            assert_eq!(terse(&json).map(|told| told.len()), Some(items.len()));
            assert_eq!(terse(&json), slow(&json), "{json}");
            for end in (0..json.len()).rev().take(200) {
                assert_eq!(terse(&json[..end]), None, "{end} bytes of {json}");
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
            format!(r#"{{"items":[{many}]}}"#),
        ] {
            assert_eq!(terse(&other), None, "{other}");
        }
    }

    #[test]
    fn whatever_is_spelt_otherwise_is_left_to_the_reader_of_json() {
        let json = r#"{"credential":"acme_1","scopes":["orders:read"]}"#;
        for end in 0..json.len() {
            assert!(Body::terse(&json.as_bytes()[..end]).is_none(), "{end} bytes");
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
            assert!(Body::terse(other.as_bytes()).is_none(), "{other}");
        }
    }
}
