//! Scopes: what a key may do, as patterns; how one covers another; what two of them have in common.
//!
//! ```text
//!   orders:read        one action
//!   orders:*           every action below `orders:`
//!   *                  every action of the project, but none of Keyholt's own
//!   keyholt:keys:read  an action on Keyholt itself; only ever named, never covered by `*`
//!   reports:read@acme/*   the action, on resources below `acme/` only
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most scopes in one set.
pub const SCOPES_MAX: usize = 256;
/// Most bytes in one scope.
pub const SCOPE_BYTES_MAX: usize = 200;
/// Most scopes that two sets are worked out to have in common; what is beyond is not granted.
pub const SCOPES_MET_MAX: usize = 8192;
/// The namespace of actions on Keyholt itself.
pub const RESERVED: &str = "keyholt:";

/// One permission pattern: an action, perhaps with a trailing wildcard, perhaps bound to resources.
///
/// Comparison is by bytes: `Orders:read` and `orders:read` are two scopes, and neither is trimmed or folded.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    text: Box<str>,
    /// How long its action is: looked for once, because every verify compares scopes.
    action: usize,
}

/// Why a text is not a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Too short or too long.
    #[error("a scope has 1 to {SCOPE_BYTES_MAX} characters")]
    Length,
    /// Not `word:word:*` with an optional `@resource`.
    #[error(
        "a scope is words of letters, digits and `_ . -` joined by `:`, with `*` only as the last word, and may end in `@resource/path`"
    )]
    Form,
    /// A spelling that a person would take for the reserved namespace.
    #[error("`keyholt:` is reserved and written in lower case")]
    Reserved,
    /// Too many scopes at once.
    #[error("at most {SCOPES_MAX} scopes")]
    TooMany,
}

fn word(text: &[u8]) -> bool {
    !text.is_empty()
        && text
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// A step of a resource's path. `..` would lead a product that follows it out of what the pattern before it covers.
fn step(text: &[u8]) -> bool {
    word(text) && !matches!(text, b"." | b"..")
}

fn pattern(text: &str, joint: u8, word: fn(&[u8]) -> bool) -> bool {
    let text = text.as_bytes();
    let words = |text: &[u8]| text.split(|byte| *byte == joint).all(word);
    match text.strip_suffix(b"*") {
        None => words(text),
        Some([]) => true,
        Some(head) => head.strip_suffix(&[joint]).is_some_and(words),
    }
}

/// Whether a pattern covers another: equal, or its trailing wildcard reaches over it.
fn reaches(wide: &str, narrow: &str) -> bool {
    match wide.strip_suffix('*') {
        None => wide == narrow,
        // `a:*` covers `a:b` and `a:b:*`, and itself, but not `a`.
        Some(head) => narrow.len() > head.len() && narrow.starts_with(head),
    }
}

/// The patterns that cover a pattern, the widest first and itself last.
fn wider(narrow: &str, joint: char) -> impl Iterator<Item = String> {
    let heads = std::iter::once(0).chain(narrow.match_indices(joint).map(|(at, _)| at + 1));
    let wild = heads.filter_map(|end| narrow.get(..end)).map(|head| format!("{head}*"));
    wild.filter(move |wide| wide != narrow).chain([narrow.to_owned()])
}

fn action_covers(wide: &str, narrow: &str) -> bool {
    // SECURITY: a project that grants `*` to its users must not thereby make them administrators of Keyholt.
    if narrow.starts_with(RESERVED) && !wide.starts_with(RESERVED) {
        return false;
    }
    reaches(wide, narrow)
}

/// A scope that borrows its text: what a verifier asks for, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted<'a> {
    action: &'a str,
    resource: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// Reads a scope as it is asked for.
    pub fn parse(text: &'a str) -> Result<Self, ScopeError> {
        if text.is_empty() || text.len() > SCOPE_BYTES_MAX {
            return Err(ScopeError::Length);
        }
        let wanted = Self::split(text);
        let resource = |resource| pattern(resource, b'/', step);
        if !pattern(wanted.action, b':', word) || !wanted.resource.is_none_or(resource) {
            return Err(ScopeError::Form);
        }
        let bare = RESERVED.trim_end_matches(':');
        let first = wanted.action.as_bytes().split(|byte| *byte == b':').next();
        if first.is_some_and(|first| first.eq_ignore_ascii_case(bare.as_bytes()))
            && !wanted.action.starts_with(RESERVED)
        {
            return Err(ScopeError::Reserved);
        }
        Ok(wanted)
    }

    /// An action that the program itself names.
    #[must_use]
    pub const fn action(action: &'a str) -> Self {
        Self { action, resource: None }
    }

    /// The same action on this resource, unless a resource was named already.
    #[must_use]
    pub fn at(self, resource: &'a Resource) -> Self {
        Self {
            action: self.action,
            resource: self.resource.or(Some(&resource.0)),
        }
    }

    fn split(text: &'a str) -> Self {
        // By bytes: the search for a character is made for longer texts than these.
        let at = text.bytes().position(|byte| byte == b'@');
        match at.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))) {
            Some((action, resource)) => Self {
                action,
                resource: Some(resource),
            },
            None => Self::action(text),
        }
    }

    /// The scope as a value of its own.
    pub fn to_scope(self) -> Scope {
        match self.resource {
            None => Scope::of(self.action),
            Some(resource) => Scope::of(&format!("{}@{resource}", self.action)),
        }
    }
}

