//! Denials: the catalogue of reasons why a presented key is not accepted.

use serde::Serialize;

use crate::scope::ScopeSet;

/// Why a presented key is not accepted. A denial is an answer, never an error.
///
/// The order of the variants is the order in which [`crate::verify::judge`] looks, which is a security property:
/// no reason is given before possession of the secret is proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denial {
    /// The text cannot be a secret: mistyped or cut off.
    Malformed,
    /// No live secret of this project: never existed, deleted, another project's, or retired by a rotation.
    Unknown,
    /// The stored row is not as Keyholt wrote it.
    Tampered,
    /// Somebody ended the key.
    Revoked,
    /// Somebody stopped the key for a time.
    Suspended,
    /// The key's time is over.
    Expired,
    /// The key's owner is suspended.
    OwnerSuspended,
    /// The key's project is suspended.
    ProjectSuspended,
    /// The client's address is not among the key's networks.
    AddressNotAllowed,
    /// The page's origin is not among the key's origins.
    OriginNotAllowed,
    /// The key is meant for somebody else.
    AudienceNotAllowed,
    /// The key is meant for another environment.
    EnvironmentNotAllowed,
    /// The key may not do what was asked.
    InsufficientScope {
        /// The asked scopes that it lacks.
        missing: ScopeSet,
    },
}

/// A denial's code: its name in answers, metrics and documentation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialCode {
    /// See [`Denial::Malformed`].
    Malformed,
    /// See [`Denial::Unknown`].
    Unknown,
    /// See [`Denial::Tampered`].
    Tampered,
    /// See [`Denial::Revoked`].
    Revoked,
    /// See [`Denial::Suspended`].
    Suspended,
    /// See [`Denial::Expired`].
    Expired,
    /// See [`Denial::OwnerSuspended`].
    OwnerSuspended,
    /// See [`Denial::ProjectSuspended`].
    ProjectSuspended,
    /// See [`Denial::AddressNotAllowed`].
    AddressNotAllowed,
    /// See [`Denial::OriginNotAllowed`].
    OriginNotAllowed,
    /// See [`Denial::AudienceNotAllowed`].
    AudienceNotAllowed,
    /// See [`Denial::EnvironmentNotAllowed`].
    EnvironmentNotAllowed,
    /// See [`Denial::InsufficientScope`].
    InsufficientScope,
}

/// What the documentation says about a denial: one entry each, from which its page is made.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// The code.
    pub code: DenialCode,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// What the holder of the key can do.
    pub remedy: &'static str,
    /// What the verifying service should answer its own client.
    pub status: u16,
}

impl DenialCode {
    /// All codes, in the order in which the judge looks.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::Unknown,
        Self::Tampered,
        Self::Revoked,
        Self::Suspended,
        Self::Expired,
        Self::OwnerSuspended,
        Self::ProjectSuspended,
        Self::AddressNotAllowed,
        Self::OriginNotAllowed,
        Self::AudienceNotAllowed,
        Self::EnvironmentNotAllowed,
        Self::InsufficientScope,
    ];

    /// The code as it is written in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Tampered => "tampered",
            Self::Revoked => "revoked",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::OwnerSuspended => "owner_suspended",
            Self::ProjectSuspended => "project_suspended",
            Self::AddressNotAllowed => "address_not_allowed",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::AudienceNotAllowed => "audience_not_allowed",
            Self::EnvironmentNotAllowed => "environment_not_allowed",
            Self::InsufficientScope => "insufficient_scope",
        }
    }

    /// What the documentation says about it.
    pub const fn explanation(self) -> Explanation {
        let (meaning, remedy, status) = match self {
            Self::Malformed => (
                "The text cannot be a key: its check is wrong, or its length or characters are.",
                "Copy the key again, whole; a key has one spelling and nothing is trimmed.",
                401,
            ),
            Self::Unknown => (
                "No live key of this project has this secret: it never existed, was deleted, belongs to another project, or was retired by a rotation whose grace is over.",
                "Use the newest secret of the key, against the service it was made for.",
                401,
            ),
            Self::Tampered => (
                "The stored key is not as Keyholt wrote it: somebody changed the database. An alarm was raised.",
                "Tell the operator; the key works again only when it is issued anew.",
                401,
            ),
            Self::Revoked => ("The key was revoked. That is final.", "Ask for a new key.", 401),
            Self::Suspended => (
                "The key was suspended and may be resumed.",
                "Ask whoever manages the key.",
                401,
            ),
            Self::Expired => (
                "The key's time is over; it was dead at its instant.",
                "Ask for a new key or a later expiry.",
                401,
            ),
            Self::OwnerSuspended => (
                "The key's owner is suspended; lifting that restores the key.",
                "Ask whoever manages the owner.",
                401,
            ),
            Self::ProjectSuspended => (
                "The key's project is suspended; lifting that restores the key.",
                "Ask an operator.",
                401,
            ),
            Self::AddressNotAllowed => (
                "The key is bound to client networks, and the client's address is not in them or was not given.",
                "Call from an allowed network; the verifying service must send `client_address`.",
                403,
            ),
            Self::OriginNotAllowed => (
                "The key is bound to web origins, and the page's origin is not among them or was not given.",
                "Use the key from an allowed page; the verifying service must send `origin`.",
                403,
            ),
            Self::AudienceNotAllowed => (
                "The key is meant for another audience, or the question named none.",
                "Use a key that was made for this service.",
                403,
            ),
            Self::EnvironmentNotAllowed => (
                "The key is meant for another environment, or the question named none.",
                "Use a key of this environment.",
                403,
            ),
            Self::InsufficientScope => (
                "The key is good but may not do all that was asked; the missing scopes are named.",
                "Ask for a key with the missing scopes, or for its owner to be given them.",
                403,
            ),
        };
        Explanation {
            code: self,
            meaning,
            remedy,
            status,
        }
    }
}

impl Denial {
    /// The denial's code.
    pub const fn code(&self) -> DenialCode {
        match self {
            Self::Malformed => DenialCode::Malformed,
            Self::Unknown => DenialCode::Unknown,
            Self::Tampered => DenialCode::Tampered,
            Self::Revoked => DenialCode::Revoked,
            Self::Suspended => DenialCode::Suspended,
            Self::Expired => DenialCode::Expired,
            Self::OwnerSuspended => DenialCode::OwnerSuspended,
            Self::ProjectSuspended => DenialCode::ProjectSuspended,
            Self::AddressNotAllowed => DenialCode::AddressNotAllowed,
            Self::OriginNotAllowed => DenialCode::OriginNotAllowed,
            Self::AudienceNotAllowed => DenialCode::AudienceNotAllowed,
            Self::EnvironmentNotAllowed => DenialCode::EnvironmentNotAllowed,
            Self::InsufficientScope { .. } => DenialCode::InsufficientScope,
        }
    }
}
