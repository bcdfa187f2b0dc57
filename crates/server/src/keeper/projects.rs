//! Projects: found, read, change, suspend and resume.

use std::sync::Arc;

use keyholt_core::actor::{Action, Actor, Operate, Permit, ReadProject, Subject, WriteProject};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::commit::{Commit, Record, Revision};
use keyholt_core::enrol;
use keyholt_core::found::{Charter, found};
use keyholt_core::id::{ProjectId, SYSTEM};
use keyholt_core::project::{GRACE_MAX, KEYS_PER_OWNER_MAX, Policy, Project};
use keyholt_core::scope::ScopeSet;
use keyholt_core::text::{Cause, Name, Slug, TextError};
use keyholt_core::time::Moment;
use keyholt_store::{CommitError, Page, RecordQuery};

use super::{Attempt, Keeper, Refusal, TRIES};

/// Slugs that mean something else in a path.
const WORDS_WITH_MEANING: [&str; 1] = ["self"];

/// What shall become different in a project; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ProjectChange {
    /// A new handle.
    pub slug: Option<Slug>,
    /// A new name.
    pub name: Option<Name>,
    /// A new policy, in place of the old.
    pub policy: Option<Policy>,
}

impl Keeper {
    /// Founds a project with its starting roles.
    pub async fn found_project(&self, actor: &Actor, charter: Charter) -> Result<Project, Refusal> {
        let attempt = || Attempt {
            actor,
            project: SYSTEM,
            action: "project.found",
            target: Target {
                noun: Noun::Project,
                id: None,
            },
            owner: None,
        };
        let leave = self.permit::<Operate>(actor, SYSTEM, Subject::Project, Noun::Project);
        let made = leave.and_then(|permit| {
            check_slug(&charter.slug)?;
            self.mint(|now, entropy| found(&permit, charter, now, entropy))
                .map_err(|error| Refusal::Text { field: "slug", error })
        });
        match made {
            Err(refusal) => self.refused(refusal, attempt()).await,
            Ok((project, _, commit)) => match self.commit(vec![commit]).await {
                Ok(()) => Ok(project),
                Err(error) => self.refused(error.into(), attempt()).await,
            },
        }
    }

    /// One project.
    pub fn project(&self, actor: &Actor, id: ProjectId) -> Result<Project, Refusal> {
        self.may::<ReadProject>(actor, id, Subject::Project, Noun::Project)?;
        self.keyring.project(id).ok_or(Refusal::NotFound(Noun::Project))
    }

    /// The slug of the actor's own project, which everybody may know.
    pub fn own_project_slug(&self, actor: &Actor) -> Option<Slug> {
        self.keyring.project(actor.home).map(|project| project.slug)
    }

    /// All projects, oldest first; to anybody but operators there is only their own.
    pub async fn projects(&self, actor: &Actor, query: RecordQuery) -> Result<Page<Arc<Record>>, Refusal> {
        if actor.is_operator() {
            self.may::<Operate>(actor, SYSTEM, Subject::Project, Noun::Project)?;
            return self.stored_records(SYSTEM, Noun::Project, &query).await;
        }
        let own = self.project(actor, actor.home)?;
        let wanted = query
            .handle_prefix
            .as_deref()
            .is_none_or(|prefix| own.slug.as_str().starts_with(prefix))
            && query.after.is_none();
        Ok(Page {
            entries: wanted.then(|| Arc::new(Record::Project(own))).into_iter().collect(),
            next: None,
        })
    }

    /// Changes a project's handle, name or policy.
    pub async fn change_project(
        &self,
        actor: &Actor,
        id: ProjectId,
        change: ProjectChange,
        based_on: Option<Revision>,
    ) -> Result<Project, Refusal> {
        self.change_project_with(actor, id, &|_| change.clone(), based_on).await
    }

    /// Changes a project as [`Keeper::change_project`] does, by a change that is made from the project as it is.
    pub async fn change_project_with(
        &self,
        actor: &Actor,
        id: ProjectId,
        change: &(dyn Fn(&Project) -> ProjectChange + Sync),
        based_on: Option<Revision>,
    ) -> Result<Project, Refusal> {
        self.on_project::<WriteProject>(actor, id, id, "project.change", based_on, |permit, before, now| {
            let Record::Project(project) = before else {
                return Ok(None);
            };
            let mut after = project.clone();
            let change = change(project);
            after.slug = change.slug.unwrap_or(after.slug);
            after.name = change.name.unwrap_or(after.name);
            after.policy = change.policy.unwrap_or(after.policy);
            check_slug(&after.slug)?;
            self.check_policy(id, &after.policy)?;
            let added: Vec<_> = after
                .policy
                .default_roles
                .difference(&project.policy.default_roles)
                .copied()
                .collect();
            let gives = self.keyring.directory().scopes_of(&added);
            Ok(Some(enrol::change(
                permit,
                before,
                Record::Project(after),
                &gives,
                None,
                now,
            )?))
        })
        .await
    }

