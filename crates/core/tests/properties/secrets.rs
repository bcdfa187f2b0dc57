//! Properties of secrets: what is minted is read, what is mistyped is not, and scanners find every one.

use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;

use keyholt_core::secret::{
    BODY, CHECK, Fingerprint, Format, Malformed, PATTERN, Prefix, Presented, Secret, Visibility, holds_secret,
};
use keyholt_core::text::Environment;

use super::cases;
use crate::support::Seeded;

pub(super) static SCANNER: LazyLock<Regex> = LazyLock::new(|| Regex::new(PATTERN).unwrap());

#[derive(Clone, Debug)]
struct Kind {
    prefix: String,
    publishable: Visibility,
    environment: Option<String>,
}

fn kind() -> impl Strategy<Value = Kind> {
    let visibility = prop_oneof![Just(Visibility::Secret), Just(Visibility::Publishable)];
    let environment = "[a-z][a-z0-9]{0,11}".prop_filter("marks publishable keys", |text| text != "pub");
    ("[a-z][a-z0-9]{0,15}", visibility, prop::option::of(environment)).prop_map(|(prefix, publishable, environment)| {
        Kind {
            prefix,
            publishable,
            environment,
        }
    })
}

fn mint(kind: &Kind, seed: u64) -> Secret {
    let environment = kind.environment.as_deref().map(|text| Environment::new(text).unwrap());
    let prefix = Prefix::new(&kind.prefix).unwrap();
    Secret::mint(&prefix, kind.publishable, environment.as_ref(), &mut Seeded::new(seed))
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn what_is_minted_is_read_and_found(kind in kind(), seed in any::<u64>()) {
        let secret = mint(&kind, seed);
        let (fingerprint, hint) = (secret.fingerprint(), secret.hint());
        let text = secret.reveal();
        let presented = Presented::parse(&text).unwrap();
        prop_assert_eq!(presented.format(), Format::Keyholt);
        prop_assert!(*presented.fingerprint() == fingerprint && fingerprint == Fingerprint::of(text.as_bytes()));
        prop_assert!(SCANNER.is_match(&text), "a scanner would miss it");
        prop_assert!(text.is_ascii() && text.len() <= 128);
        prop_assert!(holds_secret(&text));
        let head = text.len() - BODY - CHECK;
        let mark = match kind.publishable { Visibility::Publishable => "_pub", Visibility::Secret => "" };
        let environment = kind.environment.map(|text| format!("_{text}")).unwrap_or_default();
        prop_assert_eq!(&text[..head], format!("{}{mark}{environment}_", kind.prefix));
        prop_assert_eq!(hint.as_str(), format!("{}…{}", &text[..head], &text[text.len() - 4..]));
    }

    #[test]
    fn one_wrong_character_is_noticed_without_any_look_up(
        kind in kind(),
        seed in any::<u64>(),
        at in any::<prop::sample::Index>(),
        with in prop_oneof![3 => prop::char::range(' ', '~'), 1 => any::<char>()],
    ) {
        let text = mint(&kind, seed).reveal();
        let mut wrong: Vec<char> = text.chars().collect();
        let at = at.index(wrong.len());
        prop_assume!(wrong[at] != with);
        wrong[at] = with;
        let wrong: String = wrong.into_iter().collect();
        let head = text.len() - BODY - CHECK - 1;
        let fits = match at {
            0 => with.is_ascii_lowercase(),
            at if at < head => with.is_ascii_lowercase() || with.is_ascii_digit() || with == '_',
            at if at == head => false,
            _ => with.is_ascii_alphanumeric(),
        };
        match Presented::parse(&wrong) {
            Err(Malformed) => {}
            Ok(presented) => {
                prop_assert_eq!(presented.format(), Format::Foreign, "{} at {}", with, at);
                prop_assert!(!fits, "{with:?} at {at} could stand there: it is a slip, not another product's key");
            }
        }
    }

    #[test]
    fn swapping_two_neighbours_or_losing_one_is_noticed_too(kind in kind(), seed in any::<u64>(), at in 0..37usize) {
        let text = mint(&kind, seed).reveal();
        let place = text.len() - BODY - CHECK + at;
        let mut swapped = text.as_bytes().to_vec();
        swapped.swap(place, place + 1);
        if swapped != text.as_bytes() {
            prop_assert_eq!(Presented::parse(std::str::from_utf8(&swapped).unwrap()), Err(Malformed));
        }
        let mut short = text.to_string();
        short.remove(place);
        let format = |text: &str| Presented::parse(text).map(|presented| presented.format());
        prop_assert_ne!(format(&short), Ok(Format::Keyholt));
        prop_assert_ne!(format(&format!("{}x", text.as_str())), Ok(Format::Keyholt));
    }

    #[test]
    fn any_text_is_looked_at_without_trouble(text in any::<String>(), ascii in "[ -~]{0,60}") {
        for text in [text, ascii] {
            if let Ok(presented) = Presented::parse(&text) {
                prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()));
                prop_assert!(presented.format() == Format::Foreign, "nobody guesses a check");
            }
            prop_assert!(!holds_secret(&text));
        }
    }

    #[test]
    fn a_fingerprint_is_read_from_its_own_spelling_alone(bytes in any::<[u8; 32]>()) {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let fingerprint = Fingerprint::parse(&hex).unwrap();
        prop_assert!(fingerprint == Fingerprint::parse(&hex).unwrap());
        let mut other = bytes;
        other[31] ^= 1;
        let other = other.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        prop_assert!(fingerprint != Fingerprint::parse(&other).unwrap());
    }
}
