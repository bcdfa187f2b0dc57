//! The envelope around every request and answer: its id, its source, its safety headers, its problems.

use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{ALLOW, CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use keyholt_api::code::Code;
use keyholt_core::actor::Source;
use keyholt_core::id::KeyId;
use keyholt_core::text::RequestKey;

use super::client_address::client_address;
use super::cors::Page;
use super::credential::{self, Misplaced};
use super::fail::{Fail, carried};
use super::{Door, Settings, show};
use crate::keeper::Keeper;

/// The header that carries a request's id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps one request: gives it an id and a source, and turns whatever came of it into an answer of our own form.
pub async fn envelope(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let source = source(&door.keeper, &door.settings, &request);
    let id = source.request.clone();
    let page = Page::of(&request, &door.settings.cors_origins);
    let misplaced = credential::in_url(request.uri()).or_else(|| in_the_clear(&door.settings, &request));
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
fn in_the_clear(settings: &Settings, request: &Request) -> Option<Misplaced> {
    is_clear(settings, request)
        .then(|| credential::in_the_clear(request))
        .flatten()
}

/// Whether a request came over a connection that nobody encrypts, where encryption is promised.
pub(crate) fn is_clear(settings: &Settings, request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| settings.misses_encryption(peer.ip(), request.headers()))
}

/// Marks keys whose secrets others can read by now; what the caller is told.
pub(crate) async fn exposed(keeper: &Keeper, misplaced: Misplaced, source: &Source) -> Fail {
    for secret in &misplaced.secrets {
        keeper.expose(secret, misplaced.exposure, source).await;
    }
    Fail::new(misplaced.code)
}

/// From where a request comes, and by which id it is known.
pub(crate) fn source(keeper: &Keeper, settings: &Settings, request: &Request) -> Source {
    Source {
        address: address(&settings.trusted_proxies, request),
        request: request_id(keeper, request.headers()),
    }
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

/// The caller's own id for the request if it is a good one, else a fresh one.
fn request_id(keeper: &Keeper, headers: &HeaderMap) -> RequestKey {
    let mut values = headers.get_all(REQUEST_ID).iter();
    let given = values
        .next()
        .filter(|_| values.next().is_none())
        .and_then(|value| value.to_str().ok())
        .and_then(|text| RequestKey::new(text).ok());
    given.unwrap_or_else(|| {
        let fresh = keeper.mint(|now, entropy| KeyId::mint(now, entropy).to_string());
        RequestKey::new(&fresh).expect("an id is short printable ASCII")
    })
}

fn address(trusted_proxies: &[IpNet], request: &Request) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(client_address(peer.ip(), request.headers(), trusted_proxies))
}
