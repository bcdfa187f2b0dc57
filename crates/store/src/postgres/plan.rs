//! From commits to statements: as few as possible for many commits together, or one after the other to see which one fails.

use std::collections::{BTreeSet, HashSet};

use keyholt_core::audit::Noun;
use keyholt_core::commit::{Guard, Replay};
use keyholt_core::owner::Owner;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::ready::{Doing, Item, KeyItem, Ready, ReadyChange, ReadyEvent, RecordItem};
use super::statements as sql;

/// Most rows that one statement changes.
const RUN_MOST: usize = 1000;

/// A value of a statement: usually a whole column.
pub(super) type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// One statement of a transaction.
pub(super) struct Step<'a> {
    pub sql: &'static str,
    pub values: Vec<Value<'a>>,
    pub expect: Expect,
}

/// What the answer to a statement must be, or the transaction is not committed.
pub(super) enum Expect {
    /// Whatever it is.
    Anything,
    /// The number of the last commit.
    Head,
    /// So many rows are touched: each was there in the revision that the change is based on.
    Exactly(u64),
    /// No row: each one found is a digest that stands in two places.
    NoRow,
    /// One row for each guard, with at most so many keys.
    AtMost(Vec<i64>),
    /// No row: each one found is a key that has ended.
    NoneEnded,
}

/// The statements of one transaction, and what each of them is about.
pub(super) struct Plan<'a> {
    pub steps: Vec<(Step<'a>, Noun)>,
}

/// How commits are put into statements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grouping {
    /// Many rows with one statement. If something stands against it, it is not known against which.
    Together,
    /// In the order of the contract, so that the first statement that fails tells what stands against which commit.
    Apart,
}

impl<'a> Plan<'a> {
    /// The statements for these commits, which become visible in this order.
    pub fn new(commits: &[&'a Ready], grouping: Grouping) -> Self {
        let mut plan = Self {
            steps: vec![(head(commits.len()), Noun::Setup)],
        };
        if grouping == Grouping::Together {
            plan.replays(commits.iter().filter_map(|commit| commit.replay.as_ref()).collect());
        }
        let mut runs = Runs::default();
        for commit in commits {
            if grouping == Grouping::Apart {
                plan.replays(commit.replay.iter().collect());
            }
            let mut last = None;
            for change in &commit.changes {
                last = Some(runs.push(change));
                if grouping == Grouping::Apart {
                    runs.seal();
                }
            }
            if let Some(guard) = &commit.guard {
                runs.guard(guard, last);
            }
            if grouping == Grouping::Apart {
                runs.empty_into(&mut plan);
                plan.makers(commit.maker.iter().copied().collect());
            }
        }
        runs.empty_into(&mut plan);
        // Nothing takes an end back: who is there when all is done was there before. Who is not is looked at again, apart.
        if grouping == Grouping::Together {
            plan.makers(commits.iter().filter_map(|commit| commit.maker).collect());
        }
        plan.events(commits);
        plan
    }

    fn push(&mut self, sql: &'static str, values: Vec<Value<'a>>, expect: Expect, noun: Noun) {
        self.steps.push((Step { sql, values, expect }, noun));
    }

    fn replays(&mut self, replays: Vec<&'a Replay>) {
        for some in replays.chunks(RUN_MOST) {
            let values: Vec<Value<'a>> = vec![
                column(some, |replay| replay.actor.uuid()),
                column(some, |replay| replay.request.as_str()),
                column(some, |replay| replay.question.as_slice()),
                column(some, |replay| replay.made),
                column(some, |replay| replay.at.ms()),
            ];
            self.push(sql::INSERT_REPLAYS, values, Expect::Anything, Noun::Key);
        }
    }

    fn makers(&mut self, makers: BTreeSet<Uuid>) {
        if !makers.is_empty() {
            let makers = owned(makers.into_iter().collect());
            self.push(sql::ENDED_KEYS, vec![makers], Expect::NoneEnded, Noun::Key);
        }
    }

    fn events(&mut self, commits: &[&'a Ready]) {
        let mut left = commits.len();
        for some in commits.chunks(RUN_MOST) {
            let events: Vec<&'a ReadyEvent> = some.iter().map(|commit| &commit.event).collect();
            let mut values: Vec<Value<'a>> = vec![Box::new(signed(left))];
            values.extend(event_columns(&events));
            self.push(sql::INSERT_EVENTS, values, Expect::Anything, Noun::Setup);
            left = left.saturating_sub(some.len());
        }
    }
}

/// How many keys an owner may have once the first `place` keys of its run are in.
struct KeyLimit {
    project: Uuid,
    owner: Owner,
    most: i64,
    place: usize,
}

/// Runs, in the order in which they will be made.
#[derive(Default)]
struct Runs<'a> {
    runs: Vec<Run<'a>>,
    /// Runs before this one take no more changes.
    open: usize,
}

