//! The page of bodies, and how a schema is put into words.

use std::fmt::Write as _;

use utoipa::Number;
use utoipa::openapi::schema::{AdditionalProperties, Array, ArrayItems, Object, SchemaFormat, SchemaType, Type};
use utoipa::openapi::{KnownFormat, OpenApi, Ref, RefOr, Schema};

use super::api::anchor;

const INTRODUCTION: &str = "\
# Bodies

<!-- Generated from the OpenAPI document, whose bodies are in `crates/api`; run `cargo xtask generate`. -->

What the bodies of requests and answers are made of, by name. [API](api.md) says which operation takes and gives which.
A member that is not said to be optional must be there in a request and is always there in an answer.

";

/// The whole page.
pub fn page(document: &OpenApi) -> String {
    let mut page = String::from(INTRODUCTION);
    for (name, schema) in document.components.iter().flat_map(|all| &all.schemas) {
        let RefOr::T(schema) = schema else { continue };
        let _ = write!(page, "## {name}\n\n{}\n", about(schema));
        members(&mut page, schema);
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// The body that a reference names.
pub fn resolve<'a>(document: &'a OpenApi, schema: &'a RefOr<Schema>) -> Option<(&'a str, &'a Schema)> {
    let RefOr::Ref(reference) = schema else { return None };
    let (name, schema) = document
        .components
        .as_ref()?
        .schemas
        .get_key_value(name_of(reference))?;
    match schema {
        RefOr::T(schema) => Some((name, schema)),
        RefOr::Ref(_) => None,
    }
}

/// What a body is, in its own words.
pub fn about(schema: &Schema) -> &str {
    let about = match schema {
        Schema::Object(object) => object.description.as_deref(),
        Schema::Array(array) => array.description.as_deref(),
        Schema::OneOf(one_of) => one_of.description.as_deref(),
        Schema::AllOf(all_of) => all_of.description.as_deref(),
        Schema::AnyOf(any_of) => any_of.description.as_deref(),
        _ => None,
    };
    about.unwrap_or_default()
}

/// The members of a body as a table, or what it is when it has none.
pub fn members(page: &mut String, schema: &Schema) {
    match schema {
        Schema::Object(object) if !object.properties.is_empty() => table(page, object),
        Schema::OneOf(one_of) if one_of.items.iter().any(has_members) => {
            page.push_str("\nOne of these:\n");
            for item in &one_of.items {
                match item {
                    RefOr::T(Schema::Object(object)) if !object.properties.is_empty() => {
                        if let Some(about) = &object.description {
                            let _ = write!(page, "\n{about}\n");
                        }
                        table(page, object);
                    }
                    other => {
                        let _ = write!(page, "\n{}\n", kind(other));
                    }
                }
            }
        }
        other => {
            let is = kind(&RefOr::T(other.clone()));
            let _ = write!(page, "\n{}{}.\n", is[..1].to_uppercase(), &is[1..]);
        }
    }
}

fn has_members(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if !object.properties.is_empty())
}

fn table(page: &mut String, object: &Object) {
    page.push_str("\n| Member | | What it is |\n|---|---|---|\n");
    for (name, schema) in &object.properties {
        let optional = if object.required.contains(name) {
            ""
        } else {
            "optional; "
        };
        let _ = writeln!(
            page,
            "| `{name}` | {optional}{} | {} |",
            cell(&kind(schema)),
            cell(&meaning(schema))
        );
    }
}

/// What a member means.
fn meaning(schema: &RefOr<Schema>) -> String {
    match schema {
        RefOr::Ref(reference) => reference.description.clone(),
        RefOr::T(Schema::OneOf(one_of)) if one_of.description.is_none() => one_of
            .items
            .iter()
            .map(meaning)
            .find(|said| !said.is_empty())
            .unwrap_or_default(),
        RefOr::T(schema) => about(schema).to_owned(),
    }
}

/// What a schema admits, in a few words.
pub fn kind(schema: &RefOr<Schema>) -> String {
    match schema {
        RefOr::Ref(reference) => {
            let name = name_of(reference);
            format!("[`{name}`](bodies.md#{})", anchor(name))
        }
        RefOr::T(Schema::Object(object)) => object_kind(object),
        RefOr::T(Schema::Array(array)) => array_kind(array),
        RefOr::T(Schema::OneOf(one_of)) => any_of(one_of.items.iter().map(kind)),
        RefOr::T(Schema::AnyOf(any)) => any_of(any.items.iter().map(kind)),
        RefOr::T(Schema::AllOf(all_of)) => all_of.items.iter().map(kind).collect::<Vec<_>>().join(" with "),
        RefOr::T(_) => "anything".to_owned(),
    }
}

fn any_of(kinds: impl Iterator<Item = String>) -> String {
    kinds.collect::<Vec<_>>().join(" or ")
}

