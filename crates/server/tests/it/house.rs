//! The house in which stories happen: a keeper on a memory store, on New Year's Day 2030, with a seeded random source.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use keyholt_core::actor::{Actor, Source};
use keyholt_core::audit::{Event, Outcome};
use keyholt_core::commit::{Record, Revision};
use keyholt_core::entropy::Entropy;
use keyholt_core::found::{Charter, FirstOperator};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::issue::{Issued, Life, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Key, Kind};
use keyholt_core::owner::{Member, MemberRight, Owner, Service, Standing, Team, User};
use keyholt_core::project::Project;
use keyholt_core::scope::{Access, ScopeSet, Wanted};
use keyholt_core::seal::MasterKey;
use keyholt_core::secret::Prefix;
use keyholt_core::text::{Description, ExternalId, Metadata, Name, RequestKey, Slug};
use keyholt_core::time::Span;
use keyholt_core::verify::{Ask, Needed};
use keyholt_server::clock::FakeClock;
use keyholt_server::keeper::{Allowance, Counting, FirstStart, Keeper, Parts, Question, Refusal, SetBack};
use keyholt_store::{EventQuery, Limit, Memory, Store};

/// 2030-01-01T00:00:00Z.
pub const NEW_YEAR: i64 = 1_893_456_000_000;

/// The one secret of every house.
pub fn master() -> MasterKey {
    MasterKey::new([42; 32])
}

/// How many wrong credentials one source may show in a minute: more than any story shows, but for those about that.
pub const GUESSES: Allowance = Allowance {
    per_minute: NonZeroU32::new(100).unwrap(),
};

/// Seeded randomness (splitmix64): every run of a story makes the same ids and secrets.
pub struct Seeded(u64);

impl Entropy for Seeded {
    fn fill(&mut self, buffer: &mut [u8]) {
        for byte in buffer {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            *byte = (z ^ (z >> 31)).to_be_bytes()[0];
        }
    }
}

/// Seeded randomness from the start.
pub fn seeded(seed: u64) -> Seeded {
    Seeded(seed)
}

pub fn source() -> Source {
    Source {
        address: Some("192.0.2.7".parse().unwrap()),
        request: RequestKey::new("story").unwrap(),
    }
}

/// A key with the secret that its holder wrote down.
#[derive(Clone)]
pub struct Held {
    pub key: Key,
    pub secret: String,
}

impl Held {
    pub fn id(&self) -> KeyId {
        self.key.id
    }
}

pub fn held(issued: Issued) -> Held {
    let secret = issued.secret.expect("a minted secret").reveal().to_string();
    canary(&secret);
    Held {
        key: issued.key,
        secret,
    }
}

/// Registers a secret with the suite's last gate, which searches everything that was written for it.
#[expect(
    clippy::disallowed_methods,
    reason = "the suite tells its tests by the environment where the gate collects"
)]
pub fn canary(secret: &str) {
    use std::io::Write;
    if let Ok(folder) = std::env::var("KEYHOLT_TEST_CANARY") {
        let path = std::path::Path::new(&folder).join("secrets");
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .unwrap();
        // In one write, line end and all: other tests append at the same time.
        file.write_all(format!("{secret}\n").as_bytes()).unwrap();
    }
}

#[derive(Clone)]
pub struct House {
    pub keeper: Arc<Keeper>,
    pub clock: Arc<FakeClock>,
    pub store: Arc<dyn Store>,
    /// The first operator's key.
    pub operator: Held,
    /// The project in which the stories happen.
    pub acme: Project,
}

impl House {
    pub async fn open() -> Self {
        Self::open_on(Arc::new(Memory::new())).await
    }

    pub async fn open_on(store: Arc<dyn Store>) -> Self {
        Self::open_at(store, NEW_YEAR).await
    }

    /// A house in another year, by the milliseconds since 1970.
    pub async fn open_at(store: Arc<dyn Store>, now: i64) -> Self {
        let clock = Arc::new(FakeClock::at(now));
        let keeper = keeper_on(Arc::clone(&store), Arc::clone(&clock), 7).await;
        let FirstStart::Token(token) = keeper.start(source()).await.unwrap() else {
            panic!("set up already")
        };
        let token = token.reveal();
        canary(&token);
        let who = FirstOperator {
            name: Name::new("Olga").unwrap(),
            external_id: ExternalId::new("olga").unwrap(),
            email: None,
        };
        let operator = held(keeper.set_up(&token, who, source()).await.unwrap().issued);
        let actor = keeper.authenticate(&operator.secret, source()).unwrap();
        let acme = keeper.found_project(&actor, charter("acme")).await.unwrap();
        Self {
            keeper,
            clock,
            store,
            operator,
            acme,
        }
    }

