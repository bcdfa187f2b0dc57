//! One connection from handshake to goodbye: finds out the protocol, serves it, and ends it when its time is up.

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use super::exchange::Conversation;
use super::pulse::{Lane, Overdue, Pulse};
use super::short;
use super::watchdog::Watchdog;
use super::wire::{Stream, Wire};
use super::{Connection, Encryption, Limits, Service};

/// What an HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most that is read to find out the protocol. Large enough for a whole small request, so that it costs no extra read.
const EARLY_BYTES: usize = 1024;

/// The first byte of every TLS connection: a handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// What someone gets who speaks plain HTTP where TLS is spoken. Not a redirect: a client that follows one goes on
/// sending its key in the clear each time, and nobody notices.
const SPEAK_TLS: &str = r#"{"type":"about:blank","title":"This port speaks TLS","status":400,"code":"tls_required","detail":"Use https for this address."}"#;

/// Requests that one HTTP/2 connection may have open at once.
const STREAMS: u32 = 128;

/// Streams that a client opened and reset before we took them up (rapid reset, CVE-2023-44487), before we hang up.
const PENDING_RESETS: usize = 32;

/// Streams that we had to reset because of the client, before we hang up.
const LOCAL_RESETS: usize = 128;

/// Body bytes in flight for one HTTP/2 stream, and for all of a connection.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// How often a silent HTTP/2 client with a request in flight is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);

/// Serves `stream` to its end.
pub(super) async fn serve<C, S>(
    stream: TcpStream,
    mut connection: Connection,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    lane: Rc<Lane>,
    connect: &C,
) where
    C: Fn(Connection) -> S,
    S: Service,
{
    // An answer is one write; waiting for more to send would only delay it.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let pulse = Rc::new(Pulse::new(limits, lane, Instant::now()));
    let converse = |connection, pulse| {
        Rc::new(Conversation {
            service: connect(connection),
            pulse,
            limits,
        })
    };
    let Some(tls) = tls else {
        let finding = find_protocol(stream);
        let Some(Some((stream, early, protocol))) = in_time(finding, &limits, &pulse.lane).await else {
            return;
        };
        let conversation = converse(connection, Rc::clone(&pulse));
        return match protocol {
            Protocol::Http1 => serve_http1(stream, early, conversation).await,
            Protocol::Http2 => serve_http2(Wire::new(stream, early, pulse), conversation).await,
        };
    };
    let shaking = handshake(stream, &tls);
    let Some(Some(stream)) = in_time(shaking, &limits, &pulse.lane).await else {
        return;
    };
    connection.encryption = Encryption::Tls;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let conversation = converse(connection, Rc::clone(&pulse));
    if is_http2 {
        serve_http2(Wire::new(stream, Bytes::new(), pulse), conversation).await;
    } else {
        serve_http1(stream, Bytes::new(), conversation).await;
    }
}

/// Bounds what happens before HTTP begins, where no watchdog is at work yet.
async fn in_time<F: Future>(future: F, limits: &Limits, lane: &Lane) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = sleep(limits.header_timeout) => None,
        () = lane.last_call() => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// Reads until it is clear whether the client begins with the preface of HTTP/2.
async fn find_protocol(mut stream: TcpStream) -> Option<(TcpStream, Bytes, Protocol)> {
    let mut early = [0; EARLY_BYTES];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut early[filled..]).await.ok()?;
        filled += read;
        let same = filled.min(PREFACE.len());
        let protocol = if read == 0 && filled == 0 {
            return None;
        } else if early[..same] != PREFACE[..same] || read == 0 {
            Protocol::Http1
        } else if same == PREFACE.len() {
            Protocol::Http2
        } else {
            continue;
        };
        return Some((stream, Bytes::copy_from_slice(&early[..filled]), protocol));
    }
}

async fn handshake(mut stream: TcpStream, tls: &TlsAcceptor) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await.ok()? == 0 {
        return None;
    }
    if first[0] != TLS_HANDSHAKE {
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{SPEAK_TLS}",
            SPEAK_TLS.len()
        );
        stream.write_all(answer.as_bytes()).await.ok()?;
        stream.shutdown().await.ok()?;
        // Until the client has read it and closes; the caller's time-out ends this.
        let mut waste = [0; EARLY_BYTES];
        while stream.read(&mut waste).await.is_ok_and(|read| read > 0) {}
        return None;
    }
    match tls.accept(stream).await {
        Ok(stream) => Some(stream),
        Err(error) => {
            // Scanners do this all day; not worth more than a debug line.
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
    }
}

