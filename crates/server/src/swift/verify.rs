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
use super::terse::Terse;
use crate::keeper::{Admitted, BATCH_MAX, Counting, Keeper, Question, Search, Sought, Verifier};

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

/// A question of the plainest spelling, whose key is being looked up.
pub struct Ahead<'a> {
    terse: Terse<'a>,
    search: Search<'a>,
    sought: Sought,
}

impl<'a> Ahead<'a> {
    /// Reads it.
    pub fn look(keeper: &'a Keeper, body: &'a [u8]) -> Option<Self> {
        let terse = Terse::one(body)?;
        let search = keeper.search();
        let sought = search.seek(terse.credential);
        Some(Self { terse, search, sought })
    }

    /// Asks for the key's row.
    pub fn go_on(&mut self) {
        self.search.approach(&mut self.sought);
    }
}

/// Answers one question.
pub(super) fn one(
    caller: &Caller<'_>,
    authorization: &[u8],
    ahead: Option<Ahead<'_>>,
    body: &[u8],
    meanwhile: impl FnOnce(),
    out: &mut Vec<u8>,
) -> Option<()> {
    let keeper = caller.keeper;
    let ahead = ahead.or_else(|| {
        let mut ahead = Ahead::look(keeper, body)?;
        ahead.go_on();
        Some(ahead)
    });
    // Held to the end: letting go of the index is an atomic write.
    let (question, _search, sought) = match ahead {
        Some(Ahead { terse, search, sought }) => (terse.question()?, search, sought),
        None => {
            let body: Body<'_> = serde_json::from_slice(body).ok()?;
            let search = keeper.search();
            let mut sought = search.seek(body.credential);
            let question = body.question()?;
            search.approach(&mut sought);
            (question, search, sought)
        }
    };
    meanwhile();
    // Last, because it counts as a use of the caller's key: nothing after it may take the long way for a fault of the body.
    let admitted = caller.admitted(authorization)?;
    keeper.judge_sought(&admitted, &question, sought, |answer| answer.write_json(None, out));
    Some(())
}

/// Answers many.
pub(super) fn many(caller: &Caller<'_>, authorization: &[u8], body: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let questions = Terse::many(body).or_else(|| {
        let body: BatchBody<'_> = serde_json::from_slice(body).ok()?;
        let few = body.items.len() <= BATCH_MAX;
        few.then(|| body.items.iter().map(Body::question).collect::<Option<_>>())?
    })?;
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
pub(super) struct Body<'a> {
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
pub(super) struct BatchBody<'a> {
    #[serde(borrow)]
    pub(super) items: Vec<Body<'a>>,
}

impl<'a> Body<'a> {
    /// The question, or nothing if anything about it is odd.
    pub(super) fn question(&self) -> Option<Question<'a>> {
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
