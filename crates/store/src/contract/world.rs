//! The people and things of the stories: two projects, an operator, users, teams and services, and a clock of their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use keyholt_core::actor::{Action, Actor, Permit, Source, Subject, WriteKeys};
use keyholt_core::audit::{Event, Noun, Target};
use keyholt_core::commit::{Commit, Record, Replay, Revision};
use keyholt_core::enrol::{change, enrol};
use keyholt_core::entropy::Entropy;
use keyholt_core::found::{Charter, found, found_keyholt};
use keyholt_core::id::{KeyId, ProjectId, RoleId, SYSTEM, ServiceId, TeamId, UserId};
use keyholt_core::issue::{Circumstances, Life, SecretOrigin, Wish, issue};
use keyholt_core::key::{Bounds, Key, Kind};
use keyholt_core::owner::{Owner, Service, Standing, Team, User};
use keyholt_core::password::{HashText, Made, Password};
use keyholt_core::project::Project;
use keyholt_core::refresh_token::RefreshToken;
use keyholt_core::role::Role;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::seal::{MasterKey, Sealer};
use keyholt_core::secret::{Fingerprint, Pepper, Prefix};
use keyholt_core::session;
use keyholt_core::text::{Cause, Description, ExternalId, Metadata, Name, RequestKey, Slug};
use keyholt_core::time::{Expiry, Moment};

use crate::{CommitError, EventNumber, Store, Write};

/// The first instant of every story.
pub const DAWN: i64 = 1_760_000_000_000;

/// Everything that a story needs besides a store. It is the same each time: nothing in it is left to chance.
#[derive(Debug)]
pub struct World {
    /// Random numbers of the story.
    pub dice: Dice,
    /// Now; it only moves when the story moves it.
    pub now: Moment,
    /// What seals rows.
    pub sealer: Sealer,
    /// What turns fingerprints into digests.
    pub pepper: Pepper,
    /// Somebody who may do everything.
    pub operator: Actor,
    /// The project of most stories.
    pub acme: Project,
    /// Another one.
    pub globex: Project,
}

/// Random numbers that a seed decides (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall the same way for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below another.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % (end as u64)).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

impl Entropy for Dice {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            let bytes = self.roll().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

fn everything() -> ScopeSet {
    ScopeSet::parse(["*", "keyholt:*"]).expect("two scopes")
}

impl World {
    /// A store with Keyholt and both projects founded in it: three commits.
    pub async fn founded(store: &dyn Store) -> Self {
        let (world, founding) = Self::new(1);
        for write in founding {
            store
                .commit(vec![write])
                .await
                .expect("an empty store takes the founding");
        }
        world
    }

    /// A world, and the three commits that found it.
    pub fn new(seed: u64) -> (Self, Vec<Write>) {
        let master = MasterKey::new([7; 32]);
        let (sealer, pepper) = (master.sealer(), master.pepper());
        let mut dice = Dice::new(seed);
        let now = Moment::from_ms(DAWN);
        let operator = Actor {
            key: KeyId::mint(now, &mut dice),
            owner: Owner::User(UserId::mint(now, &mut dice)),
            home: SYSTEM,
            access: Arc::new(Access::Everything),
            effective: Arc::new(everything()),
            expiry: Expiry::Never,
            form: keyholt_core::verify::Form::Secret,
            proof: keyholt_core::actor::Proof::Key,
            manages: Vec::new(),
            source: source(),
            cause: None,
        };
        let token = Fingerprint::of(b"the set-up token");
        let keyholt = found_keyholt(&token, &pepper, source(), now, &mut dice).expect("Keyholt is founded");
        let permit = operator
            .permit(SYSTEM, Subject::Project)
            .expect("an operator founds projects");
        let mut project = |slug: &str| {
            let charter = Charter {
                slug: Slug::new(slug).expect("a slug"),
                name: Name::new(slug).expect("a name"),
                prefix: Prefix::new(slug).expect("a prefix"),
            };
            let (project, _, commit) = found(&permit, charter, now, &mut dice).expect("a project is founded");
            (project, commit)
        };
        let ((acme, acme_founded), (globex, globex_founded)) = (project("acme"), project("globex"));
        let founding = [keyholt, acme_founded, globex_founded].map(|commit| Write::sealed(commit, &sealer));
        let world = Self {
            dice,
            now,
            sealer,
            pepper,
            operator,
            acme,
            globex,
        };
        (world, founding.into())
    }

