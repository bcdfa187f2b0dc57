//! Enrols, changes, suspends and removes what keys hang on: users, teams, services and roles.
//!
//! All four are the same act on different records: an insert, or a replacement of one revision by the next.

use std::collections::BTreeSet;

use crate::actor::{Action, Actor, Beyond, Permit, Relabel};
use crate::commit::{Change, Commit, Record, Revision};
use crate::id::RoleId;
use crate::owner::{Standing, Team};
use crate::scope::ScopeSet;
use crate::text::{Cause, Metadata, Name};
use crate::time::Moment;

/// Why a record is not enrolled or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// Its holder would be given more than the caller has.
    #[error(transparent)]
    Beyond(#[from] Beyond),
    /// Somebody would be left without a way in.
    #[error("this is the last operator in good standing; appoint another one first")]
    LastOperator,
    /// A team names a member twice, or too many.
    #[error("a team has at most {} members, each once", crate::owner::MEMBERS_MAX)]
    Members,
    /// Keyholt's own project cannot be stopped or removed.
    #[error("Keyholt's own project cannot be suspended")]
    SystemProject,
}

/// Enrols a new record: a user, team, service or role of revision 1.
///
/// `gives` is what the record lets its holders do; nobody may give more than they have.
pub fn enrol<A: Action>(
    permit: &Permit<A>,
    record: Record,
    gives: &ScopeSet,
    now: Moment,
) -> Result<Commit, EnrolError> {
    may_give(permit.actor(), gives)?;
    check_members(&record)?;
    let action = format!("{}.enrol", record.noun().as_str());
    Ok(Commit::by(permit, &action, None, Change::Insert(record), None, now))
}

/// Replaces a record by its next version; the version is counted here.
///
/// `gives` is what the new version lets its holders do that the old one did not.
pub fn change<A: Action>(
    permit: &Permit<A>,
    before: &Record,
    after: Record,
    gives: &ScopeSet,
    cause: Option<Cause>,
    now: Moment,
) -> Result<(Record, Commit), EnrolError> {
    may_give(permit.actor(), gives)?;
    check_members(&after)?;
    Ok(replace(permit, "change", before, after, cause, now))
}

/// What people need to know about a user or team; never used to judge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Label {
    /// What people call it.
    pub name: Name,
    /// Free-form data of the relying product.
    pub metadata: Metadata,
}

/// Gives a user or team another label. Nothing different, and a record that has none, is no commit.
pub fn relabel(permit: &Permit<Relabel>, before: &Record, label: Label, now: Moment) -> Option<(Record, Commit)> {
    let mut after = before.clone();
    let (name, metadata) = match &mut after {
        Record::User(user) => (&mut user.name, &mut user.metadata),
        Record::Team(team) => (&mut team.name, &mut team.metadata),
        _ => return None,
    };
    if *name == label.name && *metadata == label.metadata {
        return None;
    }
    *name = label.name;
    *metadata = label.metadata;
    Some(replace(permit, "change", before, after, None, now))
}

/// Suspends an owner or project: its keys stop at once. One that is suspended already stays as it is.
pub fn suspend<A: Action>(
    permit: &Permit<A>,
    before: &Record,
    cause: Option<Cause>,
    now: Moment,
) -> Result<Option<(Record, Commit)>, EnrolError> {
    if matches!(before, Record::Project(project) if project.is_system()) {
        return Err(EnrolError::SystemProject);
    }
    match standing(before) {
        Some(Standing::Good) => {
            let after = with_standing(before.clone(), Standing::Suspended { since: now });
            Ok(Some(replace(permit, "suspend", before, after, cause, now)))
        }
        _ => Ok(None),
    }
}

