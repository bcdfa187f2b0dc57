//! Vectors of our own, of the same classes as those of Wycheproof: no form, signature or key that is wrong is accepted.

use serde_json::{Value, json};

use super::wycheproof::accepts;
use super::*;

/// The order of P-256: no half of a signature is as large.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Something good, and what it was signed with.
struct Good {
    algorithm: Algorithm,
    signer: Signer,
    jwk: Value,
    text: String,
}

impl Good {
    fn of(algorithm: Algorithm) -> Self {
        let pair = Pair::generate(algorithm).unwrap();
        let signer = Signer::from_pkcs8(algorithm, &pair.pkcs8).unwrap();
        let text = signer
            .compact(&header(algorithm, &pair.kid, ACCESS_TOKEN), b"foo")
            .unwrap();
        let mut jwk = serde_json::to_value(&pair.public).unwrap();
        jwk["alg"] = algorithm.as_str().into();
        jwk["kid"] = pair.kid.as_str().into();
        let good = Self {
            algorithm,
            signer,
            jwk,
            text,
        };
        good.accepts(&good.text);
        good
    }

    fn all() -> impl Iterator<Item = Self> {
        Algorithm::ALL.into_iter().map(Self::of)
    }

    fn parts(&self) -> [&str; 3] {
        let mut parts = self.text.split('.');
        [(); 3].map(|()| parts.next().unwrap())
    }

