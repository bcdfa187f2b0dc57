//! What answers the requests of one connection: the short way for verify, the router for everything else.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Body as _;
use keyholt_api::code::Code;
use tower::ServiceExt;

use crate::dialects::Desk;
use crate::http::{Fail, Settings, client_address};
use crate::keeper::Keeper;
use crate::listen::{Connection, Refusal, RequestBody, Service};
use crate::swift::{self, Memo};

/// What all connections of one worker share.
pub struct Worker {
    door: Door,
    router: Router,
    ids: RequestIds,
}

/// Which door is behind a listener.
#[derive(Clone)]
pub enum Door {
    /// The native API, perhaps with dialects below paths of their own.
    Native {
        /// Who answers what takes the short way.
        keeper: Arc<Keeper>,
        /// What the operator decided about the doors.
        settings: Arc<Settings>,
    },
    /// One dialect and nothing else.
    Dialect(Desk),
}

impl Worker {
    /// A worker's share of the house. `start` tells this process's request ids from any other's.
    pub fn new(door: Door, router: Router, start: [u8; 8]) -> Self {
        Self {
            door,
            router,
            ids: RequestIds::new(start),
        }
    }
}

/// One connection.
pub struct Front {
    worker: Rc<Worker>,
    connection: Connection,
    memo: Memo,
}

impl Front {
    /// The service of a connection.
    pub fn new(worker: Rc<Worker>, connection: Connection) -> Self {
        Self {
            worker,
            connection,
            memo: Memo::default(),
        }
    }

    async fn swift(
        &self,
        keeper: &Keeper,
        settings: &Settings,
        request: Request<RequestBody>,
    ) -> Response<Either<Full<Bytes>, Body>> {
        let (parts, body) = request.into_parts();
        let body = match whole(body).await {
            Ok(body) => body,
            Err(body) => return self.routed(Request::from_parts(parts, body)).await,
        };
        let address = client_address(self.connection.peer.ip(), &parts.headers, &settings.trusted_proxies);
        match swift::answer(keeper, &self.memo, &parts.headers, Some(address), &body) {
            Some(answer) => swift::response(answer, self.worker.ids.next()).map(Either::Left),
            None => self.routed(Request::from_parts(parts, Body::from(body))).await,
        }
    }

    async fn routed(&self, mut request: Request<Body>) -> Response<Either<Full<Bytes>, Body>> {
        request.extensions_mut().insert(ConnectInfo(self.connection.peer));
        let answered = self.worker.router.clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {}).map(Either::Right)
    }
}

impl Service for Front {
    type Body = Either<Full<Bytes>, Body>;

    async fn answer(&self, request: Request<RequestBody>) -> Response<Self::Body> {
        let small = request
            .body()
            .size_hint()
            .exact()
            .is_some_and(|bytes| bytes <= swift::BODY_BYTES_MAX as u64);
        if let Door::Native { keeper, settings } = &self.worker.door
            && small
            && swift::is_swift(&request)
            && !settings.misses_encryption(self.connection.peer.ip(), request.headers())
        {
            return self.swift(keeper, settings, request).await;
        }
        self.routed(request.map(Body::new)).await
    }

    fn refuse(&self, refusal: Refusal) -> Response<Self::Body> {
        let code = match refusal {
            Refusal::BareLineFeed | Refusal::AmbiguousLength | Refusal::Host | Refusal::Target => {
                Code::MalformedRequest
            }
            Refusal::TransferCoding => Code::TransferCoding,
            Refusal::TargetTooLong => Code::UriTooLong,
            Refusal::Panicked => Code::Internal,
        };
        let id = self.worker.ids.next();
        let id = id.to_str().unwrap_or_default();
        let fail = Fail::saying(code, refusal.to_string());
        match &self.worker.door {
            Door::Native { .. } => fail.problem(id),
            Door::Dialect(desk) => desk.complain(&fail, id),
        }
        .map(Either::Right)
    }
}

/// The whole of a small body, or what is left of it where it is broken: the long way says what is wrong.
async fn whole(body: RequestBody) -> Result<Bytes, Body> {
    match Limited::new(body, swift::BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Body::empty()),
        Err(error) => Err(Body::from_stream(futures_util::stream::once(async {
            Err::<Bytes, _>(error)
        }))),
    }
}

/// Request ids that cost no randomness: where this process began, and a count.
struct RequestIds {
    start: String,
    count: Cell<u64>,
}

impl RequestIds {
    fn new(start: [u8; 8]) -> Self {
        Self {
            start: format!("{:016x}", u64::from_be_bytes(start)),
            count: Cell::new(0),
        }
    }

    fn next(&self) -> HeaderValue {
        let count = self.count.get();
        self.count.set(count.wrapping_add(1));
        let mut text = Vec::with_capacity(33);
        text.extend_from_slice(self.start.as_bytes());
        text.push(b'-');
        text.extend(
            (0..16)
                .rev()
                .map(|place| b"0123456789abcdef"[(count >> (place * 4) & 15) as usize]),
        );
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }
}
