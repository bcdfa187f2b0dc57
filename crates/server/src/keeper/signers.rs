//! Signing keys as the keeper holds them: which signs, which are believed, and how new ones come to be.

mod recognise;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError};

use arc_swap::{ArcSwap, Guard};
use keyholt_core::actor::{Actor, ReadProject, Source, Subject, WriteProject};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::bond::{BondError, Masters};
use keyholt_core::commit::Record;
use keyholt_core::id::{ProjectId, SYSTEM, SigningKeyId};
use keyholt_core::project::TokenPolicy;
use keyholt_core::seal::MasterKey;
use keyholt_core::signing::{self, Algorithm, FreshPair, SIGNING_KEYS_MAX, SigningKey};
use keyholt_core::text::{Cause, RequestKey};
use keyholt_core::time::{Moment, Span};
use keyholt_store::CommitError;
use zeroize::Zeroizing;

pub(super) use self::recognise::HeldToken;
use self::recognise::SeenTokens;
use super::{Attempt, Keeper, OpenError, Refusal, TRIES};
use crate::jose::{Envelope, Pair, Signer, Verifier, header};
use crate::keyring::ring::Keyring;

/// What issuers are called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issuers {
    /// Where clients reach this service, without a slash at the end.
    pub base: Box<str>,
    /// The id or slug of the project that has the bare base as its issuer.
    pub root: Box<str>,
    /// How long a signing key is published before it signs, and so how long verifiers may keep a key set.
    pub published_ahead: Span,
}

impl Issuers {
    /// Issuers below a base, with Keyholt's own project as the root.
    pub fn at(base: &str) -> Self {
        Self {
            base: base.trim_end_matches('/').into(),
            root: keyholt_core::found::SYSTEM_SLUG.into(),
            published_ahead: signing::PUBLISHED_AHEAD,
        }
    }
}

/// The signing keys of all projects, ready for use, and the signatures that were checked already.
pub(super) struct Signers {
    envelope: Envelope,
    /// The previous master key's, as long as that one is known.
    previous: Option<Envelope>,
    issuers: Issuers,
    /// As of which change of the keyring this is.
    held: ArcSwap<Held>,
    /// One key is made at a time.
    turn: tokio::sync::Mutex<()>,
    seen: SeenTokens,
}

#[derive(Default)]
struct Held {
    as_of: u64,
    root: Option<ProjectId>,
    projects: HashMap<ProjectId, Arc<Issuer>>,
    keys: HashMap<Box<str>, (Arc<HeldKey>, Arc<Issuer>)>,
}

/// One project as an issuer of tokens.
pub struct Issuer {
    /// The project.
    pub project: ProjectId,
    /// Its name as an issuer, compared letter by letter.
    pub name: Box<str>,
    /// The rules for its tokens.
    pub policy: TokenPolicy,
    keys: Vec<Arc<HeldKey>>,
}

struct HeldKey {
    record: SigningKey,
    verifier: OnceLock<Option<Verifier>>,
    signer: OnceLock<Option<Signer>>,
}

impl Signers {
    pub(super) fn new(masters: &Masters, issuers: Issuers) -> Result<Self, OpenError> {
        let envelope = |master: &MasterKey| Envelope::new(&master.envelope()).map_err(|_| BondError::Other);
        Ok(Self {
            envelope: envelope(&masters.present)?,
            previous: masters.previous.as_ref().map(envelope).transpose()?,
            issuers,
            held: ArcSwap::from_pointee(Held {
                as_of: u64::MAX,
                ..Held::default()
            }),
            turn: tokio::sync::Mutex::default(),
            seen: SeenTokens::new(),
        })
    }

    /// What is known of issuers and keys, brought up to the keyring.
    ///
    /// Not as an `Arc` of its own: all threads would count on the same word, request by request.
    fn held(&self, keyring: &Keyring) -> Guard<Arc<Held>> {
        let as_of = keyring.issuer_changes();
        let held = self.held.load();
        if held.as_of == as_of {
            return held;
        }
        let fresh = Arc::new(self.read(keyring, as_of, &held));
        self.held.store(Arc::clone(&fresh));
        Guard::from_inner(fresh)
    }

