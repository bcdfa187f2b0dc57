//! Authority: what a key may do, which is its access as far as its owner has it.

use std::borrow::Cow;

use crate::scope::{Access, ScopeSet, Wanted};

/// A key's access beside its owner's permissions.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    access: &'a Access,
    permissions: &'a ScopeSet,
    /// Whether the permissions need not be looked at, because the access is known to lie within them.
    within: bool,
}

impl<'a> Authority<'a> {
    /// What a key with this access may do for an owner with these permissions.
    pub fn new(access: &'a Access, permissions: &'a ScopeSet) -> Self {
        Self {
            access,
            permissions,
            within: false,
        }
    }

    /// The same for two of which it is remembered whether the access lies within the permissions.
    ///
    /// SECURITY: `within` must be what [`Authority::lies_within`] said of these very two. The permissions are not looked at
    /// any more where it is true.
    #[must_use]
    pub fn remembered(access: &'a Access, permissions: &'a ScopeSet, within: bool) -> Self {
        Self {
            access,
            permissions,
            within,
        }
    }

    /// Whether the owner has all that the access names.
    pub fn lies_within(&self) -> bool {
        self.within
            || match self.access {
                Access::Everything => true,
                Access::Only(scopes) => self.permissions.lacks(scopes).is_none(),
            }
    }

    /// Whether this may be done. The same question as `effective().covers(wanted)` without building the set.
    pub fn covers(&self, wanted: Wanted<'_>) -> bool {
        match self.access {
            Access::Only(scopes) if self.within => scopes.covers(wanted),
            access => access.allows(self.permissions, wanted),
        }
    }

    /// All that may be done, without building a set where there is one already.
    pub fn effective(&self) -> Cow<'a, ScopeSet> {
        match self.access {
            Access::Everything => Cow::Borrowed(self.permissions),
            Access::Only(scopes) if self.lies_within() => Cow::Borrowed(scopes),
            Access::Only(scopes) => Cow::Owned(scopes.meet(self.permissions)),
        }
    }

    /// How much of the owner's permissions the key carries.
    pub fn access(&self) -> &'a Access {
        self.access
    }

    /// What the owner may do.
    pub fn permissions(&self) -> &'a ScopeSet {
        self.permissions
    }
}
