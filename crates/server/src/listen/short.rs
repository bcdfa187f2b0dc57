//! The short way: plain requests are read, answered and written in one go, without hyper; the first other one ends it.
//!
//! A plain request costs one read and one write, and no memory of its own: all connections of a worker share the buffers.
//! Whatever is not plain, late, broken or last goes the long way, from its first byte on and for the rest of the
//! connection: hyper and what is built around it know all about errors, and this knows nothing.

use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::Service;
use super::date::Date;
use super::exchange::Conversation;
use super::plain::{self, Found, Part, REQUEST_BYTES_MAX};
use super::pulse::{InFlight, Overdue, Pulse};
use super::watchdog::Watchdog;
use super::wire::{Stream, reset_at_end};

/// Which way a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is answered.
    Short,
    /// It is left to [`Service::answer`].
    Long,
}

/// An answer with status 200 in the making.
#[derive(Debug, Default)]
pub struct PlainAnswer {
    /// Header lines, each with its CR LF, without those of the framing and the date.
    pub header_lines: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl PlainAnswer {
    fn write(&self, date: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        out.extend_from_slice(&self.header_lines);
        out.extend_from_slice(b"content-length: ");
        out.extend_from_slice(itoa::Buffer::new().format(self.body.len()).as_bytes());
        out.extend_from_slice(b"\r\ndate: ");
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&self.body);
    }
}

/// What the short way works in.
#[derive(Debug)]
pub(super) struct Scratch {
    input: Box<[u8]>,
    answer: PlainAnswer,
    output: Vec<u8>,
    date: Date,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            input: vec![0; REQUEST_BYTES_MAX].into(),
            answer: PlainAnswer::default(),
            output: Vec::new(),
            date: Date::default(),
        }
    }
}

/// Goes the short way as far as it leads. What it returns is where the long way begins; nothing when the connection is over.
pub(super) async fn walk<W: Stream, S: Service>(
    stream: &mut W,
    early: Bytes,
    conversation: &Conversation<S>,
    watchdog: &mut Watchdog<'_>,
) -> Option<Bytes> {
    if S::PLAIN_TARGETS.is_empty() {
        return Some(early);
    }
    let mut way = ShortWay {
        stream,
        conversation,
        pulse: &conversation.pulse,
        next: if early.is_empty() { Next::Read } else { Next::Look },
        begun: early.into(),
        unsent: None,
    };
    poll_fn(|cx| {
        watchdog.listen(cx);
        if let Poll::Ready(end) = way.poll(cx) {
            return Poll::Ready(end.ok().map(Bytes::from));
        }
        match ready!(watchdog.poll(cx)) {
            Overdue::Write => {
                reset_at_end(&*way.stream);
                Poll::Ready(None)
            }
            // The long way finds the same thing overdue and knows what to do about it.
            Overdue::Idle | Overdue::Head | Overdue::Body | Overdue::Close => {
                Poll::Ready(Some(std::mem::take(&mut way.begun).into()))
            }
        }
    })
    .await
}

struct ShortWay<'a, W, S> {
    stream: &'a mut W,
    conversation: &'a Conversation<S>,
    pulse: &'a Rc<Pulse>,
    next: Next,
    /// What has come of requests that are not answered.
    begun: Vec<u8>,
    unsent: Option<Unsent>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Look at what has come.
    Look,
    /// Wait for more.
    Read,
    /// Leave it to the long way.
    Leave,
}

/// Answers that the client has not taken yet.
struct Unsent {
    bytes: Bytes,
    _in_flight: InFlight,
}

