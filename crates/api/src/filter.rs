//! Filters of the list of keys, the same in a query string and in a bulk revocation.

use keyholt_core::id::KeyId;
use keyholt_core::key::Kind;
use keyholt_core::scope::Scope;
use keyholt_core::text::{Cause, Name, Tag};
use keyholt_core::time::{Moment, Span};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::fault::{FaultCode, Faults, Reason};
use crate::reference::OwnerReference;
use crate::words::{KeyKind, KeyState};

/// Which keys are wanted. Filters are joined by *and*; one that is left out does not filter.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeyFilter {
    /// Whose, such as `user:u_42`, `team:platform` or `service:ci`; after the colon an id or a handle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 140, pattern = "^(user|team|service):.+$")]
    #[param(max_length = 140, pattern = "^(user|team|service):.+$", nullable = false)]
    pub owner: Option<String>,
    /// `standard`, `static` or `publishable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KeyKind>)]
    #[param(value_type = Option<KeyKind>, inline, nullable = false)]
    pub kind: Option<String>,
    /// `active`, `suspended`, `revoked` or `expired`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KeyState>)]
    #[param(value_type = Option<KeyState>, inline, nullable = false)]
    pub state: Option<String>,
    /// With this scope written in their access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    #[param(max_length = 200, nullable = false)]
    pub scope: Option<String>,
    /// With this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    #[param(max_length = 64, nullable = false)]
    pub tag: Option<String>,
    /// With these words in name or description; the last may be the beginning of a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    #[param(min_length = 1, max_length = 64, nullable = false)]
    pub text: Option<String>,
    /// Neither used nor made for this long, such as `30d`; longest unused first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    #[param(max_length = 64, nullable = false)]
    pub unused_for: Option<String>,
    /// Ending within this time, such as `14d`; soonest end first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    #[param(max_length = 64, nullable = false)]
    pub expiring_within: Option<String>,
    /// Ending before this instant; soonest end first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    #[param(format = DateTime, nullable = false)]
    pub expiring_before: Option<String>,
    /// Made with the key of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Uuid)]
    #[param(format = Uuid, nullable = false)]
    pub created_by: Option<String>,
}

/// Filters that were read; an owner is still to be looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyChoice {
    /// Whose.
    pub owner: Option<OwnerReference>,
    /// Of which kind.
    pub kind: Option<Kind>,
    /// In which state.
    pub state: Option<StateWord>,
    /// With this scope.
    pub scope: Option<Scope>,
    /// With this tag.
    pub tag: Option<Tag>,
    /// With these words.
    pub text: Option<String>,
    /// Neither used nor made for this long.
    pub unused_for: Option<Span>,
    /// Ending within this time.
    pub expiring_within: Option<Span>,
    /// Ending before this instant.
    pub expiring_before: Option<Moment>,
    /// Made with this key.
    pub created_by: Option<KeyId>,
}

/// The state of a key as people see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StateWord {
    /// Works.
    Active,
    /// Stopped for a time.
    Suspended,
    /// Stopped for good.
    Revoked,
    /// Its time is over.
    Expired,
}

impl StateWord {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Active, Self::Suspended, Self::Revoked, Self::Expired];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// The state that this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl KeyFilter {
    /// Reads the filters, or tells all that is wrong with them.
    pub fn read(&self) -> Result<KeyChoice, Faults> {
        let mut faults = Faults::default();
        let kind = |word| Kind::parse(word).ok_or(word_of("`standard`, `static` or `publishable`"));
        let state = |word| StateWord::parse(word).ok_or(word_of("`active`, `suspended`, `revoked` or `expired`"));
        let owner = faults.read_optional("owner", self.owner.as_deref(), str::parse);
        let kind = faults.read_optional("kind", self.kind.as_deref(), kind);
        let state = faults.read_optional("state", self.state.as_deref(), state);
        let scope = faults.read_optional("scope", self.scope.as_deref(), str::parse);
        let tag = faults.read_optional("tag", self.tag.as_deref(), Tag::new);
        let text = faults.read_optional("text", self.text.as_deref(), Name::new);
        let unused_for = faults.read_optional("unused_for", self.unused_for.as_deref(), str::parse);
        let expiring_within = faults.read_optional("expiring_within", self.expiring_within.as_deref(), str::parse);
        let expiring_before = faults.read_optional("expiring_before", self.expiring_before.as_deref(), str::parse);
        let created_by = faults.read_optional("created_by", self.created_by.as_deref(), str::parse);
        faults.finish(|| {
            Some(KeyChoice {
                owner: owner?,
                kind: kind?,
                state: state?,
                scope: scope?,
                tag: tag?,
                text: text?.map(|text| text.to_string()),
                unused_for: unused_for?,
                expiring_within: expiring_within?,
                expiring_before: expiring_before?,
                created_by: created_by?,
            })
        })
    }
}

fn word_of(words: &str) -> Reason {
    Reason(FaultCode::UnknownWord, format!("must be {words}").into())
}

/// A bulk revocation, confirmed by the number of keys that it is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevokeMatching {
    /// Which keys; those revoked already are not counted. At least one filter must be given.
    #[serde(deserialize_with = "crate::reading::object")]
    pub filter: KeyFilter,
    /// How many keys the caller expects to revoke. Another number revokes nothing.
    pub expect_count: u64,
    /// Why; kept with the keys and in the audit trail.
    #[schema(min_length = 1, max_length = 256)]
    pub cause: String,
}

impl RevokeMatching {
    /// Reads filter and cause, or tells all that is wrong with them.
    pub fn read(&self) -> Result<(KeyChoice, Cause), Faults> {
        let mut faults = Faults::default();
        let choice = faults.nest("filter", self.filter.read());
        if self.filter == KeyFilter::default() {
            let reason = "must name at least one filter; there is no way to mean every key by saying nothing";
            faults.add("filter", Reason(FaultCode::Required, reason.into()));
        }
        let cause = faults.read("cause", Cause::new(&self.cause));
        faults.finish(|| Some((choice?, cause?)))
    }
}

/// What came of a bulk revocation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RevokedMatching {
    /// How many keys were revoked.
    pub revoked: u64,
}
