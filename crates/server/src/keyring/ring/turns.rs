//! What turned for the worse lately, and what the status list of a project therefore says.
//!
//! A token that is older than [`TURNS_KEPT`] is dead, so nothing older matters: this is a short memory and not an index. It
//! holds every change of a key that moves its epoch, and of whom it belongs to; those that took something away say so.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;

use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::owner::Standing;
use keyholt_core::signing::KEPT_AFTER;
use keyholt_core::time::{Moment, Span};
use keyholt_core::token::{Epoch, RevokedToken, Status, StatusIndex, StatusList};
use keyholt_core::verify::standing;
use uuid::Uuid;

use super::{BESIDE, Found, KIND, Keyring, REVOKED, SUSPENDED, TAMPERED};
use crate::keyring::holders::{OwnerEntry, Presence};
use crate::keyring::rows::Row;

/// How long a change is remembered: nothing that was signed before it is believed after that.
pub const TURNS_KEPT: Span = KEPT_AFTER;
/// Changes that are remembered. Where there were more, lists say to ask about everything until they are over.
pub const TURNS_MAX: usize = 1 << 18;
/// Keys whose look-ups wait for memory together.
const TOGETHER: usize = 16;

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

/// A list in the making.
struct Said<'a> {
    /// All changes of the last hour or so, oldest first.
    entries: &'a VecDeque<Turn>,
    list: StatusList,
    /// Which rows are of keys that were weighed.
    weighed: Vec<bool>,
    now: Moment,
}

