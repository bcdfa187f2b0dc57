//! The short way of verify: what it answers is what the long way answers, to the letter.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use keyholt_core::owner::Owner;
use keyholt_server::front::{Door, Front, Worker};
use keyholt_server::http::{Settings, router};
use keyholt_server::listen::{self, Handle, Limits, Transport};
use serde_json::{Value, json};

use crate::house::{House, Wishes, wish};

const LIMITS: Limits = Limits {
    connections: 100,
    header_bytes: 16 << 10,
    uri_bytes: 8 << 10,
    header_timeout: Duration::from_secs(20),
    body_timeout: Duration::from_secs(20),
    write_timeout: Duration::from_secs(20),
    idle_timeout: Duration::from_secs(20),
};

/// The native API of a house on a port of its own.
pub fn open_to_the_street(house: &House, settings: Settings) -> Handle {
    let keeper = Arc::clone(&house.keeper);
    let settings = Arc::new(settings);
    let router = router(Arc::clone(&keeper), Arc::clone(&settings));
    let listener = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    listen::listen(listener, &Transport::Plain, NonZeroUsize::MIN, LIMITS, move |_| {
        let door = Door::Native {
            keeper: Arc::clone(&keeper),
            settings: Arc::clone(&settings),
            mounts: Vec::new(),
            router: router.clone(),
        };
        let worker = Rc::new(Worker::new(door, [7; 8]));
        move |connection| Front::new(Rc::clone(&worker), connection)
    })
    .unwrap()
}

/// The head's lines without those that differ by nature, sorted, and the body.
pub fn ask(address: SocketAddr, secret: &str, path: &str, more: &str, body: &str) -> (Vec<String>, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\nContent-Type: application/json\r\n\
         {more}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = BufReader::new(stream);
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        }
        if !line.starts_with("date: ") && !line.starts_with("x-request-id: ") {
            head.push(line);
        }
    }
    head.sort();
    let mut text = vec![0; length];
    answer.read_exact(&mut text).unwrap();
    (head, serde_json::from_slice(&text).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_give_the_same_answer_to_the_letter() {
    let house = House::open().await;
    let verifier = house.verifier().await;
    let bob = house.user("bob").await;
    let key = house
        .issue(wish(Owner::User(bob.id), "key").scopes(&["a:b", "a:c"]))
        .await;
    let handle = open_to_the_street(&house, Settings::default());
    let address = handle.local_addr();
    let good = json!({"credential": key.secret, "scopes": ["a:b"]});
    let single = "/v1/verify";
    let cases = [
        (single, &verifier.secret, good.clone()),
        (single, &verifier.secret, json!({"credential": key.secret})),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "scopes": null}),
        ),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "scopes": []}),
        ),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "scopes": ["a:b", "a:c", "a:d"]}),
        ),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "any_scopes": ["x:y", "a:c"]}),
        ),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "scopes": ["a:b"], "any_scopes": ["a:c"]}),
        ),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "scopes": ["not a scope"]}),
        ),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "scopes": vec!["a:b"; 65]}),
        ),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "scopes": vec!["a:b"; 70]}),
        ),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "client_address": "192.0.2.1"}),
        ),
        (
            single,
            &verifier.secret,
            json!({"credential": key.secret, "client_address": "nowhere"}),
        ),
        (single, &verifier.secret, json!({"credential": "mistyped"})),
        (single, &verifier.secret, json!({"credential": key.secret, "more": 1})),
        (single, &key.secret, good.clone()),
        (
            "/v1/verify/batch",
            &verifier.secret,
            json!({"items": [good.clone(), {"credential": "x"}, good.clone()]}),
        ),
        (
            "/v1/verify/batch",
            &verifier.secret,
            json!({"items": vec![good.clone(); 40]}),
        ),
        ("/v1/verify/batch", &verifier.secret, json!({"items": []})),
        (
            "/v1/verify/batch",
            &verifier.secret,
            json!({"items": [good, {"credential": "x", "scopes": [""]}]}),
        ),
    ];
    for (path, secret, body) in cases {
        let body = body.to_string();
        let short = ask(address, secret, path, "", &body);
        let mut long = ask(address, secret, path, "X-Request-Id: mine\r\n", &body);
        // A problem names the request.
        let mut named = short.1.clone();
        for answer in [&mut named, &mut long.1] {
            if let Some(id) = answer.get_mut("request_id") {
                *id = Value::Null;
            }
        }
        let is_answered = short.0.iter().any(|line| line.starts_with("HTTP/1.1 200"));
        assert_eq!(named, long.1, "{body}");
        if is_answered {
            assert_eq!(short.0, long.0, "{body}");
        }
    }
}
