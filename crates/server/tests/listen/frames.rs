//! HTTP/2: by prior knowledge, with its own ways to be slow, to flood and to end.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keyholt_server::listen::{Drained, Limits};
use tokio::net::TcpStream;

use crate::stage::{End, GENEROUS, GIVE_UP, Raw, start};

type Body = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;

async fn connect(address: std::net::SocketAddr) -> http2::SendRequest<Body> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

fn request(path: &str, body: Body) -> Request<Body> {
    Request::post(format!("http://a{path}")).body(body).unwrap()
}

fn empty() -> Body {
    Empty::new().boxed()
}

async fn text(answer: http::Response<hyper::body::Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let handle = start(GENEROUS);
    let mut sender = connect(handle.local_addr()).await;
    let asked: Vec<_> = (0..50)
        .map(|n| sender.send_request(request(&format!("/{n}"), Full::from("hello").boxed())))
        .collect();
    for (n, answer) in asked.into_iter().enumerate() {
        assert_eq!(text(answer.await.unwrap()).await, format!("/{n} 5"));
    }
    assert_eq!(handle.open().iter().sum::<usize>(), 1);
}

#[tokio::test]
async fn a_slow_body_is_answered_with_408_and_the_other_streams_go_on() {
    let limits = Limits {
        body_timeout: Duration::from_millis(300),
        ..GENEROUS
    };
    let handle = start(limits);
    let mut sender = connect(handle.local_addr()).await;
    let beginning = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"he")))]);
    let never = futures_util::stream::pending();
    let body = StreamBody::new(futures_util::StreamExt::chain(beginning, never));
    let slow = sender.send_request(request("/x", BodyExt::boxed(body)));
    assert_eq!(slow.await.unwrap().status(), StatusCode::REQUEST_TIMEOUT);
    let answer = sender.send_request(request("/good", empty())).await.unwrap();
    assert_eq!(text(answer).await, "/good 0");
}

#[tokio::test]
async fn an_authority_that_host_contradicts_is_refused() {
    let handle = start(GENEROUS);
    let mut sender = connect(handle.local_addr()).await;
    for (host, status) in [("a", 200), ("b", 400)] {
        let mut asked = request("/x", empty());
        asked.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(sender.send_request(asked).await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = Limits {
        idle_timeout: Duration::from_millis(300),
        ..GENEROUS
    };
    let handle = start(limits);
    let mut sender = connect(handle.local_addr()).await;
    sender.send_request(request("/x", empty())).await.unwrap();
    tokio::time::timeout(GIVE_UP, async {
        while handle.open().iter().sum::<usize>() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the connection ends");
    assert!(sender.send_request(request("/x", empty())).await.is_err());
}

#[tokio::test]
async fn a_drain_answers_what_was_asked_and_ends() {
    let handle = start(GENEROUS);
    let mut sender = connect(handle.local_addr()).await;
    sender.send_request(request("/x", empty())).await.unwrap();
    let asked: Vec<_> = (0..20)
        .map(|_| sender.send_request(request("/slow", empty())))
        .collect();
    let mut asked: Vec<_> = asked.into_iter().map(tokio::spawn).collect();
    // A second round trip, so that the twenty have arrived before the drain begins.
    sender.send_request(request("/x", empty())).await.unwrap();
    let drained = tokio::spawn(handle.drain(GIVE_UP));
    for answer in &mut asked {
        let answer = answer.await.unwrap().expect("an answer");
        assert_eq!(text(answer).await, "/slow 0");
    }
    assert_eq!(drained.await.unwrap(), Drained { cut: 0 });
}

/// A frame as RFC 9113 §4.1 has it.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const DATA: u8 = 0;
/// `GET http://a/` in HPACK: three fields of the static table and a literal `:authority`.
const ASK: &[u8] = &[0x82, 0x86, 0x84, 0x01, 1, b'a'];

/// `POST http://a/` likewise.
const TELL: &[u8] = &[0x83, 0x86, 0x84, 0x01, 1, b'a'];

/// Sends the preface and `flood`, and hears how the server takes it.
fn flooded(flood: impl Iterator<Item = Vec<u8>> + Send) -> (Vec<u8>, End) {
    flooded_under(GENEROUS, flood)
}

fn flooded_under(limits: Limits, flood: impl Iterator<Item = Vec<u8>> + Send) -> (Vec<u8>, End) {
    use std::io::Read;
    let handle = start(limits);
    let raw = Raw::open(handle.local_addr());
    let mut sending = raw.stream.try_clone().unwrap();
    let mut reading = raw.stream.try_clone().unwrap();
    reading.set_read_timeout(Some(GIVE_UP)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut all = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            all.extend(frame(SETTINGS, 0, 0, &[]));
            for piece in flood {
                all.extend(piece);
                if all.len() > 4096 {
                    if sending.write_all(&all).is_err() {
                        return;
                    }
                    all.clear();
                }
            }
            let _ = sending.write_all(&all);
        });
        let mut heard = Vec::new();
        let mut piece = [0; 4096];
        let end = loop {
            match reading.read(&mut piece) {
                Ok(0) => break End::Closed,
                Ok(read) => heard.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                    break End::Reset;
                }
                Err(_) => break End::StillOpen,
            }
        };
        (heard, end)
    })
}

