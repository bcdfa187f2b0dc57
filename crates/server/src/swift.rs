//! The short way for `POST /v1/verify`: the same answer as the long way, without its detours.
//!
//! It takes only requests that are beyond doubt: one Bearer credential, plain JSON that needs no unescaping, a caller
//! that may verify. Whatever is odd, wrong or wants more is left to the long way, which therefore has all the rules
//! about errors, and this has none.

use std::cell::RefCell;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use keyholt_core::id::ProjectId;
use keyholt_core::scope::Wanted;
use keyholt_core::verify::{ASK_SCOPES_MAX, Ask, Needed};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::keeper::{Counting, Keeper, Question, Verifier};

/// Longest body that takes the short way.
pub const BODY_BYTES_MAX: usize = 8 * 1024;
const PATH: &str = "/v1/verify";
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A question in the form that needs no unescaping.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    credential: &'a str,
    #[serde(borrow, default)]
    scopes: Option<Vec<&'a str>>,
    #[serde(borrow, default)]
    any_scopes: Option<Vec<&'a str>>,
    #[serde(default)]
    audience: Option<&'a str>,
    #[serde(default)]
    environment: Option<&'a str>,
    #[serde(default)]
    client_address: Option<&'a str>,
    #[serde(default)]
    origin: Option<&'a str>,
}

/// Who the caller on one connection was last; asked anew each time whether it still may.
#[derive(Default)]
pub struct Memo(RefCell<Option<Remembered>>);

struct Remembered {
    credential: Zeroizing<Vec<u8>>,
    address: Option<IpAddr>,
    verifier: Verifier,
}

/// Whether a request may take the short way, as far as its head tells.
pub fn is_swift<B>(request: &Request<B>) -> bool {
    let uri = request.uri();
    request.method() == Method::POST && uri.path() == PATH && uri.query().is_none() && head_is_plain(request.headers())
}

fn head_is_plain(headers: &HeaderMap) -> bool {
    let json = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    json && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(API_KEY)
        && !headers.contains_key(REQUEST_ID)
}

/// The answer, or nothing where the long way must be taken.
pub fn answer(
    keeper: &Keeper,
    memo: &Memo,
    headers: &HeaderMap,
    address: Option<IpAddr>,
    body: &[u8],
) -> Option<Bytes> {
    let body: Body<'_> = serde_json::from_slice(body).ok()?;
    let scopes = match (&body.scopes, &body.any_scopes) {
        (None, None) => Needed::Nothing,
        (Some(scopes), None) => Needed::AllOf(wanted(scopes)?),
        (None, Some(scopes)) if !scopes.is_empty() => Needed::AnyOf(wanted(scopes)?),
        (_, Some(_)) => return None,
    };
    let short = |text: Option<&str>| text.is_none_or(|text| text.len() <= ASKED_BYTES_MAX);
    if !(short(body.audience) && short(body.environment) && short(body.origin)) {
        return None;
    }
    let client = match body.client_address {
        None => None,
        Some(text) => Some(text.parse().ok()?),
    };
    // Last, because it counts as a use of the caller's key: nothing after it may take the long way for a fault of the body.
    let project = admitted(keeper, memo, headers, address)?;
    let ask = Ask {
        scopes,
        audience: body.audience,
        environment: body.environment,
        address: client,
        origin: body.origin,
    };
    let question = Question {
        credential: body.credential,
        ask,
        counting: Counting::Counted,
    };
    keeper
        .verify(project, &question, |answer| {
            let mut json = Vec::with_capacity(ANSWER_BYTES);
            answer.write_json(None, &mut json);
            Bytes::from(json)
        })
        .ok()
}

/// Longest audience, environment or origin in a question.
const ASKED_BYTES_MAX: usize = 256;
/// Room for an ordinary answer.
const ANSWER_BYTES: usize = 512;

fn wanted<'a>(scopes: &[&'a str]) -> Option<Vec<Wanted<'a>>> {
    if scopes.len() > ASK_SCOPES_MAX {
        return None;
    }
    scopes.iter().map(|scope| Wanted::parse(scope).ok()).collect()
}

fn admitted(keeper: &Keeper, memo: &Memo, headers: &HeaderMap, address: Option<IpAddr>) -> Option<ProjectId> {
    let mut credentials = headers.get_all(AUTHORIZATION).iter();
    let (credential, second) = (credentials.next()?, credentials.next());
    if second.is_some() {
        return None;
    }
    let mut memo = memo.0.borrow_mut();
    if let Some(known) = memo.as_ref()
        && known.credential.as_slice() == credential.as_bytes()
        && known.address == address
        && let Ok(project) = keeper.admit(&known.verifier)
    {
        return Some(project);
    }
    let secret = credential.to_str().ok()?.strip_prefix("Bearer ")?;
    let verifier = keeper.verifier(secret, address).ok()?;
    let project = keeper.admit(&verifier).ok()?;
    *memo = Some(Remembered {
        credential: Zeroizing::new(credential.as_bytes().to_vec()),
        address,
        verifier,
    });
    Some(project)
}

/// The response that carries an answer.
pub fn response(answer: Bytes, request_id: HeaderValue) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.reserve(5);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(REQUEST_ID, request_id);
    response
}
