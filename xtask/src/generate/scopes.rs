//! The page of scopes about Keyholt itself: what each allows, which operations ask for it, and which role has it.

use std::fmt::Write as _;

use keyholt_core::actor::{Allowance, Extent, MANAGEMENT};
use keyholt_core::role::STARTING_ROLES;
use keyholt_core::scope::{Scope, Wanted};
use keyholt_server::http::{Needs, operations};

use super::api;

const INTRODUCTION: &str = "\
# Management scopes

<!-- Generated from the lists in `crates/core/src/actor.rs` and `crates/core/src/role.rs`; edit those, then run `cargo xtask generate`. -->

What a key may do in Keyholt itself is written as scopes that begin with `keyholt:`. They stand beside your own scopes,
in one set with one rule, and your project cannot define others there. `*` covers all of your scopes and none of these:
`keyholt:*` covers all of these, `keyholt:keys:*` both about keys. A key has of them what is written in its access and
what its owner holds through roles, at the time of the request. Nobody hands on a scope that they do not carry.

A scope reaches everything in its project. One that ends in `self:read` or `self:write` reaches what belongs to the
key's owner, and the keys of teams where that user may manage keys; what belongs to others does not exist for it.
Operators are users of Keyholt's own project, and their keys reach every project.

";

/// The whole page.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("| Scope | Allows |\n|---|---|\n");
    let scopes = scopes();
    for scope in &scopes {
        let _ = writeln!(
            page,
            "| [`{scope}`](#{}) | {} |",
            api::anchor(scope),
            meanings(scope).join(" ")
        );
    }
    page.push_str("\n## The roles that a project starts with\n\n");
    page.push_str("They are ordinary roles: change them, or make others.\n\n");
    page.push_str("| Role | What it is for | Scopes | Of the scopes on this page |\n|---|---|---|---|\n");
    for (name, meaning, given) in STARTING_ROLES {
        let covered: Vec<&str> = scopes
            .iter()
            .copied()
            .filter(|scope| is_covered(given, scope))
            .collect();
        let covered = if covered.len() == scopes.len() {
            "all; `keyholt:operate` is for operators alone".to_owned()
        } else {
            list(&covered)
        };
        let _ = writeln!(page, "| `{name}` | {meaning} | {} | {covered} |", list(given));
    }
    for scope in &scopes {
        let _ = writeln!(page, "\n## `{scope}`\n\n{}\n", meanings(scope).join(" "));
        for operation in operations() {
            let asks = match operation.needs {
                Needs::Scope(needed) => needed == *scope,
                Needs::ScopeOrOwn(needed, own) => needed == *scope || own == *scope,
                _ => false,
            };
            if asks {
                let _ = writeln!(page, "- `{} {}`", operation.method, operation.path);
            }
        }
    }
    page
}

/// Every scope once, in the order of the list.
fn scopes() -> Vec<&'static str> {
    let mut scopes = Vec::new();
    for Allowance { scope, .. } in MANAGEMENT {
        if !scopes.contains(scope) {
            scopes.push(*scope);
        }
    }
    scopes
}

/// All that a scope allows, a sentence each.
fn meanings(scope: &str) -> Vec<&'static str> {
    let allowed = |extent| {
        MANAGEMENT
            .iter()
            .filter(move |allowance| allowance.scope == scope && allowance.extent == extent)
            .map(|allowance| allowance.meaning.trim())
    };
    let mut said: Vec<_> = allowed(Extent::Everywhere).collect();
    let before = said.len();
    said.extend(allowed(Extent::Own));
    if said.len() > before {
        said.push("All this on what is the caller's own alone.");
    }
    said
}

fn is_covered(given: &[&str], scope: &str) -> bool {
    given
        .iter()
        .filter_map(|given| given.parse::<Scope>().ok())
        .any(|given| Wanted::parse(scope).is_ok_and(|scope| given.covers(scope)))
}

fn list(scopes: &[&str]) -> String {
    if scopes.is_empty() {
        return "none".to_owned();
    }
    format!("`{}`", scopes.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_that_an_operation_asks_for_is_explained() {
        for operation in operations() {
            let asked = match operation.needs {
                Needs::Scope(scope) => vec![scope],
                Needs::ScopeOrOwn(scope, own) => vec![scope, own],
                _ => Vec::new(),
            };
            for scope in asked {
                assert!(scopes().contains(&scope), "{}: {scope}", operation.id);
            }
        }
    }

    #[test]
    fn a_role_is_shown_with_what_its_patterns_cover() {
        let page = page();
        assert!(
            page.contains("| `verifier` | May ask whether keys are valid. | `keyholt:verify` | `keyholt:verify` |")
        );
        assert!(page.contains("| `*`, `keyholt:self:*` | `keyholt:self:read`, `keyholt:self:write` |"));
    }
}
