//! Bodies about roles: named sets of scopes that owners hold.

use keyholt_core::id::RoleId;
use keyholt_core::scope::{Scope, ScopeSet};
use keyholt_core::text::{Cause, Description, Slug};
use keyholt_core::time::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Faults;
use crate::patch::{Patch, all_or, clearable, set};
use crate::reading::{read_cause, read_scopes};

/// A role as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Role {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: RoleId,
    /// Its name, unique in the project.
    #[schema(examples("member"))]
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What its holders may do.
    pub scopes: Vec<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// How often it was changed; also its `ETag`.
    pub revision: u32,
}

impl Role {
    /// A role as it is shown.
    pub fn show(role: &keyholt_core::role::Role) -> Self {
        Self {
            id: role.id,
            name: role.name.to_string(),
            description: role.description.to_string(),
            scopes: role.scopes.iter().map(Scope::to_string).collect(),
            created_at: role.created_at,
            revision: role.revision.number(),
        }
    }
}

/// A page of roles.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RolePage {
    /// The roles.
    pub roles: Vec<Role>,
    /// Asks for the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// The wish for a role.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"name": "reader", "scopes": ["orders:read"]})))]
pub struct CreateRole {
    /// Its name: lower-case letters, digits and hyphens, starting with a letter.
    #[schema(min_length = 1, max_length = 40, pattern = "^[a-z]([a-z0-9-]*[a-z0-9])?$")]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub description: Option<String>,
    /// What its holders may do. An empty list grants nothing.
    #[schema(max_items = 256)]
    pub scopes: Vec<String>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// A role that was read.
#[derive(Clone, Debug)]
pub struct RoleWish {
    /// Its name.
    pub name: Slug,
    /// What it is for.
    pub description: Description,
    /// What its holders may do.
    pub scopes: ScopeSet,
    /// Why, for the audit trail.
    pub cause: Option<Cause>,
}

impl CreateRole {
    /// Reads the wish, or tells all that is wrong with it.
    pub fn read(&self) -> Result<RoleWish, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        let name = faults.read("name", Slug::new(&self.name));
        let description = self.description.as_deref().unwrap_or_default();
        let description = faults.read("description", Description::new(description));
        let scopes = read_scopes(&mut faults, "scopes", &self.scopes);
        faults.finish(|| {
            Some(RoleWish {
                name: name?,
                description: description?,
                scopes: scopes?,
                cause: cause?,
            })
        })
    }
}

/// Changes to a role: what is left out stays as it is. Its holders' keys follow at once.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendRole {
    /// A new name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 40)]
    pub name: Patch<String>,
    /// A new description; `null` empties it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, required = false, max_length = 1024)]
    pub description: Patch<String>,
    /// New scopes in place of the old.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Vec<String>, required = false, max_items = 256)]
    pub scopes: Patch<Vec<String>>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// Changes to a role that were read: `None` keeps what was.
#[derive(Clone, Debug, Default)]
pub struct RoleChange {
    /// A new name.
    pub name: Option<Slug>,
    /// A new description.
    pub description: Option<Description>,
    /// New scopes.
    pub scopes: Option<ScopeSet>,
    /// Why, for the audit trail.
    pub cause: Option<Cause>,
}

impl AmendRole {
    /// Reads the changes, or tells all that is wrong with them.
    pub fn read(self) -> Result<RoleChange, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        let name = set(&mut faults, "name", self.name).map(|name| faults.read("name", Slug::new(&name)));
        let description = clearable(self.description).map(|text| faults.read("description", Description::new(&text)));
        let scopes = set(&mut faults, "scopes", self.scopes).map(|scopes| read_scopes(&mut faults, "scopes", &scopes));
        faults.finish(|| {
            Some(RoleChange {
                name: all_or(name)?,
                description: all_or(description)?,
                scopes: all_or(scopes)?,
                cause: cause?,
            })
        })
    }
}
