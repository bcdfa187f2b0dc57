//! Stories of exposure: an event without a change, about a key that somebody must rotate.

use keyholt_core::audit::{Noun, Outcome};
use keyholt_core::expose::{EXPOSED, Exposure, expose};
use keyholt_core::key::Kind;
use keyholt_core::time::Span;
use keyholt_core::verify::{Shown, Stopped};
use serde_json::json;

use crate::support::{NEW_YEAR, source};
use crate::verify::scene::Scene;

#[test]
fn an_exposure_says_which_key_and_where_and_changes_nothing() {
    let scene = Scene::good();
    let commit = expose(&scene.dossier(), Exposure::Url, source(), NEW_YEAR).unwrap();
    assert!(commit.changes().is_empty());
    let event = commit.event();
    assert_eq!((event.action.as_str(), &event.outcome), (EXPOSED, &Outcome::Done));
    assert_eq!(
        (event.target.noun, event.target.id),
        (Noun::Key, Some(scene.key.uuid()))
    );
    assert_eq!((event.project, event.owner), (scene.project, Some(scene.owner)));
    assert_eq!(event.actor, None);
    assert_eq!(event.after, Some(json!({"shown_in": "url", "secret": "current"})));
}

#[test]
fn the_old_secret_of_a_rotation_is_told_from_the_new_one() {
    let scene = Scene::good().with(|scene| {
        scene.shown = Shown::Retiring {
            until: NEW_YEAR.plus(Span::hours(1)),
        }
    });
    let commit = expose(&scene.dossier(), Exposure::PlainHttp, source(), NEW_YEAR).unwrap();
    let told = json!({"shown_in": "plain_http", "secret": "retiring"});
    assert_eq!(commit.event().after, Some(told));
}

#[test]
fn a_secret_that_is_dead_harms_nobody_wherever_it_is_shown() {
    let later = NEW_YEAR.plus(Span::millis(1));
    for (shown, is_marked) in [
        (Shown::Retiring { until: later }, true),
        (Shown::Retiring { until: NEW_YEAR }, false),
        (Shown::Superseded, false),
    ] {
        let scene = Scene::good().with(|scene| scene.shown = shown);
        let commit = expose(&scene.dossier(), Exposure::Url, source(), NEW_YEAR);
        assert_eq!(commit.is_some(), is_marked, "{shown:?}");
    }
}

#[test]
fn only_what_could_do_harm_is_marked() {
    for (stopped, is_marked) in [
        (Stopped::No, true),
        (Stopped::Suspended, true),
        (Stopped::Tampered, true),
        (Stopped::Revoked, false),
    ] {
        let scene = Scene::good().with(|scene| scene.stopped = stopped);
        let commit = expose(&scene.dossier(), Exposure::Url, source(), NEW_YEAR);
        assert_eq!(commit.is_some(), is_marked, "{stopped:?}");
    }
    let scene = Scene::good();
    let mut public = scene.dossier();
    public.kind = Kind::Publishable;
    assert!(expose(&public, Exposure::Url, source(), NEW_YEAR).is_none());
}
