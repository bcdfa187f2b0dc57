//! The set-up token: how the first operator comes to be, without any default password.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::commit::Revision;
use crate::secret::{Digest, Fingerprint, Pepper};
use crate::time::{Expiry, Moment, Span};

/// How long a set-up token works.
pub const SETUP_LIFETIME: Span = Span::hours(24);

/// The one set-up token of an installation: printed at the first start, used up by the first operator.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// Digest of the token, as hexadecimal; `None` once an operator exists. It never comes back.
    digest: Option<String>,
    /// When the token is dead.
    pub expires: Expiry,
    /// How often the record was changed.
    pub revision: Revision,
}

impl Setup {
    /// An open set-up, answering to one token.
    pub fn open(fingerprint: &Fingerprint, pepper: &Pepper, now: Moment, revision: Revision) -> Self {
        Self {
            digest: Some(hex(&pepper.digest(fingerprint))),
            expires: Expiry::At(now.plus(SETUP_LIFETIME)),
            revision,
        }
    }

    /// The set-up after its use: closed for good.
    #[must_use]
    pub fn closed(&self) -> Self {
        Self {
            digest: None,
            expires: self.expires,
            revision: self.revision.next(),
        }
    }

    /// Whether an operator may still be made with a token.
    pub fn is_open(&self) -> bool {
        self.digest.is_some()
    }

    /// Whether this token opens it now.
    pub fn admits(&self, fingerprint: &Fingerprint, pepper: &Pepper, now: Moment) -> bool {
        let Some(digest) = self.digest.as_deref().and_then(unhex) else {
            return false;
        };
        pepper.recognises(fingerprint, &digest) && !self.expires.is_past(now)
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("open", &self.is_open())
            .field("expires", &self.expires)
            .field("revision", &self.revision)
            .finish()
    }
}

fn hex(digest: &Digest) -> String {
    digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Digest> {
    let mut bytes = [0u8; 32];
    for (place, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *place = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Digest::from_bytes(bytes))
}
