//! Changes to users, teams and services, with members of three states.

use std::collections::BTreeSet;

use keyholt_core::text::{Cause, Description, Email, ExternalId, Metadata, Name, Slug};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::fault::Faults;
use crate::patch::{Patch, all_or, clearable, set};
use crate::reading::{read_cause, read_roles};
use crate::reference::Reference;

/// Changes to a user: what is left out stays as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendUser {
    /// A new external id.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 128)]
    pub external_id: Patch<String>,
    /// A new name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 64)]
    pub name: Patch<String>,
    /// A new e-mail address; `null` removes it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, required = false, min_length = 3, max_length = 254, pattern = r"^[^@\s]+@[^@\s]+$")]
    pub email: Patch<String>,
    /// New roles in place of the old, by name or id.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Vec<String>, required = false, max_items = 32)]
    pub roles: Patch<Vec<String>>,
    /// New metadata in place of the old; `null` empties it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Object>, required = false)]
    pub metadata: Patch<Map<String, Value>>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// Changes to a team: what is left out stays as it is. Members are put and removed one by one.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendTeam {
    /// A new external id.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 128)]
    pub external_id: Patch<String>,
    /// A new name.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 64)]
    pub name: Patch<String>,
    /// New roles in place of the old, by name or id.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Vec<String>, required = false, max_items = 32)]
    pub roles: Patch<Vec<String>>,
    /// New metadata in place of the old; `null` empties it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Object>, required = false)]
    pub metadata: Patch<Map<String, Value>>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// Changes to a service: what is left out stays as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendService {
    /// A new handle.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 40)]
    pub name: Patch<String>,
    /// A new description; `null` empties it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<String>, required = false, max_length = 1024)]
    pub description: Patch<String>,
    /// New roles in place of the old, by name or id.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Vec<String>, required = false, max_items = 32)]
    pub roles: Patch<Vec<String>>,
    /// New metadata in place of the old; `null` empties it.
    #[serde(default, skip_serializing_if = "Patch::is_keep")]
    #[schema(value_type = Option<Object>, required = false)]
    pub metadata: Patch<Map<String, Value>>,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

/// Changes to a user that were read: `None` keeps what was.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// A new external id.
    pub external_id: Option<ExternalId>,
    /// A new name.
    pub name: Option<Name>,
    /// A new e-mail address, or none.
    pub email: Patch<Email>,
    /// New roles, still to be looked up.
    pub roles: Option<BTreeSet<Reference>>,
    /// New metadata.
    pub metadata: Option<Metadata>,
    /// Why, for the audit trail.
    pub cause: Option<Cause>,
}

/// Changes to a team that were read: `None` keeps what was.
#[derive(Clone, Debug, Default)]
pub struct TeamChange {
    /// A new external id.
    pub external_id: Option<ExternalId>,
    /// A new name.
    pub name: Option<Name>,
    /// New roles, still to be looked up.
    pub roles: Option<BTreeSet<Reference>>,
    /// New metadata.
    pub metadata: Option<Metadata>,
    /// Why, for the audit trail.
    pub cause: Option<Cause>,
}

/// Changes to a service that were read: `None` keeps what was.
#[derive(Clone, Debug, Default)]
pub struct ServiceChange {
    /// A new handle.
    pub name: Option<Slug>,
    /// A new description.
    pub description: Option<Description>,
    /// New roles, still to be looked up.
    pub roles: Option<BTreeSet<Reference>>,
    /// New metadata.
    pub metadata: Option<Metadata>,
    /// Why, for the audit trail.
    pub cause: Option<Cause>,
}

impl AmendUser {
    /// Reads the changes, or tells all that is wrong with them.
    pub fn read(self) -> Result<UserChange, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        let external_id = set(&mut faults, "external_id", self.external_id)
            .map(|text| faults.read("external_id", ExternalId::new(&text)));
        let name = set(&mut faults, "name", self.name).map(|text| faults.read("name", Name::new(&text)));
        let email = match self.email {
            Patch::Keep => Some(Patch::Keep),
            Patch::Clear => Some(Patch::Clear),
            Patch::Set(text) => faults.read("email", Email::new(&text)).map(Patch::Set),
        };
        let roles = set(&mut faults, "roles", self.roles).map(|roles| read_roles(&mut faults, "roles", &roles));
        let metadata = clearable(self.metadata).map(|map| faults.read("metadata", Metadata::new(map)));
        faults.finish(|| {
            Some(UserChange {
                external_id: all_or(external_id)?,
                name: all_or(name)?,
                email: email?,
                roles: all_or(roles)?,
                metadata: all_or(metadata)?,
                cause: cause?,
            })
        })
    }
}

impl AmendTeam {
    /// Reads the changes, or tells all that is wrong with them.
    pub fn read(self) -> Result<TeamChange, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        let external_id = set(&mut faults, "external_id", self.external_id)
            .map(|text| faults.read("external_id", ExternalId::new(&text)));
        let name = set(&mut faults, "name", self.name).map(|text| faults.read("name", Name::new(&text)));
        let roles = set(&mut faults, "roles", self.roles).map(|roles| read_roles(&mut faults, "roles", &roles));
        let metadata = clearable(self.metadata).map(|map| faults.read("metadata", Metadata::new(map)));
        faults.finish(|| {
            Some(TeamChange {
                external_id: all_or(external_id)?,
                name: all_or(name)?,
                roles: all_or(roles)?,
                metadata: all_or(metadata)?,
                cause: cause?,
            })
        })
    }
}

impl AmendService {
    /// Reads the changes, or tells all that is wrong with them.
    pub fn read(self) -> Result<ServiceChange, Faults> {
        let mut faults = Faults::default();
        let cause = read_cause(&mut faults, self.cause.as_deref());
        let name = set(&mut faults, "name", self.name).map(|text| faults.read("name", Slug::new(&text)));
        let description = clearable(self.description).map(|text| faults.read("description", Description::new(&text)));
        let roles = set(&mut faults, "roles", self.roles).map(|roles| read_roles(&mut faults, "roles", &roles));
        let metadata = clearable(self.metadata).map(|map| faults.read("metadata", Metadata::new(map)));
        faults.finish(|| {
            Some(ServiceChange {
                name: all_or(name)?,
                description: all_or(description)?,
                roles: all_or(roles)?,
                metadata: all_or(metadata)?,
                cause: cause?,
            })
        })
    }
}
