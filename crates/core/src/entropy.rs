//! Randomness as an argument: the core never reaches for a random source by itself.

/// A source of random bytes that the caller vouches for.
///
/// In the server this is the operating system's CSPRNG; in tests it is seeded, so that a whole answer,
/// secret included, can be compared with a snapshot.
pub trait Entropy {
    /// Fills the whole buffer.
    fn fill(&mut self, buffer: &mut [u8]);
}
