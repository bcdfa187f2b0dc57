//! Randomness from the operating system.

use keyholt_core::entropy::Entropy;

/// The operating system's CSPRNG.
#[derive(Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&mut self, buffer: &mut [u8]) {
        // A machine without working randomness must not go on making secrets: there is no answer that would be right.
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that asks the system for randomness"
        )]
        #[expect(
            clippy::expect_used,
            reason = "no secret may be made without randomness, so nothing can go on"
        )]
        getrandom::fill(buffer).expect("the operating system gives random bytes");
    }
}
