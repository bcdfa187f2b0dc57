//! What can be measured of randomness: no duplicates, and no symbol that is favoured in any place.

use std::collections::HashSet;

use keyholt_core::entropy::Entropy;
use keyholt_core::secret::{BODY, Prefix, Secret, Visibility};

use crate::support::Seeded;

const SAMPLE: usize = 1_000_000;
const SYMBOLS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The quantiles 0.001 and 0.999 of chi-square with 61 degrees of freedom.
const PLAUSIBLE: std::ops::Range<f64> = 32.4586..100.8879;

fn chi_square(counts: &[u32; 62]) -> f64 {
    let expected = f64::from(counts.iter().sum::<u32>()) / 62.0;
    counts
        .iter()
        .map(|count| (f64::from(*count) - expected).powi(2) / expected)
        .sum()
}

#[test]
fn a_million_secrets_are_all_different_and_no_symbol_is_favoured_anywhere() {
    let prefix = Prefix::new("kh").unwrap();
    let mut place_of = [0u8; 256];
    for (place, symbol) in (0..).zip(SYMBOLS) {
        place_of[usize::from(*symbol)] = place;
    }
    let mut entropy = Seeded::new(2030);
    let mut seen = HashSet::with_capacity(SAMPLE);
    let mut counts = [[0u32; 62]; BODY];
    for _ in 0..SAMPLE {
        let secret = Secret::mint(&prefix, Visibility::Secret, None, &mut entropy).reveal();
        let body: [u8; BODY] = secret.as_bytes()["kh_".len()..][..BODY].try_into().unwrap();
        for (place, symbol) in counts.iter_mut().zip(body) {
            place[usize::from(place_of[usize::from(symbol)])] += 1;
        }
        assert!(seen.insert(body), "a secret came twice");
    }
    for (place, counts) in counts.iter().enumerate() {
        let chi = chi_square(counts);
        assert!(
            PLAUSIBLE.contains(&chi),
            "place {place}: chi-square {chi:.1} is outside {PLAUSIBLE:?}"
        );
    }
}

#[test]
fn the_measure_notices_what_a_careless_division_would_do() {
    let mut bytes = vec![0u8; SAMPLE];
    Seeded::new(2030).fill(&mut bytes);
    let mut counts = [0u32; 62];
    for byte in bytes {
        counts[usize::from(byte % 62)] += 1;
    }
    let chi = chi_square(&counts);
    assert!(chi > PLAUSIBLE.end * 3.0, "chi-square {chi:.1}");
}
