//! Carries over to restored data what ended after its backup was made, so that a restore revives nothing silently.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::actor::Source;
use crate::audit::{Event, Noun, Outcome, Target};
use crate::commit::{Change, Commit, Record};
use crate::enrol::{standing, with_revision, with_standing};
use crate::id::SYSTEM;
use crate::key::{Allowed, Bounds, Key, State};
use crate::owner::{Member, MemberRight, Standing, Team};
use crate::role::Role;
use crate::scope::{Access, ScopeSet};
use crate::secret::{Credentials, Digest, Fingerprint, Pepper};
use crate::setup::Setup;
use crate::signing::SigningKey;
use crate::text::{Cause, TextError};
use crate::time::Moment;

/// What the data in use until the restore knows of a record of the backup.
#[derive(Clone, Copy, Debug)]
pub enum Present<'a> {
    /// The record is not there any more.
    Gone,
    /// It is there, but not as Keyholt wrote it: nothing in it can be believed.
    Tampered,
    /// It is there.
    There(&'a Record),
}

/// How a record ended, or became less, after the backup.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ending {
    /// The key was revoked.
    Revoked,
    /// It was deleted or removed.
    Gone,
    /// It was suspended.
    Suspended,
    /// Somebody changed its row in the database; it is suspended until a person has looked at it.
    Tampered,
    /// The key has another secret now.
    Rotated,
    /// It may do less, or in fewer places.
    Narrowed,
    /// The key ends earlier.
    Shortened,
}

impl Ending {
    /// All endings, the hardest first.
    pub const ALL: [Self; 7] = [
        Self::Revoked,
        Self::Gone,
        Self::Suspended,
        Self::Tampered,
        Self::Rotated,
        Self::Narrowed,
        Self::Shortened,
    ];

    /// The word for it in tables and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Gone => "gone",
            Self::Suspended => "suspended",
            Self::Tampered => "tampered",
            Self::Rotated => "rotated",
            Self::Narrowed => "narrowed",
            Self::Shortened => "shortened",
        }
    }
}

/// A record of the backup that must not come back as it was.
#[derive(Clone, Debug)]
pub struct Carried {
    /// What happened to it after the backup.
    pub endings: BTreeSet<Ending>,
    /// Does the same to it in the restored data.
    pub commit: Commit,
}

impl Carried {
    /// What cannot be stopped goes.
    fn removal(backup: &Record, ending: Ending, source: &Source, now: Moment) -> Self {
        let change = Change::Remove { record: backup.clone() };
        let cause = Cause::new("ended after the backup").ok();
        Self {
            endings: BTreeSet::from([ending]),
            commit: by_itself("remove", backup, None, change, cause, source, now),
        }
    }
}

/// What must be done to a record of a backup so that it is no more than it is in the present data.
///
/// Everything is met rather than replaced: what was widened after the backup does not come back wide, and what was
/// narrowed stays narrow. The one exception is a key's secrets, which are the present ones: the old secret is what a
/// rotation ended, and the new one is what its holder has.
pub fn carry_over(backup: &Record, present: Present<'_>, source: &Source, now: Moment) -> Option<Carried> {
    let mut after = backup.clone();
    let mut endings = BTreeSet::new();
    match &mut after {
        Record::Setup(_) | Record::Token(_) => {}
        Record::SigningKey(key) => end_signing_key(key, present, now, &mut endings),
        Record::Key(key) => end_key(key, present, now, &mut endings),
        Record::Role(role) => end_role(role, present, &mut endings),
        Record::Password(password) => match present {
            Present::There(Record::Password(present)) if present.hash.is(&password.hash) => {}
            Present::There(Record::Password(present)) => {
                // The old password is what a change ended, and the new one is what its user knows.
                password.hash = present.hash.clone();
                password.changed_at = present.changed_at;
                endings.insert(Ending::Rotated);
            }
            Present::Gone => return Some(Carried::removal(backup, Ending::Gone, source, now)),
            Present::There(_) | Present::Tampered => {
                return Some(Carried::removal(backup, Ending::Tampered, source, now));
            }
        },
        Record::Project(_) | Record::User(_) | Record::Team(_) | Record::Service(_) => {
            after = end_holder(after, present, now, &mut endings);
        }
    }
    if endings.is_empty() {
        return None;
    }
    let verb = verb(backup.noun(), &endings);
    let commit = replace(
        verb,
        backup,
        after,
        Cause::new("ended after the backup").ok(),
        source,
        now,
    );
    Some(Carried { endings, commit })
}

