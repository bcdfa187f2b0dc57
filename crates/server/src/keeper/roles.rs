//! Roles: make, read, change and remove named sets of scopes.

use std::sync::Arc;

use keyholt_core::actor::{Actor, ReadProject, Subject, WriteProject};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::commit::{Record, Revision};
use keyholt_core::enrol;
use keyholt_core::id::{ProjectId, RoleId};
use keyholt_core::role::{ROLES_MAX, Role};
use keyholt_core::scope::ScopeSet;
use keyholt_core::text::{Description, Slug, TextError};
use keyholt_store::{CommitError, Page, RecordQuery};

use super::way_in::Loss;
use super::{Attempt, Keeper, Refusal, TRIES};

/// What shall become different in a role; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct RoleChange {
    /// A new name.
    pub name: Option<Slug>,
    /// A new description.
    pub description: Option<Description>,
    /// New scopes, in place of the old.
    pub scopes: Option<ScopeSet>,
}

impl Keeper {
    /// A fresh role of revision 1.
    pub fn new_role(&self, project: ProjectId, name: Slug, description: Description, scopes: ScopeSet) -> Role {
        self.mint(|now, entropy| Role {
            id: RoleId::mint(now, entropy),
            project,
            name,
            description,
            scopes,
            created_at: now,
            revision: Revision::FIRST,
        })
    }

    /// Makes a role. Nobody may put into it what they do not have.
    pub async fn make_role(&self, actor: &Actor, role: Role) -> Result<Role, Refusal> {
        let project = role.project;
        let attempt = || Attempt {
            actor,
            project,
            action: "role.enrol",
            target: Target {
                noun: Noun::Role,
                id: None,
            },
            owner: None,
        };
        let made = self
            .permit::<WriteProject>(actor, project, Subject::Project, Noun::Project)
            .and_then(|permit| {
                self.check_role_scopes(project, &role.scopes)?;
                if self.keyring.directory().count(Noun::Role, project) >= ROLES_MAX {
                    return Err(Refusal::Text {
                        field: "name",
                        error: TextError::Bulk("a project has at most 1000 roles"),
                    });
                }
                Ok(enrol::enrol(
                    &permit,
                    Record::Role(role.clone()),
                    &role.scopes,
                    self.now(),
                )?)
            });
        match made {
            Err(refusal) => self.refused(refusal, attempt()).await,
            Ok(commit) => match self.commit(vec![commit]).await {
                Ok(()) => Ok(role),
                Err(error) => self.refused(error.into(), attempt()).await,
            },
        }
    }

    /// One role, by id or name.
    pub fn role(&self, actor: &Actor, project: ProjectId, word: &str) -> Result<Role, Refusal> {
        self.may::<ReadProject>(actor, project, Subject::Project, Noun::Role)?;
        self.role_named(project, word)
    }

    /// The roles of a project, oldest first.
    pub async fn roles(
        &self,
        actor: &Actor,
        project: ProjectId,
        query: RecordQuery,
    ) -> Result<Page<Arc<Record>>, Refusal> {
        self.may::<ReadProject>(actor, project, Subject::Project, Noun::Project)?;
        self.stored_records(project, Noun::Role, &query).await
    }

    /// The role that a word names, without asking for leave: for turning names in requests into ids.
    pub fn role_named(&self, project: ProjectId, word: &str) -> Result<Role, Refusal> {
        let directory = self.keyring.directory();
        let id = match word.parse::<RoleId>() {
            Ok(id) => Some(id),
            Err(_) => directory.id_of(Noun::Role, project, word).map(RoleId::from_uuid),
        };
        let role = id
            .and_then(|id| directory.role(id))
            .filter(|role| role.project == project);
        role.cloned().ok_or(Refusal::NotFound(Noun::Role))
    }