    fn read(&self, keyring: &Keyring, as_of: u64, before: &Held) -> Held {
        let directory = keyring.directory();
        let root = self.issuers.root.parse().ok().or_else(|| {
            let named = directory.id_of(Noun::Project, SYSTEM, &self.issuers.root);
            named.map(ProjectId::from_uuid)
        });
        let mut held = Held {
            as_of,
            root,
            ..Held::default()
        };
        for project in directory.projects() {
            let keys = directory.signing_keys(project.id).map(|record| {
                let known = before.keys.get(record.kid.as_str()).map(|(key, _)| key);
                match known.filter(|known| known.record == *record) {
                    Some(known) => Arc::clone(known),
                    None => Arc::new(HeldKey {
                        record: record.clone(),
                        verifier: OnceLock::new(),
                        signer: OnceLock::new(),
                    }),
                }
            });
            let issuer = Arc::new(Issuer {
                project: project.id,
                name: self.name(project.id, root),
                policy: project.policy.tokens.clone(),
                keys: keys.collect(),
            });
            for key in &issuer.keys {
                held.keys
                    .insert(key.record.kid.as_str().into(), (Arc::clone(key), Arc::clone(&issuer)));
            }
            held.projects.insert(project.id, issuer);
        }
        held
    }

    /// The private half of a key, in whichever envelope it is.
    fn private_half(&self, record: &SigningKey) -> Option<Zeroizing<Vec<u8>>> {
        let open = |envelope: &Envelope| envelope.open(record.project, &record.kid, &record.sealed).ok();
        open(&self.envelope).or_else(|| self.previous.as_ref().and_then(open))
    }

    /// Whether a record is a signing key in the previous master key's envelope.
    pub(super) fn is_wrapped_by_previous(&self, record: &Record) -> bool {
        let (Record::SigningKey(key), Some(previous)) = (record, &self.previous) else {
            return false;
        };
        previous.open(key.project, &key.kid, &key.sealed).is_ok()
    }

    fn name(&self, project: ProjectId, root: Option<ProjectId>) -> Box<str> {
        if root == Some(project) {
            self.issuers.base.clone()
        } else {
            format!("{}/projects/{project}", self.issuers.base).into()
        }
    }
}

impl HeldKey {
    fn verifier(&self) -> Option<&Verifier> {
        self.verifier
            .get_or_init(|| Verifier::from_jwk(self.record.algorithm, &self.record.public).ok())
            .as_ref()
    }

    fn signer(&self, signers: &Signers) -> Option<&Signer> {
        let record = &self.record;
        self.signer
            .get_or_init(|| {
                let pkcs8 = signers.private_half(record)?;
                Signer::from_pkcs8(record.algorithm, &pkcs8).ok()
            })
            .as_ref()
    }
}

impl Issuer {
    fn records(&self) -> Vec<SigningKey> {
        self.keys.iter().map(|key| key.record.clone()).collect()
    }

    fn signer(&self, now: Moment) -> Option<&Arc<HeldKey>> {
        let signer = signing::signer(self.keys.iter().map(|key| &key.record), now)?;
        self.keys.iter().find(|key| std::ptr::eq(&key.record, signer))
    }

    /// Whom its tokens are for where nobody says.
    pub(super) fn usual_audience(&self) -> &str {
        match &self.policy.audience {
            Some(audience) => audience.as_str(),
            None => &self.name,
        }
    }

    /// Whether it never had a key, and so never signed anything.
    pub fn has_no_key(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that are published now, oldest first.
    pub fn published(&self, now: Moment) -> Vec<SigningKey> {
        let mut published: Vec<_> = self.records().into_iter().filter(|key| key.is_believed(now)).collect();
        published.sort_by_key(|key| (key.signs_from, key.created_at));
        published
    }
}

impl Keeper {
    /// How long a signing key is published before it signs, and so how long verifiers may keep a key set.
    pub fn published_ahead(&self) -> Span {
        self.signers.issuers.published_ahead
    }

    /// A project as an issuer of tokens.
    pub fn issuer(&self, project: ProjectId) -> Option<Arc<Issuer>> {
        self.signers.held(&self.keyring).projects.get(&project).cloned()
    }

