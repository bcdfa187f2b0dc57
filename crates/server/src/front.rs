//! What answers the requests of one connection: the short way for verify, the desk of a dialect, the native router.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Body as _;
use keyholt_api::code::Code;
use tower::ServiceExt;

use crate::config::Mount;
use crate::dialects::Desk;
use crate::http::arrival::REQUEST_ID;
use crate::http::{Arrival, Fail, RequestIds, Settings, client_address};
use crate::keeper::Keeper;
use crate::listen::{Connection, Plain, PlainAnswer, Refusal, RequestBody, Service, Way};
use crate::swift::{self, Ahead, Asked, Caller, Memo};

/// Most bytes of a body that takes the short way after a head that took the long one.
///
/// SECURITY: it is held before anybody proved a right to send it, so it must be small, whatever the settings allow.
const SHORT_BODY_BYTES_MAX: usize = 64 << 10;

/// What all connections of one worker share.
pub struct Worker {
    door: Door,
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
        /// The desks of the dialects, each with the path that it is below.
        mounts: Vec<(Mount, Desk)>,
        /// What answers all the rest.
        router: Router,
    },
    /// One dialect and nothing else.
    Dialect(Desk),
}

impl Worker {
    /// A worker's share of the house. `start` tells this process's request ids from any other's.
    pub fn new(door: Door, start: [u8; 8]) -> Self {
        Self {
            door,
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

    fn caller<'a>(&'a self, keeper: &'a Keeper, address: IpAddr) -> Caller<'a> {
        let memo = &self.memo;
        Caller { keeper, memo, address }
    }

    /// The short way for a request that came by the long one: over HTTP/2, or after a request that was not plain.
    async fn swift(
        &self,
        keeper: &Keeper,
        asked: Asked<'_>,
        address: IpAddr,
        body: RequestBody,
    ) -> Result<PlainAnswer, Body> {
        let body = whole(body).await?;
        let mut answer = PlainAnswer::default();
        let caller = self.caller(keeper, address);
        asked
            .answer(&caller, Ahead::default(), &body, || (), &mut answer.body)
            .map(|()| answer)
            .ok_or_else(|| Body::from(body))
    }

    async fn routed(&self, mut request: Request<Body>) -> Response<Either<Full<Bytes>, Body>> {
        let arrival = Arrival {
            peer: self.connection.peer.ip(),
            id: self.worker.ids.next(),
        };
        let (mount, desk) = match &self.worker.door {
            Door::Dialect(desk) => (None, desk),
            Door::Native { mounts, router, .. } => {
                let path = request.uri().path();
                match mounts.iter().find(|(mount, _)| mount.rest(path).is_some()) {
                    Some((mount, desk)) => (Some(mount), desk),
                    None => {
                        request.extensions_mut().insert(arrival);
                        let answered = router.clone().oneshot(request).await;
                        return answered.unwrap_or_else(|never| match never {}).map(Either::Right);
                    }
                }
            }
        };
        desk.answer(request, mount, arrival).await.map(Either::Right)
    }
}

impl Service for Front {
    type Body = Either<Full<Bytes>, Body>;

    const PLAIN_TARGETS: &'static [&'static str] = swift::TARGETS;

    type Ahead<'a> = Ahead<'a>;

    fn look_ahead<'a>(&'a self, target: &'static str, body: &'a [u8]) -> Ahead<'a> {
        match &self.worker.door {
            Door::Native { keeper, .. } => Ahead::look(keeper, target, body),
            Door::Dialect(_) => Ahead::default(),
        }
    }

    fn answer_plain(&self, request: &Plain<'_>, mut ahead: Ahead<'_>, answer: &mut PlainAnswer) -> Way {
        let Door::Native { keeper, settings, .. } = &self.worker.door else {
            return Way::Long;
        };
        let peer = self.connection.peer.ip();
        if settings.trusts(peer) {
            // What a proxy says of its client, and of the encryption between them, is read on the long way.
            return Way::Long;
        }
        ahead.go_on();
        let asked = Asked::read(request.target, request.headers())
            .filter(|asked| request.body.len() <= asked.body_bytes_max(&settings.bodies));
        let PlainAnswer { header_lines, body } = answer;
        let write_head = || {
            header_lines.extend_from_slice(HEADER_LINES.as_bytes());
            header_lines.extend_from_slice(self.worker.ids.next().as_str().as_bytes());
            header_lines.extend_from_slice(b"\r\n");
        };
        let caller = self.caller(keeper, peer);
        match asked.and_then(|asked| asked.answer(&caller, ahead, request.body, write_head, body)) {
            Some(()) => Way::Short,
            None => Way::Long,
        }
    }

    async fn answer(&self, request: Request<RequestBody>) -> Response<Self::Body> {
        let length = request.body().size_hint().exact();
        let length = length.and_then(|bytes| usize::try_from(bytes).ok());
        let length = length.filter(|bytes| *bytes <= SHORT_BODY_BYTES_MAX);
        let (uri, peer) = (request.uri(), self.connection.peer.ip());
        let may_be_swift = length.is_some() && request.method() == Method::POST && uri.query().is_none();
        let (keeper, settings) = match &self.worker.door {
            Door::Native { keeper, settings, .. }
                if may_be_swift && !settings.misses_encryption(peer, request.headers()) =>
            {
                (keeper, settings)
            }
            _ => return self.routed(request.map(Body::new)).await,
        };
        let (parts, body) = request.into_parts();
        let headers = parts.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let asked = Asked::read(parts.uri.path(), headers)
            .filter(|asked| length.is_some_and(|bytes| bytes <= asked.body_bytes_max(&settings.bodies)));
        let Some(asked) = asked else {
            return self.routed(Request::from_parts(parts, Body::new(body))).await;
        };
        let address = client_address(peer, &parts.headers, &settings.trusted_proxies);
        match self.swift(keeper, asked, address, body).await {
            Ok(answer) => response(answer, &self.worker.ids).map(Either::Left),
            Err(body) => self.routed(Request::from_parts(parts, body)).await,
        }
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
        let fail = Fail::saying(code, refusal.to_string());
        match &self.worker.door {
            Door::Native { .. } => fail.problem(id.as_str()),
            Door::Dialect(desk) => desk.complain(&fail, id.as_str()),
        }
        .map(Either::Right)
    }
}

/// The headers of an answer on the short way; the request's id comes last.
const HEADER_LINES: &str = "content-type: application/json\r\ncache-control: no-store\r\n\
    x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\nx-request-id: ";

/// The same answer for hyper to write.
fn response(answer: PlainAnswer, ids: &RequestIds) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    let headers = response.headers_mut();
    for (name, value) in HEADER_LINES.split("\r\n").filter_map(|line| line.split_once(": ")) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(REQUEST_ID, ids.next().header());
    response
}

/// The whole of a small body, or what is left of it where it is broken: the long way says what is wrong.
async fn whole(body: RequestBody) -> Result<Bytes, Body> {
    match Limited::new(body, SHORT_BODY_BYTES_MAX).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Body::empty()),
        Err(error) => Err(Body::from_stream(futures_util::stream::once(async {
            Err::<Bytes, _>(error)
        }))),
    }
}
