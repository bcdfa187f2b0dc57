//! Renews what hangs on an earlier master key: digests when their secrets are shown, seals without anybody's help.

use serde_json::json;

use crate::actor::Source;
use crate::audit::{Event, Noun, Outcome, Target};
use crate::commit::{Change, Commit, Record};
use crate::id::SYSTEM;
use crate::key::{Key, State};
use crate::secret::{Age, Credentials, Fingerprint, Pepper};
use crate::signing::KEPT_AFTER;
use crate::time::Moment;

/// The action of the event when the digest of a key is renewed.
pub const RENEWED: &str = "key.renew";
/// The action of the event when rows are sealed anew.
pub const RESEALED: &str = "master_key.reseal";

/// Puts the digest that a key's secret has with the present master key in the place of the one that it had with the previous
/// one. Whoever asks was shown the secret.
///
/// The old digest stays beside the new one until no access token is tied to it. So a key that has a secret in its grace
/// has to wait for the end of that: there are never three digests.
pub fn renew(key: &Key, shown: &Fingerprint, pepper: &Pepper, source: &Source, now: Moment) -> Option<(Key, Commit)> {
    let current = *key.credentials.current();
    let has_room = match key.credentials {
        Credentials::One(_) | Credentials::Renewed { .. } => true,
        Credentials::Rotating { until, .. } => until <= now,
        // Each refresh makes new ones anyway.
        Credentials::Family { .. } => false,
    };
    let is_shown = pepper.earlier(shown).is_some_and(|earlier| earlier.matches(&current));
    if current.age() != Age::Earlier || !is_shown || !has_room || matches!(key.state, State::Revoked { .. }) {
        return None;
    }
    let mut renewed = key.clone();
    renewed.credentials = Credentials::Renewed {
        current: pepper.digest(shown),
        former: current.aged(Age::Former),
        until: now.plus(KEPT_AFTER),
    };
    renewed.revision = key.revision.next();
    let record = Record::Key(Box::new(renewed.clone()));
    let event = Event {
        project: key.project,
        owner: Some(key.owner),
        before: Some(Record::Key(Box::new(key.clone())).view()),
        after: Some(record.view()),
        ..event(
            RENEWED,
            Target {
                noun: Noun::Key,
                id: Some(key.id.uuid()),
            },
            source,
            now,
        )
    };
    let change = Change::Replace {
        record,
        expected: key.revision,
    };
    Some((renewed, Commit::by_itself(event, vec![change])))
}

/// Seals rows anew. Nothing of them changes and so their revisions stay; but a signing key was encrypted anew as well, and
/// whoever knows the old text must not write it back.
pub fn reseal(records: Vec<Record>, source: &Source, now: Moment) -> Option<Commit> {
    let noun = records.first()?.noun();
    let sealed = records.len();
    let changes = records.into_iter().map(|mut record| {
        let expected = record.revision();
        if let Record::SigningKey(key) = &mut record {
            key.revision = expected.next();
        }
        Change::Replace { record, expected }
    });
    let changes = changes.collect();
    let event = Event {
        after: Some(json!({ "sealed_anew": sealed })),
        ..event(RESEALED, Target { noun, id: None }, source, now)
    };
    Some(Commit::by_itself(event, changes))
}

fn event(action: &str, target: Target, source: &Source, now: Moment) -> Event {
    Event {
        project: SYSTEM,
        at: now,
        action: action.to_owned(),
        outcome: Outcome::Done,
        actor: None,
        target,
        owner: None,
        cause: None,
        source: source.clone(),
        before: None,
        after: None,
    }
}
