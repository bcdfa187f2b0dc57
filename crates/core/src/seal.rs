//! The master key and what is derived from it: the pepper, the row seal, and a check that the right one is used.

use std::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::secret::Pepper;

/// The one secret of an installation; everything kept at rest depends on it.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// The master key with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A subkey for one purpose (HKDF-SHA-256, RFC 5869).
    fn subkey(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut subkey = Zeroizing::new([0u8; 32]);
        let expanded =
            Hkdf::<Sha256>::new(Some(b"keyholt/v1"), self.0.as_ref()).expand(purpose.as_bytes(), subkey.as_mut());
        debug_assert!(expanded.is_ok(), "32 bytes are within what HKDF gives");
        subkey
    }

    /// What turns fingerprints into digests.
    pub fn pepper(&self) -> Pepper {
        Pepper::new(&self.subkey("pepper"))
    }

    /// What seals rows.
    pub fn sealer(&self) -> Sealer {
        Sealer(keyed(&self.subkey("row seal")))
    }

    /// What passwords are hashed with besides their salt: without it a stolen database tells nothing about them.
    pub fn password_secret(&self) -> Zeroizing<[u8; 32]> {
        self.subkey("passwords")
    }

    /// What encrypts private keys at rest.
    pub fn envelope(&self) -> Zeroizing<[u8; 32]> {
        self.subkey("envelope")
    }

    /// A value kept beside the data, by which a wrong master key is noticed at start.
    pub fn check(&self) -> [u8; 32] {
        *self.subkey("check")
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// Whose seals are believed: the present master key's, and those of the one before as long as rows are sealed anew.
#[derive(Clone, Debug)]
pub struct Sealers {
    present: Sealer,
    previous: Option<Sealer>,
}

/// With which master key a row is sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealedBy {
    /// With the present one.
    Present,
    /// With the one before: the row has to be sealed anew, and its digests and envelopes are of that one.
    Previous,
}

impl Sealers {
    /// Whose seals are believed.
    pub const fn new(present: Sealer, previous: Option<Sealer>) -> Self {
        Self { present, previous }
    }

    /// Whether rows may still be sealed with the one before.
    pub const fn is_pair(&self) -> bool {
        self.previous.is_some()
    }

    /// What new rows are sealed with.
    pub const fn present(&self) -> &Sealer {
        &self.present
    }

    /// With which of them a row is sealed, whose seal this tells of one; `None` is with neither.
    pub fn find(&self, is_it: impl Fn(&Sealer) -> bool) -> Option<SealedBy> {
        if is_it(&self.present) {
            return Some(SealedBy::Present);
        }
        self.previous
            .as_ref()
            .filter(|previous| is_it(previous))
            .map(|_| SealedBy::Previous)
    }
}

/// An HMAC state under a subkey; kept ready, so that a MAC costs a clone and not a key schedule.
pub(crate) fn keyed(subkey: &[u8; 32]) -> Hmac<Sha256> {
    // RFC 2104 §2: a key shorter than the block is followed by zeros.
    let mut block = Zeroizing::new([0u8; 64]);
    block.iter_mut().zip(subkey).for_each(|(place, byte)| *place = *byte);
    Hmac::new((&*block).into())
}

/// A MAC over everything in a row that carries authority.
#[derive(Clone, Copy)]
pub struct Seal([u8; 32]);

impl Seal {
    /// The seal with these bytes, as read from the store.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(…)")
    }
}

/// Whether two seals are the same, in constant time.
pub fn same(one: &Seal, other: &Seal) -> bool {
    one.0.ct_eq(&other.0).into()
}

/// Seals rows and checks seals.
///
/// Whoever can write to the database but has no master key can neither mint nor widen nor move a key:
/// the row that he makes has no right seal, and a broken seal refuses the row.
#[derive(Clone)]
pub struct Sealer(Hmac<Sha256>);

impl Sealer {
    /// Seals fields. Each is preceded by its length, so that no two lists of fields read alike.
    pub fn seal(&self, fields: &[&[u8]]) -> Seal {
        let mut mac = self.0.clone();
        for field in fields {
            mac.update(&(field.len() as u64).to_be_bytes());
            mac.update(field);
        }
        Seal(mac.finalize().into_bytes().into())
    }

    /// Whether a seal belongs to these fields.
    pub fn holds(&self, seal: &Seal, fields: &[&[u8]]) -> bool {
        same(&self.seal(fields), seal)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_belongs_to_its_fields_alone() {
        let sealer = MasterKey::new([7; 32]).sealer();
        let seal = sealer.seal(&[b"ab", b"c"]);
        assert!(sealer.holds(&seal, &[b"ab", b"c"]));
        assert!(
            !sealer.holds(&seal, &[b"a", b"bc"]),
            "moving a boundary must break the seal"
        );
        assert!(!MasterKey::new([8; 32]).sealer().holds(&seal, &[b"ab", b"c"]));
    }

    #[test]
    fn subkeys_are_apart() {
        let master = MasterKey::new([7; 32]);
        assert_ne!(*master.subkey("pepper"), *master.subkey("row seal"));
        assert_ne!(master.check(), MasterKey::new([8; 32]).check());
    }
}
