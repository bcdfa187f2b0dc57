//! Stories of a restore: what ended after the backup was made does not come back with it.

mod holders;
mod keys;

use keyholt_core::audit::{Noun, Outcome};
use keyholt_core::commit::{Change, Commit, Record, Revision};
use keyholt_core::id::{ProjectId, SYSTEM, SigningKeyId};
use keyholt_core::restore::{Carried, Ending, Present, carry_over, reopen_setup, restored};
use keyholt_core::secret::Fingerprint;
use keyholt_core::setup::Setup;
use keyholt_core::signing::{Algorithm, SigningKey};
use keyholt_core::text::TextError;
use keyholt_core::time::{Moment, Span};

use crate::support::{NEW_YEAR, World, cause, source};

/// When the backup is restored, a day after it was made.
const NOW: Moment = Moment::from_ms(NEW_YEAR.ms() + 86_400_000);

/// What a record of the backup becomes, how it ended, and what the trail calls it.
fn carried(backup: &Record, present: Present<'_>) -> Option<(Record, Vec<Ending>, String)> {
    let Carried { endings, commit } = carry_over(backup, present, &source(), NOW)?;
    let [Change::Replace { record, expected }] = commit.changes() else {
        panic!("{commit:?}")
    };
    assert_eq!(
        (*expected, record.revision()),
        (backup.revision(), backup.revision().next())
    );
    told(&commit, backup, "ended after the backup");
    assert_eq!(commit.event().after, Some(record.view()));
    Some((
        record.clone(),
        endings.into_iter().collect(),
        commit.event().action.clone(),
    ))
}

/// How a record of the backup ended, where that is all there is to know.
fn endings(backup: &Record, present: Present<'_>) -> Vec<Ending> {
    carried(backup, present)
        .map(|(_, endings, _)| endings)
        .unwrap_or_default()
}

/// The event is about this record, and nobody's but Keyholt's own.
fn told(commit: &Commit, before: &Record, why: &str) {
    let event = commit.event();
    assert_eq!((event.at, &event.outcome, event.actor), (NOW, &Outcome::Done, None));
    assert_eq!((event.target.noun, event.target.id), (before.noun(), Some(before.id())));
    let story = match before {
        Record::Project(project) => project.id,
        record => record.project(),
    };
    assert_eq!((event.project, event.owner), (story, before.owner()));
    assert_eq!((&event.cause, &event.source), (&Some(cause(why)), &source()));
    assert_eq!(event.before, Some(before.view()));
}

fn signing_key(project: ProjectId, withdrawn_at: Option<Moment>) -> Record {
    Record::SigningKey(Box::new(SigningKey {
        id: SigningKeyId::from_uuid(project.uuid()),
        project,
        place: "1".to_owned(),
        kid: "a".to_owned(),
        algorithm: Algorithm::Es256,
        public: Default::default(),
        sealed: "encrypted".to_owned(),
        created_at: NEW_YEAR,
        signs_from: NEW_YEAR,
        retires_at: None,
        withdrawn_at,
        revision: Revision::FIRST,
    }))
}

#[test]
fn a_signing_key_that_was_withdrawn_or_is_not_known_any_more_signs_nothing() {
    let project = World::new().project.id;
    let (backup, withdrawn) = (signing_key(project, None), signing_key(project, Some(NEW_YEAR)));
    assert!(carried(&backup, Present::There(&backup)).is_none());
    for (present, ending) in [
        (Present::There(&withdrawn), Ending::Revoked),
        (Present::Gone, Ending::Gone),
        (Present::Tampered, Ending::Tampered),
    ] {
        let (after, endings, action) = carried(&backup, present).unwrap();
        assert_eq!((endings, action.as_str()), (vec![ending], "signing_key.withdraw"));
        assert!(
            matches!(after, Record::SigningKey(key) if key.withdrawn_at == Some(NOW) && key.sealed.is_empty()),
            "what may be in wrong hands is not kept"
        );
        assert!(carried(&withdrawn, present).is_none(), "it was withdrawn before");
    }
}

#[test]
fn a_set_up_is_carried_over_as_it_is() {
    let world = World::new();
    let setup = Setup::open(&Fingerprint::of(b"token"), &world.pepper, NEW_YEAR, Revision::FIRST);
    assert!(carried(&Record::Setup(setup), Present::Gone).is_none());
}

#[test]
fn where_no_operator_is_left_the_set_up_opens_again_for_a_day() {
    let world = World::new();
    let (first, second) = (Fingerprint::of(b"first"), Fingerprint::of(b"second"));
    let closed = Setup::open(&first, &world.pepper, NEW_YEAR, Revision::FIRST).closed();
    let commit = reopen_setup(&closed, &second, &world.pepper, &source(), NOW);
    let [
        Change::Replace {
            record: Record::Setup(open),
            expected,
        },
    ] = commit.changes()
    else {
        panic!("{commit:?}")
    };
    assert_eq!((*expected, open.revision), (closed.revision, closed.revision.next()));
    let day = NOW.plus(Span::days(1));
    for (token, now, opens) in [(&second, NOW, true), (&second, day, false), (&first, NOW, false)] {
        assert_eq!(open.admits(token, &world.pepper, now), opens, "at {now}");
    }
    assert_eq!(commit.event().action, "setup.reopen");
    told(
        &commit,
        &Record::Setup(closed),
        "no operator's key was left after a restore",
    );
}

#[test]
fn the_trail_says_from_where_the_data_were_restored() {
    let commit = restored("from backup 7", &source(), NOW).unwrap();
    assert!(commit.changes().is_empty());
    let event = commit.event();
    assert_eq!(
        (event.action.as_str(), event.at, event.actor),
        ("backup.restore", NOW, None)
    );
    assert_eq!((event.project, event.target.noun), (SYSTEM, Noun::Project));
    assert_eq!(event.target.id, Some(SYSTEM.uuid()));
    assert_eq!(
        (&event.cause, &event.source),
        (&Some(cause("from backup 7")), &source())
    );
    let nothing = restored("", &source(), NOW).map(drop);
    assert!(matches!(nothing, Err(TextError::Length { .. })));
}

#[test]
fn each_ending_has_a_word_and_the_hardest_comes_first() {
    let words = Ending::ALL.map(Ending::as_str);
    let hardest_first = [
        "revoked",
        "gone",
        "suspended",
        "tampered",
        "rotated",
        "narrowed",
        "shortened",
    ];
    assert_eq!(words, hardest_first);
    assert!(Ending::ALL.is_sorted());
}
