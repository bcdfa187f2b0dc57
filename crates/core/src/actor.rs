//! Actors: who is calling Keyholt, what they may do here, and how much they may hand on.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::commit::Record;
use crate::id::{KeyId, ProjectId, SYSTEM, TeamId};
use crate::key::Kind;
use crate::owner::Owner;
use crate::scope::{Access, Scope, ScopeSet, Wanted};
use crate::text::{Cause, RequestKey};
use crate::time::{Expiry, Moment, Span};
use crate::verify::Form;

/// Somebody who proved possession of a key and now asks for something.
///
/// An operator is a user of the system project: the same kind of key, with every project in reach.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The key that was shown.
    pub key: KeyId,
    /// Whom that key acts for.
    pub owner: Owner,
    /// The project that the key belongs to.
    pub home: ProjectId,
    /// How much of the owner's permissions the key carries.
    pub access: Arc<Access>,
    /// What the key may do now.
    pub effective: Arc<ScopeSet>,
    /// When the key stops by itself; nothing made with it may live longer.
    pub expiry: Expiry,
    /// Whether the key itself was shown, or a token that was made with it.
    pub form: Form,
    /// What proved who the actor is.
    pub proof: Proof,
    /// The teams whose keys the owner may manage.
    pub manages: Vec<TeamId>,
    /// Where the request came from.
    pub source: Source,
    /// Why the request is made, where it says so; kept with all that is done by it, and with what is refused.
    pub cause: Option<Cause>,
}

/// What proved who an actor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proof {
    /// A key, or a token that was made with one.
    Key,
    /// A log-in, no longer ago than [`FRESH`].
    FreshLogIn,
    /// A log-in before that.
    OldLogIn,
}

impl Proof {
    /// Of whoever shows this key. When somebody logged in is what the id of their session says, which is sealed.
    pub fn of(kind: Kind, key: KeyId, now: Moment) -> Self {
        match kind {
            Kind::Standard | Kind::Static | Kind::Publishable => Self::Key,
            Kind::Session if now > key.minted_at().plus(FRESH) => Self::OldLogIn,
            Kind::Session => Self::FreshLogIn,
        }
    }
}

/// How long after a password was given a log-in may hand on what makes somebody powerful: a session that was stolen is
/// mostly older, and whoever stole it does not know the password.
pub const FRESH: Span = Span::secs(5 * 60);
/// What lets somebody make more of themselves or of others than they are.
const POWERS: [&str; 5] = [
    WriteKeys::SCOPE,
    WriteOwners::SCOPE,
    WriteProject::SCOPE,
    WriteSessions::SCOPE,
    Operate::SCOPE,
];

/// Where a request came from; kept in the audit trail.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Source {
    /// The client's address, taken from trusted proxies only.
    pub address: Option<IpAddr>,
    /// The id that ties log lines, answers and audit events of one request together.
    pub request: RequestKey,
}

/// What a request is about, as far as permission goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The project as a whole.
    Project,
    /// Something of this owner.
    Owner(Owner),
}

/// Why an actor may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The thing is outside what the actor may know of: it behaves as if it did not exist.
    #[error("no such thing in the reach of this key")]
    Hidden,
    /// The actor's key lacks a scope.
    #[error("this key lacks the scope `{scope}`")]
    Lacks {
        /// The missing scope.
        scope: &'static str,
    },
}

/// What an actor may not hand on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    /// A scope that the actor's key does not carry itself.
    #[error("this key may not hand on `{scope}`: it does not carry that scope itself")]
    Scope {
        /// The scope.
        scope: Scope,
    },
    /// Everything, by a key that does not carry everything.
    #[error("only a key that carries everything of this owner may hand on everything")]
    Everything,
    /// A life longer than the actor's own.
    #[error("this key ends itself; nothing made or prolonged with it may live longer")]
    Outlives,
    /// Something powerful, by somebody who logged in too long ago.
    #[error("whoever logged in more than five minutes ago may not hand on `{scope}`")]
    OldLogIn {
        /// The scope.
        scope: &'static str,
    },
}

