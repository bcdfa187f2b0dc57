//! Changes to a key, with members of three states.

use std::collections::BTreeSet;

use ipnet::IpNet;
use keyholt_core::amend::Amendment;
use keyholt_core::key::{Allowed, Bounds};
use keyholt_core::scope::Access;
use keyholt_core::text::{Audience, Cause, Description, Metadata, Name, Origin, Tag};
use keyholt_core::time::{Expiry, Moment};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{read_access, read_allowed, read_network, read_tags};
use crate::fault::{Blame, FaultCode, Faults, Reason};
use crate::patch::{Patch, all_or, clearable, set};
use crate::reading::read_cause;
use crate::scopes::Scopes;

/// Changes to a key: what is left out stays as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendKey {
    /// A new name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 64)]
    pub name: Patch<String>,
    /// A new description; `null` empties it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, required = false, max_length = 1024)]
    pub description: Patch<String>,
    /// New metadata in place of the old; `null` empties it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Object>, required = false)]
    pub metadata: Patch<Map<String, Value>>,
    /// New tags in place of the old; `null` removes them.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>, required = false, max_items = 32)]
    pub tags: Patch<Vec<String>>,
    /// What it may do from now on.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Scopes, required = false)]
    pub scopes: Patch<Scopes>,
    /// A new end; `null` is never, where the project's policy allows it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, required = false, format = DateTime)]
    pub expires_at: Patch<String>,
    /// A new end, counted from now, such as `90d`.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, max_length = 64, examples("90d"))]
    pub expires_in: Patch<String>,
    /// New client networks; `null` is no restriction.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>, required = false, min_items = 1, max_items = 64)]
    pub networks: Patch<Vec<String>>,
    /// New web origins; `null` is no restriction.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>, required = false, min_items = 1, max_items = 64)]
    pub origins: Patch<Vec<String>>,
    /// New audiences; `null` is no restriction.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Vec<String>>, required = false, min_items = 1, max_items = 64)]
    pub audience: Patch<Vec<String>>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// Changes to a key that were read: `None` keeps what was.
#[derive(Clone, Debug, Default)]
pub struct KeyChange {
    /// A new name.
    pub name: Option<Name>,
    /// A new description.
    pub description: Option<Description>,
    /// New metadata.
    pub metadata: Option<Metadata>,
    /// New tags.
    pub tags: Option<BTreeSet<Tag>>,
    /// New access.
    pub access: Option<Access>,
    /// A new end.
    pub expiry: Option<Expiry>,
    /// New client networks.
    pub networks: Option<Allowed<IpNet>>,
    /// New web origins.
    pub origins: Option<Allowed<Origin>>,
    /// New audiences.
    pub audience: Option<Allowed<Audience>>,
    /// Why.
    pub cause: Option<Cause>,
}

impl KeyChange {
    /// The change as an amendment of a key with these bounds.
    pub fn amendment(self, before: &Bounds) -> Amendment {
        let is_bounded = self.networks.is_some() || self.origins.is_some() || self.audience.is_some();
        let bounds = is_bounded.then(|| Bounds {
            networks: self.networks.unwrap_or_else(|| before.networks.clone()),
            origins: self.origins.unwrap_or_else(|| before.origins.clone()),
            audience: self.audience.unwrap_or_else(|| before.audience.clone()),
            environment: before.environment.clone(),
        });
        Amendment {
            name: self.name,
            description: self.description,
            metadata: self.metadata,
            tags: self.tags,
            access: self.access,
            expiry: self.expiry,
            bounds,
            cause: self.cause,
        }
    }
}

impl AmendKey {
    /// Reads the changes, or tells all that is wrong with them. A length of time is counted from `now`.
    pub fn read(self, now: Moment) -> Result<KeyChange, Faults> {
        let mut faults = Faults::default();
        let name = set(&mut faults, "name", self.name).map(|name| faults.read("name", Name::new(&name)));
        let description = clearable(self.description).map(|text| faults.read("description", Description::new(&text)));
        let metadata = clearable(self.metadata).map(|map| faults.read("metadata", Metadata::new(map)));
        let tags = clearable(self.tags).map(|tags| read_tags(&mut faults, tags));
        let access = set(&mut faults, "scopes", self.scopes).map(|scopes| read_access(&mut faults, "scopes", &scopes));
        let within = set(&mut faults, "expires_in", self.expires_in);
        let expiry = match (self.expires_at, within) {
            (Patch::Keep, None) => None,
            (Patch::Keep, Some(span)) => Some(
                faults
                    .read("expires_in", span.parse())
                    .map(|span| Expiry::At(now.plus(span))),
            ),
            (Patch::Clear, None) => Some(Some(Expiry::Never)),
            (Patch::Set(at), None) => Some(faults.read("expires_at", at.parse()).map(Expiry::At)),
            (Patch::Clear | Patch::Set(_), Some(_)) => {
                let reason = "give only one of `expires_at` and `expires_in`";
                faults.add("expires_in", Reason(FaultCode::Conflict, reason.into()));
                None
            }
        };
        let networks = restriction(&mut faults, "networks", self.networks, read_network);
        let origins = restriction(&mut faults, "origins", self.origins, Origin::new);
        let audience = restriction(&mut faults, "audience", self.audience, Audience::new);
        let cause = read_cause(&mut faults, self.cause.as_deref());
        faults.finish(|| {
            Some(KeyChange {
                name: all_or(name)?,
                description: all_or(description)?,
                metadata: all_or(metadata)?,
                tags: all_or(tags)?,
                access: all_or(access)?,
                expiry: all_or(expiry)?,
                networks: all_or(networks)?,
                origins: all_or(origins)?,
                audience: all_or(audience)?,
                cause: cause?,
            })
        })
    }
}

fn restriction<T: Ord, E: Blame>(
    faults: &mut Faults,
    field: &str,
    patch: Patch<Vec<String>>,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<Option<Allowed<T>>> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(Some(Allowed::Any)),
        Patch::Set(entries) => Some(read_allowed(faults, field, Some(&entries), parse)),
    }
}
