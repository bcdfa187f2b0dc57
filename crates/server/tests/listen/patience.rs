//! Slow, silent and stuck clients: closed at their limits, while others are served as if they were not there.

use std::time::{Duration, Instant};

use keyholt_server::listen::Limits;

use crate::stage::{End, GENEROUS, GIVE_UP, GOOD, Raw, eventually, start, start_with};

const SHORT: Duration = Duration::from_millis(300);

/// A deadline may come late on a busy machine, but never early.
fn ended_after(raw: &mut Raw, limit: Duration) -> String {
    let heard = raw.hear(GIVE_UP);
    assert_ne!(heard.end, End::StillOpen, "still open after {:?}", heard.took);
    assert!(heard.took >= limit, "closed after {:?}", heard.took);
    heard.text
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let handle = start(Limits {
        header_timeout: SHORT,
        ..GENEROUS
    });
    // Nor one that begins like HTTP/2 and leaves it at that.
    for beginning in ["", "P", "PRI * HTTP/2.0\r\n"] {
        let mut raw = Raw::open(handle.local_addr());
        raw.say(beginning);
        assert_eq!(ended_after(&mut raw, SHORT), "");
    }
}

#[test]
fn a_head_that_does_not_end_is_closed_however_busily_it_dribbles() {
    let handle = start(Limits {
        header_timeout: SHORT,
        ..GENEROUS
    });
    for beginning in ["", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let mut raw = Raw::open(handle.local_addr());
        raw.say(beginning);
        let mut dribble = raw.stream.try_clone().unwrap();
        std::thread::spawn(move || {
            use std::io::Write;
            while dribble.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let heard = ended_after(&mut raw, SHORT);
        assert!(!heard.contains(" 200 "), "{heard}");
    }
}

#[test]
fn the_time_for_a_head_begins_anew_with_each_request_and_not_with_the_last_answer() {
    let limits = Limits {
        header_timeout: SHORT,
        idle_timeout: GIVE_UP,
        ..GENEROUS
    };
    let handle = start(limits);
    let mut raw = Raw::open(handle.local_addr());
    for _ in 0..3 {
        assert_eq!(raw.say(GOOD).one_answer().unwrap().status, 200);
        // Longer than a head may take: the connection is idle, not slow.
        std::thread::sleep(2 * SHORT);
    }
    let begun = Instant::now();
    raw.say("GET /half");
    let heard = raw.hear(GIVE_UP);
    assert!(heard.statuses().is_empty() && heard.end != End::StillOpen, "{heard:?}");
    assert!((SHORT..GIVE_UP / 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[test]
fn a_connection_without_a_request_is_closed_after_the_idle_time() {
    let handle = start(Limits {
        idle_timeout: SHORT,
        ..GENEROUS
    });
    let mut raw = Raw::open(handle.local_addr());
    assert_eq!(raw.say(GOOD).one_answer().unwrap().status, 200);
    let answered = Instant::now();
    assert_eq!(raw.hear(GIVE_UP).end, End::Closed);
    assert!(answered.elapsed() >= SHORT - Duration::from_millis(50));
}

#[test]
fn a_slow_handler_is_not_an_idle_connection() {
    let tight = Duration::from_millis(50);
    let limits = Limits {
        idle_timeout: tight,
        body_timeout: tight,
        header_timeout: tight,
        ..GENEROUS
    };
    let handle = start(limits);
    let mut raw = Raw::open(handle.local_addr());
    raw.say("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    raw.say("hi");
    // The body was there in time although the handler takes six times as long to read it.
    assert_eq!(raw.one_answer().unwrap().body, "/slow 2");
}

#[test]
fn a_slow_body_is_answered_with_408_and_the_connection_ends() {
    let handle = start(Limits {
        body_timeout: SHORT,
        ..GENEROUS
    });
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut raw = Raw::open(handle.local_addr());
        raw.say(format!("POST /x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        let mut dribble = raw.stream.try_clone().unwrap();
        std::thread::spawn(move || {
            use std::io::Write;
            while dribble.write_all(b"1\r\nx\r\n").is_ok() {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let heard = raw.hear(GIVE_UP);
        assert_eq!(heard.statuses(), [408], "{framing}: {heard:?}");
        assert!(
            heard.text.contains("connection: close") && heard.took >= SHORT,
            "{heard:?}"
        );
    }
}

#[test]
fn a_body_that_is_broken_off_is_not_an_answerable_request() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    raw.say("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello");
    raw.finish_sending();
    let heard = raw.hear(GIVE_UP);
    assert!(!heard.statuses().contains(&200), "{heard:?}");
    assert_ne!(heard.end, End::StillOpen);
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut() {
    let handle = start(Limits {
        write_timeout: SHORT,
        ..GENEROUS
    });
    let mut raw = Raw::open(handle.local_addr());
    raw.say("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the answer is begun", || handle.open().iter().sum::<usize>() == 1);
    eventually("the reader that reads nothing is gone", || {
        handle.open().iter().sum::<usize>() == 0
    });
    let heard = raw.hear(GIVE_UP);
    assert!(heard.text.len() < 64 << 20, "{} bytes", heard.text.len());
}

#[test]
fn a_reader_that_takes_its_time_but_reads_gets_everything() {
    use std::io::Read;
    let handle = start(Limits {
        write_timeout: Duration::from_secs(2),
        ..GENEROUS
    });
    let mut raw = Raw::open(handle.local_addr());
    raw.say("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut total = 0;
    let mut piece = vec![0; 4 << 20];
    loop {
        match raw.stream.read(&mut piece).unwrap() {
            0 => break,
            read => total += read,
        }
        if total < 20 << 20 {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(total > 64 << 20, "{total}");
}

#[test]
fn a_connection_whose_client_does_not_close_is_closed_by_us() {
    let handle = start(GENEROUS);
    let mut raw = Raw::open(handle.local_addr());
    raw.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert_eq!(raw.one_answer().unwrap().status, 200);
    eventually("the lingering connection is given up", || {
        handle.open().iter().sum::<usize>() == 0
    });
}

#[test]
fn others_are_served_while_hundreds_dribble() {
    let handle = start(GENEROUS);
    let mut slow: Vec<Raw> = (0..400).map(|_| Raw::open(handle.local_addr())).collect();
    for (number, raw) in slow.iter_mut().enumerate() {
        match number % 3 {
            0 => raw.say("GET / HTTP/1.1\r\nX: "),
            1 => raw.say("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1"),
            _ => raw.say(""),
        };
    }
    let mut good = Raw::open(handle.local_addr());
    let begun = Instant::now();
    for _ in 0..200 {
        assert_eq!(good.say(GOOD).one_answer().unwrap().status, 200);
    }
    assert!(begun.elapsed() < GIVE_UP / 2, "{:?}", begun.elapsed());
}

#[test]
fn beyond_the_limit_a_client_waits_until_a_connection_ends() {
    let handle = start(Limits {
        connections: 2,
        ..GENEROUS
    });
    let mut first = Raw::open(handle.local_addr());
    let mut second = Raw::open(handle.local_addr());
    assert_eq!(first.say(GOOD).one_answer().unwrap().status, 200);
    assert_eq!(second.say(GOOD).one_answer().unwrap().status, 200);
    let mut third = Raw::open(handle.local_addr());
    third.say(GOOD);
    assert_eq!(third.hear(SHORT).end, End::StillOpen);
    assert_eq!(handle.open().iter().sum::<usize>(), 2);
    drop(first);
    assert_eq!(third.one_answer().unwrap().status, 200);
}

#[test]
fn each_connection_goes_to_the_worker_with_the_fewest() {
    let handle = start_with(GENEROUS, &keyholt_server::listen::Transport::Plain, 3);
    let mut open: Vec<Raw> = (0..9).map(|_| Raw::open(handle.local_addr())).collect();
    for raw in &mut open {
        assert_eq!(raw.say(GOOD).one_answer().unwrap().status, 200);
    }
    assert_eq!(handle.open(), [3, 3, 3]);
    let worker_of = |raw: &mut Raw| {
        let body = raw
            .say("GET /who HTTP/1.1\r\nHost: a\r\n\r\n")
            .one_answer()
            .unwrap()
            .body;
        body.split("worker: ").nth(1).unwrap()[..1].parse::<usize>().unwrap()
    };
    // All connections of one worker end; the next three all go there.
    let mut kept = Vec::new();
    for mut raw in open {
        if worker_of(&mut raw) != 1 {
            kept.push(raw);
        }
    }
    eventually("one worker is without connections", || handle.open() == [3, 0, 3]);
    for _ in 0..3 {
        let mut raw = Raw::open(handle.local_addr());
        assert_eq!(worker_of(&mut raw), 1);
        kept.push(raw);
    }
}

#[test]
fn a_panic_is_answered_with_500_and_the_worker_lives_on() {
    let handle = start_with(GENEROUS, &keyholt_server::listen::Transport::Plain, 1);
    for path in ["/panic", "/panic-later"] {
        let mut raw = Raw::open(handle.local_addr());
        raw.say(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let answer = raw.one_answer().unwrap();
        assert_eq!((answer.status, answer.closes), (500, true));
    }
    assert_eq!(
        Raw::open(handle.local_addr()).say(GOOD).one_answer().unwrap().status,
        200
    );
}