    /// The instant some milliseconds after the present one.
    pub fn later(&mut self, ms: i64) -> Moment {
        self.now = Moment::from_ms(self.now.ms() + ms);
        self.now
    }

    /// A commit, sealed.
    pub fn sealed(&self, commit: Commit) -> Write {
        Write::sealed(commit, &self.sealer)
    }

    /// The operator's leave.
    pub fn leave<A: Action>(&self, project: ProjectId) -> Permit<A> {
        self.operator
            .permit(project, Subject::Project)
            .expect("an operator may do everything")
    }

    /// What verbs need to know of acme.
    pub fn circumstances(&self) -> (Project, ScopeSet, Pepper) {
        (self.acme.clone(), everything(), self.pepper.clone())
    }

    /// A user of a project, not enrolled yet.
    pub fn user(&mut self, project: ProjectId, external_id: &str) -> Record {
        Record::User(User {
            id: UserId::mint(self.now, &mut self.dice),
            project,
            external_id: ExternalId::new(external_id).expect("an external id"),
            name: Name::new(external_id).expect("a name"),
            email: None,
            roles: BTreeSet::new(),
            standing: Standing::Good,
            metadata: Metadata::default(),
            created_at: self.now,
            revision: Revision::FIRST,
        })
    }

    /// A team of a project, not enrolled yet.
    pub fn team(&mut self, project: ProjectId, external_id: &str) -> Record {
        Record::Team(Team {
            id: TeamId::mint(self.now, &mut self.dice),
            project,
            external_id: ExternalId::new(external_id).expect("an external id"),
            name: Name::new(external_id).expect("a name"),
            roles: BTreeSet::new(),
            members: Vec::new(),
            standing: Standing::Good,
            metadata: Metadata::default(),
            created_at: self.now,
            revision: Revision::FIRST,
        })
    }

    /// A service of a project, not enrolled yet.
    pub fn service(&mut self, project: ProjectId, name: &str) -> Record {
        Record::Service(Service {
            id: ServiceId::mint(self.now, &mut self.dice),
            project,
            name: Slug::new(name).expect("a slug"),
            description: Description::new("").expect("a description"),
            roles: BTreeSet::new(),
            standing: Standing::Good,
            metadata: Metadata::default(),
            created_at: self.now,
            revision: Revision::FIRST,
        })
    }

    /// A role of a project, not enrolled yet.
    pub fn role(&mut self, project: ProjectId, name: &str) -> Record {
        Record::Role(Role {
            id: RoleId::mint(self.now, &mut self.dice),
            project,
            name: Slug::new(name).expect("a slug"),
            description: Description::new("").expect("a description"),
            scopes: ScopeSet::default(),
            created_at: self.now,
            revision: Revision::FIRST,
        })
    }

    /// The enrolment of a record.
    pub fn enrolment(&self, record: &Record) -> Write {
        let permit = self.leave::<keyholt_core::actor::WriteOwners>(record.project());
        self.sealed(enrol(&permit, record.clone(), &ScopeSet::default(), self.now).expect("an enrolment"))
    }

    /// The replacement of a record by another version.
    pub fn replacement(&self, before: &Record, after: Record) -> (Record, Write) {
        let permit = self.leave::<keyholt_core::actor::WriteOwners>(after.project());
        let (after, commit) =
            change(&permit, before, after, &ScopeSet::default(), None, self.now).expect("a replacement");
        (after, self.sealed(commit))
    }

    /// The removal of a record.
    pub fn removal(&self, record: &Record) -> Write {
        let permit = self.leave::<keyholt_core::actor::WriteOwners>(record.project());
        self.sealed(keyholt_core::enrol::remove(&permit, record.clone(), None, self.now))
    }

    /// Enrols a user and tells its record and who it is as an owner.
    pub async fn enrolled(&mut self, store: &dyn Store, record: Record) -> (Record, Owner) {
        store.commit(vec![self.enrolment(&record)]).await.expect("a new record");
        let owner = record.owner().expect("users, teams and services are owners");
        (record, owner)
    }

