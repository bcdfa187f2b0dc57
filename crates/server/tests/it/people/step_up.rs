//! Stepping up: what manages others is handed on by a log-in only while the password was just given.

use http::Method;
use keyholt_core::actor::{Actor, Beyond};
use keyholt_core::commit::Record;
use keyholt_core::issue::IssueError;
use keyholt_core::key::Key;
use keyholt_core::owner::Owner;
use keyholt_core::rotate::{Grace, RotateError, Turn};
use keyholt_core::time::Span;
use keyholt_core::token::Wished;
use keyholt_server::keeper::Refusal;
use serde_json::json;

use super::{In, KETTLE, STAPLE, in_cookie, kept, tokens, typed};
use crate::house::{Held, House, Wishes, canary, held, source, wish};
use crate::wire::Wire;

const FIVE_MINUTES: Span = Span::secs(300);

/// A house with an administrator who has a password.
async fn opened() -> (House, Owner) {
    let house = House::open().await;
    house.role_means("admin", &["*", "keyholt:*"]).await;
    let boss = house.user_with("boss", &["admin"]).await;
    house.give_password(&boss, STAPLE).await;
    (house, Owner::User(boss.id))
}

async fn log_in(house: &House) -> In {
    house.log_in("boss", STAPLE, in_cookie()).await.unwrap()
}

fn actor(house: &House, session: &In) -> Actor {
    house.keeper.authenticate_cookie(&session.secret, source()).unwrap()
}

async fn make(house: &House, session: &In, scopes: &[&str]) -> Result<Held, Refusal> {
    let actor = actor(house, session);
    let wish = wish(actor.owner, "made by a log-in").scopes(scopes);
    house
        .keeper
        .issue_key(&actor, house.project(), wish, None)
        .await
        .map(held)
}

#[tokio::test]
async fn a_key_that_manages_others_is_made_within_five_minutes_of_the_log_in_or_not_at_all() {
    let (house, boss) = opened().await;
    let session = log_in(&house).await;
    house.advance(FIVE_MINUTES);
    let managing = make(&house, &session, &["keyholt:keys:write"]).await.unwrap();
    house.advance(Span::millis(1));
    for powerful in [
        "keyholt:keys:write",
        "keyholt:keys:*",
        "keyholt:owners:write",
        "keyholt:project:write",
        "keyholt:sessions:write",
        "keyholt:*",
    ] {
        let told = make(&house, &session, &[powerful]).await.map(drop);
        let is_old = matches!(told, Err(Refusal::Issue(IssueError::Beyond(Beyond::OldLogIn { .. }))));
        assert!(is_old, "{powerful}: {told:?}");
    }
    let whole = wish(boss, "everything").everything();
    let told = house
        .keeper
        .issue_key(&actor(&house, &session), house.project(), whole, None)
        .await;
    assert!(matches!(
        told,
        Err(Refusal::Issue(IssueError::Beyond(Beyond::OldLogIn { .. })))
    ));
    for plain in [
        &["orders:read"][..],
        &["keyholt:keys:read", "keyholt:verify"],
        &["keyholt:self:write"],
    ] {
        make(&house, &session, plain).await.unwrap();
    }
    let turn = Turn {
        grace: Grace::For(Span::ZERO),
        client_made: None,
        cause: None,
    };
    let rotated = house
        .keeper
        .rotate_key(&actor(&house, &session), house.project(), managing.id(), turn, None)
        .await;
    assert!(
        matches!(
            rotated,
            Err(Refusal::Rotate(RotateError::Beyond(Beyond::OldLogIn { .. })))
        ),
        "a new secret of an old key is as good as a new key"
    );
    let refused = "key.issue refused: fresh_log_in_required".to_owned();
    assert!(house.trail().await.contains(&refused));

    house.keeper.prolong_session(&session.secret, source()).await.unwrap();
    assert!(
        make(&house, &session, &["keyholt:*"]).await.is_err(),
        "no password was given for that"
    );
    make(&house, &log_in(&house).await, &["keyholt:*"]).await.unwrap();
}

#[tokio::test]
async fn another_administrator_s_password_is_set_by_a_fresh_log_in_only() {
    let (house, _) = opened().await;
    let clerk = house.user_with("clerk", &["admin"]).await;
    let member = house.user_with("ada", &["member"]).await;
    let session = log_in(&house).await;
    house.advance(Span::millis(FIVE_MINUTES.ms() + 1));
    let old = actor(&house, &session);
    let set = |user: &keyholt_core::owner::User| {
        let (house, old, user) = (house.clone(), old.clone(), user.id);
        async move {
            house
                .keeper
                .set_password(&old, house.project(), user, &typed(KETTLE))
                .await
        }
    };
    let told = set(&clerk).await;
    assert!(
        matches!(told, Err(Refusal::Beyond(Beyond::OldLogIn { .. }))),
        "{told:?}"
    );
    set(&member).await.unwrap();
}

#[tokio::test]
async fn over_the_wire_the_reason_has_a_code_and_logging_in_again_is_the_way_out() {
    let (house, _) = opened().await;
    let wire = Wire::to(&house.keeper);
    let session = house.log_in("boss", STAPLE, tokens()).await.unwrap();
    house.advance(Span::secs(301));
    let ask = async |session: &In| {
        let token = house
            .keeper
            .session_token(session.session.id, Wished::All)
            .await
            .unwrap()
            .text;
        canary(&token);
        let body = json!({"name": "deploy", "scopes": ["keyholt:owners:write"]});
        wire.call(Method::POST, &token, "/v1/projects/acme/keys", body).await
    };
    let refused = ask(&session).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (403, "fresh_log_in_required")
    );
    assert!(
        refused.json()["detail"]
            .as_str()
            .unwrap()
            .contains("keyholt:owners:write")
    );
    let again = house.log_in("boss", STAPLE, tokens()).await.unwrap();
    let made = ask(&again).await.ok().json();
    canary(made["secret"].as_str().unwrap());
}

#[tokio::test]
async fn an_operator_s_log_in_is_over_after_an_idle_hour_and_after_a_day() {
    let house = House::open().await;
    let olga = house.olga();
    let Record::User(user) = house
        .keeper
        .owner(&olga, olga.home, olga.owner)
        .unwrap()
        .as_ref()
        .clone()
    else {
        panic!("an operator is a user");
    };
    house.give_password(&user, STAPLE).await;
    let log_in = async || {
        let password = typed(STAPLE);
        let logged_in = house.keeper.log_in(olga.home, "olga", &password, in_cookie(), source());
        kept(logged_in.await.unwrap())
    };
    let works = |session: &In| house.keeper.authenticate_cookie(&session.secret, source()).is_ok();
    let idle = log_in().await;
    house.advance(Span::millis(Span::hours(1).ms() - 1));
    assert!(works(&idle));
    house.advance(Span::millis(1));
    assert!(!works(&idle), "an hour of nothing");

    let busy = log_in().await;
    let mut ends: Key = busy.session.clone();
    let started = house.keeper.now();
    for _ in 0..24 {
        house.advance(Span::secs(59 * 60));
        ends = house.keeper.prolong_session(&busy.secret, source()).await.unwrap();
    }
    assert_eq!(ends.expiry.at(), Some(started.plus(Span::hours(24))));
    house.advance(Span::secs(24 * 60));
    assert!(!works(&busy), "a day of work");
}
