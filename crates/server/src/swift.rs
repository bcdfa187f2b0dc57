//! The short way: the same answers as the long way to the requests that come all the time, without its detours.
//!
//! It takes only requests that are beyond doubt: one credential, a body that is plain, a caller that may. Whatever is odd,
//! wrong or wants more is left to the long way, which therefore has all the rules about errors, and this has none. Nothing
//! is counted before the answer is sure, since the long way begins anew; a project's first signing key may be made, once.
//!
//! ```text
//! verify.rs   POST /v1/verify, /v1/verify/batch; terse.rs reads what most clients send there
//! oauth.rs    POST /oauth/token (client credentials), /oauth/introspect
//! ```

mod oauth;
mod terse;
mod verify;

use std::net::IpAddr;

use crate::http::BodyLimits;
use crate::keeper::Keeper;

pub use self::verify::Memo;

/// Where requests may take the short way.
pub const TARGETS: &[&str] = &["/v1/verify", "/v1/verify/batch", "/oauth/token", "/oauth/introspect"];

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Errand {
    Verify,
    Batch,
    Token,
    Introspect,
}

impl Errand {
    fn at(target: &str) -> Option<Self> {
        Some(match target {
            "/v1/verify" => Self::Verify,
            "/v1/verify/batch" => Self::Batch,
            "/oauth/token" => Self::Token,
            "/oauth/introspect" => Self::Introspect,
            _ => return None,
        })
    }

    fn media_type(self) -> &'static [u8] {
        match self {
            Self::Verify | Self::Batch => b"application/json",
            Self::Token | Self::Introspect => b"application/x-www-form-urlencoded",
        }
    }
}

/// A request that may take the short way.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    errand: Errand,
    authorization: Option<&'a [u8]>,
}

impl<'a> Asked<'a> {
    /// Looks at the head of a `POST`; nothing where the long way must be taken.
    pub fn read(target: &str, headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let errand = Errand::at(target)?;
        let (mut authorization, mut kind) = (None, None);
        for (name, value) in headers {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            let first = match name.len() {
                9 => !is("x-api-key"),
                12 if is("content-type") => kind.replace(value).is_none(),
                12 => !is("x-request-id"),
                13 if is("authorization") => authorization.replace(value).is_none(),
                16 => !is("content-encoding"),
                _ => true,
            };
            if !first {
                return None;
            }
        }
        (kind == Some(errand.media_type())).then_some(Self { errand, authorization })
    }

    /// Most bytes of its body; the long way refuses more.
    pub fn body_bytes_max(&self, limits: &BodyLimits) -> usize {
        match self.errand {
            Errand::Batch => limits.batch,
            Errand::Verify | Errand::Token | Errand::Introspect => limits.ordinary,
        }
    }

    /// Writes the answer to `out`, or nothing where the long way must be taken.
    ///
    /// `meanwhile` is what else there is to do for the request: it is done while memory is on its way, or not at all.
    pub fn answer(
        &self,
        caller: &Caller<'_>,
        Ahead(ahead): Ahead<'_>,
        body: &[u8],
        meanwhile: impl FnOnce(),
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let authorization = self.authorization;
        match self.errand {
            Errand::Verify => verify::one(caller, authorization?, ahead, body, meanwhile, out),
            Errand::Batch => {
                meanwhile();
                verify::many(caller, authorization?, body, out)
            }
            Errand::Token => {
                meanwhile();
                oauth::token(caller, authorization, body, out)
            }
            Errand::Introspect => {
                meanwhile();
                oauth::introspect(caller, authorization, body, out)
            }
        }
    }
}

/// What is begun before a request's head is judged. It changes nothing, whoever asks.
#[derive(Default)]
pub struct Ahead<'a>(Option<verify::Ahead<'a>>);

impl<'a> Ahead<'a> {
    /// Looks at what is probably a body.
    pub fn look(keeper: &'a Keeper, target: &str, body: &'a [u8]) -> Self {
        Self(match Errand::at(target) {
            Some(Errand::Verify) => verify::Ahead::look(keeper, body),
            _ => None,
        })
    }

    /// Goes on with it: the first piece of memory should have come.
    pub fn go_on(&mut self) {
        if let Some(ahead) = &mut self.0 {
            ahead.go_on();
        }
    }
}

/// Whoever asks.
pub struct Caller<'a> {
    /// Who answers.
    pub keeper: &'a Keeper,
    /// What is remembered of the connection.
    pub memo: &'a Memo,
    /// Where the caller is.
    pub address: IpAddr,
}
