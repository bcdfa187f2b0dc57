//! Tokens that nobody of ours signed, or not like that: all of them are nothing.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::stage::{Stage, part};

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// The token with another header, claims or signature.
fn with(token: &str, header: Option<Value>, claims: Option<Value>, signature: Option<&[u8]>) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let header = header.map_or(parts[0].to_owned(), |header| encode(&header));
    let claims = claims.map_or(parts[1].to_owned(), |claims| encode(&claims));
    let signature = signature.map_or(parts[2].to_owned(), |bytes| URL_SAFE_NO_PAD.encode(bytes));
    format!("{header}.{claims}.{signature}")
}

fn hmac(key: &[u8], message: &str) -> Vec<u8> {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    aws_lc_rs::hmac::sign(&key, message.as_bytes()).as_ref().to_vec()
}

/// The other ES256 signature of the same text: `s` becomes the order of the curve less `s`.
pub fn twin(token: &str) -> String {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
        0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut signature = URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap();
    let mut borrow = 0;
    for (s, order) in signature[32..].iter_mut().zip(ORDER).rev() {
        let rest = i16::from(order) - i16::from(*s) - borrow;
        borrow = i16::from(rest < 0);
        *s = u8::try_from(rest.rem_euclid(256)).unwrap();
    }
    with(token, None, None, Some(&signature))
}

impl Stage {
    /// Nobody believes it, whoever is asked.
    async fn refuses(&self, forged: &str, why: &str) {
        let code = self.code(forged).await;
        assert!(["unknown", "malformed"].contains(&code.as_str()), "{why}: {code}");
        if forged.is_ascii() && !forged.contains(['\n', '\r']) {
            let reply = self.wire.get(forged, "/v1/self").await;
            assert_eq!(reply.status, 401, "{why}");
        }
    }
}

#[tokio::test]
async fn no_header_makes_a_signature_right_that_is_not() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    assert_eq!(stage.code(&token).await, "valid");
    let kid = part(&token, 0)["kid"].clone();
    let header = |more: Value| {
        let mut header = json!({"alg": "ES256", "typ": "at+jwt", "kid": kid});
        header
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        header
    };
    for alg in [
        "none", "None", "nOnE", "NONE", "HS256", "EdDSA", "RS256", "ES384", "es256", "",
    ] {
        stage
            .refuses(&with(&token, Some(header(json!({"alg": alg}))), None, None), alg)
            .await;
        stage
            .refuses(&with(&token, Some(header(json!({"alg": alg}))), None, Some(b"")), alg)
            .await;
    }
    for odd in [
        json!({"alg": ["ES256"]}),
        json!({"alg": 1}),
        json!({"alg": null}),
        json!({"typ": "JWT"}),
        json!({"typ": "logout+jwt"}),
        json!({"typ": "AT+JWT"}),
        json!({"typ": null}),
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"b64": false}),
        json!({"zip": "DEF"}),
        json!({"cty": "JWT"}),
        json!({"jku": "https://evil.example/keys"}),
        json!({"x5u": "https://evil.example/cert"}),
        json!({"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}),
        json!({"x5c": ["MIIB"]}),
        json!({"kid": "../../dev/null"}),
        json!({"kid": "' UNION SELECT 1 --"}),
        json!({"kid": "https://evil.example"}),
        json!({"kid": ["a"]}),
        json!({"kid": null}),
        json!({"kid": "x".repeat(4_000)}),
    ] {
        stage
            .refuses(&with(&token, Some(header(odd.clone())), None, None), &odd.to_string())
            .await;
    }
    let mut without = header(json!({}));
    without.as_object_mut().unwrap().remove("alg");
    stage.refuses(&with(&token, Some(without), None, None), "no alg").await;
    let twice = format!(r#"{{"alg":"ES256","typ":"at+jwt","kid":"x","kid":{kid}}}"#);
    let rest = token.split_once('.').unwrap().1;
    stage
        .refuses(&format!("{}.{rest}", URL_SAFE_NO_PAD.encode(twice)), "kid twice")
        .await;
    stage
        .refuses(&format!("{}.{rest}", URL_SAFE_NO_PAD.encode("[]")), "a list")
        .await;
}

#[tokio::test]
async fn a_public_key_is_no_secret_to_sign_with() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let path = format!("/projects/{}/.well-known/jwks.json", stage.house.project());
    let jwk = stage.wire.get("", &path).await.ok().json()["keys"][0].clone();
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point: Vec<u8> = [4].into_iter().chain(bytes("x")).chain(bytes("y")).collect();
    let head = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let der: Vec<u8> = head.into_iter().chain(point.iter().copied()).collect();
    let body = STANDARD.encode(&der);
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n{}\n-----END PUBLIC KEY-----\n",
        &body[..64],
        &body[64..]
    );
    let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": jwk["kid"]});
    let signed = format!("{}.{}", encode(&header), token.split('.').nth(1).unwrap());
    for key in [point, der, pem.into_bytes(), jwk.to_string().into_bytes()] {
        let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac(&key, &signed)));
        stage.refuses(&forged, "HS256 with the public key").await;
    }
}

