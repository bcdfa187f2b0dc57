//! A small world to write about: a project, an operator, users, keys.

use std::collections::BTreeSet;
use std::sync::Arc;

use keyholt_core::actor::{Actor, Operate, Permit, Source, Subject, WriteKeys, WriteOwners};
use keyholt_core::commit::{Commit, Record, Revision};
use keyholt_core::enrol;
use keyholt_core::entropy::Entropy;
use keyholt_core::found::{Charter, found};
use keyholt_core::id::{KeyId, SYSTEM, UserId};
use keyholt_core::issue::{Circumstances, Life, SecretOrigin, Wish, issue};
use keyholt_core::key::{Bounds, Key, Kind};
use keyholt_core::owner::{Owner, Standing, User};
use keyholt_core::project::Project;
use keyholt_core::revoke::revoke;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::seal::{MasterKey, Sealer};
use keyholt_core::secret::{Fingerprint, Pepper, Prefix};
use keyholt_core::text::{Cause, Description, ExternalId, Metadata, Name, RequestKey, Slug};
use keyholt_core::time::{Expiry, Moment};
use keyholt_store::Write;

/// Noon of some day.
pub const NOW: Moment = Moment::from_ms(1_893_499_200_000);

/// Chance that comes out the same every time.
pub struct Seeded(u64);

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

impl Entropy for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = self.0.to_be_bytes()[0];
        }
    }
}

/// Somebody who writes, and a project to write in.
pub struct World {
    pub project: Project,
    pub founding: Commit,
    pub actor: Actor,
    pub pepper: Pepper,
    pub sealer: Sealer,
    everything: ScopeSet,
    entropy: Seeded,
}

impl World {
    /// Worlds of different seeds have nothing in common.
    pub fn new(seed: u64) -> Self {
        let mut entropy = Seeded::new(seed);
        let master = MasterKey::new([7; 32]);
        let everything = ScopeSet::parse(["*", "keyholt:*"]).unwrap();
        let actor = Actor {
            key: KeyId::mint(NOW, &mut entropy),
            owner: Owner::User(UserId::mint(NOW, &mut entropy)),
            home: SYSTEM,
            access: Arc::new(Access::Everything),
            effective: Arc::new(everything.clone()),
            expiry: Expiry::Never,
            form: keyholt_core::verify::Form::Secret,
            proof: keyholt_core::actor::Proof::Key,
            manages: Vec::new(),
            source: Source {
                address: Some("192.0.2.7".parse().unwrap()),
                request: RequestKey::new("request-1").unwrap(),
            },
            cause: None,
        };
        let permit: Permit<Operate> = actor.permit(SYSTEM, Subject::Project).unwrap();
        let charter = Charter {
            slug: Slug::new(&format!("acme{seed}")).unwrap(),
            name: Name::new("Acme").unwrap(),
            prefix: Prefix::new("acme").unwrap(),
        };
        let (project, _, founding) = found(&permit, charter, NOW, &mut entropy).unwrap();
        Self {
            project,
            founding,
            actor,
            pepper: master.pepper(),
            sealer: master.sealer(),
            everything,
            entropy,
        }
    }

    /// A commit, sealed.
    pub fn sealed(&self, commit: Commit) -> Write {
        Write::sealed(commit, &self.sealer)
    }

    /// Somebody who is not enrolled.
    pub fn somebody(&mut self) -> Owner {
        Owner::User(UserId::mint(NOW, &mut self.entropy))
    }

    /// The enrolment of a user by that name.
    pub fn enrol(&mut self, external_id: &str) -> (Record, Write) {
        let user = Record::User(User {
            id: UserId::mint(NOW, &mut self.entropy),
            project: self.project.id,
            external_id: ExternalId::new(external_id).unwrap(),
            name: Name::new(external_id).unwrap(),
            email: None,
            roles: BTreeSet::new(),
            standing: Standing::Good,
            metadata: Metadata::default(),
            created_at: NOW,
            revision: Revision::FIRST,
        });
        let commit = enrol::enrol(&self.owners(), user.clone(), &ScopeSet::default(), NOW).unwrap();
        (user, self.sealed(commit))
    }

    /// The suspension of a record as it is here.
    pub fn suspend(&self, record: &Record) -> (Record, Write) {
        let (after, commit) = enrol::suspend(&self.owners(), record, None, NOW).unwrap().unwrap();
        (after, self.sealed(commit))
    }

    /// A key of this owner by that name.
    pub fn issue(&mut self, owner: Owner, name: &str) -> (Key, Write) {
        let mut secret = [0; 32];
        self.entropy.fill(&mut secret);
        self.import(owner, Kind::Standard, name, Fingerprint::of(&secret))
    }

    /// A key whose secret was made elsewhere.
    pub fn import(&mut self, owner: Owner, kind: Kind, name: &str, fingerprint: Fingerprint) -> (Key, Write) {
        let access = match kind {
            Kind::Static => Access::Everything,
            Kind::Standard | Kind::Publishable | Kind::Session => {
                Access::Only(ScopeSet::parse(["orders:read", "orders:write"]).unwrap())
            }
        };
        let wish = Wish {
            owner,
            kind,
            name: Name::new(name).unwrap(),
            description: Description::new("made by a test").unwrap(),
            metadata: Metadata::default(),
            tags: BTreeSet::new(),
            access,
            bounds: Bounds::default(),
            life: Life::Never,
            origin: SecretOrigin::Imported {
                fingerprint,
                hint: None,
            },
        };
        let permit: Permit<WriteKeys> = self.actor.permit(self.project.id, Subject::Owner(owner)).unwrap();
        let world = Circumstances {
            project: &self.project,
            permissions: &self.everything,
            pepper: &self.pepper,
        };
        let (issued, commit) = issue(&permit, wish, world, NOW, &mut self.entropy).unwrap();
        (issued.key, Write::sealed(commit, &self.sealer))
    }

    /// The revocation of a key as it is here.
    pub fn revoke(&self, key: &Key) -> (Key, Write) {
        let permit: Permit<WriteKeys> = self.actor.permit(self.project.id, Subject::Owner(key.owner)).unwrap();
        let (after, commit) = revoke(&permit, key, Cause::new("leaked").unwrap(), NOW).unwrap();
        (after, self.sealed(commit))
    }

    fn owners(&self) -> Permit<WriteOwners> {
        self.actor.permit(self.project.id, Subject::Project).unwrap()
    }
}
