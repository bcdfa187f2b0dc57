//! The envelope around every request and answer of a dialect: what is ours is ours here too, failures are told in its words.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::{ALLOW, CONTENT_LENGTH, RETRY_AFTER};
use http_body::Body as _;
use keyholt_api::code::Code;
use keyholt_core::actor::Source;
use keyholt_core::expose::Exposure;

use super::Desk;
use super::table::{Found, allowed};
use crate::config::Mount;
use crate::http::credential::Misplaced;
use crate::http::envelope::{exposed, guarded, mark};
use crate::http::fail::carried;
use crate::http::{Arrival, Fail};

/// Answers one request: gives it an id and a source, and turns a failure into what the product's clients understand.
pub(super) async fn answer(desk: &Desk, request: Request, mount: Option<&Mount>, arrival: Arrival) -> Response {
    let source = arrival.source(&desk.settings, request.headers());
    let id = source.request.clone();
    let is_head = request.method() == Method::HEAD;
    let misplaced = desk.dialect.in_url(request.uri());
    let mut response = match misplaced.or_else(|| in_the_clear(desk, &request, arrival)) {
        Some(misplaced) => exposed(&desk.keeper, misplaced, &source).await.into_response(),
        None => guarded(contents(desk, request, mount, source), &id).await,
    };
    if let Some((fail, allow)) = carried(&mut response) {
        response = said(desk, &fail);
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, allow);
        }
    }
    let response = finished(desk, response, id.as_str());
    if is_head { without_body(response) } else { response }
}

/// What is in the envelope.
async fn contents(desk: &Desk, mut request: Request, mount: Option<&Mount>, source: Source) -> Response {
    let path = request.uri().path();
    let path = mount.map_or(Some(path), |mount| mount.rest(path)).unwrap_or_default();
    if let Some(response) = desk.dialect.beforehand(request.method(), path) {
        return response;
    }
    match desk.table.find(request.method(), path) {
        Found::Act(act, words) => {
            request.extensions_mut().insert(source);
            if let Some(words) = words {
                request.extensions_mut().insert(words);
            }
            act(request, desk.clone()).await
        }
        Found::Others(place) => {
            let mut response = Fail::new(Code::MethodNotAllowed).into_response();
            response
                .headers_mut()
                .extend(allowed(place).map(|methods| (ALLOW, methods)));
            response
        }
        Found::Nothing => Fail::new(Code::NoSuchRoute).into_response(),
    }
}

/// An answer with all that every answer carries.
pub(super) fn finished(desk: &Desk, mut response: Response, request_id: &str) -> Response {
    desk.dialect.finish(response.headers_mut());
    mark(response.headers_mut(), request_id);
    response
}

/// An answer to `HEAD`: it tells how long the body would be.
fn without_body(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(bytes) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert(bytes.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// In the clear everything is refused, not only what shows a credential in its headers: bodies of dialects hold them too.
fn in_the_clear(desk: &Desk, request: &Request, arrival: Arrival) -> Option<Misplaced> {
    let is_clear = desk.settings.misses_encryption(arrival.peer, request.headers());
    is_clear.then(|| Misplaced {
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
