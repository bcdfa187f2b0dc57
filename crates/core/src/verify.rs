//! The judge: decides one verification. Pure: the same arguments always give the same answer.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::authority::Authority;
use crate::denial::Denial;
use crate::id::{KeyId, ProjectId};
use crate::key::{Bounds, Kind};
use crate::owner::{Owner, Standing};
use crate::scope::{ScopeSet, Wanted};
use crate::time::{Expiry, Moment, Span};

/// How long before its end a key's holder is warned.
pub const EXPIRES_SOON: Span = Span::days(7);
/// Most scopes in one question.
pub const ASK_SCOPES_MAX: usize = 64;

/// What a verifier wants to know.
#[derive(Clone, Debug, Default)]
pub struct Ask<'a> {
    /// The scopes that the request needs.
    pub scopes: Needed<'a>,
    /// Whom the credential is shown to.
    pub audience: Option<&'a str>,
    /// Where it is used.
    pub environment: Option<&'a str>,
    /// The address of the client that showed it.
    pub address: Option<IpAddr>,
    /// The web origin of the page that showed it.
    pub origin: Option<&'a str>,
}

/// The scopes that a request needs.
#[derive(Clone, Debug, Default)]
pub enum Needed<'a> {
    /// None.
    #[default]
    Nothing,
    /// This one.
    One(Wanted<'a>),
    /// All of these.
    AllOf(Vec<Wanted<'a>>),
    /// At least one of these.
    AnyOf(Vec<Wanted<'a>>),
}

/// All that is known about a key when it is judged.
#[derive(Clone, Debug)]
pub struct Dossier<'a> {
    /// The key.
    pub key: KeyId,
    /// Its project.
    pub project: ProjectId,
    /// Whom it acts for.
    pub owner: Owner,
    /// What sort of key it is.
    pub kind: Kind,
    /// What it may do, as far as its owner may do it now.
    pub authority: Authority<'a>,
    /// Where and for whom it works.
    pub bounds: &'a Bounds,
    /// When it stops by itself.
    pub expiry: Expiry,
    /// Whether somebody stopped it.
    pub stopped: Stopped,
    /// Which of its secrets was shown.
    pub shown: Shown,
    /// Whether its owner's keys work.
    pub owner_standing: Standing,
    /// Whether its project's keys work.
    pub project_standing: Standing,
    /// Whether the key itself was shown, or a token that was made with it.
    pub form: Form,
}

impl<'a> Dossier<'a> {
    /// When what was shown stops: with the key, or before it when it is the old secret of a rotation.
    pub fn ends(&self) -> Expiry {
        ends(self.expiry, self.shown)
    }

    /// Until when that may work at the latest which is made with it.
    pub fn hands_on_until(&self) -> Expiry {
        hands_on_until(self.kind, self.ends())
    }

    /// What the key may do now, without building a set where there is one already.
    pub fn effective(&self) -> Cow<'a, ScopeSet> {
        self.authority.effective()
    }
}

/// What was shown of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Its secret.
    Secret,
    /// An access token that hangs on it.
    Token,
}

/// Whether somebody stopped a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// Nobody did.
    No,
    /// For a time.
    Suspended,
    /// For good.
    Revoked,
    /// Its row is not as Keyholt wrote it.
    Tampered,
}

/// Which of a key's secrets was shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// The newest one.
    Current,
    /// The one before it, which works until then.
    Retiring {
        /// When it is dead.
        until: Moment,
    },
    /// One that a family of refresh tokens had once, or that looks like it: of use to nobody any more.
    Superseded,
}

/// The answer. A denial is an answer, never an error.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verification {
    /// The key is good for what was asked.
    Granted(Grant),
    /// It is not.
    Denied(Denial),
}

/// Proof that a key was judged and found good; only [`judge`] makes one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    key: KeyId,
    project: ProjectId,
    owner: Owner,
    kind: Kind,
    expiry: Expiry,
    shown: Shown,
    form: Form,
    now: Moment,
}

impl Grant {
    /// The key.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Its project.
    pub fn project(&self) -> ProjectId {
        self.project
    }