    /// The same with another signature.
    fn signed(&self, signature: &[u8]) -> String {
        let [header, payload, _] = self.parts();
        format!("{header}.{payload}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn accepts(&self, text: &str) {
        assert!(
            accepts(std::slice::from_ref(&self.jwk), text),
            "{:?}: {text}",
            self.algorithm
        );
    }

    fn refuses(&self, text: &str, why: &str) {
        let good = accepts(std::slice::from_ref(&self.jwk), text);
        assert!(!good, "{:?}: {why}: {text}", self.algorithm);
    }

    /// Refuses it with this key instead.
    fn refuses_with(&self, keys: &[Value], why: &str) {
        assert!(!accepts(keys, &self.text), "{:?}: {why}", self.algorithm);
    }

    fn jwk_with(&self, name: &str, value: Value) -> Value {
        let mut jwk = self.jwk.clone();
        jwk[name] = value;
        jwk
    }
}

#[test]
fn what_lacks_a_part_or_has_one_more_is_refused() {
    for good in Good::all() {
        let [header, payload, signature] = good.parts();
        for (text, why) in [
            (format!("{header}.{payload}."), "no signature"),
            (format!("{header}.{payload}"), "no signature and no dot"),
            (format!("{header}..{signature}"), "no payload"),
            (format!("{header}.{signature}"), "no payload and no dot"),
            (format!(".{payload}.{signature}"), "no header"),
            (format!("{payload}.{signature}"), "no header and no dot"),
            (format!(".{payload}."), "neither header nor signature"),
            (payload.to_owned(), "the payload alone"),
            ("..".to_owned(), "dots"),
            (String::new(), "nothing"),
            (format!("{}.", good.text), "an empty part more"),
            (format!("{}.{signature}", good.text), "a part more"),
            (
                json!({"protected": header, "payload": payload, "signature": signature}).to_string(),
                "JSON, flattened",
            ),
            (
                json!({"payload": payload, "signatures": [{"protected": header, "signature": signature}]}).to_string(),
                "JSON",
            ),
        ] {
            good.refuses(&text, why);
        }
    }
}

#[test]
fn what_was_changed_after_it_was_signed_is_refused() {
    for good in Good::all() {
        let [header, payload, signature] = good.parts();
        let other = URL_SAFE_NO_PAD.encode("bar");
        good.refuses(&format!("{header}.{other}.{signature}"), "another payload");
        let said = String::from_utf8(URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
        let spaced = URL_SAFE_NO_PAD.encode(said.replace(",", ", "));
        good.refuses(
            &format!("{spaced}.{payload}.{signature}"),
            "another spelling of the header",
        );
        let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            good.refuses(&good.signed(&flipped), "a bit of the signature");
            good.refuses(&good.signed(&bytes[..at]), "a part of the signature");
        }
        for byte in [0, 0xff] {
            good.refuses(&good.signed(&vec![byte; bytes.len()]), "all bits alike");
        }
        good.refuses(&good.signed(&[&[0], &bytes[..]].concat()), "a zero before");
        good.refuses(&good.signed(&[&bytes[..], &[0]].concat()), "a zero after");
    }
}

#[test]
fn base64_has_one_spelling_in_every_part() {
    for good in Good::all() {
        let [header, payload, signature] = good.parts();
        for odd in [" ", "\n", "=", "==", "!", "\u{e4}", "+", "/"] {
            good.refuses(&format!("{header}{odd}.{payload}.{signature}"), "after the header");
            good.refuses(&format!("{header}.{payload}{odd}.{signature}"), "after the payload");
            good.refuses(&format!("{header}.{payload}.{signature}{odd}"), "after the signature");
            let (first, rest) = signature.split_at(5);
            good.refuses(&format!("{header}.{payload}.{first}{odd}{rest}"), "in the signature");
            let (first, rest) = header.split_at(5);
            good.refuses(&format!("{first}{odd}{rest}.{payload}.{signature}"), "in the header");
        }
        // A payload of one byte leaves four bits over, which are to be none.
        let signed = good.signer.compact(&said(&good), b"f").unwrap();
        good.accepts(&signed);
        let stray = signed.replace(".Zg.", ".Zh.");
        assert_ne!(stray, signed);
        good.refuses(&stray, "stray bits");
    }
}

fn said(good: &Good) -> String {
    String::from_utf8(URL_SAFE_NO_PAD.decode(good.parts()[0]).unwrap()).unwrap()
}

#[test]
fn a_header_chooses_no_algorithm_and_brings_no_key() {
    for good in Good::all() {
        let [_, payload, signature] = good.parts();
        let kid = good.jwk["kid"].as_str().unwrap();
        for other in [
            "none", "None", "nOnE", "NONE", "HS256", "ES384", "RS512", "PS256", "ES256K", "Ed25519", "",
        ] {
            let head = format!(r#"{{"alg":"{other}","kid":"{kid}"}}"#);
            good.refuses(&good.signer.compact(&head, b"foo").unwrap(), other);
            let head = URL_SAFE_NO_PAD.encode(head);
            good.refuses(&format!("{head}.{payload}."), "and no signature");
            good.refuses(&format!("{head}.{payload}.{signature}"), "and the signature");
        }
        let attacker = Good::of(good.algorithm);
        let mut head: Value = serde_json::from_str(&said(&good)).unwrap();
        good.refuses(
            &attacker.signer.compact(&head.to_string(), b"foo").unwrap(),
            "signed by somebody else",
        );
        head["jwk"] = attacker.jwk.clone();
        good.refuses(
            &attacker.signer.compact(&head.to_string(), b"foo").unwrap(),
            "with a key of its own",
        );

        // What is public is no secret to sign with.
        let member = ["x", "n"].into_iter().find_map(|name| good.jwk[name].as_str()).unwrap();
        let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &URL_SAFE_NO_PAD.decode(member).unwrap());
        let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
        let mac = aws_lc_rs::hmac::sign(&secret, format!("{head}.{payload}").as_bytes());
        let mac = URL_SAFE_NO_PAD.encode(mac);
        good.refuses(&format!("{head}.{payload}.{mac}"), "the public key as a secret");
    }
}

#[test]
fn no_half_of_an_es256_signature_is_nothing_or_beyond_the_order() {
    let good = Good::of(Algorithm::Es256);
    let less = |by: u8| {
        let mut number = ORDER;
        number[31] -= by;
        number
    };
    let small = |number: u8| {
        let mut bytes = [0; 32];
        bytes[31] = number;
        bytes
    };
    let edges = [small(0), small(1), less(1), ORDER, [0xff; 32]];
    for r in edges {
        for s in edges {
            good.refuses(&good.signed(&[r, s].concat()), "an edge");
        }
    }
    let bytes = URL_SAFE_NO_PAD.decode(good.parts()[2]).unwrap();
    let (r, s) = bytes.split_at(32);
    for edge in edges {
        good.refuses(&good.signed(&[&edge, s].concat()), "an edge for r");
        good.refuses(&good.signed(&[r, &edge].concat()), "an edge for s");
    }
    // Each half written longer, the whole of a length that could be right elsewhere.
    let wide = |half: &[u8]| [&[0; 16], half].concat();
    good.refuses(&good.signed(&[wide(r), wide(s)].concat()), "as of P-384");
    // SECURITY: a second signature of the same text says nothing else; whatever has to happen once goes by `jti`.
    good.accepts(&good.signed(&[r, &negated(s)].concat()));
}

/// The other `s` that fits the same `r`: the order less this one.
fn negated(s: &[u8]) -> Vec<u8> {
    let mut borrow = 0;
    let mut other: Vec<u8> = ORDER
        .iter()
        .zip(s)
        .rev()
        .map(|(order, s)| {
            let rest = i16::from(*order) - i16::from(*s) - borrow;
            borrow = i16::from(rest < 0);
            u8::try_from(rest.rem_euclid(256)).unwrap()
        })
        .collect();
    other.reverse();
    other
}

#[test]
fn the_padding_of_rs256_is_right_to_the_last_byte() {
    let vectors: Value = serde_json::from_str(include_str!("rs256.json")).unwrap();
    let key = [vectors["key"].clone()];
    let signed = vectors["signed"].as_str().unwrap();
    let signatures = vectors["signatures"].as_array().unwrap();
    assert!(signatures.len() > 30);
    for vector in signatures {
        let text = format!("{signed}.{}", vector["signature"].as_str().unwrap());
        assert_eq!(accepts(&key, &text), vector["about"] == "good", "{}", vector["about"]);
    }
}

#[test]
fn a_key_is_used_for_what_it_is_for_and_for_nothing_else() {
    for good in Good::all() {
        for (name, value) in [
            ("use", json!("enc")),
            ("alg", json!("RSA1_5")),
            ("alg", json!("ES224")),
            ("alg", json!("A256GCM")),
            ("alg", json!("HS256")),
            ("alg", Value::Null),
            ("kty", json!("oct")),
            ("kid", json!("another")),
        ] {
            good.refuses_with(&[good.jwk_with(name, value.clone())], &format!("{name}: {value}"));
        }
        for other in Algorithm::ALL.into_iter().filter(|other| *other != good.algorithm) {
            let named = good.jwk_with("alg", other.as_str().into());
            good.refuses_with(&[named], "the algorithm of another kind of key");
        }
        good.refuses_with(&[good.jwk.clone(), good.jwk.clone()], "two keys of one name");
        let secret = json!({"kty": "oct", "alg": "HS256", "kid": good.jwk["kid"], "k": "AAAA"});
        good.refuses_with(&[secret, good.jwk.clone()], "a secret of the same name");
        good.refuses_with(&[], "no key");
    }
}

#[test]
fn a_key_that_is_no_good_key_is_not_read() {
    let good = Good::of(Algorithm::Es256);
    let x = URL_SAFE_NO_PAD.decode(good.jwk["x"].as_str().unwrap()).unwrap();
    let flipped: Vec<u8> = x.iter().map(|byte| byte ^ 1).collect();
    for (name, value) in [
        ("x", URL_SAFE_NO_PAD.encode(flipped)),
        ("x", URL_SAFE_NO_PAD.encode([0; 32])),
        ("x", URL_SAFE_NO_PAD.encode(&x[1..])),
        ("x", String::new()),
        ("crv", "P-384".to_owned()),
        ("crv", "secp256k1".to_owned()),
        ("kty", "RSA".to_owned()),
    ] {
        good.refuses_with(
            &[good.jwk_with(name, value.clone().into())],
            &format!("{name}: {value}"),
        );
    }
    let good = Good::of(Algorithm::Rs256);
    for exponent in [&[1][..], &[3], &[0], &[1, 0, 0], &[0, 1, 0, 1]] {
        let jwk = good.jwk_with("e", URL_SAFE_NO_PAD.encode(exponent).into());
        good.refuses_with(&[jwk], "another exponent");
    }
    let n = URL_SAFE_NO_PAD.decode(good.jwk["n"].as_str().unwrap()).unwrap();
    let is_read = |n: &[u8]| {
        let members = [
            ("kty", "RSA".to_owned()),
            ("e", "AQAB".to_owned()),
            ("n", URL_SAFE_NO_PAD.encode(n)),
        ];
        let members = members.map(|(name, value)| (name.to_owned(), value)).into();
        Verifier::from_jwk(Algorithm::Rs256, &members).is_ok()
    };
    assert!(is_read(&n));
    assert!(!is_read(&n[128..]), "1024 bits");
    // A modulus that is 65537 modulo every small prime has the mark of keys that can be factored.
    let product: u128 = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157]
        .into_iter()
        .product();
    let rest = n
        .iter()
        .fold(0, |rest, byte| (rest * 256 + u128::from(*byte)) % product);
    let marked = plus(&n, product - rest + 65_537);
    let marked = if marked[255] % 2 == 1 {
        marked
    } else {
        plus(&marked, product)
    };
    assert!(is_guessable(&marked));
    assert!(!is_read(&marked), "the mark of CVE-2017-15361");
    assert!(is_read(&plus(&marked, 2)), "and its neighbour is as good as any");
}

/// A large number and a smaller one together.
fn plus(large: &[u8], small: u128) -> Vec<u8> {
    let mut carry = small;
    let mut sum: Vec<u8> = large
        .iter()
        .rev()
        .map(|byte| {
            let here = u128::from(*byte) + (carry & 0xff);
            carry = (carry >> 8) + (here >> 8);
            u8::try_from(here & 0xff).unwrap()
        })
        .collect();
    sum.reverse();
    sum
}
