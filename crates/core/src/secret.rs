//! Secrets: how they are written, minted, recognised and fingerprinted.
//!
//! ```text
//!   acme_live_q7XwB0s…(32 base62)…3Kd0f1G2h
//!   ────┬──── ──────────┬──────── ──┬───
//!     prefix      body, 190 bits   check: CRC-32 of all before it, 6 base62 characters
//! ```
//!
//! Underscores only, so that a double click selects the whole secret. The check refuses typing errors and
//! scanner noise without any look-up; it is not a security measure.

mod digest;

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::text::Environment;

pub use digest::{Age, Digest, Fingerprint, FingerprintError, Pepper};

/// Characters of the random body: 32 of 62 symbols, 190 bits.
pub const BODY: usize = 32;
/// Characters of the check.
pub const CHECK: usize = 6;
/// Longest text that is looked at as a secret at all.
pub const SECRET_BYTES_MAX: usize = 512;
/// Shortest text in a foreign format that is looked at as a secret (imported keys).
pub const FOREIGN_BYTES_MIN: usize = 16;

/// What stands in the prefix of a publishable key.
pub const PUBLISHABLE_MARK: &str = "pub";

/// One anchored regular expression that every secret of Keyholt matches; for secret scanners.
pub const PATTERN: &str = r"^([a-z][a-z0-9]{0,15}(_[a-z0-9]{1,16}){0,2}_[0-9A-Za-z]{38}|khr_[0-9A-Za-z]{50})$";

/// First words that are Keyholt's own: of refresh tokens, of session cookies, of set-up tokens.
pub const RESERVED_PREFIXES: [&str; 3] = [crate::refresh_token::PREFIX, SESSION_PREFIX, crate::found::SETUP_PREFIX];
/// The first word of a session's secret in a cookie.
pub const SESSION_PREFIX: &str = "khs";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The first word of a project's secrets, such as `acme`; 1 to 16 lower-case letters and digits.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(Box<str>);

/// A text that cannot start a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key prefix is 1 to 16 lower-case letters and digits, starting with a letter, and none that Keyholt reserves"
)]
pub struct PrefixError;

impl Prefix {
    /// Checks and keeps a prefix.
    pub fn new(text: &str) -> Result<Self, PrefixError> {
        let shaped = (1..=16).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if shaped {
            Ok(Self(text.into()))
        } else {
            Err(PrefixError)
        }
    }

    /// Checks and keeps a prefix that a project may have: none that is Keyholt's own.
    pub fn of_project(text: &str) -> Result<Self, PrefixError> {
        if RESERVED_PREFIXES.contains(&text) {
            return Err(PrefixError);
        }
        Self::new(text)
    }

    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        Self::new(&text)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.0.into()
    }
}

/// Whether a key's text may be seen by anybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visibility {
    /// Known to its holder alone.
    Secret,
    /// Meant for browsers; `pub` stands in its prefix.
    Publishable,
}