impl<'a> Runs<'a> {
    /// Puts a change into a run; returns which.
    fn push(&mut self, change: &'a ReadyChange) -> usize {
        let place = self.place_for(change).unwrap_or_else(|| {
            self.runs.push(Run::new(change.doing));
            self.runs.len() - 1
        });
        if let Some(run) = self.runs.get_mut(place) {
            run.push(change);
        }
        place
    }

    /// The last run that can take this change without changing what comes of it.
    ///
    /// What is new may go before what is replaced, unless it is the same thing: a row that comes takes a handle, a secret or
    /// a place in a count and never gives one back. So what is made too early can only be refused too often, and a
    /// refusal is looked at again in the order of the contract. The other way round a conflict could go unnoticed.
    fn place_for(&self, change: &ReadyChange) -> Option<usize> {
        for (place, run) in self.runs.iter().enumerate().skip(self.open).rev() {
            if run.has_room_for(change) {
                return Some(place);
            }
            let passes =
                change.doing == Doing::Insert && run.doing == Doing::Replace && !run.ids.contains(&id_of(change));
            if !passes {
                return None;
            }
        }
        None
    }

    /// Has the limit of a guard checked at the end of the run with the last change of its commit.
    fn guard(&mut self, guard: &Guard, last: Option<usize>) {
        let Guard::KeysPerOwner { project, owner, most } = guard;
        let place = last.unwrap_or_else(|| {
            self.runs.push(Run::new(Doing::Replace));
            self.runs.len() - 1
        });
        if let Some(run) = self.runs.get_mut(place) {
            run.limits.push(KeyLimit {
                project: project.uuid(),
                owner: *owner,
                most: i64::from(*most),
                place: run.keys.len(),
            });
            // Only while keys just come, the count at the end tells what it was in between.
            if run.doing != Doing::Insert {
                self.seal();
            }
        }
    }

    /// Whatever comes next gets runs of its own.
    fn seal(&mut self) {
        self.open = self.runs.len();
    }

    fn empty_into(&mut self, plan: &mut Plan<'a>) {
        for run in std::mem::take(self).runs {
            run.steps(plan);
        }
    }
}

/// Changes of one kind that can be made with one statement for all records and a few for all keys.
struct Run<'a> {
    doing: Doing,
    records: Vec<&'a RecordItem>,
    keys: Vec<&'a KeyItem>,
    ids: HashSet<(bool, Uuid)>,
    limits: Vec<KeyLimit>,
}

impl<'a> Run<'a> {
    fn new(doing: Doing) -> Self {
        Self {
            doing,
            records: Vec::new(),
            keys: Vec::new(),
            ids: HashSet::new(),
            limits: Vec::new(),
        }
    }

    fn has_room_for(&self, change: &ReadyChange) -> bool {
        self.doing == change.doing
            && self.ids.len() < RUN_MOST
            // One statement sees a row only as it was before: a second change of it needs a second statement.
            && !self.ids.contains(&id_of(change))
    }

    fn push(&mut self, change: &'a ReadyChange) {
        self.ids.insert(id_of(change));
        match &change.item {
            Item::Record(record) => self.records.push(record),
            Item::Key(key) => self.keys.push(key),
        }
    }

    fn steps(&self, plan: &mut Plan<'a>) {
        let rows = self.records.len() as u64;
        let records = &self.records;
        if let Some(RecordItem { noun, .. }) = records.first() {
            match self.doing {
                Doing::Insert => plan.push(sql::INSERT_RECORDS, record_columns(records), Expect::Anything, *noun),
                Doing::Replace => {
                    let mut values = record_columns(records);
                    values.push(column(records, |record| record.expected));
                    plan.push(sql::REPLACE_RECORDS, values, Expect::Exactly(rows), *noun);
                }
                Doing::Remove => {
                    let values = vec![
                        column(records, |record| record.project),
                        column(records, |record| record.noun.as_str()),
                        column(records, |record| record.id),
                        column(records, |record| record.expected),
                    ];
                    plan.push(sql::REMOVE_RECORDS, values, Expect::Exactly(rows), *noun);
                }
            }
        }
        if !self.keys.is_empty() {
            change_keys(plan, self.doing, &self.keys);
        }
        if !self.limits.is_empty() {
            self.check_limits(plan);
        }
    }