/// Suspends a key of which nobody knows whether it ended after the backup. One that does not work anyway stays as it is.
pub fn suspend_unknown(key: &Key, source: &Source, now: Moment) -> Option<Commit> {
    if key.state != State::Active {
        return None;
    }
    let mut after = key.clone();
    after.state = State::Suspended { since: now };
    let cause = Cause::new("whether it ended after the backup is not known").ok();
    let (before, after) = (Record::Key(Box::new(key.clone())), Record::Key(Box::new(after)));
    Some(replace("suspend", &before, after, cause, source, now))
}

/// Opens the set-up again where a restore left nobody with a working operator's key.
///
/// Whoever can restore has the data and the master key; this gives them nothing that they could not take. The token
/// need not be known to anybody: the next start puts one of its own in its place, and prints that.
pub fn reopen_setup(setup: &Setup, token: &Fingerprint, pepper: &Pepper, source: &Source, now: Moment) -> Commit {
    let open = Record::Setup(Setup::open(token, pepper, now, setup.revision));
    let cause = Cause::new("no operator's key was left after a restore").ok();
    replace("reopen", &Record::Setup(setup.clone()), open, cause, source, now)
}

/// Tells the audit trail that from here on the data are restored ones. `account` says from which backup, and how.
pub fn restored(account: &str, source: &Source, now: Moment) -> Result<Commit, TextError> {
    let target = Target {
        noun: Noun::Project,
        id: Some(SYSTEM.uuid()),
    };
    let event = Event {
        project: SYSTEM,
        at: now,
        action: "backup.restore".to_owned(),
        outcome: Outcome::Done,
        actor: None,
        target,
        owner: None,
        cause: Some(Cause::new(account)?),
        source: source.clone(),
        before: None,
        after: None,
    };
    Ok(Commit::by_itself(event, Vec::new()))
}

fn end_key(key: &mut Key, present: Present<'_>, now: Moment, endings: &mut BTreeSet<Ending>) {
    if matches!(key.state, State::Revoked { .. }) {
        return;
    }
    match present {
        Present::Gone => {
            revoke(key, now);
            endings.insert(Ending::Gone);
        }
        Present::There(Record::Key(present)) => meet_key(key, present, now, endings),
        Present::There(_) | Present::Tampered => {
            if key.state == State::Active {
                key.state = State::Suspended { since: now };
                endings.insert(Ending::Tampered);
            }
        }
    }
}

fn revoke(key: &mut Key, now: Moment) {
    if let Ok(cause) = Cause::new("ended after the backup") {
        key.state = State::Revoked { at: now, cause };
    }
    key.credentials = Credentials::One(*key.credentials.current());
}

fn meet_key(key: &mut Key, present: &Key, now: Moment, endings: &mut BTreeSet<Ending>) {
    if !same_secrets(&key.credentials, &present.credentials) {
        key.credentials = present.credentials;
        key.about.hint.clone_from(&present.about.hint);
        endings.insert(Ending::Rotated);
    }
    if !covers(&present.access, &key.access) {
        key.access = meet_access(&present.access, &key.access);
        endings.insert(Ending::Narrowed);
    }
    if key.expiry.outlives(present.expiry) {
        key.expiry = present.expiry;
        endings.insert(Ending::Shortened);
    }
    match meet_bounds(&present.bounds, &key.bounds) {
        Some(met) if met == key.bounds => {}
        Some(met) => {
            key.bounds = met;
            endings.insert(Ending::Narrowed);
        }
        // There is no place left where it may be used, and no list says so: a list is never empty.
        None => {
            if key.state == State::Active {
                key.state = State::Suspended { since: now };
                endings.insert(Ending::Suspended);
            }
            endings.insert(Ending::Narrowed);
        }
    }
    match (&key.state, &present.state) {
        // The first time and the real cause are kept.
        (_, State::Revoked { .. }) => {
            key.state = present.state.clone();
            endings.insert(Ending::Revoked);
        }
        (State::Active, State::Suspended { .. }) => {
            key.state = present.state.clone();
            endings.insert(Ending::Suspended);
        }
        _ => {}
    }
}