/// One thing that can be permitted; implemented by the marker types of this module only.
pub trait Action: sealed::Sealed {
    /// The scope that permits it anywhere in the project.
    const SCOPE: &'static str;
    /// The scope that permits it on what is the actor's own, where there is such a thing.
    const OWN: Option<&'static str>;
}

mod sealed {
    pub trait Sealed {}
}

/// What one scope about Keyholt itself allows; a scope that allows several things has an entry for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// The scope.
    pub scope: &'static str,
    /// What it allows, beginning with a verb's `…ing`.
    pub meaning: &'static str,
    /// Where.
    pub extent: Extent,
}

/// Where a scope about Keyholt itself holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// Everywhere in the project.
    Everywhere,
    /// On what is the actor's own.
    Own,
}

macro_rules! actions {
    ($(#[doc = $meaning:literal] $name:ident = $scope:literal $(, own $own:literal)?;)*) => {
        $(
            #[doc = $meaning]
            #[derive(Debug)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl Action for $name {
                const SCOPE: &'static str = $scope;
                const OWN: Option<&'static str> = actions!(@own $($own)?);
            }
        )*
        /// Every scope about Keyholt itself, with what it allows.
        pub const MANAGEMENT: &[Allowance] = &[$(
            Allowance { scope: $scope, meaning: $meaning, extent: Extent::Everywhere },
            $(Allowance { scope: $own, meaning: $meaning, extent: Extent::Own },)?
        )*];
    };
    (@own) => { None };
    (@own $own:literal) => { Some($own) };
}

actions! {
    /// Asking whether keys of the project are valid.
    Verify = "keyholt:verify";
    /// Asking why a key is judged as it is, rule by rule.
    Explain = "keyholt:explain";
    /// Reading keys.
    ReadKeys = "keyholt:keys:read", own "keyholt:self:read";
    /// Creating, changing, rotating, suspending, revoking and deleting keys.
    WriteKeys = "keyholt:keys:write", own "keyholt:self:write";
    /// Reading users, teams and services.
    ReadOwners = "keyholt:owners:read", own "keyholt:self:read";
    /// Enrolling, changing, suspending and removing users, teams and services.
    WriteOwners = "keyholt:owners:write";
    /// Changing what users and teams are called and what is kept with them; nothing that they may do hangs on it.
    Relabel = "keyholt:owners:write", own "keyholt:self:write";
    /// Reading the project, its policy and roles.
    ReadProject = "keyholt:project:read";
    /// Changing the project, its policy and roles.
    WriteProject = "keyholt:project:write";
    /// Founding, suspending and listing projects; only the system project's users can use it.
    Operate = "keyholt:operate";
    /// Handing out component sessions: short credentials for one user or team, for pages of the product.
    WriteSessions = "keyholt:sessions:write";
    /// Reading the audit trail.
    ReadAudit = "keyholt:audit:read";
}

/// What a key needs to hand out component sessions.
pub const SESSIONS_WRITE: &str = WriteSessions::SCOPE;

/// Whether a scope in the reserved namespace exists, or covers one that does.
pub fn is_management_scope(scope: &Scope) -> bool {
    MANAGEMENT
        .iter()
        .any(|known| Wanted::parse(known.scope).is_ok_and(|known| scope.covers(known)))
}

/// Leave to do one thing in one project; only [`Actor::permit`] makes one, and verbs demand it.
#[derive(Debug)]
pub struct Permit<A: Action> {
    actor: Actor,
    project: ProjectId,
    reach: Reach,
    action: PhantomData<A>,
}

/// How far a permit reaches in its project.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reach {
    Everywhere,
    Only(Owner),
}

