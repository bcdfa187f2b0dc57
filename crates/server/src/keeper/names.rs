//! How people name things: what doors need to show ids as words.

use std::collections::BTreeSet;

use keyholt_core::id::{ProjectId, RoleId};
use keyholt_core::owner::Owner;

use super::Keeper;

impl Keeper {
    /// The external id of a user or team, the name of a service; nothing for one that was removed.
    pub fn owner_handle(&self, owner: Owner) -> Option<String> {
        let directory = self.keyring.directory();
        let handle = directory.owner(owner)?.handle()?.to_owned();
        Some(handle)
    }

    /// The name of a role.
    pub fn role_name(&self, role: RoleId) -> Option<String> {
        let directory = self.keyring.directory();
        Some(directory.role(role)?.name.to_string())
    }

    /// The roles of an owner that is enrolled in a project without naming any.
    pub fn default_roles(&self, project: ProjectId) -> BTreeSet<RoleId> {
        let project = self.keyring.project(project);
        project.map(|project| project.policy.default_roles).unwrap_or_default()
    }
}
