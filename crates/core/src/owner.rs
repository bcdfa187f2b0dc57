//! Owners: the users, teams and services that keys act for.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::commit::Revision;
use crate::id::{ProjectId, RoleId, ServiceId, TeamId, UserId};
use crate::text::{Description, Email, ExternalId, Metadata, Name, Slug};
use crate::time::Moment;

/// Whom a key acts for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "id")]
pub enum Owner {
    /// A person.
    User(UserId),
    /// A group of people; its keys outlive any member's stay.
    Team(TeamId),
    /// A machine account.
    Service(ServiceId),
}

impl Owner {
    /// Which kind of owner.
    pub fn kind(self) -> OwnerKind {
        match self {
            Self::User(_) => OwnerKind::User,
            Self::Team(_) => OwnerKind::Team,
            Self::Service(_) => OwnerKind::Service,
        }
    }

    /// The bytes of its id.
    pub fn uuid(self) -> Uuid {
        match self {
            Self::User(id) => id.uuid(),
            Self::Team(id) => id.uuid(),
            Self::Service(id) => id.uuid(),
        }
    }

    /// The owner of that kind with that id.
    pub fn new(kind: OwnerKind, id: Uuid) -> Self {
        match kind {
            OwnerKind::User => Self::User(UserId::from_uuid(id)),
            OwnerKind::Team => Self::Team(TeamId::from_uuid(id)),
            OwnerKind::Service => Self::Service(ServiceId::from_uuid(id)),
        }
    }
}

/// The kinds of owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerKind {
    /// A person.
    User,
    /// A group of people.
    Team,
    /// A machine account.
    Service,
}

impl OwnerKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::User, Self::Team, Self::Service];

    /// The word for it in columns, paths and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
            Self::Service => "service",
        }
    }

    /// The kind that this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for OwnerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an owner's or a project's keys work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// They do.
    Good,
    /// They do not, since then; lifting the suspension restores exactly what was.
    Suspended {
        /// Since when.
        since: Moment,
    },
}

impl Standing {
    /// Whether keys work.
    pub fn is_good(self) -> bool {
        self == Self::Good
    }
}

/// A person of the relying product, or an operator of Keyholt.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// Its project.
    pub project: ProjectId,
    /// How the relying product calls the user; unique in the project.
    pub external_id: ExternalId,
    /// What people call the user.
    pub name: Name,
    /// Where to reach the user.
    pub email: Option<Email>,
    /// What the user may do.
    pub roles: BTreeSet<RoleId>,
    /// Whether the user's keys work.
    pub standing: Standing,
    /// Free-form data of the relying product.
    pub metadata: Metadata,
    /// When the user was enrolled.
    pub created_at: Moment,
    /// How often the record was changed.
    pub revision: Revision,
}

/// A group of people that has keys of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Its project.
    pub project: ProjectId,
    /// How the relying product calls the team; unique in the project.
    pub external_id: ExternalId,
    /// What people call the team.
    pub name: Name,
    /// What the team may do.
    pub roles: BTreeSet<RoleId>,
    /// Who belongs to it, each once, in order of their ids.
    pub members: Vec<Member>,
    /// Whether the team's keys work.
    pub standing: Standing,
    /// Free-form data of the relying product.
    pub metadata: Metadata,
    /// When the team was enrolled.
    pub created_at: Moment,
    /// How often the record was changed.
    pub revision: Revision,
}

/// Most members of one team.
pub const MEMBERS_MAX: usize = 1000;
/// Most roles of one owner.
pub const ROLES_PER_OWNER_MAX: usize = 32;

impl Team {
    /// The users who may manage the team's keys.
    pub fn managers(&self) -> impl Iterator<Item = UserId> {
        let manage = self
            .members
            .iter()
            .filter(|member| member.right == MemberRight::ManageKeys);
        manage.map(|member| member.user)
    }

    /// Whether this user may manage the team's keys.
    pub fn is_managed_by(&self, user: UserId) -> bool {
        self.managers().any(|manager| manager == user)
    }
}

/// Somebody's place in a team.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What the member may do with the team's keys.
    pub right: MemberRight,
}

/// What a member may do with the team's keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberRight {
    /// Nothing; the member just belongs.
    Belong,
    /// Create, change, rotate and revoke them.
    ManageKeys,
}

/// A machine account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its project.
    pub project: ProjectId,
    /// Its handle, unique in the project.
    pub name: Slug,
    /// What it is for.
    pub description: Description,
    /// What the service may do.
    pub roles: BTreeSet<RoleId>,
    /// Whether the service's keys work.
    pub standing: Standing,
    /// Free-form data of the relying product.
    pub metadata: Metadata,
    /// When the service was enrolled.
    pub created_at: Moment,
    /// How often the record was changed.
    pub revision: Revision,
}
