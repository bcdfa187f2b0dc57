//! The reference meaning of a store: plain maps behind one lock.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use keyholt_core::audit::Noun;
use keyholt_core::bond::Bond;
use keyholt_core::commit::{Change, Guard, Record, Replay};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{Key, Kind, State as KeyState};
use keyholt_core::owner::Owner;
use keyholt_core::seal::Seal;
use keyholt_core::text::RequestKey;
use keyholt_core::time::Moment;
use uuid::Uuid;

use crate::dump::DumpLine;
use crate::{
    CommitError, EventNumber, EventQuery, FeedEntry, KeyQuery, LastUse, Limit, Loaded, NumberedEvent, Page,
    RecordQuery, Row, Sharing, Store, StoreError, StoredRecord, TimeKept, Touched, USAGE_HOURS_MAX, USAGE_KEPT, Usage,
    UsageDelta, UseOutcome, Write,
};

mod fill;
mod find;

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a test's own failed assertion; what it left is whole, for every commit undoes itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type RecordAt = (ProjectId, Noun, Uuid);

#[derive(Clone, Debug, Default)]
struct State {
    records: BTreeMap<RecordAt, Named>,
    keys: BTreeMap<KeyId, (Key, Seal)>,
    /// Which key a digest belongs to: kept beside the keys, because asking each of them is slow with many.
    digests: BTreeMap<[u8; 32], KeyId>,
    /// How many keys an owner has that are not revoked; kept beside for the same reason.
    live: BTreeMap<(ProjectId, Owner), u32>,
    /// The event with number n stands at n - 1.
    events: Vec<(NumberedEvent, Vec<Touched>)>,
    replays: BTreeMap<(KeyId, RequestKey), Replay>,
    last_uses: BTreeMap<KeyId, LastUse>,
    hours: BTreeMap<(KeyId, i64, UseOutcome), u64>,
    bond: Option<Bond>,
    latest_time: Option<Moment>,
    /// Events up to this one tell no time any more.
    time_anew_after: usize,
    filling: Option<u64>,
}

#[derive(Clone, Debug)]
struct Named {
    handle: String,
    record: StoredRecord,
}

/// What was there before a change, so that a commit that fails half-way leaves nothing behind.
enum Undo {
    Record(RecordAt, Option<Named>),
    Key(KeyId, Box<Option<(Key, Seal)>>),
    Uses(KeyId, Option<LastUse>, Vec<(i64, UseOutcome, u64)>),
    Replay((KeyId, RequestKey)),
    Event,
}

impl State {
    fn write(&mut self, write: &Write, undo: &mut Vec<Undo>) -> Result<EventNumber, CommitError> {
        let commit = write.commit();
        if let Some(replay) = commit.replay() {
            let asked = (replay.actor, replay.request.clone());
            if self.replays.contains_key(&asked) {
                return Err(CommitError::ReplayTaken);
            }
            self.replays.insert(asked.clone(), replay.clone());
            undo.push(Undo::Replay(asked));
        }
        for (change, row) in write.rows() {
            self.change(change, row, undo)?;
        }
        if let Some(Guard::KeysPerOwner { project, owner, most }) = commit.guard()
            && self.live.get(&(*project, *owner)).is_some_and(|live| live > most)
        {
            return Err(CommitError::TooManyKeys);
        }
        let has_ended = |maker| self.keys.get(&maker).is_none_or(|(key, _)| is_revoked(key));
        if commit.maker().is_some_and(has_ended) {
            return Err(CommitError::MakerEnded);
        }
        let number = EventNumber(self.events.len() as u64 + 1);
        let event = commit.event().clone();
        self.events.push((NumberedEvent { number, event }, write.touched()));
        undo.push(Undo::Event);
        Ok(number)
    }

    fn change(&mut self, change: &Change, row: &Row, undo: &mut Vec<Undo>) -> Result<(), CommitError> {
        match change.record() {
            Record::Key(key) => self.change_key(change, key, row, undo),
            record => self.change_record(change, record, row, undo),
        }
    }

