//! One request and its answer: checked, timed, guarded against panics, and marked as the last one where it is.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use tokio::time::Instant;

use super::body::{AnswerBody, RequestBody};
use super::head::{self, Refusal};
use super::pulse::{Pulse, Speech};
use super::{Limits, Service};

/// What every request of one connection needs.
pub(super) struct Conversation<S> {
    pub service: S,
    pub pulse: Rc<Pulse>,
    pub limits: Limits,
}

impl<S: Service> Conversation<S> {
    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody<S::Body>> {
        let (in_flight, blemish) = self.pulse.begin();
        let refusal = blemish
            .map(Refusal::from)
            .or_else(|| head::check(&request, self.limits.uri_bytes));
        let speech = self.pulse.speech();
        let (mut response, mut last) = if let Some(refusal) = refusal {
            (self.service.refuse(refusal), true)
        } else {
            let waits = !request.body().is_end_stream();
            // A short body that the service did not want is read by hyper itself; for a long one the connection closes.
            let long = waits
                && request
                    .body()
                    .size_hint()
                    .upper()
                    .is_none_or(|bytes| bytes > self.limits.header_bytes as u64);
            let request = request.map(|incoming| match (waits, speech) {
                (false, _) => RequestBody::none(incoming),
                (true, Speech::Lines) => RequestBody::on_connection(incoming, self.pulse.expect_body()),
                (true, Speech::Frames) => RequestBody::on_stream(incoming, Instant::now() + self.limits.body_timeout),
            });
            let (response, outcome) = self.guarded(request).await;
            let unread = self.pulse.body.is_overdue() || (long && self.pulse.body.is_coming());
            (response, outcome == Outcome::Panicked || unread)
        };
        last |= self.pulse.lane.is_draining();
        if last && speech == Speech::Lines {
            // hyper closes after an answer that says so. In HTTP/2 a stream's end says nothing about the connection.
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.map(|body| AnswerBody::new(body, in_flight))
    }

    /// Lets the service answer; a panic becomes an answer too, and the worker lives on.
    async fn guarded(&self, request: Request<RequestBody>) -> (Response<S::Body>, Outcome) {
        let Ok(future) = catch_unwind(AssertUnwindSafe(|| self.service.answer(request))) else {
            return (self.service.refuse(Refusal::Panicked), Outcome::Panicked);
        };
        let mut future = pin!(future);
        let answered = std::future::poll_fn(|cx| {
            // Unwind safety: after a panic the future is never polled again, and what the service shares between
            // requests must bear a request that ends at any point anyhow, because clients go away.
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(response)) => Poll::Ready(Some(response)),
                Err(_) => Poll::Ready(None),
            }
        })
        .await;
        match answered {
            Some(response) => (response, Outcome::Answered),
            None => {
                // The panic hook has said what and where.
                tracing::error!("a request handler panicked; it was answered with 500");
                (self.service.refuse(Refusal::Panicked), Outcome::Panicked)
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    Panicked,
}
