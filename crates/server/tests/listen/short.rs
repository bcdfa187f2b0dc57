//! The short way: the same answers as the long way, whole requests only, and everything odd handed on unharmed.

use std::time::Duration;

use crate::stage::{End, GENEROUS, GIVE_UP, GOOD, Raw, start};

const PLAIN: &str = "POST /plain HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn plain_requests_take_the_short_way_and_the_first_other_one_ends_it() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    for _ in 0..3 {
        let answer = raw.say(PLAIN).one_answer().unwrap();
        assert_eq!(
            (answer.status, answer.body.as_str(), answer.is_short),
            (200, "/plain 5", true)
        );
    }
    let answer = raw.say(GOOD).one_answer().unwrap();
    assert_eq!((answer.body.as_str(), answer.is_short), ("/good 0", false));
    let answer = raw.say(PLAIN).one_answer().unwrap();
    assert_eq!((answer.body.as_str(), answer.is_short), ("/plain 5", false));
}

#[test]
fn a_request_may_come_in_any_two_pieces() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    for cut in 1..PLAIN.len() {
        raw.say(&PLAIN[..cut]);
        // Lets the first piece arrive alone; if it does not, the test is weaker and still right.
        std::thread::yield_now();
        let answer = raw.say(&PLAIN[cut..]).one_answer().unwrap();
        assert_eq!(
            (answer.body.as_str(), answer.is_short),
            ("/plain 5", true),
            "cut at {cut}"
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order_whichever_way_each_takes() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    raw.say([PLAIN, PLAIN, GOOD, PLAIN].concat());
    let answers: Vec<_> = (0..4).map(|_| raw.one_answer().unwrap()).collect();
    let seen: Vec<_> = answers
        .iter()
        .map(|answer| (answer.body.as_str(), answer.is_short))
        .collect();
    assert_eq!(
        seen,
        [
            ("/plain 5", true),
            ("/plain 5", true),
            ("/good 0", false),
            ("/plain 5", false)
        ]
    );
}

#[test]
fn a_panic_on_the_short_way_is_answered_on_the_long_one() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    let answer = raw.say(PLAIN.replace("/plain", "/plain-panic")).one_answer().unwrap();
    assert_eq!((answer.status, answer.closes), (500, true));
    let answer = Raw::open(handle.local_addr()).say(PLAIN).one_answer().unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn an_answer_that_the_client_takes_slowly_arrives_whole() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    raw.say(PLAIN.replace("/plain", "/plain-large"));
    raw.say(PLAIN);
    assert_eq!(raw.one_answer().unwrap().body.len(), 64 << 20);
    assert_eq!(raw.one_answer().unwrap().body, "/plain 5");
}

#[test]
fn a_client_that_does_not_take_its_plain_answer_is_cut() {
    let mut limits = GENEROUS;
    limits.write_timeout = Duration::from_millis(200);
    let handle = start(limits);
    let mut raw = Raw::open(handle.local_addr());
    raw.say(PLAIN.replace("/plain", "/plain-large"));
    // The answer has begun, and nothing of it is taken.
    assert_eq!(raw.stream.peek(&mut [0]).unwrap(), 1);
    crate::stage::eventually("the connection is cut", || handle.open().iter().sum::<usize>() == 0);
    let heard = raw.hear(GIVE_UP);
    assert_ne!(heard.end, End::StillOpen);
    assert!(heard.text.len() < 64 << 20, "all {} bytes came", heard.text.len());
}

#[test]
fn a_plain_request_that_does_not_end_is_timed_as_any_other() {
    let mut limits = GENEROUS;
    limits.header_timeout = Duration::from_millis(200);
    let handle = start(limits);
    let mut raw = Raw::open(handle.local_addr());
    raw.say(PLAIN).one_answer().unwrap();
    let heard = raw.say("POST /plain HTTP/1.1\r\nHost: a\r\n").hear(GIVE_UP);
    assert_eq!((heard.text.as_str(), heard.end), ("", End::Closed));

    let mut limits = GENEROUS;
    limits.body_timeout = Duration::from_millis(200);
    let handle = start(limits);
    let mut raw = Raw::open(handle.local_addr());
    raw.say(PLAIN).one_answer().unwrap();
    let answer = raw.say(&PLAIN[..PLAIN.len() - 1]).one_answer().unwrap();
    assert_eq!((answer.status, answer.closes), (408, true));
}

#[test]
fn a_connection_on_the_short_way_is_closed_after_the_idle_time() {
    let mut limits = GENEROUS;
    limits.idle_timeout = Duration::from_millis(200);
    let handle = start(limits);
    let mut raw = Raw::open(handle.local_addr());
    raw.say(PLAIN).one_answer().unwrap();
    assert_eq!(raw.hear(GIVE_UP).end, End::Closed);
}
