//! The audit trail: who may read it.

use keyholt_core::actor::{Actor, ReadAudit, Subject};
use keyholt_core::audit::Noun;
use keyholt_core::id::ProjectId;
use keyholt_store::{EventQuery, NumberedEvent, Page};

use super::{Keeper, Refusal};

impl Keeper {
    /// Audit events of a project, newest first.
    pub async fn events(
        &self,
        actor: &Actor,
        project: ProjectId,
        query: &EventQuery,
    ) -> Result<Page<NumberedEvent>, Refusal> {
        self.may::<ReadAudit>(actor, project, Subject::Project, Noun::Project)?;
        Ok(self.store.events(project, query).await?)
    }
}
