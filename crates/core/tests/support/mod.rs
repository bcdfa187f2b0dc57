//! A small world for the tests of the core: people, a project, a clock that is set and randomness that is seeded.

mod entropy;
mod wish;
mod world;

pub use entropy::Seeded;
pub use wish::{Wishing, amendment, turn, wish};
pub use world::{NEW_YEAR, World, effective};

use keyholt_core::actor::Source;
use keyholt_core::scope::{Access, Scope, ScopeSet, Wanted};
use keyholt_core::text::{Cause, Name, RequestKey};

/// These scopes.
pub fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts.iter().copied()).unwrap_or_else(|error| panic!("{texts:?}: {error}"))
}

/// Access to these scopes only.
pub fn only(texts: &[&str]) -> Access {
    Access::Only(scopes(texts))
}

/// One scope.
pub fn scope(text: &str) -> Scope {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// One scope as it is asked for.
pub fn wanted(text: &str) -> Wanted<'_> {
    Wanted::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A name.
pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A cause.
pub fn cause(text: &str) -> Cause {
    Cause::new(text).unwrap()
}

/// Where the requests of the stories come from.
pub fn source() -> Source {
    Source {
        address: None,
        request: RequestKey::new("story").unwrap(),
    }
}
