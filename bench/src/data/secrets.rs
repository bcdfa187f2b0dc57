//! The secrets of a data set: each follows from its number, so that millions need not be kept beside the data.

use keyholt_core::entropy::Entropy;
use keyholt_core::secret::{Prefix, Secret, Visibility};

/// The first word of the secrets of the project that is measured.
pub const PREFIX: &str = "acme";
/// Numbers from here on belong to secrets of keys that do not exist.
const NOBODYS: u64 = 1 << 48;

/// Seeded randomness (splitmix64), good enough to look random and quick enough for ten million secrets.
pub struct Seeded(u64);

impl Seeded {
    /// The stream with this number.
    pub fn stream(number: u64) -> Self {
        let mut seeded = Self(number ^ 0x6B65_7968_6F6C_7401);
        // Neighbouring numbers must not give neighbouring states.
        Self(seeded.word())
    }

    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for piece in buffer.chunks_mut(8) {
            let word = self.word().to_be_bytes();
            piece.iter_mut().zip(word).for_each(|(place, byte)| *place = byte);
        }
    }
}

/// The secrets of a data set.
pub struct Secrets(Prefix);

impl Secrets {
    /// All of them begin with [`PREFIX`].
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Prefix::new(PREFIX)?))
    }

    /// The secret of the key with this number.
    pub fn of(&self, number: u64) -> Secret {
        Secret::mint(&self.0, Visibility::Secret, None, &mut Seeded::stream(number))
    }

    /// The text of the secret of the key with this number.
    pub fn text(&self, number: u64) -> String {
        self.of(number).reveal().to_string()
    }

    /// A well-formed secret that no key has.
    pub fn unknown(&self, number: u64) -> String {
        self.text(NOBODYS | number)
    }

    /// A secret with a slip in it, so that its check is wrong.
    pub fn malformed(&self, number: u64) -> String {
        let mut text = self.text(number);
        let last = text.pop();
        text.push(if last == Some('0') { '1' } else { '0' });
        text
    }
}

#[cfg(test)]
mod tests {
    use keyholt_core::secret::Presented;

    use super::*;

    #[test]
    fn a_secret_follows_from_its_number_alone() {
        let (one, other) = (Secrets::new().unwrap(), Secrets::new().unwrap());
        assert_eq!(one.text(7), other.text(7));
        assert_ne!(one.text(7), one.text(8));
        assert_ne!(one.text(7), one.unknown(7));
        assert_eq!(one.text(7).len(), one.unknown(1 << 40).len());
    }

    #[test]
    fn unknown_ones_are_well_formed_and_malformed_ones_are_not() {
        let secrets = Secrets::new().unwrap();
        for number in 0..200 {
            assert!(Presented::parse(&secrets.unknown(number)).is_ok());
            assert!(Presented::parse(&secrets.malformed(number)).is_err());
        }
    }
}
