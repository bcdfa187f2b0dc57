//! Keys whose rows somebody changed in the database: what may still be done with them, and by whom.

use keyholt_core::actor::{Actor, Permit, Subject, WriteKeys};
use keyholt_core::audit::Noun;
use keyholt_core::commit::{Commit, Revision};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Key;
use keyholt_core::remove::delete_tampered;
use keyholt_core::revoke::revoke_tampered;
use keyholt_core::text::Cause;

use super::{Keeper, Refusal};

/// A key's row as it is stored, which is not as Keyholt wrote it, and leave to do away with it.
pub(super) struct Broken {
    row: Key,
    permit: Permit<WriteKeys>,
}

impl Keeper {
    /// The key of this id, if its row is not as Keyholt wrote it and the actor may do away with it.
    ///
    /// SECURITY: whose it is, and of which project, only the row says. Its project's manager could be made to delete another
    /// project's key by moving the row; an operator has all of them in reach anyway. The operator's own key is as Keyholt wrote
    /// it, or it would not have been recognised: a way in is left.
    pub(super) async fn broken_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        based_on: Option<Revision>,
    ) -> Result<Option<Broken>, Refusal> {
        if !actor.is_operator() {
            return Ok(None);
        }
        let Ok(permit) = self.permit(actor, project, Subject::Project, Noun::Key) else {
            return Ok(None);
        };
        let Some((row, seal)) = self.store.key(project, id).await? else {
            return Ok(None);
        };
        if self.genuine_key(row.clone(), &seal).is_some() {
            return Ok(None);
        }
        Self::based_on(based_on, row.revision, Noun::Key)?;
        Ok(Some(Broken { row, permit }))
    }

    /// Takes the row out.
    pub(super) async fn delete_broken(&self, broken: Broken, cause: Option<Cause>) -> Result<(), Refusal> {
        let Broken { row, permit } = broken;
        self.do_away(delete_tampered(&permit, &row, cause, self.now())).await
    }

    /// Ends the key for good, and seals its row so.
    pub(super) async fn revoke_broken(&self, broken: Broken, cause: Cause) -> Result<Key, Refusal> {
        let Broken { row, permit } = broken;
        let (revoked, commit) = self.mint(|now, entropy| revoke_tampered(&permit, &row, cause, now, entropy));
        self.do_away(commit).await?;
        Ok(revoked)
    }

    async fn do_away(&self, commit: Commit) -> Result<(), Refusal> {
        // Whoever changes the row meanwhile is told of by the seal again.
        Ok(self.commit(vec![commit]).await?)
    }
}
