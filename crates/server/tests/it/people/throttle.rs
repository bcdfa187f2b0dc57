//! Throttling: guesses are counted by name, whatever its spelling, and a restart forgets none of them.

use std::ops::Range;
use std::sync::Arc;

use keyholt_core::actor::Source;
use keyholt_core::time::Span;
use keyholt_server::keeper::{GUESSES_AT_NAME, Refusal};
use keyholt_store::Memory;

use super::{KETTLE, STAPLE, tokens, typed};
use crate::house::{GUESSES, House, keeper_on, source};

fn has_to_wait<T>(told: &Result<T, Refusal>) -> bool {
    matches!(told, Err(Refusal::AccountThrottled(_)))
}

#[tokio::test]
async fn every_spelling_of_a_name_counts_as_the_same() {
    let house = House::open().await;
    house.person("admin").await;
    // Capitals, spaces, full-width letters, a Cyrillic а, a zero-width space, a Greek ο in a look-alike.
    let spellings = [
        "admin",
        "Admin",
        "ADMIN",
        "admin ",
        " ad min",
        "ａｄｍｉｎ",
        "аdmin",
        "ad\u{200B}min",
        "ÀDMIN",
        "admın",
    ];
    let mut refused = 0;
    for spelling in spellings.iter().cycle().take(40) {
        match house.log_in(spelling, KETTLE, tokens()).await {
            Err(Refusal::LogIn) => refused += 1,
            told => assert!(has_to_wait(&told), "{spelling}"),
        }
    }
    // À and ı are other letters than a and i, and not look-alikes of them by the letter of UTS 39.
    let (most, _) = GUESSES_AT_NAME[0];
    assert!(refused <= 3 * most, "{refused}");
    assert!(
        has_to_wait(&house.log_in("admin", STAPLE, tokens()).await),
        "the right one waits too"
    );
}

#[tokio::test]
async fn the_right_password_waits_until_the_window_passes() {
    let house = House::open().await;
    house.person("ada").await;
    let (most, within) = GUESSES_AT_NAME[0];
    for _ in 0..most {
        assert!(matches!(
            house.log_in("ada", KETTLE, tokens()).await,
            Err(Refusal::LogIn)
        ));
        house.advance(Span::secs(1));
    }
    let before = house.commits().await;
    let told = house.log_in("ada", STAPLE, tokens()).await;
    let Err(Refusal::AccountThrottled(wait)) = told else {
        panic!("not throttled");
    };
    assert_eq!(
        wait.0.as_millis(),
        u128::from(within.ms()) - 10_000,
        "until the first one is old enough"
    );
    assert_eq!(house.commits().await, before, "beyond the limit nothing is written");
    assert!(
        house
            .log_in("bob", STAPLE, tokens())
            .await
            .is_err_and(|told| matches!(told, Refusal::LogIn))
    );
    house.advance(Span::millis(wait.0.as_millis().try_into().unwrap()));
    assert!(house.log_in("ada", STAPLE, tokens()).await.is_ok());
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let store = Arc::new(Memory::new());
    let house = House::open_on(store.clone()).await;
    house.person("ada").await;
    for _ in 0..GUESSES_AT_NAME[0].0 {
        assert!(house.log_in("ada", KETTLE, tokens()).await.is_err());
    }
    let house = House {
        keeper: keeper_on(store, Arc::clone(&house.clock), 99).await,
        ..house
    };
    assert!(has_to_wait(&house.log_in("ada", STAPLE, tokens()).await));
}

/// A wrong password with a new name each time, from this address: what counts is where it comes from.
async fn guess_from(house: &House, address: &str, times: Range<u32>) -> Result<(), Refusal> {
    let source = Source {
        address: Some(address.parse().unwrap()),
        ..source()
    };
    for n in times {
        let guess = typed(KETTLE);
        let login = format!("somebody-{n}");
        let told = house
            .keeper
            .log_in(house.project(), &login, &guess, tokens(), source.clone())
            .await;
        match told {
            Err(Refusal::LogIn) => {}
            Err(other) => return Err(other),
            Ok(_) => panic!("nobody has that password"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_source_that_guessed_too_often_waits_after_a_restart_too() {
    let store = Arc::new(Memory::new());
    let house = House::open_on(store.clone()).await;
    let allowance = GUESSES.per_minute.get();
    guess_from(&house, "198.51.100.1", 0..allowance).await.unwrap();
    guess_from(&house, "198.51.100.2", 0..allowance / 2).await.unwrap();
    let restarted = House {
        keeper: keeper_on(store, Arc::clone(&house.clock), 99).await,
        ..house.clone()
    };
    for house in [&house, &restarted] {
        let told = guess_from(house, "198.51.100.1", 0..1).await;
        assert!(matches!(told, Err(Refusal::TooManyGuesses(_))), "{told:?}");
    }
    let rest = guess_from(&restarted, "198.51.100.2", 0..allowance).await;
    assert!(matches!(rest, Err(Refusal::TooManyGuesses(_))), "it owes what it owed");
    guess_from(&restarted, "198.51.100.3", 0..1).await.unwrap();
    house.advance(Span::secs(60));
    guess_from(&restarted, "198.51.100.1", 0..1).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_guesses_at_once_are_counted_like_ten_in_a_row() {
    let house = House::open().await;
    house.person("ada").await;
    let guesses: Vec<_> = (0..200)
        .map(|n| {
            let house = house.clone();
            tokio::spawn(async move {
                // From two hundred places, so that it is the name that counts.
                let source = Source {
                    address: Some([198, 51, 100, u8::try_from(n).unwrap()].into()),
                    ..source()
                };
                let guess = typed(&format!("guess number {n}"));
                let told = house
                    .keeper
                    .log_in(house.project(), "ada", &guess, tokens(), source)
                    .await;
                matches!(told, Err(Refusal::LogIn))
            })
        })
        .collect();
    let mut looked_at = 0;
    for guess in guesses {
        looked_at += usize::from(guess.await.unwrap());
    }
    let (most, _) = GUESSES_AT_NAME[0];
    let over = keyholt_server::keeper::HASHES_AT_ONCE - 1;
    assert!((most..=most + over).contains(&looked_at), "{looked_at}");
}

#[tokio::test]
async fn a_hundred_wrong_passwords_a_day_are_all_that_are_looked_at() {
    let house = House::open().await;
    house.person("ada").await;
    let mut looked_at = 0;
    for _ in 0..23 {
        for _ in 0..GUESSES_AT_NAME[0].0 {
            let told = house.log_in("ada", KETTLE, tokens()).await;
            looked_at += usize::from(matches!(told, Err(Refusal::LogIn)));
        }
        house.advance(Span::hours(1));
    }
    assert_eq!(looked_at, GUESSES_AT_NAME[1].0);
    house.advance(Span::hours(24));
    assert!(
        house.log_in("ada", STAPLE, tokens()).await.is_ok(),
        "nobody is locked out for good"
    );
}
