//! One connection of a load: its request, its answer, and when the request was due.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::reply::{Progress, Reply};
use super::script::Script;

/// How long a connection may take to be made.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A connection with at most one request under way.
pub(super) struct Link {
    stream: TcpStream,
    request: Vec<u8>,
    sent: usize,
    good: usize,
    due: Instant,
    reply: Reply,
}

impl Link {
    /// Connects, and has its events told under a token.
    pub fn open(address: SocketAddr, script: &Script, registry: &Registry, token: Token) -> anyhow::Result<Self> {
        let stream = std::net::TcpStream::connect_timeout(&address, CONNECT_WITHIN)
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let request = script.template().to_vec();
        let sent = request.len();
        Ok(Self {
            stream,
            request,
            sent,
            good: 0,
            due: Instant::now(),
            reply: Reply::default(),
        })
    }

    /// Asks the next question; latency counts from the instant at which it was due.
    pub fn ask(&mut self, script: &Script, due: Instant) -> io::Result<()> {
        self.good = script.fill(&mut self.request);
        self.sent = 0;
        self.due = due;
        self.reply.clear();
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while let Some(rest) = self.request.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Goes on as far as it can, and tells since when the answer that is now whole was due, if one is.
    pub fn go_on(&mut self, script: &Script) -> anyhow::Result<Option<Instant>> {
        if self.sent < self.request.len() {
            self.send()?;
        }
        if self.reply.read_from(&mut self.stream)? == Progress::Partial {
            return Ok(None);
        }
        match script.fault(self.reply.status(), self.reply.body(), self.good) {
            None => Ok(Some(self.due)),
            Some(fault) => anyhow::bail!("a wrong answer: {fault}"),
        }
    }
}
