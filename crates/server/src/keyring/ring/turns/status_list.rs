//! What the status list of a project says of its tokens, by what turned for the worse lately.

use std::collections::{HashMap, VecDeque};
use std::sync::PoisonError;

use keyholt_core::denial::{Denial, DenialCode as Code};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::owner::Standing;
use keyholt_core::time::Moment;
use keyholt_core::token::{Epoch, Status, StatusIndex, StatusList};
use keyholt_core::verify::standing;
use uuid::Uuid;

use super::{Turn, Whom};
use crate::keyring::ring::{BESIDE, Keyring, REVOKED, SUSPENDED, TAMPERED};
use crate::keyring::rows::Row;

/// Keys whose look-ups wait for memory together.
const TOGETHER: usize = 16;

impl Keyring {
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

fn said_of(denial: &Denial) -> Status {
    match denial.code() {
        Code::Suspended | Code::OwnerSuspended | Code::ProjectSuspended => Status::Suspended,
        _ => Status::Invalid,
    }
}
