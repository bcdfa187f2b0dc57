//! Signing keys: which one signs, which are published, which are believed, and when the next one is due.
//!
//! ```text
//!   made ──── published ahead ──── signs ──────── the next one signs ──── kept for its last tokens ──── retired
//!   created_at                  signs_from                             KEPT_AFTER                    retires_at
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::actor::{Permit, Source, WriteProject};
use crate::audit::{Event, Noun, Outcome, Target};
use crate::commit::{Change, Commit, Record, Revision};
use crate::id::{ProjectId, SigningKeyId};
use crate::project::TokenPolicy;
use crate::text::Cause;
use crate::time::{Moment, Span};

/// How long verifiers may keep a key set, and so how long a key is published before it signs, unless the operator says so.
pub const PUBLISHED_AHEAD: Span = Span::secs(600);
/// How long a key is believed after the next one signs: the longest life of anything signed with it, and some for slow clocks.
pub const KEPT_AFTER: Span = Span::secs(3_600 + 300);
/// Most signing keys of a project that are neither retired nor withdrawn.
pub const SIGNING_KEYS_MAX: usize = 16;

/// How tokens are signed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: what every verifier knows.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSA 2048 with SHA-256, for gateways that know nothing else.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// The word for it in headers and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// The algorithm that this word names, letter by letter.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == word)
    }
}

/// A key that signs access tokens of one project.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Its record's id.
    pub id: SigningKeyId,
    /// Its project.
    pub project: ProjectId,
    /// Its place in the project's row of keys, counted from 1: of two that are made at once, one has it.
    pub place: String,
    /// The RFC 7638 thumbprint of its public half, by which verifiers know it.
    pub kid: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The public half, as members of a JWK.
    pub public: BTreeMap<String, String>,
    /// The private half, encrypted under the master key; empty once nothing is signed with it any more.
    pub sealed: String,
    /// When it was made.
    pub created_at: Moment,
    /// From when on it signs.
    pub signs_from: Moment,
    /// When it is neither published nor believed any more; `None` while no other key follows it.
    pub retires_at: Option<Moment>,
    /// When it was withdrawn in an emergency.
    pub withdrawn_at: Option<Moment>,
    /// How often the record was changed.
    pub revision: Revision,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("project", &self.project)
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Where a signing key stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Published, and signs later.
    Next,
    /// It could sign: its time has come, and it has not retired.
    Live,
    /// Its time is over.
    Retired,
    /// Somebody withdrew it.
    Withdrawn,
}

impl SigningKey {
    /// Where it stands now.
    pub fn phase(&self, now: Moment) -> Phase {
        if self.withdrawn_at.is_some() {
            Phase::Withdrawn
        } else if self.retires_at.is_some_and(|at| now >= at) {
            Phase::Retired
        } else if now < self.signs_from {
            Phase::Next
        } else {
            Phase::Live
        }
    }

    /// Whether it is published, and what is signed with it believed. A key that is published ahead is believed already.
    pub fn is_believed(&self, now: Moment) -> bool {
        matches!(self.phase(now), Phase::Next | Phase::Live)
    }

    /// What the audit trail may show of it: all but the private half.
    pub fn view(&self) -> Value {
        json!({
            "id": self.id,
            "kid": self.kid,
            "algorithm": self.algorithm,
            "created_at": self.created_at,
            "signs_from": self.signs_from,
            "retires_at": self.retires_at,
            "withdrawn_at": self.withdrawn_at,
            "revision": self.revision,
        })
    }
}

/// The key that signs now: of those whose time has come, the one whose time came last.
pub fn signer<'a>(keys: impl IntoIterator<Item = &'a SigningKey>, now: Moment) -> Option<&'a SigningKey> {
    keys.into_iter()
        .filter(|key| key.phase(now) == Phase::Live)
        .max_by_key(|key| (key.signs_from, place(key)))
}

fn place(key: &SigningKey) -> u64 {
    key.place.parse().unwrap_or(0)
}

/// The newest key that is not withdrawn or retired, whether it signs yet or not.
fn newest(keys: &[SigningKey], now: Moment) -> Option<&SigningKey> {
    keys.iter()
        .filter(|key| key.is_believed(now))
        .max_by_key(|key| (key.signs_from, place(key)))
}

/// Whether another key should be made now: there is none, its time is nearly over, or it signs in another way than the
/// project wants.
pub fn is_due(keys: &[SigningKey], policy: &TokenPolicy, ahead: Span, now: Moment) -> bool {
    match newest(keys, now) {
        None => true,
        // One is on its way. Where the one before it was withdrawn meanwhile, nothing would sign until then.
        Some(key) if key.signs_from > now => signer(keys, now).is_none(),
        Some(key) => key.algorithm != policy.algorithm || now.plus(ahead) >= key.signs_from.plus(policy.rotation),
    }
}