    /// The names of roles, in order.
    pub fn role_names<'a>(&self, roles: impl IntoIterator<Item = &'a RoleId>) -> Vec<String> {
        let directory = self.keyring.directory();
        let mut names: Vec<String> = roles
            .into_iter()
            .filter_map(|id| directory.role(*id))
            .map(|role| role.name.to_string())
            .collect();
        names.sort_unstable();
        names
    }

    /// Changes a role; everybody who holds it has the new scopes at once.
    pub async fn change_role(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: RoleId,
        change: RoleChange,
        based_on: Option<Revision>,
    ) -> Result<Role, Refusal> {
        let target = Target {
            noun: Noun::Role,
            id: Some(id.uuid()),
        };
        let attempt = || Attempt {
            actor,
            project,
            action: "role.change",
            target,
            owner: None,
        };
        let _turn = self.turn_in(project).await;
        for _ in 0..TRIES {
            let decided = self
                .permit::<WriteProject>(actor, project, Subject::Project, Noun::Role)
                .and_then(|permit| {
                    let before = self.role_named(project, &id.to_string())?;
                    Self::based_on(based_on, before.revision, Noun::Role)?;
                    let mut after = before.clone();
                    after.name = change.name.clone().unwrap_or(after.name);
                    after.description = change.description.clone().unwrap_or(after.description);
                    after.scopes = change.scopes.clone().unwrap_or(after.scopes);
                    self.check_role_scopes(project, &after.scopes)?;
                    self.keep_a_way_in(project, Loss::Role(&after))?;
                    let added = after
                        .scopes
                        .iter()
                        .filter(|scope| !before.scopes.covers(scope.wanted()))
                        .cloned();
                    let gives = ScopeSet::new(added).unwrap_or_default();
                    Ok(enrol::change(
                        &permit,
                        &Record::Role(before),
                        Record::Role(after),
                        &gives,
                        None,
                        self.now(),
                    )?)
                });
            let (after, commit) = match decided {
                Ok(decided) => decided,
                Err(refusal) => return self.refused(refusal, attempt()).await,
            };
            match self.commit(vec![commit]).await {
                Ok(()) => match after {
                    Record::Role(role) => return Ok(role),
                    _ => return Err(Refusal::NotFound(Noun::Role)),
                },
                Err(CommitError::Stale { .. }) => self.catch_up().await?,
                Err(error) => return self.refused(error.into(), attempt()).await,
            }
        }
        Err(Refusal::Busy(Noun::Role))
    }

    /// Removes a role that nobody holds.
    pub async fn remove_role(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: RoleId,
        based_on: Option<Revision>,
    ) -> Result<(), Refusal> {
        let target = Target {
            noun: Noun::Role,
            id: Some(id.uuid()),
        };
        let decided = self
            .permit::<WriteProject>(actor, project, Subject::Project, Noun::Role)
            .and_then(|permit| {
                let role = self.role_named(project, &id.to_string())?;
                Self::based_on(based_on, role.revision, Noun::Role)?;
                let by_default = self
                    .keyring
                    .project(project)
                    .is_some_and(|project| project.policy.default_roles.contains(&id));
                if by_default || self.keyring.directory().holders(id).next().is_some() {
                    return Err(Refusal::RoleInUse);
                }
                Ok(enrol::remove(&permit, Record::Role(role), None, self.now()))
            });
        let attempt = Attempt {
            actor,
            project,
            action: "role.remove",
            target,
            owner: None,
        };
        match decided {
            Err(refusal) => self.refused(refusal, attempt).await,
            Ok(commit) => match self.commit(vec![commit]).await {
                Ok(()) => Ok(()),
                Err(error) => self.refused(error.into(), attempt).await,
            },
        }
    }

    fn check_role_scopes(&self, project: ProjectId, scopes: &ScopeSet) -> Result<(), Refusal> {
        let policy = self
            .keyring
            .project(project)
            .ok_or(Refusal::NotFound(Noun::Project))?
            .policy;
        Ok(policy.knows_scopes(scopes)?)
    }
}
