//! Readings that several bodies share: causes, scopes, roles, and lists with a limit.

use std::collections::BTreeSet;

use keyholt_core::owner::ROLES_PER_OWNER_MAX;
use keyholt_core::scope::{SCOPES_MAX, Scope, ScopeSet};
use keyholt_core::text::Cause;

use crate::fault::{FaultCode, Faults, Reason};
use crate::reference::Reference;

pub(crate) fn read_cause(faults: &mut Faults, cause: Option<&str>) -> Option<Option<Cause>> {
    faults.read_optional("cause", cause, Cause::new)
}

pub(crate) fn read_scopes(faults: &mut Faults, field: &str, scopes: &[String]) -> Option<ScopeSet> {
    if scopes.len() > SCOPES_MAX {
        faults.add(field, too_many(SCOPES_MAX));
        return None;
    }
    let scopes = faults.read_each(field, scopes, |scope| scope.parse::<Scope>())?;
    faults.read(field, ScopeSet::new(scopes))
}

pub(crate) fn too_many(most: usize) -> Reason {
    Reason(FaultCode::TooMuch, format!("may have at most {most} entries").into())
}

pub(crate) fn read_roles(faults: &mut Faults, field: &str, roles: &[String]) -> Option<BTreeSet<Reference>> {
    if roles.len() > ROLES_PER_OWNER_MAX {
        faults.add(field, too_many(ROLES_PER_OWNER_MAX));
        return None;
    }
    let roles = faults.read_each(field, roles, |role| role.parse::<Reference>())?;
    Some(roles.into_iter().collect())
}
