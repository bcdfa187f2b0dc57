//! The one timer of a connection: set by what its pulse waits for, and set anew only when something earlier is due.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::futures::Notified;
use tokio::time::{Sleep, sleep_until};

use super::pulse::{Overdue, Pulse};

/// Wakes a connection's task when something on it is overdue, and when the drain begins.
pub(super) struct Watchdog<'a> {
    pulse: &'a Pulse,
    timer: Pin<Box<Sleep>>,
    bell: Pin<Box<Notified<'a>>>,
    listens: bool,
}

impl<'a> Watchdog<'a> {
    pub fn new(pulse: &'a Pulse) -> Self {
        Self {
            pulse,
            timer: Box::pin(sleep_until(pulse.due().0)),
            bell: Box::pin(pulse.lane.bell.notified()),
            listens: false,
        }
    }

    /// Sees that the task is woken. Both are polled only to be told of it: that takes a lock, and a task's waker stays the
    /// same for all of its life.
    pub fn listen(&mut self, cx: &mut Context<'_>) {
        if !self.listens {
            self.listens = true;
            let _ = self.bell.as_mut().poll(cx);
            let _ = self.timer.as_mut().poll(cx);
        }
    }

    /// What is overdue, once something is.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Overdue> {
        let (due, overdue) = self.pulse.due();
        if due >= self.timer.deadline() && !self.timer.is_elapsed() {
            return Poll::Pending;
        }
        self.timer.as_mut().reset(due);
        self.timer.as_mut().poll(cx).map(|()| overdue)
    }
}
