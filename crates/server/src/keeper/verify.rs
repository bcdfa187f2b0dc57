//! Verify: the question that everybody asks all the time. No store call, no write, no lock that a writer can hold.

mod answer;
mod search;

use std::cell::Cell;

use keyholt_core::actor::{Actor, Explain, Subject};
use keyholt_core::audit::Noun;
use keyholt_core::denial::Denial;
use keyholt_core::id::ProjectId;
use keyholt_core::scope::Wanted;
use keyholt_core::secret::{Digest, Malformed, Presented};
use keyholt_core::time::{Expiry, Moment, Rendered};
use keyholt_core::verify::{Ask, Needed, Verification, explain, judge};

pub use self::answer::{AboutShown, Answer, KeyShown, Wish};
pub use self::search::{Search, Sought};
use super::tokens::Credential;
use super::{Keeper, Refusal, Unauthenticated};
use crate::keyring::ring::Found;

/// Most questions in one batch.
pub const BATCH_MAX: usize = 1000;

/// A presented credential, and what the verifier wants to know about it.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The text that somebody showed.
    pub credential: &'a str,
    /// What is asked of it.
    pub ask: Ask<'a>,
    /// Whether the question counts as a use.
    pub counting: Counting,
}

/// Whether a question counts as a use of the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Counting {
    /// It does.
    #[default]
    Counted,
    /// It is a dry run.
    DryRun,
}

/// A caller that may verify keys of its project. Made once, it is asked again before every use.
pub struct Verifier {
    found: Found,
    project: ProjectId,
    source: Option<std::net::IpAddr>,
    let_in: Cell<Option<LetIn>>,
}

/// That a caller was let in, and what that hangs on.
#[derive(Clone, Copy)]
struct LetIn {
    /// How often anything had changed then.
    changes: u64,
    /// When its key stops by itself.
    ends: Expiry,
}

/// A verifier that was let in, for one request: all of it is judged as of one instant.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    project: ProjectId,
    as_of: AsOf,
}

/// The instant of a judgement, written once however many answers say it.
#[derive(Clone, Copy, Debug)]
pub struct AsOf {
    /// The instant.
    pub moment: Moment,
    text: Option<Rendered>,
}

impl AsOf {
    fn at(moment: Moment) -> Self {
        Self {
            moment,
            text: Rendered::of(moment),
        }
    }
}

