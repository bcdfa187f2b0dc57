//! Readings that several bodies share: causes, scopes, roles, lists with a limit, objects that are objects.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use keyholt_core::owner::ROLES_PER_OWNER_MAX;
use keyholt_core::scope::{SCOPES_MAX, Scope, ScopeSet};
use keyholt_core::text::Cause;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

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

/// Reads a nested object as an object. Derived code would also take a list for it, member by member in order: a second
/// spelling that the schema does not have.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// As [`object`], for a member that may be left out.
pub(crate) fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(value)| value))
}

/// As [`object`], for each entry of a list.
pub(crate) fn objects<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(value)| value).collect())
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyObject<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyObject<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(OnlyObject(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use crate::verify::VerifyBatch;

    #[test]
    fn a_list_is_not_taken_for_an_object() {
        assert!(serde_json::from_str::<VerifyBatch>(r#"{"items":[{"credential":"x"}]}"#).is_ok());
        assert!(serde_json::from_str::<VerifyBatch>(r#"{"items":[["x"]]}"#).is_err());
    }
}
