//! Meerschaum's scopes: names of the relying product, kept as they are.

use keyholt_api::fault::Faults;
use keyholt_core::scope::{Access, Scope, ScopeError, ScopeSet};

/// What a registration that names no scopes means: all that Meerschaum has, by name.
///
/// SECURITY: an empty list is not the same; it grants nothing.
pub const ALL: [&str; 23] = [
    "pipes:read",
    "pipes:write",
    "pipes:drop",
    "pipes:delete",
    "actions:execute",
    "connectors:read",
    "sql:read",
    "jobs:read",
    "jobs:write",
    "jobs:execute",
    "jobs:delete",
    "logs:read",
    "jobs:stop",
    "jobs:pause",
    "instance:read",
    "instance:chain",
    "plugins:write",
    "plugins:read",
    "plugins:delete",
    "users:read",
    "users:write",
    "users:register",
    "users:delete",
];
/// Everything, in a list of scopes.
pub const EVERYTHING: &str = "*";

/// The scopes that a body names, as access.
pub fn read<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Result<Access, Faults> {
    let mut faults = Faults::default();
    let mut read = Vec::new();
    for (index, scope) in scopes.into_iter().enumerate() {
        // A slip of the pen in older versions.
        let scope = if scope == "josb:stop" { "jobs:stop" } else { scope };
        read.extend(faults.read(format!("scopes.{index}"), scope.parse::<Scope>()));
    }
    if !faults.entries().is_empty() {
        return Err(faults);
    }
    let set = ScopeSet::new(read).map_err(|error: ScopeError| Faults::one("scopes", error))?;
    Ok(Access::Only(set))
}

/// The scopes that a token has, by name.
pub fn shown(access: &Access) -> Vec<&str> {
    match access {
        Access::Everything => vec![EVERYTHING],
        Access::Only(scopes) => scopes.iter().map(Scope::as_str).collect(),
    }
}