    /// Whom it acts for.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    /// When it stops by itself.
    pub fn expiry(&self) -> Expiry {
        self.expiry
    }

    /// When the secret that was shown stops: with the key, or before it when it is the old one of a rotation.
    ///
    /// SECURITY: this, not the key's expiry, bounds what may be made with it. Else whoever holds a leaked secret could rotate
    /// the key once more during its grace, and the rotation that was to shut him out would have changed nothing.
    pub fn ends(&self) -> Expiry {
        ends(self.expiry, self.shown)
    }

    /// Until when that may work at the latest which its holder makes.
    ///
    /// A session is a person: what a person makes outlives the log-in. A key is what it is, and nothing made with it does.
    pub fn hands_on_until(&self) -> Expiry {
        hands_on_until(self.kind, self.ends())
    }

    /// What its holder should be told.
    pub fn warnings(&self) -> impl Iterator<Item = Warning> {
        let soon = self
            .expiry
            .at()
            // A token always ends soon: that is what it is for.
            .filter(|_| self.form == Form::Secret)
            .filter(|at| *at <= self.now.plus(EXPIRES_SOON))
            .map(|at| Warning::ExpiresSoon { at });
        let superseded = match self.shown {
            Shown::Current | Shown::Superseded => None,
            Shown::Retiring { until } => Some(Warning::SupersededSecret { until }),
        };
        soon.into_iter().chain(superseded)
    }
}

fn ends(expiry: Expiry, shown: Shown) -> Expiry {
    match shown {
        Shown::Retiring { until } if expiry.outlives(Expiry::At(until)) => Expiry::At(until),
        Shown::Retiring { .. } | Shown::Current | Shown::Superseded => expiry,
    }
}

fn hands_on_until(kind: Kind, ends: Expiry) -> Expiry {
    match kind {
        Kind::Session => Expiry::Never,
        Kind::Standard | Kind::Static | Kind::Publishable => ends,
    }
}

/// Something that the holder of a good key should be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Warning {
    /// The key's end is near.
    ExpiresSoon {
        /// When it is dead.
        at: Moment,
    },
    /// The key was rotated; this is the old secret.
    SupersededSecret {
        /// When the old secret is dead.
        until: Moment,
    },
}

/// One thing that the judge looks at.
#[derive(Debug)]
pub struct Rule {
    /// Its name in an explanation.
    pub name: &'static str,
    scope: RuleScope,
    denies: fn(&Case<'_>) -> Option<Denial>,
}

/// What a rule depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum RuleScope {
    /// The key alone.
    Standing,
    /// Also what was asked.
    Asked,
}

struct Case<'a> {
    dossier: &'a Dossier<'a>,
    ask: &'a Ask<'a>,
    project: ProjectId,
    now: Moment,
}

