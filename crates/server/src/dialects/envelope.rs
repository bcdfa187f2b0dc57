//! The envelope around every request and answer of a dialect: what is ours is ours here too, failures are told in its words.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, RETRY_AFTER};
use keyholt_api::code::Code;
use keyholt_core::expose::Exposure;

use super::Desk;
use crate::http::Fail;
use crate::http::credential::Misplaced;
use crate::http::envelope::{exposed, guarded, is_clear, mark, source};
use crate::http::fail::carried;

/// Wraps one request: gives it an id and a source, and turns a failure into what the product's clients understand.
pub async fn envelope(State(desk): State<Desk>, mut request: Request, next: Next) -> Response {
    let source = source(&desk.keeper, &desk.settings, &request);
    let id = source.request.clone();
    let misplaced = desk.dialect.in_url(request.uri());
    let mut response = match misplaced.or_else(|| in_the_clear(&desk, &request)) {
        Some(misplaced) => exposed(&desk.keeper, misplaced, &source).await.into_response(),
        None => match desk.dialect.beforehand(request.method(), request.uri().path()) {
            Some(response) => response,
            None => {
                request.extensions_mut().insert(source);
                guarded(next.run(request), &id).await
            }
        },
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

/// In the clear everything is refused, not only what shows a credential in its headers: bodies of dialects hold them too.
fn in_the_clear(desk: &Desk, request: &Request) -> Option<Misplaced> {
    is_clear(&desk.settings, request).then(|| Misplaced {
        code: Code::TlsRequired,
        exposure: Exposure::PlainHttp,
        secrets: desk.dialect.shown(request.uri(), request.headers()),
    })
}

/// A failure in the dialect's words.
pub(super) fn said(desk: &Desk, fail: &Fail) -> Response {
    let mut response = desk.dialect.say(fail);
    if let Some(seconds) = fail.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, seconds);
    }
    response
}
