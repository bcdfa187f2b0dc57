//! When the store fails: nothing is half done, nobody is told that it is done, and what may have been done is found out.

use std::sync::Arc;
use std::time::Duration;

use keyholt_core::text::RequestKey;
use keyholt_core::time::Span;
use keyholt_core::verify::Ask;
use keyholt_server::keeper::{Background, Counting, Idempotency, Question, Refusal};
use keyholt_store::{CommitError, Fault, StoreError};

use super::deeds::{DEEDS, Scene};
use crate::house::{Wishes, refusal, wish};

#[tokio::test]
async fn what_cannot_be_written_is_not_done_and_can_be_done_later() {
    for deed in DEEDS {
        let scene = Scene::set().await;
        scene.prepare(deed).await;
        let doer = scene.doer(deed);
        let before = (scene.relay.dump().await, scene.verdicts(&scene.house));
        for fault in [Fault::CommitsUnavailable, Fault::Full] {
            scene.line.fail(fault);
            match refusal(scene.play(deed, &doer).await) {
                Refusal::Store(StoreError::Unavailable(_)) if fault == Fault::CommitsUnavailable => {}
                Refusal::StorageFull if fault == Fault::Full => {}
                other => panic!("{deed}: {other:?}"),
            }
            let after = (scene.relay.dump().await, scene.verdicts(&scene.house));
            assert_eq!(after, before, "{deed}: nothing changed");
        }
        scene.line.fail(Fault::None);
        scene.play(deed, &doer).await.unwrap();
        assert_ne!(scene.relay.dump().await, before.0, "{deed}");
    }
}

#[tokio::test]
async fn what_may_have_been_written_is_found_out_before_the_view_is_too_old() {
    for deed in DEEDS {
        let scene = Scene::set().await;
        scene.prepare(deed).await;
        let doer = scene.doer(deed);
        let before = scene.relay.dump().await;
        scene.line.fail(Fault::AnswersLost);
        match refusal(scene.play(deed, &doer).await) {
            Refusal::Uncertain(_) => {}
            other => panic!("{deed}: {other:?}"),
        }
        scene.line.fail(Fault::FeedUnavailable);
        assert_ne!(scene.relay.dump().await, before, "{deed}: it was written");
        scene.house.advance(Span::secs(2));
        assert!(scene.house.keeper.is_fresh());
        scene.house.advance(Span::millis(1));
        assert!(
            !scene.house.keeper.is_fresh(),
            "{deed}: the keeper knows that it does not know"
        );
        assert!(scene.house.keeper.catch_up().await.is_err());
        scene.line.fail(Fault::None);
        scene.house.keeper.catch_up().await.unwrap();
        assert!(scene.house.keeper.is_fresh());
        let fresh = scene.house.beside(scene.relay.lone()).await;
        assert_eq!(scene.verdicts(&scene.house), scene.verdicts(&fresh), "{deed}");
    }
}

#[tokio::test]
async fn what_may_have_been_written_and_was_not_changes_nothing() {
    for deed in DEEDS {
        let scene = Scene::set().await;
        scene.prepare(deed).await;
        let doer = scene.doer(deed);
        let before = (scene.relay.dump().await, scene.verdicts(&scene.house));
        let lost = CommitError::Uncertain(StoreError::Unavailable("the line broke".to_owned()));
        scene.line.refuse_next_commit(lost);
        assert!(matches!(refusal(scene.play(deed, &doer).await), Refusal::Uncertain(_)));
        scene.house.keeper.catch_up().await.unwrap();
        assert_eq!(
            (scene.relay.dump().await, scene.verdicts(&scene.house)),
            before,
            "{deed}"
        );
        scene.play(deed, &doer).await.unwrap();
    }
}