    fn change_record(
        &mut self,
        change: &Change,
        record: &Record,
        row: &Row,
        undo: &mut Vec<Undo>,
    ) -> Result<(), CommitError> {
        let (project, noun) = (record.project(), record.noun());
        let at = (project, noun, record.id());
        let handle = record.stored_handle().into_owned();
        let before = self.records.get(&at).map(|named| named.record.revision);
        let as_expected = match change {
            Change::Insert(_) => before.is_none(),
            Change::Replace { expected, .. } => before == Some(*expected),
            Change::Remove { record } => before == Some(record.revision()),
        };
        if !as_expected {
            return Err(CommitError::Stale { noun });
        }
        let after = if let Change::Remove { .. } = change {
            None
        } else {
            let taken = self
                .records
                .range((project, noun, Uuid::nil())..=(project, noun, Uuid::max()))
                .any(|(other, named)| *other != at && named.handle == handle);
            if taken {
                return Err(CommitError::HandleTaken { noun });
            }
            Some(Named {
                handle,
                record: StoredRecord {
                    project,
                    noun,
                    id: record.id(),
                    revision: record.revision(),
                    body: row.body.clone(),
                    seal: row.seal,
                },
            })
        };
        let before = self.put_record(at, after);
        undo.push(Undo::Record(at, before));
        Ok(())
    }

    fn change_key(&mut self, change: &Change, key: &Key, row: &Row, undo: &mut Vec<Undo>) -> Result<(), CommitError> {
        let before = self.keys.get(&key.id).map(|(before, _)| before);
        let as_expected = match change {
            Change::Insert(_) => before.is_none(),
            Change::Replace { expected, .. } => {
                before.is_some_and(|before| before.project == key.project && before.revision == *expected)
            }
            Change::Remove { .. } => {
                before.is_some_and(|before| before.project == key.project && before.revision == key.revision)
            }
        };
        if !as_expected {
            return Err(CommitError::Stale { noun: Noun::Key });
        }
        if let Change::Remove { .. } = change {
            let before = self.put_key(key.id, None);
            undo.push(Undo::Key(key.id, Box::new(before)));
            let uses = self.put_uses(key.id, None, Vec::new());
            undo.push(Undo::Uses(key.id, uses.0, uses.1));
            return Ok(());
        }
        let digests = digests(key);
        let twice = matches!(digests.as_slice(), [one, other] if one == other);
        let taken = |digest| self.digests.get(digest).is_some_and(|holder| *holder != key.id);
        if twice || digests.iter().any(taken) {
            return Err(CommitError::SecretTaken);
        }
        if is_live_static(key) {
            let rival = |other: &Key| {
                other.id != key.id && is_live_static(other) && (other.project, other.owner) == (key.project, key.owner)
            };
            if self.keys.values().any(|(other, _)| rival(other)) {
                return Err(CommitError::StaticTaken);
            }
        }
        let before = self.put_key(key.id, Some((key.clone(), row.seal)));
        undo.push(Undo::Key(key.id, Box::new(before)));
        Ok(())
    }

    fn undo(&mut self, done: Vec<Undo>) {
        for step in done.into_iter().rev() {
            match step {
                Undo::Record(at, before) => drop(self.put_record(at, before)),
                Undo::Key(id, before) => drop(self.put_key(id, *before)),
                Undo::Uses(id, last, hours) => drop(self.put_uses(id, last, hours)),
                Undo::Replay(asked) => drop(self.replays.remove(&asked)),
                Undo::Event => drop(self.events.pop()),
            }
        }
    }

    fn put_record(&mut self, at: RecordAt, record: Option<Named>) -> Option<Named> {
        match record {
            Some(record) => self.records.insert(at, record),
            None => self.records.remove(&at),
        }
    }

    fn put_key(&mut self, id: KeyId, key: Option<(Key, Seal)>) -> Option<(Key, Seal)> {
        let before = self.keys.remove(&id);
        if let Some((before, _)) = &before {
            for digest in digests(before) {
                self.digests.remove(&digest);
            }
            if is_counted(before)
                && let Some(live) = self.live.get_mut(&(before.project, before.owner))
            {
                *live -= 1;
            }
        }
        if let Some((key, seal)) = key {
            for digest in digests(&key) {
                self.digests.insert(digest, id);
            }
            if is_counted(&key) {
                *self.live.entry((key.project, key.owner)).or_default() += 1;
            }
            self.keys.insert(id, (key, seal));
        }
        before
    }