    /// Suspends a project: all its keys stop at once.
    pub async fn suspend_project(
        &self,
        actor: &Actor,
        id: ProjectId,
        cause: Option<Cause>,
        based_on: Option<Revision>,
    ) -> Result<Project, Refusal> {
        self.on_project::<Operate>(actor, id, SYSTEM, "project.suspend", based_on, |permit, before, now| {
            Ok(enrol::suspend(permit, before, cause.clone(), now)?)
        })
        .await
    }

    /// Lifts a project's suspension: its keys work exactly as before.
    pub async fn resume_project(
        &self,
        actor: &Actor,
        id: ProjectId,
        cause: Option<Cause>,
        based_on: Option<Revision>,
    ) -> Result<Project, Refusal> {
        self.on_project::<Operate>(actor, id, SYSTEM, "project.resume", based_on, |permit, before, now| {
            Ok(enrol::resume(permit, before, &ScopeSet::default(), cause.clone(), now)?)
        })
        .await
    }

    /// `id` is the project that changes, `place` the one in which leave is asked for and the event is written.
    async fn on_project<A: Action>(
        &self,
        actor: &Actor,
        id: ProjectId,
        place: ProjectId,
        action: &str,
        based_on: Option<Revision>,
        decide: impl Fn(&Permit<A>, &Record, Moment) -> Result<Option<(Record, Commit)>, Refusal>,
    ) -> Result<Project, Refusal> {
        let target = Target {
            noun: Noun::Project,
            id: Some(id.uuid()),
        };
        let attempt = || Attempt {
            actor,
            project: place,
            action,
            target,
            owner: None,
        };
        for _ in 0..TRIES {
            let decided = self
                .permit::<A>(actor, place, Subject::Project, Noun::Project)
                .and_then(|permit| {
                    let before = self.keyring.project(id).ok_or(Refusal::NotFound(Noun::Project))?;
                    Self::based_on(based_on, before.revision, Noun::Project)?;
                    Ok((decide(&permit, &Record::Project(before.clone()), self.now())?, before))
                });
            let (after, commit) = match decided {
                Ok((Some((Record::Project(after), commit)), _)) => (after, commit),
                Ok((_, before)) => return Ok(before),
                Err(refusal) => return self.refused(refusal, attempt()).await,
            };
            match self.commit(vec![commit]).await {
                Ok(()) => return Ok(after),
                Err(CommitError::Stale { .. }) => self.catch_up().await?,
                Err(error) => return self.refused(error.into(), attempt()).await,
            }
        }
        Err(Refusal::Busy(Noun::Project))
    }

    fn check_policy(&self, project: ProjectId, policy: &Policy) -> Result<(), Refusal> {
        let bulk = |field, says| {
            Err(Refusal::Text {
                field,
                error: TextError::Bulk(says),
            })
        };
        if policy.keys_per_owner == 0 || policy.keys_per_owner > KEYS_PER_OWNER_MAX {
            return bulk("policy.keys_per_owner", "must be 1 to 1000000");
        }
        if policy.longest_grace > GRACE_MAX {
            return bulk("policy.longest_grace", "may be at most 90d");
        }
        let directory = self.keyring.directory();
        let known = |role: &keyholt_core::id::RoleId| directory.role(*role).is_some_and(|role| role.project == project);
        if !policy.default_roles.iter().all(known) {
            return Err(Refusal::Dangling {
                field: "policy.default_roles",
                noun: Noun::Role,
            });
        }
        Ok(())
    }
}

fn check_slug(slug: &Slug) -> Result<(), Refusal> {
    if WORDS_WITH_MEANING.contains(&slug.as_str()) {
        return Err(Refusal::Text {
            field: "slug",
            error: TextError::Characters("a word that has no meaning of its own in paths, unlike `self`"),
        });
    }
    Ok(())
}