    /// The same house with another keeper, on this store, which holds the same data.
    pub async fn beside(&self, store: Arc<dyn Store>) -> Self {
        // Another random source: two keepers that make the same ids would get in each other's way.
        let keeper = keeper_on(Arc::clone(&store), Arc::clone(&self.clock), 11).await;
        Self {
            keeper,
            store,
            ..self.clone()
        }
    }

    pub fn advance(&self, span: Span) {
        self.clock.advance(Duration::from_millis(span.ms()));
    }

    pub fn project(&self) -> ProjectId {
        self.acme.id
    }

    /// The operator, as an actor.
    pub fn olga(&self) -> Actor {
        self.actor(&self.operator.secret)
    }

    pub fn actor(&self, secret: &str) -> Actor {
        self.keeper.authenticate(secret, source()).unwrap()
    }

    pub async fn user(&self, name: &str) -> User {
        self.user_with(name, &["member"]).await
    }

    pub async fn user_with(&self, name: &str, roles: &[&str]) -> User {
        let user = self.new_user(self.project(), name, roles);
        self.enrol(Record::User(user.clone())).await;
        user
    }

    /// Enrols an owner, as the operator.
    pub async fn enrol(&self, record: Record) {
        self.keeper.enrol_owner(&self.olga(), record).await.unwrap();
    }

    /// A user who is not enrolled yet.
    pub fn new_user(&self, project: ProjectId, name: &str, roles: &[&str]) -> User {
        let (id, created_at) = self.keeper.mint_user();
        User {
            id,
            project,
            external_id: ExternalId::new(name).unwrap(),
            name: Name::new(name).unwrap(),
            email: None,
            roles: roles
                .iter()
                .map(|role| self.keeper.role_named(project, role).unwrap().id)
                .collect(),
            standing: Standing::Good,
            metadata: Metadata::default(),
            created_at,
            revision: Revision::FIRST,
        }
    }

    pub async fn team(&self, name: &str, members: Vec<(&User, MemberRight)>) -> Team {
        let (id, created_at) = self.keeper.mint_team();
        let mut members: Vec<Member> = members
            .into_iter()
            .map(|(user, right)| Member { user: user.id, right })
            .collect();
        members.sort_by_key(|member| member.user);
        let team = Team {
            id,
            project: self.project(),
            external_id: ExternalId::new(name).unwrap(),
            name: Name::new(name).unwrap(),
            roles: self.acme.policy.default_roles.clone(),
            members,
            standing: Standing::Good,
            metadata: Metadata::default(),
            created_at,
            revision: Revision::FIRST,
        };
        self.enrol(Record::Team(team.clone())).await;
        team
    }

    pub async fn service(&self, name: &str, role: &str) -> Service {
        let (id, created_at) = self.keeper.mint_service();
        let service = Service {
            id,
            project: self.project(),
            name: Slug::new(name).unwrap(),
            description: Description::new("").unwrap(),
            roles: [self.keeper.role_named(self.project(), role).unwrap().id].into(),
            standing: Standing::Good,
            metadata: Metadata::default(),
            created_at,
            revision: Revision::FIRST,
        };
        self.enrol(Record::Service(service.clone())).await;
        service
    }

    /// A key made by the operator.
    pub async fn issue(&self, wish: Wish) -> Held {
        self.issue_in(self.project(), wish).await
    }

    /// A key of another project, made by the operator.
    pub async fn issue_in(&self, project: ProjectId, wish: Wish) -> Held {
        held(self.keeper.issue_key(&self.olga(), project, wish, None).await.unwrap())
    }

    /// A service's key that may verify.
    pub async fn verifier(&self) -> Held {
        let service = self.service("api", "verifier").await;
        self.issue(wish(Owner::Service(service.id), "api").scopes(&["keyholt:verify"]))
            .await
    }

    /// The verdict on a secret, as a verifier of the project is told it.
    pub fn verdict(&self, secret: &str, scopes: &[&str]) -> serde_json::Value {
        self.ask(
            secret,
            Ask {
                scopes: needed(scopes),
                ..Ask::default()
            },
        )
    }

    pub fn ask(&self, secret: &str, ask: Ask<'_>) -> serde_json::Value {
        let question = Question {
            credential: secret,
            ask,
            counting: Counting::Counted,
        };
        let mut json = Vec::new();
        self.keeper
            .verify(self.project(), &question, |answer| answer.write_json(None, &mut json))
            .unwrap();
        serde_json::from_slice(&json).unwrap()
    }