fn same_secrets(one: &Credentials, other: &Credentials) -> bool {
    // One whose digest was renewed after the backup is the same secret still.
    if let Credentials::Renewed { former, .. } = other
        && same(one.current(), former)
    {
        return one.retiring().is_none();
    }
    let beside = match (one.beside(), other.beside()) {
        (None, None) => true,
        (Some(one), Some(other)) => same(one, other),
        _ => false,
    };
    let until = |credentials: &Credentials| credentials.retiring().map(|(_, until)| until);
    same(one.current(), other.current()) && beside && until(one) == until(other)
}

fn same(one: &Digest, other: &Digest) -> bool {
    one.matches(other)
}

fn covers(wide: &Access, narrow: &Access) -> bool {
    match (wide, narrow) {
        (Access::Everything, _) => true,
        (Access::Only(_), Access::Everything) => false,
        (Access::Only(wide), Access::Only(narrow)) => wide.lacks(narrow).is_none(),
    }
}

fn meet_access(one: &Access, other: &Access) -> Access {
    match (one, other) {
        (Access::Everything, access) | (access, Access::Everything) => access.clone(),
        (Access::Only(one), Access::Only(other)) => Access::Only(one.meet(other)),
    }
}

/// Where both allow a key to be used; `None` is nowhere.
fn meet_bounds(present: &Bounds, backup: &Bounds) -> Option<Bounds> {
    if present.environment.is_some() && present.environment != backup.environment {
        return None;
    }
    Some(Bounds {
        networks: meet_allowed(&present.networks, &backup.networks, narrower)?,
        origins: meet_allowed(&present.origins, &backup.origins, equal)?,
        audience: meet_allowed(&present.audience, &backup.audience, equal)?,
        environment: backup.environment.clone(),
    })
}

fn narrower(one: &IpNet, other: &IpNet) -> Option<IpNet> {
    if one.contains(other) {
        Some(*other)
    } else {
        other.contains(one).then_some(*one)
    }
}

fn equal<T: PartialEq + Clone>(one: &T, other: &T) -> Option<T> {
    (one == other).then(|| one.clone())
}

fn meet_allowed<T: Ord + Clone>(
    present: &Allowed<T>,
    backup: &Allowed<T>,
    meet: impl Fn(&T, &T) -> Option<T>,
) -> Option<Allowed<T>> {
    match (present, backup) {
        (Allowed::Any, allowed) | (allowed, Allowed::Any) => Some(allowed.clone()),
        (Allowed::Only(present), Allowed::Only(backup)) => {
            let met: BTreeSet<T> = present
                .iter()
                .flat_map(|one| backup.iter().filter_map(|other| meet(one, other)))
                .collect();
            // Of 64 overlapping networks on each side more than 64 can meet; no list says that, so the key is stopped.
            Allowed::only(met.into_iter().collect()).ok()
        }
    }
}

fn end_role(role: &mut Role, present: Present<'_>, endings: &mut BTreeSet<Ending>) {
    let (allowed, ending) = match present {
        Present::There(Record::Role(present)) => (present.scopes.clone(), Ending::Narrowed),
        Present::Gone => (ScopeSet::default(), Ending::Gone),
        Present::There(_) | Present::Tampered => (ScopeSet::default(), Ending::Tampered),
    };
    if allowed.lacks(&role.scopes).is_some() {
        role.scopes = role.scopes.meet(&allowed);
        endings.insert(ending);
    }
}

