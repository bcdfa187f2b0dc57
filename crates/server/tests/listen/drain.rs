//! Stopping: what was asked is answered, clients are told, and nothing new is taken.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyholt_server::listen::{Drained, Handle};

use crate::stage::{End, GENEROUS, GIVE_UP, GOOD, Raw, eventually, start};

fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

#[test]
fn twenty_busy_clients_lose_no_request_when_the_drain_begins() {
    for _ in 0..3 {
        let handle = start(GENEROUS);
        let address = handle.local_addr();
        let (answered, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    let mut raw = Raw::open(address);
                    loop {
                        // Every request that was sent must be answered, the last one with `Connection: close`.
                        let answer = raw
                            .say(GOOD)
                            .one_answer()
                            .expect("an answer to a request that was sent");
                        assert_eq!((answer.status, answer.body.as_str()), (200, "/good 0"));
                        answered.fetch_add(1, Ordering::Relaxed);
                        if answer.closes {
                            told.fetch_add(1, Ordering::Relaxed);
                            break;
                        }
                    }
                    // Whoever was told to close and comes again is refused, not connected and dropped.
                    TcpStream::connect(address).expect_err("the port is closed");
                });
            }
            eventually("all clients are busy", || answered.load(Ordering::Relaxed) > 400);
            assert_eq!(wait(handle.drain(GIVE_UP)), Drained { cut: 0 });
        });
        assert_eq!(told.load(Ordering::Relaxed), 20);
    }
}

/// Begins a drain elsewhere, and returns when nothing new is taken any more.
fn drain_begun(handle: Handle) -> std::thread::JoinHandle<Drained> {
    let address = handle.local_addr();
    let draining = std::thread::spawn(|| wait(handle.drain(GIVE_UP)));
    eventually("the port is closed", || TcpStream::connect(address).is_err());
    draining
}

/// Asks until the answer says that it is the last. A worker hears of the drain a moment after the port is closed.
fn ask_until_told(raw: &mut Raw) {
    eventually("the client is told to close", || {
        let answer = raw
            .say(GOOD)
            .one_answer()
            .expect("an answer to a request that was sent");
        assert_eq!(answer.status, 200);
        answer.closes
    });
}

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let handle = start(GENEROUS);
    let mut slow = Raw::open(handle.local_addr());
    slow.say("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut half = Raw::open(handle.local_addr());
    half.say("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe");
    eventually("both are taken", || handle.open().iter().sum::<usize>() == 2);
    let draining = drain_begun(handle);
    half.say("llo");
    for (raw, body) in [(&mut slow, "/slow 0"), (&mut half, "/x 5")] {
        let answer = raw.one_answer().unwrap();
        assert_eq!(answer.body, body);
        if !answer.closes {
            ask_until_told(raw);
        }
        assert_eq!(raw.hear(GIVE_UP).end, End::Closed);
    }
    drop((slow, half));
    assert_eq!(draining.join().unwrap(), Drained { cut: 0 });
}

#[test]
fn a_client_that_was_idle_when_the_drain_began_may_still_ask_once() {
    let handle = start(GENEROUS);
    let mut used = Raw::open(handle.local_addr());
    let mut fresh = Raw::open(handle.local_addr());
    let idle = Raw::open(handle.local_addr());
    assert!(!used.say(GOOD).one_answer().unwrap().closes);
    eventually("all are taken", || handle.open().iter().sum::<usize>() == 3);
    let draining = drain_begun(handle);
    ask_until_told(&mut used);
    ask_until_told(&mut fresh);
    // The third asks nothing and does not keep the process from ending.
    let begun = Instant::now();
    drop((used, fresh));
    assert_eq!(draining.join().unwrap(), Drained { cut: 0 });
    assert!(begun.elapsed() < GIVE_UP / 2, "{:?}", begun.elapsed());
    drop(idle);
}

#[test]
fn what_does_not_end_is_cut_at_the_deadline_and_counted() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    raw.say("GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is taken", || handle.open().iter().sum::<usize>() == 1);
    assert_eq!(wait(handle.drain(Duration::from_millis(200))), Drained { cut: 1 });
    assert_eq!(raw.one_answer(), None);
}

#[test]
fn a_dropped_handle_stops_everything() {
    let handle = start(GENEROUS);
    let address = handle.local_addr();
    let mut raw = Raw::open(address);
    assert_eq!(raw.say(GOOD).one_answer().unwrap().status, 200);
    drop(handle);
    assert_eq!(raw.one_answer(), None);
    eventually("the port is closed", || TcpStream::connect(address).is_err());
}

#[test]
fn a_listener_can_be_started_and_drained_from_within_a_runtime() {
    let drained = wait(async { start(GENEROUS).drain(GIVE_UP).await });
    assert_eq!(drained, Drained { cut: 0 });
}
