//! Who calls: a shown secret becomes an actor, or nobody, and its use is noted.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use keyholt_api::code::Code;
use keyholt_core::actor::{Actor, Proof, Source};
use keyholt_core::denial::Denial;
use keyholt_core::id::{ProjectId, TeamId};
use keyholt_core::owner::Owner;
use keyholt_core::scope::ScopeSet;
use keyholt_core::time::{Expiry, Moment};
use keyholt_core::verify::{Ask, Dossier, Form, Shown, Verification, judge};
use keyholt_store::UseOutcome;

use super::tokens::Credential;
use super::{Keeper, Wait};
use crate::keyring::holders::OwnerEntry;
use crate::keyring::ring::Found;

/// Why nobody is recognised.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unauthenticated {
    /// Not a secret, not known, revoked, expired: which of them is not said.
    #[error("the credential is not valid")]
    Invalid,
    /// The key is good, but not from where it was shown.
    #[error("the key may not be used from this address")]
    AddressNotAllowed,
    /// This node's view of the keys is too old to be sure.
    #[error("this node cannot know now")]
    CannotKnow,
    /// Not valid either, and one too many from the same source.
    #[error("too many wrong credentials came from this source")]
    TooMany(Wait),
}

impl Unauthenticated {
    /// Its code in the catalogue.
    pub fn code(self) -> Code {
        match self {
            Self::Invalid => Code::InvalidCredential,
            Self::AddressNotAllowed => Code::AddressNotAllowed,
            Self::CannotKnow => Code::CannotKnow,
            Self::TooMany(_) => Code::TooManyRequests,
        }
    }
}

impl From<Wait> for Unauthenticated {
    fn from(wait: Wait) -> Self {
        Self::TooMany(wait)
    }
}

/// What the dossier tells of whoever is recognised.
struct Recognised {
    owner: Owner,
    home: ProjectId,
    effective: Arc<ScopeSet>,
    /// Until when that may work which is made with what was shown.
    ends: Expiry,
    proof: Proof,
    manages: Vec<TeamId>,
}

/// What was shown may do now. Most keys carry all that their owner may do, and that set is there already.
fn effective(dossier: &Dossier<'_>, owner: &OwnerEntry) -> Arc<ScopeSet> {
    match dossier.effective() {
        Cow::Borrowed(all) if std::ptr::eq(all, &*owner.permissions) => Arc::clone(&owner.permissions),
        some => Arc::new(some.into_owned()),
    }
}

impl Keeper {
    /// Who shows this secret. Every failure is the same failure.
    pub fn authenticate(&self, secret: &str, source: Source) -> Result<Actor, Unauthenticated> {
        if !self.is_fresh() {
            return Err(Unauthenticated::CannotKnow);
        }
        let address = source.address;
        let shown = self.present(secret).ok_or(Unauthenticated::Invalid);
        let recognised = shown.and_then(|credential| self.actor(&credential, source));
        match recognised {
            // SECURITY: every invalid one counts alike, or a known key that stopped would be told from a guess.
            Err(Unauthenticated::Invalid) => Err(self
                .wrong(address)
                .map_or_else(Into::into, |()| Unauthenticated::Invalid)),
            other => other,
        }
    }

    /// Counts a wrong credential.
    pub(super) fn wrong(&self, address: Option<IpAddr>) -> Result<(), Wait> {
        self.guesses.failed(address.into(), self.clock.elapsed())
    }

    pub(super) fn actor(&self, credential: &Credential, source: Source) -> Result<Actor, Unauthenticated> {
        let now = self.now();
        let judged = self.dossier(credential, |dossier, owner| {
            let environment = dossier
                .bounds
                .environment
                .as_ref()
                .map(|environment| environment.as_str());
            // A token that is for somebody else is not for Keyholt itself.
            let issuer = credential.token.as_ref().and_then(|_| self.issuer(dossier.project));
            let ask = Ask {
                address: source.address,
                environment,
                audience: issuer.as_ref().map(|issuer| &*issuer.name),
                ..Ask::default()
            };
            let verification = judge(Some(dossier), dossier.project, &ask, now);
            if matches!(verification, Verification::Denied(_)) {
                self.note_reuse(dossier, now, source.address);
            }
            let recognised = Recognised {
                owner: dossier.owner,
                home: dossier.project,
                effective: effective(dossier, owner),
                ends: dossier.hands_on_until(),
                proof: Proof::of(dossier.kind, dossier.key, now),
                manages: owner.manages().to_vec(),
            };
            (verification, recognised)
        });
        let (verification, recognised) = judged.ok_or(Unauthenticated::Invalid)?;
        self.note(&credential.found, &verification, now, source.address);
        match verification {
            Verification::Granted(_) => {}
            // Possession is proven, so the reason may be said: it is about where the caller is, not about the key.
            Verification::Denied(Denial::AddressNotAllowed) => return Err(Unauthenticated::AddressNotAllowed),
            Verification::Denied(_) => return Err(Unauthenticated::Invalid),
        }
        // SECURITY: whoever shows a secret in its grace is gone when the grace is; so is what that secret may make. A token
        // may make what its key may make: it was tied to the secret that it was made with.
        let (access, expiry, form) = match &credential.token {
            None => {
                let access = self.keyring.access(&credential.found).map(Arc::clone);
                (access, Some(recognised.ends), Form::Secret)
            }
            Some(token) => {
                let ends = self
                    .keyring
                    .dossier(&credential.found, |dossier, _| dossier.hands_on_until());
                let most = token.hands_on.map_or(Expiry::Never, |most| Expiry::At(now.plus(most)));
                let ends = ends.map(|ends| if ends.outlives(most) { most } else { ends });
                (Some(Arc::new(token.access.clone())), ends, Form::Token)
            }
        };
        let Recognised {
            owner,
            home,
            effective,
            proof,
            manages,
            ..
        } = recognised;
        Ok(Actor {
            key: credential.found.key(),
            owner,
            home,
            effective,
            access: access.ok_or(Unauthenticated::Invalid)?,
            expiry: expiry.ok_or(Unauthenticated::Invalid)?,
            form,
            proof,
            manages,
            source,
            cause: None,
        })
    }

    pub(super) fn note(&self, found: &Found, verification: &Verification, now: Moment, address: Option<IpAddr>) {
        match verification {
            Verification::Granted(_) => self.note_grant(found, now, address),
            Verification::Denied(denial) => {
                if let Some(outcome) = UseOutcome::of_denial(denial.code()) {
                    self.usage.note(found.key(), outcome, now, address);
                }
            }
        }
    }

    pub(super) fn note_grant(&self, found: &Found, now: Moment, address: Option<IpAddr>) {
        match found.shown {
            Shown::Current if address.is_none() => self.usage.count(&self.keyring, found, now),
            Shown::Current => self.usage.note(found.key(), UseOutcome::Granted, now, address),
            _ => self.usage.note(found.key(), UseOutcome::GrantedRetiring, now, address),
        }
    }
}