/// A fresh pair of keys, its private half encrypted already.
#[derive(Clone)]
pub struct FreshPair {
    /// Its record's id.
    pub id: SigningKeyId,
    /// The thumbprint.
    pub kid: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The public half.
    pub public: BTreeMap<String, String>,
    /// The private half, encrypted.
    pub sealed: String,
}

/// Puts a fresh key after those that are there.
///
/// Where nothing signs, it signs at once: there is nobody to wait for. Else it is published first, so that no verifier
/// meets a token whose key it has not heard of.
fn succession(
    project: ProjectId,
    keys: &[SigningKey],
    fresh: FreshPair,
    ahead: Span,
    now: Moment,
) -> (SigningKey, Vec<Change>) {
    let signs_from = match signer(keys, now) {
        None => now,
        Some(_) => now.plus(ahead),
    };
    let last = keys.iter().map(place).max().unwrap_or(0);
    let key = SigningKey {
        id: fresh.id,
        project,
        place: (last + 1).to_string(),
        kid: fresh.kid,
        algorithm: fresh.algorithm,
        public: fresh.public,
        sealed: fresh.sealed,
        created_at: now,
        signs_from,
        retires_at: None,
        withdrawn_at: None,
        revision: Revision::FIRST,
    };
    let followed = keys
        .iter()
        .filter(|old| old.is_believed(now) && old.retires_at.is_none())
        .map(|old| {
            let mut old = old.clone();
            let expected = old.revision;
            old.retires_at = Some(signs_from.plus(KEPT_AFTER));
            old.revision = expected.next();
            Change::Replace {
                record: Record::SigningKey(Box::new(old)),
                expected,
            }
        })
        .collect();
    (key, followed)
}

/// Makes the next key because it is due.
pub fn follow_schedule(
    project: ProjectId,
    keys: &[SigningKey],
    fresh: FreshPair,
    ahead: Span,
    source: Source,
    now: Moment,
) -> (SigningKey, Commit) {
    let (key, followed) = succession(project, keys, fresh, ahead, now);
    let mut changes = vec![Change::Insert(Record::SigningKey(Box::new(key.clone())))];
    changes.extend(followed);
    let event = own_event("signing_key.rotate", &key, source, now);
    (key, Commit::by_itself(event, changes))
}

/// Makes the next key because somebody wants it.
pub fn rotate(
    permit: &Permit<WriteProject>,
    keys: &[SigningKey],
    fresh: FreshPair,
    ahead: Span,
    cause: Option<Cause>,
    now: Moment,
) -> (SigningKey, Commit) {
    let (key, followed) = succession(permit.project(), keys, fresh, ahead, now);
    let made = Change::Insert(Record::SigningKey(Box::new(key.clone())));
    let commit = Commit::by(permit, "signing_key.rotate", None, made, cause, now);
    (key, followed.into_iter().fold(commit, Commit::with))
}

/// Withdraws a key in an emergency: from now on nothing signed with it is believed here. One that was withdrawn stays as it is.
pub fn withdraw(
    permit: &Permit<WriteProject>,
    key: &SigningKey,
    cause: Cause,
    now: Moment,
) -> Option<(SigningKey, Commit)> {
    if key.withdrawn_at.is_some() {
        return None;
    }
    let mut withdrawn = key.clone();
    withdrawn.withdrawn_at = Some(now);
    // What may be in the wrong hands is not kept in ours.
    withdrawn.sealed = String::new();
    withdrawn.revision = key.revision.next();
    let change = Change::Replace {
        record: Record::SigningKey(Box::new(withdrawn.clone())),
        expected: key.revision,
    };
    let before = Record::SigningKey(Box::new(key.clone()));
    let commit = Commit::by(permit, "signing_key.withdraw", Some(&before), change, Some(cause), now);
    Some((withdrawn, commit))
}

/// Takes away the private half of a key that will sign nothing any more. `None` where there is nothing to take.
pub fn retire(key: &SigningKey, source: Source, now: Moment) -> Option<Commit> {
    if key.phase(now) != Phase::Retired || key.sealed.is_empty() {
        return None;
    }
    let mut retired = key.clone();
    retired.sealed = String::new();
    retired.revision = key.revision.next();
    let event = own_event("signing_key.retire", key, source, now);
    let change = Change::Replace {
        record: Record::SigningKey(Box::new(retired)),
        expected: key.revision,
    };
    Some(Commit::by_itself(event, vec![change]))
}

