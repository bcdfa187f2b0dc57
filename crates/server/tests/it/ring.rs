//! The keyring against a plain model: after each step of a random history every digest, live or dead, is answered alike.

use std::collections::BTreeMap;

use keyholt_core::audit::Noun;
use keyholt_core::commit::{Record, Revision};
use keyholt_core::entropy::Entropy;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::{About, Bounds, Key, Kind, Maker, State};
use keyholt_core::owner::{Owner, Standing};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::secret::{Credentials, Digest};
use keyholt_core::text::{Cause, Description, Metadata, Name};
use keyholt_core::time::{Expiry, Moment};
use keyholt_core::verify::{Shown, Stopped};
use keyholt_server::keyring::ring::{Found, Integrity, Keyring};

use crate::house::{House, Seeded, seeded};

/// Steps of one history; each step is followed by a look-up of every digest that there ever was.
const STEPS: usize = 800;
/// Most keys at once, so that histories come back to the same ones; more than the keyring has room for at first.
const KEYS: usize = 60;

struct History {
    random: Seeded,
    owners: Vec<Owner>,
    project: ProjectId,
    ring: Keyring,
    /// The model: the keys as they are.
    keys: BTreeMap<KeyId, Key>,
    /// Every digest that there ever was.
    digests: Vec<[u8; 32]>,
}

impl History {
    fn begin(seed: u64, house: &House, owners: &[Record]) -> Self {
        let ring = Keyring::with_capacity(8, [seed, !seed]);
        let project = house.project();
        ring.put(&Record::Project(house.acme.clone())).unwrap();
        let member = house.keeper.role_named(project, "member").unwrap();
        ring.put(&Record::Role(member)).unwrap();
        for owner in owners {
            ring.put(owner).unwrap();
        }
        Self {
            random: seeded(seed),
            owners: owners.iter().filter_map(Record::owner).collect(),
            project,
            ring,
            keys: BTreeMap::new(),
            digests: Vec::new(),
        }
    }

    fn below(&mut self, most: usize) -> usize {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        usize::try_from(u64::from_be_bytes(bytes) % most as u64).unwrap()
    }

    fn digest(&mut self) -> Digest {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes);
        if let Some(known) = self.digests.last().copied()
            && self.below(4) == 0
        {
            // The same place in the index, but another digest.
            bytes[..8].copy_from_slice(&known[..8]);
        }
        self.digests.push(bytes);
        Digest::from_bytes(bytes)
    }

    fn new_key(&mut self) -> Key {
        let scopes = [&[][..], &["orders:read"], &["orders:*", "users:read"]][self.below(3)];
        let narrow = Access::Only(ScopeSet::parse(scopes.iter().copied()).unwrap());
        let owner = self.below(self.owners.len());
        let owner = self.owners[owner];
        Key {
            id: KeyId::mint(Moment::from_ms(1), &mut self.random),
            project: self.project,
            owner,
            kind: Kind::ALL[self.below(3)],
            access: [Access::Everything, narrow][self.below(2)].clone(),
            bounds: Bounds::default(),
            expiry: [Expiry::Never, Expiry::At(Moment::from_ms(5_000))][self.below(2)],
            state: State::Active,
            credentials: Credentials::One(self.digest()),
            about: About {
                name: Name::new("key").unwrap(),
                description: Description::new("").unwrap(),
                metadata: Metadata::default(),
                tags: Default::default(),
                hint: None,
            },
            created_at: Moment::from_ms(1),
            created_by: Maker::Setup,
            revision: Revision::FIRST,
        }
    }

    fn put(&mut self, key: Key) {
        self.ring.put(&Record::Key(Box::new(key.clone()))).unwrap();
        self.keys.insert(key.id, key);
    }

    fn step(&mut self) {
        let what = self.below(12);
        if self.keys.is_empty() || (what < 3 && self.keys.len() < KEYS) {
            let key = self.new_key();
            return self.put(key);
        }
        let at = self.below(self.keys.len());
        let old = self.keys.values().nth(at).unwrap().clone();
        let mut key = old.clone();
        key.revision = old.revision.next();
        let current = *old.credentials.current();
        let at = Moment::from_ms(2);
        match what {
            0..=3 => {
                self.ring.remove_key(key.id);
                self.keys.remove(&key.id);
                return;
            }
            4 | 5 => {
                key.credentials = Credentials::Rotating {
                    current: self.digest(),
                    retiring: current,
                    until: Moment::from_ms(3_000),
                };
            }
            6 => key.credentials = Credentials::One(self.digest()),
            7 => key.credentials = Credentials::One(current),
            8 => key.state = State::Suspended { since: at },
            9 => key.state = State::Active,
            10 => {
                let cause = Cause::new("x").unwrap();
                key.state = State::Revoked { at, cause };
                key.credentials = Credentials::One(current);
            }
            _ => {
                // An answer that comes late: the version before, once more.
                self.put(key);
                return self.ring.put(&Record::Key(Box::new(old))).unwrap();
            }
        }
        self.put(key);
    }

    /// Looks up everything that there is and that there was.
    fn agree(&self) {
        let mut live: BTreeMap<[u8; 32], (&Key, Shown)> = BTreeMap::new();
        for key in self.keys.values() {
            live.insert(*key.credentials.current().as_bytes(), (key, Shown::Current));
            if let Some((digest, until)) = key.credentials.retiring() {
                live.insert(*digest.as_bytes(), (key, Shown::Retiring { until }));
            }
        }
        let index = self.ring.index();
        let nobody = u32::try_from(2 * KEYS).unwrap();
        for (digest, any) in self.digests.iter().zip((0..=nobody).cycle()) {
            let sought = Digest::from_bytes(*digest);
            let found = self.ring.find(&sought);
            // Wherever it is looked for first, the same is found.
            for near in [self.ring.touch_row(&index, &sought), Some(any)] {
                let beside = self.ring.find_near(&sought, near);
                let told = |found: &Found| (found.key(), found.number(), found.shown, found.generation());
                assert_eq!(beside.as_ref().map(told), found.as_ref().map(told), "near {near:?}");
            }
            match (found, live.get(digest)) {
                (None, None) => {}
                (Some(found), Some((key, shown))) => {
                    assert_eq!((found.key(), found.shown), (key.id, *shown));
                    assert_eq!((found.expiry(), found.kind()), (key.expiry, key.kind));
                    let told = self.ring.dossier(&found, |dossier, owner| {
                        assert_eq!((dossier.project, dossier.owner), (key.project, key.owner));
                        assert_eq!((owner.owner, dossier.owner_standing), (key.owner, Standing::Good));
                        assert_eq!((dossier.authority.access(), dossier.bounds), (&key.access, &key.bounds));
                        dossier.stopped
                    });
                    let stopped = match key.state {
                        State::Active => Stopped::No,
                        State::Suspended { .. } => Stopped::Suspended,
                        State::Revoked { .. } => Stopped::Revoked,
                    };
                    assert_eq!(told, Some(stopped));
                }
                (Some(found), None) => panic!("{} answers to a dead digest", found.key()),
                (None, Some((key, shown))) => panic!("{} is not found by its digest ({shown:?})", key.id),
            }
        }
        for key in self.keys.values() {
            assert_eq!(self.ring.find_key(key.id).map(|found| found.key()), Some(key.id));
        }
        assert_eq!(self.ring.len() as usize, live.len(), "one row for each digest");
    }

    fn stopped(&self, key: &Key) -> Stopped {
        let found = self.ring.find(key.credentials.current()).expect("it is found");
        self.ring.dossier(&found, |dossier, _| dossier.stopped).unwrap()
    }
}

