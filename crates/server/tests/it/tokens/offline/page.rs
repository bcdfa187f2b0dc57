//! The Rust of the page about offline checks, letter by letter, in functions that give it what it takes for granted.

use std::error::Error;

use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::Deserialize;

/// What this verifier reads in an access token.
#[derive(Deserialize, Debug)]
pub struct Claims {
    pub client_id: String,
    pub scope: String,
}

/// What it reads in a status list.
#[derive(Deserialize)]
struct List {
    status_list: Packed,
}

#[derive(Deserialize)]
struct Packed {
    bits: usize,
    lst: String,
}

/// Reads an access token, and whether it may read orders.
pub fn read(token: &str, keys: &JwkSet, issuer: &str) -> Result<(Claims, bool), Box<dyn Error>> {
    let header = jsonwebtoken::decode_header(token)?;
    let kid = header.kid.ok_or("no kid")?;
    let jwk = keys.find(&kid).ok_or("unknown key")?; // a `JwkSet` that you fetched and keep for ten minutes
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_issuer(&[issuer]);
    rules.set_audience(&["https://orders.example.com"]);
    rules.set_required_spec_claims(&["exp", "iss", "aud"]); // or a token without them would pass
    let read = jsonwebtoken::decode::<Claims>(token, &jsonwebtoken::DecodingKey::from_jwk(jwk)?, &rules)?;
    // `jsonwebtoken` leaves this to you
    if read.header.typ.as_deref() != Some("at+jwt") {
        return Err("not an access token".into());
    }
    let claims = read.claims;
    let may = claims.scope.split(' ').any(|scope| scope == "orders:read");

    Ok((claims, may))
}

/// What a list says at a place.
pub fn status(text: &str, jwk: &Jwk, issuer: &str, uri: &str, idx: usize) -> Result<u8, Box<dyn Error>> {
    use base64::Engine;
    use std::io::Read;

    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.set_issuer(&[issuer]);
    rules.sub = Some(uri.to_owned());
    rules.validate_aud = false;
    rules.set_required_spec_claims(&["exp", "iss", "sub"]);
    let list = jsonwebtoken::decode::<List>(text, &jsonwebtoken::DecodingKey::from_jwk(jwk)?, &rules)?;
    if list.header.typ.as_deref() != Some("statuslist+jwt") {
        return Err("not a status list".into());
    }
    let packed = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&list.claims.status_list.lst)?;
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(&packed[..])
        .take(1 << 21)
        .read_to_end(&mut bytes)?;
    let at = idx * list.claims.status_list.bits; // keep `bytes` for `ttl` seconds, and never beyond `exp`
    let status = bytes[at / 8] >> (at % 8) & 0b11;

    Ok(status)
}