fn own_event(action: &str, key: &SigningKey, source: Source, now: Moment) -> Event {
    Event {
        project: key.project,
        at: now,
        action: action.to_owned(),
        outcome: Outcome::Done,
        actor: None,
        target: Target {
            noun: Noun::SigningKey,
            id: Some(key.id.uuid()),
        },
        owner: None,
        cause: None,
        source,
        before: None,
        after: Some(key.view()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SYSTEM;
    use crate::text::RequestKey;

    fn fresh(name: &str, algorithm: Algorithm) -> FreshPair {
        FreshPair {
            id: SigningKeyId::from_uuid(uuid::Uuid::nil()),
            kid: name.to_owned(),
            algorithm,
            public: BTreeMap::new(),
            sealed: "sealed".to_owned(),
        }
    }

    fn source() -> Source {
        Source {
            address: None,
            request: RequestKey::new("test").unwrap(),
        }
    }

    /// The keys after a scheduled rotation at an instant.
    fn turn(keys: &[SigningKey], name: &str, algorithm: Algorithm, now: Moment) -> Vec<SigningKey> {
        let (_, commit) = follow_schedule(SYSTEM, keys, fresh(name, algorithm), PUBLISHED_AHEAD, source(), now);
        let mut after = keys.to_vec();
        for change in commit.changes() {
            let Record::SigningKey(key) = change.record() else {
                panic!("a signing key")
            };
            after.retain(|old| old.kid != key.kid);
            after.push((**key).clone());
        }
        after
    }

    fn kids(keys: &[SigningKey], now: Moment) -> (Option<&str>, Vec<&str>) {
        let mut believed: Vec<_> = keys
            .iter()
            .filter(|key| key.is_believed(now))
            .map(|key| key.kid.as_str())
            .collect();
        believed.sort_unstable();
        (signer(keys, now).map(|key| key.kid.as_str()), believed)
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_kept_after() {
        let policy = TokenPolicy::default();
        let start = Moment::from_ms(1_000_000_000);
        assert!(
            is_due(&[], &policy, PUBLISHED_AHEAD, start),
            "the first key is due when there is none"
        );
        let keys = turn(&[], "a", Algorithm::Es256, start);
        assert_eq!(
            kids(&keys, start),
            (Some("a"), vec!["a"]),
            "the first key signs at once"
        );
        assert!(!is_due(&keys, &policy, PUBLISHED_AHEAD, start));

        let turning = start.plus(policy.rotation).minus(PUBLISHED_AHEAD);
        assert!(!is_due(&keys, &policy, PUBLISHED_AHEAD, turning.minus(Span::millis(1))));
        assert!(is_due(&keys, &policy, PUBLISHED_AHEAD, turning));
        let keys = turn(&keys, "b", Algorithm::Es256, turning);
        assert!(!is_due(&keys, &policy, PUBLISHED_AHEAD, turning), "one is on its way");
        assert_eq!(
            kids(&keys, turning),
            (Some("a"), vec!["a", "b"]),
            "published, not signing"
        );
        let change = turning.plus(PUBLISHED_AHEAD);
        assert_eq!(kids(&keys, change.minus(Span::millis(1))).0, Some("a"));
        assert_eq!(kids(&keys, change), (Some("b"), vec!["a", "b"]));
        let end = change.plus(KEPT_AFTER);
        assert_eq!(kids(&keys, end.minus(Span::millis(1))).1, ["a", "b"]);
        assert_eq!(kids(&keys, end), (Some("b"), vec!["b"]), "retired at its instant");
    }

    #[test]
    fn another_algorithm_is_reason_enough_for_another_key() {
        let start = Moment::from_ms(1_000_000_000);
        let keys = turn(&[], "a", Algorithm::Es256, start);
        let policy = TokenPolicy {
            algorithm: Algorithm::EdDsa,
            ..TokenPolicy::default()
        };
        assert!(is_due(&keys, &policy, PUBLISHED_AHEAD, start));
    }

    #[test]
    fn where_the_signer_was_withdrawn_the_next_one_signs_at_once() {
        let start = Moment::from_ms(1_000_000_000);
        let mut keys = turn(&[], "a", Algorithm::Es256, start);
        keys[0].withdrawn_at = Some(start);
        assert_eq!(kids(&keys, start), (None, vec![]));
        assert!(is_due(&keys, &TokenPolicy::default(), PUBLISHED_AHEAD, start));
        let keys = turn(&keys, "b", Algorithm::Es256, start);
        assert_eq!(kids(&keys, start), (Some("b"), vec!["b"]));
        assert_eq!(keys.iter().find(|key| key.kid == "b").unwrap().place, "2");
    }
}
