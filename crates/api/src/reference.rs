//! References: how a request names a thing, by its id or by the handle that people use.

use std::fmt;
use std::str::FromStr;

use keyholt_core::id::{RoleId, looks_like_id};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::text::ExternalId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::fault::{FaultCode, Reason};
use crate::words;

/// A thing named by its id or its handle. No handle is spelled like an id, so the two cannot be confused.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reference {
    /// By its id.
    Id(Uuid),
    /// By its handle: a slug, a name or an external id.
    Handle(String),
}

impl FromStr for Reference {
    type Err = Reason;

    fn from_str(text: &str) -> Result<Self, Reason> {
        if let Ok(id) = text.parse::<RoleId>() {
            return Ok(Self::Id(id.uuid()));
        }
        let length = text.chars().take(ExternalId::MOST + 1).count();
        if !(1..=ExternalId::MOST).contains(&length) || text.contains('\0') || looks_like_id(text) {
            return Err(Reason(
                FaultCode::Form,
                "must be an id in lower case with hyphens, or a handle of 1 to 128 characters".into(),
            ));
        }
        Ok(Self::Handle(text.to_owned()))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.hyphenated().fmt(f),
            Self::Handle(handle) => f.write_str(handle),
        }
    }
}

/// An owner as a request names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnerReference {
    /// Which kind of owner.
    pub kind: OwnerKind,
    /// Which.
    pub reference: Reference,
}

impl FromStr for OwnerReference {
    type Err = Reason;

    /// Reads `user:u_42`, `team:platform` or `service:<id>`.
    fn from_str(text: &str) -> Result<Self, Reason> {
        let named = text
            .split_once(':')
            .and_then(|(kind, reference)| Some((OwnerKind::parse(kind)?, reference)));
        let Some((kind, reference)) = named else {
            return Err(Reason(
                FaultCode::Form,
                "must be `user:`, `team:` or `service:` followed by an id or a handle".into(),
            ));
        };
        Ok(Self {
            kind,
            reference: reference.parse()?,
        })
    }
}

/// An owner as a body names it: one member, whose name is the kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnerChoice {
    /// A user, by id or external id.
    User(String),
    /// A team, by id or external id.
    Team(String),
    /// A service, by id or name.
    Service(String),
}

impl PartialSchema for OwnerChoice {
    fn schema() -> RefOr<Schema> {
        let choice = |member: &str, description| {
            let name = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
            ObjectBuilder::new()
                .description(Some(description))
                .property(member, name)
                .required(member)
                .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        };
        OneOfBuilder::new()
            .description(Some("An owner as a body names it: one member, whose name is the kind."))
            .item(choice("user", "A user, by id or external id."))
            .item(choice("team", "A team, by id or external id."))
            .item(choice("service", "A service, by id or name."))
            .examples([json!({"user": "u_42"})])
            .into()
    }
}

impl ToSchema for OwnerChoice {}

impl OwnerChoice {
    /// The reference in it.
    pub fn read(&self) -> Result<OwnerReference, Reason> {
        let (kind, text) = match self {
            Self::User(text) => (OwnerKind::User, text),
            Self::Team(text) => (OwnerKind::Team, text),
            Self::Service(text) => (OwnerKind::Service, text),
        };
        Ok(OwnerReference {
            kind,
            reference: text.parse()?,
        })
    }
}

/// An owner as an answer names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OwnerName {
    /// `user`, `team` or `service`.
    #[schema(value_type = words::OwnerKind)]
    pub kind: OwnerKind,
    /// Its id.
    pub id: Uuid,
    /// Its external id or name; `null` when the owner was removed.
    #[schema(required, examples("u_42"))]
    pub handle: Option<String>,
}

/// What answers need to know beside the thing itself: how owners and roles are called.
pub trait Names {
    /// The external id of a user or team, the name of a service.
    fn owner(&self, owner: Owner) -> Option<String>;
    /// The name of a role.
    fn role(&self, role: RoleId) -> Option<String>;

    /// An owner with its handle.
    fn owner_name(&self, owner: Owner) -> OwnerName {
        OwnerName {
            kind: owner.kind(),
            id: owner.uuid(),
            handle: self.owner(owner),
        }
    }

    /// The names of roles in order; a role that is gone is left out.
    fn role_names<'a>(&self, roles: impl IntoIterator<Item = &'a RoleId>) -> Vec<String>
    where
        Self: Sized,
    {
        let mut names: Vec<String> = roles.into_iter().filter_map(|role| self.role(*role)).collect();
        names.sort_unstable();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_named_by_kind_and_id_or_handle() {
        let by_handle: OwnerReference = "user:u_42".parse().unwrap();
        assert_eq!(by_handle.kind, OwnerKind::User);
        assert_eq!(by_handle.reference, Reference::Handle("u_42".to_owned()));
        let by_id: OwnerReference = "team:0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20".parse().unwrap();
        assert!(matches!(by_id.reference, Reference::Id(_)));
        for refused in [
            "",
            "u_42",
            "robot:x",
            "user:",
            "user:0199A3C4-7B1E-7C00-8000-6F9D2F3F1A20",
        ] {
            assert!(refused.parse::<OwnerReference>().is_err(), "{refused}");
        }
    }
}