    fn put_uses(
        &mut self,
        id: KeyId,
        last: Option<LastUse>,
        hours: Vec<(i64, UseOutcome, u64)>,
    ) -> (Option<LastUse>, Vec<(i64, UseOutcome, u64)>) {
        let before = self.last_uses.remove(&id);
        self.last_uses.extend(last.map(|last| (id, last)));
        let hours_before = self.hours_of(id, i64::MIN, i64::MAX);
        self.hours.retain(|(key, _, _), _| *key != id);
        self.hours.extend(
            hours
                .into_iter()
                .map(|(hour, outcome, count)| ((id, hour, outcome), count)),
        );
        (before, hours_before)
    }

    fn hours_of(&self, id: KeyId, from: i64, to: i64) -> Vec<(i64, UseOutcome, u64)> {
        let first = (id, from, UseOutcome::ALL[0]);
        self.hours
            .range(first..)
            .take_while(|((key, hour, _), _)| *key == id && *hour < to)
            .map(|((_, hour, outcome), count)| (*hour, *outcome, *count))
            .collect()
    }

    fn use_key(&mut self, delta: &UsageDelta) {
        if !self.keys.contains_key(&delta.key) {
            return;
        }
        *self.hours.entry((delta.key, delta.hour, delta.outcome)).or_default() += delta.count;
        if delta.outcome.is_granted() {
            let this = LastUse {
                first_at: delta.first_at,
                last_at: delta.at,
                address: delta.address,
            };
            let last = self.last_uses.entry(delta.key).or_insert(this);
            last.first_at = last.first_at.min(delta.first_at);
            if delta.at >= last.last_at {
                last.last_at = delta.at;
                last.address = delta.address;
            }
        }
    }

    fn head(&self) -> EventNumber {
        EventNumber(self.events.len() as u64)
    }
}

fn digests(key: &Key) -> Vec<[u8; 32]> {
    let beside = key.credentials.beside().map(|digest| *digest.as_bytes());
    std::iter::once(*key.credentials.current().as_bytes())
        .chain(beside)
        .collect()
}

fn is_revoked(key: &Key) -> bool {
    matches!(key.state, KeyState::Revoked { .. })
}

/// Whether a key counts against its owner's limit: sessions have one of their own.
fn is_counted(key: &Key) -> bool {
    !is_revoked(key) && key.kind != Kind::Session
}

fn is_live_static(key: &Key) -> bool {
    key.kind == Kind::Static && !is_revoked(key)
}

#[async_trait]
impl Store for Memory {
    async fn commit(&self, writes: Vec<Write>) -> Result<Vec<EventNumber>, CommitError> {
        let mut state = self.state();
        let mut undo = Vec::new();
        let numbers: Result<Vec<EventNumber>, CommitError> =
            writes.iter().map(|write| state.write(write, &mut undo)).collect();
        if numbers.is_err() {
            state.undo(undo);
        }
        numbers
    }