/// The rules, in the order in which they are looked at.
///
/// SECURITY: possession first. Until a live digest of this very project matched, every refusal looks alike, so that a
/// stranger cannot learn that a key exists, let alone that it has expired.
pub const RULES: [Rule; 13] = [
    Rule {
        name: "project",
        scope: RuleScope::Standing,
        denies: |case| (case.dossier.project != case.project).then_some(Denial::Unknown),
    },
    Rule {
        name: "secret",
        scope: RuleScope::Standing,
        denies: |case| {
            let dead = match case.dossier.shown {
                Shown::Current => false,
                Shown::Retiring { until } => case.now >= until,
                Shown::Superseded => true,
            };
            dead.then_some(Denial::Unknown)
        },
    },
    Rule {
        name: "seal",
        scope: RuleScope::Standing,
        denies: |case| (case.dossier.stopped == Stopped::Tampered).then_some(Denial::Tampered),
    },
    Rule {
        name: "revoked",
        scope: RuleScope::Standing,
        denies: |case| (case.dossier.stopped == Stopped::Revoked).then_some(Denial::Revoked),
    },
    Rule {
        name: "suspended",
        scope: RuleScope::Standing,
        denies: |case| (case.dossier.stopped == Stopped::Suspended).then_some(Denial::Suspended),
    },
    Rule {
        name: "expired",
        scope: RuleScope::Standing,
        denies: |case| case.dossier.expiry.is_past(case.now).then_some(Denial::Expired),
    },
    Rule {
        name: "owner",
        scope: RuleScope::Standing,
        denies: |case| (!case.dossier.owner_standing.is_good()).then_some(Denial::OwnerSuspended),
    },
    Rule {
        name: "project_standing",
        scope: RuleScope::Standing,
        denies: |case| (!case.dossier.project_standing.is_good()).then_some(Denial::ProjectSuspended),
    },
    Rule {
        name: "address",
        scope: RuleScope::Asked,
        denies: |case| (!case.dossier.bounds.allows_address(case.ask.address)).then_some(Denial::AddressNotAllowed),
    },
    Rule {
        name: "origin",
        scope: RuleScope::Asked,
        denies: |case| (!case.dossier.bounds.allows_origin(case.ask.origin)).then_some(Denial::OriginNotAllowed),
    },
    Rule {
        name: "audience",
        scope: RuleScope::Asked,
        denies: |case| (!case.dossier.bounds.allows_audience(case.ask.audience)).then_some(Denial::AudienceNotAllowed),
    },
    Rule {
        name: "environment",
        scope: RuleScope::Asked,
        denies: |case| {
            (!case.dossier.bounds.allows_environment(case.ask.environment)).then_some(Denial::EnvironmentNotAllowed)
        },
    },
    Rule {
        name: "scopes",
        scope: RuleScope::Asked,
        denies: |case| missing(case.dossier, &case.ask.scopes),
    },
];

fn missing(dossier: &Dossier<'_>, needed: &Needed<'_>) -> Option<Denial> {
    let allowed = |wanted: &Wanted<'_>| dossier.authority.covers(*wanted);
    let lacking: Vec<_> = match needed {
        Needed::Nothing => return None,
        Needed::One(wanted) => Some(wanted).filter(|wanted| !allowed(wanted)).into_iter().collect(),
        Needed::AllOf(wanted) => wanted.iter().filter(|wanted| !allowed(wanted)).collect(),
        Needed::AnyOf(wanted) if wanted.iter().any(allowed) => return None,
        Needed::AnyOf(wanted) => wanted.iter().collect(),
    };
    if lacking.is_empty() && !matches!(needed, Needed::AnyOf(_)) {
        return None;
    }
    let missing = ScopeSet::new(lacking.into_iter().map(|wanted| wanted.to_scope())).unwrap_or_default();
    Some(Denial::InsufficientScope { missing })
}

/// Decides whether the shown secret is good for what is asked by a verifier of `project`.
pub fn judge(dossier: Option<&Dossier<'_>>, project: ProjectId, ask: &Ask<'_>, now: Moment) -> Verification {
    let Some(dossier) = dossier else {
        return Verification::Denied(Denial::Unknown);
    };
    let case = Case {
        dossier,
        ask,
        project,
        now,
    };
    match RULES.iter().find_map(|rule| (rule.denies)(&case)) {
        Some(denial) => Verification::Denied(denial),
        None => Verification::Granted(Grant {
            key: dossier.key,
            project: dossier.project,
            owner: dossier.owner,
            kind: dossier.kind,
            expiry: dossier.expiry,
            shown: dossier.shown,
            form: dossier.form,
            now,
        }),
    }
}

/// Whether a key works at all now, and if not why: the rules that do not depend on a question.
pub fn standing(dossier: &Dossier<'_>, now: Moment) -> Option<Denial> {
    let ask = Ask::default();
    let case = Case {
        dossier,
        ask: &ask,
        project: dossier.project,
        now,
    };
    RULES
        .iter()
        .filter(|rule| rule.scope == RuleScope::Standing)
        .find_map(|rule| (rule.denies)(&case))
}

/// Each rule in order with what it says, whatever the ones before it said.
pub fn explain<'a>(
    dossier: &'a Dossier<'a>,
    project: ProjectId,
    ask: &'a Ask<'a>,
    now: Moment,
) -> impl Iterator<Item = (&'static str, Option<Denial>)> {
    RULES.iter().map(move |rule| {
        (
            rule.name,
            (rule.denies)(&Case {
                dossier,
                ask,
                project,
                now,
            }),
        )
    })
}
