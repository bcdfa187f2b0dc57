//! The course of a log-in: it starts, is refreshed, ends and is forgotten.

use keyholt_core::actor::{Subject, WriteKeys};
use keyholt_core::audit::{ActorRef, Event};
use keyholt_core::key::{Maker, State};
use keyholt_core::project::{Catalogue, PolicyBreach};
use keyholt_core::refresh_token::RefreshToken;
use keyholt_core::seal::MasterKey;
use keyholt_core::secret::{Age, Digest};
use keyholt_core::session::{RefreshError, STARTED, end, end_reused, forget, prolong, refresh};
use keyholt_core::time::Moment;

use super::*;
use crate::support::{cause, only, scope};

fn view(key: &Key) -> Option<serde_json::Value> {
    Some(Record::Key(Box::new(key.clone())).view())
}

fn itself(session: &Key) -> Option<ActorRef> {
    Some(ActorRef {
        home: session.project,
        owner: session.owner,
        key: session.id,
    })
}

fn refreshed(scene: &mut Scene, session: &Key, token: &str) -> Result<(Started, Commit), RefreshError> {
    let World {
        project,
        pepper,
        now,
        entropy,
        ..
    } = &mut scene.world;
    let shown = RefreshToken::parse(token).unwrap();
    refresh(session, shown, &project.policy.log_in, pepper, &source(), *now, entropy)
}

/// The event is about this session of Ada's.
fn about<'a>(commit: &'a Commit, session: &Key, now: Moment) -> &'a Event {
    let event = commit.event();
    assert_eq!((event.project, event.at), (session.project, now));
    assert_eq!(
        (event.target.noun, event.target.id),
        (Noun::Key, Some(session.id.uuid()))
    );
    assert_eq!((event.owner, &event.source), (Some(session.owner), &source()));
    event
}

#[test]
fn whoever_logs_in_is_told_to_have_done_it_themselves() {
    let mut scene = Scene::open();
    let (Started { session, .. }, commit) = scene.begin(only(&["orders:read"]), Mode::Cookie).unwrap();
    assert_eq!(
        (session.project, session.state.clone()),
        (scene.user.project, State::Active)
    );
    assert_eq!(
        (&session.access, session.created_by),
        (&only(&["orders:read"]), Maker::Key(session.id))
    );
    assert_eq!(
        (session.about.name.as_str(), session.about.hint.is_none()),
        ("laptop", true)
    );
    assert_eq!(
        (session.created_at, session.revision),
        (scene.world.now, Revision::FIRST)
    );
    assert!(matches!(commit.changes(), [Change::Insert(record)] if record.id() == session.id.uuid()));
    let event = about(&commit, &session, scene.world.now);
    assert_eq!((event.action.as_str(), event.actor), (STARTED, itself(&session)));
    assert_eq!((&event.before, &event.after), (&None, &view(&session)));
}

#[test]
fn nobody_logs_in_for_a_scope_that_does_not_exist() {
    let mut scene = Scene::open();
    let declared = [(scope("orders:read"), keyholt_core::text::Description::new("").unwrap())];
    scene.world.project.policy.scopes = Catalogue::Declared(declared.into());
    let unknown = scene.begin(only(&["users:read"]), Mode::Cookie).map(drop);
    let breach = PolicyBreach::UnknownScope {
        scope: scope("users:read"),
    };
    assert_eq!(unknown, Err(StartError::Policy(breach)));
    assert!(scene.begin(only(&["orders:read"]), Mode::Cookie).is_ok());
}

#[test]
fn a_refresh_gives_another_token_and_another_week() {
    let mut scene = Scene::open();
    let (session, token) = scene.started();
    scene.world.later(Span::days(6));
    let (after, commit) = refreshed(&mut scene, &session, &token).unwrap();
    let now = scene.world.now;
    assert_eq!(after.session.expiry, Expiry::At(now.plus(Span::days(7))));
    assert_eq!(after.session.revision, session.revision.next());
    assert_eq!(after.session.id, session.id);
    let event = about(&commit, &session, now);
    assert_eq!(
        (event.action.as_str(), event.actor),
        ("session.refresh", itself(&session))
    );
    assert_eq!((&event.before, &event.after), (&view(&session), &view(&after.session)));
    assert_eq!(event.cause, None);
    assert!(matches!(commit.changes(), [Change::Replace { record, expected }]
            if *expected == session.revision && record.revision() == session.revision.next()));
    let again = refreshed(&mut scene, &after.session, &token).map(drop);
    assert_eq!(again, Err(RefreshError::Reused));
    let next = after.secret.reveal();
    assert!(refreshed(&mut scene, &after.session, &next).is_ok());
}

