//! Access tokens: what somebody showed, whether a secret or a token, judged in one way; and new tokens made from it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use keyholt_core::actor::{Actor, SESSIONS_WRITE, Source, Subject as Reach, WriteSessions};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_core::secret::Presented;
use keyholt_core::text::Audience;
use keyholt_core::time::Moment;
use keyholt_core::token::{
    Bearer, COMPONENT_LIFETIME_MAX, COMPONENT_STARTED, ComponentWish, Mint, MintError, Narrowed, RESERVED_CLAIMS,
    StatusIndex, Subject, Token, TokenWish, component_started, default_audience, extra_claims, mint, mint_component,
};
use keyholt_core::verify::{Ask, Dossier, Verification, judge, standing};
use serde_json::Value;
use zeroize::Zeroizing;

use super::attempt::Attempt;
use super::signers::HeldToken;
use super::statuses::status_claim;
use super::{Issuer, Keeper, Refusal, Unauthenticated};
use crate::jose::{ACCESS_TOKEN, is_compact};
use crate::keyring::directory::noun_of;
use crate::keyring::holders::{OwnerEntry, Presence};
use crate::keyring::ring::Found;

/// What somebody showed, as far as something of ours answers to it; not judged yet.
pub(super) struct Credential {
    /// The key that it is, or that it hangs on.
    pub(super) found: Found,
    /// The token, where that was shown and not the secret itself.
    pub(super) token: Option<HeldToken>,
}

impl From<Found> for Credential {
    fn from(found: Found) -> Self {
        Self { found, token: None }
    }
}

/// A credential that was judged good, and that tokens may be made from.
pub struct Parent(pub(super) Credential);

impl Parent {
    /// The key that it is, or that it hangs on.
    pub fn key(&self) -> KeyId {
        self.0.found.key()
    }

    /// The token, where one was shown and not the secret itself.
    pub fn token(&self) -> Option<&Token> {
        self.0.token.as_deref()
    }
}

/// An access token, fresh: its text is shown once and kept nowhere.
pub struct AccessToken {
    /// What is handed out.
    pub text: Zeroizing<String>,
    /// What it claims.
    pub token: Token,
}

impl AccessToken {
    /// Whole seconds until it is dead.
    pub fn expires_in(&self, now: Moment) -> u64 {
        self.token.expires_at.since(now).ms() / 1_000
    }
}

impl Keeper {
    /// What answers to a text, if anything does.
    pub(super) fn present(&self, text: &str) -> Option<Credential> {
        // A key that was imported may look like a token; it is one when no signing key of ours knows it.
        if is_compact(text)
            && let Some(token) = self.recognise(text)
        {
            return self.hung(token);
        }
        let presented = Presented::parse(text).ok()?;
        let found = self.find(presented.fingerprint())?;
        Some(Credential { found, token: None })
    }

    /// The token that a text is, with the key that it hangs on.
    pub(super) fn present_token(&self, text: &str) -> Option<Credential> {
        self.hung(self.recognise(text)?)
    }

    fn hung(&self, token: HeldToken) -> Option<Credential> {
        let found = match token.generation {
            Some(generation) => self.keyring.find_generation(token.parent, generation),
            None => self.keyring.find_key(token.parent),
        };
        Some(Credential {
            found: found?,
            token: Some(token),
        })
    }

    /// Whether anything answers to a text. For doors that show what they made themselves: nobody may be told.
    pub fn answers_to(&self, text: &str) -> bool {
        self.present(text).is_some()
    }

