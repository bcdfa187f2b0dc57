//! Failures: what any extractor or handler returns instead of an answer, and how one becomes a problem.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_api::problem::{MEDIA_TYPE, Problem};

use super::envelope::mark;
use crate::keeper::{Refusal, Unauthenticated, Wait};

/// How long to wait before asking again when this node cannot answer.
const RETRY_SECONDS: u64 = 1;

/// Why a request is not answered as it was meant. The envelope writes it as a problem, with the request's id.
#[derive(Clone, Debug)]
pub struct Fail {
    code: Code,
    detail: Option<String>,
    faults: Faults,
    count: Option<u64>,
    missing: Option<&'static str>,
    retry_after: Option<u64>,
}

/// What handlers return.
pub type Answer<T> = Result<T, Fail>;

impl Fail {
    /// A failure in the catalogue's words.
    pub fn new(code: Code) -> Self {
        Self {
            code,
            detail: None,
            faults: Faults::default(),
            count: None,
            missing: None,
            retry_after: None,
        }
    }

    /// A failure that says what went wrong this time. The text must not repeat what was sent.
    pub fn saying(code: Code, detail: impl Into<String>) -> Self {
        Self {
            detail: Some(detail.into()),
            ..Self::new(code)
        }
    }

    /// A failure that names what is wrong with the request's members.
    pub fn naming(code: Code, faults: Faults) -> Self {
        Self {
            faults,
            ..Self::new(code)
        }
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What is wrong with the request's members.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The scope that the caller's key lacks, where that is what went wrong.
    pub fn missing(&self) -> Option<&'static str> {
        self.missing
    }

    /// Whether it says no more than its code means.
    pub fn is_bare(&self) -> bool {
        self.detail.is_none()
    }

    /// What it says for people.
    pub fn detail(&self) -> String {
        self.detail
            .clone()
            .unwrap_or_else(|| self.code.entry().meaning.to_owned())
    }

    /// In how many seconds to ask again, where asking again may help.
    pub fn retry_after(&self) -> Option<HeaderValue> {
        let seconds = self.retry_after.or(match self.code {
            Code::CannotKnow | Code::StoreUnavailable | Code::OutcomeUnknown | Code::Crowded => Some(RETRY_SECONDS),
            _ => None,
        });
        seconds.map(HeaderValue::from)
    }

    /// The whole answer, for a request of this id.
    pub fn problem(self, request_id: &str) -> Response {
        let challenge = self.challenge();
        let code = self.code;
        let retry_after = self.retry_after();
        let status = StatusCode::from_u16(code.entry().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut problem = Problem::new(code, request_id).with_faults(self.faults);
        problem.detail = self.detail.unwrap_or(problem.detail);
        problem.count = self.count;
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(challenge) = challenge {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = retry_after {
            headers.insert(RETRY_AFTER, seconds);
        }
        mark(headers, request_id);
        response
    }

    /// What RFC 6750 §3 has us say to a caller whose credential is missing or not enough.
    fn challenge(&self) -> Option<HeaderValue> {
        match (self.code, self.missing) {
            // No error code for somebody who showed nothing (RFC 6750 §3.1).
            (Code::CredentialRequired | Code::SetupTokenInvalid | Code::LogInRefused | Code::SessionOver, _) => {
                Some(HeaderValue::from_static(r#"Bearer realm="keyholt""#))
            }
            (Code::InvalidCredential, _) => Some(HeaderValue::from_static(
                r#"Bearer realm="keyholt", error="invalid_token""#,
            )),
            (Code::InsufficientScope, Some(scope)) => HeaderValue::try_from(format!(
                r#"Bearer realm="keyholt", error="insufficient_scope", scope="{scope}""#
            ))
            .ok(),
            _ => None,
        }
    }
}

impl IntoResponse for Fail {
    /// Carries the failure to the envelope, which alone knows the request's id.
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Box::new(self));
        response
    }
}

/// Takes the failure out of an answer, with the `Allow` header that the router may have added.
pub(crate) fn carried(response: &mut Response) -> Option<(Fail, Option<HeaderValue>)> {
    let fail = response.extensions_mut().remove::<Box<Fail>>()?;
    Some((*fail, response.headers().get(ALLOW).cloned()))
}

impl From<Faults> for Fail {
    fn from(faults: Faults) -> Self {
        Self::naming(faults.code(), faults)
    }
}

impl From<Unauthenticated> for Fail {
    fn from(error: Unauthenticated) -> Self {
        match error {
            Unauthenticated::TooMany(wait) => wait.into(),
            Unauthenticated::Invalid | Unauthenticated::AddressNotAllowed | Unauthenticated::CannotKnow => {
                Self::new(error.code())
            }
        }
    }
}

impl From<Wait> for Fail {
    fn from(wait: Wait) -> Self {
        let detail = "too many wrong credentials came from this source; a good one is accepted at any time";
        Self {
            retry_after: Some(wait.seconds()),
            ..Self::saying(Code::TooManyRequests, detail)
        }
    }
}

impl From<Refusal> for Fail {
    fn from(refusal: Refusal) -> Self {
        let fail = Self::saying(refusal.code(), refusal.to_string());
        match refusal {
            Refusal::Lacks { scope } => Self {
                missing: Some(scope),
                ..fail
            },
            Refusal::Text { field, error } => Faults::one(field, error).into(),
            Refusal::Dangling { field, .. } => {
                let reason = Reason(FaultCode::NotFound, fail.detail().into());
                Faults::one(field, reason).into()
            }
            Refusal::CountDiffers { count } => Self {
                count: Some(count),
                ..fail
            },
            Refusal::Unauthenticated(error) => error.into(),
            Refusal::TooManyGuesses(wait) => wait.into(),
            Refusal::AccountThrottled(wait) => Self {
                retry_after: Some(wait.seconds()),
                ..fail
            },
            // What the store says is for the log alone.
            Refusal::Store(error) => {
                tracing::warn!(%error, "the store does not answer");
                fail
            }
            Refusal::Uncertain(error) => {
                tracing::error!(%error, "it is not known whether a change was written");
                fail
            }
            _ => fail,
        }
    }
}
