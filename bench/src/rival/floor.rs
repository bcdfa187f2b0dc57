//! The floor: an epoll loop by hand that finds the end of a request and answers a bare 200. Nothing on this machine that
//! speaks HTTP through the kernel's sockets is much cheaper.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::{Arc, mpsc};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const WAKE: Token = Token(usize::MAX);
const HEADERS_MAX: usize = 32;
/// The longest request.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// Serves until it is stopped: one thread accepts, one for each processor answers.
pub fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let mut desks = Vec::new();
    for _ in 0..threads.get() {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (sender, inbox) = mpsc::channel();
        std::thread::spawn(move || answer_all(poll, &inbox));
        desks.push((sender, waker));
    }
    super::announce(listener.local_addr()?)?;
    for (sender, waker) in desks.iter().cycle() {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        sender.send(TcpStream::from_std(stream))?;
        waker.wake()?;
    }
    Ok(())
}

struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
    filled: usize,
}

fn answer_all(mut poll: Poll, inbox: &mpsc::Receiver<TcpStream>) -> io::Result<()> {
    let mut events = Events::with_capacity(1024);
    let mut clients: HashMap<usize, Client> = HashMap::new();
    let mut number = 0;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if event.token() == WAKE {
                for mut stream in inbox.try_iter() {
                    poll.registry()
                        .register(&mut stream, Token(number), Interest::READABLE)?;
                    clients.insert(
                        number,
                        Client {
                            stream,
                            bytes: vec![0; REQUEST_BYTES_MAX],
                            filled: 0,
                        },
                    );
                    number += 1;
                }
            } else if let Some(client) = clients.get_mut(&event.token().0)
                && client.answer().is_err()
            {
                clients.remove(&event.token().0);
            }
        }
    }
}

impl Client {
    /// Answers what is there; an error is the end of the connection.
    fn answer(&mut self) -> io::Result<()> {
        loop {
            match self.stream.read(self.bytes.get_mut(self.filled..).unwrap_or_default()) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if length(self.bytes.get(..self.filled).unwrap_or_default())?.is_some_and(|length| length <= self.filled) {
                self.filled = 0;
                // Small enough for an empty socket buffer, which it is, because the client waits for the answer.
                return self.stream.write_all(ANSWER);
            }
        }
    }
}

/// The length of a request, once its head is whole.
fn length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = request.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    let length = request
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let body = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    Ok(Some(head + body.unwrap_or(0)))
}
