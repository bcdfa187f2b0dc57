//! What a key may do, on the wire: a list of scopes, or the word `everything`.

use std::fmt;

use keyholt_core::scope::{Access, Scope};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

const EVERYTHING: &str = "everything";

/// What a key may do, within what its owner may do. An empty list grants nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scopes {
    /// All that its owner may do, written `"everything"`.
    Everything,
    /// These alone.
    Only(Vec<String>),
}

impl From<&Access> for Scopes {
    fn from(access: &Access) -> Self {
        match access {
            Access::Everything => Self::Everything,
            Access::Only(scopes) => Self::Only(scopes.iter().map(Scope::to_string).collect()),
        }
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Everything => serializer.serialize_str(EVERYTHING),
            Self::Only(scopes) => scopes.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrWord;

        impl<'de> de::Visitor<'de> for ListOrWord {
            type Value = Scopes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of scopes or the word `everything`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Scopes, E> {
                if word == EVERYTHING {
                    Ok(Scopes::Everything)
                } else {
                    // What was sent is not repeated: it might be a pasted key.
                    Err(E::custom("expected a list of scopes or the word `everything`"))
                }
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Scopes, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Scopes::Only)
            }
        }

        deserializer.deserialize_any(ListOrWord)
    }
}

impl PartialSchema for Scopes {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        let scope = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .min_length(Some(1))
            .max_length(Some(keyholt_core::scope::SCOPE_BYTES_MAX))
            .build();
        let either = OneOfBuilder::new()
            .description(Some(
                "What a key may do, within what its owner may do: scopes such as `orders:read` or `orders:*`, or the word \
                 `everything`. An empty list grants nothing.",
            ))
            .item(
                ArrayBuilder::new()
                    .items(scope)
                    .max_items(Some(keyholt_core::scope::SCOPES_MAX)),
            )
            .item(
                ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::String))
                    .enum_values(Some([EVERYTHING])),
            )
            .examples([serde_json::json!(["orders:read"])])
            .build();
        utoipa::openapi::RefOr::T(either.into())
    }
}

impl ToSchema for Scopes {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_said_in_a_word_and_nothing_by_an_empty_list() {
        for (text, scopes) in [
            ("\"everything\"", Scopes::Everything),
            ("[]", Scopes::Only(vec![])),
            ("[\"a:b\"]", Scopes::Only(vec!["a:b".to_owned()])),
        ] {
            assert_eq!(serde_json::from_str::<Scopes>(text).unwrap(), scopes);
            assert_eq!(serde_json::to_string(&scopes).unwrap(), text);
        }
        let error = serde_json::from_str::<Scopes>("\"secret-word\"")
            .unwrap_err()
            .to_string();
        assert!(!error.contains("secret-word"), "{error}");
        assert!(serde_json::from_str::<Scopes>("null").is_err());
    }
}