fn kinds(mut heard: &[u8]) -> Vec<u8> {
    let mut kinds = Vec::new();
    while heard.len() >= 9 {
        let length = usize::from(heard[0]) << 16 | usize::from(heard[1]) << 8 | usize::from(heard[2]);
        kinds.push(heard[3]);
        heard = heard.get(9 + length..).unwrap_or_default();
    }
    kinds
}

#[test]
fn opening_and_resetting_ten_thousand_streams_ends_the_connection() {
    let (heard, end) = flooded((0..10_000_u32).flat_map(|n| {
        let stream = 2 * n + 1;
        [
            frame(HEADERS, END_STREAM | END_HEADERS, stream, ASK),
            frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
        ]
    }));
    assert_ne!(end, End::StillOpen);
    assert!(
        kinds(&heard).contains(&GOAWAY) || end == End::Reset,
        "{:?}",
        kinds(&heard)
    );
}

#[test]
fn a_head_that_is_continued_for_ever_ends_the_connection() {
    let (heard, end) = flooded(
        std::iter::once(frame(HEADERS, END_STREAM, 1, ASK))
            .chain((0..100_000).map(|_| frame(CONTINUATION, 0, 1, &[0x00, 1, b'x', 1, b'y']))),
    );
    assert_ne!(end, End::StillOpen);
    assert!(
        !kinds(&heard).contains(&HEADERS) || end == End::Reset,
        "{:?}",
        kinds(&heard)
    );
}

#[test]
fn empty_data_for_ever_is_no_body_and_wins_no_time() {
    let limits = Limits {
        body_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        ..GENEROUS
    };
    let began = std::time::Instant::now();
    // Endless: it goes on until the server has had enough, or the test has.
    let flood = std::iter::once(frame(HEADERS, END_HEADERS, 1, TELL))
        .chain(std::iter::repeat_with(|| frame(DATA, 0, 1, &[])).take_while(move |_| began.elapsed() < GIVE_UP / 2));
    let (heard, end) = flooded_under(limits, flood);
    assert_ne!(end, End::StillOpen);
    assert!(began.elapsed() < GIVE_UP / 2, "it went on for {:?}", began.elapsed());
    let kinds = kinds(&heard);
    assert!(
        kinds.contains(&HEADERS) || kinds.contains(&GOAWAY) || end == End::Reset,
        "the stream was left without an answer: {kinds:?}"
    );
}

#[test]
fn connection_headers_and_upper_case_names_are_refused_in_frames() {
    for name in ["transfer-encoding", "connection", "Upper"] {
        let mut head = ASK.to_vec();
        head.push(0);
        head.push(u8::try_from(name.len()).unwrap());
        head.extend(name.as_bytes());
        head.extend([7]);
        head.extend(b"chunked");
        let (heard, _) = flooded(
            [
                frame(HEADERS, END_STREAM | END_HEADERS, 1, &head),
                frame(GOAWAY, 0, 0, &[0; 8]),
            ]
            .into_iter(),
        );
        let kinds = kinds(&heard);
        assert!(!kinds.contains(&HEADERS), "{name} was answered: {kinds:?}");
        assert!(
            kinds.contains(&RST_STREAM) || kinds.contains(&GOAWAY),
            "{name}: {kinds:?}"
        );
    }
}
