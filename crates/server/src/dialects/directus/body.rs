//! Bodies: an object, or a list of them, as the client's functions for one and for many send.

use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::dialects::reading::Body;
use crate::http::Fail;
use crate::http::body::ordinary;
use crate::http::fail::Answer;

/// Most things that one request changes.
pub const MANY_MAX: usize = 1000;

/// One object, or a list of them.
#[derive(Clone, Debug)]
pub enum OneOrMany {
    /// One.
    One(Map<String, Value>),
    /// Many, at most [`MANY_MAX`].
    Many(Vec<Map<String, Value>>),
}

/// Which users shall become different, and how.
#[derive(Clone, Debug)]
pub enum Changes {
    /// Several, in the same way.
    Alike(Vec<String>, Map<String, Value>),
    /// Each in a way of its own.
    Each(Vec<(String, Map<String, Value>)>),
}

#[derive(Deserialize)]
struct Wrapped {
    body: Value,
}

/// Reads a body as the JSON value that it is. The form of objects, inner ones too, is checked as everywhere.
fn value(body: &Body) -> Answer<Value> {
    let wrapped = [br#"{"body":"#.as_slice(), &body.0, b"}"].concat();
    Ok(ordinary::<Wrapped>(&wrapped)?.body)
}

/// Reads one object.
pub fn object(body: &Body) -> Answer<Map<String, Value>> {
    match value(body)? {
        Value::Object(object) => Ok(object),
        _ => Err(payload("", "the body must be an object")),
    }
}

/// Reads one object or a list of them.
pub fn objects(body: &Body) -> Answer<OneOrMany> {
    match value(body)? {
        Value::Object(object) => Ok(OneOrMany::One(object)),
        Value::Array(items) => Ok(OneOrMany::Many(each_object(items)?)),
        _ => Err(payload("", "the body must be an object or a list of objects")),
    }
}

/// Reads which users shall become different: `{"keys": […], "data": {…}}`, or a list of objects with their ids.
pub fn changes(body: &Body) -> Answer<Changes> {
    match objects(body)? {
        OneOrMany::One(mut object) => match (object.remove("keys"), object.remove("data")) {
            (Some(Value::Array(keys)), Some(Value::Object(data))) => Ok(Changes::Alike(ids(keys)?, data)),
            _ => Err(payload("keys", "`keys` must be a list of ids and `data` an object")),
        },
        OneOrMany::Many(items) => {
            let with_id = |mut item: Map<String, Value>| match item.remove("id") {
                Some(Value::String(id)) => Ok((id, item)),
                _ => Err(payload("id", "each object must have the `id` of what it changes")),
            };
            Ok(Changes::Each(items.into_iter().map(with_id).collect::<Answer<_>>()?))
        }
    }
}

/// Reads a list of ids, as it is or as `{"keys": […]}`.
pub fn keys(body: &Body) -> Answer<Vec<String>> {
    match value(body)? {
        Value::Array(keys) => ids(keys),
        Value::Object(mut object) => match object.remove("keys") {
            Some(Value::Array(keys)) => ids(keys),
            _ => Err(payload("keys", "`keys` must be a list of ids")),
        },
        _ => Err(payload("", "the body must be a list of ids")),
    }
}

/// A body that is JSON and still not what is expected.
pub fn payload(field: &str, told: &'static str) -> Fail {
    Fail::naming(
        Code::InvalidFields,
        Faults::one(field, Reason(FaultCode::WrongType, told.into())),
    )
}

fn each_object(items: Vec<Value>) -> Answer<Vec<Map<String, Value>>> {
    bounded(items.len())?;
    let object = |item| match item {
        Value::Object(object) => Ok(object),
        _ => Err(payload("", "the body must be a list of objects")),
    };
    items.into_iter().map(object).collect()
}

fn ids(keys: Vec<Value>) -> Answer<Vec<String>> {
    bounded(keys.len())?;
    let id = |key| match key {
        Value::String(id) => Ok(id),
        _ => Err(payload("keys", "ids must be text")),
    };
    keys.into_iter().map(id).collect()
}

fn bounded(count: usize) -> Answer<()> {
    if count > MANY_MAX {
        return Err(payload("", "at most 1000 things are changed at once"));
    }
    Ok(())
}
