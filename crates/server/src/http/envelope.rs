//! The envelope around every request and answer: its id, its source, its safety headers, its problems.

use std::panic::AssertUnwindSafe;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{ALLOW, CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};
use keyholt_api::code::Code;
use keyholt_core::actor::Source;
use keyholt_core::text::RequestKey;

use super::arrival::{Arrival, REQUEST_ID};
use super::cors::Page;
use super::credential::{self, Misplaced};
use super::fail::{Fail, carried};
use super::{Door, Settings, show};
use crate::keeper::Keeper;

/// Wraps one request: gives it an id and a source, and turns whatever came of it into an answer of our own form.
pub async fn envelope(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    // Put there by whoever is in front of the router.
    let Some(arrival) = request.extensions_mut().remove::<Arrival>() else {
        return Fail::new(Code::Internal).problem("-");
    };
    let source = arrival.source(&door.settings, request.headers());
    let id = source.request.clone();
    let page = Page::of(&request, &door.settings.cors_origins);
    let misplaced = credential::in_url(request.uri()).or_else(|| in_the_clear(&door.settings, arrival, &request));
    let mut response = match misplaced {
        Some(misplaced) => exposed(&door.keeper, misplaced, &source).await.into_response(),
        None if page.as_ref().is_some_and(Page::only_asks) => show::nothing(),
        None => {
            request.extensions_mut().insert(source);
            guarded(next.run(request), &id).await
        }
    };
    if let Some((fail, allow)) = carried(&mut response) {
        response = fail.problem(id.as_str());
        if let Some(allow) = allow {
            response.headers_mut().insert(ALLOW, allow);
        }
    }
    mark(response.headers_mut(), id.as_str());
    if let Some(page) = page {
        page.answer(response.headers_mut());
    }
    response
}

/// A credential that came in the clear, where encryption is promised.
fn in_the_clear(settings: &Settings, arrival: Arrival, request: &Request) -> Option<Misplaced> {
    let is_clear = settings.misses_encryption(arrival.peer, request.headers());
    is_clear.then(|| credential::in_the_clear(request)).flatten()
}

/// Marks keys whose secrets others can read by now; what the caller is told.
pub(crate) async fn exposed(keeper: &Keeper, misplaced: Misplaced, source: &Source) -> Fail {
    for secret in &misplaced.secrets {
        keeper.expose(secret, misplaced.exposure, source).await;
    }
    Fail::new(misplaced.code)
}

/// Lets a handler answer. A panic is one request's misfortune and must not become the connection's.
pub(crate) async fn guarded(answer: impl Future<Output = Response>, id: &RequestKey) -> Response {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!(request = id.as_str(), "a handler panicked; it was answered with 500");
        Fail::new(Code::Internal).into_response()
    })
}

/// What every answer carries: nobody keeps it, guesses its type, or is told whence its links were followed.
pub(crate) fn mark(headers: &mut HeaderMap, request_id: &str) {
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
}
