//! Whom keys hang on: what judging needs to know of owners and projects.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use keyholt_core::commit::Record;
use keyholt_core::id::{ProjectId, TeamId};
use keyholt_core::owner::{Owner, Standing};
use keyholt_core::scope::ScopeSet;
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
        }
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
