//! A token as it is shown: `mrsm-key:` and the Base64 of `<id>:<secret>`, in every form of `Authorization` header.
//!
//! | header | what it is |
//! |---|---|
//! | `Bearer mrsm-key:…`, `mrsm-key:…`, `Basic mrsm-key:…` | an API key |
//! | `Bearer <base64>`, `Basic <base64>` | an API key without its mark; the latter is also HTTP Basic of id and secret |
//! | `Bearer <anything else>` | an access token, or the secret of any other key of the project |
//!
//! All of them work for all operations, while the original takes some here and some there. The secret is what counts; the
//! id must be the one that belongs to it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use keyholt_api::code::Code;
use keyholt_core::actor::{Actor, Source};
use keyholt_core::id::KeyId;
use keyholt_core::secret::Secret;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::imported;
use crate::dialects::Desk;
use crate::http::Fail;
use crate::http::fail::Answer;

/// What stands before the Base64.
const MARK: &str = "mrsm-key:";
/// The schemes that may stand before a token.
const SCHEMES: [&str; 2] = ["bearer", "basic"];

/// What a caller shows.
pub struct Shown {
    /// The id that it claims the secret belongs to, where it claims one.
    pub id: Option<Uuid>,
    /// The secret.
    pub secret: Zeroizing<String>,
}

/// A token that was just registered: its secret and its API key. The one place of this dialect where a secret becomes text.
pub fn revealed(id: KeyId, secret: Secret) -> (Zeroizing<String>, Zeroizing<String>) {
    let secret = secret.reveal();
    let pair = Zeroizing::new(format!("{id}:{}", &*secret));
    let api_key = Zeroizing::new(format!("{MARK}{}", STANDARD.encode(pair.as_bytes())));
    (secret, api_key)
}

/// What the headers show.
pub fn presented(headers: &HeaderMap) -> Answer<Shown> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| Fail::new(Code::CredentialRequired))?;
    if values.next().is_some() {
        return Err(Fail::new(Code::MultipleCredentials));
    }
    let text = value.to_str().map_err(|_| Fail::new(Code::InvalidCredential))?;
    let (scheme, bare) = match text.split_once(' ') {
        Some((scheme, bare)) if SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) => (Some(scheme), bare),
        Some(_) => return Err(Fail::new(Code::InvalidCredential)),
        None => (None, text),
    };
    if bare.is_empty() {
        return Err(Fail::new(Code::CredentialRequired));
    }
    let marked = bare.strip_prefix(MARK);
    match (pair(marked.unwrap_or(bare)), marked, scheme) {
        (Some(shown), Some(_), _) | (Some(shown), None, Some(_)) => Ok(shown),
        // Not an API key; of the other things only Bearer credentials are known.
        (None, None, Some(scheme)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Shown {
            id: None,
            secret: Zeroizing::new(bare.to_owned()),
        }),
        _ => Err(Fail::new(Code::InvalidCredential)),
    }
}

/// The id and the secret in a Base64 text.
fn pair(encoded: &str) -> Option<Shown> {
    let bytes = Zeroizing::new(STANDARD.decode(encoded).ok()?);
    let (id, secret) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some(Shown {
        id: Some(Uuid::try_parse(id).ok()?),
        secret: Zeroizing::new(secret.to_owned()),
    })
}

/// Who shows this.
pub async fn recognise(desk: &Desk, shown: &Shown, source: Source) -> Answer<Actor> {
    let Some(id) = shown.id else {
        return desk.authenticate(&shown.secret, source);
    };
    match desk.authenticate(&shown.secret, source.clone()) {
        Ok(actor) if actor.key.uuid() == id || imported::is_named(desk, &actor, id).await? => Ok(actor),
        Ok(_) => Err(Fail::new(Code::InvalidCredential)),
        // A token that was imported with a slow hash, and is shown here for the first time.
        Err(fail) if fail.code() == Code::InvalidCredential => {
            match imported::adopt(desk, id, &shown.secret, source).await? {
                Some(actor) => Ok(actor),
                None => Err(fail),
            }
        }
        Err(fail) => Err(fail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20";

    fn shown(header: &str) -> Result<(bool, String), &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        presented(&headers)
            .map(|shown| (shown.id.is_some(), shown.secret.to_string()))
            .map_err(|fail| fail.code().as_str())
    }

    #[test]
    fn a_token_is_known_in_every_form_of_header() {
        let pair = STANDARD.encode(format!("{ID}:se:cret"));
        let whole = Ok((true, "se:cret".to_owned()));
        for header in [
            format!("Bearer mrsm-key:{pair}"),
            format!("mrsm-key:{pair}"),
            format!("Basic mrsm-key:{pair}"),
            format!("bearer {pair}"),
            format!("Basic {pair}"),
        ] {
            assert_eq!(shown(&header), whole, "{header}");
        }
        assert_eq!(shown("Bearer acme_x"), Ok((false, "acme_x".to_owned())));
    }

    #[test]
    fn what_is_no_token_is_not_taken_for_one() {
        let nobody = STANDARD.encode("ada:password");
        for header in [
            "mrsm-key:%%%",
            "Bearer mrsm-key:YWJj",
            "acme_x",
            "Digest mrsm-key:YWJj",
            &format!("Basic {nobody}"),
            &STANDARD.encode(format!("{ID}:secret")),
        ] {
            assert_eq!(shown(header), Err("invalid_credential"), "{header}");
        }
        for header in ["", "Bearer ", "Basic "] {
            assert_eq!(shown(header), Err("credential_required"), "{header}");
        }
    }
}
