//! Bodies about owners: users, teams with their members, and services.

mod amend;

pub use amend::{AmendService, AmendTeam, AmendUser, ServiceChange, TeamChange, UserChange};

use std::collections::BTreeSet;

use keyholt_core::id::{ServiceId, TeamId, UserId};
use keyholt_core::owner::MemberRight;
use keyholt_core::text::{Cause, Description, Email, ExternalId, Metadata, Name, Slug};
use keyholt_core::time::Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::fault::{FaultCode, Faults, Reason};
use crate::project::suspended_since;
use crate::reading::{read_cause, read_roles};
use crate::reference::{Names, Reference};
use crate::words;

macro_rules! shown {
    ($($(#[$doc:meta])* $name:ident($id:ty) { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
        pub struct $name {
            /// Its id.
            #[schema(value_type = Uuid)]
            pub id: $id,
            $($(#[$field_meta])* pub $field: $type,)*
            /// The names of its roles.
            pub roles: Vec<String>,
            /// Free-form data of the relying product.
            #[schema(value_type = Object)]
            pub metadata: Map<String, Value>,
            /// Since when it is suspended; `null` while its keys work.
            #[schema(required, value_type = Option<String>, format = DateTime)]
            pub suspended_since: Option<Moment>,
            /// When it was enrolled.
            #[schema(value_type = String, format = DateTime)]
            pub created_at: Moment,
            /// How often the record was changed; also its `ETag`.
            pub revision: u32,
        }
    )*};
}

shown! {
    /// A user: a person of the relying product, or an operator of Keyholt.
    User(UserId) {
        /// How the relying product calls the user; unique in the project.
        #[schema(examples("u_42"))]
        external_id: String,
        /// What people call the user.
        name: String,
        /// Where to reach the user.
        #[schema(required)]
        email: Option<String>,
    }
    /// A team: a group of people that has keys of its own.
    Team(TeamId) {
        /// How the relying product calls the team; unique in the project.
        #[schema(examples("platform"))]
        external_id: String,
        /// What people call the team.
        name: String,
        /// Who belongs to it.
        members: Vec<Member>,
    }
    /// A service: a machine account.
    Service(ServiceId) {
        /// Its handle, unique in the project.
        #[schema(examples("ci"))]
        name: String,
        /// What it is for.
        description: String,
    }
}

impl User {
    /// A user as it is shown.
    pub fn show(user: &keyholt_core::owner::User, names: &impl Names) -> Self {
        Self {
            id: user.id,
            external_id: user.external_id.to_string(),
            name: user.name.to_string(),
            email: user.email.as_ref().map(Email::to_string),
            roles: names.role_names(&user.roles),
            metadata: user.metadata.as_map().clone(),
            suspended_since: suspended_since(user.standing),
            created_at: user.created_at,
            revision: user.revision.number(),
        }
    }
}

impl Team {
    /// A team as it is shown.
    pub fn show(team: &keyholt_core::owner::Team, names: &impl Names) -> Self {
        let member = |member: &keyholt_core::owner::Member| Member {
            user: MemberUser { id: member.user },
            right: member.right,
        };
        Self {
            id: team.id,
            external_id: team.external_id.to_string(),
            name: team.name.to_string(),
            members: team.members.iter().map(member).collect(),
            roles: names.role_names(&team.roles),
            metadata: team.metadata.as_map().clone(),
            suspended_since: suspended_since(team.standing),
            created_at: team.created_at,
            revision: team.revision.number(),
        }
    }
}

impl Service {
    /// A service as it is shown.
    pub fn show(service: &keyholt_core::owner::Service, names: &impl Names) -> Self {
        Self {
            id: service.id,
            name: service.name.to_string(),
            description: service.description.to_string(),
            roles: names.role_names(&service.roles),
            metadata: service.metadata.as_map().clone(),
            suspended_since: suspended_since(service.standing),
            created_at: service.created_at,
            revision: service.revision.number(),
        }
    }
}

/// Somebody's place in a team.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// Who.
    pub user: MemberUser,
    /// `belong`, or `manage_keys` for leave to manage the team's keys.
    #[schema(value_type = words::MemberRight)]
    pub right: MemberRight,
}

/// The user in a membership.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MemberUser {
    /// The user's id.
    #[schema(value_type = Uuid)]
    pub id: UserId,
}

/// What a member may do with the team's keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutMember {
    /// `belong`, or `manage_keys` for leave to manage the team's keys.
    #[schema(value_type = words::MemberRight)]
    pub right: String,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

impl PutMember {
    /// The right, and why it is given.
    pub fn read(&self) -> Result<(MemberRight, Option<Cause>), Faults> {
        let mut faults = Faults::default();
        let right = match self.right.as_str() {
            "belong" => Ok(MemberRight::Belong),
            "manage_keys" => Ok(MemberRight::ManageKeys),
            _ => Err(Reason(
                FaultCode::UnknownWord,
                "must be `belong` or `manage_keys`".into(),
            )),
        };
        let right = faults.read("right", right);
        let cause = read_cause(&mut faults, self.cause.as_deref());
        faults.finish(|| Some((right?, cause?)))
    }
}

/// A page of users.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct UserPage {
    /// The users.
    pub users: Vec<User>,
    /// Asks for the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A page of teams.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TeamPage {
    /// The teams.
    pub teams: Vec<Team>,
    /// Asks for the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// A page of services.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ServicePage {
    /// The services.
    pub services: Vec<Service>,
    /// Asks for the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// The wish to enrol a user.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"external_id": "u_42", "name": "Ada"})))]
pub struct CreateUser {
    /// How the relying product calls the user; unique in the project.
    #[schema(min_length = 1, max_length = 128)]
    pub external_id: String,
    /// What people call the user; left out, the start of the external id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub name: Option<String>,
    /// Where to reach the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 3, max_length = 254, pattern = r"^[^@\s]+@[^@\s]+$")]
    pub email: Option<String>,
    /// Names or ids of roles; left out, the project's default roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub roles: Option<Vec<String>>,
    /// Free-form data: at most 4096 bytes and 8 levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// The wish to enrol a team. Members are added one by one.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"external_id": "platform", "name": "Platform"})))]
pub struct CreateTeam {
    /// How the relying product calls the team; unique in the project.
    #[schema(min_length = 1, max_length = 128)]
    pub external_id: String,
    /// What people call the team; left out, the start of the external id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub name: Option<String>,
    /// Names or ids of roles; left out, the project's default roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub roles: Option<Vec<String>>,
    /// Free-form data: at most 4096 bytes and 8 levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// The wish to enrol a service.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "ci"})))]
pub struct CreateService {
    /// Its handle: lower-case letters, digits and hyphens, starting with a letter.
    #[schema(min_length = 1, max_length = 40, pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$")]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub description: Option<String>,
    /// Names or ids of roles; left out, the project's default roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub roles: Option<Vec<String>>,
    /// Free-form data: at most 4096 bytes and 8 levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// The roles that a new owner shall have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RolesWish {
    /// Those of the project's policy.
    Default,
    /// These, still to be looked up.
    These(BTreeSet<Reference>),
}

/// A user to enrol, read.
#[derive(Clone, Debug)]
pub struct UserWish {
    /// How the relying product calls the user.
    pub external_id: ExternalId,
    /// What people call the user.
    pub name: Name,
    /// Where to reach the user.
    pub email: Option<Email>,
    /// What the user may do.
    pub roles: RolesWish,
    /// Free-form data.
    pub metadata: Metadata,
    /// Why, for the audit trail.
    pub cause: Option<Cause>,
}

/// A team to enrol, read.
#[derive(Clone, Debug)]
pub struct TeamWish {
    /// How the relying product calls the team.
    pub external_id: ExternalId,
    /// What people call the team.
    pub name: Name,
    /// What the team may do.
    pub roles: RolesWish,
    /// Free-form data.
    pub metadata: Metadata,
    /// Why, for the audit trail.
    pub cause: Option<Cause>,
}

/// A service to enrol, read.
#[derive(Clone, Debug)]
pub struct ServiceWish {
    /// Its handle.
    pub name: Slug,
    /// What it is for.
    pub description: Description,
    /// What the service may do.
    pub roles: RolesWish,
    /// Free-form data.
    pub metadata: Metadata,
    /// Why, for the audit trail.
    pub cause: Option<Cause>,
}

impl CreateUser {
    /// Reads the wish, or tells all that is wrong with it.
    pub fn read(self) -> Result<UserWish, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        let external_id = faults.read("external_id", ExternalId::new(&self.external_id));
        let name = read_name(&mut faults, self.name.as_deref(), external_id.as_ref());
        let email = faults.read_optional("email", self.email.as_deref(), Email::new);
        let roles = read_roles_wish(&mut faults, self.roles.as_deref());
        let metadata = faults.read("metadata", Metadata::new(self.metadata.unwrap_or_default()));
        faults.finish(|| {
            Some(UserWish {
                external_id: external_id?,
                name: name?,
                email: email?,
                roles: roles?,
                metadata: metadata?,
                cause: cause?,
            })
        })
    }
}

impl CreateTeam {
    /// Reads the wish, or tells all that is wrong with it.
    pub fn read(self) -> Result<TeamWish, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        let external_id = faults.read("external_id", ExternalId::new(&self.external_id));
        let name = read_name(&mut faults, self.name.as_deref(), external_id.as_ref());
        let roles = read_roles_wish(&mut faults, self.roles.as_deref());
        let metadata = faults.read("metadata", Metadata::new(self.metadata.unwrap_or_default()));
        faults.finish(|| {
            Some(TeamWish {
                external_id: external_id?,
                name: name?,
                roles: roles?,
                metadata: metadata?,
                cause: cause?,
            })
        })
    }
}

impl CreateService {
    /// Reads the wish, or tells all that is wrong with it.
    pub fn read(self) -> Result<ServiceWish, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        let name = faults.read("name", Slug::new(&self.name));
        let description = self.description.as_deref().unwrap_or_default();
        let description = faults.read("description", Description::new(description));
        let roles = read_roles_wish(&mut faults, self.roles.as_deref());
        let metadata = faults.read("metadata", Metadata::new(self.metadata.unwrap_or_default()));
        faults.finish(|| {
            Some(ServiceWish {
                name: name?,
                description: description?,
                roles: roles?,
                metadata: metadata?,
                cause: cause?,
            })
        })
    }
}

fn read_name(faults: &mut Faults, name: Option<&str>, external_id: Option<&ExternalId>) -> Option<Name> {
    match name {
        Some(name) => faults.read("name", Name::new(name)),
        None => {
            let start: String = external_id?.as_str().chars().take(Name::MOST).collect();
            faults.read("name", Name::new(start.trim_end()))
        }
    }
}

fn read_roles_wish(faults: &mut Faults, roles: Option<&[String]>) -> Option<RolesWish> {
    match roles {
        None => Some(RolesWish::Default),
        Some(roles) => read_roles(faults, "roles", roles).map(RolesWish::These),
    }
}