/// The short way as far as it leads, then hyper.
async fn serve_http1<W: Stream, S: Service>(mut stream: W, early: Bytes, conversation: Rc<Conversation<S>>) {
    let pulse = Rc::clone(&conversation.pulse);
    let mut watchdog = Watchdog::new(&pulse);
    let Some(early) = short::walk(&mut stream, early, &conversation, &mut watchdog).await else {
        return;
    };
    let mut wire = Wire::new(stream, early, Rc::clone(&pulse));
    let header_bytes = conversation.limits.header_bytes;
    let service = service_fn(move |request: Request<Incoming>| {
        let conversation = Rc::clone(&conversation);
        async move { Ok::<_, Infallible>(conversation.answer(request).await) }
    });
    // hyper's own limit of 100 headers stays as it is: naming it would make it allocate for every request.
    // Its header time-out is off: it runs from the end of the previous answer, so that ten seconds for a head
    // would close every connection that is idle for ten seconds, and it makes a timer for every request.
    let connection = http1::Builder::new()
        .half_close(false)
        .header_read_timeout(None)
        .max_header_size(header_bytes)
        .max_buf_size(header_bytes)
        .serve_connection(TokioIo::new(&mut wire), service);
    let finish = |connection: Pin<&mut http1::Connection<_, _>>| connection.graceful_shutdown();
    let ending = drive(connection, finish, &pulse, &mut watchdog).await;
    // To hyper a CONNECT is the end of HTTP, refused or not: it lets go of the connection without a goodbye.
    if ending == Ending::Done && wire.is_open() {
        drive(wire.shutdown(), |_| (), &pulse, &mut watchdog).await;
    }
}

async fn serve_http2<W: Stream, S: Service>(wire: Wire<W>, conversation: Rc<Conversation<S>>) {
    let pulse = Rc::clone(&conversation.pulse);
    pulse.speaks_frames();
    let header_bytes = u32::try_from(conversation.limits.header_bytes).unwrap_or(u32::MAX);
    let service = service_fn(move |request: Request<Incoming>| {
        let conversation = Rc::clone(&conversation);
        async move { Ok::<_, Infallible>(conversation.answer(request).await) }
    });
    let connection = http2::Builder::new(OnThisThread)
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .max_header_list_size(header_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .serve_connection(TokioIo::new(wire), service);
    let finish = |connection: Pin<&mut http2::Connection<_, _, _>>| connection.graceful_shutdown();
    drive(connection, finish, &pulse, &mut Watchdog::new(&pulse)).await;
}

/// Runs the tasks of an HTTP/2 connection on the thread of the connection.
#[derive(Debug, Clone, Copy)]
struct OnThisThread;

impl<F> hyper::rt::Executor<F> for OnThisThread
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// By itself.
    Done,
    /// By an error, or because something was overdue.
    Cut,
}

/// Polls a connection to its end, and acts when something on it is overdue.
async fn drive<C, E>(connection: C, finish: impl Fn(Pin<&mut C>), pulse: &Pulse, watchdog: &mut Watchdog<'_>) -> Ending
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut connection = pin!(connection);
    // An HTTP/1 connection is told to finish only once it is idle. Until then `Connection: close` on its next answer
    // ends it, which loses nothing: told earlier, hyper would close without having said so in the answer under way.
    let mut told_to_finish = false;
    let ended = std::future::poll_fn(|cx| {
        watchdog.listen(cx);
        loop {
            if pulse.wants_goaway() && !told_to_finish {
                told_to_finish = true;
                finish(connection.as_mut());
            }
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map(|()| Ending::Done));
            }
            match ready!(watchdog.poll(cx)) {
                Overdue::Body => pulse.body_is_overdue(),
                Overdue::Idle if !told_to_finish => {
                    told_to_finish = true;
                    pulse.closing();
                    finish(connection.as_mut());
                }
                Overdue::Write => {
                    pulse.reset_on_drop();
                    return Poll::Ready(Ok(Ending::Cut));
                }
                Overdue::Idle | Overdue::Head | Overdue::Close => return Poll::Ready(Ok(Ending::Cut)),
            }
        }
    })
    .await;
    ended.unwrap_or_else(|error| {
        // Clients go away in the middle of things; what hyper refused it has answered.
        tracing::debug!(%error, "a connection ended early");
        Ending::Cut
    })
}