impl Scope {
    /// The scope with this text, which has been checked.
    fn of(text: &str) -> Self {
        Self {
            action: Wanted::split(text).action.len(),
            text: text.into(),
        }
    }

    /// The scope as it would be asked for.
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            action: self.text.get(..self.action).unwrap_or_default(),
            resource: self.text.get(self.action + 1..),
        }
    }

    /// Whether everything that is wanted is allowed by this scope.
    pub fn covers(&self, wanted: Wanted<'_>) -> bool {
        let mine = self.wanted();
        action_covers(mine.action, wanted.action)
            && match (mine.resource, wanted.resource) {
                (None, _) => true,
                (Some(_), None) => false,
                (Some(mine), Some(theirs)) => reaches(mine, theirs),
            }
    }

    /// What both scopes allow, or nothing.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        fn narrower<'a>(a: &'a str, b: &'a str, covers: fn(&str, &str) -> bool) -> Option<&'a str> {
            if covers(a, b) {
                Some(b)
            } else if covers(b, a) {
                Some(a)
            } else {
                None
            }
        }
        let (mine, theirs) = (self.wanted(), other.wanted());
        let action = narrower(mine.action, theirs.action, action_covers)?;
        match (mine.resource, theirs.resource) {
            (None, None) => Some(Self::of(action)),
            (Some(one), None) | (None, Some(one)) => Some(Self::of(&format!("{action}@{one}"))),
            (Some(a), Some(b)) => {
                let resource = narrower(a, b, reaches)?;
                Some(Self::of(&format!("{action}@{resource}")))
            }
        }
    }

    /// Whether this scope is about Keyholt itself.
    pub fn is_reserved(&self) -> bool {
        self.text.starts_with(RESERVED)
    }

    /// Whether this scope names no action but opens all of them, if only on some resources.
    pub fn is_wide_open(&self) -> bool {
        self.wanted().action == "*"
    }

    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        Ok(Wanted::parse(text)?.to_scope())
    }
}

impl TryFrom<String> for Scope {
    type Error = ScopeError;

    fn try_from(text: String) -> Result<Self, ScopeError> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.text.into()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)
    }
}

/// What a request is about, as a path without wildcards, such as `acme/reports/42`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resource(Box<str>);

impl FromStr for Resource {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        if text.is_empty() || text.len() > SCOPE_BYTES_MAX {
            return Err(ScopeError::Length);
        }
        if !text.as_bytes().split(|byte| *byte == b'/').all(step) {
            return Err(ScopeError::Form);
        }
        Ok(Self(text.into()))
    }
}

