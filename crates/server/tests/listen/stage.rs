//! A listener on a free port with a plain service behind it, and a raw socket in front.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use keyholt_server::listen::{
    Connection, Handle, Limits, Plain, PlainAnswer, Refusal, RequestBody, Service, Transport, Way, bind, listen,
};

/// Time after which a test gives up waiting; far longer than anything should take.
pub const GIVE_UP: Duration = Duration::from_secs(20);

/// Limits that no well-behaved test runs into.
pub const GENEROUS: Limits = Limits {
    connections: 1_000,
    header_bytes: 16 << 10,
    uri_bytes: 8 << 10,
    header_timeout: GIVE_UP,
    body_timeout: GIVE_UP,
    write_timeout: GIVE_UP,
    idle_timeout: GIVE_UP,
};

/// Answers with what it was asked, so that a test sees what the service saw.
pub struct Echo(pub Connection);

impl Service for Echo {
    type Body = Full<Bytes>;

    // Most stories post to `/x`, so they are told on the short way as far as it leads.
    const PLAIN_TARGETS: &'static [&'static str] = &["/x", "/plain", "/plain-panic", "/plain-large"];

    type Ahead<'a> = ();

    fn answer_plain(&self, request: &Plain<'_>, (): (), answer: &mut PlainAnswer) -> Way {
        answer.header_lines.extend_from_slice(b"x-way: short\r\n");
        match request.target {
            "/plain-panic" => panic!("as the test asked"),
            "/plain-large" => answer.body.resize(64 << 20, b'x'),
            target => answer.body = format!("{target} {}", request.body.len()).into(),
        }
        Way::Short
    }

    async fn answer(&self, request: Request<RequestBody>) -> Response<Full<Bytes>> {
        let target = request.uri().path_and_query().map_or("", |t| t.as_str()).to_owned();
        match target.as_str() {
            "/panic" | "/plain-panic" => panic!("as the test asked"),
            "/panic-later" => {
                tokio::task::yield_now().await;
                panic!("as the test asked")
            }
            "/unread" => return answer(StatusCode::PAYLOAD_TOO_LARGE, "too large"),
            "/large" => return answer(StatusCode::OK, vec![b'x'; 64 << 20]),
            "/slow" => tokio::time::sleep(Duration::from_millis(300)).await,
            "/stuck" => std::future::pending().await,
            "/who" => return answer(StatusCode::OK, format!("{:?}", self.0)),
            _ => {}
        }
        match request.into_body().collect().await {
            Ok(body) => {
                let bytes = body.to_bytes().len();
                answer(StatusCode::OK, format!("{target} {bytes}"))
            }
            Err(error) => answer(error.status(), error.to_string()),
        }
    }

    fn refuse(&self, refusal: Refusal) -> Response<Full<Bytes>> {
        answer(refusal.status(), refusal.to_string())
    }
}

pub fn answer(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}

pub fn start(limits: Limits) -> Handle {
    start_with(limits, &Transport::Plain, 2)
}

pub fn start_with(limits: Limits, transport: &Transport, workers: usize) -> Handle {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let workers = NonZeroUsize::new(workers).unwrap();
    listen(listener, transport, workers, limits, |_| Echo).unwrap()
}

/// How a connection was at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Closed,
    Reset,
    StillOpen,
}

/// Everything that came back on a connection.
#[derive(Debug)]
pub struct Heard {
    pub text: String,
    pub end: End,
    pub took: Duration,
}

impl Heard {
    /// The status of each answer, in order.
    pub fn statuses(&self) -> Vec<u16> {
        let starts = self.text.match_indices("HTTP/1.").map(|(at, _)| at);
        starts
            .filter_map(|at| self.text.get(at + 9..at + 12)?.parse().ok())
            .collect()
    }
}

/// A connection on which anything can be said.
pub struct Raw {
    pub stream: TcpStream,
    opened: Instant,
}

impl Raw {
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            opened: Instant::now(),
        }
    }

    /// Says something; the other side may have hung up, which is heard in [`Raw::hear`].
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// Reads until the other side closes, or nothing came for `patience`.
    pub fn hear(&mut self, patience: Duration) -> Heard {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let mut heard = Vec::new();
        let mut piece = [0; 16 << 10];
        let end = loop {
            match self.stream.read(&mut piece) {
                Ok(0) => break End::Closed,
                Ok(read) => heard.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    break End::StillOpen;
                }
                Err(_) => break End::Reset,
            }
        };
        Heard {
            text: String::from_utf8_lossy(&heard).into_owned(),
            end,
            took: self.opened.elapsed(),
        }
    }

    /// Reads one answer with a `Content-Length`; `None` if the other side closes without one.
    pub fn one_answer(&mut self) -> Option<Answer> {
        self.stream.set_read_timeout(Some(GIVE_UP)).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ if head.is_empty() => return None,
                other => panic!("broken off in the head of an answer: {other:?} after {head:?}"),
            }
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next()?.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a whole body");
        Some(Answer {
            status: head[9..12].parse().unwrap(),
            closes: head.contains("connection: close"),
            is_short: head.contains("x-way: short"),
            body: String::from_utf8(body).unwrap(),
        })
    }

    pub fn finish_sending(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub closes: bool,
    pub is_short: bool,
    pub body: String,
}

pub const GOOD: &str = "GET /good HTTP/1.1\r\nHost: a\r\n\r\n";

/// Waits for something that happens on another thread.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < GIVE_UP, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
