//! A whole Keyholt in this process, in memory, for targets that come in through its door.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use keyholt_server::config::Config;
use keyholt_server::keeper::FirstStart;
use keyholt_server::serve::{Running, start};
use tokio::runtime::Runtime;

/// A Keyholt and a client with the operator's key.
pub struct Door {
    _runtime: Runtime,
    _running: Running,
    address: SocketAddr,
    stream: Option<TcpStream>,
    operator: String,
}

thread_local! {
    static DOOR: RefCell<Option<Door>> = const { RefCell::new(None) };
}

/// Asks, and fails if the answer is that something went wrong inside, or if none comes.
pub fn ask(method: &str, path: &str, kind: &str, body: &[u8]) -> u16 {
    DOOR.with_borrow_mut(|door| {
        let door = door.get_or_insert_with(Door::open);
        let (status, answer) = door.ask(method, path, kind, body);
        assert!(status != 500 && status != 0, "{method} {path}: {status} {answer}");
        status
    })
}

impl Door {
    fn open() -> Self {
        let flags = [("database", "memory"), ("listen", "127.0.0.1:0"), ("workers", "1")];
        let folder = std::env::temp_dir().join(format!("keyholt-fuzz-{}", std::process::id()));
        let flags = flags.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let data = ("data".to_owned(), folder.to_string_lossy().into_owned());
        let config = Config::load([], flags.into_iter().chain([data]), &[]).expect("good settings").config;
        let runtime = Runtime::new().expect("a runtime");
        let (running, first) = runtime.block_on(start(&config)).expect("a server");
        let FirstStart::Token(token) = first else { panic!("set up already") };
        let address = running.address();
        let mut door = Self {
            _runtime: runtime,
            _running: running,
            address,
            stream: None,
            operator: String::new(),
        };
        let body = format!(r#"{{"token":"{}","name":"Olga"}}"#, token.reveal().as_str());
        let (status, answer) = door.ask("POST", "/v1/setup", "application/json", body.as_bytes());
        assert_eq!(status, 201, "{answer}");
        let secret = answer.split("\"secret\":\"").nth(1).and_then(|rest| rest.split('"').next());
        door.operator = secret.expect("a secret").to_owned();
        let project = br#"{"slug":"acme","name":"Acme","prefix":"acme"}"#;
        assert_eq!(door.ask("POST", "/v1/projects", "application/json", project).0, 201);
        let user = br#"{"external_id":"u","name":"Ada"}"#;
        assert_eq!(door.ask("POST", "/v1/projects/acme/users", "application/json", user).0, 201);
        door
    }

    fn ask(&mut self, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
        let operator = &self.operator;
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n", body.len());
        if !operator.is_empty() {
            request.push_str(&format!("Authorization: Bearer {operator}\r\n"));
        }
        request.push_str(&format!("Content-Type: {kind}\r\n\r\n"));
        let address = self.address;
        let connect = || TcpStream::connect(address).expect("a connection");
        let stream = self.stream.get_or_insert_with(connect);
        let sent = stream.write_all(&[request.as_bytes(), body].concat());
        let mut heard = Vec::new();
        let mut piece = [0; 16 << 10];
        loop {
            let read = match sent.as_ref().map(|()| stream.read(&mut piece)) {
                Ok(Ok(read)) => read,
                // The fuzzer's alarm clock: nothing was lost.
                Ok(Err(error)) if error.kind() == ErrorKind::Interrupted => continue,
                Ok(Err(_)) | Err(_) => 0,
            };
            heard.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&heard);
            let head = text.split_once("\r\n\r\n").map(|(head, rest)| (head.to_ascii_lowercase(), rest.len()));
            let whole = head.is_some_and(|(head, length)| {
                let expected = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
                length >= expected.unwrap_or(0)
            });
            if whole || read == 0 {
                let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
                if read == 0 || text.to_ascii_lowercase().contains("connection: close") {
                    self.stream = None;
                }
                return (status, text.into_owned());
            }
        }
    }
}
