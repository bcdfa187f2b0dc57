//! Keys, one at a time: issue, amend, rotate, suspend, resume, revoke, delete.

use std::borrow::Borrow;

use keyholt_core::actor::{Action, Actor, Permit, ReadKeys, Subject, WriteKeys};
use keyholt_core::amend::{Amendment, amend};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::commit::{Commit, Replay, Revision};
use keyholt_core::entropy::Entropy;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::issue::{Circumstances, Issued, SecretOrigin, Wish, issue};
use keyholt_core::key::{Key, Kind};
use keyholt_core::owner::Owner;
use keyholt_core::pause;
use keyholt_core::remove::delete;
use keyholt_core::revoke::revoke;
use keyholt_core::rotate::{Rotated, Turn, end_grace, rotate};
use keyholt_core::scope::{Access, Wanted};
use keyholt_core::seal::Seal;
use keyholt_core::text::{Cause, RequestKey};
use keyholt_core::time::Moment;
use keyholt_core::verify::Form;
use keyholt_store::CommitError;

use super::way_in::Loss;
use super::{Attempt, Keeper, KeyView, Refusal, TRIES};
use crate::keyring::directory::noun_of;
use crate::keyring::ring::Found;

/// A caller's `Idempotency-Key`, and what it stands for.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The caller's word.
    pub request: RequestKey,
    /// SHA-256 of the question.
    pub question: [u8; 32],
}

const OWN_WRITE: &str = "keyholt:self:write";

/// What a change to one key came to.
type Outcome<T> = Result<Option<(T, Commit)>, Refusal>;

/// A key that is no session: those come and go by log-in, and nothing that is done to keys is done to them.
pub(super) fn no_session<K: Borrow<Key>>(key: K) -> Result<K, Refusal> {
    match key.borrow().kind {
        Kind::Standard | Kind::Static | Kind::Publishable => Ok(key),
        Kind::Session => Err(Refusal::NotFound(Noun::Key)),
    }
}

/// Somebody's attempt to make a key for this owner.
pub(super) fn attempt_to_issue(actor: &Actor, project: ProjectId, owner: Owner) -> Attempt<'_> {
    Attempt {
        actor,
        project,
        action: "key.issue",
        target: Target {
            noun: Noun::Key,
            id: None,
        },
        owner: Some(owner),
    }
}