/// A key's secret text. It is shown once: [`Secret::reveal`] consumes it.
///
/// There is no `Clone`, `Display` or `Serialize`, and the memory is wiped when it is dropped. What a hint may, a secret may not:
///
/// ```
/// fn cloned<T: Clone>() {}
/// cloned::<keyholt_core::secret::Hint>();
/// ```
///
/// ```compile_fail
/// fn cloned<T: Clone>() {}
/// cloned::<keyholt_core::secret::Secret>();
/// ```
///
/// ```
/// fn written<T: serde::Serialize>() {}
/// written::<keyholt_core::secret::Hint>();
/// ```
///
/// ```compile_fail
/// fn written<T: serde::Serialize>() {}
/// written::<keyholt_core::secret::Secret>();
/// ```
///
/// And what an id may:
///
/// ```
/// fn shown<T: std::fmt::Display>() {}
/// shown::<keyholt_core::id::KeyId>();
/// ```
///
/// ```compile_fail
/// fn shown<T: std::fmt::Display>() {}
/// shown::<keyholt_core::secret::Secret>();
/// ```
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Mints a secret from the caller's entropy.
    pub fn mint(
        prefix: &Prefix,
        visibility: Visibility,
        environment: Option<&Environment>,
        entropy: &mut dyn Entropy,
    ) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(96));
        text.push_str(prefix.as_str());
        if visibility == Visibility::Publishable {
            text.push('_');
            text.push_str(PUBLISHABLE_MARK);
        }
        if let Some(environment) = environment {
            text.push('_');
            text.push_str(environment.as_str());
        }
        text.push('_');
        push_random(&mut text, BODY, entropy);
        Self::checked(text)
    }

    /// The secret that this text is, with its check put behind it.
    pub(crate) fn checked(mut text: Zeroizing<String>) -> Self {
        let check = check_of(text.as_bytes());
        text.extend(check.iter().map(|byte| char::from(*byte)));
        Self(text)
    }

    /// What the store may know of it.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.0.as_bytes())
    }

    /// How people recognise the key in a list: its prefix and last four characters.
    pub fn hint(&self) -> Hint {
        let prefix = self.0.rfind('_').and_then(|end| self.0.get(..end)).unwrap_or_default();
        let last = self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default();
        Hint(format!("{prefix}_…{last}").into())
    }

    /// Gives the text away, once. The only call outside tests is the answer that shows it.
    pub fn reveal(self) -> Zeroizing<String> {
        self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The part of a secret that may be shown in lists for ever.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hint(Box<str>);

impl Hint {
    /// The hint as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bytes drawn at a time: nearly always enough for a body, although some are thrown away.
const DRAWN: usize = BODY + 8;

/// Puts so many random base62 characters behind a text.
pub(crate) fn push_random(text: &mut Zeroizing<String>, characters: usize, entropy: &mut dyn Entropy) {
    let end = text.len() + characters;
    while text.len() < end {
        let mut bytes = Zeroizing::new([0u8; DRAWN]);
        entropy.fill(bytes.as_mut());
        // 248 is the largest multiple of 62 in a byte: taking the rest of a division beyond it would favour some symbols.
        for byte in bytes.iter().filter(|byte| **byte < 248) {
            if text.len() < end {
                text.push(char::from(symbol(u32::from(*byte))));
            }
        }
    }
}

fn symbol(value: u32) -> u8 {
    ALPHABET.get((value % 62) as usize).copied().unwrap_or(b'0')
}

/// Whether a text ends in the check of what stands before it.
pub(crate) fn is_checked(text: &[u8]) -> bool {
    text.len()
        .checked_sub(CHECK)
        .and_then(|end| text.split_at_checked(end))
        .is_some_and(|(before, check)| check_holds(before, check))
}

/// Whether a check belongs to the text before it: its number is the text's CRC-32.
///
/// It is read rather than written anew, because each digit can be read apart and none waits for the one before.
fn check_holds(text: &[u8], check: &[u8]) -> bool {
    let number = check.iter().fold(0, |number, byte| number * 62 + value(*byte));
    number == u64::from(crc32fast::hash(text))
}

/// What a symbol stands for; for other bytes something no sum of which is a CRC-32, or more than a word holds.
fn value(symbol: u8) -> u64 {
    const NONE: u8 = u8::MAX;
    const VALUES: [u8; 256] = {
        let mut values = [NONE; 256];
        let mut value = 0;
        while value < ALPHABET.len() {
            values[ALPHABET[value] as usize] = value as u8;
            value += 1;
        }
        values
    };
    match VALUES.get(usize::from(symbol)) {
        Some(&NONE) | None => 1 << 33,
        Some(&value) => u64::from(value),
    }
}

fn check_of(text: &[u8]) -> [u8; CHECK] {
    let mut crc = crc32fast::hash(text);
    let mut check = [b'0'; CHECK];
    for place in check.iter_mut().rev() {
        *place = symbol(crc);
        crc /= 62;
    }
    check
}

/// Whether a text has the shape of our secrets, and if so whether its check is right.
fn shape(text: &[u8]) -> Shape {
    let Some(joint) = text.len().checked_sub(BODY + CHECK + 1) else {
        return Shape::Foreign;
    };
    let (head, tail) = text.split_at(joint);
    let prefixed = head.first().is_some_and(u8::is_ascii_lowercase)
        && all(head, |b| b.is_ascii_lowercase() | b.is_ascii_digit() | (b == b'_'));
    let Some((b'_', random)) = tail.split_first() else {
        return Shape::Foreign;
    };
    if !prefixed || head.len() > 50 || !all(random, |b| b.is_ascii_alphanumeric()) {
        return Shape::Foreign;
    }
    let (before, check) = text.split_at(text.len() - CHECK);
    if check_holds(before, check) {
        Shape::Ours
    } else {
        Shape::Mistyped
    }
}

/// Whether this is true of all bytes. There is no way out in the middle, so that many are looked at together.
#[inline]
fn all(bytes: &[u8], is: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(true, |all, byte| all & is(*byte))
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Ours,
    Mistyped,
    Foreign,
}

/// Whether a text holds one of our secrets, right check included; nothing such is ever stored.
pub fn holds_secret(text: &str) -> bool {
    text.len() >= BODY + CHECK + 2
        && text
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .any(|word| shape(word.as_bytes()) == Shape::Ours || crate::refresh_token::is_one(word))
}

/// A credential that somebody showed: its form is right, nothing more is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Presented {
    fingerprint: Fingerprint,
    format: Format,
}

/// Whose format a presented secret has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Ours, with the right check.
    Keyholt,
    /// Some other product's; only imported keys look like this.
    Foreign,
}