    /// Hands a project's issuer to `with`, where there is one.
    pub(super) fn with_issuer<R>(&self, project: ProjectId, with: impl FnOnce(Option<&Issuer>) -> R) -> R {
        let held = self.signers.held(&self.keyring);
        with(held.projects.get(&project).map(AsRef::as_ref))
    }

    /// The issuer that has no path of its own.
    pub fn root_issuer(&self) -> Option<Arc<Issuer>> {
        let held = self.signers.held(&self.keyring);
        held.projects.get(&held.root?).cloned()
    }

    /// Where clients reach this service.
    pub fn base_url(&self) -> &str {
        &self.signers.issuers.base
    }

    /// Signs claims with the issuer's key, which is made where there is none yet.
    pub(super) async fn sign(&self, issuer: &Issuer, typ: &str, claims: &[u8]) -> Result<String, Refusal> {
        let renewed;
        let key = match issuer.signer(self.now()) {
            Some(key) => key,
            None => {
                self.make_due_key(issuer.project).await?;
                renewed = self.issuer(issuer.project).ok_or(Refusal::NotFound(Noun::Project))?;
                renewed.signer(self.now()).ok_or(Refusal::Busy(Noun::SigningKey))?
            }
        };
        let signer = key.signer(&self.signers).ok_or_else(|| {
            self.alarm(Noun::SigningKey, &key.record.id.to_string());
            Refusal::Tampered(Noun::SigningKey)
        })?;
        let header = header(key.record.algorithm, &key.record.kid, typ);
        signer
            .compact(&header, claims)
            .map_err(|_| Refusal::Tampered(Noun::SigningKey))
    }

