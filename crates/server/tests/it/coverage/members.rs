//! Members of bodies: what an operation does not declare it does not take, in the contract and on the wire.

use std::collections::BTreeSet;

use http::Method;
use keyholt_server::http::{Operation, document, operations};
use serde_json::{Value, json};

use super::Village;

/// The schema of an operation's JSON body, where it has one.
fn body_schema(contract: &Value, operation: &Operation) -> Option<Value> {
    let declared = &contract["paths"][operation.path][operation.method.to_lowercase()];
    let schema = &declared["requestBody"]["content"]["application/json"]["schema"];
    (!schema.is_null()).then(|| schema.clone())
}

/// Calls `each` with every object of a schema that has members, through all that it refers to.
fn walk<'a>(
    contract: &'a Value,
    schema: &'a Value,
    seen: &mut BTreeSet<String>,
    each: &mut impl FnMut(&str, &'a Value),
    name: &str,
) {
    if let Some(link) = schema["$ref"].as_str() {
        let target = link.rsplit('/').next().unwrap();
        if seen.insert(target.to_owned()) {
            walk(contract, &contract["components"]["schemas"][target], seen, each, target);
        }
        return;
    }
    if let Some(members) = schema["properties"].as_object() {
        each(name, schema);
        for (member, schema) in members {
            walk(contract, schema, seen, each, &format!("{name}.{member}"));
        }
    }
    for choice in ["oneOf", "anyOf", "allOf"] {
        for schema in schema[choice].as_array().into_iter().flatten() {
            walk(contract, schema, seen, each, name);
        }
    }
    walk_items(contract, schema, seen, each, name);
}

fn walk_items<'a>(
    contract: &'a Value,
    schema: &'a Value,
    seen: &mut BTreeSet<String>,
    each: &mut impl FnMut(&str, &'a Value),
    name: &str,
) {
    if schema["items"].is_object() {
        walk(contract, &schema["items"], seen, each, &format!("{name}[]"));
    }
}

#[test]
fn every_body_of_the_contract_says_that_it_takes_no_other_members() {
    let contract = serde_json::to_value(document()).unwrap();
    let mut objects = 0;
    for operation in operations() {
        let Some(schema) = body_schema(&contract, operation) else {
            continue;
        };
        let mut each = |name: &str, object: &Value| {
            objects += 1;
            assert_eq!(object["additionalProperties"], json!(false), "{}: {name}", operation.id);
        };
        walk(&contract, &schema, &mut BTreeSet::new(), &mut each, operation.id);
    }
    assert!(objects > 40, "only {objects} objects were looked at");
}

#[tokio::test]
async fn a_member_too_many_is_named_and_nothing_is_done() {
    let village = Village::open().await;
    let contract = serde_json::to_value(document()).unwrap();
    let before = village.ledger().await;
    let mut asked = 0;
    for operation in operations() {
        if body_schema(&contract, operation).is_none() {
            continue;
        }
        let secret = match operation.id {
            "start_component_session" => &village.backend.secret,
            _ => &village.house.operator.secret,
        };
        let (path, body) = village.example(operation);
        for name in ["is_admin", "project", "state", "created_by", "__proto__"] {
            let mut body = body.clone().unwrap_or(json!({}));
            body[name] = json!("mine");
            let method: Method = operation.method.parse().unwrap();
            let reply = village.wire.call(method, secret, &path, body).await;
            assert_eq!(
                (reply.status.as_u16(), reply.code().as_str()),
                (422, "unknown_member"),
                "{} {name}",
                operation.id
            );
            assert_eq!(reply.json()["errors"][0]["field"], name, "{}", operation.id);
        }
        asked += 1;
    }
    assert!(asked > 30, "only {asked} operations have a body");
    let after = village.ledger().await;
    assert_eq!(after.changed_since(&before), BTreeSet::new());
    assert!(
        after.told_since(&before).is_empty(),
        "what cannot be read is no attempt"
    );
}

#[test]
fn the_contract_takes_every_kind_of_thing_that_events_are_about() {
    let contract = serde_json::to_value(document()).unwrap();
    let nouns = keyholt_core::audit::Noun::ALL;
    for path in ["/v1/projects/{project}/events", "/v1/projects/{project}/events/export"] {
        let parameters = contract["paths"][path]["get"]["parameters"].as_array().unwrap();
        let target = parameters
            .iter()
            .find(|parameter| parameter["name"] == "target")
            .unwrap();
        let pattern = target["schema"]["pattern"].as_str().unwrap();
        let (kinds, id) = pattern.strip_prefix("^(").unwrap().split_once("):").unwrap();
        let kinds: BTreeSet<&str> = kinds.split('|').collect();
        assert_eq!(kinds, nouns.iter().map(|noun| noun.as_str()).collect(), "{path}");
        assert_eq!(id, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$");
    }
}