impl<A: Action> Permit<A> {
    /// Who has leave.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Where.
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Whether the leave is about this record. A verb that is handed a permit for one thing and another thing to do it to
    /// was called by mistake; every commit asserts that it was not.
    pub(crate) fn reaches(&self, record: &Record) -> bool {
        let here = match record {
            // A project changes with leave in itself, or in the project from which all are operated.
            Record::Project(project) => project.id == self.project || record.project() == self.project,
            _ => record.project() == self.project,
        };
        here && match self.reach {
            Reach::Everywhere => true,
            Reach::Only(owner) => record.owner() == Some(owner),
        }
    }
}

impl Actor {
    /// Leave for the actor to do `A` about this subject of this project.
    pub fn permit<A: Action>(&self, project: ProjectId, subject: Subject) -> Result<Permit<A>, Forbidden> {
        Ok(Permit {
            reach: self.reach::<A>(project, subject)?,
            actor: self.clone(),
            project,
            action: PhantomData,
        })
    }

    /// Whether the actor may do `A` about this subject of this project: for reads, which no verb is handed a permit for.
    pub fn may<A: Action>(&self, project: ProjectId, subject: Subject) -> Result<(), Forbidden> {
        self.reach::<A>(project, subject).map(drop)
    }

    fn reach<A: Action>(&self, project: ProjectId, subject: Subject) -> Result<Reach, Forbidden> {
        if self.home != project && !self.is_operator() {
            return Err(Forbidden::Hidden);
        }
        let has = |scope: &'static str| self.effective.covers(Wanted::action(scope));
        // SECURITY: an administrator's `keyholt:*` covers this scope by its text, but a tenant operates nothing.
        if A::SCOPE == Operate::SCOPE && !self.is_operator() {
            return Err(Forbidden::Lacks { scope: A::SCOPE });
        }
        if has(A::SCOPE) {
            return Ok(Reach::Everywhere);
        }
        if !A::OWN.is_some_and(has) {
            return Err(Forbidden::Lacks { scope: A::SCOPE });
        }
        match subject {
            Subject::Project => Err(Forbidden::Lacks { scope: A::SCOPE }),
            // SECURITY: to somebody who may only see what is theirs, another's key does not exist.
            Subject::Owner(owner) if !self.is_own(owner) => Err(Forbidden::Hidden),
            Subject::Owner(owner) => Ok(Reach::Only(owner)),
        }
    }

    /// Whether every project is in reach.
    pub fn is_operator(&self) -> bool {
        self.home == SYSTEM
    }

    /// Whether there is nothing that anybody could have beyond what this actor's key carries.
    fn carries_all(&self) -> bool {
        let covers = |scope: &str| Wanted::parse(scope).is_ok_and(|scope| self.effective.covers(scope));
        covers("*") && covers("keyholt:*")
    }

    fn is_own(&self, owner: Owner) -> bool {
        owner == self.owner || matches!(owner, Owner::Team(team) if self.manages.contains(&team))
    }

    /// Whether the actor may bring about a key with this access and life, for an owner with these permissions.
    ///
    /// Asked on every path that makes a secret known or widens or prolongs a key: create, import, amend, resume, rotate.
    pub fn may_hand_on(&self, access: &Access, permissions: &ScopeSet, expiry: Expiry) -> Result<(), Beyond> {
        let handed = match access {
            Access::Only(scopes) => scopes,
            Access::Everything => {
                // A narrow key could match the owner's permissions today and be outgrown by them tomorrow.
                if *self.access != Access::Everything && !self.carries_all() {
                    return Err(Beyond::Everything);
                }
                permissions
            }
        };
        if let Some(scope) = self.effective.lacks(handed) {
            return Err(match access {
                Access::Everything => Beyond::Everything,
                Access::Only(_) => Beyond::Scope { scope: scope.clone() },
            });
        }
        if expiry.outlives(self.expiry) {
            return Err(Beyond::Outlives);
        }
        let is_handed = |power: &&str| Wanted::parse(power).is_ok_and(|power| handed.covers(power));
        match POWERS.into_iter().find(is_handed) {
            Some(scope) if self.proof == Proof::OldLogIn => Err(Beyond::OldLogIn { scope }),
            _ => Ok(()),
        }
    }
}
