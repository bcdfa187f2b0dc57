//! Builders for what callers wish for.

use std::collections::BTreeSet;

use keyholt_core::amend::Amendment;
use keyholt_core::issue::{Life, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Kind};
use keyholt_core::owner::Owner;
use keyholt_core::rotate::{Grace, Turn};
use keyholt_core::scope::Access;
use keyholt_core::text::{Description, Metadata};

/// An ordinary key of this owner that may do nothing.
pub fn wish(owner: Owner) -> Wish {
    Wish {
        owner,
        kind: Kind::Standard,
        name: super::name("a key"),
        description: Description::new("").unwrap(),
        metadata: Metadata::default(),
        tags: BTreeSet::new(),
        access: super::only(&[]),
        bounds: Bounds::default(),
        life: Life::Default,
        origin: SecretOrigin::Minted,
    }
}

/// Says what a wish is for, one word at a time.
pub trait Wishing {
    fn scopes(self, scopes: &[&str]) -> Self;
    fn everything(self) -> Self;
    fn access(self, access: Access) -> Self;
    fn kind(self, kind: Kind) -> Self;
    fn life(self, life: Life) -> Self;
    fn bounds(self, bounds: Bounds) -> Self;
    fn origin(self, origin: SecretOrigin) -> Self;
}

impl Wishing for Wish {
    fn scopes(self, scopes: &[&str]) -> Self {
        self.access(super::only(scopes))
    }

    fn everything(self) -> Self {
        self.access(Access::Everything)
    }

    fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    fn life(mut self, life: Life) -> Self {
        self.life = life;
        self
    }

    fn bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    fn origin(mut self, origin: SecretOrigin) -> Self {
        self.origin = origin;
        self
    }
}

/// A rotation with this grace, the new secret made by Keyholt.
pub fn turn(grace: Grace) -> Turn {
    Turn {
        grace,
        client_made: None,
        cause: None,
    }
}

/// An amendment that changes the access alone.
pub fn amendment(access: Access) -> Amendment {
    Amendment {
        access: Some(access),
        ..Amendment::default()
    }
}
