//! Reads answers: status, length, and whether all of it has come.

use std::io::{self, Read};

/// Most headers of an answer.
const HEADERS_MAX: usize = 64;
/// Room for an ordinary answer; it grows with longer ones.
const ROOM: usize = 8 * 1024;
/// The longest answer that is read.
const REPLY_BYTES_MAX: usize = 16 << 20;

/// The answer under way on one connection.
#[derive(Debug)]
pub struct Reply {
    bytes: Vec<u8>,
    filled: usize,
    head: Option<Head>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    status: u16,
    body_at: usize,
    end: usize,
}

/// How far an answer has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// All of it is there.
    Whole,
    /// More is to come.
    Partial,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            bytes: vec![0; ROOM],
            filled: 0,
            head: None,
        }
    }
}

impl Reply {
    /// Reads what is there. A whole answer is not read past, so that it costs one system call.
    pub fn read_from(&mut self, stream: &mut impl Read) -> io::Result<Progress> {
        loop {
            if self.filled == self.bytes.len() {
                let room = (self.bytes.len() * 2).min(REPLY_BYTES_MAX);
                if room == self.bytes.len() {
                    return Err(io::Error::other("an answer is too long"));
                }
                self.bytes.resize(room, 0);
            }
            let read = stream.read(self.bytes.get_mut(self.filled..).unwrap_or_default());
            match read {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the server closed the connection",
                    ));
                }
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Partial),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if self.progress()? == Progress::Whole {
                return Ok(Progress::Whole);
            }
        }
    }

    fn progress(&mut self) -> io::Result<Progress> {
        if self.head.is_none() {
            self.head = head(self.bytes.get(..self.filled).unwrap_or_default())?;
        }
        match self.head {
            Some(head) if self.filled > head.end => Err(io::Error::other("more came than one answer")),
            Some(head) if self.filled == head.end => Ok(Progress::Whole),
            _ => Ok(Progress::Partial),
        }
    }

    /// The status; 0 while it is not known.
    pub fn status(&self) -> u16 {
        self.head.map_or(0, |head| head.status)
    }

    /// The head, to the letter.
    pub fn head(&self) -> &[u8] {
        self.head
            .and_then(|head| self.bytes.get(..head.body_at))
            .unwrap_or_default()
    }

    /// The body, once all of it is there.
    pub fn body(&self) -> &[u8] {
        self.head
            .and_then(|head| self.bytes.get(head.body_at..head.end))
            .unwrap_or_default()
    }

    /// Makes room for the next answer.
    pub fn clear(&mut self) {
        self.filled = 0;
        self.head = None;
    }
}

fn head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let body_at = match response.parse(bytes).map_err(io::Error::other)? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(length) => length,
    };
    let status = response.code.unwrap_or(0);
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| std::str::from_utf8(header.value).ok()?.parse::<usize>().ok());
    // Chunked answers are not needed by anything that is measured here.
    let Some(length) = length.or((status == 204).then_some(0)) else {
        return Err(io::Error::other(format!(
            "an answer with status {status} does not tell its length"
        )));
    };
    Ok(Some(Head {
        status,
        body_at,
        end: body_at + length,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its pieces one after the other as far as there is room, then says that nothing is there.
    struct Pieces<'a>(Vec<&'a [u8]>);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let (now, later) = self.0[0].split_at(self.0[0].len().min(buffer.len()));
            buffer[..now.len()].copy_from_slice(now);
            if later.is_empty() {
                self.0.remove(0);
            } else {
                self.0[0] = later;
            }
            Ok(now.len())
        }
    }

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn an_answer_is_whole_whichever_way_it_was_cut() {
        for cut in 1..ANSWER.len() {
            let (one, other) = ANSWER.split_at(cut);
            let mut reply = Reply::default();
            assert_eq!(reply.read_from(&mut Pieces(vec![one])).unwrap(), Progress::Partial);
            assert_eq!(reply.read_from(&mut Pieces(vec![other])).unwrap(), Progress::Whole);
            assert_eq!((reply.status(), reply.body()), (200, b"hello".as_slice()));
        }
    }

    #[test]
    fn two_answers_for_one_request_are_an_error() {
        let both = [ANSWER, ANSWER].concat();
        assert!(Reply::default().read_from(&mut Pieces(vec![&both])).is_err());
    }

    #[test]
    fn an_answer_without_length_is_an_error() {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(Reply::default().read_from(&mut Pieces(vec![chunked])).is_err());
    }

    #[test]
    fn a_long_answer_finds_room() {
        let body = vec![b'x'; 3 * ROOM];
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        let whole = [head.as_bytes(), &body].concat();
        let mut reply = Reply::default();
        for piece in whole.chunks(1000) {
            reply.read_from(&mut Pieces(vec![piece])).unwrap();
        }
        assert_eq!(reply.body().len(), body.len());
    }
}
