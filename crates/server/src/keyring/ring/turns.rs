//! What turned for the worse lately: what a status list is made from.
//!
//! A token that is older than [`TURNS_KEPT`] is dead, so nothing older matters: this is a short memory and not an index. It
//! holds every change of a key that moves its epoch, and of whom it belongs to; those that took something away say so.

mod status_list;

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;

use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::owner::Standing;
use keyholt_core::signing::KEPT_AFTER;
use keyholt_core::time::{Moment, Span};
use keyholt_core::token::{Epoch, RevokedToken, Status};
use uuid::Uuid;

use super::{Found, KIND, Keyring, REVOKED, SUSPENDED, TAMPERED};
use crate::keyring::holders::{OwnerEntry, Presence};
use crate::keyring::rows::Row;

/// How long a change is remembered: nothing that was signed before it is believed after that.
pub const TURNS_KEPT: Span = KEPT_AFTER;
/// Changes that are remembered. Where there were more, lists say to ask about everything until they are over.
pub const TURNS_MAX: usize = 1 << 18;

/// The kind bits of a session.
const SESSION: u32 = 3;

/// All changes of the last hour or so, oldest first.
#[derive(Default)]
pub struct Turns {
    entries: VecDeque<Turn>,
    /// How many of the last ones have no date yet.
    undated: usize,
    /// Until when nothing can be said, because more changed than is remembered.
    blind_until: Option<Moment>,
    overflown: bool,
}

/// One change.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    whom: Whom,
    /// How many changes there had been before it; `None` where that is not known any more.
    before: Option<u32>,
    worse: Option<Worse>,
    /// When it is forgotten.
    until: Moment,
}

/// What changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whom {
    /// A key, of the owner with this number.
    Key { id: u128, owner: u32 },
    /// The owner with this number, and so all its keys.
    Owner(u32),
}

/// What it took away from tokens that were there before.
#[derive(Clone, Copy, Debug)]
struct Worse {
    /// What is said of them while their key is good.
    then: Status,
    from: Moment,
    to: Moment,
    /// It took nothing away if this was over already.
    unless_over: Moment,
}

const EVER: Moment = Moment::from_ms(i64::MAX);
const EVER_SINCE: Moment = Moment::from_ms(i64::MIN);

impl Worse {
    const fn at_once(then: Status) -> Self {
        Self {
            then,
            from: EVER_SINCE,
            to: EVER,
            unless_over: EVER,
        }
    }

    fn is_on(&self, now: Moment) -> bool {
        self.from <= now && now < self.to
    }
}

impl Turns {
    fn note(&mut self, whom: Whom, before: Option<u32>, worse: Option<Worse>) {
        if self.entries.len() >= TURNS_MAX {
            self.overflown = true;
            return;
        }
        self.undated += 1;
        self.entries.push_back(Turn {
            whom,
            before,
            worse,
            until: EVER,
        });
    }

    /// Dates what came since the last time, and forgets what is over.
    fn date(&mut self, now: Moment) {
        let dated = self.entries.len() - self.undated;
        for turn in self.entries.iter_mut().skip(dated) {
            turn.until = now.plus(TURNS_KEPT);
            turn.worse = turn.worse.filter(|worse| now < worse.unless_over);
        }
        self.undated = 0;
        if std::mem::take(&mut self.overflown) {
            self.blind_until = Some(now.plus(TURNS_KEPT));
        }
        while self.entries.front().is_some_and(|turn| turn.until <= now) {
            self.entries.pop_front();
        }
        self.blind_until = self.blind_until.filter(|until| now < *until);
    }
}

impl Keyring {
    /// The epoch of a found key: what is made from it now names it as the key is now.
    ///
    /// Ask before judging: a key that changes between the two is then taken for the older one, and its token for worse.
    pub fn epoch(&self, found: &Found) -> Epoch {
        let owner = self.owners.get(found.row.owner).map_or(0, |owner| owner.load().changes);
        Epoch::after(self.changes_of(&found.row).wrapping_add(owner))
    }

    /// How often a key could have changed for its tokens. A session changes with every refresh, which is nothing to them.
    fn changes_of(&self, row: &Row) -> u32 {
        let own = if row.flags & KIND == SESSION { 0 } else { row.revision };
        own.wrapping_add(self.recalls_of(row.key))
    }

    fn recalls_of(&self, key: u128) -> u32 {
        self.recalls.pin().get(&key).copied().unwrap_or(0)
    }

