//! Two ways to stand between a client and a server: one that lies about what was done, and one that can be cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use keyholt_rig::load::{Progress, Reply};

/// How often a stalled connection looks whether it may go on.
const LOOK: Duration = Duration::from_millis(10);
/// The longest request that the liar passes on.
const REQUEST_BYTES_MAX: usize = 1 << 20;
/// What the liar says.
const LIE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// Says that a key is revoked when it passes the request on: the fault that every acknowledgement before its commit is.
pub struct Liar {
    address: SocketAddr,
}

impl Liar {
    /// Stands before a server. It ends with the process.
    pub fn before(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                thread::spawn(move || {
                    // A server that went away ends the connection, as it would without a proxy.
                    let _ = tell_lies(client, server);
                });
            }
        });
        Ok(Self { address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn tell_lies(mut client: TcpStream, server: SocketAddr) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut behind = TcpStream::connect(server)?;
    behind.set_nodelay(true)?;
    while let Some(request) = read_request(&mut client)? {
        let head = String::from_utf8_lossy(&request);
        let is_revoke = head
            .lines()
            .next()
            .is_some_and(|line| line.starts_with("POST ") && line.contains("/revoke "));
        if is_revoke {
            client.write_all(LIE)?;
        }
        behind.write_all(&request)?;
        let mut reply = Reply::default();
        if reply.read_from(&mut behind)? != Progress::Whole {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if !is_revoke {
            client.write_all(reply.head())?;
            client.write_all(reply.body())?;
        }
    }
    Ok(())
}

/// One request with its body; `None` when the client is done.
fn read_request(client: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(request.get(..end).unwrap_or_default()).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1);
            let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0) {
                return Ok(Some(request));
            }
        }
        let read = client.read(&mut piece)?;
        if read == 0 || request.len() > REQUEST_BYTES_MAX {
            return Ok(None);
        }
        request.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
}

/// A cable between two programs.
pub struct Cable {
    address: SocketAddr,
    state: Arc<AtomicU8>,
}

const WHOLE: u8 = 0;
const SILENT: u8 = 1;
const TORN: u8 = 2;

impl Cable {
    /// Leads to a server. It ends with the process.
    pub fn to(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(AtomicU8::new(WHOLE));
        let of_all = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&of_all);
                thread::spawn(move || {
                    // Whatever ends one side ends the connection.
                    let _ = lead(&client, server, &state);
                    let _ = client.shutdown(Shutdown::Both);
                });
            }
        });
        Ok(Self { address, state })
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nothing comes through any more, and nobody is told.
    pub fn silence(&self) {
        self.state.store(SILENT, Ordering::Relaxed);
    }

    /// Every connection breaks, and none can be made.
    pub fn tear(&self) {
        self.state.store(TORN, Ordering::Relaxed);
    }

    /// Everything comes through again.
    pub fn mend(&self) {
        self.state.store(WHOLE, Ordering::Relaxed);
    }
}

fn lead(client: &TcpStream, server: SocketAddr, state: &Arc<AtomicU8>) -> io::Result<()> {
    while state.load(Ordering::Relaxed) == SILENT {
        thread::sleep(LOOK);
    }
    if state.load(Ordering::Relaxed) == TORN {
        return Ok(());
    }
    let behind = TcpStream::connect(server)?;
    behind.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (back_from, back_to, back_state) = (behind.try_clone()?, client.try_clone()?, Arc::clone(state));
    let back = thread::spawn(move || pass(&back_from, &back_to, &back_state));
    let there = pass(client, &behind, state);
    let _ = behind.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
    // A thread that panicked has ended too.
    let _ = back.join();
    there
}

fn pass(mut from: &TcpStream, mut to: &TcpStream, state: &AtomicU8) -> io::Result<()> {
    from.set_read_timeout(Some(LOOK))?;
    let mut piece = [0; 16 << 10];
    loop {
        match state.load(Ordering::Relaxed) {
            TORN => {
                let _ = from.shutdown(Shutdown::Both);
                return to.shutdown(Shutdown::Both);
            }
            SILENT => {
                thread::sleep(LOOK);
                continue;
            }
            _ => {}
        }
        match from.read(&mut piece) {
            Ok(0) => return to.shutdown(Shutdown::Write),
            Ok(read) => to.write_all(piece.get(..read).unwrap_or_default())?,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
}