/// The answer of an explanation: each rule in order.
pub type Rules = Vec<(&'static str, Option<Denial>)>;

const VERIFY: &str = "keyholt:verify";

impl Keeper {
    /// Recognises a caller that wants to verify keys.
    pub fn verifier(&self, secret: &str, address: Option<std::net::IpAddr>) -> Result<Verifier, Unauthenticated> {
        // A token takes the long way: it is looked at whole for every request.
        let credential = self.present(secret).filter(|credential| credential.token.is_none());
        let found = credential.ok_or(Unauthenticated::Invalid)?.found;
        let project = self
            .keyring
            .dossier(&found, |dossier, _| dossier.project)
            .ok_or(Unauthenticated::Invalid)?;
        Ok(Verifier {
            found,
            project,
            source: address,
            let_in: Cell::default(),
        })
    }

    /// Whether the caller may still verify. Asked for every request, and judged anew after every change of anything: that it
    /// was good is remembered only as long as nothing changed at all and its end has not come.
    pub fn admit(&self, verifier: &Verifier) -> Result<Admitted, Inadmissible> {
        if !self.is_fresh() {
            return Err(Inadmissible::CannotKnow);
        }
        let now = self.now();
        let admitted = Admitted {
            project: verifier.project,
            as_of: AsOf::at(now),
        };
        let settled = self.keyring.settled();
        if let Some(let_in) = verifier.let_in.get()
            && settled == Some(let_in.changes)
            && !let_in.ends.is_past(now)
        {
            self.note_grant(&verifier.found, now, verifier.source);
            return Ok(admitted);
        }
        let found = self.keyring.again(&verifier.found).ok_or(Inadmissible::Gone)?;
        let verification = self.keyring.dossier(&found, |dossier, _| {
            let environment = dossier
                .bounds
                .environment
                .as_ref()
                .map(|environment| environment.as_str());
            let ask = Ask {
                scopes: Needed::One(Wanted::action(VERIFY)),
                address: verifier.source,
                environment,
                ..Ask::default()
            };
            let verification = judge(Some(dossier), verifier.project, &ask, now);
            if matches!(verification, Verification::Denied(_)) {
                self.note_reuse(dossier, now, verifier.source);
            }
            verification
        });
        let verification = verification.ok_or(Inadmissible::Gone)?;
        self.note(&found, &verification, now, verifier.source);
        match verification {
            Verification::Granted(grant) => {
                // SECURITY: what was judged while something changed may be of both sides, and is not remembered.
                verifier.let_in.set(
                    settled
                        .filter(|_| self.keyring.settled() == settled)
                        .map(|changes| LetIn {
                            changes,
                            ends: grant.ends(),
                        }),
                );
                Ok(admitted)
            }
            Verification::Denied(Denial::InsufficientScope { .. }) => Err(Inadmissible::Lacks { scope: VERIFY }),
            Verification::Denied(Denial::AddressNotAllowed) => Err(Inadmissible::AddressNotAllowed),
            Verification::Denied(_) => Err(Inadmissible::Gone),
        }
    }

    /// Whether an actor may verify keys of a project.
    pub fn may_verify(&self, actor: &Actor, project: ProjectId) -> Result<(), Refusal> {
        self.may::<keyholt_core::actor::Verify>(actor, project, Subject::Project, Noun::Project)
    }

    /// Whether an actor's key carries a scope of the relying product, for doors that are that product themselves.
    pub fn carries(&self, actor: &Actor, scope: &'static str) -> Result<(), Refusal> {
        match Wanted::parse(scope) {
            Ok(wanted) if actor.effective.covers(wanted) => Ok(()),
            _ => Err(Refusal::Lacks { scope }),
        }
    }

    /// Judges a presented credential for a verifier of `project`, and hands the answer to `with`.
    ///
    /// The caller has been admitted, or permitted with [`Keeper::may_verify`].
    pub fn verify<R>(
        &self,
        project: ProjectId,
        question: &Question<'_>,
        with: impl FnOnce(&Answer<'_>) -> R,
    ) -> Result<R, Refusal> {
        if !self.is_fresh() {
            return Err(Refusal::CannotKnow);
        }
        let admitted = Admitted {
            project,
            as_of: AsOf::at(self.now()),
        };
        Ok(self.judge_for(&admitted, question, with))
    }

    /// Judges a presented credential for a verifier that was let in.
    pub fn judge_for<R>(&self, admitted: &Admitted, question: &Question<'_>, with: impl FnOnce(&Answer<'_>) -> R) -> R {
        self.judge_sought(admitted, question, Sought::by(self, question.credential), with)
    }

    fn digest(&self, text: &str) -> Result<Digest, Malformed> {
        Presented::parse(text).map(|presented| self.pepper.digest(presented.fingerprint()))
    }

    /// Judges a credential that is sought already.
    pub fn judge_sought<R>(
        &self,
        admitted: &Admitted,
        question: &Question<'_>,
        sought: Sought,
        with: impl FnOnce(&Answer<'_>) -> R,
    ) -> R {
        let Admitted { project, as_of } = *admitted;
        let now = as_of.moment;
        let denied = |denial| Answer {
            verification: Verification::Denied(denial),
            key: None,
            as_of,
        };
        let text = question.credential;
        let (digest, near, otherwise) = match sought {
            Sought::Digest(digest, near) => (digest, near, Denial::Malformed),
            Sought::Claims => {
                if let Some(token) = self.present_token(text) {
                    return self.judge_token(admitted, question, &token, with);
                }
                // A key that was imported may look like a token; it is one when no signing key of ours knows it.
                (self.digest(text), None, Denial::Unknown)
            }
        };
        let Ok(digest) = digest else {
            return with(&denied(otherwise));
        };
        let found = self.keyring.find_near(&digest, near);
        let found = found.or_else(|| self.find_text_earlier(text));
        let owner = found.as_ref().and_then(|found| self.keyring.owner(found));
        let (Some(found), Some(owner)) = (found, owner) else {
            return with(&denied(Denial::Unknown));
        };
        let Some(dossier) = self.keyring.dossier_on(&found, &owner) else {
            return with(&denied(Denial::Unknown));
        };
        let verification = judge(Some(&dossier), project, &question.ask, now);
        if question.counting == Counting::Counted {
            self.note(&found, &verification, now, question.ask.address);
            // A verifier of another project is told nothing of this key, and tells it nothing.
            if matches!(verification, Verification::Denied(_)) && dossier.project == project {
                self.note_reuse(&dossier, now, question.ask.address);
            }
        }
        with(&Answer::of(&dossier, &owner.handle, verification, as_of))
    }

    /// Judges an access token; it is judged by its key.
    fn judge_token<R>(
        &self,
        admitted: &Admitted,
        question: &Question<'_>,
        token: &Credential,
        with: impl FnOnce(&Answer<'_>) -> R,
    ) -> R {
        let Admitted { project, as_of } = *admitted;
        let now = as_of.moment;
        let mut with = Some(with);
        let answered = self.asking(token, project, &question.ask, |ask| {
            self.dossier(token, |dossier, owner| {
                let verification = judge(Some(dossier), project, ask, now);
                if question.counting == Counting::Counted {
                    self.note(&token.found, &verification, now, ask.address);
                }
                let answer = Answer::of(dossier, &owner.handle, verification, as_of);
                with.take().map(|with| with(&answer))
            })
        });
        let unknown = Answer {
            verification: Verification::Denied(Denial::Unknown),
            key: None,
            as_of,
        };
        answered
            .flatten()
            .or_else(|| with.take().map(|with| with(&unknown)))
            .expect("whoever asks is answered once")
    }

    /// Judges as [`Keeper::verify`] does, counts nothing, and tells what each rule says.
    pub fn explain<R>(
        &self,
        actor: &Actor,
        project: ProjectId,
        question: &Question<'_>,
        with: impl FnOnce(&Answer<'_>, Rules) -> R,
    ) -> Result<R, Refusal> {
        self.may::<Explain>(actor, project, Subject::Project, Noun::Project)?;
        let dry = Question {
            counting: Counting::DryRun,
            ..question.clone()
        };
        let now = self.now();
        let rules = self.present(question.credential).and_then(|credential| {
            self.asking(&credential, project, &question.ask, |ask| {
                self.dossier(&credential, |dossier, _| {
                    // SECURITY: of another project's key not even its rules are told.
                    if dossier.project == project {
                        explain(dossier, project, ask, now).collect()
                    } else {
                        Rules::new()
                    }
                })
            })
        });
        self.verify(project, &dry, |answer| with(answer, rules.unwrap_or_default()))
    }
}

/// Why a caller is not let in to verify.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inadmissible {
    /// Its key is not good any more, or has another secret by now.
    Gone,
    /// Its key may not verify.
    Lacks {
        /// The missing scope.
        scope: &'static str,
    },
    /// Its key may not be used from here.
    AddressNotAllowed,
    /// This node's view is too old to be sure.
    CannotKnow,
}
