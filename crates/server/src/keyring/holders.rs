//! Whom keys hang on: what judging needs to know of owners and projects.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use keyholt_core::authority::Authority;
use keyholt_core::commit::Record;
use keyholt_core::id::{ProjectId, TeamId};
use keyholt_core::owner::{Owner, Standing};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::time::Moment;

/// What judging needs to know of an owner.
pub struct OwnerEntry {
    /// Who.
    pub owner: Owner,
    /// How people name the owner.
    pub handle: Box<str>,
    /// How often its record or one of its roles was changed, as far as that can be told from what they are now.
    pub changes: u32,
    /// What the owner may do now.
    pub permissions: Arc<ScopeSet>,
    /// Whether the owner's keys work.
    pub standing: Standing,
    /// Whether the owner's record was found and is as Keyholt wrote it.
    pub presence: Presence,
    /// The teams whose keys the owner may manage: one word in the many that manage none.
    pub(super) manages: Option<Arc<Vec<TeamId>>>,
    pub(super) project: Arc<ProjectCell>,
    pub(super) within: Within,
}

impl OwnerEntry {
    /// The teams whose keys the owner may manage.
    pub fn manages(&self) -> &[TeamId] {
        self.manages.as_ref().map_or(&[], |teams| teams.as_slice())
    }

    /// The owner's project.
    pub fn project(&self) -> ProjectId {
        self.project.id
    }

    /// What a key of the owner may do; `number` is that of its interned access.
    pub(super) fn authority<'a>(&'a self, number: u32, access: &'a Access) -> Authority<'a> {
        let within = self
            .within
            .recall(number, || Authority::new(access, &self.permissions).lies_within());
        Authority::remembered(access, &self.permissions, within)
    }

    /// An owner of whom there is no record.
    pub(super) fn missing(owner: Owner, project: Arc<ProjectCell>) -> Self {
        Self {
            owner,
            handle: Box::default(),
            changes: 0,
            permissions: Arc::default(),
            standing: Standing::Good,
            presence: Presence::Missing,
            manages: None,
            project,
            within: Within::default(),
        }
    }
}

/// Which accesses lie within an owner's permissions: worked out once, because every verify of every key asks for it.
///
/// Neither of the two ever changes: an owner that may do something else has another entry, and a number stays with its access.
/// There is room for the first accesses that were interned; of the others it is worked out each time.
#[derive(Default)]
pub(super) struct Within(AtomicU64);

impl Within {
    /// Half of the bits say that an access lies within the permissions, the other half that it does not.
    const ROOM: u32 = u64::BITS / 2;

    fn recall(&self, number: u32, work_out: impl FnOnce() -> bool) -> bool {
        if number >= Self::ROOM {
            return false;
        }
        let (inside, outside) = (1 << number, 1 << (number + Self::ROOM));
        let known = self.0.load(Ordering::Relaxed);
        if known & (inside | outside) != 0 {
            return known & inside != 0;
        }
        let is_inside = work_out();
        self.0
            .fetch_or(if is_inside { inside } else { outside }, Ordering::Relaxed);
        is_inside
    }
}

/// What judging needs to know of a project.
pub(super) struct ProjectCell {
    pub id: ProjectId,
    /// Since when it is suspended, in one word, so that reading it costs nothing.
    suspended: AtomicI64,
}

impl ProjectCell {
    /// Not suspended.
    const GOOD: i64 = i64::MAX;
    /// Its record is missing or its seal is broken.
    const MISSING: i64 = i64::MIN;

    pub fn missing(id: ProjectId) -> Self {
        Self {
            id,
            suspended: AtomicI64::new(Self::MISSING),
        }
    }

    pub fn stands(&self, standing: Standing) {
        let word = match standing {
            Standing::Good => Self::GOOD,
            Standing::Suspended { since } => since.ms(),
        };
        self.suspended.store(word, Ordering::Release);
    }

    pub fn goes(&self) {
        self.suspended.store(Self::MISSING, Ordering::Release);
    }

    pub fn standing(&self) -> Option<Standing> {
        match self.suspended.load(Ordering::Acquire) {
            Self::MISSING => None,
            Self::GOOD => Some(Standing::Good),
            since => Some(Standing::Suspended {
                since: Moment::from_ms(since),
            }),
        }
    }
}

/// Whether a record was found and is as Keyholt wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It is there.
    Here,
    /// It is missing or its seal is broken: what hangs on it is not accepted.
    Missing,
}

/// Whether what hangs on a record works, as far as the record says.
pub fn standing_of(record: &Record) -> Standing {
    match record {
        Record::User(user) => user.standing,
        Record::Team(team) => team.standing,
        Record::Service(service) => service.standing,
        Record::Project(project) => project.standing,
        Record::Setup(_)
        | Record::Role(_)
        | Record::Password(_)
        | Record::SigningKey(_)
        | Record::Token(_)
        | Record::Key(_) => Standing::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_within_is_worked_out_once_for_each_of_the_first_accesses() {
        let within = Within::default();
        let never = || panic!("it was known");
        for number in 0..Within::ROOM {
            let is_inside = number % 3 == 0;
            assert_eq!(within.recall(number, || is_inside), is_inside);
            assert_eq!(within.recall(number, never), is_inside);
        }
        assert!((0..Within::ROOM).all(|number| within.recall(number, never) == (number % 3 == 0)));
    }

    #[test]
    fn of_later_accesses_nothing_is_remembered() {
        let within = Within::default();
        for number in [Within::ROOM, u64::BITS, u32::MAX] {
            assert!(!within.recall(number, || panic!("nobody may be asked")));
        }
        assert!(!within.recall(0, || false));
    }
}