    /// Makes the next key of a project if it is due. Of several nodes one does.
    pub async fn make_due_key(&self, project: ProjectId) -> Result<(), Refusal> {
        let _turn = self.signers.turn.lock().await;
        for _ in 0..TRIES {
            let issuer = self.issuer(project).ok_or(Refusal::NotFound(Noun::Project))?;
            let (now, keys) = (self.now(), issuer.records());
            if !signing::is_due(&keys, &issuer.policy, self.published_ahead(), now) {
                return Ok(());
            }
            let fresh = self.fresh_pair(project, issuer.policy.algorithm)?;
            let (_, commit) = signing::follow_schedule(project, &keys, fresh, self.published_ahead(), itself(), now);
            match self.commit(vec![commit]).await {
                Ok(()) => return Ok(()),
                Err(CommitError::Stale { .. } | CommitError::HandleTaken { .. }) => self.catch_up().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Busy(Noun::SigningKey))
    }

    /// The private half of a key in the present master key's envelope, where it is in the previous one's.
    pub(super) fn wrapped_anew(&self, key: &SigningKey) -> Option<String> {
        let previous = self.signers.previous.as_ref()?;
        let pkcs8 = previous.open(key.project, &key.kid, &key.sealed).ok()?;
        let mut entropy = self.entropy.lock().unwrap_or_else(PoisonError::into_inner);
        let envelope = &self.signers.envelope;
        envelope.seal(key.project, &key.kid, &pkcs8, &mut **entropy).ok()
    }

    fn fresh_pair(&self, project: ProjectId, algorithm: Algorithm) -> Result<FreshPair, Refusal> {
        let trouble = |_| Refusal::Tampered(Noun::SigningKey);
        let pair = Pair::generate(algorithm).map_err(trouble)?;
        let mut entropy = self.entropy.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = self
            .signers
            .envelope
            .seal(project, &pair.kid, &pair.pkcs8, &mut **entropy)
            .map_err(trouble)?;
        Ok(FreshPair {
            id: SigningKeyId::mint(self.now(), &mut **entropy),
            kid: pair.kid,
            algorithm,
            public: pair.public,
            sealed,
        })
    }

    /// Looks after all signing keys: makes those that are due, and forgets the private halves of those that retired.
    pub async fn tend_signing_keys(&self) -> Result<(), Refusal> {
        let held = self.signers.held(&self.keyring);
        let now = self.now();
        // A project that never signed anything needs no key.
        for issuer in held.projects.values().filter(|issuer| !issuer.keys.is_empty()) {
            if signing::is_due(&issuer.records(), &issuer.policy, self.published_ahead(), now) {
                self.make_due_key(issuer.project).await?;
            }
            for commit in issuer
                .keys
                .iter()
                .filter_map(|key| signing::retire(&key.record, itself(), now))
            {
                match self.commit(vec![commit]).await {
                    // Another node did it.
                    Ok(()) | Err(CommitError::Stale { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// The signing keys of a project, oldest first.
    pub fn signing_keys(&self, actor: &Actor, project: ProjectId) -> Result<Vec<SigningKey>, Refusal> {
        self.may::<ReadProject>(actor, project, Subject::Project, Noun::Project)?;
        let issuer = self.issuer(project).ok_or(Refusal::NotFound(Noun::Project))?;
        let mut keys = issuer.records();
        keys.sort_by_key(|key| (key.created_at, key.id));
        Ok(keys)
    }

    /// Makes the next signing key now. Where one is on its way already, that one is the answer.
    pub async fn rotate_signing_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        cause: Option<Cause>,
    ) -> Result<SigningKey, Refusal> {
        let attempt = || Attempt {
            actor,
            project,
            action: "signing_key.rotate",
            target: Target {
                noun: Noun::SigningKey,
                id: None,
            },
            owner: None,
        };
        let permit = match self.permit::<WriteProject>(actor, project, Subject::Project, Noun::Project) {
            Ok(permit) => permit,
            Err(refusal) => return self.refused(refusal, attempt()).await,
        };
        let _turn = self.signers.turn.lock().await;
        for _ in 0..TRIES {
            let issuer = self.issuer(project).ok_or(Refusal::NotFound(Noun::Project))?;
            let (now, keys) = (self.now(), issuer.records());
            let next = keys.iter().find(|key| key.phase(now) == signing::Phase::Next);
            if let Some(next) = next {
                return Ok(next.clone());
            }
            if keys.iter().filter(|key| key.is_believed(now)).count() >= SIGNING_KEYS_MAX {
                return Err(Refusal::Busy(Noun::SigningKey));
            }
            let fresh = self.fresh_pair(project, issuer.policy.algorithm)?;
            let (key, commit) = signing::rotate(&permit, &keys, fresh, self.published_ahead(), cause.clone(), now);
            match self.commit(vec![commit]).await {
                Ok(()) => return Ok(key),
                Err(CommitError::Stale { .. } | CommitError::HandleTaken { .. }) => self.catch_up().await?,
                Err(error) => return self.refused(error.into(), attempt()).await,
            }
        }
        Err(Refusal::Busy(Noun::SigningKey))
    }

    /// Withdraws a signing key in an emergency. What it signed is refused here at once; verifiers elsewhere believe it until
    /// they read the key set again.
    pub async fn withdraw_signing_key(
        &self,
        actor: &Actor,
        project: ProjectId,
        kid: &str,
        cause: Cause,
    ) -> Result<SigningKey, Refusal> {
        let attempt = |id| Attempt {
            actor,
            project,
            action: "signing_key.withdraw",
            target: Target {
                noun: Noun::SigningKey,
                id,
            },
            owner: None,
        };
        let permit = match self.permit::<WriteProject>(actor, project, Subject::Project, Noun::Project) {
            Ok(permit) => permit,
            Err(refusal) => return self.refused(refusal, attempt(None)).await,
        };
        for _ in 0..TRIES {
            let issuer = self.issuer(project).ok_or(Refusal::NotFound(Noun::Project))?;
            let Some(key) = issuer.records().into_iter().find(|key| key.kid == kid) else {
                return self.refused(Refusal::NotFound(Noun::SigningKey), attempt(None)).await;
            };
            let Some((withdrawn, commit)) = signing::withdraw(&permit, &key, cause.clone(), self.now()) else {
                return Ok(key);
            };
            match self.commit(vec![commit]).await {
                Ok(()) => return Ok(withdrawn),
                Err(CommitError::Stale { .. }) => self.catch_up().await?,
                Err(error) => return self.refused(error.into(), attempt(Some(key.id.uuid()))).await,
            }
        }
        Err(Refusal::Busy(Noun::SigningKey))
    }
}

/// The source of what Keyholt does by itself.
pub(super) fn itself() -> Source {
    Source {
        address: None,
        request: RequestKey::new("keyholt").expect("a short printable text"),
    }
}
