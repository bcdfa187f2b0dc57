//! The ledger: what each client asked for and what it was told, and whether a server agrees with it afterwards.

use std::collections::HashMap;
use std::io;

use serde_json::{Value, json};

use crate::caller::{Answer, Caller};
use crate::figure::Wrongs;
use crate::house::{BATCH, GATE, KEYS, text};

/// Keys on one page.
const PAGE: usize = 1000;
/// Questions in one batch: as many as fit into a request's body.
const QUESTIONS: usize = 300;

/// What was asked of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Make it; with a secret that the client made, or one that the answer shows.
    Create(Option<String>),
    /// A new secret, made by the client or shown in the answer; the old one works on for an hour, or not at all.
    Rotate(Option<String>, Grace),
    /// End it.
    Revoke,
    /// Give it these scopes.
    Amend(&'static [&'static str]),
    /// Stop it.
    Suspend,
    /// Let it go on.
    Resume,
    /// Take it away.
    Delete,
}

/// What becomes of the old secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// It is dead at once.
    None,
    /// It works on for an hour.
    Hour,
}

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was never made.
    Unmade,
    /// It works.
    Active,
    /// It is stopped.
    Suspended,
    /// It is ended.
    Revoked,
    /// It was taken away.
    Deleted,
}

/// The life of a key as it must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Life {
    /// How it stands.
    pub state: State,
    /// Its secret; `None` where the answer that showed it never came.
    pub current: Option<String>,
    /// The secret before, while it works.
    pub retiring: Option<String>,
    /// Secrets that must not work any more.
    pub dead: Vec<String>,
    /// What it may do.
    pub scopes: &'static [&'static str],
    /// Everything that was done to it.
    pub actions: Vec<&'static str>,
}

/// The first scopes of each key.
pub const FIRST_SCOPES: &[&str] = &["orders:read"];

impl Life {
    fn unmade() -> Self {
        Self {
            state: State::Unmade,
            current: None,
            retiring: None,
            dead: Vec::new(),
            scopes: FIRST_SCOPES,
            actions: Vec::new(),
        }
    }

    /// The life after an act; `shown` is the secret that the answer showed.
    fn after(&self, act: &Act, shown: Option<&str>) -> Self {
        let mut life = self.clone();
        let shown = shown.map(str::to_owned);
        life.actions.push(match act {
            Act::Create(secret) => {
                (life.state, life.current) = (State::Active, secret.clone().or(shown));
                "key.issue"
            }
            Act::Rotate(secret, grace) => {
                let old = std::mem::replace(&mut life.current, secret.clone().or(shown));
                life.dead.extend(life.retiring.take());
                match grace {
                    Grace::None => life.dead.extend(old),
                    Grace::Hour => life.retiring = old,
                }
                "key.rotate"
            }
            Act::Revoke => {
                life.state = State::Revoked;
                // The old secret goes with the key; the newest is told `revoked`.
                life.dead.extend(life.retiring.take());
                "key.revoke"
            }
            Act::Amend(scopes) => {
                life.scopes = scopes;
                "key.amend"
            }
            Act::Suspend => {
                life.state = State::Suspended;
                "key.suspend"
            }
            Act::Resume => {
                life.state = State::Active;
                "key.resume"
            }
            Act::Delete => {
                life.state = State::Deleted;
                "key.delete"
            }
        });
        life
    }

    /// What verify must say about its secrets.
    fn verdicts(&self) -> Vec<(&str, &'static str)> {
        let alive = match self.state {
            State::Unmade | State::Deleted => "unknown",
            State::Active => "valid",
            State::Suspended => "suspended",
            State::Revoked => "revoked",
        };
        let secrets = self.current.iter().chain(&self.retiring);
        let alive = secrets.map(|secret| (secret.as_str(), alive));
        alive
            .chain(self.dead.iter().map(|secret| (secret.as_str(), "unknown")))
            .collect()
    }

    /// The word for its state in a record; `None` where there must be no record.
    fn word(&self) -> Option<&'static str> {
        match self.state {
            State::Unmade | State::Deleted => None,
            State::Active => Some("active"),
            State::Suspended => Some("suspended"),
            State::Revoked => Some("revoked"),
        }
    }
}

/// One key in the ledger.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its name, which no other key has.
    pub name: String,
    /// Its owner.
    pub owner: usize,
    /// Its id, once it is known.
    pub id: String,
    /// Its life as far as it was acknowledged.
    pub life: Life,
    /// What was asked for last, and was neither acknowledged nor refused.
    pub doubt: Option<Act>,
}

impl Held {
    /// A key that is going to be asked for.
    pub fn new(name: String, owner: usize) -> Self {
        Self {
            name,
            owner,
            id: String::new(),
            life: Life::unmade(),
            doubt: None,
        }
    }

    /// Puts down that an act was acknowledged.
    pub fn acknowledged(&mut self, act: &Act, answer: &Answer) {
        let shown = answer.body.pointer("/secret").and_then(Value::as_str);
        self.life = self.life.after(act, shown);
        if matches!(act, Act::Create(_)) {
            self.id = answer.text("/key/id").to_owned();
        }
    }

    /// All secrets it ever had, as far as they are known.
    pub fn secrets(&self) -> impl Iterator<Item = &String> {
        let doubted = match &self.doubt {
            Some(Act::Create(secret) | Act::Rotate(secret, _)) => secret.as_ref(),
            _ => None,
        };
        let life = &self.life;
        life.current
            .iter()
            .chain(&life.retiring)
            .chain(&life.dead)
            .chain(doubted)
    }
}

/// What a server says about everything.
struct Said {
    records: HashMap<String, Value>,
    events: HashMap<String, Vec<Value>>,
    verdicts: HashMap<String, String>,
}