/// A set of scopes. An empty set grants nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<Scope>", into = "BTreeSet<Scope>")]
pub struct ScopeSet(
    /// Sorted, none twice: side by side they are gone through faster than any tree.
    Vec<Scope>,
);

/// As OAuth writes them (RFC 6749 §3.3): with a space between two.
impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for scope in &self.0 {
            f.write_str(separator)?;
            f.write_str(&scope.text)?;
            separator = " ";
        }
        Ok(())
    }
}

impl ScopeSet {
    /// No scope.
    pub const EMPTY: Self = Self(Vec::new());

    /// Checks and keeps scopes; the same scope twice counts once.
    pub fn new(scopes: impl IntoIterator<Item = Scope>) -> Result<Self, ScopeError> {
        let set = Self::sorted(scopes.into_iter().collect());
        if set.len() > SCOPES_MAX {
            Err(ScopeError::TooMany)
        } else {
            Ok(set)
        }
    }

    fn sorted(mut scopes: Vec<Scope>) -> Self {
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// Parses each text as a scope.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, ScopeError> {
        let scopes: Result<Vec<Scope>, ScopeError> = texts.into_iter().map(str::parse).collect();
        Self::new(scopes?)
    }

    /// Whether one of the scopes covers this one.
    pub fn covers(&self, wanted: Wanted<'_>) -> bool {
        self.0.iter().any(|mine| mine.covers(wanted))
    }

    /// The first scope of `other` that is not covered, if any.
    pub fn lacks<'a>(&self, other: &'a Self) -> Option<&'a Scope> {
        other.0.iter().find(|scope| !self.covers(scope.wanted()))
    }

    /// What both sets allow, without entries that another entry covers already.
    ///
    /// SECURITY: `a:x` to `z:x` meet `*@1` to `*@999` in every pair. What is beyond [`SCOPES_MET_MAX`] is left out, so that
    /// no choice of roles and scopes makes a check take for ever; less is granted then, never more.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let mut met = BTreeSet::new();
        let pairs = self
            .0
            .iter()
            .flat_map(|mine| other.0.iter().map(move |theirs| (mine, theirs)));
        for both in pairs.filter_map(|(mine, theirs)| mine.meet(theirs)) {
            met.insert(both);
            if met.len() == SCOPES_MET_MAX {
                break;
            }
        }
        Self(met.into_iter().collect()).reduced()
    }

    /// What either set allows.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::sorted(self.iter().chain(other.iter()).cloned().collect()).reduced()
    }

    /// Without entries that another entry covers. Looks up what could cover each one: comparing all with all would be
    /// quadratic in a number that others choose.
    fn reduced(self) -> Self {
        let kept = self.0.iter().filter(|one| !self.covers_besides(one)).cloned().collect();
        Self(kept)
    }

    fn covers_besides(&self, one: &Scope) -> bool {
        let Wanted { action, resource } = one.wanted();
        wider(action, ':')
            .filter(|wide| action_covers(wide, action))
            .any(|wide| {
                let anywhere = Scope::of(&wide);
                let bound = resource.into_iter().flat_map(|resource| wider(resource, '/'));
                std::iter::once(anywhere)
                    .chain(bound.map(|resource| Scope::of(&format!("{wide}@{resource}"))))
                    .any(|other| other != *one && self.contains(&other))
            })
    }

    /// The scopes in order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }

    /// Whether this very scope is named.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.binary_search(scope).is_ok()
    }

    /// The set without the scopes of which this is true.
    #[must_use]
    pub fn without(&self, leaves: impl Fn(&Scope) -> bool) -> Self {
        Self(self.0.iter().filter(|scope| !leaves(scope)).cloned().collect())
    }

    /// How many scopes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set grants nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeSet<Scope>> for ScopeSet {
    type Error = ScopeError;

    fn try_from(scopes: BTreeSet<Scope>) -> Result<Self, ScopeError> {
        Self::new(scopes)
    }
}

