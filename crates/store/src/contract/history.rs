//! Random histories: the same acts on memory and on an engine, with the same answers and the same end.

use std::collections::BTreeSet;

use keyholt_core::actor::{Permit, WriteKeys};
use keyholt_core::amend::{Amendment, amend};
use keyholt_core::audit::Noun;
use keyholt_core::commit::{Commit, Record};
use keyholt_core::issue::{Circumstances, Life, SecretOrigin, Wish};
use keyholt_core::key::{Key, Kind};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::pause::suspend;
use keyholt_core::revoke::revoke;
use keyholt_core::rotate::{Grace, Turn, end_grace, rotate};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::secret::Fingerprint;
use keyholt_core::text::{Description, ExternalId, Name, Tag};
use keyholt_core::time::{Moment, Span};

use super::commits::all_events;
use super::dumps::dump_of;
use super::usage::uses;
use super::world::{World, cause};
use crate::{
    EventQuery, KeyQuery, Limit, Memory, Owners, RecordQuery, Refused, StateFilter, Store, UsageDelta, UseOutcome,
    Write,
};

const WORDS: [&str; 10] = [
    "alpha", "beta", "Betatron", "gamma", "delta", "Depot", "9", "straße", "x1", "bet",
];
const TAGS: [&str; 5] = ["red", "blue", "team:a", "team:b", "rare"];
const SCOPES: [&str; 5] = ["orders:read", "orders:*", "users:read", "*", "reports:read@acme/*"];

/// A long history of lucky and unlucky acts: the same answers on the way, the same questions answered alike, the same end.
pub async fn random_histories_end_as_in_memory(store: &dyn Store) {
    let reference = Memory::new();
    let refusals = play(&reference, Some(store), 20_261, 900).await;
    assert_eq!(dump_of(store).await, dump_of(&reference).await);
    // A history is only as good as what it runs into.
    for refusal in [
        "the key was changed meanwhile",
        "the user was changed meanwhile",
        "another user has that handle",
        "another key has that secret",
        "the user has a static key already",
        "the request key was used already",
        "the owner has as many keys as the policy allows",
    ] {
        assert!(refusals.contains(refusal), "no {refusal:?} in {refusals:?}");
    }
}

/// What is known while a history is played: every version of everything, so that some acts are based on old ones.
struct Play {
    world: World,
    records: Vec<Record>,
    keys: Vec<Key>,
    owners: Vec<Owner>,
}

/// Plays random acts on a store, and on another one beside it whose answers must be the same; tells what was refused.
pub async fn play(reference: &dyn Store, engine: Option<&dyn Store>, seed: u64, acts: usize) -> BTreeSet<String> {
    let (mut world, founding) = World::new(seed);
    world.acme.policy.keys_per_owner = 6;
    let mut refusals = BTreeSet::new();
    for write in founding {
        for store in [Some(reference), engine].into_iter().flatten() {
            store.commit(vec![write.clone()]).await.expect("an empty store");
        }
    }
    let mut play = Play {
        world,
        records: Vec::new(),
        keys: Vec::new(),
        owners: Vec::new(),
    };
    for act in 0..acts {
        let step = i64::try_from(play.world.dice.below(200_000)).unwrap_or(0);
        play.world.later(step);
        let many = if play.world.dice.below(8) == 0 {
            1 + play.world.dice.below(3)
        } else {
            1
        };
        let writes: Vec<Write> = (0..many).map(|_| play.act()).collect();
        let usage: Vec<UsageDelta> = (0..play.world.dice.below(4)).filter_map(|_| play.uses()).collect();
        let forget = (play.world.dice.below(60) == 0).then(|| Moment::from_ms(play.world.now.ms() - 5_000_000));
        let mut answers = Vec::new();
        for store in [Some(reference), engine].into_iter().flatten() {
            let answer = store.commit(writes.clone()).await;
            answers.push(answer.map_err(|error| error.to_string()));
            store.note_usage(&usage).await.expect("usage is noted");
            if let Some(before) = forget {
                store.forget_before(before).await.expect("old things are forgotten");
            }
        }
        refusals.extend(answers.first().and_then(|answer| answer.clone().err()));
        if let [expected, answer] = answers.as_slice() {
            assert_eq!(answer, expected, "seed {seed}, act {act}: {writes:#?}");
        }
        if let Some(engine) = engine.filter(|_| act % 10 == 9) {
            play.compare(reference, engine, act).await;
        }
    }
    refusals
}

