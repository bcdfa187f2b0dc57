//! What the cryptography of an access token costs at least: one ES256 signature, or its check, with the library that the
//! server uses and with nothing around it.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};

use crate::inside::processor_time;

/// Signatures between two looks at the time.
const AT_A_TIME: u32 = 20;

/// A pair of keys, something to sign, and its signature.
pub struct Es256 {
    pair: EcdsaKeyPair,
    public: ParsedPublicKey,
    message: Vec<u8>,
    signature: Vec<u8>,
}

/// What a signature or its check came to.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Processor time of one, in microseconds.
    pub cpu_us: f64,
    /// How many all processors together make in a second.
    pub per_second: f64,
}

impl Es256 {
    /// Is going to sign something as long as this.
    pub fn over(message: &[u8]) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).context("no pair of keys")?;
        let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
        let mut es256 = Self {
            public: public.context("a public key that was just made")?,
            pair,
            message: message.to_vec(),
            signature: Vec::new(),
        };
        es256.signature = es256.sign()?;
        ensure!(es256.check(), "a signature is not that of its own key");
        Ok(es256)
    }

    fn sign(&self) -> anyhow::Result<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), &self.message);
        Ok(signature.context("no signature")?.as_ref().to_vec())
    }

    fn check(&self) -> bool {
        self.public.verify_sig(&self.message, &self.signature).is_ok()
    }

    /// Signs for so long.
    pub fn signing(&self, time: Duration) -> anyhow::Result<Pace> {
        everywhere(time, || self.sign().is_ok_and(|signature| !signature.is_empty()))
    }

    /// Checks for so long.
    pub fn checking(&self, time: Duration) -> anyhow::Result<Pace> {
        everywhere(time, || self.check())
    }
}

/// Does something again and again on every processor at once: two that are one core's take from each other, as they do
/// where a server is under load.
fn everywhere(time: Duration, done: impl Fn() -> bool + Sync) -> anyhow::Result<Pace> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (began, done) = (Instant::now(), &done);
    let one = move || {
        let (before, mut count) = (processor_time(), 0u64);
        while began.elapsed() < time {
            for _ in 0..AT_A_TIME {
                ensure!(done(), "a signature went wrong");
                count += 1;
            }
        }
        Ok((processor_time() - before, count))
    };
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        let (mut nanoseconds, mut count) = (0.0, 0);
        for thread in all {
            let (spent, made) = thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread that signs panicked"))??;
            nanoseconds += spent;
            count += made;
        }
        ensure!(count > 0, "no signature in {time:?}");
        Ok(Pace {
            cpu_us: nanoseconds / 1e3 / count as f64,
            per_second: count as f64 / began.elapsed().as_secs_f64(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_of_signing_and_of_checking_can_be_had() {
        let es256 = Es256::over(b"something to sign").unwrap();
        let time = Duration::from_millis(20);
        for pace in [es256.signing(time).unwrap(), es256.checking(time).unwrap()] {
            assert!(pace.cpu_us > 1.0 && pace.per_second > 1.0, "{pace:?}");
        }
    }

    #[test]
    fn what_goes_wrong_has_no_pace() {
        assert!(everywhere(Duration::from_millis(1), || false).is_err());
    }
}
