//! More load than can be carried, and clients that are slow on purpose: others hardly notice.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use keyholt_rig::load::{Closed, Expected, Open, Request, Script};
use keyholt_rig::process::Process;
use serde_json::json;

use crate::figure::{Figure, Wrongs, quantile};
use crate::house::{House, KEYS, owner_name, text};
use crate::setting::{Form, Setting, Start};

/// Numbers of connections among which the one is sought that saturates the server.
const SOUGHT: [usize; 4] = [16, 32, 64, 128];
/// Part of the most answers a second at which it counts as saturated.
const SATURATED: f64 = 0.95;
/// How many times as many connections are an overload, and how many are a crowd.
const OVERLOAD: usize = 3;
const CROWD: usize = 768;
/// Rounds of each, in alternation.
const ROUNDS: usize = 3;
/// Until all connections are made and served.
const WARM_UP: Duration = Duration::from_secs(1);
/// Part of the peak that must be left.
const GOODPUT: f64 = 0.9;
/// What an answer may cost the server beside a crowd, against the peak.
const DEARER: f64 = 1.5;
/// How long a revocation may take while everything is overloaded, 99 times of 100.
const REVOKE_P99: Duration = Duration::from_millis(200);
/// How long whoever revokes rests in between.
const REVOKE_PAUSE: Duration = Duration::from_millis(10);
/// What the memory may grow by.
const GROWTH_BYTES_MAX: u64 = 64 << 20;
/// Slow clients, the rate at which others ask, and what may be added to their latency.
const SLOW: usize = 1000;
const RATE: u32 = 300;
const ADDED_MS: f64 = 5.0;

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(setting)?;
    let folder = house.copy(setting)?;
    let server = setting.start(folder.path(), &Start::default())?;
    let mut olga = house.people.operator(server.address());
    let body = json!({ "name": "asked", "owner": { "user": owner_name(0) }, "scopes": ["orders:read"] });
    let secret = text(&olga.must("POST", KEYS, Some(&body), 201)?, "/secret");
    setting.register([&secret])?;
    let question = json!({ "credential": secret, "scopes": ["orders:read"] });
    let request = Request {
        method: "POST",
        path: "/v1/verify",
        headers: vec![("Authorization", format!("Bearer {}", house.people.gateway))],
        body: Some(question.to_string()),
    };
    let script = Script::fixed(&request, Expected::Status(200));
    let mut figures = overload(setting, &house, &server, &script)?;
    figures.push(slow(setting, &server, &script)?);
    server.stop()?;
    Ok(figures)
}

/// What the server did in one round.
#[derive(Clone, Copy)]
struct Work {
    per_second: f64,
    /// Processor time of the server for each answer, in microseconds.
    cpu_us: f64,
}

/// The rounds with one number of connections.
struct Load {
    connections: usize,
    rounds: Vec<Work>,
}

impl Load {
    fn of(connections: usize) -> Self {
        Self {
            connections,
            rounds: Vec::new(),
        }
    }

    fn median(&self, of: fn(&Work) -> f64) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    }

    fn per_second(&self) -> f64 {
        self.median(|work| work.per_second)
    }

    fn cpu_us(&self) -> f64 {
        self.median(|work| work.cpu_us)
    }

    /// What is left of the throughput of another load.
    fn goodput(&self, peak: &Self) -> Figure {
        let part = self.per_second() / peak.per_second();
        Figure::new(
            format!(
                "{} connections that ask without pause, where {} saturate the server",
                self.connections, peak.connections
            ),
            format!("{:.0} % of the peak throughput is left", part * 100.0),
            format!("at least {:.0} %", GOODPUT * 100.0),
            part >= GOODPUT,
        )
    }

    /// What an answer costs the server. With so many connections the load generator, which works on the same machine, loses
    /// more of the throughput than the server does; the processor time is the server's own.
    fn cost(&self, peak: &Self) -> Figure {
        let dearer = self.cpu_us() / peak.cpu_us();
        Figure::new(
            format!("{} connections that ask without pause", self.connections),
            format!(
                "an answer costs the server {:.1} µs of a processor, {:.1} µs at the peak; {:.0} % of its throughput is left",
                self.cpu_us(),
                peak.cpu_us(),
                self.per_second() / peak.per_second() * 100.0
            ),
            format!("at most {DEARER} times as much"),
            dearer <= DEARER,
        )
    }
}

