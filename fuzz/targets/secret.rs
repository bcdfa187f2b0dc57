//! Whatever somebody shows as a secret: read or refused, and nothing is trimmed to make it fit.
#![no_main]

use keyholt_core::secret::{Format, Presented};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(presented) = Presented::parse(text) else { return };
    for other in [format!("{text} "), format!(" {text}"), format!("{text}\n")] {
        assert!(Presented::parse(&other).is_err(), "{other:?} is a second spelling");
    }
    if presented.format() == Format::Keyholt {
        let shorter = &text[..text.len() - 1];
        let is_ours = Presented::parse(shorter).is_ok_and(|cut| cut.format() == Format::Keyholt);
        assert!(!is_ours, "the check of {text:?} holds for a part of it");
    }
});
