//! The accept loop: connections in, requests to a service, answers out, everything bounded in size, number and time.
//!
//! ```text
//! acceptor (1 thread) ──fewest connections──▶ worker 1 … N (threads, each with a runtime of its own)
//!                                                └─ connection: TLS, protocol, watchdog
//!                                                     ├─ short way: plain requests, answered in one read and one write
//!                                                     └─ exchange: hyper, check, service, answer
//! ```
//!
//! Thread per core, so that a request is read, answered and written by one thread without a lock on the way. Own loop
//! rather than `axum::serve`, which has no time-out for headers, bodies, writing or idleness.

mod acceptor;
mod body;
mod connection;
mod date;
mod exchange;
mod head;
mod plain;
mod pulse;
mod short;
mod watchdog;
mod wire;
mod worker;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use self::acceptor::Desk;
use self::worker::{Assignment, Stage};
use crate::tls::Tls;

pub use self::acceptor::bind;
pub use self::body::{BodyError, RequestBody};
pub use self::head::Refusal;
pub use self::plain::Plain;
pub use self::short::{PlainAnswer, Way};

/// What answers the requests of one connection.
///
/// Everything happens on one worker's thread, so neither the service nor its futures need to be `Send`.
pub trait Service: 'static {
    /// The body of an answer.
    type Body: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static;

    /// Targets of the `POST` requests that [`Service::answer_plain`] may answer.
    const PLAIN_TARGETS: &'static [&'static str] = &[];

    /// What [`Service::look_ahead`] begins.
    type Ahead<'a>: Default
    where
        Self: 'a;

    /// Sees what is probably the body of a plain request before its head is judged, so that memory can come meanwhile.
    ///
    /// SECURITY: nobody knows yet whether this is a request, so nothing may be changed, counted or told here.
    fn look_ahead<'a>(&'a self, target: &'static str, body: &'a [u8]) -> Self::Ahead<'a> {
        let _ = (target, body);
        Default::default()
    }

    /// Answers a plain request at once, or leaves it to [`Service::answer`], which is given the same request. `ahead` was made
    /// of the same body, or is the default.
    fn answer_plain(&self, request: &Plain<'_>, ahead: Self::Ahead<'_>, answer: &mut PlainAnswer) -> Way {
        let _ = (request, ahead, answer);
        Way::Long
    }

    /// Answers a request. Dropped before its end when the client goes away.
    fn answer(&self, request: Request<RequestBody>) -> impl Future<Output = Response<Self::Body>>;

    /// Puts a refusal of the loop into the form in which this service speaks of errors.
    fn refuse(&self, refusal: Refusal) -> Response<Self::Body>;
}

/// Who a connection is with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The address at the other end of the socket: the client's or a proxy's.
    pub peer: SocketAddr,
    /// Whether others can read along.
    pub encryption: Encryption,
    /// The number of the worker that serves it, from 0.
    pub worker: usize,
}

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Plain HTTP.
    None,
    /// HTTP over TLS.
    Tls,
}

/// What to speak on the socket.
#[derive(Debug, Clone)]
pub enum Transport {
    /// HTTP/1.1, or HTTP/2 by prior knowledge.
    Plain,
    /// The same inside TLS; the protocol is chosen by ALPN.
    Tls(Arc<Tls>),
}

/// What bounds a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, on all workers.
    pub connections: usize,
    /// Request line and headers together; at least 8 KiB.
    pub header_bytes: usize,
    /// Path and query.
    pub uri_bytes: usize,
    /// From the first byte of a head to its end.
    pub header_timeout: Duration,
    /// From the end of the head to the end of the body.
    pub body_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How long a connection may be without a request.
    pub idle_timeout: Duration,
}

impl From<&crate::config::Limits> for Limits {
    fn from(limits: &crate::config::Limits) -> Self {
        Self {
            connections: limits.connections,
            header_bytes: limits.header_bytes,
            uri_bytes: limits.uri_bytes,
            header_timeout: limits.header_timeout,
            body_timeout: limits.body_timeout,
            write_timeout: limits.write_timeout,
            idle_timeout: limits.idle_timeout,
        }
    }
}

/// Least size of hyper's read buffer, below which it panics.
const LEAST_HEADER_BYTES: usize = 8 << 10;