impl Play {
    /// One act, with luck or bad luck; what it would make is remembered as if it had.
    fn act(&mut self) -> Write {
        let commit = match self.world.dice.below(20) {
            0..=3 => return self.enrol(),
            4 | 5 if !self.records.is_empty() => return self.change_record(),
            6..=11 if !self.owners.is_empty() => self.issue(),
            12..=18 if !self.keys.is_empty() => match self.change_key() {
                Some(commit) => commit,
                None => self.world.refusal(self.world.acme.id, "key.amend"),
            },
            _ => self.world.refusal(self.world.acme.id, "key.rotate"),
        };
        let commit = if self.world.dice.below(10) == 0 {
            let request = format!("r-{}", self.world.dice.below(12));
            let replay = self.world.replay(&request, self.world.acme.id.uuid());
            commit.remembered(replay)
        } else {
            commit
        };
        self.world.sealed(commit)
    }

    fn enrol(&mut self) -> Write {
        let world = &mut self.world;
        let project = if world.dice.below(4) == 0 {
            world.globex.id
        } else {
            world.acme.id
        };
        let name = format!("n{}", world.dice.below(25));
        let somebody = self.records.iter().rev().find_map(|record| match record {
            Record::User(user) => Some(user),
            _ => None,
        });
        let record = match (world.dice.below(6), somebody) {
            (0, _) => world.team(project, &name),
            (1, _) => world.service(project, &name),
            (2, _) => world.role(project, &name),
            (3, Some(user)) => world.password(user),
            _ => world.user(project, &name),
        };
        let write = world.enrolment(&record);
        let is_owner = record.noun() != Noun::Password && project == world.acme.id;
        self.owners.extend(record.owner().filter(|_| is_owner));
        self.records.push(record);
        write
    }

    /// Mostly the latest versions, sometimes an old one.
    fn recent(&mut self, known: usize) -> usize {
        if self.world.dice.below(6) == 0 {
            self.world.dice.below(known)
        } else {
            known - 1 - self.world.dice.below(known.min(8))
        }
    }

    fn change_record(&mut self) -> Write {
        let at = self.recent(self.records.len());
        let record = self.records[at].clone();
        if self.world.dice.below(4) == 0 {
            return self.world.removal(&record);
        }
        let mut after = record.clone();
        if let Record::User(user) = &mut after {
            user.external_id = ExternalId::new(&format!("n{}", self.world.dice.below(25))).expect("an external id");
        }
        let (after, write) = self.world.replacement(&record, after);
        self.records.push(after);
        write
    }

    fn issue(&mut self) -> Commit {
        // Some owners want more keys than others.
        let greedy = if self.world.dice.below(2) == 0 {
            5
        } else {
            self.owners.len()
        };
        let owners: Vec<Owner> = self.owners.iter().copied().take(greedy).collect();
        let mut people = self.records.iter().filter_map(|record| match record {
            Record::User(user) if owners.contains(&Owner::User(user.id)) => Some(user.clone()),
            _ => None,
        });
        if let Some(user) = people.next_back().filter(|_| self.world.dice.below(4) == 0) {
            let (session, _, commit) = self.world.session(&user);
            self.keys.push(session);
            return commit;
        }
        let wish = a_wish(&mut self.world, &owners);
        let (key, commit) = self.world.issued(wish);
        self.keys.push(key);
        commit
    }

    fn change_key(&mut self) -> Option<Commit> {
        let at = self.recent(self.keys.len());
        let key = self.keys[at].clone();
        let leave: Permit<WriteKeys> = self.world.leave(key.project);
        let now = self.world.now;
        let (project, permissions, pepper) = self.world.circumstances();
        let circumstances = Circumstances {
            project: &project,
            permissions: &permissions,
            pepper: &pepper,
        };
        let (after, commit) = match self.world.dice.below(7) {
            0 => return Some(keyholt_core::remove::delete(&leave, &key, None, now)),
            1 => revoke(&leave, &key, cause("history"), now)?,
            2 => suspend(&leave, &key, None, now).ok()??,
            3 => end_grace(&leave, &key, None, now)?,
            4 | 5 => {
                let hours = [0, 2][self.world.dice.below(2)];
                let turn = Turn {
                    grace: Grace::For(Span::hours(hours)),
                    client_made: self.a_fingerprint(),
                    cause: None,
                };
                let (rotated, commit) = rotate(&leave, &key, turn, circumstances, now, &mut self.world.dice).ok()?;
                (rotated.key, commit)
            }
            _ => {
                let owners = [key.owner];
                let wish = a_wish(&mut self.world, &owners);
                let amendment = Amendment {
                    name: Some(wish.name),
                    description: Some(wish.description),
                    tags: Some(wish.tags),
                    access: (key.kind == Kind::Standard).then_some(wish.access),
                    ..Amendment::default()
                };
                amend(&leave, &key, amendment, circumstances, now).ok()??
            }
        };
        self.keys.push(after);
        Some(commit)
    }

