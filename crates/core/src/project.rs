//! Projects: the tenants, each with a policy for the keys in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::commit::Revision;
use crate::id::{ProjectId, RoleId, SYSTEM};
use crate::owner::{OwnerKind, Standing};
use crate::scope::{Scope, ScopeSet};
use crate::secret::Prefix;
use crate::signing::Algorithm;
use crate::text::{Audience, Description, Name, Slug};
use crate::time::{Expiry, Lifetime, Moment, Span};

/// A tenant. Nothing is read or written without one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its handle in URLs and commands.
    pub slug: Slug,
    /// What people call it.
    pub name: Name,
    /// The rules for its keys.
    pub policy: Policy,
    /// Whether its keys work.
    pub standing: Standing,
    /// When it was founded.
    pub created_at: Moment,
    /// How often it was changed.
    pub revision: Revision,
}

impl Project {
    /// Whether this is the project that Keyholt itself lives in.
    pub fn is_system(&self) -> bool {
        self.id == SYSTEM
    }
}

/// Most scopes that a project declares.
pub const CATALOGUE_MAX: usize = 1000;

/// The rules that every key of a project obeys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// The first word of its secrets.
    pub prefix: Prefix,
    /// The life of a key that is made without saying.
    pub default_lifetime: Lifetime,
    /// The longest life of a key, static keys excepted.
    pub longest_lifetime: Lifetime,
    /// Who may have keys.
    pub owners: BTreeSet<OwnerKind>,
    /// Most keys that one owner may have, revoked ones not counted.
    pub keys_per_owner: u32,
    /// Which scopes exist.
    pub scopes: Catalogue,
    /// How long an old secret works after a rotation that does not say.
    pub default_grace: Span,
    /// The longest that an old secret may work after a rotation.
    pub longest_grace: Span,
    /// The roles of an owner that is enrolled without naming any.
    pub default_roles: BTreeSet<RoleId>,
    /// The rules for people who log in.
    pub log_in: LogInPolicy,
    /// The rules for access tokens.
    #[serde(default)]
    pub tokens: TokenPolicy,
}

/// The rules for people who log in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogInPolicy {
    /// How long a session lasts that is not refreshed.
    pub idle: Span,
    /// How long a session lasts at most, however often it is refreshed.
    pub longest: Span,
    /// Fewest characters of a password.
    pub password_chars_min: u16,
}

/// The longest that a policy may let a session last.
pub const SESSION_LONGEST_MAX: Span = Span::days(366);
/// Fewest characters of a password that a policy may ask for, and most.
pub const PASSWORD_CHARS_MIN_RANGE: std::ops::RangeInclusive<u16> = 8..=64;

impl LogInPolicy {
    /// For the people of a product.
    pub const PEOPLE: Self = Self {
        idle: Span::days(7),
        longest: Span::days(30),
        // NIST SP 800-63B-4: where a password is all that is asked for, it has 15 characters at least.
        password_chars_min: 15,
    };
    /// For operators, who can do everything.
    pub const OPERATORS: Self = Self {
        idle: Span::hours(1),
        longest: Span::hours(24),
        ..Self::PEOPLE
    };
}

/// The rules for a project's access tokens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TokenPolicy {
    /// How they are signed.
    pub algorithm: Algorithm,
    /// How long a key signs before the next one does.
    pub rotation: Span,
    /// The life of a token that is asked for without saying.
    pub default_lifetime: Span,
    /// The longest life of a token.
    pub longest_lifetime: Span,
    /// Whom a token is for that is asked for without saying; `None` is the issuer itself.
    pub audience: Option<Audience>,
    /// The members of a key's metadata that its tokens carry as claims.
    pub claims: BTreeSet<String>,
}

