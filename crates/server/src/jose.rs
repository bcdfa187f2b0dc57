//! Signatures of access tokens: the compact form read strictly, keys made, encrypted and published, one algorithm per key.
//!
//! The cryptography is aws-lc-rs. What stands around it is written here because it decides what is accepted: one spelling
//! of base64, three members in a header, nothing that points elsewhere, no algorithm that the token chooses.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyholt_core::entropy::Entropy;
use keyholt_core::id::ProjectId;
use keyholt_core::signing::Algorithm;
use keyholt_core::token::TOKEN_BYTES_MAX;
use serde::Deserialize;
use zeroize::Zeroizing;

/// What stands in a header of an access token (RFC 9068 §2.1).
pub const ACCESS_TOKEN: &str = "at+jwt";
/// What stands in the header of a status list.
pub const STATUS_LIST: &str = "statuslist+jwt";
/// Longest key id that is looked up.
const KID_BYTES_MAX: usize = 128;
const NONCE_BYTES: usize = 12;

/// Why something signed is not believed, or a key not used. Which of the reasons it was helps only forgers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a good signature or key")]
pub struct Bad;

/// The header of something signed. Whatever else stands in one is a reason to refuse it: `jwk`, `jku`, `x5c`, `crit`, `zip`.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The algorithm, which must be the key's own.
    pub alg: String,
    /// Which key; a text to look up and nothing else.
    #[serde(default)]
    pub kid: Option<String>,
    /// What sort of thing is signed.
    #[serde(default)]
    pub typ: Option<String>,
}

/// Something signed in the compact form, taken apart; nothing is believed yet.
#[derive(Debug)]
pub struct Compact<'a> {
    /// Its header.
    pub header: Header,
    /// What is signed.
    signed: &'a [u8],
    /// The payload.
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Whether a text is to be read as something signed rather than as a secret: an encoded `{"`, and two dots.
pub fn is_compact(text: &str) -> bool {
    text.starts_with("eyJ") && memchr::memchr_iter(b'.', text.as_bytes()).count() == 2
}

impl<'a> Compact<'a> {
    /// Takes a text apart. Base64 has one spelling here: no padding, no line breaks, no stray bits.
    pub fn parse(text: &'a str) -> Result<Self, Bad> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Bad);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Bad)?;
        let (header, payload) = signed.split_once('.').ok_or(Bad)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Bad);
        let header = decode(header)?;
        // serde would also take a list for a structure.
        if header.first() != Some(&b'{') {
            return Err(Bad);
        }
        let header: Header = serde_json::from_slice(&header).map_err(|_| Bad)?;
        if header.kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES_MAX) {
            return Err(Bad);
        }
        Ok(Self {
            header,
            signed: signed.as_bytes(),
            payload: decode(payload)?,
            signature: decode(signature)?,
        })
    }

    /// The payload, where the signature is this key's.
    pub fn verified(&self, key: &Verifier) -> Result<&[u8], Bad> {
        if self.header.alg != key.algorithm.as_str() {
            return Err(Bad);
        }
        key.parsed.verify_sig(self.signed, &self.signature).map_err(|_| Bad)?;
        Ok(&self.payload)
    }
}

/// The public half of a key, ready to check signatures.
pub struct Verifier {
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
}

impl Verifier {
    /// Reads a public key from the members of a JWK.
    pub fn from_jwk(algorithm: Algorithm, jwk: &BTreeMap<String, String>) -> Result<Self, Bad> {
        let is = |name: &str, value: &str| jwk.get(name).is_some_and(|found| found == value);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk.get(name).ok_or(Bad)?).map_err(|_| Bad);
        let parsed = match algorithm {
            Algorithm::Es256 if is("kty", "EC") && is("crv", "P-256") => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != 32 || y.len() != 32 {
                    return Err(Bad);
                }
                // The uncompressed form of SEC 1 §2.3.3; whether it lies on the curve is looked at when it is read.
                let point: Vec<u8> = [4].into_iter().chain(x).chain(y).collect();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            }
            Algorithm::EdDsa if is("kty", "OKP") && is("crv", "Ed25519") => ParsedPublicKey::new(&ED25519, bytes("x")?),
            Algorithm::Rs256 if is("kty", "RSA") => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                if e != [1, 0, 1] || is_guessable(&n) {
                    return Err(Bad);
                }
                let components = RsaPublicKeyComponents { n, e };
                let key: aws_lc_rs::rsa::PublicEncryptingKey = components.try_into().map_err(|_| Bad)?;
                let der = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(&key).map_err(|_| Bad)?;
                ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, der.as_ref())
            }
            _ => return Err(Bad),
        };
        Ok(Self {
            algorithm,
            parsed: parsed.map_err(|_| Bad)?,
        })
    }
}