    /// Of a small stock, so that some are wanted twice.
    fn a_fingerprint(&mut self) -> Option<Fingerprint> {
        let dice = &mut self.world.dice;
        (dice.below(3) == 0).then(|| Fingerprint::of(format!("a secret of stock {}", dice.below(40)).as_bytes()))
    }

    fn uses(&mut self) -> Option<UsageDelta> {
        if self.keys.is_empty() {
            return None;
        }
        let at = self.recent(self.keys.len());
        let key = self.keys[at].id;
        let dice = &mut self.world.dice;
        let outcome = *dice.pick(&UseOutcome::ALL);
        let count = 1 + dice.roll() % 5;
        let address = (dice.below(3) > 0).then(|| [192, 0, 2, u8::try_from(dice.below(200)).unwrap_or(0)].into());
        let ago = i64::try_from(dice.below(9_000_000)).unwrap_or(0);
        Some(uses(
            key,
            outcome,
            count,
            Moment::from_ms(self.world.now.ms() - ago),
            address,
        ))
    }

    /// Both stores answer random questions alike.
    async fn compare(&mut self, reference: &dyn Store, engine: &dyn Store, act: usize) {
        let acme = self.world.acme.id;
        let (owners, keys) = (self.owners.clone(), self.keys.clone());
        let query = a_key_query(&mut self.world, &owners, &keys);
        let (left, right) = (reference.keys(acme, &query).await, engine.keys(acme, &query).await);
        let (left, right) = (left.expect("a read"), right.expect("a read"));
        let ids = |page: &crate::Page<(Key, _)>| page.entries.iter().map(|(key, _)| key.id).collect::<Vec<_>>();
        assert_eq!(
            (ids(&right), right.next),
            (ids(&left), left.next),
            "act {act}: {query:?}"
        );

        let query = self.an_event_query();
        let (left, right) = (reference.events(acme, &query).await, engine.events(acme, &query).await);
        assert_eq!(right.expect("a read"), left.expect("a read"), "act {act}: {query:?}");

        let dice = &mut self.world.dice;
        let noun = *dice.pick(&[Noun::User, Noun::Team, Noun::Service, Noun::Role, Noun::Password]);
        let query = RecordQuery {
            handle_prefix: (dice.below(2) == 0).then(|| format!("n{}", dice.below(3))),
            after: None,
            limit: Limit::new(1 + dice.roll() % 6).expect("a limit"),
        };
        let (left, right) = (
            reference.records(acme, noun, &query).await,
            engine.records(acme, noun, &query).await,
        );
        let (left, right) = (left.expect("a read"), right.expect("a read"));
        assert_eq!(
            format!("{right:?}"),
            format!("{left:?}"),
            "act {act}: {noun:?} {query:?}"
        );

        if let Some(key) = keys.last() {
            let hour = self.world.now.hour();
            let (left, right) = (
                reference.usage(acme, key.id, hour - 5, hour + 1),
                engine.usage(acme, key.id, hour - 5, hour + 1),
            );
            assert_eq!(right.await.expect("a read"), left.await.expect("a read"), "act {act}");
            let ids: Vec<_> = keys.iter().rev().take(20).map(|key| key.id).collect();
            let (left, right) = (reference.last_uses(&ids).await, engine.last_uses(&ids).await);
            assert_eq!(right.expect("a read"), left.expect("a read"), "act {act}");
        }
    }

    fn an_event_query(&mut self) -> EventQuery {
        let dice = &mut self.world.dice;
        let mut query = all_events();
        query.limit = Limit::new(1 + dice.roll() % 30).expect("a limit");
        if dice.below(3) == 0 {
            query.action = Some((*dice.pick(&["key.*", "key.issue", "user.enrol", "user.*", "none"])).to_owned());
        }
        if dice.below(4) == 0 && !self.keys.is_empty() {
            query.target = Some((Noun::Key, dice.pick(&self.keys).id.uuid()));
        }
        if dice.below(4) == 0 && !self.owners.is_empty() {
            query.owner = Some(*dice.pick(&self.owners));
        }
        if dice.below(4) == 0 {
            query.refused = Some(*dice.pick(&[Refused::Only, Refused::Not]));
        }
        let instant = |dice: &mut super::world::Dice| {
            let ago = i64::try_from(dice.below(20_000_000)).unwrap_or(0);
            (dice.below(3) == 0).then(|| Moment::from_ms(self.world.now.ms() - ago))
        };
        let dice = &mut self.world.dice.clone();
        query.since = instant(dice);
        query.until = instant(dice);
        self.world.dice = dice.clone();
        query
    }
}

