//! The short way for `POST /v1/verify` and its batch: the same answers as the long way, without its detours.
//!
//! It takes only requests that are beyond doubt: one Bearer credential, plain JSON that needs no unescaping, a caller
//! that may verify. Whatever is odd, wrong or wants more is left to the long way, which therefore has all the rules
//! about errors, and this has none.

use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;

use keyholt_core::scope::Wanted;
use keyholt_core::verify::{ASK_SCOPES_MAX, Ask, Needed};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use zeroize::Zeroizing;

use crate::http::BodyLimits;
use crate::keeper::{Admitted, BATCH_MAX, Counting, Keeper, Question, Verifier};

/// Where one question is asked.
pub const SINGLE: &str = "/v1/verify";
/// Where many are.
pub const BATCH: &str = "/v1/verify/batch";
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

/// A request that may take the short way.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    target: &'static str,
    authorization: &'a [u8],
}

impl<'a> Asked<'a> {
    /// Looks at the head of a `POST`; nothing where the long way must be taken.
    pub fn read(target: &str, headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let target = [SINGLE, BATCH].into_iter().find(|known| *known == target)?;
        let (mut authorization, mut kind) = (None, None);
        for (name, value) in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let first = match name.len() {
                9 => !is("x-api-key"),
                12 if is("content-type") => kind.replace(value).is_none(),
                12 => !is("x-request-id"),
                13 if is("authorization") => authorization.replace(value).is_none(),
                16 => !is("content-encoding"),
                _ => true,
            };
            if !first {
                return None;
            }
        }
        let authorization = authorization.filter(|_| kind == Some(b"application/json"))?;
        Some(Self { target, authorization })
    }

    /// Most bytes of its body; the long way refuses more.
    pub fn body_bytes_max(&self, limits: &BodyLimits) -> usize {
        if self.target == SINGLE {
            limits.ordinary
        } else {
            limits.batch
        }
    }

    /// Writes the answer to `out`, or nothing where the long way must be taken.
    pub fn answer(&self, keeper: &Keeper, memo: &Memo, address: IpAddr, body: &[u8], out: &mut Vec<u8>) -> Option<()> {
        // The caller comes last, because that counts as a use of its key: nothing after it may take the long way for a
        // fault of the body.
        if self.target == SINGLE {
            let question = Body::terse(body)
                .or_else(|| serde_json::from_slice(body).ok())?
                .question()?;
            let sought = keeper.seek(&question);
            let admitted = self.admitted(keeper, memo, address)?;
            keeper.judge_sought(&admitted, &question, sought, |answer| answer.write_json(None, out));
            return Some(());
        }
        let body: BatchBody<'_> = serde_json::from_slice(body).ok()?;
        if body.items.len() > BATCH_MAX {
            return None;
        }
        let questions: Vec<Question<'_>> = body.items.iter().map(Body::question).collect::<Option<_>>()?;
        let admitted = self.admitted(keeper, memo, address)?;
        out.extend_from_slice(br#"{"results":["#);
        keeper.judge_all_for(&admitted, &questions, |place, answer| {
            if place > 0 {
                out.push(b',');
            }
            answer.write_json(None, out);
        });
        out.extend_from_slice(b"]}");
        Some(())
    }

    fn admitted(&self, keeper: &Keeper, memo: &Memo, address: IpAddr) -> Option<Admitted> {
        let mut memo = memo.0.borrow_mut();
        if let Some(known) = memo.as_ref()
            && known.authorization.as_slice() == self.authorization
            && known.address == address
            && let Ok(admitted) = keeper.admit(&known.verifier)
        {
            return Some(admitted);
        }
        let secret = std::str::from_utf8(self.authorization.strip_prefix(b"Bearer ")?).ok()?;
        let verifier = keeper.verifier(secret, Some(address)).ok()?;
        let admitted = keeper.admit(&verifier).ok()?;
        *memo = Some(Remembered {
            authorization: Zeroizing::new(self.authorization.to_vec()),
            address,
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

impl<'a> Body<'a> {
    /// Reads the spelling that most clients send: a credential, one scope or none, no spaces, nothing to unescape. It says
    /// what any reader of JSON says of it; for these few, in a third of the time.
    fn terse(json: &'a [u8]) -> Option<Self> {
        let (credential, rest) = terse_text(json.strip_prefix(br#"{"credential":""#)?)?;
        let scopes = if rest == b"}" {
            Scopes::Absent
        } else {
            let (scope, rest) = terse_text(rest.strip_prefix(br#","scopes":[""#)?)?;
            (rest == b"]}").then_some(Scopes::One(scope))?
        };
        Some(Self {
            credential,
            scopes,
            any_scopes: None,
            audience: None,
            environment: None,
            client_address: None,
            origin: None,
        })
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
        let body = body?;
        let scopes = match body.scopes {
            Scopes::Absent => Vec::new(),
            Scopes::One(scope) => vec![scope.to_owned()],
            Scopes::Many(scopes) => scopes.into_iter().map(str::to_owned).collect(),
        };
        Some((body.credential.to_owned(), scopes))
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
