//! The world of the stories: the project Acme, who is in it, and what happens when they ask for something.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keyholt_core::actor::{Action, Actor, Forbidden, Permit, Source, Subject, WriteKeys};
use keyholt_core::amend::{AmendError, Amendment, amend};
use keyholt_core::authority::Authority;
use keyholt_core::commit::{Commit, Revision};
use keyholt_core::id::{KeyId, ProjectId, SYSTEM, ServiceId, TeamId, UserId};
use keyholt_core::issue::{Circumstances, IssueError, Issued, Wish, issue};
use keyholt_core::key::{Key, State};
use keyholt_core::owner::{Owner, OwnerKind, Standing, User};
use keyholt_core::pause::{PauseError, resume, suspend};
use keyholt_core::project::{Policy, Project};
use keyholt_core::revoke::revoke;
use keyholt_core::rotate::{RotateError, Turn, rotate};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::seal::{MasterKey, Sealer};
use keyholt_core::secret::{Pepper, Prefix, Presented};
use keyholt_core::text::{ExternalId, Metadata, RequestKey, Slug};
use keyholt_core::time::{Expiry, Moment, Span};
use keyholt_core::verify::{Ask, Dossier, Shown, Stopped, Verification, judge};

use super::{Seeded, cause, name, scopes};

/// When the stories begin: 2030-01-01T00:00:00Z.
pub const NEW_YEAR: Moment = Moment::from_ms(1_893_456_000_000);

/// A key together with its secret, as its holder has it.
#[derive(Clone, Debug)]
pub struct Held {
    pub key: Key,
    pub secret: String,
}

/// Everything that a verb or the judge needs to know.
pub struct World {
    pub pepper: Pepper,
    pub sealer: Sealer,
    pub project: Project,
    pub now: Moment,
    pub entropy: Seeded,
    permissions: BTreeMap<Owner, ScopeSet>,
    suspended: BTreeSet<Owner>,
}

impl World {
    pub fn new() -> Self {
        let mut entropy = Seeded::new(7);
        let master = MasterKey::new([42; 32]);
        let policy = Policy::new(Prefix::new("acme").unwrap(), BTreeSet::new());
        let project = Project {
            id: ProjectId::mint(NEW_YEAR, &mut entropy),
            slug: Slug::new("acme").unwrap(),
            name: super::name("Acme"),
            policy,
            standing: Standing::Good,
            created_at: NEW_YEAR,
            revision: Revision::FIRST,
        };
        Self {
            pepper: master.pepper(),
            sealer: master.sealer(),
            project,
            now: NEW_YEAR,
            entropy,
            permissions: BTreeMap::new(),
            suspended: BTreeSet::new(),
        }
    }

    /// Moves the clock.
    pub fn later(&mut self, span: Span) {
        self.now = self.now.plus(span);
    }

    /// An owner of Acme who may do this.
    pub fn owner(&mut self, kind: OwnerKind, may: &[&str]) -> Owner {
        let (now, entropy) = (self.now, &mut self.entropy);
        let owner = match kind {
            OwnerKind::User => Owner::User(UserId::mint(now, entropy)),
            OwnerKind::Team => Owner::Team(TeamId::mint(now, entropy)),
            OwnerKind::Service => Owner::Service(ServiceId::mint(now, entropy)),
        };
        self.may(owner, scopes(may));
        owner
    }

    /// A user of Acme who may do this.
    pub fn user(&mut self, may: &[&str]) -> Owner {
        self.owner(OwnerKind::User, may)
    }

    /// The record of a user of Acme with this id.
    pub fn ada(&self, id: UserId) -> User {
        User {
            id,
            project: self.project.id,
            external_id: ExternalId::new("ada").unwrap(),
            name: name("Ada"),
            email: None,
            roles: Default::default(),
            standing: Standing::Good,
            metadata: Metadata::default(),
            created_at: self.now,
            revision: Revision::FIRST,
        }
    }

    /// Gives an owner other permissions, as a change of roles would.
    pub fn may(&mut self, owner: Owner, scopes: ScopeSet) {
        self.permissions.insert(owner, scopes);
    }

