//! Roles: named sets of scopes that owners hold.

use serde::{Deserialize, Serialize};

use crate::commit::Revision;
use crate::id::{ProjectId, RoleId};
use crate::scope::ScopeSet;
use crate::text::{Description, Slug};
use crate::time::Moment;

/// A named set of scopes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its project.
    pub project: ProjectId,
    /// Its name, unique in the project.
    pub name: Slug,
    /// What it is for.
    pub description: Description,
    /// What its holders may do.
    pub scopes: ScopeSet,
    /// When it was made.
    pub created_at: Moment,
    /// How often it was changed.
    pub revision: Revision,
}

/// Most roles in one project.
pub const ROLES_MAX: usize = 1000;

/// The roles that every project starts with: name, meaning, scopes.
pub const STARTING_ROLES: [(&str, &str, &[&str]); 4] = [
    (
        "member",
        "May do all that the product offers, and manage own keys.",
        &["*", "keyholt:self:*"],
    ),
    ("admin", "May do everything in the project.", &["*", "keyholt:*"]),
    ("verifier", "May ask whether keys are valid.", &["keyholt:verify"]),
    (
        "auditor",
        "May read keys, owners and the audit trail.",
        &[
            "keyholt:keys:read",
            "keyholt:owners:read",
            "keyholt:project:read",
            "keyholt:audit:read",
        ],
    ),
];
