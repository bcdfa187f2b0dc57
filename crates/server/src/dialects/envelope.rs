//! The envelope around every request and answer of a dialect: what is ours is ours here too, failures are told in its words.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::ALLOW;

use super::Desk;
use crate::http::Fail;
use crate::http::envelope::{guarded, mark, source};
use crate::http::fail::{carried, retry_after};

/// Wraps one request: gives it an id and a source, and turns a failure into what the product's clients understand.
pub async fn envelope(State(desk): State<Desk>, mut request: Request, next: Next) -> Response {
    let source = source(&desk.keeper, &desk.trusted_proxies, &request);
    let id = source.request.clone();
    let checked = desk.dialect.check_query(request.uri().query().unwrap_or_default());
    request.extensions_mut().insert(source);
    let mut response = match checked {
        Err(fail) => fail.into_response(),
        Ok(()) => guarded(next.run(request), &id).await,
    };
    if let Some((fail, allow)) = carried(&mut response) {
        response = said(&desk, &fail);
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, allow);
        }
    }
    finished(&desk, response, id.as_str())
}

/// An answer with all that every answer carries.
pub(super) fn finished(desk: &Desk, mut response: Response, request_id: &str) -> Response {
    desk.dialect.finish(response.headers_mut());
    mark(response.headers_mut(), request_id);
    response
}

/// A failure in the dialect's words.
pub(super) fn said(desk: &Desk, fail: &Fail) -> Response {
    let mut response = desk.dialect.say(fail);
    retry_after(fail.code(), response.headers_mut());
    response
}
