//! Taking connections: one thread accepts and hands each to the worker with the fewest.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::{Semaphore, mpsc, watch};

use super::Connection;
use super::worker::{Accepted, Seat, Stage};

/// Connections that the operating system may keep for us while we are busy or full.
const BACKLOG: i32 = 1024;

/// File descriptors that are kept back from connections: for the database, the log, files and accepting itself.
///
/// Without it, ten thousand idle strangers could keep the database from opening a file.
const DESCRIPTOR_RESERVE: usize = 256;

/// Rest after the system refused a connection for want of resources; trying on would only burn the processor.
const BREATHER: Duration = Duration::from_millis(50);

/// Opens a socket on `address`.
///
/// # Errors
/// When the address is in use or not ours.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Otherwise a restart has to wait for the connections that the last process closed.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Makes room for `wanted` connections as far as the system lets us, and says how many there is room for.
pub(super) fn make_room(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let need = (wanted + DESCRIPTOR_RESERVE) as u64;
    // `None` means without limit.
    let (Some(soft), hard) = (limit.current, limit.maximum) else {
        return wanted;
    };
    if soft >= need {
        return wanted;
    }
    let raised = hard.map_or(need, |hard| hard.min(need));
    let asked = Rlimit {
        current: Some(raised),
        maximum: hard,
    };
    let now = setrlimit(Resource::Nofile, asked).map_or(soft, |()| raised);
    let room = usize::try_from(now)
        .unwrap_or(usize::MAX)
        .saturating_sub(DESCRIPTOR_RESERVE)
        .clamp(1, wanted);
    if room < wanted {
        tracing::warn!(
            wanted,
            room,
            open_files = now,
            "the limit on open files leaves room for fewer connections than limits.connections; raise `ulimit -n`"
        );
    }
    room
}

/// One worker as the acceptor sees it.
pub(super) struct Desk {
    pub inbox: mpsc::UnboundedSender<Accepted>,
    pub open: Arc<AtomicUsize>,
}

/// Accepts until told to stop.
///
/// At the limit it stops accepting until a connection ends, rather than accepting and refusing: further clients wait in
/// the system's queue instead of getting errors, an attacker gains nothing by trying faster, and no descriptor beyond
/// the limit is ever needed. What fills the limit is bounded in time by the limits on heads, bodies and idleness.
pub(super) async fn accept(
    listener: tokio::net::TcpListener,
    desks: Vec<Desk>,
    seats: Arc<Semaphore>,
    mut stage: watch::Receiver<Stage>,
) {
    let mut hand_over = HandOver { desks, next: 0 };
    let accepting = async {
        loop {
            // Fails only when the semaphore is closed, which nobody does.
            let Ok(permit) = Arc::clone(&seats).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, peer)) => hand_over.give(stream, peer, permit),
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections at the moment");
                    tokio::time::sleep(BREATHER).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        // An error means that the handle is gone, which is an order to stop as well.
        _ = stage.wait_for(|stage| matches!(stage, Stage::Draining(_))) => {}
    }
    // Whoever the system has connected already, and who may have sent a request, is still served.
    while let Ok(permit) = Arc::clone(&seats).try_acquire_owned()
        && let Some(Ok((stream, peer))) = listener.accept().now_or_never()
    {
        hand_over.give(stream, peer, permit);
    }
    // The listener closes before the workers hear of the drain (their inboxes close with `desks` after it), so that a
    // client who is told to close and comes again is refused at once instead of being connected and dropped.
    drop(listener);
}

struct HandOver {
    desks: Vec<Desk>,
    next: usize,
}

impl HandOver {
    /// To the worker with the fewest connections; among equals in turn.
    ///
    /// Not `SO_REUSEPORT`: the system then spreads by a hash of the addresses, and the few, long connections of a
    /// gateway pile up on one worker while another is idle.
    fn give(&mut self, stream: tokio::net::TcpStream, peer: SocketAddr, permit: tokio::sync::OwnedSemaphorePermit) {
        let Ok(stream) = stream.into_std() else {
            return;
        };
        let count = self.desks.len();
        let first = self.next;
        let fewest = (0..count)
            .map(|step| (first + step) % count)
            .min_by_key(|worker| self.desks[*worker].open.load(Ordering::Relaxed));
        let Some(worker) = fewest else {
            return;
        };
        self.next = (worker + 1) % count;
        let desk = &self.desks[worker];
        let accepted = Accepted {
            stream,
            connection: Connection::new(peer, worker),
            seat: Seat::take(&desk.open, permit),
        };
        if desk.inbox.send(accepted).is_err() {
            tracing::error!(worker, "a worker is gone; its connections are lost");
        }
    }
}

/// Whether an error of `accept` is over with the connection that it is about.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
