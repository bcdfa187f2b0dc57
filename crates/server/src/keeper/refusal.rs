//! Why the keeper does not do what it is asked: everything that a door must be able to put into words.

use keyholt_api::code::Code;
use keyholt_api::fault::Faults;
use keyholt_core::actor::{Beyond, Forbidden};
use keyholt_core::amend::AmendError;
use keyholt_core::audit::Noun;
use keyholt_core::enrol::EnrolError;
use keyholt_core::found::FoundError;
use keyholt_core::issue::IssueError;
use keyholt_core::pause::PauseError;
use keyholt_core::project::PolicyBreach;
use keyholt_core::rotate::RotateError;
use keyholt_core::session::StartError;
use keyholt_core::text::TextError;
use keyholt_core::token::MintError;
use keyholt_store::{CommitError, StoreError};

use super::Unauthenticated;
use super::guesses::Wait;

/// Why not. Nothing here holds a secret or a value that the caller sent.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The actor's key lacks a scope.
    #[error("this key lacks the scope `{scope}`")]
    Lacks {
        /// The missing scope.
        scope: &'static str,
    },
    /// There is no such thing, or it is out of the actor's reach, which looks the same.
    #[error("no such {}", .0.as_str())]
    NotFound(Noun),
    /// It would exceed the actor.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// The project's policy is against it.
    #[error(transparent)]
    Policy(#[from] PolicyBreach),
    /// The key is not issued.
    #[error(transparent)]
    Issue(IssueError),
    /// The key is not rotated.
    #[error(transparent)]
    Rotate(RotateError),
    /// The key is not amended.
    #[error(transparent)]
    Amend(AmendError),
    /// The key is not suspended or resumed.
    #[error(transparent)]
    Pause(PauseError),
    /// The owner, role or project is not enrolled or changed.
    #[error(transparent)]
    Enrol(EnrolError),
    /// The set-up token is not valid.
    #[error(transparent)]
    Found(#[from] FoundError),
    /// One wrong credential too many from the same source.
    #[error("too many wrong credentials came from this source")]
    TooManyGuesses(Wait),
    /// Nobody is logged in: unknown, wrong or suspended; which of them is not said.
    #[error("the name or the password is not right")]
    LogIn,
    /// Too many guesses at this account. The right password is not looked at either.
    #[error("too many wrong passwords were tried with this name")]
    AccountThrottled(Wait),
    /// Too many people log in at once.
    #[error("too many people are logging in at this moment")]
    Crowded,
    /// The session is over, or the token was used before: which of them is not said.
    #[error("the session is over")]
    SessionOver,
    /// The password is too short for the project's policy.
    #[error("the password must have at least {least} characters")]
    PasswordTooShort {
        /// The fewest that are allowed.
        least: u16,
    },
    /// The password is a common one, or easily guessed.
    #[error("the password is one of those that are guessed first")]
    PasswordGuessable,
    /// There was a set-up, and it is over.
    #[error("the set-up is complete")]
    SetUpComplete,
    /// A text is not allowed.
    #[error("`{field}` {error}")]
    Text {
        /// Which member of the request.
        field: &'static str,
        /// What is wrong with it.
        error: TextError,
    },
    /// A named role, user or other thing does not exist.
    #[error("`{field}` names a {} that does not exist", noun.as_str())]
    Dangling {
        /// Which member of the request.
        field: &'static str,
        /// What was named.
        noun: Noun,
    },
    /// The role is held by somebody, or given by default.
    #[error("the role is held by somebody, or given by default")]
    RoleInUse,
    /// The caller based the change on a revision that is not the newest.
    #[error("the {} was changed meanwhile", .0.as_str())]
    Stale(Noun),
    /// Two changes at once; this one was not done.
    #[error("the {} is being changed by somebody else", .0.as_str())]
    Busy(Noun),
    /// Another record has that handle.
    #[error("another {} has that handle", .0.as_str())]
    HandleTaken(Noun),
    /// Another key has that secret.
    #[error("another key has that secret")]
    SecretTaken,
    /// The user has a static key already.
    #[error("the user has a static key already; rotate it")]
    StaticTaken,
    /// The owner has as many keys as the policy allows.
    #[error("the owner has as many keys as the policy allows")]
    TooManyKeys,
    /// The `Idempotency-Key` was used for another request.
    #[error("the `Idempotency-Key` was used for another request")]
    ReplayDiffers,
    /// A bulk action found another number of keys than the caller expects.
    #[error("the filter finds {count} keys, not the expected number")]
    CountDiffers {
        /// How many it finds.
        count: u64,
    },
    /// A bulk action finds more keys than are changed at once.
    #[error("the filter finds more than {most} keys; narrow it")]
    TooManyMatches {
        /// The limit.
        most: u64,
    },
    /// This node's view of the keys is too old to be sure.
    #[error("this node cannot know now")]
    CannotKnow,
    /// There is no room left to write.
    #[error("the storage is full")]
    StorageFull,
    /// The store does not answer.
    #[error("the store does not answer")]
    Store(#[source] StoreError),
    /// It is not known whether the change was written.
    #[error("it is not known whether the change was written")]
    Uncertain(#[source] StoreError),
    /// The stored row is not as Keyholt wrote it.
    #[error("the stored {} is not as Keyholt wrote it", .0.as_str())]
    Tampered(Noun),
    /// The access token is not made.
    #[error(transparent)]
    Mint(MintError),
    /// What was shown is not good, or not any more.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// The keyring has no room for more keys.
    #[error("the keyring is full")]
    KeyringFull,
}

impl Refusal {
    /// What a permission that was not given means for a thing of this kind.
    pub(super) fn forbidden(forbidden: Forbidden, noun: Noun) -> Self {
        match forbidden {
            Forbidden::Hidden => Self::NotFound(noun),
            Forbidden::Lacks { scope } => Self::Lacks { scope },
        }
    }

    /// Whether this says something about the actor's rights, and so belongs into the audit trail.
    pub(super) fn is_attempt(&self) -> bool {
        !matches!(
            self,
            Self::CannotKnow
                | Self::StorageFull
                | Self::Store(_)
                | Self::Uncertain(_)
                | Self::KeyringFull
                | Self::Unauthenticated(_)
                | Self::TooManyGuesses(_)
                | Self::Busy(_)
                | Self::Stale(_)
                | Self::AccountThrottled(_)
                | Self::Crowded
        )
    }

    /// Its code in the catalogue: what the caller is told, and what the audit trail keeps of it.
    pub fn code(&self) -> Code {
        match self {
            Self::Lacks { .. } => Code::InsufficientScope,
            Self::NotFound(_) => Code::NotFound,
            Self::Beyond(beyond) => code_of_beyond(beyond),
            Self::Policy(breach) => code_of_breach(breach),
            Self::Issue(error) => match error {
                IssueError::Beyond(beyond) => code_of_beyond(beyond),
                IssueError::Policy(breach) => code_of_breach(breach),
                IssueError::AlreadyExpired => Code::AlreadyExpired,
                IssueError::NotStatic | IssueError::NotPublishable | IssueError::NotSession => Code::KindNotAllowed,
            },
            Self::Rotate(error) => match error {
                RotateError::Beyond(beyond) => code_of_beyond(beyond),
                RotateError::Policy(breach) => code_of_breach(breach),
                RotateError::SameSecret => Code::SecretTaken,
                RotateError::Revoked => Code::KeyRevoked,
                RotateError::Expired => Code::KeyExpired,
            },
            Self::Amend(error) => match error {
                AmendError::Beyond(beyond) => code_of_beyond(beyond),
                AmendError::Policy(breach) => code_of_breach(breach),
                AmendError::AlreadyExpired => Code::AlreadyExpired,
                AmendError::Revoked => Code::KeyRevoked,
                AmendError::Kind(_) => Code::KindNotAllowed,
                AmendError::Environment => Code::EnvironmentFixed,
            },
            Self::Pause(error) => match error {
                PauseError::Beyond(beyond) => code_of_beyond(beyond),
                PauseError::Revoked => Code::KeyRevoked,
            },
            Self::Enrol(error) => match error {
                EnrolError::Beyond(beyond) => code_of_beyond(beyond),
                EnrolError::LastOperator => Code::LastOperator,
                EnrolError::Members => Code::InvalidMembers,
                EnrolError::SystemProject => Code::SystemProject,
            },
            Self::Mint(error) => code_of_mint(error),
            Self::Found(_) => Code::SetupTokenInvalid,
            Self::TooManyGuesses(_) | Self::AccountThrottled(_) => Code::TooManyRequests,
            Self::LogIn => Code::LogInRefused,
            Self::Crowded => Code::Crowded,
            Self::SessionOver => Code::SessionOver,
            Self::PasswordTooShort { .. } => Code::PasswordTooShort,
            Self::PasswordGuessable => Code::PasswordGuessable,
            Self::SetUpComplete => Code::SetupComplete,
            Self::Text { field, error } => Faults::one(field, error.clone()).code(),
            Self::Dangling { .. } => Code::InvalidFields,
            Self::RoleInUse => Code::RoleInUse,
            Self::Stale(_) => Code::PreconditionFailed,
            Self::Busy(_) => Code::ChangedMeanwhile,
            Self::HandleTaken(_) => Code::HandleTaken,
            Self::SecretTaken => Code::SecretTaken,
            Self::StaticTaken => Code::StaticKeyExists,
            Self::TooManyKeys => Code::TooManyKeys,
            Self::ReplayDiffers => Code::RequestKeyReused,
            Self::CountDiffers { .. } => Code::CountDiffers,
            Self::TooManyMatches { .. } => Code::TooManyMatches,
            Self::CannotKnow => Code::CannotKnow,
            Self::StorageFull | Self::KeyringFull => Code::StorageFull,
            Self::Store(_) => Code::StoreUnavailable,
            Self::Uncertain(_) => Code::OutcomeUnknown,
            Self::Tampered(_) => Code::Tampered,
            Self::Unauthenticated(error) => error.code(),
        }
    }
}

const fn code_of_beyond(beyond: &Beyond) -> Code {
    match beyond {
        Beyond::Scope { .. } | Beyond::Everything | Beyond::Outlives => Code::BeyondOwnRights,
        Beyond::OldLogIn { .. } => Code::FreshLogInRequired,
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

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Stale { noun } => Self::Busy(noun),
            CommitError::HandleTaken { noun } => Self::HandleTaken(noun),
            CommitError::SecretTaken => Self::SecretTaken,
            CommitError::StaticTaken => Self::StaticTaken,
            CommitError::ReplayTaken => Self::ReplayDiffers,
            CommitError::TooManyKeys => Self::TooManyKeys,
            // Whoever was recognised by it is nobody any more.
            CommitError::MakerEnded => Self::Unauthenticated(Unauthenticated::Invalid),
            CommitError::Full => Self::StorageFull,
            CommitError::Uncertain(error) => Self::Uncertain(error),
            CommitError::Store(error) => Self::Store(error),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<StartError> for Refusal {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Policy(breach) => Self::Policy(breach),
            StartError::Text(error) => Self::Text { field: "name", error },
        }
    }
}

macro_rules! transparent {
    ($($error:ident => $variant:ident;)*) => {$(
        impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

impl From<Wait> for Refusal {
    fn from(wait: Wait) -> Self {
        Self::TooManyGuesses(wait)
    }
}

transparent! {
    IssueError => Issue;
    RotateError => Rotate;
    AmendError => Amend;
    PauseError => Pause;
    EnrolError => Enrol;
    MintError => Mint;
}
