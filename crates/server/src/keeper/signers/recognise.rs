//! Access tokens recognised: those of a signature that was checked lately are not checked again.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use arc_swap::{ArcSwapOption, Guard};
use keyholt_core::time::Span;
use keyholt_core::token::Token;

use super::{HeldKey, Keeper};
use crate::jose::{ACCESS_TOKEN, Compact};

/// Tokens whose signatures are remembered.
const SEEN_MAX: usize = 1 << 16;
/// How much later than ours another node's clock may be.
const CLOCKS_APART: Span = Span::secs(60);

/// Tokens whose signatures were checked, each in the one place that its digest names, until another one takes it.
pub(super) struct SeenTokens(LazyLock<Box<[ArcSwapOption<Seen>]>>);

/// A token whose signature was checked. Only the signature is remembered: standing never is.
struct Seen {
    digest: [u8; 32],
    as_of: u64,
    key: Arc<HeldKey>,
    token: Token,
}

impl SeenTokens {
    pub(super) fn new() -> Self {
        Self(LazyLock::new(|| {
            (0..SEEN_MAX).map(|_| ArcSwapOption::empty()).collect()
        }))
    }

    fn place(&self, digest: &[u8; 32]) -> Option<&ArcSwapOption<Seen>> {
        let [high, low, ..] = *digest;
        self.0.get(usize::from(u16::from_be_bytes([high, low])))
    }
}

/// A token that was recognised, in hand for one request.
///
/// Held where it is remembered: with a count of its own, all threads that are shown one token would write to the same word.
pub(in crate::keeper) struct HeldToken(Guard<Option<Arc<Seen>>>);

impl Deref for HeldToken {
    type Target = Token;

    fn deref(&self) -> &Token {
        let seen = self.0.as_ref().expect("made of a token that is there");
        &seen.token
    }
}

impl Keeper {
    /// The token that a text is, where its signature is that of a key of ours that is believed now, and its claims are
    /// those of an access token of that key's project.
    pub(in crate::keeper) fn recognise(&self, text: &str) -> Option<HeldToken> {
        let held = self.signers.held(&self.keyring);
        let now = self.now();
        let digest: [u8; 32] = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes())
            .as_ref()
            .try_into()
            .ok()?;
        let place = self.signers.seen.place(&digest)?;
        let lately = place.load();
        if let Some(seen) = &*lately
            && seen.digest == digest
            && seen.as_of == held.as_of
        {
            return seen.key.record.is_believed(now).then_some(HeldToken(lately));
        }
        let compact = Compact::parse(text).ok()?;
        if compact.header.typ.as_deref() != Some(ACCESS_TOKEN) {
            return None;
        }
        let (key, issuer) = held.keys.get(compact.header.kid.as_deref()?)?;
        if !key.record.is_believed(now) {
            return None;
        }
        let payload = compact.verified(key.verifier()?).ok()?;
        let token = Token::read(payload, issuer.project, &issuer.name).ok()?;
        if token.issued_at > now.plus(CLOCKS_APART) {
            return None;
        }
        let seen = Some(Arc::new(Seen {
            digest,
            as_of: held.as_of,
            key: Arc::clone(key),
            token,
        }));
        place.store(seen.clone());
        Some(HeldToken(Guard::from_inner(seen)))
    }
}
