//! Queries in memory: look at everything, keep what fits, put it in order, cut out the page.

use std::collections::BTreeSet;

use keyholt_core::audit::{Noun, Outcome};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{Key, Kind, Maker, State as KeyState};
use keyholt_core::scope::Access;
use keyholt_core::seal::Seal;
use uuid::Uuid;

use super::State;
use crate::words::{COMPLETIONS_MAX, of_key, sought};
use crate::{
    After, EventQuery, KeyQuery, Limit, NumberedEvent, Owners, Page, RecordQuery, Refused, StateFilter, StoredRecord,
};

/// The words that one of a search's words stands for; a key must have one of them.
type Alternatives = BTreeSet<String>;

impl State {
    pub(super) fn find_records(&self, project: ProjectId, noun: Noun, query: &RecordQuery) -> Page<StoredRecord> {
        let prefix = query.handle_prefix.as_deref().unwrap_or_default();
        let found = self
            .records
            .values()
            .filter(|named| named.record.project == project && named.record.noun == noun)
            .filter(|named| named.handle.starts_with(prefix))
            .map(|named| (0, named.record.id, &named.record))
            .collect();
        page(found, Order::Up, query.after, query.limit)
    }

    pub(super) fn find_keys(&self, project: ProjectId, query: &KeyQuery) -> Page<(Key, Seal)> {
        let Some(words) = self.words(project, query.text.as_deref()) else {
            return Page {
                entries: Vec::new(),
                next: None,
            };
        };
        let found = self
            .keys
            .values()
            .filter(|(key, _)| key.project == project && self.fits(key, query, &words))
            .map(|entry| {
                let key = &entry.0;
                let value = if query.expiring_before.is_some() {
                    key.expiry.at().map_or(0, |at| at.ms())
                } else if query.unused_since.is_some() {
                    self.active_at(key)
                } else {
                    0
                };
                (value, key.id.uuid(), entry)
            })
            .collect();
        let by_value = query.expiring_before.is_some() || query.unused_since.is_some();
        let order = if by_value { Order::Up } else { Order::Down };
        page(found, order, query.after, query.limit)
    }

    fn active_at(&self, key: &Key) -> i64 {
        let used = self.last_uses.get(&key.id).map_or(i64::MIN, |last| last.last_at.ms());
        used.max(key.created_at.ms())
    }

    fn fits(&self, key: &Key, query: &KeyQuery, words: &[Alternatives]) -> bool {
        let owner = match &query.owners {
            Owners::Anybody => true,
            Owners::These(owners) => owners.contains(&key.owner),
        };
        let state = query.state.is_none_or(|wanted| match wanted {
            StateFilter::Active { now } => key.state == KeyState::Active && !key.expiry.is_past(now),
            StateFilter::Suspended => matches!(key.state, KeyState::Suspended { .. }),
            StateFilter::Revoked => matches!(key.state, KeyState::Revoked { .. }),
            StateFilter::Expired { now } => !super::is_revoked(key) && key.expiry.is_past(now),
        });
        // Sessions are listed by owner and never searched.
        let searched = key.kind != Kind::Session;
        let scope = query.scope.as_ref().is_none_or(|wanted| match &key.access {
            Access::Everything => false,
            Access::Only(scopes) => searched && scopes.iter().any(|scope| scope == wanted),
        });
        let says = |alternatives: &Alternatives| searched && !alternatives.is_disjoint(&of_key(&key.about));
        owner
            && state
            && scope
            && query.kind.map_or(key.kind != Kind::Session, |kind| key.kind == kind)
            && query.tag.as_ref().is_none_or(|tag| key.about.tags.contains(tag))
            && query.created_by.is_none_or(|maker| key.created_by == Maker::Key(maker))
            && query.unused_since.is_none_or(|since| self.active_at(key) < since.ms())
            && query
                .expiring_before
                .is_none_or(|before| key.expiry.at().is_some_and(|at| at < before))
            && words.iter().all(says)
    }

    /// What a text asks for; `None` where it has no word.
    fn words(&self, project: ProjectId, text: Option<&str>) -> Option<Vec<Alternatives>> {
        let Some(text) = text else {
            return Some(Vec::new());
        };
        let sought = sought(text)?;
        let known: BTreeSet<String> = self
            .keys
            .values()
            .filter(|(key, _)| key.project == project && key.kind != Kind::Session)
            .flat_map(|(key, _)| of_key(&key.about))
            .collect();
        let completions = known
            .into_iter()
            .filter(|word| word.starts_with(&sought.beginning))
            .take(COMPLETIONS_MAX)
            .collect();
        let whole = sought.whole.into_iter().map(|word| BTreeSet::from([word]));
        Some(whole.chain([completions]).collect())
    }

    pub(super) fn find_events(&self, project: ProjectId, query: &EventQuery) -> Page<NumberedEvent> {
        let found = self
            .events
            .iter()
            .map(|(event, _)| event)
            .filter(|numbered| numbered.event.project == project && event_fits(numbered, query))
            .map(|numbered| (numbered.number.0.cast_signed(), Uuid::nil(), numbered))
            .collect();
        page(found, Order::Down, query.after, query.limit)
    }
}

fn event_fits(numbered: &NumberedEvent, query: &EventQuery) -> bool {
    let event = &numbered.event;
    let action = query
        .action
        .as_deref()
        .is_none_or(|wanted| match wanted.strip_suffix(".*") {
            Some(kind) => event
                .action
                .strip_prefix(kind)
                .is_some_and(|rest| rest.starts_with('.')),
            None => event.action == wanted,
        });
    let refused = query.refused.is_none_or(|wanted| match wanted {
        Refused::Only => event.outcome != Outcome::Done,
        Refused::Not => event.outcome == Outcome::Done,
    });
    action
        && refused
        && query
            .target
            .is_none_or(|(noun, id)| event.target.noun == noun && event.target.id == Some(id))
        && query
            .actor
            .is_none_or(|key: KeyId| event.actor.is_some_and(|actor| actor.key == key))
        && query.owner.is_none_or(|owner| event.owner == Some(owner))
        && query.since.is_none_or(|since| event.at >= since)
        && query.until.is_none_or(|until| event.at < until)
}

enum Order {
    Up,
    Down,
}

fn page<T: Clone>(mut found: Vec<(i64, Uuid, &T)>, order: Order, after: Option<After>, limit: Limit) -> Page<T> {
    found.sort_by_key(|(value, id, _)| (*value, *id));
    if let Order::Down = order {
        found.reverse();
    }
    found.retain(|(value, id, _)| {
        after.is_none_or(|after| match order {
            Order::Up => (*value, *id) > (after.value, after.id),
            Order::Down => (*value, *id) < (after.value, after.id),
        })
    });
    let more = found.len() > limit.entries();
    found.truncate(limit.entries());
    let next = found
        .last()
        .filter(|_| more)
        .map(|(value, id, _)| After { value: *value, id: *id });
    Page {
        entries: found.into_iter().map(|(_, _, entry)| entry.clone()).collect(),
        next,
    }
}
