//! The house around the keys of a data set: an operator, a project with owners, and a gateway that may verify.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use keyholt_core::actor::{Actor, Source};
use keyholt_core::commit::{Record, Revision};
use keyholt_core::found::{Charter, FirstOperator};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::issue::{Issued, Life, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Kind};
use keyholt_core::owner::{Owner, Service, Standing, User};
use keyholt_core::project::KEYS_PER_OWNER_MAX;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::seal::MasterKey;
use keyholt_core::secret::Prefix;
use keyholt_core::text::{Description, ExternalId, Metadata, Name, RequestKey, Slug};
use keyholt_server::clock::SystemClock;
use keyholt_server::keeper::{Allowance, FirstStart, Keeper, Parts, ProjectChange};
use keyholt_store::{DumpLine, Memory, Store};

use super::secrets::{PREFIX, Seeded};

/// The slug of the project that is measured.
pub const PROJECT: &str = "acme";
/// Owners among whom most keys are spread. The same number in every data set, so that what grows is the number of keys.
pub const OWNERS: usize = 1000;
/// The owner of many keys.
pub const BULK_OWNER: &str = "bulk";
/// The owner of few keys.
pub const RARE_OWNER: &str = "rare";
/// Every data set has this master key.
const MASTER: [u8; 32] = [0x42; 32];
/// The stream of randomness that the house is made from.
const HOUSE_STREAM: u64 = u64::MAX;

/// A house on a memory store.
pub struct House {
    /// Who decides.
    pub keeper: Keeper,
    store: Arc<dyn Store>,
    /// The project that is measured.
    pub project: ProjectId,
    /// The operator's key, which may do everything.
    pub operator: Made,
    /// A gateway's key, which may verify.
    pub gateway: Made,
    /// The owner of many keys.
    pub bulk: Owner,
    /// The owner of few keys.
    pub rare: Owner,
    /// All other owners.
    pub owners: Vec<Owner>,
}

/// A key and the text of its secret.
pub struct Made {
    /// The key.
    pub id: KeyId,
    /// What its holder shows.
    pub secret: String,
}

/// The master key of every data set.
pub fn master() -> MasterKey {
    MasterKey::new(MASTER)
}

/// The master key as it stands in its file.
pub fn master_text() -> String {
    let digits: String = MASTER.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("keyholt-master-key-v1:{digits}\n")
}

/// Opens a keeper on a store of a data set.
pub async fn keeper_on(store: Arc<dyn Store>) -> anyhow::Result<Keeper> {
    keeper_at("https://keyholt.example", store).await
}

/// Opens a keeper on a store of a data set, to whose tokens a server at this address answers.
pub async fn keeper_at(base: &str, store: Arc<dyn Store>) -> anyhow::Result<Keeper> {
    let parts = Parts {
        store,
        masters: master().into(),
        clock: Arc::new(SystemClock::new()),
        entropy: Box::new(Seeded::stream(HOUSE_STREAM)),
        staleness_max: Duration::from_secs(2),
        issuers: keyholt_server::keeper::Issuers::at(base),
        guesses: Allowance {
            per_minute: NonZeroU32::MIN,
        },
        set_back: keyholt_server::keeper::SetBack::Refuse,
    };
    Ok(Keeper::open(parts).await?)
}

/// Where the requests of the bench come from.
pub fn source() -> anyhow::Result<Source> {
    Ok(Source {
        address: None,
        request: RequestKey::new("bench")?,
    })
}

