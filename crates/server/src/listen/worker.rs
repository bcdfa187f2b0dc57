//! One worker: a thread with its own runtime that serves the connections handed to it until they are gone.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::pulse::Lane;
use super::{Connection, Encryption, Limits, Service, Transport, connection};

/// How far the listener has come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// Taking connections.
    Serving,
    /// Taking none, and dropping what is left at this instant.
    Draining(Instant),
}

/// A connection on its way to a worker.
pub(super) struct Accepted {
    pub stream: std::net::TcpStream,
    pub connection: Connection,
    pub seat: Seat,
}

/// A connection's place in the counts, given back when it ends.
pub(super) struct Seat {
    open: Arc<AtomicUsize>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    pub fn take(open: &Arc<AtomicUsize>, permit: OwnedSemaphorePermit) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self {
            open: Arc::clone(open),
            _permit: permit,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a worker needs to begin.
pub(super) struct Assignment {
    pub transport: Transport,
    pub limits: Limits,
    pub inbox: mpsc::UnboundedReceiver<Accepted>,
    pub stage: watch::Receiver<Stage>,
    /// Told when the worker can serve.
    pub ready: std::sync::mpsc::SyncSender<()>,
}

/// Serves until the inbox closes and the last connection is gone or the deadline comes. Says how many it had to cut.
pub(super) fn run<C, S>(assignment: Assignment, make: impl FnOnce() -> C) -> std::io::Result<usize>
where
    C: Fn(Connection) -> S + 'static,
    S: Service,
{
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    let cut = runtime.block_on(work(assignment, make));
    // Not waiting for blocking calls of requests that were cut.
    runtime.shutdown_background();
    Ok(cut)
}

async fn work<C, S>(mut assignment: Assignment, make: impl FnOnce() -> C) -> usize
where
    C: Fn(Connection) -> S + 'static,
    S: Service,
{
    let connect = Rc::new(make());
    let lane = Rc::new(Lane::new());
    let mut connections = JoinSet::new();
    // Whoever waits may have given up; then the closed inbox ends this at once.
    let _ = assignment.ready.send(());
    loop {
        tokio::select! {
            accepted = assignment.inbox.recv() => match accepted {
                Some(accepted) => {
                    let tls = match &assignment.transport {
                        Transport::Plain => None,
                        Transport::Tls(tls) => Some(tls.acceptor()),
                    };
                    let (lane, connect) = (Rc::clone(&lane), Rc::clone(&connect));
                    let limits = assignment.limits;
                    connections.spawn_local(async move {
                        let Accepted { stream, connection, seat } = accepted;
                        if let Ok(stream) = TcpStream::from_std(stream) {
                            connection::serve(stream, connection, tls, limits, lane, &*connect).await;
                        }
                        drop(seat);
                    });
                }
                // The acceptor is gone: no connection will come any more.
                None => break,
            },
            Some(ended) = connections.join_next() => report(ended),
        }
    }
    lane.start_drain(Instant::now());
    let mut stage = assignment.stage;
    loop {
        let deadline = match *stage.borrow_and_update() {
            Stage::Draining(deadline) => deadline,
            // Nobody drains, yet the acceptor is gone: the handle was dropped.
            Stage::Serving => Instant::now(),
        };
        tokio::select! {
            biased;
            ended = connections.join_next() => match ended {
                Some(ended) => report(ended),
                None => return 0,
            },
            // Fails only when the handle is gone, which is an order to stop at once.
            told = stage.changed() => if told.is_err() { return connections.len() },
            () = sleep_until(deadline) => return connections.len(),
        }
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("serving a connection panicked; the connection is lost, the worker goes on");
    }
}

impl Connection {
    pub(super) fn new(peer: std::net::SocketAddr, worker: usize) -> Self {
        Self {
            // An IPv4 client of an IPv6 socket is an IPv4 client.
            peer: std::net::SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            encryption: Encryption::None,
            worker,
        }
    }
}