/// A wish for a key of one of these owners, with labels of a small stock.
pub(super) fn a_wish(world: &mut World, owners: &[Owner]) -> Wish {
    let dice = &mut world.dice;
    let owner = *dice.pick(owners);
    let words = |dice: &mut super::world::Dice, most: usize| {
        let count = 1 + dice.below(most);
        (0..count).map(|_| *dice.pick(&WORDS)).collect::<Vec<_>>().join(" ")
    };
    let (name, description) = (words(dice, 2), words(dice, 4));
    let tags: BTreeSet<Tag> = (0..dice.below(3))
        .map(|_| Tag::new(dice.pick::<&str>(&TAGS)).expect("a tag"))
        .collect();
    let scopes: Vec<&str> = (0..dice.below(3)).map(|_| *dice.pick(&SCOPES)).collect();
    let everything = dice.below(5) == 0;
    let is_static = owner.kind() == OwnerKind::User && dice.below(6) == 0;
    let ends_in = Span::secs(1 + dice.roll() % 4_000);
    let ends = dice.below(2) == 0;
    let stock = dice.below(40);
    // A static key has a secret of its own, so that only one thing can stand against it.
    let stocked = dice.below(4) == 0 && !is_static;
    Wish {
        kind: if is_static { Kind::Static } else { Kind::Standard },
        name: Name::new(&name).expect("a name"),
        description: Description::new(&description).expect("a description"),
        tags,
        access: if is_static || everything {
            Access::Everything
        } else {
            Access::Only(ScopeSet::parse(scopes).expect("scopes"))
        },
        life: if ends { Life::For(ends_in) } else { Life::Never },
        origin: if stocked {
            SecretOrigin::ClientMade(Fingerprint::of(format!("a secret of stock {stock}").as_bytes()))
        } else {
            SecretOrigin::Minted
        },
        ..world.wish(owner, "a wish")
    }
}

/// A question about keys with any number of filters.
pub(super) fn a_key_query(world: &mut World, owners: &[Owner], keys: &[Key]) -> KeyQuery {
    let now = world.now;
    let dice = &mut world.dice.clone();
    let mut query = KeyQuery {
        limit: Limit::new(1 + dice.roll() % 120).expect("a limit"),
        ..KeyQuery::default()
    };
    let instant = |dice: &mut super::world::Dice| {
        let apart = i64::try_from(dice.below(4_000_000)).unwrap_or(0) - 2_000_000;
        Moment::from_ms(now.ms() + apart)
    };
    if dice.below(4) == 0 && !owners.is_empty() {
        query.owners = Owners::These((0..1 + dice.below(2)).map(|_| *dice.pick(owners)).collect());
    }
    if dice.below(6) == 0 {
        query.kind = Some(*dice.pick(&Kind::ALL));
    }
    if dice.below(3) == 0 {
        let then = instant(dice);
        query.state = Some(match dice.below(4) {
            0 => StateFilter::Active { now: then },
            1 => StateFilter::Suspended,
            2 => StateFilter::Revoked,
            _ => StateFilter::Expired { now: then },
        });
    }
    if dice.below(4) == 0 {
        query.scope = Some(dice.pick(&SCOPES).parse().expect("a scope"));
    }
    if dice.below(4) == 0 {
        query.tag = Some(Tag::new(dice.pick::<&str>(&TAGS)).expect("a tag"));
    }
    if dice.below(4) == 0 {
        let last = *dice.pick(&["a", "b", "bet", "Bet", "beta", "de", "gamma", "str", "q", "9"]);
        query.text = Some(match dice.below(2) {
            0 => last.to_owned(),
            _ => format!("{} {last}", dice.pick(&WORDS)),
        });
    }
    if dice.below(5) == 0 {
        query.unused_since = Some(instant(dice));
    }
    if dice.below(5) == 0 {
        query.expiring_before = Some(instant(dice));
    }
    if dice.below(8) == 0 && !keys.is_empty() {
        query.created_by = Some(if dice.below(2) == 0 {
            world.operator.key
        } else {
            dice.pick(keys).id
        });
    }
    world.dice = dice.clone();
    query
}
