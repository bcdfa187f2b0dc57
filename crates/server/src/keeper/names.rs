//! How people name things: what doors need to show ids as words.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::id::{ProjectId, RoleId, SYSTEM};
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

/// Words by which projects are called that are remembered at most.
const CALLED_MAX: usize = 64;

/// By which words projects were called lately. A dialect asks for the same one with every request.
pub(super) struct CalledLately([ArcSwapOption<Called>; CALLED_MAX]);

struct Called {
    word: Box<str>,
    id: ProjectId,
    /// As of which change of a project this is.
    as_of: u64,
}

impl Default for CalledLately {
    fn default() -> Self {
        Self(std::array::from_fn(|_| ArcSwapOption::empty()))
    }
}

impl CalledLately {
    fn place(&self, word: &str) -> Option<&ArcSwapOption<Called>> {
        let mix = |mixed: usize, byte: u8| mixed.wrapping_mul(31).wrapping_add(usize::from(byte));
        self.0.get(word.bytes().fold(0, mix) % CALLED_MAX)
    }
}

impl Keeper {
    /// The id of the project that a setting or a header names: an id or a slug.
    pub fn project_called(&self, word: &str) -> Option<ProjectId> {
        // Read before the look-up: what changes meanwhile is looked up again.
        let as_of = self.keyring.issuer_changes();
        let place = self.called.place(word)?;
        if let Some(called) = place.load().as_ref()
            && called.as_of == as_of
            && *called.word == *word
        {
            return Some(called.id);
        }
        let directory = self.keyring.directory();
        let id = match word.parse::<ProjectId>() {
            Ok(id) => directory.record(Noun::Project, id.uuid()).map(|_| id),
            Err(_) => directory.id_of(Noun::Project, SYSTEM, word).map(ProjectId::from_uuid),
        }?;
        let word = word.into();
        place.store(Some(Arc::new(Called { word, id, as_of })));
        Some(id)
    }

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
