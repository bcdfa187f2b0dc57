//! Stories of signing keys: one follows the other on schedule, at somebody's wish, or because one was lost.

use std::collections::BTreeMap;

use keyholt_core::actor::{Permit, Subject, WriteProject};
use keyholt_core::audit::{Event, Noun};
use keyholt_core::commit::{Change, Commit, Record, Revision};
use keyholt_core::id::{ProjectId, SigningKeyId};
use keyholt_core::project::{ROTATION_MAX, ROTATION_MIN, TOKEN_LIFETIME_MAX, TokenPolicy};
use keyholt_core::signing::{
    Algorithm, FreshPair, KEPT_AFTER, PUBLISHED_AHEAD, Phase, SigningKey, follow_schedule, is_due, retire, rotate,
    signer, withdraw,
};
use keyholt_core::time::{Moment, Span};
use keyholt_core::token::COMPONENT_LIFETIME_MAX;

use crate::support::{NEW_YEAR, World, cause, source};

/// A project and its signing keys.
struct Keys {
    world: World,
    leave: Permit<WriteProject>,
    keys: Vec<SigningKey>,
}

impl Keys {
    /// Whose first key, `a`, has just been made.
    fn new() -> Self {
        let mut world = World::new();
        let admin = world.admin();
        let leave = admin.permit(world.project.id, Subject::Project).unwrap();
        let mut keys = Self {
            world,
            leave,
            keys: Vec::new(),
        };
        keys.follow("a", NEW_YEAR);
        keys
    }

    fn fresh(&mut self, kid: &str) -> FreshPair {
        FreshPair {
            id: SigningKeyId::mint(NEW_YEAR, &mut self.world.entropy),
            kid: kid.to_owned(),
            algorithm: Algorithm::EdDsa,
            public: BTreeMap::from([("x".to_owned(), kid.to_owned())]),
            sealed: "encrypted".to_owned(),
        }
    }

    fn project(&self) -> ProjectId {
        self.world.project.id
    }

    fn follow(&mut self, kid: &str, now: Moment) -> (SigningKey, Commit) {
        let fresh = self.fresh(kid);
        let (key, commit) = follow_schedule(self.project(), &self.keys, fresh, PUBLISHED_AHEAD, source(), now);
        self.write(&commit);
        (key, commit)
    }

    fn rotate(&mut self, kid: &str, now: Moment) -> (SigningKey, Commit) {
        let fresh = self.fresh(kid);
        let why = Some(cause("yearly"));
        let (key, commit) = rotate(&self.leave, &self.keys, fresh, PUBLISHED_AHEAD, why, now);
        self.write(&commit);
        (key, commit)
    }

