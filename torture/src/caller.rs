//! A client on one connection: asks, waits for the answer, and says when none came.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, ensure};
use keyholt_rig::load::{Progress, Reply};
use serde_json::{Value, json};

/// How long an answer may take before it counts as none. Far longer than anything should take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A client with a key.
pub struct Caller {
    address: SocketAddr,
    bearer: String,
    stream: Option<TcpStream>,
    reply: Reply,
    patience: Duration,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body; null where there is none.
    pub body: Value,
    /// Whether it is the last on its connection.
    pub closes: bool,
}

impl Answer {
    /// The text at this pointer; empty where there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// The code of a verdict or a problem.
    pub fn code(&self) -> &str {
        self.text("/code")
    }
}

impl Caller {
    /// A client that shows this key.
    pub fn new(address: SocketAddr, bearer: &str) -> Self {
        Self {
            address,
            bearer: bearer.to_owned(),
            stream: None,
            reply: Reply::default(),
            patience: PATIENCE,
        }
    }

    /// The same client, less patient.
    pub fn patient_for(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Asks, with headers of the caller's choice. An error means that no answer came; what was asked may have been done.
    pub fn ask_with(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> io::Result<Answer> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: torture\r\n");
        if !self.bearer.is_empty() {
            text.push_str(&format!("Authorization: Bearer {}\r\n", self.bearer));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        match body {
            Some(body) => {
                let body = body.to_string();
                let length = body.len();
                text.push_str(&format!(
                    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                ));
            }
            None => text.push_str("\r\n"),
        }
        let answer = self.exchange(text.as_bytes());
        if answer.as_ref().map_or(true, |answer| answer.closes) {
            self.stream = None;
        }
        answer
    }

    /// Asks.
    pub fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        self.ask_with(method, path, body, &[])
    }

    /// Asks for something that must be answered with this status.
    pub fn must(&mut self, method: &str, path: &str, body: Option<&Value>, status: u16) -> anyhow::Result<Value> {
        let answer = self
            .ask(method, path, body)
            .with_context(|| format!("{method} {path} was not answered"))?;
        ensure!(
            answer.status == status,
            "{method} {path}: expected {status}, got {}: {}",
            answer.status,
            answer.body
        );
        Ok(answer.body)
    }

    /// What is said about a secret, without counting a use.
    pub fn verdict(&mut self, path: &str, secret: &str, scopes: &[&str]) -> io::Result<Answer> {
        let question = json!({ "credential": secret, "scopes": scopes, "dry_run": true });
        self.ask("POST", path, Some(&question))
    }

    fn exchange(&mut self, request: &[u8]) -> io::Result<Answer> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, self.patience)?;
                stream.set_read_timeout(Some(self.patience))?;
                stream.set_write_timeout(Some(self.patience))?;
                stream.set_nodelay(true)?;
                self.stream.insert(stream)
            }
        };
        stream.write_all(request)?;
        self.reply.clear();
        if self.reply.read_from(stream)? == Progress::Partial {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let head = String::from_utf8_lossy(self.reply.head()).to_ascii_lowercase();
        Ok(Answer {
            status: self.reply.status(),
            body: serde_json::from_slice(self.reply.body()).unwrap_or(Value::Null),
            closes: head.contains("connection: close"),
        })
    }
}