#[tokio::test]
async fn an_uncertain_revocation_gives_no_verdict_rather_than_a_wrong_one() {
    let scene = Scene::set().await;
    let (house, key) = (&scene.house, &scene.keys[0]);
    scene.line.fail(Fault::AnswersLost);
    let revoked = scene.play("revoke a key", &scene.doer("revoke a key")).await;
    assert!(matches!(refusal(revoked), Refusal::Uncertain(_)));
    scene.line.fail(Fault::Unavailable);
    house.advance(Span::hours(1));
    let question = Question {
        credential: &key.secret,
        ask: Ask::default(),
        counting: Counting::Counted,
    };
    let asked = house.keeper.verify(house.project(), &question, |_| panic!("a verdict"));
    assert!(matches!(refusal(asked), Refusal::CannotKnow));
    scene.line.fail(Fault::None);
    house.keeper.catch_up().await.unwrap();
    assert_eq!(house.code(&key.secret, &[]), "revoked");
    // Asked again, it is done already, and the first time and cause are kept.
    scene.play("revoke a key", &scene.doer("revoke a key")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn in_the_background_a_keeper_finds_out_by_itself() {
    let scene = Scene::set().await;
    let background = Background {
        flush_every: Duration::from_secs(10),
    };
    let working = tokio::spawn(background.run(Arc::clone(&scene.house.keeper)));
    tokio::time::sleep(Duration::from_secs(1)).await;
    scene.line.fail(Fault::AnswersLost);
    let revoked = scene.play("revoke a key", &scene.doer("revoke a key")).await;
    assert!(matches!(refusal(revoked), Refusal::Uncertain(_)));
    scene.line.fail(Fault::None);
    tokio::time::sleep(Duration::from_millis(51)).await;
    assert_eq!(scene.house.code(&scene.keys[0].secret, &[]), "revoked");
    working.abort();
}

#[tokio::test]
async fn a_question_whose_answer_was_lost_is_asked_again_and_makes_no_second_key() {
    let scene = Scene::set().await;
    let (house, doer) = (&scene.house, scene.doer("issue a key"));
    let ask = || {
        let once = Idempotency {
            request: RequestKey::new("once").unwrap(),
            question: [1; 32],
        };
        let wish = wish(doer.owner, "once").scopes(&[]);
        house.keeper.issue_key(&doer, house.project(), wish, Some(once))
    };
    scene.line.fail(Fault::AnswersLost);
    assert!(matches!(refusal(ask().await), Refusal::Uncertain(_)));
    scene.line.fail(Fault::None);
    let again = ask().await.unwrap();
    assert!(again.secret.is_none(), "the secret was in the answer that was lost");
    let made = house.named(keyholt_store::KeyQuery::default()).await;
    assert_eq!(made.iter().filter(|name| *name == "once").count(), 1);
}

#[tokio::test]
async fn what_is_refused_is_refused_even_where_the_attempt_cannot_be_told() {
    let scene = Scene::set().await;
    let project = scene.house.project();
    let powerless = scene.house.actor(&scene.keys[0].secret);
    scene.line.fail(Fault::CommitsUnavailable);
    let suspended = scene
        .house
        .keeper
        .suspend_project(&powerless, project, None, None)
        .await;
    assert!(matches!(refusal(suspended), Refusal::NotFound(_)));
    let wish = wish(powerless.owner, "new").scopes(&[]);
    let issued = scene.house.keeper.issue_key(&powerless, project, wish, None).await;
    assert!(matches!(refusal(issued), Refusal::Lacks { .. }));
}

#[tokio::test]
async fn a_keeper_that_knows_verifies_on_while_the_store_is_away() {
    let scene = Scene::set().await;
    let before = scene.verdicts(&scene.house);
    scene.line.fail(Fault::Unavailable);
    scene.house.advance(Span::secs(600));
    assert_eq!(
        scene.verdicts(&scene.house),
        before,
        "nobody else writes, so it cannot be wrong"
    );
    assert!(matches!(refusal(scene.house.keeper.ready().await), Refusal::Store(_)));
}