fn overload(setting: &Setting, house: &House, server: &Process, script: &Script) -> anyhow::Result<Vec<Figure>> {
    let time = setting.form.of(Duration::from_millis(800), Duration::from_secs(5));
    let ask = |connections| {
        let closed = Closed {
            address: server.address(),
            connections,
            threads: 1,
            warm_up: WARM_UP,
            time,
        };
        let round = closed.run(script, || server.cpu())?;
        anyhow::Ok(Work {
            per_second: round.per_second(),
            cpu_us: round.cpu_us(),
        })
    };
    let mut sought = Vec::with_capacity(SOUGHT.len());
    for connections in SOUGHT {
        sought.push((connections, ask(connections)?.per_second));
    }
    let most = sought.iter().map(|(_, per_second)| *per_second).fold(0.0, f64::max);
    let enough = sought.iter().find(|(_, per_second)| *per_second >= most * SATURATED);
    let saturating = enough.map_or(SOUGHT[0], |(connections, _)| *connections);

    // Somebody revokes in all of them, so that what differs is the number of those who ask.
    let mut loads = [saturating, saturating * OVERLOAD, CROWD].map(Load::of);
    let before = server.resident()?;
    let (mut wrongs, mut revokes) = (Wrongs::default(), Vec::new());
    for _ in 0..ROUNDS {
        for load in &mut loads {
            let over = AtomicBool::new(false);
            let (work, took) = thread::scope(|scope| {
                let revoker = scope.spawn(|| revoke(setting, house, server.address(), &over));
                let work = ask(load.connections);
                over.store(true, Ordering::Relaxed);
                (work, revoker.join())
            });
            load.rounds.push(work?);
            match took {
                Ok(Ok(took)) if load.connections > saturating => revokes.extend(took),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => wrongs.add(format!("{error:#}")),
                Err(_) => wrongs.add("the revoker panicked"),
            }
        }
    }
    let growth = server.resident()?.saturating_sub(before);
    let count = revokes.len();
    let p99 = quantile(&mut revokes, 0.99).unwrap_or(Duration::MAX);
    // A program that is not optimised, on a machine that others work on at the same time, is given more time.
    let allowed = setting.form.of(REVOKE_P99 * 15, REVOKE_P99);
    let [peak, overload, crowd] = &loads;
    Ok(vec![
        // In the suite others work on the same machine, and throughput tells how much of it they left.
        match setting.form {
            Form::Short => overload.cost(peak),
            Form::Long => overload.goodput(peak),
        },
        crowd.cost(peak),
        Figure::new(
            "revocations meanwhile",
            format!("{}; p99 of {count} is {:.0} ms", wrongs.told(), p99.as_secs_f64() * 1e3),
            format!("p99 below {} ms", allowed.as_millis()),
            wrongs.count() == 0 && count >= 10 && p99 < allowed,
        ),
        Figure::new(
            "memory meanwhile",
            format!("{:.1} MiB more", growth as f64 / f64::from(1 << 20)),
            format!("at most {} MiB", GROWTH_BYTES_MAX >> 20),
            growth <= GROWTH_BYTES_MAX,
        ),
    ])
}

/// Makes and revokes keys, and tells how long each revocation took.
fn revoke(setting: &Setting, house: &House, address: SocketAddr, over: &AtomicBool) -> anyhow::Result<Vec<Duration>> {
    let mut olga = house.people.operator(address);
    let mut took = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let body = json!({ "name": "revoked", "owner": { "user": owner_name(1) }, "scopes": ["orders:read"] });
        let made = olga.must("POST", KEYS, Some(&body), 201)?;
        setting.register([text(&made, "/secret")])?;
        let path = format!("{KEYS}/{}/revoke", text(&made, "/key/id"));
        let asked = Instant::now();
        olga.must("POST", &path, Some(&json!({ "cause": "x" })), 200)?;
        took.push(asked.elapsed());
        thread::sleep(REVOKE_PAUSE);
    }
    Ok(took)
}

/// A thousand clients that send a byte now and then, beside others who want answers.
fn slow(setting: &Setting, server: &Process, script: &Script) -> anyhow::Result<Figure> {
    let open = Open {
        address: server.address(),
        connections: 8,
        per_second: RATE,
        warm_up: Duration::from_millis(200),
        time: setting.form.of(Duration::from_secs(2), Duration::from_secs(10)),
    };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut connected = 0;
    for _ in 0..ROUNDS {
        alone.push((open.run(script)?.quantile_ms(0.99) * 1e3) as u64);
        let crowd = Crowd::gather(server.address())?;
        connected = crowd.count;
        beside.push((open.run(script)?.quantile_ms(0.99) * 1e3) as u64);
        crowd.leave()?;
    }
    let ms = |values: &mut Vec<u64>| quantile(values, 0.5).unwrap_or(u64::MAX) as f64 / 1e3;
    let (alone, beside) = (ms(&mut alone), ms(&mut beside));
    Ok(Figure::new(
        format!("{connected} slow clients beside others that ask {RATE} times a second"),
        format!("p99 of the others {beside:.2} ms, without the slow ones {alone:.2} ms"),
        format!("at most twice as long and {ADDED_MS} ms"),
        connected >= SLOW && beside <= alone * 2.0 + ADDED_MS,
    ))
}

/// Clients that send a byte of a request now and then.
struct Crowd {
    over: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
    count: usize,
}

impl Crowd {
    fn gather(address: SocketAddr) -> anyhow::Result<Self> {
        let head = "POST /v1/verify HTTP/1.1\r\nHost: torture\r\nContent-Type: application/json\r\n";
        let mut streams = Vec::with_capacity(SLOW);
        for number in 0..SLOW {
            let mut stream = TcpStream::connect(address)?;
            match number % 3 {
                // Slow in its head, slow in its body, and silent.
                0 => stream.write_all(b"GET /v1/self HTT")?,
                1 => stream.write_all(format!("{head}Content-Length: 5000\r\n\r\n{{").as_bytes())?,
                _ => {}
            }
            streams.push((number, stream));
        }
        let over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&over);
        let count = streams.len();
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                for (number, stream) in &mut streams {
                    if *number % 3 < 2 {
                        // The server may have lost its patience, which is its right.
                        let _ = stream.write(b" ");
                    }
                }
                thread::sleep(Duration::from_millis(500));
            }
        });
        Ok(Self { over, thread, count })
    }

    fn leave(self) -> anyhow::Result<()> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the crowd panicked"))
    }
}