    async fn load(&self, each: &mut (dyn for<'a> FnMut(Loaded<'a>) + Send)) -> Result<EventNumber, StoreError> {
        let state = self.state();
        for noun in Noun::ALL.into_iter().filter(|noun| noun.is_judged_by()) {
            for named in state.records.values().filter(|named| named.record.noun == noun) {
                each(Loaded::Record(named.record.clone()));
            }
        }
        for (key, seal) in state.keys.values() {
            each(Loaded::Key(key.row(&key.at_rest()), *seal));
        }
        Ok(state.head())
    }

    async fn feed(&self, after: EventNumber, limit: Limit) -> Result<Vec<FeedEntry>, StoreError> {
        let entries = self
            .state()
            .events
            .iter()
            .filter(|(event, _)| event.number > after)
            .map(|(event, touched)| FeedEntry {
                number: event.number,
                at: event.event.at,
                touched: touched.clone(),
            })
            .take(limit.entries())
            .collect();
        Ok(entries)
    }

    async fn record(&self, project: ProjectId, noun: Noun, id: Uuid) -> Result<Option<StoredRecord>, StoreError> {
        let state = self.state();
        Ok(state
            .records
            .get(&(project, noun, id))
            .map(|named| named.record.clone()))
    }

    async fn record_by_handle(
        &self,
        project: ProjectId,
        noun: Noun,
        handle: &str,
    ) -> Result<Option<StoredRecord>, StoreError> {
        let state = self.state();
        let mut of_kind = state
            .records
            .values()
            .filter(|named| (named.record.project, named.record.noun) == (project, noun));
        Ok(of_kind
            .find(|named| named.handle == handle)
            .map(|named| named.record.clone()))
    }

    async fn records(
        &self,
        project: ProjectId,
        noun: Noun,
        query: &RecordQuery,
    ) -> Result<Page<StoredRecord>, StoreError> {
        Ok(self.state().find_records(project, noun, query))
    }

    async fn key(&self, project: ProjectId, id: KeyId) -> Result<Option<(Key, Seal)>, StoreError> {
        let state = self.state();
        Ok(state.keys.get(&id).filter(|(key, _)| key.project == project).cloned())
    }

    async fn keys(&self, project: ProjectId, query: &KeyQuery) -> Result<Page<(Key, Seal)>, StoreError> {
        Ok(self.state().find_keys(project, query))
    }

    async fn events(&self, project: ProjectId, query: &EventQuery) -> Result<Page<NumberedEvent>, StoreError> {
        Ok(self.state().find_events(project, query))
    }

    async fn replay(&self, actor: KeyId, request: &RequestKey) -> Result<Option<Replay>, StoreError> {
        Ok(self.state().replays.get(&(actor, request.clone())).cloned())
    }

    async fn note_usage(&self, usage: &[UsageDelta]) -> Result<(), StoreError> {
        let mut state = self.state();
        usage.iter().for_each(|delta| state.use_key(delta));
        Ok(())
    }

    async fn usage(&self, project: ProjectId, key: KeyId, from_hour: i64, to_hour: i64) -> Result<Usage, StoreError> {
        let state = self.state();
        if state.keys.get(&key).is_none_or(|(key, _)| key.project != project) {
            return Ok(Usage::default());
        }
        let to_hour = to_hour.min(from_hour.saturating_add(USAGE_HOURS_MAX));
        Ok(Usage {
            last: state.last_uses.get(&key).copied(),
            hours: state.hours_of(key, from_hour, to_hour),
        })
    }

    async fn last_uses(&self, keys: &[KeyId]) -> Result<Vec<(KeyId, LastUse)>, StoreError> {
        let state = self.state();
        Ok(keys
            .iter()
            .filter_map(|key| state.last_uses.get(key).map(|last| (*key, *last)))
            .collect())
    }

    async fn forget_before(&self, moment: Moment) -> Result<(), StoreError> {
        let mut state = self.state();
        state.replays.retain(|_, replay| replay.at >= moment);
        let first_hour = moment.minus(USAGE_KEPT).hour();
        state.hours.retain(|(_, hour, _), _| *hour >= first_hour);
        Ok(())
    }

    async fn keep_time(&self, reached: Moment, kept: TimeKept) -> Result<(), StoreError> {
        let mut state = self.state();
        match kept {
            TimeKept::Onward => state.latest_time = state.latest_time.max(Some(reached)),
            TimeKept::Anew => (state.latest_time, state.time_anew_after) = (Some(reached), state.events.len()),
        }
        Ok(())
    }

    async fn latest_time(&self) -> Result<Option<Moment>, StoreError> {
        let state = self.state();
        let last = state
            .events
            .iter()
            .skip(state.time_anew_after)
            .next_back()
            .map(|(numbered, _)| numbered.event.at);
        Ok(state.latest_time.max(last))
    }

    async fn bond(&self) -> Result<Option<Bond>, StoreError> {
        let state = self.state();
        if state.filling.is_some() {
            return Err(StoreError::HalfFilled);
        }
        Ok(state.bond)
    }

    async fn rebind(&self, expected: Option<Bond>, bond: Bond) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.filling.is_some() {
            return Err(StoreError::HalfFilled);
        }
        let is_expected = state.bond == expected;
        if is_expected {
            state.bond = Some(bond);
        }
        Ok(is_expected)
    }

    async fn dump(&self, each: &mut (dyn FnMut(DumpLine) + Send)) -> Result<EventNumber, StoreError> {
        let state = self.state();
        if state.filling.is_some() {
            return Err(StoreError::HalfFilled);
        }
        state.dump(each);
        Ok(state.head())
    }

    async fn fill(&self, lines: Vec<DumpLine>) -> Result<(), StoreError> {
        self.state().fill(lines)
    }

    fn sharing(&self) -> Sharing {
        Sharing::Alone
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::Memory;

    async fn empty() -> (Memory, ()) {
        (Memory::new(), ())
    }

    crate::contract!(contract, empty());
}