    /// Does what a store does, and sees that each change is based on what is there.
    fn write(&mut self, commit: &Commit) {
        for change in commit.changes() {
            let Record::SigningKey(key) = change.record() else {
                panic!("{change:?}")
            };
            let there = self.keys.iter().position(|old| old.id == key.id);
            match (change, there) {
                (Change::Insert(_), None) => self.keys.push((**key).clone()),
                (Change::Replace { expected, .. }, Some(at)) => {
                    assert_eq!(self.keys[at].revision, *expected);
                    assert_eq!(key.revision, expected.next());
                    self.keys[at] = (**key).clone();
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn named(&self, kid: &str) -> &SigningKey {
        self.keys.iter().find(|key| key.kid == kid).unwrap()
    }

    fn signer(&self, now: Moment) -> Option<&str> {
        signer(&self.keys, now).map(|key| key.kid.as_str())
    }

    fn is_due(&self, now: Moment) -> bool {
        let policy = TokenPolicy {
            algorithm: Algorithm::EdDsa,
            ..TokenPolicy::default()
        };
        is_due(&self.keys, &policy, PUBLISHED_AHEAD, now)
    }
}

fn about(event: &Event, key: &SigningKey, action: &str, now: Moment) {
    assert_eq!(
        (event.action.as_str(), event.at, event.project),
        (action, now, key.project)
    );
    assert_eq!(
        (event.target.noun, event.target.id),
        (Noun::SigningKey, Some(key.id.uuid()))
    );
    assert_eq!((event.owner, &event.source), (None, &source()));
}

#[test]
fn the_first_key_is_what_was_made_for_it_and_signs_at_once() {
    let mut keys = Keys::new();
    keys.keys.clear();
    let (key, commit) = keys.follow("first", NEW_YEAR);
    assert_eq!(
        (key.project, key.place.as_str(), key.kid.as_str()),
        (keys.project(), "1", "first")
    );
    assert_eq!((key.algorithm, key.sealed.as_str()), (Algorithm::EdDsa, "encrypted"));
    assert_eq!(key.public["x"], "first");
    assert_eq!((key.created_at, key.signs_from), (NEW_YEAR, NEW_YEAR));
    assert_eq!(
        (key.retires_at, key.withdrawn_at, key.revision),
        (None, None, Revision::FIRST)
    );
    about(commit.event(), &key, "signing_key.rotate", NEW_YEAR);
    assert_eq!((commit.event().actor, &commit.event().after), (None, &Some(key.view())));
    assert_eq!(keys.named("first"), &key);
}

#[test]
fn the_trail_shows_all_of_a_key_but_its_halves() {
    let keys = Keys::new();
    let key = keys.named("a");
    let view = key.view();
    assert_eq!((&view["kid"], &view["algorithm"]), (&"a".into(), &"EdDSA".into()));
    assert_eq!(
        (&view["signs_from"], &view["revision"]),
        (&"2030-01-01T00:00:00Z".into(), &1.into())
    );
    let shown = [view.to_string(), format!("{key:?}")];
    assert!(
        shown
            .iter()
            .all(|text| text.contains("EdDSA") || text.contains("EdDsa"))
    );
    assert!(shown.iter().all(|text| !text.contains("encrypted")), "{shown:?}");
}

#[test]
fn a_rotation_at_somebodys_wish_is_told_with_who_and_why() {
    let mut keys = Keys::new();
    let now = NEW_YEAR.plus(Span::days(1));
    let (key, commit) = keys.rotate("b", now);
    let change = now.plus(PUBLISHED_AHEAD);
    assert_eq!((key.place.as_str(), key.signs_from), ("2", change));
    let event = commit.event();
    about(event, &key, "signing_key.rotate", now);
    assert_eq!(event.actor, Some(keys.leave.actor().into()));
    assert_eq!(
        (&event.cause, &event.after),
        (&Some(cause("yearly")), &Some(key.view()))
    );
    assert_eq!(keys.named("a").retires_at, Some(change.plus(KEPT_AFTER)));
    assert_eq!((keys.signer(now), keys.signer(change)), (Some("a"), Some("b")));
}

#[test]
fn a_key_that_is_to_retire_already_is_not_kept_longer_by_the_next_rotation() {
    let mut keys = Keys::new();
    keys.rotate("b", NEW_YEAR);
    let end = keys.named("a").retires_at;
    let (_, commit) = keys.rotate("c", NEW_YEAR.plus(Span::secs(1)));
    assert_eq!(keys.named("a").retires_at, end);
    assert!(keys.named("b").retires_at > end);
    assert_eq!(commit.changes().len(), 2, "the new one, and the one before it");
    assert_eq!(keys.named("c").place, "3");
}

#[test]
fn of_two_keys_that_sign_from_the_same_instant_the_later_one_does() {
    let mut keys = Keys::new();
    for kid in ["b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        keys.rotate(kid, NEW_YEAR);
    }
    let change = NEW_YEAR.plus(PUBLISHED_AHEAD);
    assert_eq!(keys.named("j").place, "10");
    assert_eq!(keys.signer(change), Some("j"));
    keys.keys.reverse();
    assert_eq!(
        keys.signer(change),
        Some("j"),
        "whatever the order in which they are read"
    );
}

#[test]
fn a_key_goes_through_its_phases_at_their_instants() {
    let mut keys = Keys::new();
    keys.rotate("b", NEW_YEAR);
    keys.rotate("c", NEW_YEAR);
    let key = keys.named("b");
    let (signs, retires) = (key.signs_from, key.retires_at.unwrap());
    let before = |at: Moment| at.minus(Span::millis(1));
    for (now, phase, believed) in [
        (before(signs), Phase::Next, true),
        (signs, Phase::Live, true),
        (before(retires), Phase::Live, true),
        (retires, Phase::Retired, false),
    ] {
        assert_eq!((key.phase(now), key.is_believed(now)), (phase, believed), "at {now}");
        let withdrawn = SigningKey {
            withdrawn_at: Some(NEW_YEAR),
            ..key.clone()
        };
        assert_eq!(
            (withdrawn.phase(now), withdrawn.is_believed(now)),
            (Phase::Withdrawn, false)
        );
    }
}

#[test]
fn where_the_signer_is_withdrawn_while_the_next_one_waits_another_one_is_due() {
    let mut keys = Keys::new();
    keys.rotate("b", NEW_YEAR);
    assert!(!keys.is_due(NEW_YEAR), "one is on its way");
    let (_, commit) = withdraw(&keys.leave, keys.named("a"), cause("leaked"), NEW_YEAR).unwrap();
    keys.write(&commit);
    assert_eq!(keys.signer(NEW_YEAR), None);
    assert!(keys.is_due(NEW_YEAR), "nothing would sign until then");
    keys.follow("c", NEW_YEAR);
    assert_eq!(keys.signer(NEW_YEAR), Some("c"));
    assert!(!keys.is_due(NEW_YEAR));
}

#[test]
fn a_key_is_withdrawn_once_and_its_private_half_is_kept_nowhere() {
    let mut keys = Keys::new();
    let key = keys.named("a").clone();
    let now = NEW_YEAR.plus(Span::days(1));
    let (withdrawn, commit) = withdraw(&keys.leave, &key, cause("leaked"), now).unwrap();
    assert_eq!((withdrawn.withdrawn_at, withdrawn.sealed.as_str()), (Some(now), ""));
    keys.write(&commit);
    assert_eq!(keys.named("a"), &withdrawn);
    let event = commit.event();
    about(event, &key, "signing_key.withdraw", now);
    assert_eq!(
        (event.actor, &event.cause),
        (Some(keys.leave.actor().into()), &Some(cause("leaked")))
    );
    assert_eq!(
        (&event.before, &event.after),
        (&Some(key.view()), &Some(withdrawn.view()))
    );
    assert!(withdraw(&keys.leave, &withdrawn, cause("again"), now).is_none());
}

#[test]
fn a_key_that_signs_nothing_any_more_loses_its_private_half() {
    let mut keys = Keys::new();
    keys.rotate("b", NEW_YEAR);
    let key = keys.named("a").clone();
    let end = key.retires_at.unwrap();
    assert!(retire(&key, source(), end.minus(Span::millis(1))).is_none());
    let commit = retire(&key, source(), end).unwrap();
    keys.write(&commit);
    about(commit.event(), &key, "signing_key.retire", end);
    assert_eq!(commit.event().actor, None);
    let retired = keys.named("a");
    assert_eq!((retired.sealed.as_str(), &retired.kid), ("", &key.kid));
    assert!(
        retire(retired, source(), end).is_none(),
        "there is nothing left to take"
    );
}

#[test]
fn a_key_is_believed_for_longer_than_anything_lives_that_it_signed_last() {
    let longest = TOKEN_LIFETIME_MAX.max(COMPONENT_LIFETIME_MAX);
    let slow_clocks = Span::secs(5 * 60);
    assert_eq!(KEPT_AFTER.ms(), longest.ms() + slow_clocks.ms());
    assert!(
        PUBLISHED_AHEAD < ROTATION_MIN,
        "else the one after it would be due before it signs"
    );
    let keys = TokenPolicy::default();
    assert!(keys.default_lifetime <= keys.longest_lifetime && keys.longest_lifetime <= TOKEN_LIFETIME_MAX);
    assert!((ROTATION_MIN..=ROTATION_MAX).contains(&keys.rotation));
}

#[test]
fn an_algorithm_has_one_spelling() {
    for algorithm in Algorithm::ALL {
        assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
        assert_eq!(serde_json::json!(algorithm), algorithm.as_str());
    }
    assert_eq!(Algorithm::ALL.map(Algorithm::as_str), ["ES256", "EdDSA", "RS256"]);
    assert_eq!(Algorithm::parse("es256"), None);
    assert_eq!(Algorithm::parse("none"), None);
}