    fn turns(&self) -> std::sync::MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Dates what changed, and forgets what is over. To be called every minute or so.
    pub fn date_turns(&self, now: Moment) {
        self.turns().date(now);
    }

    /// Takes note of what replaces a row. `retiring` are the rows of the secret in its grace, before and after.
    pub(super) fn turn_of_key(&self, old: &Row, new: &Row, retiring: [Option<Row>; 2]) {
        let whom = Whom::Key {
            id: old.key,
            owner: old.owner,
        };
        let before = self.changes_of(old);
        let is_session = new.flags & KIND == SESSION;
        let mut turns = self.turns();
        let mut harmless = true;
        let mut worse = |worse| {
            turns.note(whom, Some(before), Some(worse));
            harmless = false;
        };
        if self.is_less(old, new) {
            worse(Worse::at_once(Status::Ask));
        }
        if !is_session && old.digest != new.digest {
            // The secret that the tokens were made with ends, now or with its grace.
            let kept = retiring[1].filter(|row| row.digest == old.digest);
            worse(Worse {
                from: kept.map_or(EVER_SINCE, |row| Moment::from_ms(row.expires)),
                ..Worse::at_once(Status::Invalid)
            });
        }
        if !is_session && let Some(retired) = retiring[0] {
            let kept = retiring[1].filter(|row| row.digest == retired.digest && row.expires >= retired.expires);
            if kept.is_none() {
                // The grace of an older secret is cut short.
                worse(Worse {
                    unless_over: Moment::from_ms(retired.expires),
                    ..Worse::at_once(Status::Ask)
                });
            }
        }
        if new.expires < old.expires {
            worse(Worse {
                from: Moment::from_ms(new.expires),
                ..Worse::at_once(Status::Invalid)
            });
        }
        if harmless && !is_session {
            turns.note(whom, Some(before), None);
        }
    }

    fn is_less(&self, old: &Row, new: &Row) -> bool {
        let stops = |row: &Row| row.flags & (SUSPENDED | REVOKED | TAMPERED);
        let narrower = || match (self.accesses.value(old.access), self.accesses.value(new.access)) {
            (Some(old), Some(new)) => !new.includes(old),
            _ => true,
        };
        stops(new) & !stops(old) != 0
            || old.bounds != new.bounds
            || old.owner != new.owner
            || old.access != new.access && narrower()
    }

    /// Takes note that a key goes.
    pub(super) fn turn_of_gone(&self, row: &Row) {
        if row.flags & REVOKED != 0 {
            return;
        }
        let whom = Whom::Key {
            id: row.key,
            owner: row.owner,
        };
        let worse = Worse {
            unless_over: Moment::from_ms(row.expires),
            ..Worse::at_once(Status::Invalid)
        };
        self.turns().note(whom, Some(self.changes_of(row)), Some(worse));
    }

    /// Takes note of what replaces an owner.
    pub(super) fn turn_of_owner(&self, number: u32, old: &OwnerEntry, new: &OwnerEntry) {
        if old.presence == Presence::Missing {
            return;
        }
        let less = new.presence == Presence::Missing
            || matches!(
                (old.standing, new.standing),
                (Standing::Good, Standing::Suspended { .. })
            )
            || new.permissions.lacks(&old.permissions).is_some();
        if less || old.changes != new.changes {
            let worse = less.then_some(Worse::at_once(Status::Ask));
            self.turns().note(Whom::Owner(number), Some(old.changes), worse);
        }
    }

    /// Takes note that a token was recalled, or that a recalled one is over.
    pub(super) fn turn_of_token(&self, token: &RevokedToken, comes: Comes) {
        let key = token.parent.uuid().as_u128();
        let row = self.number_of(token.parent).and_then(|number| self.rows.read(number));
        let before = row.as_ref().map(|row| self.changes_of(row));
        let recalls = self.recalls.pin();
        match comes {
            Comes::In => recalls.update_or_insert(key, |count| count.saturating_add(1), 1),
            Comes::Out => {
                recalls.compute(key, |entry| match entry {
                    Some((_, count)) if *count > 1 => papaya::Operation::Insert(count - 1),
                    Some(_) => papaya::Operation::Remove,
                    None => papaya::Operation::Abort(()),
                });
                &0
            }
        };
        if let (Some(row), Some(before)) = (row, before) {
            let worse = (comes == Comes::In).then_some(Worse {
                to: token.expires_at,
                ..Worse::at_once(Status::Ask)
            });
            let whom = Whom::Key {
                id: key,
                owner: row.owner,
            };
            self.turns().note(whom, Some(before), worse);
        }
    }