/// An owner or project, no better off than it is in the present data.
fn end_holder(mut record: Record, present: Present<'_>, now: Moment, endings: &mut BTreeSet<Ending>) -> Record {
    let suspended = match present {
        // Keyholt's own project cannot be suspended: nobody could lift it.
        _ if matches!(&record, Record::Project(project) if project.is_system()) => return record,
        Present::Gone => Some((Standing::Suspended { since: now }, Ending::Gone)),
        Present::Tampered => Some((Standing::Suspended { since: now }, Ending::Tampered)),
        Present::There(present) => match standing(present) {
            None => Some((Standing::Suspended { since: now }, Ending::Tampered)),
            Some(Standing::Good) => None,
            Some(suspended) => Some((suspended, Ending::Suspended)),
        },
    };
    if let Some((since, ending)) = suspended
        && standing(&record).is_some_and(Standing::is_good)
    {
        record = with_standing(record, since);
        endings.insert(ending);
    }
    let narrowed = match (&mut record, present) {
        (Record::User(user), Present::There(Record::User(present))) => keep(&mut user.roles, &present.roles),
        (Record::Service(service), Present::There(Record::Service(present))) => {
            keep(&mut service.roles, &present.roles)
        }
        (Record::Team(team), Present::There(Record::Team(present))) => {
            let roles = keep(&mut team.roles, &present.roles);
            keep_members(team, present) || roles
        }
        _ => false,
    };
    if narrowed {
        endings.insert(Ending::Narrowed);
    }
    record
}

/// Keeps what both have, and tells whether something went.
fn keep<T: Ord>(mine: &mut BTreeSet<T>, theirs: &BTreeSet<T>) -> bool {
    let before = mine.len();
    mine.retain(|one| theirs.contains(one));
    mine.len() < before
}

fn keep_members(team: &mut Team, present: &Team) -> bool {
    let before = team.members.clone();
    team.members.retain_mut(|Member { user, right }| {
        let there = present.members.iter().find(|member| member.user == *user);
        if there.is_some_and(|member| member.right == MemberRight::Belong) {
            *right = MemberRight::Belong;
        }
        there.is_some()
    });
    team.members != before
}

/// The verb that the audit trail knows for the hardest of these endings.
/// A signing key that was withdrawn after the backup, or of which nobody knows, signs nothing any more: it may be in wrong
/// hands, and a new one costs nothing.
fn end_signing_key(key: &mut SigningKey, present: Present<'_>, now: Moment, endings: &mut BTreeSet<Ending>) {
    let ending = match present {
        Present::There(Record::SigningKey(present)) if present.withdrawn_at.is_none() => return,
        Present::There(_) => Ending::Revoked,
        Present::Gone => Ending::Gone,
        Present::Tampered => Ending::Tampered,
    };
    if key.withdrawn_at.is_none() {
        key.withdrawn_at = Some(now);
        key.sealed = String::new();
        endings.insert(ending);
    }
}

fn verb(noun: Noun, endings: &BTreeSet<Ending>) -> &'static str {
    match (noun, endings.first()) {
        (Noun::SigningKey, _) => "withdraw",
        (Noun::Key, Some(Ending::Revoked | Ending::Gone)) => "revoke",
        (Noun::Key, Some(Ending::Rotated)) => "rotate",
        (Noun::Key, Some(Ending::Narrowed | Ending::Shortened)) => "amend",
        (Noun::Role | Noun::Password, _) | (_, Some(Ending::Narrowed)) => "change",
        _ => "suspend",
    }
}

fn replace(verb: &str, before: &Record, after: Record, cause: Option<Cause>, source: &Source, now: Moment) -> Commit {
    let after = with_revision(after, before.revision().next());
    let view = after.view();
    let change = Change::Replace {
        record: after,
        expected: before.revision(),
    };
    by_itself(verb, before, Some(view), change, cause, source, now)
}

fn by_itself(
    verb: &str,
    before: &Record,
    after: Option<serde_json::Value>,
    change: Change,
    cause: Option<Cause>,
    source: &Source,
    now: Moment,
) -> Commit {
    let event = Event {
        project: match before {
            // A change to a project itself is part of that project's story.
            Record::Project(project) => project.id,
            record => record.project(),
        },
        at: now,
        action: format!("{}.{verb}", before.noun().as_str()),
        outcome: Outcome::Done,
        actor: None,
        target: Target {
            noun: before.noun(),
            id: Some(before.id()),
        },
        owner: before.owner(),
        cause,
        source: source.clone(),
        before: Some(before.view()),
        after,
    };
    Commit::by_itself(event, vec![change])
}