/// Whether a modulus has the mark of the generator whose keys can be factored (CVE-2017-15361): modulo each of these primes
/// it is a power of 65537. Of others fewer than one in a hundred million are.
fn is_guessable(n: &[u8]) -> bool {
    const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
    PRIMES.into_iter().all(|prime| {
        let rest = n.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        (0..prime).any(|_| {
            power = power * (65_537 % prime) % prime;
            power == rest
        })
    })
}

/// The private half of a key, ready to sign. It is read once, not for every signature: reading costs as much as signing.
pub enum Signer {
    /// ES256.
    Es256(EcdsaKeyPair),
    /// EdDSA.
    EdDsa(Ed25519KeyPair),
    /// RS256.
    Rs256(Box<RsaKeyPair>),
}

impl Signer {
    /// Reads a private key.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, Bad> {
        Ok(match algorithm {
            Algorithm::Es256 => {
                Self::Es256(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).map_err(|_| Bad)?)
            }
            Algorithm::EdDsa => Self::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| Bad)?),
            Algorithm::Rs256 => Self::Rs256(Box::new(RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| Bad)?)),
        })
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Bad> {
        Ok(match self {
            Self::Es256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map_err(|_| Bad)?
                .as_ref()
                .to_vec(),
            Self::EdDsa(pair) => pair.try_sign(message).map_err(|_| Bad)?.as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .map_err(|_| Bad)?;
                signature
            }
        })
    }

    /// Signs a payload in the compact form.
    pub fn compact(&self, header: &str, payload: &[u8]) -> Result<String, Bad> {
        let mut text = String::with_capacity((header.len() + payload.len()) * 4 / 3 + 400);
        URL_SAFE_NO_PAD.encode_string(header, &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        let signature = self.sign(text.as_bytes())?;
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        Ok(text)
    }
}

/// A header that says which key signed what sort of thing.
pub fn header(algorithm: Algorithm, kid: &str, typ: &str) -> String {
    // None of the three needs an escape: the kid is a thumbprint of ours.
    format!(r#"{{"alg":"{}","typ":"{typ}","kid":"{kid}"}}"#, algorithm.as_str())
}

/// A fresh pair.
pub struct Pair {
    /// The public half, as members of a JWK.
    pub public: BTreeMap<String, String>,
    /// Its RFC 7638 thumbprint.
    pub kid: String,
    /// The private half in PKCS #8.
    pub pkcs8: Zeroizing<Vec<u8>>,
}

impl Pair {
    /// Makes a pair from the operating system's randomness: the library takes no other.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Bad> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (members, pkcs8) = match algorithm {
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| Bad)?;
                let point = pair.public_key().as_ref();
                let (x, y) = (point.get(1..33).ok_or(Bad)?, point.get(33..65).ok_or(Bad)?);
                let members = vec![
                    ("crv", "P-256".into()),
                    ("kty", "EC".into()),
                    ("x", encode(x)),
                    ("y", encode(y)),
                ];
                (members, pair.to_pkcs8v1().map_err(|_| Bad)?.as_ref().to_vec())
            }
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(|_| Bad)?;
                let x = encode(pair.public_key().as_ref());
                let members = vec![("crv", "Ed25519".into()), ("kty", "OKP".into()), ("x", x)];
                (members, pair.to_pkcs8().map_err(|_| Bad)?.as_ref().to_vec())
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| Bad)?;
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(signature::KeyPair::public_key(&pair));
                let members = vec![
                    ("e", encode(&public.e)),
                    ("kty", "RSA".into()),
                    ("n", encode(&public.n)),
                ];
                let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(|_| Bad)?;
                (members, der.as_ref().to_vec())
            }
        };
        let public: BTreeMap<String, String> = members
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Ok(Self {
            kid: thumbprint(&public),
            public,
            pkcs8: Zeroizing::new(pkcs8),
        })
    }
}

/// The RFC 7638 thumbprint: SHA-256 over the required members in the order of their names.
fn thumbprint(public: &BTreeMap<String, String>) -> String {
    let text = serde_json::to_vec(public).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text))
}

/// Encrypts private halves at rest (AES-256-GCM), each bound to its project and thumbprint.
pub struct Envelope(LessSafeKey);