    fn check_limits(&self, plan: &mut Plan<'a>) {
        let allowed: Vec<i64> = self
            .limits
            .iter()
            .map(|limit| {
                // Counted when the whole run is in: keys that came later do not count against this one.
                let later = self.keys.iter().skip(limit.place).filter(|key| {
                    key.is_counted() && key.columns.project.uuid() == limit.project && key.columns.owner == limit.owner
                });
                limit.most.saturating_add(signed(later.count()))
            })
            .collect();
        let values: Vec<Value<'a>> = vec![
            owned(self.limits.iter().map(|limit| limit.project).collect()),
            owned(self.limits.iter().map(|limit| limit.owner.kind().as_str()).collect()),
            owned(self.limits.iter().map(|limit| limit.owner.uuid()).collect()),
        ];
        plan.push(sql::LIVE_KEYS, values, Expect::AtMost(allowed), Noun::Key);
    }
}

fn id_of(change: &ReadyChange) -> (bool, Uuid) {
    match &change.item {
        Item::Record(record) => (false, record.id),
        Item::Key(key) => (true, key.columns.id.uuid()),
    }
}

fn change_keys<'a>(plan: &mut Plan<'a>, doing: Doing, keys: &[&'a KeyItem]) {
    // What is kept beside the keys is changed first, as long as their rows tell what it was.
    count_owners(plan, doing, keys);
    let rows = keys.len() as u64;
    match doing {
        Doing::Insert => {
            plan.push(sql::INSERT_KEYS, key_columns(keys), Expect::Anything, Noun::Key);
            plan.push(sql::INSERT_LABELS, label_columns(keys), Expect::Anything, Noun::Key);
        }
        Doing::Replace => {
            for labels in [sql::TRIM_LABELS, sql::RENEW_LABELS] {
                let values = vec![
                    column(keys, |key| key.columns.id.uuid()),
                    column(keys, |key| key.labels.as_str()),
                ];
                plan.push(labels, values, Expect::Anything, Noun::Key);
            }
            let mut values = key_columns(keys);
            values.push(column(keys, |key| key.expected));
            plan.push(sql::REPLACE_KEYS, values, Expect::Exactly(rows), Noun::Key);
        }
        Doing::Remove => {
            for beside in [sql::REMOVE_LABELS, sql::REMOVE_LAST_USES, sql::REMOVE_HOURS] {
                let ids = vec![column(keys, |key| key.columns.id.uuid())];
                plan.push(beside, ids, Expect::Anything, Noun::Key);
            }
            let values = vec![
                column(keys, |key| key.columns.id.uuid()),
                column(keys, |key| key.columns.project.uuid()),
                column(keys, |key| key.expected),
            ];
            plan.push(sql::REMOVE_KEYS, values, Expect::Exactly(rows), Noun::Key);
            return;
        }
    }
    let digests = keys.iter().flat_map(|key| {
        let columns = &key.columns;
        let both = [Some(&columns.current), columns.retiring.as_ref()];
        both.into_iter()
            .flatten()
            .map(move |digest| (columns.id.uuid(), digest.0.as_slice()))
    });
    let (ids, digests): (Vec<Uuid>, Vec<&'a [u8]>) = digests.unzip();
    plan.push(
        sql::CLASHING_DIGESTS,
        vec![owned(ids), owned(digests)],
        Expect::NoRow,
        Noun::Key,
    );
}

/// Keeps count of the keys that are not revoked; must come before the keys themselves change.
fn count_owners<'a>(plan: &mut Plan<'a>, doing: Doing, keys: &[&'a KeyItem]) {
    let values = match doing {
        Doing::Insert => owner_columns(&[], keys),
        Doing::Replace => owner_columns(keys, keys),
        Doing::Remove => owner_columns(keys, &[]),
    };
    plan.push(sql::COUNT_OWNERS, values, Expect::Anything, Noun::Key);
}

/// What [`sql::COUNT_OWNERS`] needs to know of keys as they were and as they will be.
pub(super) fn owner_columns<'a>(before: &[&'a KeyItem], after: &[&'a KeyItem]) -> Vec<Value<'a>> {
    let counted: Vec<&'a KeyItem> = after.iter().copied().filter(|key| key.is_counted()).collect();
    vec![
        column(before, |key| key.columns.id.uuid()),
        column(&counted, |key| key.columns.project.uuid()),
        column(&counted, |key| key.columns.owner.kind().as_str()),
        column(&counted, |key| key.columns.owner.uuid()),
    ]
}

/// The row that every commit changes first.
fn head<'a>(commits: usize) -> Step<'a> {
    Step {
        sql: sql::MOVE_HEAD,
        values: vec![Box::new(signed(commits))],
        expect: Expect::Head,
    }
}

/// Records, column by column.
pub(super) fn record_columns<'a>(records: &[&'a RecordItem]) -> Vec<Value<'a>> {
    vec![
        column(records, |record| record.project),
        column(records, |record| record.noun.as_str()),
        column(records, |record| record.id),
        column(records, |record| record.handle.as_str()),
        column(records, |record| record.revision),
        column(records, |record| record.body.as_str()),
        column(records, |record| record.seal.0.as_slice()),
    ]
}

