//! A server that plays given answers in their order and remembers what it was asked.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use keyholt_api::code::Code;
use keyholt_api::problem::{MEDIA_TYPE, Problem};
use serde_json::Value;
use tokio::sync::oneshot;

const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What the server answers to one request.
pub struct Canned {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    manner: Manner,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Whole,
    /// The connection breaks before the body is complete.
    BrokenOff,
}

impl Canned {
    /// JSON with this status.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    /// Nothing, with 204.
    pub fn nothing() -> Self {
        let mut nothing = Self::text(204, "application/json", "");
        nothing.headers.clear();
        nothing
    }

    /// The catalogue's problem of this code.
    pub fn problem(code: Code) -> Self {
        Self::told(Problem::new(code, "req-1"))
    }

    /// This problem.
    pub fn told(problem: Problem) -> Self {
        let body = serde_json::to_string(&problem).unwrap();
        Self::text(problem.status, MEDIA_TYPE, body)
    }

    /// Any text.
    pub fn text(status: u16, media_type: &str, body: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![("content-type", media_type.to_owned())],
            body: body.into(),
            manner: Manner::Whole,
        }
    }

    /// With this header.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Broken off in the middle.
    pub fn broken_off(mut self) -> Self {
        self.manner = Manner::BrokenOff;
        self
    }

    /// The same answer once more.
    pub fn again(&self) -> Self {
        Self {
            headers: self.headers.clone(),
            body: self.body.clone(),
            ..*self
        }
    }

    fn response(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = match self.manner {
            Manner::Whole => Body::from(self.body),
            Manner::BrokenOff => {
                // The pause lets the head and the first part leave before the connection is cut.
                let cut = stream::once(async {
                    tokio::task::yield_now().await;
                    Err(io::Error::other("cut"))
                });
                Body::from_stream(stream::iter([Ok(Bytes::from(self.body))]).chain(cut))
            }
        };
        response.body(body).unwrap()
    }
}

/// What the server was asked.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method, path and query.
    pub line: String,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Seen {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

#[derive(Default)]
struct Play {
    answers: Mutex<VecDeque<Canned>>,
    seen: Mutex<Vec<Seen>>,
}

/// The server. It ends when it is dropped, and complains about answers that nobody asked for.
pub struct Stub {
    /// Its address.
    pub url: String,
    play: Arc<Play>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Stub {
    /// A server that gives these answers in their order.
    pub fn playing(answers: impl IntoIterator<Item = Canned>) -> Self {
        let play = Arc::new(Play {
            answers: Mutex::new(answers.into_iter().collect()),
            seen: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&play));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = async { axum::serve(listener, app).await } => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self {
            url,
            play,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Everything that was asked, in its order.
    pub fn seen(&self) -> Vec<Seen> {
        self.play.seen.lock().unwrap().clone()
    }

    /// The only thing that was asked.
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen.into_iter().next().unwrap()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let left = self.play.answers.lock().map_or(0, |answers| answers.len());
        if !std::thread::panicking() {
            assert_eq!(left, 0, "answers that nobody asked for");
        }
    }
}

async fn answer(State(play): State<Arc<Play>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = to_bytes(body, BODY_BYTES_MAX).await.unwrap();
    let headers = parts.headers.iter();
    play.seen.lock().unwrap().push(Seen {
        line: format!("{} {}", parts.method, parts.uri),
        headers: headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    match play.answers.lock().unwrap().pop_front() {
        Some(canned) => canned.response(),
        None => Canned::text(599, "text/plain", "the play is over").response(),
    }
}
