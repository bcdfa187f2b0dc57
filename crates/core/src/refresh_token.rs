//! Refresh tokens: a family that stays and a generation that changes, so that a token that was used up is recognised.
//!
//! ```text
//!   khr_7Qm…(22 base62)…v0  X2c…(22 base62)…9a  3Kd0f1
//!       ────────┬─────────  ─────────┬────────  ──┬───
//!         family, 130 bits   generation, 130 bits   check, as in every secret
//! ```
//!
//! Each is good once. Whoever shows an old one has either been slow or has stolen it, and nobody can tell which of the
//! two holders is the thief: so the whole family ends.

use std::fmt;

use zeroize::Zeroizing;

use crate::entropy::Entropy;
use crate::secret::{CHECK, Credentials, Fingerprint, Malformed, Pepper, Secret, is_checked, push_random};

/// The first word of every refresh token.
pub const PREFIX: &str = "khr";
/// Characters of either part: 130 bits, and short enough that the whole is one block of SHA-256.
const PART: usize = 22;
/// Where the family ends.
const FAMILY_END: usize = PREFIX.len() + 1 + PART;
/// Bytes of a token.
const BYTES: usize = FAMILY_END + PART + CHECK;

/// A refresh token that was minted or shown: its form is right, nothing more is known.
pub struct RefreshToken {
    /// The prefix with the family, to mint the next generation from.
    family: Zeroizing<String>,
    whole: Fingerprint,
}

impl RefreshToken {
    /// Mints the first token of a new family.
    pub fn mint(entropy: &mut dyn Entropy) -> (Secret, Self) {
        let mut family = Zeroizing::new(String::with_capacity(FAMILY_END));
        family.push_str(PREFIX);
        family.push('_');
        push_random(&mut family, PART, entropy);
        Self::generation(family, entropy)
    }

    /// Mints the token that comes after this one.
    pub fn next(self, entropy: &mut dyn Entropy) -> (Secret, Self) {
        Self::generation(self.family, entropy)
    }

    fn generation(family: Zeroizing<String>, entropy: &mut dyn Entropy) -> (Secret, Self) {
        let mut text = Zeroizing::new(String::with_capacity(BYTES));
        text.push_str(&family);
        push_random(&mut text, PART, entropy);
        let secret = Secret::checked(text);
        let whole = secret.fingerprint();
        (secret, Self { family, whole })
    }

    /// Looks at a text as a refresh token. Nothing is trimmed.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if !is_one(text) {
            return Err(Malformed);
        }
        let family = text.get(..FAMILY_END).ok_or(Malformed)?;
        Ok(Self {
            family: Zeroizing::new(family.to_owned()),
            whole: Fingerprint::of(text.as_bytes()),
        })
    }

    /// What a session keeps of it: the digests of the whole and of the family.
    pub fn credentials(&self, pepper: &Pepper) -> Credentials {
        Credentials::Family {
            current: pepper.digest(&self.whole),
            family: pepper.digest(&self.part()),
        }
    }

    /// What a session kept of it that was refreshed last before the master key was replaced.
    pub fn earlier_credentials(&self, pepper: &Pepper) -> Option<Credentials> {
        Some(Credentials::Family {
            current: pepper.earlier(&self.whole)?,
            family: pepper.earlier(&self.part())?,
        })
    }

    fn part(&self) -> Fingerprint {
        Fingerprint::of(self.family.as_bytes())
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

/// Whether a text has the form of a refresh token, right check included.
pub(crate) fn is_one(text: &str) -> bool {
    let random = text.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_'));
    text.len() == BYTES
        && random.is_some_and(|random| random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        && is_checked(text.as_bytes())
}