impl From<ScopeSet> for BTreeSet<Scope> {
    fn from(set: ScopeSet) -> Self {
        set.0.into_iter().collect()
    }
}

/// How much of its owner's permissions a key carries.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// All that the owner may do, whatever that is at the time of the check.
    Everything,
    /// These scopes, as far as the owner has them at the time of the check. An empty set grants nothing.
    Only(ScopeSet),
}

impl Access {
    /// What a key with this access may do for an owner with these permissions.
    pub fn effective(&self, owner: &ScopeSet) -> ScopeSet {
        match self {
            Self::Everything => owner.clone(),
            Self::Only(scopes) => scopes.meet(owner),
        }
    }

    /// Whether it carries all that the other one does, whoever owns the key.
    pub fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::Only(_), Self::Everything) => false,
            (Self::Only(scopes), Self::Only(others)) => scopes.lacks(others).is_none(),
        }
    }

    /// Whether a key with this access, of an owner with these permissions, may do this.
    ///
    /// The same question as `effective(owner).covers(wanted)` without building the set: this is on the verify path.
    pub fn allows(&self, owner: &ScopeSet, wanted: Wanted<'_>) -> bool {
        owner.covers(wanted)
            && match self {
                Self::Everything => true,
                Self::Only(scopes) => scopes.covers(wanted),
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_wildcard_covers_what_is_below_it_and_nothing_else() {
        for (wide, narrow, covered) in [
            ("orders:*", "orders:read", true),
            ("orders:*", "orders:read:all", true),
            ("orders:*", "orders:*", true),
            ("orders:*", "orders", false),
            ("orders:*", "orderstwo:read", false),
            ("orders:read", "orders:*", false),
            ("*", "orders:read", true),
            ("*", "keyholt:keys:read", false),
            ("*", "keyholt:*", false),
            ("keyholt:*", "keyholt:keys:read", true),
            ("keyholt:*", "*", false),
            ("orders:read", "Orders:read", false),
            ("reports:read", "reports:read@acme/q3", true),
            ("reports:read@acme/*", "reports:read@acme/q3", true),
            ("reports:read@acme/*", "reports:read@globex/q3", false),
            ("reports:read@acme/*", "reports:read", false),
        ] {
            assert_eq!(
                scope(wide).covers(scope(narrow).wanted()),
                covered,
                "{wide} covers {narrow}"
            );
        }
    }

    #[test]
    fn a_scope_has_one_spelling() {
        for refused in [
            "",
            " orders:read",
            "orders:read ",
            "orders:read\u{200b}",
            "orders:read,admin",
            "orders::read",
            ":read",
            "orders:",
            "or*ers",
            "orders:*:read",
            "**",
            "Keyholt:keys:read",
            "KEYHOLT:*",
            "keyholt",
            "a@",
            "a@*b",
            "a@b//c",
            &"a".repeat(201),
        ] {
            assert!(refused.parse::<Scope>().is_err(), "{refused:?} was accepted");
        }
    }

    #[test]
    fn what_two_sets_share_is_covered_by_both() {
        let key = ScopeSet::parse(["orders:*", "users:read", "reports:read"]).unwrap();
        let owner = ScopeSet::parse(["orders:read", "users:*", "reports:*@acme/*"]).unwrap();
        let met: Vec<String> = key.meet(&owner).iter().map(ToString::to_string).collect();
        assert_eq!(met, ["orders:read", "reports:read@acme/*", "users:read"]);
    }

    #[test]
    fn nothing_meets_nothing() {
        let owner = ScopeSet::parse(["*", "keyholt:*"]).unwrap();
        let key = Access::Only(ScopeSet::default());
        assert!(key.effective(&owner).is_empty());
        assert!(!key.allows(&owner, scope("orders:read").wanted()));
    }
}
