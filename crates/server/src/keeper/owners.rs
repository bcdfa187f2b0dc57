//! Owners: enrol, read, change, suspend, resume and remove users, teams and services.

use std::sync::Arc;

use keyholt_core::actor::{Action, Actor, Permit, ReadOwners, Relabel, Subject, WriteOwners};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::commit::{Commit, Record, Revision};
use keyholt_core::enrol::{self, Label};
use keyholt_core::id::{ProjectId, RoleId, ServiceId, TeamId, UserId};
use keyholt_core::owner::{Member, MemberRight, Owner, OwnerKind, Team};
use keyholt_core::revoke::revoke;
use keyholt_core::scope::ScopeSet;
use keyholt_core::session;
use keyholt_core::text::Cause;
use keyholt_core::time::Moment;
use keyholt_store::{CommitError, KeyQuery, Owners, Page, RecordQuery};

use super::way_in::Loss;
use super::{Attempt, Keeper, Refusal, TRIES};
use crate::keyring::directory::noun_of;

/// Makes the next version of an owner's record from the one that is there.
pub type OwnerChange<'a> = &'a (dyn Fn(&mut Record) -> Result<(), Refusal> + Sync);

/// What happens to somebody's place in a team.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MembershipChange {
    /// The user belongs to the team with this right.
    Put(MemberRight),
    /// The user does not belong to it.
    Remove,
}

impl Keeper {
    /// Makes an id and the present time for a new record.
    pub fn mint<R>(&self, make: impl FnOnce(Moment, &mut dyn keyholt_core::entropy::Entropy) -> R) -> R {
        let mut entropy = self.entropy.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        make(self.now(), &mut **entropy)
    }

    /// A fresh user id.
    pub fn mint_user(&self) -> (UserId, Moment) {
        self.mint(|now, entropy| (UserId::mint(now, entropy), now))
    }

    /// A fresh team id.
    pub fn mint_team(&self) -> (TeamId, Moment) {
        self.mint(|now, entropy| (TeamId::mint(now, entropy), now))
    }

    /// A fresh service id.
    pub fn mint_service(&self) -> (ServiceId, Moment) {
        self.mint(|now, entropy| (ServiceId::mint(now, entropy), now))
    }

    /// Enrols a user, team or service. The record carries its own id, project and roles; its revision is 1.
    pub async fn enrol_owner(&self, actor: &Actor, record: Record) -> Result<Arc<Record>, Refusal> {
        let (project, noun) = (record.project(), record.noun());
        let action = format!("{}.enrol", noun.as_str());
        let attempt = || Attempt {
            actor,
            project,
            action: &action,
            target: Target { noun, id: None },
            owner: None,
        };
        let made = self
            .permit::<WriteOwners>(actor, project, Subject::Project, Noun::Project)
            .and_then(|permit| {
                self.check_references(&record)?;
                let gives = self.keyring.directory().permissions(&record);
                Ok(enrol::enrol(&permit, record.clone(), &gives, self.now())?)
            });
        match made {
            Err(refusal) => self.refused(refusal, attempt()).await,
            Ok(commit) => match self.commit(vec![commit]).await {
                Ok(()) => Ok(Arc::new(record)),
                Err(error) => self.refused(error.into(), attempt()).await,
            },
        }
    }

    /// One owner, by id.
    pub fn owner(&self, actor: &Actor, project: ProjectId, owner: Owner) -> Result<Arc<Record>, Refusal> {
        self.may::<ReadOwners>(actor, project, Subject::Owner(owner), noun_of(owner))?;
        self.known_owner(project, owner)
    }

    /// Owners of one kind, oldest first.
    pub async fn owners(
        &self,
        actor: &Actor,
        project: ProjectId,
        kind: OwnerKind,
        query: RecordQuery,
    ) -> Result<Page<Arc<Record>>, Refusal> {
        self.may::<ReadOwners>(actor, project, Subject::Project, Noun::Project)?;
        let noun = noun_of(Owner::new(kind, uuid::Uuid::nil()));
        self.stored_records(project, noun, &query).await
    }

    pub(super) async fn stored_records(
        &self,
        project: ProjectId,
        noun: Noun,
        query: &RecordQuery,
    ) -> Result<Page<Arc<Record>>, Refusal> {
        let page = self.store.records(project, noun, query).await?;
        let open = |stored: keyholt_store::StoredRecord| match self.opened(&stored) {
            Ok(record) => Some(Arc::new(record)),
            Err(_) => {
                self.alarm(noun, &stored.id.to_string());
                None
            }
        };
        Ok(Page {
            entries: page.entries.into_iter().filter_map(open).collect(),
            next: page.next,
        })
    }

