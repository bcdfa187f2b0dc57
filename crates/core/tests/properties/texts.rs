//! Properties of texts: none keeps a character that controls, reorders or hides what stands beside it.

use proptest::prelude::*;

use keyholt_core::text::{
    Audience, Cause, Description, Email, Environment, ExternalId, Name, Origin, RequestKey, Slug, Tag,
};

use super::cases;

/// Everything that Unicode calls `Bidi_Control`, its line ends, and what is invisible by design.
const DECEIVING: [std::ops::RangeInclusive<char>; 17] = [
    '\0'..='\u{1f}',
    '\u{7f}'..='\u{9f}',
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200c}',
    '\u{200e}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{2064}',
    '\u{2066}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff9}'..='\u{fffb}',
    '\u{e0000}'..='\u{e01ef}',
];

fn deceives(c: char) -> bool {
    DECEIVING.iter().any(|range| range.contains(&c))
}

fn deceiving() -> impl Strategy<Value = char> {
    prop::sample::select(&DECEIVING[..]).prop_flat_map(|range| prop::char::range(*range.start(), *range.end()))
}

/// What each kind of text makes of this one.
fn kept(text: &str) -> [(&'static str, bool); 11] {
    [
        ("name", Name::new(text).is_ok()),
        ("description", Description::new(text).is_ok()),
        ("slug", Slug::new(text).is_ok()),
        ("external id", ExternalId::new(text).is_ok()),
        ("e-mail", Email::new(text).is_ok()),
        ("tag", Tag::new(text).is_ok()),
        ("environment", Environment::new(text).is_ok()),
        ("audience", Audience::new(text).is_ok()),
        ("cause", Cause::new(text).is_ok()),
        ("request key", RequestKey::new(text).is_ok()),
        ("origin", Origin::new(text).is_ok()),
    ]
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_deceiving_character_is_kept_nowhere(
        good in prop_oneof![Just("abc"), Just("a@b.example"), Just("https://a.example")],
        at in any::<prop::sample::Index>(),
        c in deceiving(),
    ) {
        let mut text = String::from(good);
        text.insert(at.index(good.len() + 1), c);
        for (kind, kept) in kept(&text) {
            prop_assert!(!kept || (kind == "description" && c == '\n'), "{kind} kept {c:?}");
        }
    }

    #[test]
    fn what_is_kept_can_be_seen_and_fits(text in "\\PC{0,70}|.{0,20}") {
        let fine = !text.chars().any(deceives);
        for (kind, kept) in kept(&text) {
            prop_assert!(!kept || fine || (kind == "description" && text.contains('\n')), "{kind} kept {text:?}");
        }
        if let Ok(name) = Name::new(&text) {
            prop_assert_eq!(name.as_str(), text.as_str());
            prop_assert!((1..=Name::MOST).contains(&text.chars().count()));
            prop_assert_eq!(text.trim(), text.as_str());
            let stored = serde_json::to_string(&name).unwrap();
            prop_assert_eq!(serde_json::from_str::<Name>(&stored).unwrap(), name);
        }
    }
}
