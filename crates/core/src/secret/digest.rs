//! What is known of a secret without the secret: its fingerprint, and the digest under which it is stored.

use std::fmt;

use sha2::block_api::compress256;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// SHA-256 of a secret: what a client that makes its own secret sends, and what an import brings.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A text that is not a SHA-256 in hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a SHA-256 as 64 lower-case hexadecimal digits")]
pub struct FingerprintError;

impl Fingerprint {
    /// The fingerprint of a secret's bytes.
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, FingerprintError> {
        let mut bytes = [0u8; 32];
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(FingerprintError);
        }
        for (place, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| FingerprintError)?;
            *place = u8::from_str_radix(pair, 16).map_err(|_| FingerprintError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(…)")
    }
}

/// What is stored instead of a secret: HMAC-SHA-256 of its fingerprint under the pepper.
///
/// There is no `PartialEq`: digests are compared in constant time or looked up by the keyring. A fingerprint, which comes from
/// clients, may be compared; a digest may not:
///
/// ```
/// fn compared<T: PartialEq>() {}
/// compared::<keyholt_core::secret::Fingerprint>();
/// ```
///
/// ```compile_fail
/// fn compared<T: PartialEq>() {}
/// compared::<keyholt_core::secret::Digest>();
/// ```
#[derive(Clone, Copy)]
pub struct Digest {
    bytes: [u8; 32],
    age: Age,
}

/// With which master key a digest was made. No column holds it: the seal of the row tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Age {
    /// With the present one.
    Present,
    /// With an earlier one: the secret is recognised as long as that one is known, and the digest is renewed when it is shown.
    Earlier,
    /// With an earlier one, and the secret has a newer digest: access tokens are still tied to this one.
    Former,
}

impl Digest {
    /// The digest with these bytes, as read from the store.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self {
            bytes,
            age: Age::Present,
        }
    }

    /// The bytes, for the store and the keyring.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// With which master key it was made.
    pub const fn age(&self) -> Age {
        self.age
    }

    /// The same digest, known to be of this age.
    #[must_use]
    pub const fn aged(self, age: Age) -> Self {
        Self { age, ..self }
    }

    /// Whether two digests are the same, in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&other.bytes).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// Turns fingerprints into digests; made from the master key.
///
/// Somebody who can write to the database but has no master key cannot plant the digest of a secret that he knows.
#[derive(Clone)]
pub struct Pepper {
    present: Keyed,
    /// Of the master key before, while that one is known beside the present one.
    previous: Option<Keyed>,
}

/// HMAC-SHA-256 under one key.
#[derive(Clone)]
struct Keyed {
    /// SHA-256 after the one block that depends on the key alone: inside, and around it.
    inner: [u32; 8],
    outer: [u32; 8],
}

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;

impl Pepper {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self {
            present: Keyed::new(key),
            previous: None,
        }
    }

    /// The same pepper, and the one before it beside it.
    #[must_use]
    pub fn beside(self, previous: Option<Self>) -> Self {
        Self {
            previous: previous.map(|previous| previous.present),
            ..self
        }
    }

    /// The digest under which a secret with this fingerprint is stored.
    pub fn digest(&self, fingerprint: &Fingerprint) -> Digest {
        Digest::from_bytes(self.present.digest(fingerprint))
    }

    /// Whether the pepper before this one is known.
    pub const fn has_earlier(&self) -> bool {
        self.previous.is_some()
    }

    /// The digest that such a secret had before the master key was replaced, while that one is known.
    pub fn earlier(&self, fingerprint: &Fingerprint) -> Option<Digest> {
        let previous = self.previous.as_ref()?;
        Some(Digest::from_bytes(previous.digest(fingerprint)).aged(Age::Earlier))
    }

    /// Whether a digest is that of a secret with this fingerprint, under either master key; in constant time.
    pub fn recognises(&self, fingerprint: &Fingerprint, digest: &Digest) -> bool {
        let earlier = self.earlier(fingerprint).is_some_and(|earlier| earlier.matches(digest));
        self.digest(fingerprint).matches(digest) | earlier
    }
}

impl Keyed {
    fn new(key: &[u8; 32]) -> Self {
        let keyed = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK]);
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = INITIAL;
            compress256(&mut state, &[*block]);
            state
        };
        Self {
            inner: keyed(0x36),
            outer: keyed(0x5c),
        }
    }

    fn digest(&self, fingerprint: &Fingerprint) -> [u8; 32] {
        // HMAC with both keyed states prepared and both messages one block long: two blocks are all that a verify pays. The
        // library's own, which is made for messages of any length, takes twice the time. A test holds one against the other.
        after_key(self.outer, &after_key(self.inner, &fingerprint.0))
    }
}

/// SHA-256 of a block that led to `state`, and 32 bytes behind it.
fn after_key(mut state: [u32; 8], bytes: &[u8; 32]) -> [u8; 32] {
    /// What fills the block behind the bytes: one bit, zeros, and how many bits there are.
    const END: [u8; BLOCK - 32] = {
        let mut end = [0; BLOCK - 32];
        end[0] = 0x80;
        [end[30], end[31]] = ((BLOCK as u16 + 32) * 8).to_be_bytes();
        end
    };
    // In whole pieces: byte by byte, a block takes longer to put together than to hash.
    let mut block = [0; BLOCK];
    let (text, end) = block.split_at_mut(bytes.len());
    text.copy_from_slice(bytes);
    end.copy_from_slice(&END);
    compress256(&mut state, &[block]);
    let mut hash = [0; 32];
    for (place, word) in hash.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    hash
}

/// The state in which SHA-256 begins.
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_digest_is_the_hmac_of_the_fingerprint(key in proptest::array::uniform32(0u8..), text in ".{0,99}") {
            use hmac::{KeyInit, Mac};
            let fingerprint = Fingerprint::of(text.as_bytes());
            let mut mac = hmac::Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.update(&fingerprint.0);
            let expected: [u8; 32] = mac.finalize().into_bytes().into();
            let digest = Pepper::new(&key).digest(&fingerprint);
            proptest::prop_assert_eq!(digest.as_bytes(), &expected);
        }
    }
}
