//! Estimates how hard a secret is to guess that a client made by itself and sends in clear.

use std::collections::BTreeMap;

use crate::secret::{Fingerprint, Presented};

/// Fewest bits of estimated randomness in a secret that a client made.
pub const BITS_MIN: u32 = 128;
/// Fewest bits that its characters, and the steps between them, must surprise by, whatever alphabet they are from.
const SURPRISE_BITS_MIN: f64 = 60.0;

/// Why a text is not taken for a secret. Never repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Weak {
    /// It could not be shown as a credential: its length or characters, or a mistyped secret of ours.
    #[error("must be 16 to 512 printable ASCII characters without spaces, and no mistyped key")]
    Form,
    /// Somebody sends back what stands in the secret's place where it is not shown.
    #[error("is the mask that stands for a secret, not a secret")]
    Mask,
    /// It is too short for its alphabet, or has a pattern.
    #[error("is too easy to guess: needs 128 bits of randomness, such as 22 random letters and digits")]
    Guessable,
}

/// The fingerprint of a secret that a client made, if nobody is likely to guess it.
///
/// An estimate: it refuses what is short, repeated or counted up, and cannot know a sentence from a book.
pub fn strong(text: &str) -> Result<Fingerprint, Weak> {
    if is_mask(text) {
        return Err(Weak::Mask);
    }
    let bytes = text.as_bytes();
    // Before the form: that a short password is weak says more than that it is short.
    if bytes.is_ascii() && !is_strong(bytes) {
        return Err(Weak::Guessable);
    }
    let presented = Presented::parse(text).map_err(|_| Weak::Form)?;
    Ok(*presented.fingerprint())
}

/// Whether a text is of the one character that stands for characters that are not shown.
pub fn is_mask(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| matches!(c, '*' | '•' | '●'))
}

fn is_strong(text: &[u8]) -> bool {
    let steps: Vec<u8> = text
        .iter()
        .zip(text.iter().skip(1))
        .map(|(one, next)| next.wrapping_sub(*one))
        .collect();
    bits(text) >= f64::from(BITS_MIN) && surprise(text) >= SURPRISE_BITS_MIN && surprise(&steps) >= SURPRISE_BITS_MIN
}

/// The bits of a text that was drawn from the smallest usual alphabet that its characters are from.
fn bits(text: &[u8]) -> f64 {
    let has = |class: fn(&u8) -> bool| text.iter().any(class);
    let hexadecimal = |case: fn(&u8) -> bool| {
        text.iter()
            .filter(|byte| byte.is_ascii_alphanumeric())
            .all(|byte| byte.is_ascii_digit() || (byte.is_ascii_hexdigit() && case(byte)))
    };
    let hexadecimal = hexadecimal(u8::is_ascii_lowercase) || hexadecimal(u8::is_ascii_uppercase);
    let letters = if hexadecimal && has(u8::is_ascii_alphabetic) {
        16
    } else {
        let class = |class: fn(&u8) -> bool, size: u32| if has(class) { size } else { 0 };
        class(u8::is_ascii_lowercase, 26) + class(u8::is_ascii_uppercase, 26) + class(u8::is_ascii_digit, 10)
    };
    // Of other characters only those that are there: a text with one hyphen is not from an alphabet with all of them.
    let others = counts(text)
        .into_keys()
        .filter(|byte| !byte.is_ascii_alphanumeric())
        .count();
    // Hyphens that group the digits of an identifier are not drawn at all.
    let drawn = if letters == 16 && others == 1 {
        text.iter().filter(|byte| byte.is_ascii_alphanumeric()).count()
    } else {
        text.len()
    };
    let alphabet = if drawn < text.len() {
        letters
    } else {
        letters + length(others)
    };
    f64::from(length(drawn)) * f64::from(alphabet.max(1)).log2()
}

/// How much the characters surprise somebody who knows how often each of them is there: Shannon's entropy of the text.
fn surprise(text: &[u8]) -> f64 {
    let whole = f64::from(length(text.len()));
    let bits = |count: u32| f64::from(count) * (whole / f64::from(count)).log2();
    counts(text).into_values().map(bits).sum()
}

fn counts(text: &[u8]) -> BTreeMap<u8, u32> {
    let mut counts = BTreeMap::new();
    for byte in text {
        *counts.entry(*byte).or_insert(0) += 1;
    }
    counts
}

fn length(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_random_enough_is_taken() {
        for good in [
            "V1StGXR8_Z5jdHi6B-myTqPw0aUeKcLn",
            "q7XwB0sLm2Rk9TzYv4Hc1N",
            "9f86d081884c7d659a2feaa0c55ad015",
            "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B",
            "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed",
            "6183927465019384711029384756172839405572",
            "xkqzjvwphygmbtfrlnsducaeioqz",
            "q7XwB0s-m2Rk9TzYv4Hc1N",
            "q7X!B0s#m2R$9Tz%v4&*(",
        ] {
            let fingerprint = strong(good).unwrap_or_else(|weak| panic!("{good}: {weak}"));
            assert_eq!(fingerprint, Fingerprint::of(good.as_bytes()));
        }
    }

    #[test]
    fn what_is_short_repeated_or_counted_up_is_not() {
        for weak in [
            "",
            "a",
            "password",
            "12345678901234567890123456789012345678901234567890",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabcabcabcabcabcabcabcabc",
            "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ",
            "q7XwB0sLm2Rk9TzYv4Hc1",
            "9f86d081884c7d659a2feaa0c55ad01",
            "6183927465019384756102938475617283940",
            "xkqzjvwphygmbtfrlnsducaeioq",
            "1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4be",
            "q7X!B0s#m2R$9Tz%v4&*H",
            &"1234567890".repeat(8),
            "!##%!%!!#%%#!#%!!%#%##!%#!%%!#!%#!##%!%#",
        ] {
            assert_eq!(strong(weak), Err(Weak::Guessable), "{weak}");
        }
    }

    #[test]
    fn the_mask_is_not_a_secret() {
        for mask in ["*", "**********", "••••••••••••••••••••••••••••••••"]
        {
            assert_eq!(strong(mask), Err(Weak::Mask));
        }
    }

    #[test]
    fn what_could_never_be_shown_is_refused_when_it_is_made() {
        for odd in ["q7XwB0sLm2Rk9 TzYv4Hc1NpWa", "ключ-q7XwB0sLm2Rk9TzYv4Hc1N"] {
            assert_eq!(strong(odd), Err(Weak::Form), "{odd}");
        }
        // A secret of ours with a slip in its check would be refused wherever it is shown.
        assert_eq!(strong("kh_V1StGXR8Z5jdHi6BmyTqPw0aUeKcLn0s000000"), Err(Weak::Form));
    }
}