impl House {
    /// Sets everything up in memory.
    pub async fn build() -> anyhow::Result<Self> {
        let store: Arc<dyn Store> = Arc::new(Memory::new());
        let keeper = keeper_on(Arc::clone(&store)).await?;
        let FirstStart::Token(token) = keeper.start(source()?).await? else {
            bail!("an empty store was set up already")
        };
        let who = FirstOperator {
            name: Name::new("Olga")?,
            external_id: ExternalId::new("olga")?,
            email: None,
        };
        let operator = made(keeper.set_up(&token.reveal(), who, source()?).await?.issued)?;
        let olga = actor(&keeper, &operator.secret)?;
        let charter = Charter {
            slug: Slug::new(PROJECT)?,
            name: Name::new("Acme")?,
            prefix: Prefix::new(PREFIX)?,
        };
        let founded = keeper.found_project(&olga, charter).await?;
        let mut policy = founded.policy;
        policy.keys_per_owner = KEYS_PER_OWNER_MAX;
        let change = ProjectChange {
            slug: None,
            name: None,
            policy: Some(policy),
        };
        let project = keeper.change_project(&olga, founded.id, change, None).await?.id;

        let bulk = enrol_user(&keeper, &olga, project, BULK_OWNER).await?;
        let rare = enrol_user(&keeper, &olga, project, RARE_OWNER).await?;
        let mut owners = Vec::with_capacity(OWNERS);
        for number in 0..OWNERS {
            owners.push(enrol_user(&keeper, &olga, project, &owner_handle(number)).await?);
        }
        let gate = enrol_service(&keeper, &olga, project, "gate", "verifier").await?;
        let may_verify = Access::Only(ScopeSet::parse(["keyholt:verify"])?);
        let gateway = made(
            keeper
                .issue_key(&olga, project, wish(gate, "gate", may_verify)?, None)
                .await?,
        )?;
        Ok(Self {
            keeper,
            store,
            project,
            operator,
            gateway,
            bulk,
            rare,
            owners,
        })
    }

    /// The operator, as an actor.
    pub fn olga(&self) -> anyhow::Result<Actor> {
        actor(&self.keeper, &self.operator.secret)
    }

    /// Everything as lines of a dump.
    pub async fn dump(&self) -> anyhow::Result<Vec<DumpLine>> {
        let mut lines = Vec::new();
        self.store.dump(&mut |line| lines.push(line)).await?;
        Ok(lines)
    }
}

/// The handle of the owner with this number; all are of one width.
pub fn owner_handle(number: usize) -> String {
    format!("u-{number:04}")
}

fn actor(keeper: &Keeper, secret: &str) -> anyhow::Result<Actor> {
    Ok(keeper.authenticate(secret, source()?)?)
}

fn made(issued: Issued) -> anyhow::Result<Made> {
    let secret = issued.secret.context("a minted key has a secret")?.reveal().to_string();
    Ok(Made {
        id: issued.key.id,
        secret,
    })
}

/// The wish for an ordinary key.
pub fn wish(owner: Owner, name: &str, access: Access) -> anyhow::Result<Wish> {
    Ok(Wish {
        owner,
        kind: Kind::Standard,
        name: Name::new(name)?,
        description: Description::new("")?,
        metadata: Metadata::default(),
        tags: BTreeSet::new(),
        access,
        bounds: Bounds::default(),
        life: Life::Default,
        origin: SecretOrigin::Minted,
    })
}

async fn enrol_user(keeper: &Keeper, olga: &Actor, project: ProjectId, handle: &str) -> anyhow::Result<Owner> {
    let (id, created_at) = keeper.mint_user();
    let user = User {
        id,
        project,
        external_id: ExternalId::new(handle)?,
        name: Name::new(handle)?,
        email: None,
        roles: [keeper.role_named(project, "member")?.id].into(),
        standing: Standing::Good,
        metadata: Metadata::default(),
        created_at,
        revision: Revision::FIRST,
    };
    keeper.enrol_owner(olga, Record::User(user)).await?;
    Ok(Owner::User(id))
}

async fn enrol_service(
    keeper: &Keeper,
    olga: &Actor,
    project: ProjectId,
    name: &str,
    role: &str,
) -> anyhow::Result<Owner> {
    let (id, created_at) = keeper.mint_service();
    let service = Service {
        id,
        project,
        name: Slug::new(name)?,
        description: Description::new("")?,
        roles: [keeper.role_named(project, role)?.id].into(),
        standing: Standing::Good,
        metadata: Metadata::default(),
        created_at,
        revision: Revision::FIRST,
    };
    keeper.enrol_owner(olga, Record::Service(service)).await?;
    Ok(Owner::Service(id))
}
