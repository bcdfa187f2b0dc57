//! Properties of sessions: whatever is shown in whatever order, one token lives, and one that was used up never does.

use proptest::prelude::*;

use keyholt_core::key::{Key, State};
use keyholt_core::project::LogInPolicy;
use keyholt_core::refresh_token::RefreshToken;
use keyholt_core::secret::{Presented, holds_secret};
use keyholt_core::session::{RefreshError, Started, end_reused, refresh};
use keyholt_core::time::{Expiry, Span};

use super::cases;
use crate::sessions::{Scene, source};
use crate::support::Seeded;

fn shown(text: &str) -> RefreshToken {
    RefreshToken::parse(text).unwrap()
}

/// What the keeper does with a token: refreshes, or ends the session of one that was used up.
fn show(scene: &mut Scene, session: &mut Key, text: &str) -> Option<String> {
    let outcome = refresh(
        session,
        shown(text),
        &LogInPolicy::PEOPLE,
        &scene.world.pepper,
        &source(),
        scene.world.now,
        &mut scene.world.entropy,
    );
    match outcome {
        Ok((Started { session: after, secret }, _)) => {
            *session = after;
            Some(secret.reveal().to_string())
        }
        Err(RefreshError::Over) => None,
        Err(RefreshError::Reused) => {
            end_reused(session, &source(), scene.world.now).unwrap().unwrap();
            session.state = State::Revoked {
                at: scene.world.now,
                cause: crate::support::cause("refresh token reused"),
            };
            None
        }
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn a_reused_token_never_yields_a_live_one(picks in prop::collection::vec((0usize..6, 0u64..40), 1..25)) {
        let mut scene = Scene::open();
        let (mut session, first) = scene.started();
        let mut tokens = vec![first];
        let mut reused = false;
        for (back, hours) in picks {
            scene.world.later(Span::hours(hours));
            let at = tokens.len().saturating_sub(1 + back);
            let is_newest = at + 1 == tokens.len();
            let over = session.state != State::Active || session.expiry.is_past(scene.world.now);
            let text = tokens[at].clone();
            let next = show(&mut scene, &mut session, &text);
            prop_assert_eq!(next.is_some(), is_newest && !over, "the newest of a live session, and no other");
            reused |= !is_newest && !over;
            prop_assert_eq!(matches!(session.state, State::Revoked { .. }), reused);
            tokens.extend(next);
        }
        if reused {
            for text in tokens {
                prop_assert_eq!(show(&mut scene, &mut session, &text), None, "nothing of the family lives");
            }
        }
    }

    #[test]
    fn a_session_never_outlasts_its_longest(hours in prop::collection::vec(1u64..160, 1..20)) {
        let mut scene = Scene::open();
        let (mut session, mut token) = scene.started();
        let longest = Expiry::At(session.created_at.plus(LogInPolicy::PEOPLE.longest));
        for hours in hours {
            scene.world.later(Span::hours(hours));
            let Some(next) = show(&mut scene, &mut session, &token) else { break };
            token = next;
            prop_assert!(!session.expiry.outlives(longest));
            prop_assert!(!session.expiry.is_past(scene.world.now));
        }
    }

    #[test]
    fn a_token_is_read_noticed_and_one_block_long(seed in any::<u64>(), at in 0usize..54, other in "[0-9A-Za-z]") {
        let (secret, _) = RefreshToken::mint(&mut Seeded::new(seed));
        let text = secret.reveal();
        prop_assert!(text.len() <= 55, "with its padding it is one block of SHA-256");
        prop_assert!(RefreshToken::parse(&text).is_ok());
        let in_prose = ["token=", &text].concat();
        prop_assert!(holds_secret(&in_prose));
        prop_assert!(super::secrets::SCANNER.is_match(&text));
        prop_assert_eq!(Presented::parse(&text).map(|shown| shown.format()), Ok(keyholt_core::secret::Format::Foreign));
        let mut slipped = text.to_string();
        slipped.replace_range(at..=at, &other);
        prop_assert_eq!(RefreshToken::parse(&slipped).is_ok(), slipped == *text);
    }
}