    /// A plain wish for a key.
    pub fn wish(&self, owner: Owner, name: &str) -> Wish {
        Wish {
            owner,
            kind: Kind::Standard,
            name: Name::new(name).expect("a name"),
            description: Description::new("").expect("a description"),
            metadata: Metadata::default(),
            tags: BTreeSet::new(),
            access: Access::Only(ScopeSet::default()),
            bounds: Bounds::default(),
            life: Life::Never,
            origin: SecretOrigin::Minted,
        }
    }

    /// A key of acme made from a wish, and the commit that makes it.
    pub fn issued(&mut self, wish: Wish) -> (Key, Commit) {
        let acme = self.acme.clone();
        self.issued_in(&acme, wish)
    }

    /// A key of a project made from a wish, and the commit that makes it.
    pub fn issued_in(&mut self, project: &Project, wish: Wish) -> (Key, Commit) {
        let permit: Permit<WriteKeys> = self.leave(project.id);
        let permissions = everything();
        let world = Circumstances {
            project,
            permissions: &permissions,
            pepper: &self.pepper,
        };
        let (issued, commit) = issue(&permit, wish, world, self.now, &mut self.dice).expect("an operator may issue");
        (issued.key, commit)
    }

    /// A session of a user of acme with its first refresh token, and the commit that starts it.
    pub fn session(&mut self, user: &User) -> (Key, String, Commit) {
        let wish = session::Wish {
            access: Access::Everything,
            mode: session::Mode::Tokens,
            name: Name::new("laptop").expect("a name"),
        };
        let (started, commit) = session::start(
            user,
            wish,
            &self.acme,
            &self.pepper,
            &source(),
            self.now,
            &mut self.dice,
        )
        .expect("a session");
        (started.session, started.secret.reveal().to_string(), commit)
    }

    /// The same session after its token was used, and the commit that makes it so.
    pub fn refreshed(&mut self, session: &Key, token: &str) -> (Key, String, Commit) {
        let shown = RefreshToken::parse(token).expect("a refresh token");
        let policy = self.acme.policy.log_in;
        let (started, commit) = session::refresh(
            session,
            shown,
            &policy,
            &self.pepper,
            &source(),
            self.now,
            &mut self.dice,
        )
        .expect("the newest token");
        (started.session, started.secret.reveal().to_string(), commit)
    }

    /// A user's password, not set yet.
    pub fn password(&mut self, user: &User) -> Record {
        Record::Password(Password {
            user: user.id,
            project: user.project,
            hash: HashText::new(&format!("$argon2id$…${}", self.dice.roll())),
            made: Made::Now,
            changed_at: self.now,
            revision: Revision::FIRST,
        })
    }

    /// Makes a key from a wish.
    pub async fn key(&mut self, store: &dyn Store, wish: Wish) -> Key {
        let (key, commit) = self.issued(wish);
        store.commit(vec![self.sealed(commit)]).await.expect("a new key");
        key
    }

    /// Commits one write.
    pub async fn commit(&self, store: &dyn Store, commit: Commit) -> Result<EventNumber, CommitError> {
        store.commit(vec![self.sealed(commit)]).await.map(|numbers| numbers[0])
    }

    /// A refused attempt at a key.
    pub fn refusal(&self, project: ProjectId, action: &str) -> Commit {
        let target = Target {
            noun: Noun::Key,
            id: None,
        };
        let owner = Some(self.operator.owner);
        Commit::refusal(Event::refused(
            &self.operator,
            project,
            action,
            target,
            owner,
            "forbidden",
            self.now,
        ))
    }

    /// What is remembered of a repeated request.
    pub fn replay(&self, request: &str, made: uuid::Uuid) -> Replay {
        Replay {
            actor: self.operator.key,
            request: RequestKey::new(request).expect("a request key"),
            question: [3; 32],
            made,
            at: self.now,
        }
    }
}

/// Why somebody did something.
pub fn cause(text: &str) -> Cause {
    Cause::new(text).expect("a cause")
}

pub(super) fn source() -> Source {
    Source {
        address: Some([192, 0, 2, 7].into()),
        request: RequestKey::new("story").expect("a request id"),
    }
}