/// Serves `listener` on `workers` threads until the handle is drained or dropped.
///
/// `make_worker` is called once on each worker's thread with the worker's number. What it returns is called for each
/// connection and makes the service that answers that connection's requests; it may hold what the worker's connections
/// share without being `Send`.
///
/// # Errors
/// When a thread or its runtime cannot be started.
pub fn listen<M, C, S>(
    listener: TcpListener,
    transport: &Transport,
    workers: NonZeroUsize,
    mut limits: Limits,
    make_worker: M,
) -> io::Result<Handle>
where
    M: Fn(usize) -> C + Send + Sync + 'static,
    C: Fn(Connection) -> S + 'static,
    S: Service,
{
    limits.connections = acceptor::make_room(limits.connections);
    limits.header_bytes = limits.header_bytes.max(LEAST_HEADER_BYTES);
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (stage, watched) = watch::channel(Stage::Serving);
    let make_worker = Arc::new(make_worker);
    let mut handle = Handle {
        address,
        stage,
        threads: Vec::with_capacity(workers.get() + 1),
        open: Vec::with_capacity(workers.get()),
    };
    let mut desks = Vec::with_capacity(workers.get());
    for number in 0..workers.get() {
        let (inbox, outbox) = mpsc::unbounded_channel();
        // Not a channel of tokio's, whose blocking receive panics when the caller is on a runtime.
        let (ready, started) = std::sync::mpsc::sync_channel(1);
        let assignment = Assignment {
            transport: transport.clone(),
            limits,
            inbox: outbox,
            stage: watched.clone(),
            ready,
        };
        let make_worker = Arc::clone(&make_worker);
        handle.start(format!("http-{number}"), move || {
            worker::run(assignment, || make_worker(number))
        })?;
        started
            .recv()
            .map_err(|_| io::Error::other(format!("worker {number} could not start")))?;
        let open = Arc::new(AtomicUsize::new(0));
        handle.open.push(Arc::clone(&open));
        desks.push(Desk { inbox, open });
    }
    let seats = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    handle.start("accept".to_owned(), move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            acceptor::accept(listener, desks, seats, watched).await;
            Ok(0)
        })
    })?;
    Ok(handle)
}

/// A running listener. Dropping it stops everything at once; [`Handle::drain`] is the polite way.
#[derive(Debug)]
pub struct Handle {
    address: SocketAddr,
    stage: watch::Sender<Stage>,
    threads: Vec<Thread>,
    open: Vec<Arc<AtomicUsize>>,
}

#[derive(Debug)]
struct Thread {
    join: JoinHandle<()>,
    /// How many connections it had to cut.
    ended: oneshot::Receiver<io::Result<usize>>,
}

/// How a drain went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections with a request still in flight at the deadline, which were cut.
    pub cut: usize,
}

impl Handle {
    /// The address listened on, with the port the system chose if it was asked to.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Open connections, by worker.
    #[must_use]
    pub fn open(&self) -> Vec<usize> {
        let load = |open: &Arc<AtomicUsize>| open.load(Ordering::Relaxed);
        self.open.iter().map(load).collect()
    }

    /// Stops accepting, answers what has been asked with `Connection: close` (HTTP/2: GOAWAY), and returns when the last
    /// connection has ended, at the latest after `patience`; what is still open then is cut.
    pub async fn drain(mut self, patience: Duration) -> Drained {
        self.stage.send_replace(Stage::Draining(Instant::now() + patience));
        let mut cut = 0;
        for thread in std::mem::take(&mut self.threads) {
            match thread.ended.await {
                Ok(Ok(count)) => cut += count,
                Ok(Err(error)) => tracing::error!(%error, "a listener thread had failed"),
                Err(_) => tracing::error!("a listener thread had panicked"),
            }
            // It has nothing left to do but return, so this does not block.
            let _ = thread.join.join();
        }
        Drained { cut }
    }

    fn start(&mut self, name: String, body: impl FnOnce() -> io::Result<usize> + Send + 'static) -> io::Result<()> {
        let (told, ended) = oneshot::channel();
        let join = std::thread::Builder::new().name(name).spawn(move || {
            // Nobody listens when the handle was dropped.
            let _ = told.send(body());
        })?;
        self.threads.push(Thread { join, ended });
        Ok(())
    }
}
