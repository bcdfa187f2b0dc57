//! What a client may ask and end of what was given out: introspection, and revocation before the end.

use std::collections::BTreeMap;

use keyholt_core::actor::{Action, Source, Verify};
use keyholt_core::audit::{ActorRef, Noun};
use keyholt_core::id::{KeyId, ProjectId, SYSTEM};
use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_core::refresh_token::RefreshToken;
use keyholt_core::scope::{ScopeSet, Wanted};
use keyholt_core::text::{Cause, TextError};
use keyholt_core::time::Expiry;
use keyholt_core::token::{RECALLED_MAX, RevokedToken, Token, forget, recall};
use keyholt_core::verify::standing;
use keyholt_store::CommitError;

use super::signers::itself;
use super::tokens::Credential;
use super::{Keeper, Parent, Refusal, Unauthenticated};

/// Recalled tokens that are forgotten in one go.
const FORGOTTEN_MAX: usize = 1_000;

/// What is told about a credential that is good.
#[derive(Debug)]
pub struct Introspected<'a> {
    /// The key that it is, or that it hangs on.
    pub key: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// The name of its project as an issuer.
    pub issuer: &'a str,
    /// Whom it acts for.
    pub owner: Owner,
    /// How people name the owner.
    pub owner_handle: &'a str,
    /// What it may do now.
    pub scope: &'a ScopeSet,
    /// When it stops by itself.
    pub expiry: Expiry,
    /// As what it was shown.
    pub shown: ShownAs<'a>,
}

/// As what a credential was shown.
#[derive(Clone, Copy, Debug)]
pub enum ShownAs<'a> {
    /// A key, by its secret.
    Secret,
    /// An access token.
    Token(&'a Token),
    /// The newest refresh token of a session.
    Refresh,
}

impl Keeper {
    /// Hands on what there is to know about a credential, where it is good and the caller may know of it: its own, or, with
    /// the scope to verify, any of its project. `None` says no more than that.
    pub async fn introspect<R>(
        &self,
        caller: &Parent,
        text: &str,
        with: impl FnOnce(&Introspected<'_>) -> R,
    ) -> Result<Option<R>, Refusal> {
        if let Ok(refresh) = RefreshToken::parse(text) {
            let session = self.by_newest_token(&refresh).await?;
            return Ok(session.and_then(|(_, found)| self.told(caller, &found.into(), ShownAs::Refresh, with)));
        }
        Ok(self.present(text).and_then(|shown| {
            let shown_as = shown.token.as_deref().map_or(ShownAs::Secret, ShownAs::Token);
            self.told(caller, &shown, shown_as, with)
        }))
    }

    fn told<R>(
        &self,
        caller: &Parent,
        shown: &Credential,
        shown_as: ShownAs<'_>,
        with: impl FnOnce(&Introspected<'_>) -> R,
    ) -> Option<R> {
        let (home, may_verify) = self.dossier(&caller.0, |dossier, _| {
            let verify = Wanted::action(Verify::SCOPE);
            (dossier.project, dossier.effective().covers(verify))
        })?;
        let now = self.now();
        let told = self.dossier(shown, |dossier, owner| {
            let is_here = dossier.project == home || home == SYSTEM;
            let may = dossier.key == caller.key() || (is_here && may_verify);
            // A question without a client's address or origin: what depends on those is for verify to say.
            if !may || standing(dossier, now).is_some() {
                return None;
            }
            self.with_issuer(dossier.project, |issuer| {
                Some(with(&Introspected {
                    key: dossier.key,
                    project: dossier.project,
                    issuer: &issuer?.name,
                    owner: dossier.owner,
                    owner_handle: &owner.handle,
                    scope: &dossier.effective(),
                    expiry: dossier.ends(),
                    shown: shown_as,
                }))
            })
        });
        told.flatten()
    }

    /// Ends a credential: a token before its time, a person's session by its refresh token, or the key itself by its secret.
    /// What is not there, is over, or is another client's is passed over in silence.
    ///
    /// What a client was given is ended by that client. A person's session is no client with a secret of its own: what it
    /// was given is ended by whoever holds it, with or without a client.
    pub async fn revoke_shown(&self, caller: Option<&Parent>, text: &str, source: Source) -> Result<(), Refusal> {
        if !self.is_fresh() {
            return Err(Refusal::CannotKnow);
        }
        if RefreshToken::parse(text).is_ok() {
            return self.log_out(text, source).await;
        }
        let shown = self.present(text);
        let is_persons = |shown: &Credential| shown.token.is_some() && shown.found.kind() == Kind::Session;
        let own = |shown: &Credential| caller.is_some_and(|caller| caller.key() == shown.found.key());
        match shown {
            Some(shown) if is_persons(&shown) || own(&shown) => self.end_shown(&shown, source).await,
            _ if caller.is_none() => Err(Refusal::Unauthenticated(Unauthenticated::Invalid)),
            _ => Ok(()),
        }
    }

    async fn end_shown(&self, shown: &Credential, source: Source) -> Result<(), Refusal> {
        let Some(token) = &shown.token else {
            let Ok(actor) = self.actor(shown, source) else {
                return Ok(());
            };
            let told = |error: TextError| Refusal::Text { field: "cause", error };
            let cause = Cause::new("revoked by its holder at the revocation endpoint").map_err(told)?;
            return self.revoke_own_key(&actor, cause).await.map(drop);
        };
        let actor = self.keyring.dossier(&shown.found, |dossier, _| ActorRef {
            home: dossier.project,
            owner: dossier.owner,
            key: dossier.key,
        });
        let commit = actor.and_then(|actor| recall(token, actor, source, self.now()));
        let Some(commit) = commit else { return Ok(()) };
        if self.keyring.directory().count(Noun::Token, token.project) >= RECALLED_MAX {
            return Err(Refusal::Busy(Noun::Token));
        }
        match self.commit(vec![commit]).await {
            // It was recalled already.
            Ok(()) | Err(CommitError::Stale { .. } | CommitError::HandleTaken { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets recalled tokens that are dead by now.
    pub async fn forget_recalled(&self) -> Result<(), Refusal> {
        let now = self.now();
        let dead = self.keyring.directory().recalled_and_dead(now, FORGOTTEN_MAX);
        let mut by_project: BTreeMap<ProjectId, Vec<RevokedToken>> = BTreeMap::new();
        for token in dead {
            by_project.entry(token.project).or_default().push(token);
        }
        for (project, tokens) in by_project {
            let Some(commit) = forget(project, tokens, itself(), now) else {
                continue;
            };
            match self.commit(vec![commit]).await {
                // Another node did it.
                Ok(()) | Err(CommitError::Stale { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