    /// Forgets what was noted while everything was read, and takes in what is known of the time before.
    pub fn begin_turns(&self, past: &[Past], now: Moment) {
        let mut noted = Vec::new();
        let mut seen: HashMap<Uuid, u32> = HashMap::new();
        for past in past.iter().rev().filter(|past| past.until() > now) {
            let later = seen.entry(past.id()).or_default();
            *later += 1;
            noted.extend(self.remembered(past, *later));
        }
        let mut turns = self.turns();
        *turns = Turns::default();
        turns.entries.extend(noted.into_iter().rev());
    }

    /// Says to ask about everything until all that is about now is over: too much of the past is not known.
    pub fn begin_blind(&self, now: Moment) {
        self.turns().blind_until = Some(now.plus(TURNS_KEPT));
    }

    /// What is noted of a change that happened before the start; it was the `later`-th last one of its record.
    fn remembered(&self, past: &Past, later: u32) -> Vec<Turn> {
        let ask = Some(Worse::at_once(Status::Ask));
        let turn = |whom, before, worse| Turn {
            whom,
            before,
            worse,
            until: past.until(),
        };
        match *past {
            Past::Key { id, project, .. } => match self.number_of(id).and_then(|number| self.rows.read(number)) {
                Some(row) if row.flags & KIND == SESSION => {
                    let over = row.flags & (REVOKED | SUSPENDED | TAMPERED) != 0;
                    let whom = Whom::Key {
                        id: row.key,
                        owner: row.owner,
                    };
                    over.then(|| turn(whom, None, ask)).into_iter().collect()
                }
                // Its first revision took nothing away from anybody.
                Some(row) if row.revision <= later => Vec::new(),
                Some(row) => {
                    let known = self.recalls_of(row.key) == 0;
                    let before = known.then(|| row.revision - later);
                    vec![turn(
                        Whom::Key {
                            id: row.key,
                            owner: row.owner,
                        },
                        before,
                        ask,
                    )]
                }
                None => {
                    let somebody = self.somebody_of(project);
                    let whom = |owner| Whom::Key {
                        id: id.uuid().as_u128(),
                        owner,
                    };
                    somebody.map(|owner| turn(whom(owner), None, ask)).into_iter().collect()
                }
            },
            Past::Owner { owner, .. } => {
                let number = self.owner_numbers.pin().get(&owner).copied();
                number
                    .map(|number| turn(Whom::Owner(number), None, ask))
                    .into_iter()
                    .collect()
            }
            Past::Recall { parent, to, .. } => {
                let row = self.number_of(parent).and_then(|number| self.rows.read(number));
                let worse = Worse {
                    to,
                    ..Worse::at_once(Status::Ask)
                };
                let whom = |row: Row| Whom::Key {
                    id: row.key,
                    owner: row.owner,
                };
                row.map(|row| turn(whom(row), None, Some(worse))).into_iter().collect()
            }
        }
    }

    /// Any owner of a project, to stand for the owner of a key that is gone.
    fn somebody_of(&self, project: ProjectId) -> Option<u32> {
        let mut owners = self.owners.iter();
        owners
            .find(|(_, owner)| owner.load().project.id == project)
            .map(|(number, _)| number)
    }
}

/// Whether a recalled token comes or goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comes {
    /// It was recalled.
    In,
    /// It is over.
    Out,
}

/// A change from before the start, as the store tells of it.
#[derive(Clone, Copy, Debug)]
pub enum Past {
    /// Of a key.
    Key {
        /// Which.
        id: KeyId,
        /// Its project.
        project: ProjectId,
        /// When.
        at: Moment,
    },
    /// Of an owner, or of what it may do.
    Owner {
        /// Who.
        owner: keyholt_core::owner::Owner,
        /// When.
        at: Moment,
    },
    /// A token was recalled.
    Recall {
        /// Its key.
        parent: KeyId,
        /// When it is dead anyway.
        to: Moment,
        /// When it was recalled.
        at: Moment,
    },
}

impl Past {
    fn until(&self) -> Moment {
        match self {
            Self::Key { at, .. } | Self::Owner { at, .. } | Self::Recall { at, .. } => at.plus(TURNS_KEPT),
        }
    }

    fn id(&self) -> Uuid {
        match self {
            Self::Key { id, .. } => id.uuid(),
            Self::Owner { owner, .. } => owner.uuid(),
            // A recall is not counted among the changes of its key.
            Self::Recall { .. } => Uuid::nil(),
        }
    }
}
