//! Passwords: what may be one, who may set one, and what ends when one changes.

use keyholt_core::owner::{Owner, User};
use keyholt_server::keeper::Refusal;

use super::{KETTLE, STAPLE, in_cookie, tokens, typed};
use crate::house::{House, Wishes, source, wish};

async fn set(house: &House, user: &User, password: &str) -> Result<(), Refusal> {
    house
        .keeper
        .set_password(&house.olga(), user.project, user.id, &typed(password))
        .await
}

#[tokio::test]
async fn short_common_and_personal_passwords_are_refused() {
    let house = House::open().await;
    let ada = house.user("ada.lovelace.1815").await;
    assert!(matches!(
        set(&house, &ada, "x7#Gq!pL9").await,
        Err(Refusal::PasswordTooShort { least: 15 })
    ));
    for guessable in [
        "passwordpassword",
        "ada.lovelace.1815",
        "qwertyuiopqwertyuiop",
        "111111111111111111",
    ] {
        assert!(
            matches!(set(&house, &ada, guessable).await, Err(Refusal::PasswordGuessable)),
            "{guessable}"
        );
    }
    set(&house, &ada, STAPLE).await.unwrap();
    set(&house, &ada, &"pelican lantern ".repeat(40)).await.unwrap();
    // Fifteen characters count, not bytes.
    assert!(matches!(
        set(&house, &ada, "żółta-łódź-gęś").await,
        Err(Refusal::PasswordTooShort { .. })
    ));
}

#[tokio::test]
async fn the_policy_says_how_long_a_password_is() {
    let house = House::open().await;
    let ada = house.user("ada").await;
    house.policy(|policy| policy.log_in.password_chars_min = 8).await;
    set(&house, &ada, "x7#Gq!pL9v").await.unwrap();
    assert!(matches!(
        set(&house, &ada, "password1").await,
        Err(Refusal::PasswordGuessable)
    ));
}

#[tokio::test]
async fn whoever_could_not_hand_a_users_rights_on_cannot_set_the_password() {
    let house = House::open().await;
    house.role_means("admin", &["orders:*", "keyholt:*"]).await;
    let boss = house.user_with("boss", &["admin"]).await;
    let clerk = house.user_with("clerk", &["admin"]).await;
    let may_enrol = wish(Owner::User(clerk.id), "enrols").scopes(&["keyholt:owners:write"]);
    let passing = wish(Owner::User(clerk.id), "passing")
        .everything()
        .lasting(keyholt_core::time::Span::days(1));
    for narrow in [may_enrol, passing] {
        let key = house.issue(narrow).await;
        let told = house
            .keeper
            .set_password(&house.actor(&key.secret), house.project(), boss.id, &typed(KETTLE))
            .await;
        assert!(matches!(told, Err(Refusal::Beyond(_))), "{told:?}");
    }
    let whole = house.issue(wish(Owner::User(clerk.id), "whole").everything()).await;
    house
        .keeper
        .set_password(&house.actor(&whole.secret), house.project(), boss.id, &typed(KETTLE))
        .await
        .unwrap();
    assert!(
        house
            .trail()
            .await
            .contains(&"password.set refused: beyond_own_rights".to_owned())
    );
}

#[tokio::test]
async fn a_change_ends_all_other_sessions() {
    let house = House::open().await;
    house
        .role_means("member", &["keyholt:self:read", "keyholt:self:write"])
        .await;
    let ada = house.person("ada").await;
    let here = house.log_in("ada", STAPLE, in_cookie()).await.unwrap();
    let there = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let actor = house.keeper.authenticate_cookie(&here.secret, source()).unwrap();
    let wrong = house
        .keeper
        .change_password(&actor, &typed(KETTLE), &typed("a brand new umbrella"))
        .await;
    assert!(
        matches!(wrong, Err(Refusal::LogIn)),
        "the present one must be known: {wrong:?}"
    );
    house
        .keeper
        .change_password(&actor, &typed(STAPLE), &typed(KETTLE))
        .await
        .unwrap();
    assert!(house.refresh(&there.secret).await.is_err());
    assert!(house.keeper.authenticate_cookie(&here.secret, source()).is_ok());
    assert!(matches!(
        house.log_in("ada", STAPLE, tokens()).await,
        Err(Refusal::LogIn)
    ));
    assert!(house.log_in("ada", KETTLE, tokens()).await.is_ok());
    // Set by somebody else, it ends every one.
    house.give_password(&ada, STAPLE).await;
    assert!(house.keeper.authenticate_cookie(&here.secret, source()).is_err());
    assert!(house.sessions_of(&ada).await.is_empty());
}

#[tokio::test]
async fn composition_does_not_matter_and_everything_else_does() {
    let house = House::open().await;
    let ada = house.user("ada").await;
    set(&house, &ada, "vier schöne blaue Züge").await.unwrap();
    assert!(
        house
            .log_in("ada", "vier scho\u{308}ne blaue Zu\u{308}ge", tokens())
            .await
            .is_ok()
    );
    for other in [
        "vier schone blaue Zuge",
        "Vier schöne blaue Züge",
        "vier schöne blaue Züge ",
        "vier schöne blaue Züg",
    ] {
        assert!(house.log_in("ada", other, tokens()).await.is_err(), "{other:?}");
    }
}

#[tokio::test]
async fn a_hash_that_somebody_else_wrote_lets_nobody_in() {
    let house = House::open().await;
    house.person("ada").await;
    let eve = house.person("eve").await;
    let noun = keyholt_core::audit::Noun::Password;
    let stored = house
        .store
        .record(house.project(), noun, eve.id.uuid())
        .await
        .unwrap()
        .unwrap();
    assert!(!stored.body.contains(STAPLE));
    assert!(stored.body.contains("$argon2id$v=19$m=19456,t=2,p=1$"));
    // The trail shows neither.
    let told = serde_json::to_string(&house.events(house.project()).await).unwrap();
    assert!(!told.contains("argon2") && !told.contains(STAPLE));
}