#[tokio::test]
async fn the_keyring_agrees_with_a_plain_model_after_every_step() {
    let house = House::open().await;
    let mut owners = Vec::new();
    for name in ["alice", "bob", "carol"] {
        owners.push(Record::User(house.user(name).await));
    }
    for seed in 1..=5 {
        let mut history = History::begin(seed, &house, &owners);
        for _ in 0..STEPS {
            history.step();
            history.agree();
        }
        let dead = history.digests.len() - history.ring.len() as usize;
        assert!(history.keys.len() > 10 && dead > 200, "there was something to compare");
    }
}

#[tokio::test]
async fn a_good_row_is_found_before_a_changed_one_with_the_same_digest() {
    let house = House::open().await;
    let owner = Record::User(house.user("alice").await);
    // In whatever order they come.
    for first in [0, 1] {
        let mut history = History::begin(9, &house, std::slice::from_ref(&owner));
        let good = history.new_key();
        let mut forged = history.new_key();
        forged.credentials = good.credentials;
        forged.access = Access::Everything;
        for turn in [first, 1 - first] {
            let (key, integrity) = [(&good, Integrity::Sealed), (&forged, Integrity::Broken)][turn];
            history.ring.put_key(&key.row(&key.at_rest()), integrity).unwrap();
        }
        let found = history.ring.find(good.credentials.current()).unwrap();
        assert_eq!(found.key(), good.id);
        history.ring.remove_key(good.id);
        assert_eq!(history.stopped(&forged), Stopped::Tampered);
    }
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_not_believed_whoever_read_it_before() {
    let house = House::open().await;
    let owner = Record::User(house.user("alice").await);
    let mut history = History::begin(9, &house, &[owner]);
    for (access, bounds) in [("{", "{}"), ("\"everything\"", "7"), ("\"all\"", "{}")] {
        // The second key has the same unreadable text: that it is known must not make it good.
        for _ in 0..2 {
            let key = history.new_key();
            let mut at_rest = key.at_rest();
            (at_rest.access, at_rest.bounds) = (access.to_owned(), bounds.to_owned());
            history.ring.put_key(&key.row(&at_rest), Integrity::Sealed).unwrap();
            assert_eq!(history.stopped(&key), Stopped::Tampered, "{access} {bounds}");
        }
    }
}

#[tokio::test]
async fn a_key_is_not_believed_while_its_owner_is_not_there_but_a_revocation_is() {
    let house = House::open().await;
    let alice = house.user("alice").await;
    let mut history = History::begin(9, &house, &[]);
    history.owners = vec![Owner::User(alice.id)];
    let mut key = history.new_key();
    history.put(key.clone());
    assert_eq!(history.stopped(&key), Stopped::Tampered);
    history.ring.put(&Record::User(alice.clone())).unwrap();
    assert_eq!(history.stopped(&key), Stopped::No);
    history.ring.remove_record(Noun::User, alice.id.uuid()).unwrap();
    assert_eq!(history.stopped(&key), Stopped::Tampered);
    key.revision = key.revision.next();
    key.state = State::Revoked {
        at: Moment::from_ms(2),
        cause: Cause::new("owner removed").unwrap(),
    };
    history.put(key.clone());
    assert_eq!(history.stopped(&key), Stopped::Revoked);
}