/// A text that cannot be a secret: wrong check, wrong length or wrong characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a secret: mistyped or cut off")]
pub struct Malformed;

impl Presented {
    /// Looks at a text as a secret. Nothing is trimmed: a secret has one spelling.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let bytes = text.as_bytes();
        let format = match shape(bytes) {
            Shape::Ours => Format::Keyholt,
            Shape::Mistyped => return Err(Malformed),
            Shape::Foreign => {
                let sized = (FOREIGN_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes.len());
                if !sized || !all(bytes, |b| b.is_ascii_graphic()) {
                    return Err(Malformed);
                }
                Format::Foreign
            }
        };
        Ok(Self {
            fingerprint: Fingerprint::of(bytes),
            format,
        })
    }

    /// The SHA-256 of the text.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Whose format it has.
    pub fn format(&self) -> Format {
        self.format
    }
}

/// The fingerprint of a session's secret as a cookie carries it.
pub fn session_cookie(text: &str) -> Result<Fingerprint, Malformed> {
    let marked = text
        .strip_prefix(SESSION_PREFIX)
        .is_some_and(|rest| rest.starts_with('_'));
    let presented = Presented::parse(text)?;
    if marked && presented.format == Format::Keyholt {
        Ok(presented.fingerprint)
    } else {
        Err(Malformed)
    }
}

/// The secrets by which a key is recognised now: never more than two.
#[derive(Clone, Copy, Debug)]
pub enum Credentials {
    /// One secret.
    One(Digest),
    /// A new secret, and the old one until its grace ends.
    Rotating {
        /// The secret made by the rotation.
        current: Digest,
        /// The secret before it.
        retiring: Digest,
        /// When the old secret is dead.
        until: crate::time::Moment,
    },
    /// One secret whose digest was renewed, and the digest that it had before: access tokens are tied to that one.
    Renewed {
        /// The secret's digest.
        current: Digest,
        /// What it was with an earlier master key.
        former: Digest,
        /// When no access token is tied to that one any more.
        until: crate::time::Moment,
    },
    /// The newest of a family of refresh tokens, and what is the same in all of them: so an old one is recognised.
    Family {
        /// The newest token.
        current: Digest,
        /// What the family's tokens share. Whoever shows it without being the newest shows one that was used up.
        family: Digest,
    },
}

impl Credentials {
    /// The digest of the newest secret.
    pub fn current(&self) -> &Digest {
        match self {
            Self::One(digest)
            | Self::Rotating { current: digest, .. }
            | Self::Renewed { current: digest, .. }
            | Self::Family { current: digest, .. } => digest,
        }
    }

    /// The other digest under which the key is found: of its old secret, of the same one before, or of its family.
    pub fn beside(&self) -> Option<&Digest> {
        match self {
            Self::One(_) => None,
            Self::Rotating { retiring: digest, .. }
            | Self::Renewed { former: digest, .. }
            | Self::Family { family: digest, .. } => Some(digest),
        }
    }

    /// When the other digest is of no use any more; a family's never is.
    pub fn beside_until(&self) -> Option<crate::time::Moment> {
        match self {
            Self::One(_) | Self::Family { .. } => None,
            Self::Rotating { until, .. } | Self::Renewed { until, .. } => Some(*until),
        }
    }