impl Keeper {
    /// Issues a key. The same question under the same `Idempotency-Key` makes one key, whose secret is not shown twice.
    pub async fn issue_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        wish: Wish,
        idempotency: Option<Idempotency>,
    ) -> Result<Issued, Refusal> {
        let owner = wish.owner;
        let attempt = || attempt_to_issue(actor, project, owner);
        let permit = match self.permit::<WriteKeys>(actor, project, Subject::Owner(owner), noun_of(owner)) {
            Ok(permit) => permit,
            Err(refusal) => return self.refused(refusal, attempt()).await,
        };
        match self.replayed(actor, project, idempotency.as_ref()).await {
            Ok(None) => {}
            Ok(Some(issued)) => return Ok(issued),
            Err(refusal) => return self.refused(refusal, attempt()).await,
        }
        let made = self.issue(&permit, wish);
        let (issued, commit) = match made {
            Ok(made) => made,
            Err(refusal) => return self.refused(refusal, attempt()).await,
        };
        let commit = match &idempotency {
            None => commit,
            Some(Idempotency { request, question }) => commit.remembered(Replay {
                actor: actor.key,
                request: request.clone(),
                question: *question,
                made: issued.key.id.uuid(),
                at: issued.key.created_at,
            }),
        };
        match self.commit(vec![commit]).await {
            Ok(()) => Ok(issued),
            // Two at once with the same request key: the other one made the key.
            Err(CommitError::ReplayTaken) => match self.replayed(actor, project, idempotency.as_ref()).await {
                Ok(Some(issued)) => Ok(issued),
                Ok(None) => Err(Refusal::Busy(Noun::Key)),
                Err(refusal) => self.refused(refusal, attempt()).await,
            },
            Err(error) => self.refused(error.into(), attempt()).await,
        }
    }

    pub(super) fn issue(&self, permit: &Permit<WriteKeys>, wish: Wish) -> Result<(Issued, Commit), Refusal> {
        if let SecretOrigin::ClientMade(fingerprint) | SecretOrigin::Imported { fingerprint, .. } = &wish.origin
            && self.is_taken_earlier(fingerprint)
        {
            return Err(Refusal::SecretTaken);
        }
        let permissions = self.permissions(permit.project(), wish.owner)?;
        self.with_circumstances(permit.project(), &permissions, |world, now, entropy| {
            let (issued, commit) = issue(permit, wish, world, now, entropy)?;
            Ok((issued, commit.made_with(permit.actor().key)))
        })?
    }

    async fn replayed(
        &self,
        actor: &Actor,
        project: ProjectId,
        idempotency: Option<&Idempotency>,
    ) -> Result<Option<Issued>, Refusal> {
        let Some(Idempotency { request, question }) = idempotency else {
            return Ok(None);
        };
        let Some(replay) = self.store.replay(actor.key, request).await? else {
            return Ok(None);
        };
        if replay.question != *question {
            return Err(Refusal::ReplayDiffers);
        }
        let key = self.stored_key(project, KeyId::from_uuid(replay.made)).await?;
        Ok(Some(Issued { key, secret: None }))
    }

    /// Changes a key's label, access, end or bounds.
    pub async fn amend_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        amendment: Amendment,
        based_on: Option<Revision>,
    ) -> Result<KeyView, Refusal> {
        self.amend_key_with(actor, project, id, &|_| amendment.clone(), based_on)
            .await
    }

    /// Changes a key as [`Keeper::amend_key`] does, by an amendment that is made from the key as it is.
    pub async fn amend_key_with(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        amendment: &(dyn Fn(&Key) -> Amendment + Sync),
        based_on: Option<Revision>,
    ) -> Result<KeyView, Refusal> {
        let change =
            |permit: &Permit<WriteKeys>, key: &Key, world: Circumstances<'_>, now: Moment, _: &mut dyn Entropy| {
                let amended = amend(permit, key, amendment(key), world, now)?;
                if let Some((amended, _)) = &amended
                    && amended.access != Access::Everything
                {
                    self.keep_a_way_in(project, Loss::Keys(&[id]))?;
                }
                Ok(amended)
            };
        let key = self
            .change_key(actor, project, id, "key.amend", based_on, 1, change)
            .await?;
        self.view(key).await
    }

    /// Gives a key a new secret.
    pub async fn rotate_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        turn: Turn,
        based_on: Option<Revision>,
    ) -> Result<Rotated, Refusal> {
        let mut secret = None;
        let is_taken = turn.client_made.is_some_and(|made| self.is_taken_earlier(&made));
        let change = |permit: &Permit<WriteKeys>,
                      key: &Key,
                      world: Circumstances<'_>,
                      now: Moment,
                      entropy: &mut dyn Entropy| {
            let (rotated, commit) = rotate(permit, key, turn.clone(), world, now, entropy)?;
            if is_taken {
                return Err(Refusal::SecretTaken);
            }
            secret = rotated.secret;
            Ok(Some((rotated.key, commit)))
        };
        // Of two rotations at once one is done: the other caller must not believe that its secret is the newest.
        let key = self
            .change_key(actor, project, id, "key.rotate", based_on, 1, change)
            .await?;
        Ok(Rotated { key, secret })
    }

    /// Ends the grace of a key's old secret.
    pub async fn end_grace(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        cause: Option<Cause>,
        based_on: Option<Revision>,
    ) -> Result<KeyView, Refusal> {
        let change = |permit: &Permit<WriteKeys>, key: &Key, _: Circumstances<'_>, now: Moment, _: &mut dyn Entropy| {
            Ok(end_grace(permit, key, cause.clone(), now))
        };
        let key = self
            .change_key(actor, project, id, "key.end_grace", based_on, TRIES, change)
            .await?;
        self.view(key).await
    }

    /// Stops a key for a time.
    pub async fn suspend_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        cause: Option<Cause>,
        based_on: Option<Revision>,
    ) -> Result<KeyView, Refusal> {
        let change = |permit: &Permit<WriteKeys>, key: &Key, _: Circumstances<'_>, now: Moment, _: &mut dyn Entropy| {
            self.keep_a_way_in(project, Loss::Keys(&[id]))?;
            Ok(pause::suspend(permit, key, cause.clone(), now)?)
        };
        let key = self
            .change_key(actor, project, id, "key.suspend", based_on, TRIES, change)
            .await?;
        self.view(key).await
    }

    /// Lets a suspended key work again.
    pub async fn resume_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        cause: Option<Cause>,
        based_on: Option<Revision>,
    ) -> Result<KeyView, Refusal> {
        let change =
            |permit: &Permit<WriteKeys>, key: &Key, world: Circumstances<'_>, now: Moment, _: &mut dyn Entropy| {
                Ok(pause::resume(permit, key, cause.clone(), world, now)?)
            };
        let key = self
            .change_key(actor, project, id, "key.resume", based_on, TRIES, change)
            .await?;
        self.view(key).await
    }

    /// Ends a key for good. Again and again comes to the same: the first time and cause are kept.
    ///
    /// To an operator a row that somebody changed in the database is no obstacle.
    pub async fn revoke_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        cause: Cause,
        based_on: Option<Revision>,
    ) -> Result<KeyView, Refusal> {
        if let Some(broken) = self.broken_key(actor, project, id, based_on).await? {
            let key = self.revoke_broken(broken, cause).await?;
            return self.view(key).await;
        }
        let change = |permit: &Permit<WriteKeys>, key: &Key, _: Circumstances<'_>, now: Moment, _: &mut dyn Entropy| {
            self.keep_a_way_in(project, Loss::Keys(&[id]))?;
            Ok(revoke(permit, key, cause.clone(), now))
        };
        let key = self
            .change_key(actor, project, id, "key.revoke", based_on, TRIES, change)
            .await?;
        self.view(key).await
    }

    /// Takes a key's record out; the audit trail stays.
    ///
    /// To an operator a row that somebody changed in the database is no obstacle.
    pub async fn delete_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        cause: Option<Cause>,
        based_on: Option<Revision>,
    ) -> Result<(), Refusal> {
        if let Some(broken) = self.broken_key(actor, project, id, based_on).await? {
            return self.delete_broken(broken, cause).await;
        }
        let change = |permit: &Permit<WriteKeys>, key: &Key, _: Circumstances<'_>, now: Moment, _: &mut dyn Entropy| {
            self.keep_a_way_in(project, Loss::Keys(&[id]))?;
            Ok(Some((key.clone(), delete(permit, key, cause.clone(), now))))
        };
        self.change_key(actor, project, id, "key.delete", based_on, TRIES, change)
            .await
            .map(|_| ())
    }

    /// Revokes the key that the actor showed: possession is leave enough to end it.
    pub async fn revoke_own_key(&self, actor: &Actor, cause: Cause) -> Result<KeyView, Refusal> {
        // SECURITY: a token is handed on to others. Whoever got one for less must not end the key.
        let may_write = Wanted::parse(OWN_WRITE).is_ok_and(|scope| actor.effective.covers(scope));
        if actor.form == Form::Token && !may_write {
            return Err(Refusal::Lacks { scope: OWN_WRITE });
        }
        // The permit is made for a holder who may write what is theirs; the key itself need not carry that scope.
        let holder = Actor {
            access: std::sync::Arc::new(Access::Everything),
            effective: std::sync::Arc::new(keyholt_core::scope::ScopeSet::parse([OWN_WRITE]).unwrap_or_default()),
            ..actor.clone()
        };
        let is_session = |found: &Found| found.kind() == Kind::Session;
        if self.keyring.find_key(actor.key).as_ref().is_some_and(is_session) {
            self.end_session(&holder, actor.home, actor.owner, actor.key, cause)
                .await?;
            return self.own_key(actor).await;
        }
        self.revoke_key(&holder, actor.home, actor.key, cause, None).await
    }

    /// Changes one key: reads it, decides, commits; tries again when somebody else got in front, where that is right.
    #[expect(
        clippy::too_many_arguments,
        reason = "one private piece instead of eight copies of it"
    )]
    async fn change_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
        action: &str,
        based_on: Option<Revision>,
        tries: usize,
        mut change: impl FnMut(&Permit<WriteKeys>, &Key, Circumstances<'_>, Moment, &mut dyn Entropy) -> Outcome<Key>,
    ) -> Result<Key, Refusal> {
        let target = Target {
            noun: Noun::Key,
            id: Some(id.uuid()),
        };
        let mut last = Refusal::Busy(Noun::Key);
        let _turn = self.turn_in(project).await;
        for _ in 0..tries.max(1) {
            let (key, permit) = match self.reachable_key::<WriteKeys>(actor, project, id).await {
                Ok(reached) => reached,
                Err((refusal, owner)) => {
                    return self
                        .refused(
                            refusal,
                            Attempt {
                                actor,
                                project,
                                action,
                                target,
                                owner,
                            },
                        )
                        .await;
                }
            };
            let attempt = || Attempt {
                actor,
                project,
                action,
                target,
                owner: Some(key.owner),
            };
            Self::based_on(based_on, key.revision, Noun::Key)?;
            // An owner that was removed leaves revoked keys behind: they may still be deleted.
            let permissions = self.permissions(project, key.owner).unwrap_or_default();
            let decided = self
                .with_circumstances(project, &permissions, |world, now, entropy| {
                    change(&permit, &key, world, now, entropy)
                })
                .and_then(|decided| decided);
            let (changed, commit) = match decided {
                Ok(Some(decided)) => decided,
                Ok(None) => return Ok(key),
                Err(refusal) => return self.refused(refusal, attempt()).await,
            };
            match self.commit(vec![commit]).await {
                Ok(()) => return Ok(changed),
                Err(CommitError::Stale { noun }) => last = Refusal::Busy(noun),
                Err(error) => return self.refused(error.into(), attempt()).await,
            }
        }
        Err(last)
    }

    pub(super) async fn readable_key(&self, actor: &Actor, project: ProjectId, id: KeyId) -> Result<Key, Refusal> {
        self.reached::<ReadKeys, _>(actor, project, self.stored_key(project, id))
            .await
            .map_err(|(refusal, _)| refusal)
    }

    /// One key with leave to do something with it. A refusal comes with the key's owner, as far as the trail may name it.
    async fn reachable_key<A: Action>(
        &self,
        actor: &Actor,
        project: ProjectId,
        id: KeyId,
    ) -> Result<(Key, Permit<A>), (Refusal, Option<Owner>)> {
        let key = self
            .reached::<A, _>(actor, project, self.stored_key(project, id))
            .await?;
        match self.permit::<A>(actor, project, Subject::Owner(key.owner), Noun::Key) {
            Ok(permit) => Ok((key, permit)),
            Err(refusal) => Err((refusal, Some(key.owner))),
        }
    }

    /// The key that is read, where the actor may do something with it. A refusal comes as from [`Keeper::reachable_key`].
    pub(super) async fn reached<A: Action, K: Borrow<Key>>(
        &self,
        actor: &Actor,
        project: ProjectId,
        read: impl Future<Output = Result<K, Refusal>>,
    ) -> Result<K, (Refusal, Option<Owner>)> {
        let leave = |subject| self.may::<A>(actor, project, subject, Noun::Key);
        // SECURITY: asked before the look-up too. Somebody without any such scope is told so, and somebody from another
        // project that nothing is there, whether or not there is such a key.
        leave(Subject::Owner(actor.owner)).map_err(|refusal| (refusal, None))?;
        let key = match read.await {
            Ok(key) => key,
            // Whose it is cannot be known: only somebody whom every key concerns is told.
            Err(Refusal::Tampered(_)) if leave(Subject::Project).is_err() => {
                return Err((Refusal::NotFound(Noun::Key), None));
            }
            Err(refusal) => return Err((refusal, None)),
        };
        let owner = key.borrow().owner;
        match leave(Subject::Owner(owner)) {
            Ok(()) => Ok(key),
            Err(refusal) => Err((refusal, Some(owner))),
        }
    }

    async fn stored_key(&self, project: ProjectId, id: KeyId) -> Result<Key, Refusal> {
        no_session(self.stored(project, id).await?)
    }

    pub(super) async fn stored(&self, project: ProjectId, id: KeyId) -> Result<Key, Refusal> {
        let (key, seal) = self.store.key(project, id).await?.ok_or(Refusal::NotFound(Noun::Key))?;
        self.genuine_key(key, &seal).ok_or(Refusal::Tampered(Noun::Key))
    }

    /// The stored keys that are as Keyholt wrote them.
    pub(super) fn genuine(&self, stored: Vec<(Key, Seal)>) -> impl Iterator<Item = Key> {
        stored
            .into_iter()
            .filter_map(|(key, seal)| self.genuine_key(key, &seal))
    }
}