    pub(super) fn known_owner(&self, project: ProjectId, owner: Owner) -> Result<Arc<Record>, Refusal> {
        let directory = self.keyring.directory();
        let record = directory.owner(owner).filter(|record| record.project() == project);
        record.map(Arc::clone).ok_or(Refusal::NotFound(noun_of(owner)))
    }

    /// Changes a user, team or service.
    pub async fn change_owner(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        based_on: Option<Revision>,
        change: OwnerChange<'_>,
    ) -> Result<Arc<Record>, Refusal> {
        self.on_owner::<WriteOwners>(actor, project, owner, "change", based_on, |permit, before, now| {
            let mut after = before.clone();
            change(&mut after)?;
            self.check_references(&after)?;
            let directory = self.keyring.directory();
            let (old, new) = (directory.permissions(before), directory.permissions(&after));
            let gives =
                ScopeSet::new(new.iter().filter(|scope| !old.covers(scope.wanted())).cloned()).unwrap_or_default();
            drop(directory);
            self.keep_a_way_in(project, Loss::Changed(&after))?;
            let (after, commit) = enrol::change(permit, before, after, &gives, None, now)?;
            Ok(Some((after, vec![commit])))
        })
        .await
    }

    /// Changes what a user or team is called and what is kept with it: something that users may do for themselves.
    pub async fn relabel_owner(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        label: &(dyn Fn(&Record) -> Result<Label, Refusal> + Sync),
    ) -> Result<Arc<Record>, Refusal> {
        self.on_owner::<Relabel>(actor, project, owner, "change", None, |permit, before, now| {
            let relabelled = enrol::relabel(permit, before, label(before)?, now);
            Ok(relabelled.map(|(after, commit)| (after, vec![commit])))
        })
        .await
    }

    /// The teams that a user belongs to, oldest first; who may read the user may know them.
    pub fn teams_of(&self, actor: &Actor, project: ProjectId, user: UserId) -> Result<Vec<Team>, Refusal> {
        self.owner(actor, project, Owner::User(user))?;
        let directory = self.keyring.directory();
        let teams = directory.teams_of(user, project).into_iter();
        Ok(teams
            .filter_map(|team| match directory.owner(Owner::Team(team))?.as_ref() {
                Record::Team(team) => Some(team.clone()),
                _ => None,
            })
            .collect())
    }

    /// Gives a user a place in a team, changes it, or takes it away.
    pub async fn change_membership(
        &self,
        actor: &Actor,
        project: ProjectId,
        team: TeamId,
        user: UserId,
        change: MembershipChange,
    ) -> Result<Arc<Record>, Refusal> {
        let change = move |record: &mut Record| {
            self.known_owner(project, Owner::User(user))?;
            if let Record::Team(team) = record {
                team.members.retain(|member| member.user != user);
                if let MembershipChange::Put(right) = change {
                    team.members.push(Member { user, right });
                    team.members.sort_unstable_by_key(|member| member.user);
                }
            }
            Ok(())
        };
        self.change_owner(actor, project, Owner::Team(team), None, &change)
            .await
    }

    /// Suspends an owner: its keys stop at once.
    pub async fn suspend_owner(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        cause: Option<Cause>,
        based_on: Option<Revision>,
    ) -> Result<Arc<Record>, Refusal> {
        self.on_owner::<WriteOwners>(actor, project, owner, "suspend", based_on, |permit, before, now| {
            let suspended = enrol::suspend(permit, before, cause.clone(), now)?;
            if let Some((after, _)) = &suspended {
                self.keep_a_way_in(project, Loss::Changed(after))?;
            }
            Ok(suspended.map(|(after, commit)| (after, vec![commit])))
        })
        .await
    }

    /// Lifts an owner's suspension: its keys work exactly as before.
    pub async fn resume_owner(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        cause: Option<Cause>,
        based_on: Option<Revision>,
    ) -> Result<Arc<Record>, Refusal> {
        self.on_owner::<WriteOwners>(actor, project, owner, "resume", based_on, |permit, before, now| {
            let gives = self.keyring.directory().permissions(before);
            let resumed = enrol::resume(permit, before, &gives, cause.clone(), now)?;
            Ok(resumed.map(|(after, commit)| (after, vec![commit])))
        })
        .await
    }

