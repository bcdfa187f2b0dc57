//! Single commits: how many a store acknowledges when each waits for the one before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use keyholt_core::actor::{Actor, Subject, WriteKeys};
use keyholt_core::id::ProjectId;
use keyholt_core::issue::{Circumstances, issue};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::project::Project;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::seal::Sealer;
use keyholt_core::secret::Pepper;
use keyholt_server::keeper::Keeper;
use keyholt_store::{Store, Write};

use crate::data::{ASKED, Facts, Seeded, keeper_on, master, owner_handle, source, wish};

/// The stream of randomness of what is committed here; that of the house is another.
const STREAM: u64 = u64::MAX - 1;

/// Somebody who commits one new key after the other, straight to the store.
pub struct SingleCommits {
    store: Arc<dyn Store>,
    keeper: Keeper,
    actor: Actor,
    project: Project,
    owner: Owner,
    permissions: ScopeSet,
    pepper: Pepper,
    sealer: Sealer,
    entropy: Seeded,
}

impl SingleCommits {
    /// Sits down at a store that holds a data set.
    pub async fn open(store: Arc<dyn Store>, facts: &Facts) -> anyhow::Result<Self> {
        let keeper = keeper_on(Arc::clone(&store)).await?;
        let actor = keeper.authenticate(&facts.operator, source()?)?;
        let id: ProjectId = facts.project;
        Ok(Self {
            project: keeper.project(&actor, id)?,
            owner: keeper.owner_named(id, OwnerKind::User, &owner_handle(0))?,
            permissions: ScopeSet::parse(["*"])?,
            pepper: master().pepper(),
            sealer: master().sealer(),
            entropy: Seeded::stream(STREAM),
            store,
            keeper,
            actor,
        })
    }

    /// Commits per second; only the time in the store counts.
    pub async fn run(&mut self, time: Duration) -> anyhow::Result<f64> {
        let (mut spent, mut commits) = (Duration::ZERO, 0);
        while spent < time {
            let write = self.write()?;
            let began = Instant::now();
            self.store.commit(vec![write]).await.context("a commit")?;
            spent += began.elapsed();
            commits += 1;
        }
        Ok(f64::from(commits) / spent.as_secs_f64())
    }

    /// Lets go of the store.
    pub async fn close(self) {
        drop(self.keeper);
        self.store.close().await;
    }

    fn write(&mut self) -> anyhow::Result<Write> {
        let permit = self
            .actor
            .permit::<WriteKeys>(self.project.id, Subject::Owner(self.owner))?;
        let access = Access::Only(ScopeSet::parse([ASKED])?);
        let world = Circumstances {
            project: &self.project,
            permissions: &self.permissions,
            pepper: &self.pepper,
        };
        let (_, commit) = issue(
            &permit,
            wish(self.owner, "made by the bench", access)?,
            world,
            self.keeper.now(),
            &mut self.entropy,
        )?;
        Ok(Write::sealed(commit, &self.sealer))
    }
}