#[tokio::test]
async fn a_signature_has_one_form_and_fits_one_text() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let signature = URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap();
    let (r, s) = signature.split_at(32);
    let integer = |bytes: &[u8]| {
        let bytes: Vec<u8> = [0].iter().chain(bytes).copied().collect();
        [vec![2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    let both = [integer(r), integer(s)].concat();
    let der = [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat();
    let zero = [0u8; 32];
    for (forged, why) in [
        (der, "DER"),
        ([zero, zero].concat(), "r = s = 0"),
        ([&zero, s].concat(), "r = 0"),
        ([r, &zero].concat(), "s = 0"),
        (signature[..63].to_vec(), "cut"),
        ([&signature[..], &[0]].concat(), "longer"),
        ([&[0], &signature[..]].concat(), "padded"),
        ([s, r].concat(), "swapped"),
        (Vec::new(), "none"),
    ] {
        stage.refuses(&with(&token, None, None, Some(&forged)), why).await;
    }
    let mut wider = part(&token, 1);
    wider["scope"] = json!("orders:read orders:write admin");
    stage
        .refuses(&with(&token, None, Some(wider), None), "wider claims")
        .await;
    let mut later = part(&token, 1);
    later["exp"] = json!(4_000_000_000u32);
    stage.refuses(&with(&token, None, Some(later), None), "later end").await;
}

#[tokio::test]
async fn base64_has_one_spelling() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else {
        panic!("three parts")
    };
    for (forged, why) in [
        (format!("{header}=.{claims}.{signature}"), "padding"),
        (format!("{header}.{claims}==.{signature}"), "padding"),
        (format!("{header}.{claims}.{signature}=="), "padding"),
        (format!(" {token}"), "a space before"),
        (format!("{token} "), "a space after"),
        (format!("{header}.{claims}.{signature}\n"), "a line break"),
        (format!("{header}.{claims} .{signature}"), "a space within"),
        (format!("{header}.{claims}"), "two parts"),
        (format!("{token}."), "four parts"),
        (format!("{token}.x"), "four parts"),
        (format!("{token}.x.y"), "five parts"),
        (format!(".{claims}.{signature}"), "no header"),
        (format!("{header}..{signature}"), "no claims"),
        (
            format!("{{\"protected\":\"{header}\",\"payload\":\"{claims}\",\"signature\":\"{signature}\"}}"),
            "JSON",
        ),
    ] {
        stage.refuses(&forged, why).await;
    }
    // The last character of 64 bytes has four bits to spare: of sixteen spellings one is right.
    let (rest, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut good = 0;
    for other in alphabet.chars() {
        let spelled = format!("{header}.{claims}.{rest}{other}");
        if stage.code(&spelled).await == "valid" {
            assert_eq!(other.to_string(), last);
            good += 1;
        }
    }
    assert_eq!(good, 1);
    if signature.contains(['-', '_']) {
        let standard = format!("{header}.{claims}.{}", signature.replace('-', "+").replace('_', "/"));
        stage.refuses(&standard, "the other alphabet").await;
    }
}

#[tokio::test]
async fn a_token_of_another_project_is_nothing_here() {
    let stage = Stage::open().await;
    let foreign = stage.token(&stage.house.operator).await;
    assert_eq!(stage.code(&foreign).await, "unknown");
}