impl Said<'_> {
    fn is_any_on(&self, turns: &[usize]) -> bool {
        let worse = turns.iter().filter_map(|at| self.entries.get(*at)?.worse);
        worse.into_iter().any(|worse| worse.is_on(self.now))
    }

    /// Whose a key was when it changed.
    fn owner_at(&self, turn: usize) -> u32 {
        match self.entries.get(turn).map(|turn| turn.whom) {
            Some(Whom::Key { owner, .. } | Whom::Owner(owner)) => owner,
            None => u32::MAX,
        }
    }

    fn note_weighed(&mut self, row: u32) {
        let row = row as usize;
        if row >= self.weighed.len() {
            self.weighed.resize(row + 1, false);
        }
        self.weighed[row] = true;
    }

    fn is_weighed(&self, row: u32) -> bool {
        self.weighed.get(row as usize).copied().unwrap_or_default()
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

    /// What is said now of every token of a project. `None` where there is no such project.
    pub fn status_list(&self, project: ProjectId, now: Moment) -> Option<StatusList> {
        match self.standing_of_project(project)? {
            Standing::Suspended { .. } => return Some(StatusList::all(Status::Suspended)),
            Standing::Good => {}
        }
        let (entries, blind) = {
            let mut turns = self.turns();
            turns.date(now);
            (turns.entries.clone(), turns.blind_until.is_some())
        };
        if blind {
            return Some(StatusList::all(Status::Ask));
        }
        let is_here = |number| {
            let owner = self.owners.get(number);
            owner.is_some_and(|owner| owner.load().project.id == project)
        };
        // By key, and of each the oldest first.
        let mut of_keys: Vec<(u128, usize)> = Vec::with_capacity(entries.len());
        let mut of_owners: HashMap<u32, Vec<usize>> = HashMap::new();
        for (at, turn) in entries.iter().enumerate() {
            match turn.whom {
                Whom::Key { id, owner } if is_here(owner) => of_keys.push((id, at)),
                Whom::Owner(owner) if is_here(owner) => of_owners.entry(owner).or_default().push(at),
                _ => {}
            }
        }
        of_keys.sort_unstable();
        let mut said = Said {
            entries: &entries,
            list: StatusList::default(),
            weighed: Vec::new(),
            now,
        };
        let histories: Vec<&[(u128, usize)]> = of_keys.chunk_by(|one, next| one.0 == next.0).collect();
        for together in histories.chunks(TOGETHER) {
            self.touch_keys(together.iter().filter_map(|turns| turns.first()).map(|(id, _)| *id));
            for turns in together {
                let (Some((id, _)), Some((_, last))) = (turns.first(), turns.last()) else {
                    continue;
                };
                let owner = said.owner_at(*last);
                let turns: Vec<usize> = turns.iter().map(|(_, at)| *at).collect();
                let lately = of_owners.get(&owner).map(Vec::as_slice).unwrap_or_default();
                self.weigh(&mut said, *id, owner, &turns, lately);
            }
        }
        // Every other key of an owner that has less.
        of_owners.retain(|_, turns| said.is_any_on(turns));
        if !of_owners.is_empty() {
            for (number, row) in self.own_rows() {
                if let Some(lately) = of_owners.get(&row.owner).filter(|_| !said.is_weighed(number)) {
                    self.weigh(&mut said, row.key, row.owner, &[], lately);
                }
            }
        }
        if said.list.as_bytes().iter().any(|byte| *byte != 0) {
            self.spare_the_good(&mut said, is_here);
        }
        Some(said.list)
    }

    /// Asks for the memory in which these keys are looked up, without waiting for it: the index first, then the rows.
    fn touch_keys(&self, keys: impl Iterator<Item = u128> + Clone) {
        let lines = self.by_key.now();
        let hashes = keys.map(|key| self.key_hash.of(key));
        hashes.clone().for_each(|hash| lines.touch(hash));
        for hash in hashes {
            lines.lookup(hash, |number| {
                self.rows.touch(number);
                None::<()>
            });
        }
    }

    /// Puts down what is said of the tokens of one key, for each of its epochs that a change made worse.
    fn weigh(&self, said: &mut Said<'_>, id: u128, owner: u32, turns: &[usize], of_owner_lately: &[usize]) {
        let key = KeyId::from_uuid(Uuid::from_u128(id));
        let found = self.find_key(key);
        if let Some(found) = &found {
            said.note_weighed(found.number());
        }
        if !(said.is_any_on(turns) || said.is_any_on(of_owner_lately)) {
            return;
        }
        let now = said.now;
        let dead = match &found {
            None => Some(Status::Invalid),
            Some(found) => self
                .dossier(found, |dossier, _| {
                    standing(dossier, now).map(|denial| said_of(&denial))
                })
                .unwrap_or(Some(Status::Invalid)),
        };
        let mut merged: Vec<usize> = turns.iter().chain(of_owner_lately).copied().collect();
        merged.sort_unstable();
        let mut of_key = found.as_ref().map(|found| self.changes_of(&found.row));
        let mut of_owner = self.owners.get(owner).map(|owner| owner.load().changes);
        // Nothing is said of the epoch that a dead key is in now: no token was made in it.
        let mut verdict: Option<Status> = None;
        for turn in merged.iter().rev().filter_map(|at| said.entries.get(*at)) {
            if let Some(worse) = turn.worse.filter(|worse| worse.is_on(now)) {
                let then = dead.unwrap_or(worse.then);
                verdict = Some(verdict.map_or(then, |verdict| verdict.worse(then)));
            }
            match turn.whom {
                Whom::Key { .. } => of_key = turn.before,
                Whom::Owner(_) => of_owner = turn.before,
            }
            let Some(verdict) = verdict else { continue };
            let list = &mut said.list;
            match of_key.zip(of_owner) {
                Some((one, other)) => list.say(StatusIndex::of(key, Epoch::after(one.wrapping_add(other))), verdict),
                None => Epoch::ALL
                    .into_iter()
                    .for_each(|epoch| list.say(StatusIndex::of(key, epoch), verdict)),
            }
        }
    }

    /// Nothing final is said of a place that a good key has too.
    fn spare_the_good(&self, said: &mut Said<'_>, is_here: impl Fn(u32) -> bool) {
        for (number, row) in self.own_rows() {
            let key = KeyId::from_uuid(Uuid::from_u128(row.key));
            let stops = row.flags & (SUSPENDED | REVOKED | TAMPERED) != 0 || row.expires <= said.now.ms();
            if said.list.is_clear_about(key) || stops || said.is_weighed(number) || !is_here(row.owner) {
                continue;
            }
            let owner = self.owners.get(row.owner).map_or(0, |owner| owner.load().changes);
            let epoch = Epoch::after(self.changes_of(&row).wrapping_add(owner));
            said.list.spare(StatusIndex::of(key, epoch));
        }
    }

    /// The rows that are keys' own, with their numbers.
    fn own_rows(&self) -> impl Iterator<Item = (u32, Row)> {
        let end = self.rows.writer().end();
        let rows = (0..end).filter_map(|number| Some((number, self.rows.read(number)?)));
        rows.filter(|(_, row)| row.flags & BESIDE == 0)
    }

    fn standing_of_project(&self, project: ProjectId) -> Option<Standing> {
        let state = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        state.standing_of(project)
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

fn said_of(denial: &keyholt_core::denial::Denial) -> Status {
    use keyholt_core::denial::DenialCode as Code;
    match denial.code() {
        Code::Suspended | Code::OwnerSuspended | Code::ProjectSuspended => Status::Suspended,
        _ => Status::Invalid,
    }
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
