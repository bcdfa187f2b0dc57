//! How people name things: what doors need to show ids as words.

use std::collections::BTreeSet;

use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::id::{ProjectId, RoleId};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::text::Name;

use super::{Keeper, Refusal};

/// What a project tells everybody who knows its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProjectFront {
    /// What people call it.
    pub name: Name,
    /// Who may have keys in it.
    pub owners: BTreeSet<OwnerKind>,
}

impl Keeper {
    /// What a project tells everybody: a page that offers keys has to know whether there are any.
    pub fn project_front(&self, project: ProjectId) -> Result<ProjectFront, Refusal> {
        let project = self.keyring.project(project).ok_or(Refusal::NotFound(Noun::Project))?;
        Ok(ProjectFront {
            name: project.name,
            owners: project.policy.owners,
        })
    }

    /// Whether a project lets owners of this kind have keys.
    pub fn may_have_keys(&self, project: ProjectId, kind: OwnerKind) -> Result<bool, Refusal> {
        let directory = self.keyring.directory();
        match directory.record(Noun::Project, project.uuid()).map(AsRef::as_ref) {
            Some(Record::Project(project)) => Ok(project.policy.owners.contains(&kind)),
            _ => Err(Refusal::NotFound(Noun::Project)),
        }
    }

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