    /// What an owner may do now.
    pub fn permissions(&self, owner: Owner) -> Cow<'_, ScopeSet> {
        self.permissions.get(&owner).map_or_else(Cow::default, Cow::Borrowed)
    }

    /// Stops an owner's keys, or lets them work again.
    pub fn stand(&mut self, owner: Owner, standing: Standing) {
        match standing {
            Standing::Good => self.suspended.remove(&owner),
            Standing::Suspended { .. } => self.suspended.insert(owner),
        };
    }

    /// Whoever shows a key with this access and end.
    pub fn caller(&mut self, owner: Owner, access: Access, expiry: Expiry) -> Actor {
        Actor {
            key: KeyId::mint(self.now, &mut self.entropy),
            owner,
            home: self.project.id,
            effective: Arc::new(access.effective(&self.permissions(owner))),
            access: Arc::new(access),
            expiry,
            form: keyholt_core::verify::Form::Secret,
            proof: keyholt_core::actor::Proof::Key,
            manages: Vec::new(),
            source: Source {
                address: None,
                request: RequestKey::new("story").unwrap(),
            },
            cause: None,
        }
    }

    /// Whoever shows this key.
    pub fn holder(&mut self, key: &Key) -> Actor {
        let caller = self.caller(key.owner, key.access.clone(), key.expiry);
        Actor { key: key.id, ..caller }
    }

    /// An operator of the installation: at home in Keyholt's own project.
    pub fn operator(&mut self) -> Actor {
        let olga = self.user(&["*", "keyholt:*"]);
        let caller = self.caller(olga, Access::Everything, Expiry::Never);
        Actor { home: SYSTEM, ..caller }
    }

    /// Acme's administrator.
    pub fn admin(&mut self) -> Actor {
        let alice = self.user(&["*", "keyholt:*"]);
        self.caller(alice, Access::Everything, Expiry::Never)
    }

    /// Somebody who uses Acme's product and manages own keys.
    pub fn member(&mut self) -> Actor {
        let mia = self.user(&["*", "keyholt:self:*"]);
        self.caller(mia, Access::Everything, Expiry::Never)
    }

    /// An administrator, but of another project.
    pub fn stranger(&mut self) -> Actor {
        let admin = self.admin();
        Actor {
            home: ProjectId::mint(self.now, &mut self.entropy),
            ..admin
        }
    }

    /// A machine whose key may do this and no more, though its owner may do everything.
    pub fn machine(&mut self, may: &[&str]) -> Actor {
        let service = self.owner(OwnerKind::Service, &["*", "keyholt:*"]);
        self.caller(service, super::only(may), Expiry::Never)
    }

    /// Leave to do something about this owner.
    pub fn permit<A: Action>(&self, actor: &Actor, owner: Owner) -> Result<Permit<A>, Forbidden> {
        actor.permit(self.project.id, Subject::Owner(owner))
    }

    /// Leave to write this owner's keys, which the story takes for granted.
    pub fn leave(&self, actor: &Actor, owner: Owner) -> Permit<WriteKeys> {
        self.permit(actor, owner).unwrap()
    }

    pub fn issue(&mut self, actor: &Actor, wish: Wish) -> Result<(Issued, Commit), IssueError> {
        let permit = self.leave(actor, wish.owner);
        let permissions = self.permissions(wish.owner).into_owned();
        let world = Circumstances {
            project: &self.project,
            permissions: &permissions,
            pepper: &self.pepper,
        };
        issue(&permit, wish, world, self.now, &mut self.entropy)
    }

    /// Issues a key whose secret is minted, which the story takes for granted.
    pub fn held(&mut self, actor: &Actor, wish: Wish) -> Held {
        let (issued, _) = self.issue(actor, wish).unwrap();
        let secret = revealed(issued.secret.unwrap());
        Held {
            key: issued.key,
            secret,
        }
    }

    pub fn rotate(&mut self, actor: &Actor, key: &Key, turn: Turn) -> Result<(Held, Commit), RotateError> {
        let permit = self.leave(actor, key.owner);
        let permissions = self.permissions(key.owner).into_owned();
        let world = Circumstances {
            project: &self.project,
            permissions: &permissions,
            pepper: &self.pepper,
        };
        let (rotated, commit) = rotate(&permit, key, turn, world, self.now, &mut self.entropy)?;
        let secret = rotated.secret.map(revealed).unwrap_or_default();
        Ok((
            Held {
                key: rotated.key,
                secret,
            },
            commit,
        ))
    }

    pub fn amend(&self, actor: &Actor, key: &Key, amendment: Amendment) -> Result<Option<(Key, Commit)>, AmendError> {
        let permissions = self.permissions(key.owner);
        let world = Circumstances {
            project: &self.project,
            permissions: &permissions,
            pepper: &self.pepper,
        };
        amend(&self.leave(actor, key.owner), key, amendment, world, self.now)
    }

    pub fn suspend(&self, actor: &Actor, key: &Key) -> Result<Option<(Key, Commit)>, PauseError> {
        suspend(&self.leave(actor, key.owner), key, None, self.now)
    }

    pub fn resume(&self, actor: &Actor, key: &Key) -> Result<Option<(Key, Commit)>, PauseError> {
        let permissions = self.permissions(key.owner);
        let world = Circumstances {
            project: &self.project,
            permissions: &permissions,
            pepper: &self.pepper,
        };
        resume(&self.leave(actor, key.owner), key, None, world, self.now)
    }

    pub fn revoke(&self, actor: &Actor, key: &Key, why: &str) -> Option<(Key, Commit)> {
        revoke(&self.leave(actor, key.owner), key, cause(why), self.now)
    }

    /// What a verifier of Acme learns about a secret, this being the only key there is.
    pub fn verify(&self, key: &Key, secret: &str, ask: &Ask<'_>) -> Verification {
        let Some(shown) = self.shown(key, secret) else {
            return judge(None, self.project.id, ask, self.now);
        };
        let permissions = self.permissions(key.owner);
        let owner_standing = if self.suspended.contains(&key.owner) {
            Standing::Suspended { since: self.now }
        } else {
            Standing::Good
        };
        let dossier = Dossier {
            owner_standing,
            ..self.dossier(key, &permissions, shown)
        };
        judge(Some(&dossier), self.project.id, ask, self.now)
    }

    /// What is known of a key of an owner in good standing when this of its secrets was shown.
    pub fn dossier<'a>(&self, key: &'a Key, permissions: &'a ScopeSet, shown: Shown) -> Dossier<'a> {
        Dossier {
            key: key.id,
            project: key.project,
            owner: key.owner,
            kind: key.kind,
            authority: Authority::new(&key.access, permissions),
            bounds: &key.bounds,
            expiry: key.expiry,
            stopped: match key.state {
                State::Active => Stopped::No,
                State::Suspended { .. } => Stopped::Suspended,
                State::Revoked { .. } => Stopped::Revoked,
            },
            shown,
            owner_standing: Standing::Good,
            project_standing: self.project.standing,
            form: keyholt_core::verify::Form::Secret,
        }
    }

    /// Whether a secret opens anything at all, and if not why.
    pub fn verdict(&self, held: &Held) -> &'static str {
        self.verdict_on(&held.key, &held.secret)
    }

    /// The same of a key as it is now, with whichever secret.
    pub fn verdict_on(&self, key: &Key, secret: &str) -> &'static str {
        match self.verify(key, secret, &Ask::default()) {
            Verification::Granted(_) => "granted",
            Verification::Denied(denial) => denial.code().as_str(),
        }
    }

    fn shown(&self, key: &Key, secret: &str) -> Option<Shown> {
        let digest = self.pepper.digest(Presented::parse(secret).ok()?.fingerprint());
        if key.credentials.current().matches(&digest) {
            return Some(Shown::Current);
        }
        let (retiring, until) = key.credentials.retiring()?;
        retiring.matches(&digest).then_some(Shown::Retiring { until })
    }
}

/// What a key may do now.
pub fn effective(world: &World, key: &Key) -> ScopeSet {
    key.access.effective(&world.permissions(key.owner))
}

fn revealed(secret: keyholt_core::secret::Secret) -> String {
    let text = secret.reveal().to_string();
    register(&text);
    text
}

/// Tells the suite's last gate about a secret; it searches everything that the suite left behind.
#[expect(
    clippy::disallowed_methods,
    reason = "the suite hands the folder over in the environment, and this is a test"
)]
fn register(secret: &str) {
    use std::io::Write;
    if let Ok(folder) = std::env::var("KEYHOLT_TEST_CANARY") {
        let path = std::path::Path::new(&folder).join("secrets");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        // In one write, line end and all: other tests append at the same time.
        file.unwrap().write_all(format!("{secret}\n").as_bytes()).unwrap();
    }
}