impl<W: Stream, S: Service> ShortWay<'_, W, S> {
    /// Answers what comes, until the way ends: with what is left for the long way, or the error that ended the connection.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        loop {
            if self.unsent.is_some() {
                ready!(self.poll_send(cx))?;
            }
            if self.next == Next::Leave || self.pulse.lane.is_draining() {
                return Poll::Ready(Ok(std::mem::take(&mut self.begun)));
            }
            ready!(self.poll_answer(cx))?;
        }
    }

    /// Reads what is there and answers the plain requests in it.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let scratch = &mut *self.pulse.lane.scratch.borrow_mut();
        let input = &mut *scratch.input;
        let mut filled = self.begun.len();
        input[..filled].copy_from_slice(&self.begun);
        if self.next == Next::Read {
            let mut room = ReadBuf::new(&mut input[filled..]);
            ready!(Pin::new(&mut *self.stream).poll_read(cx, &mut room))?;
            if room.filled().is_empty() {
                self.next = Next::Leave;
                return Poll::Ready(Ok(()));
            }
            filled += room.filled().len();
        }
        let now = self.pulse.lane.about_now();
        let (rest, part) = self.answer_all(
            &input[..filled],
            now,
            &mut scratch.answer,
            &mut scratch.output,
            &mut scratch.date,
        );
        if rest < filled {
            self.pulse.answered(now);
        }
        if let Some(part) = part {
            self.pulse.waits_for(part, now);
        }
        self.begun.clear();
        self.begun.extend_from_slice(&input[filled - rest..filled]);
        if !scratch.output.is_empty() {
            self.send(cx, &scratch.output)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Answers the plain requests at the beginning of `input`; tells how many bytes are left, and of what they are a part.
    fn answer_all(
        &mut self,
        input: &[u8],
        now: Instant,
        answer: &mut PlainAnswer,
        output: &mut Vec<u8>,
        date: &mut Date,
    ) -> (usize, Option<Part>) {
        let Conversation { service, limits, .. } = self.conversation;
        output.clear();
        self.next = Next::Read;
        let mut rest = input;
        while !rest.is_empty() {
            answer.header_lines.clear();
            answer.body.clear();
            // A panic here will come again on the long way, where it is answered.
            let find = || {
                plain::find(
                    rest,
                    S::PLAIN_TARGETS,
                    limits.header_bytes,
                    |target, body| service.look_ahead(target, body),
                    |plain, ahead| service.answer_plain(plain, ahead, answer),
                )
            };
            match catch_unwind(AssertUnwindSafe(find)) {
                Ok(Found::Whole(length, Way::Short)) => {
                    answer.write(date.at(now), output);
                    rest = rest.get(length..).unwrap_or_default();
                }
                Ok(Found::Part(part)) => return (rest.len(), Some(part)),
                Ok(Found::Whole(_, Way::Long) | Found::Other) | Err(_) => {
                    self.next = Next::Leave;
                    break;
                }
            }
        }
        (rest.len(), None)
    }

    /// Sends answers; what the client does not take at once is kept.
    fn send(&mut self, cx: &mut Context<'_>, output: &[u8]) -> io::Result<()> {
        let sent = match Pin::new(&mut *self.stream).poll_write(cx, output) {
            Poll::Ready(sent) => sent?,
            Poll::Pending => 0,
        };
        let is_out = sent == output.len() && Pin::new(&mut *self.stream).poll_flush(cx)?.is_ready();
        if !is_out {
            self.pulse.write_blocked();
            self.unsent = Some(Unsent {
                bytes: Bytes::copy_from_slice(&output[sent..]),
                _in_flight: self.pulse.begin().0,
            });
        }
        Ok(())
    }

    /// Sends what was kept.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(unsent) = &mut self.unsent {
            if unsent.bytes.is_empty() {
                ready!(Pin::new(&mut *self.stream).poll_flush(cx))?;
                self.pulse.wrote();
                self.unsent = None;
            } else {
                let sent = ready!(Pin::new(&mut *self.stream).poll_write(cx, &unsent.bytes))?;
                if sent == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                unsent.bytes.advance(sent);
                self.pulse.wrote();
                self.pulse.write_blocked();
            }
        }
        Poll::Ready(Ok(()))
    }
}
