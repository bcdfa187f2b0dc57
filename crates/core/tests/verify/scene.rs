//! A key that is good in every respect and a question that it meets; the stories break one thing after another.

use std::net::IpAddr;

use keyholt_core::authority::Authority;
use keyholt_core::denial::{Denial, DenialCode};
use keyholt_core::id::{KeyId, ProjectId, UserId};
use keyholt_core::key::{Allowed, Bounds, Kind};
use keyholt_core::owner::{Owner, Standing};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::text::{Audience, Environment, Origin};
use keyholt_core::time::{Expiry, Span};
use keyholt_core::verify::{Ask, Dossier, Needed, Shown, Stopped, Verification, explain, judge};

use crate::support::{NEW_YEAR, Seeded, only, scopes, wanted};

/// A key with every bound there is, and a question that meets all of them.
#[derive(Clone)]
pub struct Scene {
    pub asked_in: ProjectId,
    pub project: ProjectId,
    pub key: KeyId,
    pub owner: Owner,
    pub access: Access,
    pub bounds: Bounds,
    pub permissions: ScopeSet,
    pub expiry: Expiry,
    pub stopped: Stopped,
    pub shown: Shown,
    pub owner_standing: Standing,
    pub project_standing: Standing,
    pub scope: &'static str,
    pub audience: Option<&'static str>,
    pub environment: Option<&'static str>,
    pub address: Option<IpAddr>,
    pub origin: Option<&'static str>,
}

impl Scene {
    pub fn good() -> Self {
        let mut entropy = Seeded::new(3);
        let project = ProjectId::mint(NEW_YEAR, &mut entropy);
        Self {
            asked_in: project,
            project,
            key: KeyId::mint(NEW_YEAR, &mut entropy),
            owner: Owner::User(UserId::mint(NEW_YEAR, &mut entropy)),
            access: only(&["orders:*"]),
            bounds: Bounds {
                networks: Allowed::only(vec!["10.0.0.0/8".parse().unwrap()]).unwrap(),
                origins: Allowed::only(vec![Origin::new("https://app.example.org").unwrap()]).unwrap(),
                audience: Allowed::only(vec![Audience::new("https://api.example.org").unwrap()]).unwrap(),
                environment: Some(Environment::new("live").unwrap()),
            },
            permissions: scopes(&["*"]),
            expiry: Expiry::At(NEW_YEAR.plus(Span::days(30))),
            stopped: Stopped::No,
            shown: Shown::Current,
            owner_standing: Standing::Good,
            project_standing: Standing::Good,
            scope: "orders:read",
            audience: Some("https://api.example.org"),
            environment: Some("live"),
            address: Some("10.1.2.3".parse().unwrap()),
            origin: Some("https://app.example.org"),
        }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub fn dossier(&self) -> Dossier<'_> {
        Dossier {
            key: self.key,
            project: self.project,
            owner: self.owner,
            kind: Kind::Standard,
            authority: Authority::new(&self.access, &self.permissions),
            bounds: &self.bounds,
            expiry: self.expiry,
            stopped: self.stopped,
            shown: self.shown,
            owner_standing: self.owner_standing,
            project_standing: self.project_standing,
            form: keyholt_core::verify::Form::Secret,
        }
    }

    pub fn ask(&self) -> Ask<'_> {
        Ask {
            scopes: Needed::One(wanted(self.scope)),
            audience: self.audience,
            environment: self.environment,
            address: self.address,
            origin: self.origin,
        }
    }

    pub fn judged(&self) -> Verification {
        judge(Some(&self.dossier()), self.asked_in, &self.ask(), NEW_YEAR)
    }

    pub fn code(&self) -> Option<DenialCode> {
        match self.judged() {
            Verification::Granted(_) => None,
            Verification::Denied(denial) => Some(denial.code()),
        }
    }

    pub fn explained(&self) -> Vec<(&'static str, Option<Denial>)> {
        let (dossier, ask) = (self.dossier(), self.ask());
        explain(&dossier, self.asked_in, &ask, NEW_YEAR).collect()
    }
}
