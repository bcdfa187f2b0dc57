//! Failures: what any extractor or handler returns instead of an answer, and how one becomes a problem.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use keyholt_api::code::Code;
use keyholt_api::fault::Faults;
use keyholt_api::problem::{MEDIA_TYPE, Problem};
use keyholt_core::actor::Beyond;
use keyholt_core::amend::AmendError;
use keyholt_core::enrol::EnrolError;
use keyholt_core::issue::IssueError;
use keyholt_core::pause::PauseError;
use keyholt_core::project::PolicyBreach;
use keyholt_core::rotate::RotateError;
use keyholt_core::token::MintError;

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
        // That somebody pasted a key is the first thing to tell.
        let code = if faults.holds_secret() {
            Code::LooksLikeSecret
        } else {
            Code::InvalidFields
        };
        Self::naming(code, faults)
    }
}

impl From<Unauthenticated> for Fail {
    fn from(error: Unauthenticated) -> Self {
        match error {
            Unauthenticated::Invalid => Self::new(Code::InvalidCredential),
            Unauthenticated::AddressNotAllowed => Self::new(Code::AddressNotAllowed),
            Unauthenticated::CannotKnow => Self::new(Code::CannotKnow),
            Unauthenticated::TooMany(wait) => wait.into(),
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
        let detail = refusal.to_string();
        let code = match refusal {
            Refusal::Lacks { scope } => {
                return Self {
                    missing: Some(scope),
                    ..Self::saying(Code::InsufficientScope, detail)
                };
            }
            Refusal::Text { field, error } => return Faults::one(field, error).into(),
            Refusal::Dangling { field, .. } => {
                let reason = keyholt_api::fault::Reason(keyholt_api::fault::FaultCode::NotFound, detail.into());
                return Faults::one(field, reason).into();
            }
            Refusal::CountDiffers { count } => {
                return Self {
                    count: Some(count),
                    ..Self::saying(Code::CountDiffers, detail)
                };
            }
            Refusal::Store(error) => {
                tracing::warn!(%error, "the store does not answer");
                Code::StoreUnavailable
            }
            Refusal::Uncertain(error) => {
                tracing::error!(%error, "it is not known whether a change was written");
                Code::OutcomeUnknown
            }
            Refusal::NotFound(_) => Code::NotFound,
            Refusal::Beyond(beyond) => code_of_beyond(&beyond),
            Refusal::Policy(breach) => code_of_breach(&breach),
            Refusal::Issue(error) => match error {
                IssueError::Beyond(beyond) => code_of_beyond(&beyond),
                IssueError::Policy(breach) => code_of_breach(&breach),
                IssueError::AlreadyExpired => Code::AlreadyExpired,
                IssueError::NotStatic | IssueError::NotPublishable | IssueError::NotSession => Code::KindNotAllowed,
            },
            Refusal::Rotate(error) => match error {
                RotateError::Beyond(beyond) => code_of_beyond(&beyond),
                RotateError::Policy(breach) => code_of_breach(&breach),
                RotateError::SameSecret => Code::SecretTaken,
                RotateError::Revoked => Code::KeyRevoked,
                RotateError::Expired => Code::KeyExpired,
            },
            Refusal::Amend(error) => match error {
                AmendError::Beyond(beyond) => code_of_beyond(&beyond),
                AmendError::Policy(breach) => code_of_breach(&breach),
                AmendError::AlreadyExpired => Code::AlreadyExpired,
                AmendError::Revoked => Code::KeyRevoked,
                AmendError::Kind(_) => Code::KindNotAllowed,
                AmendError::Environment => Code::EnvironmentFixed,
            },
            Refusal::Pause(error) => match error {
                PauseError::Beyond(beyond) => code_of_beyond(&beyond),
                PauseError::Revoked => Code::KeyRevoked,
            },
            Refusal::Enrol(error) => match error {
                EnrolError::Beyond(beyond) => code_of_beyond(&beyond),
                EnrolError::LastOperator => Code::LastOperator,
                EnrolError::Members => Code::InvalidMembers,
                EnrolError::SystemProject => Code::SystemProject,
            },
            Refusal::Mint(error) => code_of_mint(&error),
            Refusal::Unauthenticated(error) => return error.into(),
            Refusal::TooManyGuesses(wait) => return wait.into(),
            Refusal::AccountThrottled(wait) => {
                return Self {
                    retry_after: Some(wait.seconds()),
                    ..Self::saying(Code::TooManyRequests, detail)
                };
            }
            Refusal::LogIn => Code::LogInRefused,
            Refusal::Crowded => Code::Crowded,
            Refusal::SessionOver => Code::SessionOver,
            Refusal::PasswordTooShort { .. } => Code::PasswordTooShort,
            Refusal::PasswordGuessable => Code::PasswordGuessable,
            Refusal::Found(_) => Code::SetupTokenInvalid,
            Refusal::SetUpComplete => Code::SetupComplete,
            Refusal::RoleInUse => Code::RoleInUse,
            Refusal::Stale(_) => Code::PreconditionFailed,
            Refusal::Busy(_) => Code::ChangedMeanwhile,
            Refusal::HandleTaken(_) => Code::HandleTaken,
            Refusal::SecretTaken => Code::SecretTaken,
            Refusal::StaticTaken => Code::StaticKeyExists,
            Refusal::TooManyKeys => Code::TooManyKeys,
            Refusal::ReplayDiffers => Code::RequestKeyReused,
            Refusal::TooManyMatches { .. } => Code::TooManyMatches,
            Refusal::CannotKnow => Code::CannotKnow,
            Refusal::StorageFull | Refusal::KeyringFull => Code::StorageFull,
            Refusal::Tampered(_) => Code::Tampered,
        };
        Self::saying(code, detail)
    }
}

const fn code_of_beyond(beyond: &Beyond) -> Code {
    match beyond {
        Beyond::Scope { .. } | Beyond::Everything | Beyond::Outlives => Code::BeyondOwnRights,
    }
}

const fn code_of_mint(error: &MintError) -> Code {
    match error {
        MintError::Scope { .. } | MintError::Audience => Code::BeyondOwnRights,
        MintError::TooLong { .. } => Code::LifetimeTooLong,
        MintError::TooManyScopes | MintError::TooShort | MintError::TooManyActors => Code::InvalidFields,
    }
}

const fn code_of_breach(breach: &PolicyBreach) -> Code {
    match breach {
        PolicyBreach::LifetimeTooLong { .. } => Code::LifetimeTooLong,
        PolicyBreach::UnknownScope { .. } => Code::UnknownScope,
        PolicyBreach::OwnerKind { .. } => Code::OwnerKindNotAllowed,
        PolicyBreach::GraceTooLong { .. } => Code::GraceTooLong,
    }
}
