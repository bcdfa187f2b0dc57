//! Stories of reuse: a secret is shown that was taken out of use, and that is told to the trail.

use keyholt_core::audit::{Noun, Outcome};
use keyholt_core::key::Kind;
use keyholt_core::reuse::{End, REUSED, Reuse, reuse};
use keyholt_core::time::Span;
use keyholt_core::verify::{Dossier, Form, Shown, Stopped};

use crate::support::{NEW_YEAR, Wishing, World, scopes, source, wish};

/// What is noticed when this of an ordinary key is shown, or of one that differs in something.
fn noticed(shown: Shown, stopped: Stopped, differs: impl FnOnce(&mut Dossier<'_>)) -> Option<Reuse> {
    let mut world = World::new();
    let admin = world.admin();
    let key = world.held(&admin, wish(admin.owner).scopes(&["orders:read"])).key;
    let permissions = scopes(&["*"]);
    let mut dossier = Dossier {
        stopped,
        ..world.dossier(&key, &permissions, shown)
    };
    differs(&mut dossier);
    let noticed = reuse(&dossier, NEW_YEAR)?;
    assert_eq!(
        (noticed.key, noticed.project, noticed.owner),
        (key.id, key.project, key.owner)
    );
    Some(noticed)
}

#[test]
fn a_secret_is_reused_that_was_rotated_out_or_whose_key_was_revoked() {
    let retiring = |until| Shown::Retiring { until };
    let (over, not_yet) = (retiring(NEW_YEAR), retiring(NEW_YEAR.plus(Span::millis(1))));
    for (shown, stopped, end) in [
        (Shown::Current, Stopped::No, None),
        (Shown::Current, Stopped::Suspended, None),
        (Shown::Current, Stopped::Revoked, Some(End::Revoked)),
        (Shown::Current, Stopped::Tampered, None),
        (not_yet, Stopped::No, None),
        (not_yet, Stopped::Revoked, None),
        (over, Stopped::No, Some(End::Rotated)),
        (over, Stopped::Revoked, Some(End::Rotated)),
        (over, Stopped::Tampered, None),
        (Shown::Superseded, Stopped::No, None),
        (Shown::Superseded, Stopped::Revoked, None),
    ] {
        let noticed = noticed(shown, stopped, |_| {});
        assert_eq!(noticed.map(|reuse| reuse.end), end, "{shown:?} {stopped:?}");
    }
}

#[test]
fn tokens_log_ins_and_what_anybody_may_see_are_no_reused_secrets() {
    let noticed_of = |kind, form| {
        noticed(Shown::Current, Stopped::Revoked, |dossier| {
            dossier.kind = kind;
            dossier.form = form;
        })
    };
    for kind in Kind::ALL {
        let is_secret = matches!(kind, Kind::Standard | Kind::Static);
        assert_eq!(noticed_of(kind, Form::Secret).is_some(), is_secret, "{kind}");
        assert!(noticed_of(kind, Form::Token).is_none(), "a token of a {kind} key");
    }
}

#[test]
fn a_reuse_changes_nothing_and_says_why_the_secret_was_dead() {
    let over = Shown::Retiring { until: NEW_YEAR };
    for (shown, stopped, word) in [
        (over, Stopped::No, "rotated"),
        (Shown::Current, Stopped::Revoked, "revoked"),
    ] {
        let noticed = noticed(shown, stopped, |_| {}).unwrap();
        let commit = noticed.told(source(), NEW_YEAR);
        assert!(commit.changes().is_empty());
        let event = commit.event();
        assert_eq!((event.action.as_str(), &event.outcome), (REUSED, &Outcome::Done));
        assert_eq!((event.project, event.at), (noticed.project, NEW_YEAR));
        assert_eq!(
            (event.target.noun, event.target.id),
            (Noun::Key, Some(noticed.key.uuid()))
        );
        assert_eq!((event.actor, event.owner), (None, Some(noticed.owner)));
        assert_eq!(event.source, source());
        assert_eq!(event.after, Some(serde_json::json!({ "secret": word })));
    }
}