    /// Removes an owner and revokes its keys in the same breath. An owner enrolled later under the same name gets none of them.
    pub async fn remove_owner(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        cause: Option<Cause>,
        based_on: Option<Revision>,
    ) -> Result<(), Refusal> {
        let leave = self.permit::<WriteOwners>(actor, project, Subject::Project, Noun::Project);
        let (keys, sessions, password) = match leave {
            Ok(_) => {
                let keys = KeyQuery {
                    owners: Owners::These(vec![owner]),
                    ..KeyQuery::default()
                };
                (
                    self.live_matching(project, keys).await?,
                    self.live_sessions(project, owner).await?,
                    self.password_to_remove(project, owner).await?,
                )
            }
            Err(_) => (Vec::new(), Vec::new(), None),
        };
        let removed = Cause::new("owner removed").map_err(|error| Refusal::Text { field: "cause", error })?;
        self.on_owner::<WriteOwners>(actor, project, owner, "remove", based_on, |permit, before, now| {
            self.keep_a_way_in(project, Loss::Owner(owner))?;
            let over_keys = self.over_keys(permit.actor(), project)?;
            let mut commits: Vec<Commit> = keys
                .iter()
                .filter_map(|key| revoke(&over_keys, key, removed.clone(), now))
                .chain(
                    sessions
                        .iter()
                        .filter_map(|session| session::end(&over_keys, session, removed.clone(), now)),
                )
                .map(|(_, commit)| commit)
                .collect();
            commits.extend(
                password
                    .iter()
                    .map(|password| enrol::remove(permit, password.clone(), cause.clone(), now)),
            );
            if let Record::User(user) = before {
                commits.extend(self.leave_teams(permit, user.id, project, now)?);
            }
            commits.push(enrol::remove(permit, before.clone(), cause.clone(), now));
            Ok(Some((before.clone(), commits)))
        })
        .await
        .map(|_| ())
    }

    /// A removed user leaves its teams; the teams' keys stay.
    fn leave_teams(
        &self,
        permit: &Permit<WriteOwners>,
        user: UserId,
        project: ProjectId,
        now: Moment,
    ) -> Result<Vec<Commit>, Refusal> {
        let directory = self.keyring.directory();
        let mut commits = Vec::new();
        for team in directory.teams_of(user, project) {
            if let Some(before) = directory.owner(Owner::Team(team)) {
                let mut after = before.as_ref().clone();
                if let Record::Team(team) = &mut after {
                    team.members.retain(|member| member.user != user);
                }
                commits.push(enrol::change(permit, before, after, &ScopeSet::default(), None, now)?.1);
            }
        }
        Ok(commits)
    }

    async fn on_owner<A: Action>(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        verb: &str,
        based_on: Option<Revision>,
        decide: impl Fn(&Permit<A>, &Record, Moment) -> Result<Option<(Record, Vec<Commit>)>, Refusal>,
    ) -> Result<Arc<Record>, Refusal> {
        let noun = noun_of(owner);
        let action = format!("{}.{verb}", noun.as_str());
        let attempt = || Attempt {
            actor,
            project,
            action: &action,
            target: Target {
                noun,
                id: Some(owner.uuid()),
            },
            owner: Some(owner),
        };
        let mut last = Refusal::Busy(noun);
        let _turn = self.turn_in(project).await;
        for _ in 0..TRIES {
            let decided = self
                .permit::<A>(actor, project, Subject::Owner(owner), noun)
                .and_then(|permit| {
                    let before = self.known_owner(project, owner)?;
                    Self::based_on(based_on, before.revision(), noun)?;
                    Ok((decide(&permit, &before, self.now())?, before))
                });
            let (after, commits) = match decided {
                Ok((Some((after, commits)), _)) => (Arc::new(after), commits),
                Ok((None, before)) => return Ok(before),
                Err(refusal) => return self.refused(refusal, attempt()).await,
            };
            match self.commit(commits).await {
                Ok(()) => return Ok(after),
                Err(CommitError::Stale { noun }) => {
                    last = Refusal::Busy(noun);
                    // Another node was faster: what it wrote must be known before trying again.
                    self.catch_up().await?;
                }
                Err(error) => return self.refused(error.into(), attempt()).await,
            }
        }
        Err(last)
    }

    /// Checks that the roles and members that a record names exist in its project.
    fn check_references(&self, record: &Record) -> Result<(), Refusal> {
        let directory = self.keyring.directory();
        let project = record.project();
        let known_role = |role: &RoleId| directory.role(*role).is_some_and(|role| role.project == project);
        if let Some(roles) = enrol::roles(record) {
            if !roles.iter().all(known_role) {
                return Err(Refusal::Dangling {
                    field: "roles",
                    noun: Noun::Role,
                });
            }
            if roles.len() > keyholt_core::owner::ROLES_PER_OWNER_MAX {
                return Err(Refusal::Text {
                    field: "roles",
                    error: keyholt_core::text::TextError::Bulk("may name at most 32 roles"),
                });
            }
        }
        if let Record::Team(team) = record {
            let known = |member: &Member| {
                directory
                    .owner(Owner::User(member.user))
                    .is_some_and(|user| user.project() == project)
            };
            if !team.members.iter().all(known) {
                return Err(Refusal::Dangling {
                    field: "members",
                    noun: Noun::User,
                });
            }
        }
        Ok(())
    }
}
