//! A verifier that does not ask: it takes in a status list, and looks tokens up in it.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, ensure};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;
use serde_json::Value;

/// Most bytes of a list, unpacked.
const LIST_BYTES_MAX: u64 = 1 << 24;

/// Knows the public key of an issuer.
pub struct Verifier(ParsedPublicKey);

/// A list that was taken in.
pub struct List {
    bits: usize,
    bytes: Vec<u8>,
}

impl Verifier {
    /// Reads an ES256 key from the members of a JWK.
    pub fn new(jwk: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        let member = |name: &str| anyhow::Ok(URL_SAFE_NO_PAD.decode(jwk.get(name).context("a member of a key")?)?);
        let point = [vec![4], member("x")?, member("y")?].concat();
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        Ok(Self(key.context("a public key")?))
    }

    /// Checks the signature of a list and unpacks it.
    pub fn take_in(&self, signed: &str) -> anyhow::Result<List> {
        let (text, signature) = signed.rsplit_once('.').context("a signature")?;
        let signature = URL_SAFE_NO_PAD.decode(signature)?;
        let checked = self.0.verify_sig(text.as_bytes(), &signature);
        checked.context("the list is not signed by its issuer")?;
        let claims = claims(signed)?;
        let list = claims.get("status_list").context("a list")?;
        let packed = list.get("lst").and_then(Value::as_str).context("what is listed")?;
        let bits = list.get("bits").and_then(Value::as_u64).context("how many bits")?;
        ensure!(
            [1, 2, 4, 8].contains(&bits),
            "{bits} bits are none that the standard knows"
        );
        let mut bytes = Vec::new();
        ZlibDecoder::new(URL_SAFE_NO_PAD.decode(packed)?.as_slice())
            .take(LIST_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        Ok(List {
            bits: usize::try_from(bits)?,
            bytes,
        })
    }
}

impl List {
    /// How many places it has.
    pub fn places(&self) -> usize {
        self.bytes.len() * 8 / self.bits
    }

    /// What it says of a place; nothing where it has none such.
    pub fn at(&self, place: usize) -> Option<u8> {
        let bit = place * self.bits;
        let byte = self.bytes.get(bit / 8)?;
        let mask = u8::MAX >> (8 - self.bits);
        Some(byte >> (bit % 8) & mask)
    }
}

/// The place that a token names.
pub fn place(token: &str) -> anyhow::Result<usize> {
    let claims = claims(token)?;
    let place = claims.pointer("/status/status_list/idx").and_then(Value::as_u64);
    Ok(usize::try_from(place.context("a token that names its place")?)?)
}

fn claims(signed: &str) -> anyhow::Result<Value> {
    let payload = signed.split('.').nth(1).context("a payload")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_the_lowest_bits_on() {
        // The example of two bits of the standard (draft-ietf-oauth-status-list, 4.1).
        let list = List {
            bits: 2,
            bytes: vec![0b1100_1001, 0b0100_0100, 0b1111_1001],
        };
        let all: Vec<u8> = (0..list.places()).filter_map(|place| list.at(place)).collect();
        assert_eq!(all, [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
        assert_eq!(list.at(12), None);
    }

    #[test]
    fn a_list_that_somebody_else_signed_is_not_taken_in() {
        let jwk = [
            ("x", "iJbbaMeMTMtHeDBIejPjgYkqvSkVhRn3uoOFSHc9iRs"),
            ("y", "ZgTlgk0rQoZgcQyR9rJQw4kqQ0Yd3T8wJmXc0sJ8m2A"),
        ];
        let jwk = jwk
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        // Not even a point on the curve.
        assert!(Verifier::new(&jwk).is_err());
    }
}
