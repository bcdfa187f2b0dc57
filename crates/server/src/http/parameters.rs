//! Which query parameters an operation has, read from its contract: any other one is refused.

use std::collections::HashMap;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::Door;
use super::fail::Fail;
use super::query::pairs;

/// The query parameters of every operation.
#[derive(Debug)]
pub struct Parameters(HashMap<(Method, String), Vec<String>>);

impl Parameters {
    /// Reads them from the contract.
    pub fn of(document: &OpenApi) -> Self {
        let mut parameters = HashMap::new();
        for (path, item) in &document.paths.paths {
            for (method, operation) in [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ] {
                if let Some(operation) = operation {
                    parameters.insert((method, path.clone()), in_query(operation));
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

fn in_query(operation: &Operation) -> Vec<String> {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    parameters
        .iter()
        .filter_map(|parameter| match parameter {
            RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
            RefOr::T(_) | RefOr::Ref(_) => None,
        })
        .collect()
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