    pub fn code(&self, secret: &str, scopes: &[&str]) -> String {
        self.verdict(secret, scopes)["code"].as_str().unwrap().to_owned()
    }

    /// The actions of the project's audit trail, newest first, each with the code of its refusal.
    pub async fn trail(&self) -> Vec<String> {
        let events = self.events(self.project()).await;
        events.iter().map(in_short).collect()
    }

    /// A project's newest audit events, newest first.
    pub async fn events(&self, project: ProjectId) -> Vec<Event> {
        let page = self.keeper.events(&self.olga(), project, &all_events()).await.unwrap();
        page.entries.into_iter().map(|entry| entry.event).collect()
    }

    /// The number of the newest commit: how many events there are in all projects together.
    pub async fn commits(&self) -> u64 {
        self.store.load(&mut |_| ()).await.unwrap().0
    }
}

/// Every event.
pub fn all_events() -> EventQuery {
    EventQuery {
        action: None,
        target: None,
        actor: None,
        owner: None,
        refused: None,
        since: None,
        until: None,
        after: None,
        limit: Limit::LARGEST,
    }
}

/// An event's action, and the code of its refusal.
pub fn in_short(event: &Event) -> String {
    match &event.outcome {
        Outcome::Done => event.action.clone(),
        Outcome::Refused { code } => format!("{} refused: {code}", event.action),
    }
}

/// A project with this slug, name and key prefix.
pub fn charter(slug: &str) -> Charter {
    Charter {
        slug: Slug::new(slug).unwrap(),
        name: Name::new(slug).unwrap(),
        prefix: Prefix::new(slug).unwrap(),
    }
}

pub async fn keeper_on(store: Arc<dyn Store>, clock: Arc<FakeClock>, seed: u64) -> Arc<Keeper> {
    keeper_after(store, clock, seed, SetBack::Refuse).await
}

/// A keeper that is told what to do about a clock that was set back.
pub async fn keeper_after(store: Arc<dyn Store>, clock: Arc<FakeClock>, seed: u64, set_back: SetBack) -> Arc<Keeper> {
    let parts = Parts {
        set_back,
        ..parts(store, clock, seed)
    };
    Arc::new(Keeper::open(parts).await.unwrap())
}

/// What keepers of the house are made of.
pub fn parts(store: Arc<dyn Store>, clock: Arc<FakeClock>, seed: u64) -> Parts {
    Parts {
        store,
        masters: master().into(),
        clock,
        entropy: Box::new(seeded(seed)),
        staleness_max: Duration::from_secs(2),
        issuers: keyholt_server::keeper::Issuers::at("https://keyholt.example"),
        guesses: GUESSES,
        set_back: SetBack::Refuse,
    }
}

pub fn needed<'a>(scopes: &[&'a str]) -> Needed<'a> {
    match scopes {
        [] => Needed::Nothing,
        scopes => Needed::AllOf(scopes.iter().map(|scope| Wanted::parse(scope).unwrap()).collect()),
    }
}

pub fn wish(owner: Owner, name: &str) -> Wish {
    Wish {
        owner,
        kind: Kind::Standard,
        name: Name::new(name).unwrap(),
        description: Description::new("").unwrap(),
        metadata: Metadata::default(),
        tags: Default::default(),
        access: Access::Only(ScopeSet::default()),
        bounds: Bounds::default(),
        life: Life::Default,
        origin: SecretOrigin::Minted,
    }
}

/// Readable wishes.
pub trait Wishes: Sized {
    fn scopes(self, scopes: &[&str]) -> Self;
    fn everything(self) -> Self;
    fn lasting(self, span: Span) -> Self;
    fn of_kind(self, kind: Kind) -> Self;
    fn bound(self, bounds: Bounds) -> Self;
}

impl Wishes for Wish {
    fn scopes(mut self, scopes: &[&str]) -> Self {
        self.access = Access::Only(ScopeSet::parse(scopes.iter().copied()).unwrap());
        self
    }

    fn everything(mut self) -> Self {
        self.access = Access::Everything;
        self
    }

    fn lasting(mut self, span: Span) -> Self {
        self.life = Life::For(span);
        self
    }

    fn of_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    fn bound(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }
}

/// The refusal of something that must be refused.
pub fn refusal<T>(result: Result<T, Refusal>) -> Refusal {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(refusal) => refusal,
    }
}
