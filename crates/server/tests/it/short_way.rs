//! The short way: what it answers is what the long way answers, to the letter.

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
use keyholt_server::swift::{Ahead, Asked, Caller, Memo};
use serde_json::{Value, json};

use crate::house::{Held, House, Wishes, wish};
use crate::tokens::stage::{Stage, basic, claims};
use crate::usage::usage;

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
    let headers = format!("Authorization: Bearer {secret}\r\nContent-Type: application/json\r\n{more}");
    post(address, path, &headers, body)
}

fn post(address: SocketAddr, path: &str, headers: &str, body: &str) -> (Vec<String>, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
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
        let long = ask(address, secret, path, LONG, &body);
        assert_same(short, long, &body);
    }
}

/// A request with an id of its own takes the long way.
const LONG: &str = "X-Request-Id: mine\r\n";

fn assert_same(short: (Vec<String>, Value), long: (Vec<String>, Value), about: &str) {
    let is_answered = short.0.iter().any(|line| line.starts_with("HTTP/1.1 200"));
    if is_answered {
        assert_eq!(short.0, long.0, "{about}");
    }
    // A problem names the request, and no token is made twice.
    let told = |mut answer: Value| {
        if let Some(id) = answer.get_mut("request_id") {
            *id = Value::Null;
        }
        if let Some(token) = answer.get_mut("access_token") {
            let mut claims = claims(token.as_str().unwrap());
            claims["jti"] = Value::Null;
            *token = claims;
        }
        answer
    };
    assert_eq!(told(short.1), told(long.1), "{about}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_given_and_told_the_same_on_both_ways() {
    let stage = Stage::open().await;
    let Stage { house, client, .. } = &stage;
    let token = stage.token(client).await;
    let bob = house.user("bob").await;
    let dead = house.issue(wish(Owner::User(bob.id), "dead").scopes(&[])).await;
    house.revoke(dead.id(), "x").await;
    let handle = open_to_the_street(house, Settings::default());
    let (token_endpoint, introspection) = ("/oauth/token", "/oauth/introspect");
    let shown = |held: &Held| format!("Authorization: {}\r\n", basic(&held.id().to_string(), &held.secret));
    let good = shown(client);
    let in_body = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        client.id(),
        client.secret
    );
    let grant = "grant_type=client_credentials";
    let short = [
        (token_endpoint, good.clone(), grant.to_owned()),
        (token_endpoint, String::new(), in_body.clone()),
        (
            token_endpoint,
            good.clone(),
            format!("{grant}&scope=orders%3Aread&expires_in=60"),
        ),
        (token_endpoint, good.clone(), format!("{grant}&audience=shop&scope=")),
        (introspection, good.clone(), format!("token={token}")),
        (introspection, good.clone(), format!("token={}", client.secret)),
        (introspection, good.clone(), format!("token={}", dead.secret)),
        (
            introspection,
            shown(&stage.verifier),
            format!("token={token}&token_type_hint=access_token"),
        ),
    ];
    let long = [
        (token_endpoint, good.clone(), format!("{grant}&scope=orders%3Adelete")),
        (
            token_endpoint,
            good.clone(),
            format!("{grant}&scope=orders:read+orders:read"),
        ),
        (token_endpoint, good.clone(), format!("{grant}&expires_in=soon")),
        (token_endpoint, good.clone(), in_body),
        (token_endpoint, good.clone(), String::new()),
        (token_endpoint, shown(&dead), grant.to_owned()),
        (
            token_endpoint,
            "Authorization: Bearer x\r\n".to_owned(),
            grant.to_owned(),
        ),
        (
            token_endpoint,
            good.clone(),
            "grant_type=refresh_token&refresh_token=x".to_owned(),
        ),
        (introspection, good.clone(), "token=".to_owned()),
        (introspection, String::new(), format!("token={token}")),
        (introspection, good.clone(), "token=a&token=b".to_owned()),
    ];
    let address = handle.local_addr();
    for ((path, headers, form), is_short) in short
        .iter()
        .map(|case| (case, true))
        .chain(long.iter().map(|case| (case, false)))
    {
        assert_eq!(
            takes_the_short_way(house, path, headers, form),
            is_short,
            "{path} {form}"
        );
        let headers = format!("{headers}Content-Type: application/x-www-form-urlencoded\r\n");
        let one = post(address, path, &headers, form);
        assert_same(one, post(address, path, &format!("{headers}{LONG}"), form), form);
    }
}

fn takes_the_short_way(house: &House, path: &str, headers: &str, form: &str) -> bool {
    let authorization = headers.strip_prefix("Authorization: ").map(str::trim);
    let authorization = authorization.map(|text| ("authorization", text.as_bytes()));
    let kind = ("content-type", &b"application/x-www-form-urlencoded"[..]);
    let asked = Asked::read(path, authorization.into_iter().chain([kind])).unwrap();
    let caller = Caller {
        keeper: &house.keeper,
        memo: &Memo::default(),
        address: "127.0.0.1".parse().unwrap(),
    };
    let mut out = Vec::new();
    let answered = asked.answer(&caller, Ahead::default(), form.as_bytes(), || (), &mut out);
    answered.is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_s_use_is_counted_once_whichever_way_its_request_takes() {
    let stage = Stage::open().await;
    let handle = open_to_the_street(&stage.house, Settings::default());
    let authorization = basic(&stage.client.id().to_string(), &stage.client.secret);
    let headers = format!("Authorization: {authorization}\r\nContent-Type: application/x-www-form-urlencoded\r\n");
    for (form, headers) in [
        ("grant_type=client_credentials", headers.clone()),
        ("grant_type=client_credentials", format!("{headers}{LONG}")),
        // It begins on the short way and is refused on the long one.
        ("grant_type=client_credentials&scope=orders:delete", headers),
    ] {
        post(handle.local_addr(), "/oauth/token", &headers, form);
    }
    let usage = usage(&stage.house, &stage.client).await.unwrap();
    let count: u64 = usage.hours.iter().map(|(_, _, count)| count).sum();
    assert_eq!(count, 3);
}
