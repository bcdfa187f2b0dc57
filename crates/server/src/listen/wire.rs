//! The socket as HTTP sees it: tells the watchdog what happens on it, and ends so that the last answer arrives.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::pulse::Pulse;

/// Most that is read and thrown away after the last answer.
///
/// Closing a socket with unread bytes makes the system send a reset, which can destroy the answer on its way: a client
/// that was still sending a body would see "connection reset" where we said 413.
const LINGER_BYTES: usize = 8 << 20;

/// A byte stream over one TCP connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// The connection below.
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// A stream under watch.
pub(super) struct Wire<S: Stream> {
    stream: S,
    pulse: Rc<Pulse>,
    /// What was read to find out the protocol; it comes first.
    early: Bytes,
    end: End,
}

/// How far the connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Both sides talk.
    Open,
    /// The client has said its last byte.
    ClientDone,
    /// We have said our last byte and read what is still coming, up to so much.
    Lingering(usize),
}

impl<S: Stream> Wire<S> {
    pub fn new(stream: S, early: Bytes, pulse: Rc<Pulse>) -> Self {
        Self {
            stream,
            pulse,
            early,
            end: End::Open,
        }
    }

    /// Whether neither side has said its last byte.
    pub fn is_open(&self) -> bool {
        self.end == End::Open
    }

    fn note<T>(&self, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match outcome {
            Poll::Pending => self.pulse.write_blocked(),
            Poll::Ready(_) => self.pulse.wrote(),
        }
        outcome
    }
}

impl<S: Stream> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.early.is_empty() {
            let full = buf.remaining() == 0;
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            if buf.filled().len() == before && !full {
                self.end = End::ClientDone;
            }
        } else {
            let take = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..take]);
            self.early.advance(take);
            if self.early.is_empty() {
                self.early = Bytes::new();
            }
        }
        if buf.filled().len() > before {
            self.pulse.received(&buf.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(outcome)
    }

    /// Says goodbye, then reads until the client has said it too, within [`LINGER_BYTES`] and the watchdog's patience.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pulse.closing();
        if !matches!(self.end, End::Lingering(_)) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            if self.end == End::ClientDone {
                return Poll::Ready(Ok(()));
            }
            self.end = End::Lingering(LINGER_BYTES);
        }
        let mut waste = [0; 4096];
        while let End::Lingering(left @ 1..) = self.end {
            let mut buf = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {
                    self.end = End::Lingering(left.saturating_sub(buf.filled().len()));
                }
                // The goodbye came, or a reset did: either way there is nothing left to wait for.
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Stream> Drop for Wire<S> {
    fn drop(&mut self) {
        if self.pulse.wants_reset() {
            reset_at_end(&self.stream);
        }
    }
}

/// Makes the end of a connection a reset, so that the system drops what could not be sent.
pub(super) fn reset_at_end<S: Stream>(stream: &S) {
    // If it fails, the system keeps unsent bytes a little longer; there is nobody to tell.
    let _ = socket2::SockRef::from(stream.tcp()).set_linger(Some(Duration::ZERO));
}
