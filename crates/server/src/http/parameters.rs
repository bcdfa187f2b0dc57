//! Which query parameters an operation has, read from its contract: any other one is refused.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use serde::Deserialize;

use super::Door;
use super::fail::Fail;
use super::query::pairs;

/// The query parameters of every operation.
#[derive(Debug)]
pub struct Parameters(HashMap<(Method, String), Vec<String>>);

/// What is read of a contract.
#[derive(Default, Deserialize)]
struct Contract {
    paths: HashMap<String, HashMap<String, Operation>>,
}

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    r#in: String,
}

impl Parameters {
    /// Reads them from the text of a contract.
    pub fn of(contract: &str) -> Self {
        let contract: Contract = serde_json::from_str(contract).unwrap_or_default();
        let mut parameters = HashMap::new();
        for (path, operations) in contract.paths {
            for (method, operation) in operations {
                // A method that HTTP does not know is asked for by nobody.
                if let Ok(method) = Method::try_from(method.to_uppercase().as_str()) {
                    parameters.insert((method, path.clone()), operation.in_query());
                }
            }
        }
        Self(parameters)
    }

    /// The first parameter of a query that the operation does not have.
    fn unknown(&self, method: &Method, path: &str, query: &str) -> Option<String> {
        // HEAD is GET without a body.
        let method = if method == Method::HEAD { &Method::GET } else { method };
        let known = self.0.get(&(method.clone(), path.to_owned()))?;
        let is_known = |name: &str| known.iter().any(|known| known == name);
        let unknown = pairs(query).find(|(name, _)| !is_known(name));
        unknown.map(|(name, _)| name.into_owned())
    }
}

impl Operation {
    fn in_query(self) -> Vec<String> {
        let in_query = self
            .parameters
            .into_iter()
            .filter(|parameter| parameter.r#in == "query");
        in_query.map(|parameter| parameter.name).collect()
    }
}

/// Refuses a query parameter that the operation does not have: a misspelt filter must not mean "everything".
pub async fn known(State(door): State<Door>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let query = request.uri().query().unwrap_or_default();
    let unknown = path.and_then(|path| door.parameters.unknown(request.method(), path, query));
    match unknown {
        None => next.run(request).await,
        Some(name) => {
            let reason = Reason(FaultCode::UnknownParameter, "is not a parameter of this request".into());
            Fail::naming(Code::UnknownParameter, Faults::one(name, reason)).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{CONTRACT, document, document_json, operations};

    #[test]
    fn the_published_contract_is_what_the_handlers_declare() {
        // `cargo xtask generate` writes it.
        assert!(document_json(&document()) == CONTRACT);
    }

    #[test]
    fn the_parameters_of_every_operation_are_known() {
        let parameters = Parameters::of(CONTRACT);
        for operation in operations() {
            let method = Method::try_from(operation.method).unwrap();
            let unknown = parameters.unknown(&method, operation.path, "made_up=1");
            assert_eq!(unknown.as_deref(), Some("made_up"), "{}", operation.id);
        }
        let list = parameters.unknown(&Method::GET, "/v1/projects/{project}/keys", "limit=1&owner=user:anna");
        assert_eq!(list, None);
    }
}