    /// All that is known about what was shown, for the judge, and whom it acts for.
    pub(super) fn dossier<R>(
        &self,
        credential: &Credential,
        with: impl FnOnce(&Dossier<'_>, &OwnerEntry) -> R,
    ) -> Option<R> {
        let Some(token) = credential.token.as_deref() else {
            return self.keyring.dossier(&credential.found, with);
        };
        let recall = self.keyring.recall(token.id);
        let judged = self.keyring.dossier(&credential.found, |parent, owner| {
            if parent.project != token.project {
                return None;
            }
            if parent.owner == token.owner {
                let narrowed = Narrowed::new(parent, token, None, recall);
                return Some(with(&narrowed.dossier(), owner));
            }
            let entry = self.keyring.owner_entry(token.owner)?;
            if entry.presence != Presence::Here || entry.project() != parent.project {
                return None;
            }
            let bearer = Bearer {
                permissions: &entry.permissions,
                standing: entry.standing,
            };
            let narrowed = Narrowed::new(parent, token, Some(bearer), recall);
            Some(with(&narrowed.dossier(), &entry))
        });
        judged.flatten()
    }

    /// Hands on the question as it is put to what was shown: one that names no audience is about the project's usual one.
    ///
    /// Only tokens are always for somebody; a key that is for nobody in particular is left as it is.
    pub(super) fn asking<R>(
        &self,
        credential: &Credential,
        project: ProjectId,
        ask: &Ask<'_>,
        with: impl FnOnce(&Ask<'_>) -> R,
    ) -> R {
        if credential.token.is_none() || ask.audience.is_some() {
            return with(ask);
        }
        self.with_issuer(project, |issuer| {
            with(&Ask {
                audience: issuer.map(Issuer::usual_audience),
                ..ask.clone()
            })
        })
    }

    /// Recognises an OAuth client: a key, by its id and its secret. Every failure is the same failure.
    pub fn client(&self, id: &str, secret: &str, source: &Source) -> Result<Parent, Unauthenticated> {
        self.recognised(source.address, || self.present_client(id, secret))
    }

    fn present_client(&self, id: &str, secret: &str) -> Option<Credential> {
        let credential = self.present(secret).filter(|credential| credential.token.is_none())?;
        let is_it = id.parse::<KeyId>().is_ok_and(|id| id == credential.found.key());
        is_it.then_some(credential)
    }

    /// Recognises a key by its secret, or an access token, as something to make tokens from.
    pub fn subject(&self, text: &str, source: &Source) -> Result<Parent, Unauthenticated> {
        self.recognised(source.address, || self.present(text))
    }

    /// The session with this id as something to make tokens from; whoever asks has proven that it is theirs.
    pub fn parent_of(&self, session: KeyId) -> Option<Parent> {
        let found = self.keyring.find_key(session)?;
        Some(Parent(Credential { found, token: None }))
    }

    fn recognised(
        &self,
        address: Option<IpAddr>,
        find: impl FnOnce() -> Option<Credential>,
    ) -> Result<Parent, Unauthenticated> {
        if !self.is_fresh() {
            return Err(Unauthenticated::CannotKnow);
        }
        let good = find().filter(|credential| self.is_good(credential, address));
        match good {
            Some(credential) => Ok(Parent(credential)),
            None => Err(self
                .wrong(address)
                .map_or_else(Into::into, |()| Unauthenticated::Invalid)),
        }
    }

    /// Recognises a client as [`Keeper::client`] does, and counts nothing: its use is counted ([`Keeper::count_use`]) when it
    /// has its answer, and a client that is no good is looked at once more by whoever says so.
    pub fn good_client(&self, id: &str, secret: &str, address: IpAddr) -> Option<Parent> {
        if !self.is_fresh() {
            return None;
        }
        let credential = self.present_client(id, secret)?;
        let (now, address) = (self.now(), Some(address));
        let judged = self.dossier(&credential, |dossier, _| as_parent(dossier, &credential, address, now));
        matches!(judged?, Verification::Granted(_)).then_some(Parent(credential))
    }

    /// Counts that something was made from a parent, or told to it.
    pub fn count_use(&self, parent: &Parent, address: IpAddr) {
        self.note_grant(&parent.0.found, self.now(), Some(address));
    }

    fn is_good(&self, credential: &Credential, address: Option<IpAddr>) -> bool {
        let now = self.now();
        let verification = self.dossier(credential, |dossier, _| {
            let verification = as_parent(dossier, credential, address, now);
            if matches!(verification, Verification::Denied(_)) {
                self.note_reuse(dossier, now, address);
            }
            verification
        });
        let Some(verification) = verification else {
            return false;
        };
        self.note(&credential.found, &verification, now, address);
        matches!(verification, Verification::Granted(_))
    }

    /// Makes an access token that hangs on what was shown. It has no more scopes, lives no longer, and is for no other
    /// audience than that.
    pub async fn mint_token(&self, parent: &Parent, wish: TokenWish) -> Result<AccessToken, Refusal> {
        self.mint_token_saying(parent, wish, BTreeMap::new()).await
    }

    /// Makes an access token as [`Keeper::mint_token`] does, with further claims that somebody else's clients ask for.
    ///
    /// SECURITY: they say nothing to Keyholt. One with the name of a claim of ours is left out.
    pub async fn mint_token_saying(
        &self,
        parent: &Parent,
        mut wish: TokenWish,
        said: BTreeMap<String, Value>,
    ) -> Result<AccessToken, Refusal> {
        let Parent(credential) = parent;
        if !self.is_fresh() {
            return Err(Refusal::CannotKnow);
        }
        let gone = || Refusal::Unauthenticated(Unauthenticated::Invalid);
        let project = self
            .dossier(credential, |dossier, _| dossier.project)
            .ok_or_else(gone)?;
        let issuer = self.issuer(project).ok_or(Refusal::NotFound(Noun::Project))?;
        let aim = self.aim(credential, &issuer, &mut wish)?;
        if let Some(token) = &credential.token {
            wish.subject = Subject::As(token.subject.clone());
        }
        let now = self.now();
        let status = self.status_index(&credential.found);
        let minted = self.dossier(credential, |dossier, owner| {
            if standing(dossier, now).is_some() {
                return Err(gone());
            }
            let world = Mint {
                policy: &issuer.policy,
                issuer: &issuer.name,
                owner_handle: &owner.handle,
                generation: generation(credential, dossier),
                ends: dossier.ends(),
                longest: issuer.policy.longest_lifetime,
            };
            let mut entropy = self.entropy.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(mint(dossier, wish, world, now, &mut **entropy)?)
        });
        let token = minted.ok_or_else(gone)??;
        let token = match aim {
            Some(audience) => token.aimed_at(audience),
            None => token,
        };
        // A component session hangs on two owners, and a place in the list tells of one: its verifiers ask.
        let status = self.keyring.is_of(&credential.found, token.owner).then_some(status);
        self.signed(&issuer, token, status, said).await
    }

    /// Makes a narrower access token from a key or another token. Who acts, if that is somebody else, is written down in it.
    pub async fn exchange(
        &self,
        subject: &Parent,
        acting: Option<&Parent>,
        mut wish: TokenWish,
    ) -> Result<AccessToken, Refusal> {
        wish.actors = subject.token().map(|token| token.actors.clone()).unwrap_or_default();
        if let Some(acting) = acting {
            let project = |parent: &Parent| self.dossier(&parent.0, |dossier, _| dossier.project);
            if project(acting) != project(subject) {
                return Err(Refusal::Unauthenticated(Unauthenticated::Invalid));
            }
            if acting.key() != subject.key() {
                wish.actors.insert(0, acting.key().to_string());
            }
        }
        self.mint_token(subject, wish).await
    }

    /// The audience that a token for nobody in particular is made for, where its key is good for that one. Taken out of the
    /// wish: what is left is a token like the one that was shown.
    fn aim(&self, credential: &Credential, issuer: &Issuer, wish: &mut TokenWish) -> Result<Option<Audience>, Refusal> {
        let Some(token) = &credential.token else {
            return Ok(None);
        };
        let is_usual = default_audience(&issuer.policy, &issuer.name).is_some_and(|usual| usual == token.audience);
        let Some(asked) = wish.audience.take_if(|asked| is_usual && *asked != token.audience) else {
            return Ok(None);
        };
        let allowed = self.keyring.dossier(&credential.found, |key, _| {
            key.bounds.allows_audience(Some(asked.as_str()))
        });
        if allowed == Some(true) {
            Ok(Some(asked))
        } else {
            Err(MintError::Audience.into())
        }
    }

    /// A component session: a token that hangs on the key of a back end and acts for a user or team of its project.
    pub async fn start_component_session(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        wish: ComponentWish,
    ) -> Result<AccessToken, Refusal> {
        let target = Target {
            noun: Noun::Token,
            id: None,
        };
        let attempt = || Attempt {
            actor,
            project,
            action: COMPONENT_STARTED,
            target,
            owner: self.keyring.owner_entry(owner).map(|_| owner),
        };
        let decided = self
            .permit::<WriteSessions>(actor, project, Reach::Project, Noun::Project)
            .and_then(|permit| {
                let (issuer, token) = self.component(actor, project, owner, wish)?;
                let started = component_started(&permit, &token, self.now());
                Ok((issuer, token, started))
            });
        let (issuer, token, started) = match decided {
            Ok(decided) => decided,
            Err(refusal) => return self.refused(refusal, attempt()).await,
        };
        let made = self.signed(&issuer, token, None, BTreeMap::new()).await?;
        // Before it is handed out: what cannot be written down does not happen.
        self.commit(vec![started]).await?;
        Ok(made)
    }

    fn component(
        &self,
        actor: &Actor,
        project: ProjectId,
        owner: Owner,
        wish: ComponentWish,
    ) -> Result<(Arc<Issuer>, Token), Refusal> {
        let lacks = || Refusal::Lacks { scope: SESSIONS_WRITE };
        let found = self.back_end(actor, project)?;
        let issuer = self.issuer(project).ok_or(Refusal::NotFound(Noun::Project))?;
        let entry = self.keyring.owner_entry(owner);
        let entry = entry
            .filter(|entry| entry.presence == Presence::Here && entry.project() == project && entry.standing.is_good())
            .ok_or(Refusal::NotFound(noun_of(owner)))?;
        let bearer = Bearer {
            permissions: &entry.permissions,
            standing: entry.standing,
        };
        let now = self.now();
        let minted = self.keyring.dossier(&found, |key, _| {
            let world = Mint {
                policy: &issuer.policy,
                issuer: &issuer.name,
                owner_handle: &entry.handle,
                generation: Some(found.generation()),
                ends: key.ends(),
                longest: COMPONENT_LIFETIME_MAX,
            };
            let mut entropy = self.entropy.lock().unwrap_or_else(PoisonError::into_inner);
            mint_component(key, owner, bearer, wish, world, now, &mut **entropy)
        });
        Ok((issuer, minted.ok_or_else(lacks)??))
    }

    async fn signed(
        &self,
        issuer: &Issuer,
        token: Token,
        status: Option<StatusIndex>,
        said: BTreeMap<String, Value>,
    ) -> Result<AccessToken, Refusal> {
        let project = token.project;
        let mut extra = if issuer.policy.claims.is_empty() {
            BTreeMap::new()
        } else {
            let parent = self.about(project, token.parent).await?;
            parent
                .map(|key| extra_claims(&issuer.policy, &key.about.metadata))
                .unwrap_or_default()
        };
        let ours = |name: &str| RESERVED_CLAIMS.contains(&name);
        extra.extend(said.into_iter().filter(|(name, _)| !ours(name)));
        if let Some(index) = status {
            extra.insert("status".to_owned(), status_claim(issuer, index));
        }
        let claims = token.claims(&issuer.name, &extra);
        let text = self.sign(issuer, ACCESS_TOKEN, claims.as_bytes()).await?;
        Ok(AccessToken {
            text: Zeroizing::new(text),
            token,
        })
    }
}

/// Whether what was shown is good to make tokens from.
fn as_parent(dossier: &Dossier<'_>, credential: &Credential, address: Option<IpAddr>, now: Moment) -> Verification {
    let audience = credential.token.as_ref().map(|token| token.audience.as_str());
    let first = dossier.bounds.audience.entries().and_then(<[_]>::first);
    let ask = Ask {
        address,
        environment: dossier.bounds.environment.as_ref().map(|bound| bound.as_str()),
        // What tokens are for is looked at when they are made and when they are shown, not between.
        audience: audience.or(first.map(|audience| audience.as_str())),
        ..Ask::default()
    };
    judge(Some(dossier), dossier.project, &ask, now)
}

/// Which of the parent's secrets the new token is tied to. A token made from a token is tied to what that one is tied to.
fn generation(credential: &Credential, dossier: &Dossier<'_>) -> Option<keyholt_core::token::Generation> {
    match &credential.token {
        Some(token) => token.generation,
        None => has_generations(dossier.kind).then(|| credential.found.generation()),
    }
}

/// Whether the secrets of keys of this kind are changed by their holders, and not by every use.
fn has_generations(kind: Kind) -> bool {
    match kind {
        Kind::Standard | Kind::Static | Kind::Publishable => true,
        Kind::Session => false,
    }
}
