//! The two bodies of an exchange: what a client sends, with its deadline, and what we answer, counted until its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::StatusCode;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::pulse::{BodyWatch, InFlight};

/// A request's body. It must be complete within the configured time; its size is for the reader to limit.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    deadline: Deadline,
}

/// Why a request's body cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It took too long.
    #[error("the request body did not arrive in time")]
    TimedOut,
    /// The connection ended before the body did, or its framing is broken.
    #[error("the request body is broken off or malformed")]
    Broken(#[source] hyper::Error),
}

impl BodyError {
    /// The status that goes with it.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::TimedOut => StatusCode::REQUEST_TIMEOUT,
            Self::Broken(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Who watches the time.
#[derive(Debug)]
enum Deadline {
    /// Nobody: there is no body, or it is complete or broken.
    Over,
    /// The watchdog of the HTTP/1 connection, so that no timer is touched for a body that is just there.
    Connection(Arc<BodyWatch>),
    /// A timer of its own, because many bodies share an HTTP/2 connection; made when the body is first waited for.
    Stream {
        due: Instant,
        timer: Option<Pin<Box<Sleep>>>,
    },
}

impl RequestBody {
    /// A body that is not there.
    pub(super) const fn none(incoming: Incoming) -> Self {
        Self {
            incoming,
            deadline: Deadline::Over,
        }
    }

    /// The body on its way over an HTTP/1 connection.
    pub(super) const fn on_connection(incoming: Incoming, watch: Arc<BodyWatch>) -> Self {
        Self {
            incoming,
            deadline: Deadline::Connection(watch),
        }
    }

    /// A body on its way in an HTTP/2 stream.
    pub(super) const fn on_stream(incoming: Incoming, due: Instant) -> Self {
        Self {
            incoming,
            deadline: Deadline::Stream { due, timer: None },
        }
    }

    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.deadline {
            Deadline::Over => false,
            Deadline::Connection(watch) => {
                watch.waker.register(cx.waker());
                watch.is_overdue()
            }
            Deadline::Stream { due, timer } => timer
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(*due)))
                .as_mut()
                .poll(cx)
                .is_ready(),
        }
    }

    fn is_complete(&mut self) {
        if let Deadline::Connection(watch) = &self.deadline {
            watch.done();
        }
        self.deadline = Deadline::Over;
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending if self.is_overdue(cx) => {
                // The watch stays at overdue, which tells the connection to close after the answer.
                self.deadline = Deadline::Over;
                Poll::Ready(Some(Err(BodyError::TimedOut)))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.is_complete();
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                if self.incoming.is_end_stream() {
                    self.is_complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.deadline = Deadline::Over;
                Poll::Ready(Some(Err(BodyError::Broken(error))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

pin_project! {
    /// The body of an answer; its request counts as in flight until this is dropped.
    pub(super) struct AnswerBody<B> {
        #[pin]
        body: B,
        in_flight: InFlight,
    }
}

impl<B> AnswerBody<B> {
    pub(super) const fn new(body: B, in_flight: InFlight) -> Self {
        Self { body, in_flight }
    }
}

impl<B: Body> Body for AnswerBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Poll::Ready(ready!(self.project().body.poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