    /// The same digests, known to be of these ages.
    pub(crate) fn aged(self, now: Age, beside: Age) -> Self {
        let current = self.current().aged(now);
        match self {
            Self::One(_) => Self::One(current),
            Self::Family { family, .. } => Self::Family {
                current,
                family: family.aged(beside),
            },
            Self::Rotating {
                retiring: other, until, ..
            }
            | Self::Renewed {
                former: other, until, ..
            } => {
                let other = other.aged(beside);
                match beside {
                    Age::Former => Self::Renewed {
                        current,
                        former: other,
                        until,
                    },
                    Age::Present | Age::Earlier => Self::Rotating {
                        current,
                        retiring: other,
                        until,
                    },
                }
            }
        }
    }

    /// The same, with the old secret dead now at the latest. It is remembered, so that whoever goes on showing it is noticed.
    #[must_use]
    pub fn cut_short(self, now: crate::time::Moment) -> Self {
        match self {
            Self::One(current) | Self::Renewed { current, .. } | Self::Family { current, .. } => Self::One(current),
            Self::Rotating {
                current,
                retiring,
                until,
            } => Self::Rotating {
                current,
                retiring,
                until: until.min(now),
            },
        }
    }

    /// The old secret's digest and end, while it is kept: until the next rotation.
    pub fn retiring(&self) -> Option<(&Digest, crate::time::Moment)> {
        match self {
            Self::One(_) | Self::Renewed { .. } | Self::Family { .. } => None,
            Self::Rotating { retiring, until, .. } => Some((retiring, *until)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u8);

    impl Entropy for Counting {
        fn fill(&mut self, buffer: &mut [u8]) {
            for byte in buffer {
                *byte = self.0;
                self.0 = self.0.wrapping_add(41);
            }
        }
    }

    fn minted() -> String {
        let prefix = Prefix::new("acme").unwrap();
        let live = Environment::new("live").unwrap();
        Secret::mint(&prefix, Visibility::Secret, Some(&live), &mut Counting(3))
            .reveal()
            .to_string()
    }

    #[test]
    fn a_minted_secret_is_recognised_and_any_slip_is_not() {
        let text = minted();
        assert_eq!(Presented::parse(&text).unwrap().format(), Format::Keyholt);
        for at in text.find("live_").unwrap() + 5..text.len() {
            let mut slipped = text.clone().into_bytes();
            slipped[at] = if slipped[at] == b'a' { b'b' } else { b'a' };
            let slipped = String::from_utf8(slipped).unwrap();
            assert_eq!(Presented::parse(&slipped), Err(Malformed), "{at}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_check_holds_where_it_is_the_one_that_is_written(text in "[a-z_0-9]{1,60}", other in "[0-9A-Za-z_]{6}") {
            let check = check_of(text.as_bytes());
            proptest::prop_assert!(check_holds(text.as_bytes(), &check));
            proptest::prop_assert_eq!(check_holds(text.as_bytes(), other.as_bytes()), check == other.as_bytes());
            // What is no symbol counts for nothing at all, not for the first one either.
            let odd = check.map(|symbol| if symbol == b'0' { b'_' } else { symbol });
            proptest::prop_assert_eq!(check_holds(text.as_bytes(), &odd), check == odd);
        }
    }

    #[test]
    fn nothing_is_trimmed_or_folded() {
        let text = minted();
        for odd in [
            format!(" {text}"),
            format!("{text}\n"),
            format!("{text}\0"),
            text.replace('a', "а"),
            "short".into(),
            "x".repeat(600),
        ] {
            assert!(Presented::parse(&odd).is_err_and(|e| e == Malformed), "{odd:?}");
        }
    }

    #[test]
    fn a_secret_in_prose_is_noticed() {
        let text = minted();
        assert!(holds_secret(&format!("the key is {text}, keep it")));
        assert!(!holds_secret("the key is acme_live_something, keep it"));
    }

    #[test]
    fn a_hint_gives_away_four_characters() {
        let secret = Secret::mint(
            &Prefix::new("kh").unwrap(),
            Visibility::Publishable,
            None,
            &mut Counting(9),
        );
        let hint = secret.hint();
        let text = secret.reveal();
        assert_eq!(hint.as_str().chars().last(), text.chars().last());
        assert!(hint.as_str().starts_with("kh_pub_…"));
        assert_eq!(hint.as_str().chars().count(), "kh_pub_…".chars().count() + 4);
    }
}