fn object_kind(object: &Object) -> String {
    if let Some(values) = &object.enum_values {
        return any_of(
            values
                .iter()
                .map(|value| format!("`{}`", value.as_str().map_or_else(|| value.to_string(), str::to_owned))),
        );
    }
    let mut said = any_of(
        types(&object.schema_type)
            .iter()
            .map(|one| word(one, object.format.as_ref()).to_owned()),
    );
    if let Some(AdditionalProperties::RefOr(values)) = object.additional_properties.as_deref() {
        let _ = write!(said, " whose members are each {}", kind(values));
    }
    for limit in [
        range(object.min_length, object.max_length, "character"),
        bounds(object.minimum.as_ref(), object.maximum.as_ref()),
        object.pattern.as_ref().map(|pattern| format!("matching `{pattern}`")),
        object.default.as_ref().map(|value| format!("`{value}` when left out")),
        object.examples.first().map(|example| {
            format!(
                "such as `{}`",
                example.as_str().map_or_else(|| example.to_string(), str::to_owned)
            )
        }),
    ]
    .into_iter()
    .flatten()
    {
        let _ = write!(said, ", {limit}");
    }
    said
}

fn array_kind(array: &Array) -> String {
    let items = match &array.items {
        ArrayItems::RefOrSchema(items) => kind(items),
        ArrayItems::False => "nothing".to_owned(),
    };
    let mut said = format!("list of {items}");
    if let Some(limit) = range(array.min_items, array.max_items, "entry") {
        let _ = write!(said, ", {limit}");
    }
    if types(&array.schema_type).contains(&Type::Null) {
        said.push_str("; or `null`");
    }
    said
}

fn types(admitted: &SchemaType) -> Vec<Type> {
    match admitted {
        SchemaType::Type(one) => vec![one.clone()],
        SchemaType::Array(several) => several.clone(),
        SchemaType::AnyValue => Vec::new(),
    }
}

fn word(one: &Type, format: Option<&SchemaFormat>) -> &'static str {
    match (one, format) {
        (Type::String, Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))) => "instant",
        (Type::String, Some(SchemaFormat::KnownFormat(KnownFormat::Uuid))) => "UUID",
        (Type::String, _) => "text",
        (Type::Object, _) => "object",
        (Type::Integer, _) => "whole number",
        (Type::Number, _) => "number",
        (Type::Boolean, _) => "`true` or `false`",
        (Type::Array, _) => "list",
        (Type::Null, _) => "`null`",
    }
}

/// A limit on how many there are of something.
fn range(least: Option<usize>, most: Option<usize>, of: &str) -> Option<String> {
    let plural = |count: usize| match (of, count) {
        (_, 1) => of.to_owned(),
        ("entry", _) => "entries".to_owned(),
        _ => format!("{of}s"),
    };
    match (least.filter(|least| *least > 0), most) {
        (Some(least), Some(most)) if least == most => Some(format!("{most} {}", plural(most))),
        (Some(least), Some(most)) => Some(format!("{least} to {most} {}", plural(most))),
        (Some(least), None) => Some(format!("at least {least} {}", plural(least))),
        (None, Some(most)) => Some(format!("at most {most} {}", plural(most))),
        (None, None) => None,
    }
}

fn bounds(least: Option<&Number>, most: Option<&Number>) -> Option<String> {
    let digits = |number: &Number| match number {
        Number::Int(number) => number.to_string(),
        Number::UInt(number) => number.to_string(),
        Number::Float(number) => number.to_string(),
    };
    match (least.map(digits), most.map(digits)) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("{least} or more")),
        (None, Some(most)) => Some(format!("{most} or less")),
        (None, None) => None,
    }
}

/// The last word of `#/components/schemas/Key`.
fn name_of(reference: &Ref) -> &str {
    reference.ref_location.rsplit('/').next().unwrap_or_default()
}

/// A text as it may stand in a table.
pub fn cell(text: &str) -> String {
    text.replace('|', "\\|")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use keyholt_server::http::document;

    use super::*;

    #[test]
    fn every_body_that_the_document_names_stands_on_the_page() {
        let document = document();
        let page = page(&document);
        for name in document.components.unwrap().schemas.keys() {
            assert!(page.contains(&format!("\n## {name}\n")), "{name}");
        }
    }

    #[test]
    fn limits_are_said_in_words() {
        assert_eq!(
            range(Some(1), Some(64), "character").as_deref(),
            Some("1 to 64 characters")
        );
        assert_eq!(range(None, Some(32), "entry").as_deref(), Some("at most 32 entries"));
        assert_eq!(range(Some(1), None, "entry").as_deref(), Some("at least 1 entry"));
        assert_eq!(range(Some(0), None, "entry"), None);
    }

    #[test]
    fn a_bar_does_not_end_a_cell() {
        assert_eq!(cell("`^(user|team):`\nand more"), "`^(user\\|team):` and more");
    }
}
