//! Refused attempts: who tried what and was not let, in the audit trail of where the actor belongs.

use keyholt_core::actor::Actor;
use keyholt_core::audit::{Event, Target};
use keyholt_core::commit::Commit;
use keyholt_core::id::ProjectId;
use keyholt_core::owner::Owner;

use super::{Keeper, Refusal};

/// Somebody's attempt at a change, for the audit trail.
pub(super) struct Attempt<'a> {
    pub(super) actor: &'a Actor,
    pub(super) project: ProjectId,
    pub(super) action: &'a str,
    pub(super) target: Target,
    pub(super) owner: Option<Owner>,
}

/// What a request would change, as far as it can be told before anything is looked up.
#[derive(Clone, Copy, Debug)]
pub struct Attempted {
    /// The action.
    pub action: &'static str,
    /// What it would be done to.
    pub target: Target,
}

impl Keeper {
    /// The project that a path word names, for somebody who wants to read there or, if so, to change something there.
    ///
    /// Whoever is turned away from a change here never reaches the verb that would write the attempt down.
    pub async fn enter(
        &self,
        actor: &Actor,
        word: &str,
        attempted: impl FnOnce() -> Option<Attempted>,
    ) -> Result<ProjectId, Refusal> {
        let refusal = match self.project_named(actor, word) {
            Ok(project) => return Ok(project),
            Err(refusal) => refusal,
        };
        let Some(Attempted { action, target }) = attempted() else {
            return Err(refusal);
        };
        let attempt = Attempt {
            actor,
            project: actor.home,
            action,
            target,
            owner: None,
        };
        self.refused(refusal, attempt).await
    }

    /// Puts a refused attempt into the audit trail and hands the refusal on.
    pub(super) async fn refused<T>(&self, refusal: Refusal, attempt: Attempt<'_>) -> Result<T, Refusal> {
        self.write_attempt(&refusal, attempt).await;
        Err(refusal)
    }

    pub(super) async fn write_attempt(&self, refusal: &Refusal, attempt: Attempt<'_>) {
        if refusal.is_attempt() {
            let Attempt {
                actor,
                project,
                action,
                target,
                owner,
            } = attempt;
            // An attempt on another project is written into the actor's own: the other one must not be written to, nor learn of it.
            let there = actor.is_operator() && self.keyring.project(project).is_some();
            let project = if there { project } else { actor.home };
            let event = Event::refused(
                actor,
                project,
                action,
                target,
                owner,
                refusal.code().as_str(),
                self.now(),
            );
            self.write_refusal(event).await;
        }
    }

    /// Writes down what was refused. The refusal stands whether or not it can be written.
    pub(super) async fn write_refusal(&self, event: Event) {
        let action = event.action.clone();
        if let Err(error) = self.commit(vec![Commit::refusal(event)]).await {
            tracing::warn!(action, %error, "a refused attempt could not be written to the audit trail");
        }
    }
}
