//! The short way for OAuth: client credentials become an access token, and a token is asked about.

use futures_util::FutureExt;

use super::Caller;
use crate::keeper::Parent;
use crate::oauth::CLIENT_CREDENTIALS;
use crate::oauth::client::{Shown, shown};
use crate::oauth::form::Form;
use crate::oauth::{introspect, token};

/// Client credentials; any other grant takes the long way, and so does what has to wait for something.
pub(super) fn token(caller: &Caller<'_>, authorization: Option<&[u8]>, body: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let form = Form::read(body).ok()?;
    if form.get("grant_type") != Some(CLIENT_CREDENTIALS) {
        return None;
    }
    let client = caller.client(authorization, &form)?;
    let wish = token::wish(&form).ok()?;
    let minted = caller.keeper.mint_token(&client, wish).now_or_never()?.ok()?;
    caller.keeper.count_use(&client, caller.address);
    serde_json::to_writer(out, &token::told(&minted, caller.keeper.now(), None)).ok()
}

/// What there is to know about a token or a key.
pub(super) fn introspect(
    caller: &Caller<'_>,
    authorization: Option<&[u8]>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Option<()> {
    let form = Form::read(body).ok()?;
    let text = form.get("token")?;
    let client = caller.client(authorization, &form)?;
    let told = caller
        .keeper
        .introspect(&client, text, introspect::shown)
        .now_or_never()?
        .ok()?;
    caller.keeper.count_use(&client, caller.address);
    serde_json::to_writer(out, &told.unwrap_or_default()).ok()
}

impl Caller<'_> {
    fn client(&self, authorization: Option<&[u8]>, form: &Form) -> Option<Parent> {
        let authorization = match authorization {
            None => None,
            Some(bytes) => Some(std::str::from_utf8(bytes).ok()?),
        };
        let Shown { id, secret } = shown(authorization, form).ok()??;
        self.keeper.good_client(&id, &secret, self.address)
    }
}
