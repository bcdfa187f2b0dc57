//! Issues a key: with a secret minted here, with one that the client made, or imported by its fingerprint.

use std::collections::BTreeSet;

use crate::actor::{Beyond, Permit, WriteKeys};
use crate::commit::{Change, Commit, Guard, Record, Revision};
use crate::entropy::Entropy;
use crate::id::KeyId;
use crate::key::{About, Bounds, Key, Kind, Maker, State};
use crate::owner::{Owner, OwnerKind};
use crate::project::{PolicyBreach, Project};
use crate::scope::{Access, ScopeSet};
use crate::secret::{Credentials, Fingerprint, Hint, Pepper, Secret, Visibility};
use crate::text::{Description, Metadata, Name, Tag};
use crate::time::{Expiry, Moment, Span};

/// What the caller wishes for.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Whom the key acts for.
    pub owner: Owner,
    /// What sort of key.
    pub kind: Kind,
    /// What people call it.
    pub name: Name,
    /// What it is for.
    pub description: Description,
    /// Free-form data.
    pub metadata: Metadata,
    /// Words to find it by.
    pub tags: BTreeSet<Tag>,
    /// How much of its owner's permissions it carries.
    pub access: Access,
    /// Where and for whom it works.
    pub bounds: Bounds,
    /// How long it works.
    pub life: Life,
    /// Who makes the secret.
    pub origin: SecretOrigin,
}

/// How long a key shall work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// As long as the project's policy says by default; a static key never ends.
    Default,
    /// Without end, where the policy allows.
    Never,
    /// Until this instant.
    Until(Moment),
    /// That long from now.
    For(Span),
}

/// Who makes the secret.
#[derive(Clone, Debug)]
pub enum SecretOrigin {
    /// Keyholt does, and shows it once.
    Minted,
    /// The client did, in our format, and sent its SHA-256: Keyholt never sees it.
    ClientMade(Fingerprint),
    /// Another system did, in whatever format, some time ago.
    Imported {
        /// SHA-256 of the secret.
        fingerprint: Fingerprint,
        /// How people recognise it.
        hint: Option<Hint>,
    },
}

/// The action of the event.
pub const ISSUED: &str = "key.issue";

/// What the verb needs to know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// The project.
    pub project: &'a Project,
    /// What the owner may do now.
    pub permissions: &'a ScopeSet,
    /// What turns fingerprints into digests.
    pub pepper: &'a Pepper,
}

/// What came of it.
#[derive(Debug)]
pub struct Issued {
    /// The key.
    pub key: Key,
    /// Its secret, where Keyholt made it: to be shown once.
    pub secret: Option<Secret>,
}

/// Why a key is not issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// It would exceed the key that it is made with.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// The project's policy is against it.
    #[error(transparent)]
    Policy(#[from] PolicyBreach),
    /// The expiry is not in the future.
    #[error("the expiry is not in the future")]
    AlreadyExpired,
    /// Only users have static keys.
    #[error("only a user may have a static key, and it carries everything")]
    NotStatic,
    /// What everybody may see must not open everything, nor Keyholt itself.
    #[error("a publishable key names its scopes, and none of them is `*` or in `keyholt:`")]
    NotPublishable,
    /// A session comes of a log-in and of nothing else.
    #[error("a session comes of a log-in; it cannot be issued")]
    NotSession,
}

/// Issues a key.
pub fn issue(
    permit: &Permit<WriteKeys>,
    wish: Wish,
    world: Circumstances<'_>,
    now: Moment,
    entropy: &mut dyn Entropy,
) -> Result<(Issued, Commit), IssueError> {
    let policy = &world.project.policy;
    policy.allows_owner(wish.owner.kind())?;
    check_kind(&wish)?;
    if let Access::Only(scopes) = &wish.access {
        policy.knows_scopes(scopes)?;
    }
    let expiry = expiry_of(&wish, world.project, now)?;
    permit.actor().may_hand_on(&wish.access, world.permissions, expiry)?;

    let id = KeyId::mint(now, entropy);
    let (secret, fingerprint, hint) = match wish.origin {
        SecretOrigin::Minted => {
            let visibility = if wish.kind == Kind::Publishable {
                Visibility::Publishable
            } else {
                Visibility::Secret
            };
            let secret = Secret::mint(&policy.prefix, visibility, wish.bounds.environment.as_ref(), entropy);
            let (fingerprint, hint) = (secret.fingerprint(), secret.hint());
            (Some(secret), fingerprint, Some(hint))
        }
        SecretOrigin::ClientMade(fingerprint) => (None, fingerprint, None),
        SecretOrigin::Imported { fingerprint, hint } => (None, fingerprint, hint),
    };
    let key = Key {
        id,
        project: permit.project(),
        owner: wish.owner,
        kind: wish.kind,
        access: wish.access,
        bounds: wish.bounds,
        expiry,
        state: State::Active,
        credentials: Credentials::One(world.pepper.digest(&fingerprint)),
        about: About {
            name: wish.name,
            description: wish.description,
            metadata: wish.metadata,
            tags: wish.tags,
            hint,
        },
        created_at: now,
        created_by: Maker::Key(permit.actor().key),
        revision: Revision::FIRST,
    };
    let record = Record::Key(Box::new(key.clone()));
    let commit = Commit::by(permit, ISSUED, None, Change::Insert(record), None, now).guarded(Guard::KeysPerOwner {
        project: permit.project(),
        owner: wish.owner,
        most: policy.keys_per_owner,
    });
    Ok((Issued { key, secret }, commit))
}

fn check_kind(wish: &Wish) -> Result<(), IssueError> {
    match (wish.kind, &wish.access) {
        (Kind::Static, Access::Everything) if wish.owner.kind() == OwnerKind::User => Ok(()),
        (Kind::Static, _) => Err(IssueError::NotStatic),
        (Kind::Publishable, access) if !is_publishable(access) => Err(IssueError::NotPublishable),
        (Kind::Publishable, _) => Ok(()),
        (Kind::Standard, _) => Ok(()),
        (Kind::Session, _) => Err(IssueError::NotSession),
    }
}

/// Whether everybody may see a key with this access.
pub(crate) fn is_publishable(access: &Access) -> bool {
    match access {
        Access::Everything => false,
        Access::Only(scopes) => !scopes.iter().any(|scope| scope.is_reserved() || scope.is_wide_open()),
    }
}

fn expiry_of(wish: &Wish, project: &Project, now: Moment) -> Result<Expiry, IssueError> {
    let expiry = match wish.life {
        // The static key is the one that never ends unless asked: that is what it is for.
        Life::Default if wish.kind == Kind::Static => return Ok(Expiry::Never),
        Life::Default => {
            let expiry = project.policy.default_lifetime.from(now);
            let longest = project.policy.longest_lifetime.from(now);
            // A default longer than the limit is the operator's slip, not the caller's.
            if expiry.outlives(longest) { longest } else { expiry }
        }
        Life::Never => Expiry::Never,
        Life::Until(at) => Expiry::At(at),
        Life::For(span) => Expiry::At(now.plus(span)),
    };
    if expiry.is_past(now) {
        return Err(IssueError::AlreadyExpired);
    }
    if wish.kind != Kind::Static {
        project.policy.allows_expiry(expiry, now)?;
    }
    Ok(expiry)
}