/// Compares a ledger with what a server says, and settles its doubts. An error means that the server went away.
pub fn check(ledger: &mut [Held], operator: &mut Caller, gateway: &mut Caller) -> io::Result<Wrongs> {
    let said = Said::hear(ledger, operator, gateway)?;
    let mut wrongs = Wrongs::default();
    let mut known: HashMap<String, ()> = HashMap::with_capacity(ledger.len());
    for held in &mut *ledger {
        known.insert(held.name.clone(), ());
        let doubted = held.doubt.as_ref().map(|act| held.life.after(act, None));
        let certain = said.fits(held, &held.life);
        let settled = match (certain, doubted) {
            (Ok(()), _) => Ok(held.life.clone()),
            (Err(_), Some(life)) => said.fits(held, &life).map(|()| life),
            (Err(wrong), None) => Err(wrong),
        };
        match settled {
            Ok(life) => held.life = life,
            Err(wrong) => wrongs.add(format!("{} ({:?}): {wrong}", held.name, held.doubt)),
        }
        if let Some(record) = said.records.get(&held.name) {
            held.id = text(record, "/id");
        }
        held.doubt = None;
    }
    for name in said
        .records
        .keys()
        .filter(|name| *name != GATE && !known.contains_key(*name))
    {
        wrongs.add(format!("{name} was never asked for"));
    }
    let ids: HashMap<&str, ()> = ledger.iter().map(|held| (held.id.as_str(), ())).collect();
    let gate = said.records.get(GATE).map(|record| text(record, "/id"));
    for (target, events) in &said.events {
        if !ids.contains_key(target.as_str()) && gate.as_ref() != Some(target) {
            wrongs.add(format!("{} events about a key that was never asked for", events.len()));
        }
    }
    Ok(wrongs)
}

impl Said {
    fn hear(ledger: &[Held], operator: &mut Caller, gateway: &mut Caller) -> io::Result<Self> {
        let mut records = HashMap::new();
        for record in pages(operator, KEYS, "keys", "")? {
            records.insert(text(&record, "/name"), record);
        }
        let mut events: HashMap<String, Vec<Value>> = HashMap::new();
        for event in pages(operator, "/v1/projects/acme/events", "events", "&action=key.*")? {
            if text(&event, "/outcome") == "done" {
                events.entry(text(&event, "/target/id")).or_default().push(event);
            }
        }
        // Pages come newest first.
        events.values_mut().for_each(|events| events.reverse());
        let secrets: Vec<&String> = ledger.iter().flat_map(Held::secrets).collect();
        let mut verdicts = HashMap::new();
        for batch in secrets.chunks(QUESTIONS) {
            let items: Vec<Value> = batch
                .iter()
                .map(|secret| json!({ "credential": secret, "dry_run": true }))
                .collect();
            let answer = gateway.ask("POST", BATCH, Some(&json!({ "items": items })))?;
            let results = answer.body.pointer("/results").and_then(Value::as_array);
            let results = results.ok_or_else(|| io::Error::other(format!("no verdicts: {}", answer.body)))?;
            for (secret, result) in batch.iter().zip(results) {
                verdicts.insert((*secret).clone(), text(result, "/code"));
            }
        }
        Ok(Self {
            records,
            events,
            verdicts,
        })
    }

    /// Whether everything that is said agrees with this life of the key.
    fn fits(&self, held: &Held, life: &Life) -> Result<(), String> {
        for (secret, expected) in life.verdicts() {
            let said = self.verdicts.get(secret).map_or("nothing", String::as_str);
            if said != expected {
                return Err(format!("verify says `{said}`, must be `{expected}`"));
            }
        }
        let record = self.records.get(&held.name);
        let word = record.map(|record| text(record, "/state"));
        if word.as_deref() != life.word() {
            return Err(format!("the record is {word:?}, must be {:?}", life.word()));
        }
        let id = record.map_or(held.id.clone(), |record| text(record, "/id"));
        let events = self.events.get(&id).map(Vec::as_slice).unwrap_or_default();
        let actions: Vec<String> = events.iter().map(|event| text(event, "/action")).collect();
        if actions != life.actions {
            return Err(format!("the audit trail says {actions:?}, must be {:?}", life.actions));
        }
        for (number, event) in (1..).zip(events) {
            let revision = event.pointer("/after/revision").and_then(Value::as_u64);
            let expected = (text(event, "/action") != "key.delete").then_some(number);
            if revision != expected {
                return Err(format!("event {number} leads to revision {revision:?}"));
            }
        }
        let (Some(record), Some(last)) = (record, events.last()) else {
            return Ok(());
        };
        let after = [last.pointer("/after/revision"), last.pointer("/after/access/only")];
        if after != [record.pointer("/revision"), record.pointer("/scopes")] || record["scopes"] != json!(life.scopes) {
            return Err(format!("the record {record} is not what the last event left: {last}"));
        }
        match &last["after"]["state"] {
            Value::String(state) if Some(state.as_str()) == life.word() => Ok(()),
            Value::Object(state) if life.word().is_some_and(|word| state.contains_key(word)) => Ok(()),
            state => Err(format!("the last event left the state {state}")),
        }
    }
}

/// Everything in a list, page after page.
fn pages(caller: &mut Caller, path: &str, member: &str, filter: &str) -> io::Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = caller.ask("GET", &format!("{path}?limit={PAGE}{filter}{cursor}"), None)?;
        let Some(Value::Array(page)) = answer.body.get(member) else {
            return Err(io::Error::other(format!("no page of {member}: {}", answer.body)));
        };
        all.extend(page.iter().cloned());
        match answer.text("/next_cursor") {
            "" => return Ok(all),
            next => cursor = format!("&cursor={next}"),
        }
    }
}