#[test]
fn a_log_in_that_is_refreshed_again_and_again_lasts_a_month() {
    let mut scene = Scene::open();
    let (mut session, mut token) = scene.started();
    let end = scene.world.now.plus(Span::days(30));
    for _ in 0..4 {
        scene.world.later(Span::days(6));
        let (after, _) = refreshed(&mut scene, &session, &token).unwrap();
        (session, token) = (after.session, after.secret.reveal().to_string());
    }
    assert_eq!(
        session.expiry,
        Expiry::At(end),
        "thirty days after its start, not a week from now"
    );
    scene.world.now = end;
    assert_eq!(
        refreshed(&mut scene, &session, &token).map(drop),
        Err(RefreshError::Over)
    );
}

#[test]
fn a_session_that_is_over_is_not_refreshed_whatever_is_shown() {
    let mut scene = Scene::open();
    let (session, token) = scene.started();
    let (_, others) = scene.started();
    let Started { session: cookie, .. } = scene.start(Mode::Cookie);
    let since = scene.world.now;
    let stopped = |state| Key {
        state,
        ..session.clone()
    };
    let revoked = stopped(State::Revoked {
        at: since,
        cause: cause("leaked"),
    });
    let suspended = stopped(State::Suspended { since });
    for (what, session, token) in [
        ("revoked", &revoked, &token),
        ("suspended", &suspended, &token),
        ("another's token", &session, &others),
        ("a cookie's", &cookie, &token),
    ] {
        let refreshed = refreshed(&mut scene, session, token).map(drop);
        assert_eq!(refreshed, Err(RefreshError::Over), "{what}");
    }
    let Expiry::At(end) = session.expiry else {
        panic!("a session ends")
    };
    scene.world.now = end;
    assert_eq!(
        refreshed(&mut scene, &session, &token).map(drop),
        Err(RefreshError::Over),
        "expired"
    );
    scene.world.now = end.minus(Span::millis(1));
    assert!(refreshed(&mut scene, &session, &token).is_ok());
    scene.world.project.policy.log_in.longest = Span::days(1);
    assert_eq!(
        refreshed(&mut scene, &session, &token).map(drop),
        Err(RefreshError::Over),
        "log-ins last a day at most by now"
    );
}

#[test]
fn a_refresh_makes_a_log_in_one_of_the_present_master_key() {
    let mut scene = Scene::open();
    let (session, token) = scene.started();
    let Credentials::Family { current, family } = session.credentials else {
        panic!("a family")
    };
    let aged = |digest: Digest| digest.aged(Age::Earlier);
    let old = Key {
        credentials: Credentials::Family {
            current: aged(current),
            family: aged(family),
        },
        ..session.clone()
    };
    let earlier = scene.world.pepper.clone();
    let alone = MasterKey::new([43; 32]).pepper();
    scene.world.pepper = alone.clone();
    assert_eq!(refreshed(&mut scene, &old, &token).map(drop), Err(RefreshError::Over));
    scene.world.pepper = alone.beside(Some(earlier));
    assert_eq!(
        refreshed(&mut scene, &session, &token).map(drop),
        Err(RefreshError::Over),
        "one of the present master key is not recognised by the one before"
    );
    let (after, _) = refreshed(&mut scene, &old, &token).unwrap();
    assert!(old.hangs_on_earlier() && !after.session.hangs_on_earlier());
    let next = after.secret.reveal();
    assert!(refreshed(&mut scene, &after.session, &next).is_ok());
}