/// Keys, column by column.
pub(super) fn key_columns<'a>(keys: &[&'a KeyItem]) -> Vec<Value<'a>> {
    vec![
        column(keys, |key| key.columns.id.uuid()),
        column(keys, |key| key.columns.project.uuid()),
        column(keys, |key| key.columns.owner.kind().as_str()),
        column(keys, |key| key.columns.owner.uuid()),
        column(keys, |key| key.columns.kind.as_str()),
        column(keys, |key| key.columns.access.as_str()),
        column(keys, |key| key.columns.bounds.as_str()),
        column(keys, |key| key.columns.expires_at),
        column(keys, |key| key.columns.state.as_str()),
        column(keys, |key| key.columns.state_at),
        column(keys, |key| key.columns.cause.as_str()),
        column(keys, |key| key.columns.current.0.as_slice()),
        column(keys, |key| {
            key.columns.retiring.as_ref().map(|digest| digest.0.as_slice())
        }),
        column(keys, |key| key.columns.retiring_until),
        column(keys, |key| key.columns.name.as_str()),
        column(keys, |key| key.columns.description.as_str()),
        column(keys, |key| key.columns.metadata.as_str()),
        column(keys, |key| key.columns.tags.as_str()),
        column(keys, |key| key.columns.hint.as_str()),
        column(keys, |key| key.columns.created_at),
        column(keys, |key| key.columns.created_by.map(keyholt_core::id::KeyId::uuid)),
        column(keys, |key| i64::from(key.columns.revision.number())),
        column(keys, |key| key.columns.seal.0.as_slice()),
        column(keys, |key| key.labels.as_str()),
    ]
}

/// What keys are found by, column by column: project, label, key. In the order of the index, where neighbours are cheap.
pub(super) fn label_columns<'a>(keys: &[&'a KeyItem]) -> Vec<Value<'a>> {
    let mut labels: Vec<(Uuid, &'a str, Uuid)> = keys
        .iter()
        .flat_map(|key| {
            let (project, id) = (key.columns.project.uuid(), key.columns.id.uuid());
            key.labels.lines().map(move |label| (project, label, id))
        })
        .collect();
    labels.sort_unstable();
    vec![
        owned(labels.iter().map(|(project, _, _)| *project).collect()),
        owned(labels.iter().map(|(_, label, _)| *label).collect()),
        owned(labels.iter().map(|(_, _, key)| *key).collect()),
    ]
}

/// Events, column by column, without their numbers.
pub(super) fn event_columns<'a>(events: &[&'a ReadyEvent]) -> Vec<Value<'a>> {
    vec![
        column(events, |event| event.project),
        column(events, |event| event.at),
        column(events, |event| event.action.as_str()),
        column(events, |event| event.refused),
        column(events, |event| event.actor),
        column(events, |event| event.target_noun.as_str()),
        column(events, |event| event.target),
        column(events, |event| event.owner_kind),
        column(events, |event| event.owner),
        column(events, |event| event.touched.as_str()),
        column(events, |event| event.body.as_str()),
    ]
}

/// One value of each item.
pub(super) fn column<'a, I, T>(items: &[&'a I], value: impl Fn(&'a I) -> T) -> Value<'a>
where
    T: ToSql + Sync + Send + 'a,
{
    owned(items.iter().map(|item| value(item)).collect())
}

fn owned<'a, T: ToSql + Sync + Send + 'a>(values: Vec<T>) -> Value<'a> {
    Box::new(values)
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
