//! Log-ins that a back end starts for somebody whom it vouches for.

use keyholt_core::actor::{Actor, Subject, WriteSessions};
use keyholt_core::issue::Circumstances;
use keyholt_core::key::Maker;
use keyholt_core::refresh_token::RefreshToken;
use keyholt_core::session::{STARTED, lend, prolong, refresh};
use keyholt_core::time::Moment;

use super::*;
use crate::support::{NEW_YEAR, only, scopes};

fn lent(scene: &mut Scene, back_end: &Actor, end: Moment) -> (Started, Commit) {
    let leave = back_end
        .permit::<WriteSessions>(scene.user.project, Subject::Project)
        .unwrap();
    let permissions = scopes(&["orders:read", "users:read"]);
    let World {
        project,
        pepper,
        now,
        entropy,
        ..
    } = &mut scene.world;
    let world = Circumstances {
        project,
        permissions: &permissions,
        pepper,
    };
    lend(&leave, &scene.user, name("checkout"), end, world, *now, entropy).unwrap()
}

#[test]
fn a_back_end_lends_a_cookie_that_may_do_what_both_may_and_what_everybody_may() {
    let mut scene = Scene::open();
    let back_end = scene.world.machine(&["orders:*", "keyholt:sessions:write"]);
    let (Started { session, secret }, commit) = lent(&mut scene, &back_end, NEW_YEAR.plus(Span::hours(1)));
    assert!(session_cookie(&secret.reveal()).is_ok());
    assert_eq!(
        session.access,
        only(&["orders:read", "keyholt:self:read", "keyholt:self:write"])
    );
    assert_eq!(
        (session.kind, session.owner),
        (Kind::Session, Owner::User(scene.user.id))
    );
    assert_eq!(
        (session.created_by, session.created_at),
        (Maker::Key(back_end.key), NEW_YEAR)
    );
    assert_eq!(session.about.name, name("checkout"));
    let event = commit.event();
    assert_eq!(
        (event.action.as_str(), event.actor),
        (STARTED, Some((&back_end).into()))
    );
    assert_eq!((event.owner, event.at), (Some(session.owner), NEW_YEAR));
    assert!(matches!(commit.changes(), [Change::Insert(record)] if record.id() == session.id.uuid()));
}

#[test]
fn a_lent_log_in_ends_with_the_key_of_the_back_end_and_when_any_would() {
    let mut scene = Scene::open();
    let lasting = scene.world.machine(&["keyholt:sessions:write"]);
    let passing = Actor {
        expiry: Expiry::At(NEW_YEAR.plus(Span::hours(2))),
        ..lasting.clone()
    };
    for (back_end, wished, ends) in [
        (&lasting, Span::hours(3), Span::hours(3)),
        (&passing, Span::hours(3), Span::hours(2)),
        (&passing, Span::hours(1), Span::hours(1)),
        (&lasting, Span::days(31), Span::days(30)),
    ] {
        let (started, _) = lent(&mut scene, back_end, NEW_YEAR.plus(wished));
        assert_eq!(started.session.expiry, Expiry::At(NEW_YEAR.plus(ends)), "{wished}");
    }
}

#[test]
fn a_lent_log_in_is_not_prolonged_beyond_what_was_said() {
    let mut scene = Scene::open();
    let back_end = scene.world.machine(&["keyholt:sessions:write"]);
    let end = NEW_YEAR.plus(Span::hours(1));
    let (Started { session, .. }, _) = lent(&mut scene, &back_end, end);
    let policy = scene.world.project.policy.log_in;
    let now = end.minus(Span::secs(1));
    assert!(prolong(&session, &policy, &source(), now).is_none());

    // Not even if it were shown by refresh tokens.
    let (secret, token) = RefreshToken::mint(&mut scene.world.entropy);
    let family = Key {
        credentials: token.credentials(&scene.world.pepper),
        ..session
    };
    let shown = RefreshToken::parse(&secret.reveal()).unwrap();
    let World { pepper, entropy, .. } = &mut scene.world;
    let (after, _) = refresh(&family, shown, &policy, pepper, &source(), now, entropy).unwrap();
    assert_eq!(after.session.expiry, Expiry::At(end));
}