#[test]
fn a_cookie_is_prolonged_where_there_is_something_to_gain() {
    let mut scene = Scene::open();
    let Started { session, .. } = scene.start(Mode::Cookie);
    let policy = scene.world.project.policy.log_in;
    let prolonged = |session: &Key, now| prolong(session, &policy, &source(), now);
    let start = scene.world.now;
    assert!(prolonged(&session, start).is_none());
    let now = start.plus(Span::days(3));
    let (longer, commit) = prolonged(&session, now).unwrap();
    assert_eq!(longer.expiry, Expiry::At(now.plus(Span::days(7))));
    assert_eq!(longer.revision, session.revision.next());
    let event = about(&commit, &session, now);
    assert_eq!(
        (event.action.as_str(), event.actor),
        ("session.refresh", itself(&session))
    );
    assert_eq!((&event.before, &event.after), (&view(&session), &view(&longer)));
    let late = start.plus(Span::days(29));
    let (last, _) = prolonged(&longer, late).unwrap();
    assert_eq!(last.expiry, Expiry::At(start.plus(Span::days(30))));
    assert!(prolonged(&last, late.plus(Span::hours(1))).is_none());
}

#[test]
fn a_session_ends_once_and_nothing_is_left_of_its_family() {
    let mut scene = Scene::open();
    let (session, token) = scene.started();
    let admin = scene.world.admin();
    let leave = admin
        .permit::<WriteKeys>(session.project, Subject::Owner(session.owner))
        .unwrap();
    let now = scene.world.now.plus(Span::hours(1));
    let (ended, commit) = end(&leave, &session, cause("logged out"), now).unwrap();
    let over = State::Revoked {
        at: now,
        cause: cause("logged out"),
    };
    assert_eq!((&ended.state, ended.revision), (&over, session.revision.next()));
    assert!(matches!(ended.credentials, Credentials::One(one) if one.matches(session.credentials.current())));
    let event = commit.event();
    assert_eq!(
        (event.action.as_str(), event.actor),
        ("session.end", Some((&admin).into()))
    );
    assert_eq!((event.at, &event.cause), (now, &Some(cause("logged out"))));
    assert_eq!((&event.before, &event.after), (&view(&session), &view(&ended)));
    assert!(matches!(commit.changes(), [Change::Replace { record, expected }]
            if *expected == session.revision && record.revision() == ended.revision));
    assert!(end(&leave, &ended, cause("again"), now).is_none());
    assert!(end_reused(&ended, &source(), now).unwrap().is_none());
    assert_eq!(refreshed(&mut scene, &ended, &token).map(drop), Err(RefreshError::Over));
}

#[test]
fn a_session_whose_used_up_token_is_shown_ends_and_nobody_is_said_to_have_done_it() {
    let mut scene = Scene::open();
    let (session, _) = scene.started();
    let now = scene.world.now;
    let commit = end_reused(&session, &source(), now).unwrap().unwrap();
    let event = about(&commit, &session, now);
    assert_eq!((event.action.as_str(), event.actor), ("session.reuse", None));
    assert_eq!(event.cause, Some(cause("refresh token reused")));
    let [
        Change::Replace {
            record: Record::Key(ended),
            expected,
        },
    ] = commit.changes()
    else {
        panic!("{commit:?}")
    };
    assert_eq!((*expected, ended.revision), (session.revision, session.revision.next()));
    let over = State::Revoked {
        at: now,
        cause: cause("refresh token reused"),
    };
    assert_eq!(ended.state, over);
    assert_eq!((&event.before, &event.after), (&view(&session), &view(ended)));
}

#[test]
fn sessions_that_are_over_for_long_are_taken_out_together() {
    let mut scene = Scene::open();
    let ((one, _), (other, _)) = (scene.started(), scene.started());
    let now = scene.world.now;
    let commit = forget(vec![one.clone(), other.clone()], &source(), now).unwrap();
    let gone: Vec<_> = commit
        .changes()
        .iter()
        .map(|change| match change {
            Change::Remove { record } => record.id(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(gone, [one.id.uuid(), other.id.uuid()]);
    let event = commit.event();
    assert_eq!(
        (event.action.as_str(), event.project, event.at),
        ("session.forget", one.project, now)
    );
    assert_eq!(
        (event.target.noun, event.target.id),
        (Noun::Key, None),
        "many were meant"
    );
    assert_eq!((event.owner, event.actor, &event.source), (None, None, &source()));
    assert!(forget(Vec::new(), &source(), now).is_none());
}