impl Envelope {
    /// An envelope under a subkey of the master key.
    pub fn new(subkey: &[u8; 32]) -> Result<Self, Bad> {
        UnboundKey::new(&AES_256_GCM, subkey)
            .map(|key| Self(LessSafeKey::new(key)))
            .map_err(|_| Bad)
    }

    /// Encrypts.
    pub fn seal(&self, project: ProjectId, kid: &str, secret: &[u8], entropy: &mut dyn Entropy) -> Result<String, Bad> {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let mut bytes = Zeroizing::new(secret.to_vec());
        let about = Aad::from(about(project, kid));
        let tag = self
            .0
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), about, &mut bytes)
            .map_err(|_| Bad)?;
        let sealed: Vec<u8> = nonce
            .into_iter()
            .chain(bytes.iter().copied())
            .chain(tag.as_ref().iter().copied())
            .collect();
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Decrypts what was encrypted for this very key of this very project.
    pub fn open(&self, project: ProjectId, kid: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, Bad> {
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| Bad)?;
        if bytes.len() < NONCE_BYTES {
            return Err(Bad);
        }
        let mut rest = Zeroizing::new(bytes.split_off(NONCE_BYTES));
        let nonce = Nonce::try_assume_unique_for_key(&bytes).map_err(|_| Bad)?;
        let opened = self
            .0
            .open_in_place(nonce, Aad::from(about(project, kid)), &mut rest)
            .map_err(|_| Bad)?
            .len();
        rest.truncate(opened);
        Ok(rest)
    }
}

fn about(project: ProjectId, kid: &str) -> String {
    format!("signing_key:{project}:{kid}")
}

#[cfg(test)]
mod own_vectors;
#[cfg(test)]
mod wycheproof;

#[cfg(test)]
mod tests {
    use super::*;
    use keyholt_core::id::SYSTEM;

    struct Fixed;

    impl Entropy for Fixed {
        fn fill(&mut self, buffer: &mut [u8]) {
            buffer.fill(7);
        }
    }

    #[test]
    fn what_a_key_signs_its_public_half_verifies_and_no_other() {
        for algorithm in Algorithm::ALL {
            let pair = Pair::generate(algorithm).unwrap();
            let signer = Signer::from_pkcs8(algorithm, &pair.pkcs8).unwrap();
            let text = signer
                .compact(&header(algorithm, &pair.kid, ACCESS_TOKEN), b"{}")
                .unwrap();
            assert!(is_compact(&text));
            let compact = Compact::parse(&text).unwrap();
            assert_eq!(compact.header.kid.as_deref(), Some(&*pair.kid));
            let verifier = Verifier::from_jwk(algorithm, &pair.public).unwrap();
            assert_eq!(compact.verified(&verifier), Ok(b"{}".as_slice()), "{algorithm:?}");
            let other = Pair::generate(algorithm).unwrap();
            let other = Verifier::from_jwk(algorithm, &other.public).unwrap();
            assert_eq!(compact.verified(&other), Err(Bad), "{algorithm:?}");
            for elsewhere in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
                assert!(
                    Verifier::from_jwk(elsewhere, &pair.public).is_err(),
                    "a key has one algorithm"
                );
            }
        }
    }

    #[test]
    fn a_private_half_opens_for_its_own_project_and_name_alone() {
        let envelope = Envelope::new(&[1; 32]).unwrap();
        let sealed = envelope.seal(SYSTEM, "kid", b"private", &mut Fixed).unwrap();
        assert_eq!(*envelope.open(SYSTEM, "kid", &sealed).unwrap(), b"private");
        assert!(envelope.open(SYSTEM, "other", &sealed).is_err());
        let elsewhere = ProjectId::from_uuid(uuid::Uuid::nil());
        assert!(envelope.open(elsewhere, "kid", &sealed).is_err());
        assert!(Envelope::new(&[2; 32]).unwrap().open(SYSTEM, "kid", &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(envelope.open(SYSTEM, "kid", &sealed[..cut]).is_err(), "{cut}");
        }
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone().into_bytes();
            flipped[at] ^= 1;
            let Ok(flipped) = String::from_utf8(flipped) else {
                continue;
            };
            assert!(envelope.open(SYSTEM, "kid", &flipped).is_err(), "{at}");
        }
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let jwk: BTreeMap<String, String> = [
            ("e", "AQAB"),
            ("kty", "RSA"),
            (
                "n",
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            ),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        assert_eq!(thumbprint(&jwk), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