/// The longest life that a policy may give access tokens: what cannot be recalled from offline verifiers must end soon.
pub const TOKEN_LIFETIME_MAX: Span = Span::secs(900);
/// The shortest life that a policy may give access tokens.
pub const TOKEN_LIFETIME_MIN: Span = Span::secs(10);
/// The longest time that a key may sign.
pub const ROTATION_MAX: Span = Span::days(366);
/// The shortest time that a key may sign: keys are published ahead, and verifiers keep what is published for a while.
pub const ROTATION_MIN: Span = Span::hours(1);
/// Most members of metadata that tokens carry.
pub const CLAIMS_MAX: usize = 16;

impl Default for TokenPolicy {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Es256,
            rotation: Span::days(30),
            default_lifetime: Span::secs(300),
            longest_lifetime: TOKEN_LIFETIME_MAX,
            audience: None,
            claims: BTreeSet::new(),
        }
    }
}

/// Most keys per owner that a policy may allow.
pub const KEYS_PER_OWNER_MAX: u32 = 1_000_000;
/// The longest grace that a policy may allow.
pub const GRACE_MAX: Span = Span::days(90);

impl Policy {
    /// The policy of a new project.
    pub fn new(prefix: Prefix, default_roles: BTreeSet<RoleId>) -> Self {
        Self {
            prefix,
            default_lifetime: Lifetime::Unlimited,
            longest_lifetime: Lifetime::Unlimited,
            owners: BTreeSet::from([OwnerKind::User, OwnerKind::Team, OwnerKind::Service]),
            keys_per_owner: 1000,
            scopes: Catalogue::Open,
            default_grace: Span::hours(24),
            longest_grace: Span::days(30),
            default_roles,
            log_in: LogInPolicy::PEOPLE,
            tokens: TokenPolicy::default(),
        }
    }

    /// Checks an expiry against the longest lifetime.
    pub fn allows_expiry(&self, expiry: Expiry, now: Moment) -> Result<(), PolicyBreach> {
        if expiry.outlives(self.longest_lifetime.from(now)) {
            return Err(PolicyBreach::LifetimeTooLong {
                longest: self.longest_lifetime,
            });
        }
        Ok(())
    }

    /// Checks that every scope exists in this project.
    pub fn knows_scopes(&self, scopes: &ScopeSet) -> Result<(), PolicyBreach> {
        match scopes.iter().find(|scope| !self.scopes.knows(scope)) {
            Some(unknown) => Err(PolicyBreach::UnknownScope { scope: unknown.clone() }),
            None => Ok(()),
        }
    }

    /// Checks that an owner of this kind may have keys.
    pub fn allows_owner(&self, kind: OwnerKind) -> Result<(), PolicyBreach> {
        if self.owners.contains(&kind) {
            Ok(())
        } else {
            Err(PolicyBreach::OwnerKind { kind })
        }
    }
}

/// What a project's policy has against a wish.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyBreach {
    /// The key would live too long.
    #[error("the lifetime is longer than this project's limit of {longest}")]
    LifetimeTooLong {
        /// The limit.
        longest: Lifetime,
    },
    /// The scope does not exist in this project.
    #[error("`{scope}` is not a scope of this project")]
    UnknownScope {
        /// The scope.
        scope: Scope,
    },
    /// Owners of this kind may not have keys.
    #[error("in this project a {kind} may not have keys")]
    OwnerKind {
        /// The kind.
        kind: OwnerKind,
    },
    /// The grace is longer than allowed.
    #[error("the grace is longer than this project's limit of {longest}")]
    GraceTooLong {
        /// The limit.
        longest: Span,
    },
}

/// The scopes that exist in a project.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Catalogue {
    /// Any well-formed scope may be given.
    Open,
    /// Only these may be given, each with what it means; a pattern may be given when it allows something of one of them.
    Declared(BTreeMap<Scope, Description>),
}

impl Catalogue {
    /// Whether a scope may be given to a key or role. Keyholt's own scopes always exist.
    pub fn knows(&self, scope: &Scope) -> bool {
        if scope.is_reserved() {
            return crate::actor::is_management_scope(scope);
        }
        match self {
            Self::Open => true,
            Self::Declared(declared) => declared.keys().any(|known| known.meet(scope).is_some()),
        }
    }
}
