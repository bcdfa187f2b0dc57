//! Randomness that can be told again: SplitMix64 from a seed.

use keyholt_core::entropy::Entropy;

/// Entropy that gives the same bytes for the same seed.
#[derive(Clone, Debug)]
pub struct Seeded {
    state: u64,
    /// How many bytes were drawn.
    pub drawn: usize,
}

impl Seeded {
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, drawn: 0 }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        self.drawn += buffer.len();
    }
}
