//! The bare answer: Keyholt's own accept loop and HTTP, with a service that reads the body and always says the same.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use keyholt_server::listen::{self, Limits, Plain, PlainAnswer, Refusal, RequestBody, Service, Transport, Way};

const HEADERS_MAX: usize = 64;

/// What Keyholt answered once.
#[derive(Clone)]
struct Same {
    headers: HeaderMap,
    header_lines: Vec<u8>,
    body: Bytes,
}

impl Same {
    /// Reads an answer as it was on the wire.
    fn read(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(body_at) = response.parse(bytes)? else {
            anyhow::bail!("the answer to repeat has no end of head")
        };
        let (mut same, mut lines) = (HeaderMap::new(), Vec::new());
        for header in response.headers.iter() {
            let name = HeaderName::from_bytes(header.name.as_bytes())?;
            // These two are the listener's own doing, here as there.
            if name != CONTENT_LENGTH && name != DATE {
                lines.extend_from_slice(&[name.as_str().as_bytes(), b": ", header.value, b"\r\n"].concat());
                same.append(name, HeaderValue::from_bytes(header.value)?);
            }
        }
        let body = Bytes::copy_from_slice(bytes.get(body_at..).unwrap_or_default());
        ensure!(!body.is_empty(), "the answer to repeat has no body");
        Ok(Self {
            headers: same,
            header_lines: lines,
            body,
        })
    }
}

impl Service for Same {
    type Body = Full<Bytes>;

    const PLAIN_TARGETS: &'static [&'static str] = &["/v1/verify"];

    type Ahead<'a> = ();

    fn answer_plain(&self, _: &Plain<'_>, (): (), answer: &mut PlainAnswer) -> Way {
        answer.header_lines.extend_from_slice(&self.header_lines);
        answer.body.extend_from_slice(&self.body);
        Way::Short
    }

    async fn answer(&self, request: Request<RequestBody>) -> Response<Self::Body> {
        let mut response = Response::new(Full::new(self.body.clone()));
        // Read to its end, as whoever judges it must.
        if request.into_body().collect().await.is_err() {
            *response.status_mut() = StatusCode::BAD_REQUEST;
        }
        response.headers_mut().clone_from(&self.headers);
        response
    }

    fn refuse(&self, refusal: Refusal) -> Response<Self::Body> {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = refusal.status();
        response
    }
}

/// Serves until it is stopped; `answer` is a file with an answer of Keyholt's, head and body.
pub fn serve(answer: &Path) -> anyhow::Result<()> {
    let same = Same::read(&fs::read(answer).context("the answer to repeat")?)?;
    let workers = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let handle = listen::listen(listener, &Transport::Plain, workers, LIMITS, move |_| {
        let same = same.clone();
        move |_| same.clone()
    })?;
    super::announce(handle.local_addr())?;
    loop {
        std::thread::park();
    }
}

/// The limits that Keyholt has when nobody sets any.
const LIMITS: Limits = Limits {
    connections: 10_000,
    header_bytes: 16 << 10,
    uri_bytes: 8 << 10,
    header_timeout: Duration::from_secs(10),
    body_timeout: Duration::from_secs(30),
    write_timeout: Duration::from_secs(30),
    idle_timeout: Duration::from_secs(75),
};
