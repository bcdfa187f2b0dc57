//! First run: founds Keyholt on an empty store, and makes the first operator from a one-time token.

use keyholt_core::actor::Source;
use keyholt_core::audit::{Event, Noun, Outcome, Target};
use keyholt_core::commit::Record;
use keyholt_core::found::{FirstOperator, FoundError, found_keyholt, renew_setup, set_up, setup_token};
use keyholt_core::id::SYSTEM;
use keyholt_core::issue::Issued;
use keyholt_core::owner::User;
use keyholt_core::secret::{Malformed, Presented, Secret};
use keyholt_core::setup::Setup;
use keyholt_core::text::TextError;
use keyholt_store::CommitError;

use super::guesses::Guesser;
use super::{Keeper, Refusal};

/// What a start found.
#[derive(Debug)]
pub enum FirstStart {
    /// Nobody operates this installation yet; this token makes the first operator, once, within 24 hours.
    Token(Secret),
    /// An operator exists. The set-up is over for good.
    Complete,
}

/// The first operator.
#[derive(Debug)]
pub struct Operator {
    /// Who.
    pub user: User,
    /// The operator's key, with its secret.
    pub issued: Issued,
}

impl Keeper {
    /// Founds Keyholt where the store is empty; hands out a fresh set-up token as long as nobody used one.
    pub async fn start(&self, source: Source) -> Result<FirstStart, Refusal> {
        let refuse = |error| Refusal::Text { field: "token", error };
        loop {
            let now = self.now();
            let setup = self.setup();
            let token = self
                .mint(|_, entropy| setup_token(entropy))
                .ok_or_else(|| refuse(TextError::Characters("a prefix")))?;
            let fingerprint = token.fingerprint();
            let commit = match setup {
                Some(setup) if !setup.is_open() => return Ok(FirstStart::Complete),
                Some(setup) => renew_setup(&setup, &fingerprint, &self.pepper, source.clone(), now),
                None => Some(
                    self.mint(|now, entropy| found_keyholt(&fingerprint, &self.pepper, source.clone(), now, entropy))
                        .map_err(refuse)?,
                ),
            };
            match self.commit(commit.into_iter().collect()).await {
                Ok(()) => return Ok(FirstStart::Token(token)),
                // Another node founds at the same moment: see what it made.
                Err(CommitError::Stale { .. } | CommitError::HandleTaken { .. }) => {
                    self.catch_up().await?;
                    // SECURITY: it is there and cannot be read, because somebody changed it; the alarm was raised when it
                    // was loaded. Whoever changed it must not open the set-up again.
                    if self.setup().is_none() {
                        return Ok(FirstStart::Complete);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether a set-up token may still be used.
    pub fn is_setup_open(&self) -> bool {
        self.setup().is_some_and(|setup| setup.is_open())
    }

    /// Makes the first operator. Of many attempts with the right token one wins.
    pub async fn set_up(&self, token: &str, who: FirstOperator, source: Source) -> Result<Operator, Refusal> {
        // Asked first: once it is over, an attempt costs nothing.
        let setup = self.setup().filter(Setup::is_open).ok_or(Refusal::SetUpComplete)?;
        let system = self.keyring.project(SYSTEM).ok_or(Refusal::NotFound(Noun::Project))?;
        let from = source.clone();
        let made = match Presented::parse(token) {
            Err(Malformed) => Err(FoundError::Token),
            Ok(presented) => self.mint(|now, entropy| {
                let token = presented.fingerprint();
                set_up(&setup, token, who, &system, &self.pepper, source, now, entropy)
            }),
        };
        let (issued, commit) = match made {
            Ok(made) => made,
            Err(error) => {
                self.wrong(from.address)?;
                let refusal = error.into();
                self.write_wrong_token(&refusal, from).await;
                return Err(refusal);
            }
        };
        let user = commit.changes().iter().find_map(|change| match change.record() {
            Record::User(user) => Some(user.clone()),
            _ => None,
        });
        match self.commit(vec![commit]).await {
            Ok(()) => {}
            Err(CommitError::Stale { .. }) => return Err(Refusal::SetUpComplete),
            Err(error) => return Err(error.into()),
        }
        let user = user.ok_or(Refusal::NotFound(Noun::User))?;
        Ok(Operator { user, issued })
    }

    /// Puts a wrong set-up token into the audit trail.
    ///
    /// SECURITY: whoever shows one is nobody yet. What one source may show is limited, and so is here what all sources
    /// together may write.
    async fn write_wrong_token(&self, refusal: &Refusal, source: Source) {
        if self.guesses.failed(Guesser::AT_SET_UP, self.clock.elapsed()).is_err() {
            return;
        }
        self.write_refusal(Event {
            project: SYSTEM,
            at: self.now(),
            action: "setup.complete".to_owned(),
            outcome: Outcome::Refused {
                code: refusal.code().as_str().to_owned(),
            },
            actor: None,
            target: Target {
                noun: Noun::Setup,
                id: Some(SYSTEM.uuid()),
            },
            owner: None,
            cause: None,
            source,
            before: None,
            after: None,
        })
        .await;
    }

    fn setup(&self) -> Option<Setup> {
        match self.keyring.directory().record(Noun::Setup, SYSTEM.uuid())?.as_ref() {
            Record::Setup(setup) => Some(setup.clone()),
            _ => None,
        }
    }
}