/// Lifts a suspension: its keys work exactly as before. One in good standing stays as it is.
pub fn resume<A: Action>(
    permit: &Permit<A>,
    before: &Record,
    gives: &ScopeSet,
    cause: Option<Cause>,
    now: Moment,
) -> Result<Option<(Record, Commit)>, EnrolError> {
    may_give(permit.actor(), gives)?;
    match standing(before) {
        Some(Standing::Suspended { .. }) => {
            let after = with_standing(before.clone(), Standing::Good);
            Ok(Some(replace(permit, "resume", before, after, cause, now)))
        }
        _ => Ok(None),
    }
}

/// Removes a user, team, service or role. The keys of an owner are revoked in the same breath by the caller.
pub fn remove<A: Action>(permit: &Permit<A>, record: Record, cause: Option<Cause>, now: Moment) -> Commit {
    let action = format!("{}.remove", record.noun().as_str());
    let before = record.clone();
    Commit::by(permit, &action, Some(&before), Change::Remove { record }, cause, now)
}

fn may_give(actor: &Actor, gives: &ScopeSet) -> Result<(), Beyond> {
    match actor.effective.lacks(gives) {
        Some(scope) => Err(Beyond::Scope { scope: scope.clone() }),
        None => Ok(()),
    }
}

fn check_members(record: &Record) -> Result<(), EnrolError> {
    let Record::Team(Team { members, .. }) = record else {
        return Ok(());
    };
    let distinct: BTreeSet<_> = members.iter().map(|member| member.user).collect();
    if distinct.len() != members.len() || members.len() > crate::owner::MEMBERS_MAX {
        return Err(EnrolError::Members);
    }
    Ok(())
}

fn replace<A: Action>(
    permit: &Permit<A>,
    verb: &str,
    before: &Record,
    after: Record,
    cause: Option<Cause>,
    now: Moment,
) -> (Record, Commit) {
    let after = with_revision(after, before.revision().next());
    let action = format!("{}.{verb}", before.noun().as_str());
    let change = Change::Replace {
        record: after.clone(),
        expected: before.revision(),
    };
    (after, Commit::by(permit, &action, Some(before), change, cause, now))
}

pub(crate) fn with_revision(mut record: Record, revision: Revision) -> Record {
    match &mut record {
        Record::Setup(setup) => setup.revision = revision,
        Record::Project(project) => project.revision = revision,
        Record::Role(role) => role.revision = revision,
        Record::User(user) => user.revision = revision,
        Record::Team(team) => team.revision = revision,
        Record::Service(service) => service.revision = revision,
        Record::Password(password) => password.revision = revision,
        Record::Key(key) => key.revision = revision,
        Record::SigningKey(key) => key.revision = revision,
        Record::Token(token) => token.revision = revision,
    }
    record
}

pub(crate) fn standing(record: &Record) -> Option<Standing> {
    match record {
        Record::Project(project) => Some(project.standing),
        Record::User(user) => Some(user.standing),
        Record::Team(team) => Some(team.standing),
        Record::Service(service) => Some(service.standing),
        Record::Setup(_)
        | Record::Role(_)
        | Record::Password(_)
        | Record::SigningKey(_)
        | Record::Token(_)
        | Record::Key(_) => None,
    }
}

pub(crate) fn with_standing(mut record: Record, standing: Standing) -> Record {
    match &mut record {
        Record::Project(project) => project.standing = standing,
        Record::User(user) => user.standing = standing,
        Record::Team(team) => team.standing = standing,
        Record::Service(service) => service.standing = standing,
        Record::Setup(_)
        | Record::Role(_)
        | Record::Password(_)
        | Record::SigningKey(_)
        | Record::Token(_)
        | Record::Key(_) => {}
    }
    record
}

/// The roles that an owner record holds.
pub fn roles(record: &Record) -> Option<&BTreeSet<RoleId>> {
    match record {
        Record::User(user) => Some(&user.roles),
        Record::Team(team) => Some(&team.roles),
        Record::Service(service) => Some(&service.roles),
        Record::Setup(_)
        | Record::Project(_)
        | Record::Role(_)
        | Record::Password(_)
        | Record::SigningKey(_)
        | Record::Token(_)
        | Record::Key(_) => None,
    }
}
