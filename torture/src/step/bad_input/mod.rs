//! Bad input, item by item, to the program itself and to the same program behind HAProxy.

mod api;
mod credential;
mod framing;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use keyholt_rig::process::Process;
use serde_json::{Value, json};

use crate::figure::{Figure, Wrongs};
use crate::house::{BATCH, House, KEYS, owner_name, text};
use crate::setting::{Dice, Setting, Start, until};

/// How long the other side may say nothing before it counts as silent.
const SILENCE: Duration = Duration::from_secs(20);
/// The time that a head may take here, so that slow heads are soon seen to be cut.
const HEADER_TIMEOUT: &str = "1s";
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Questions in one batch.
const QUESTIONS: usize = 300;
/// Stands for the end of the connection without an answer.
const CLOSED: u16 = 0;

/// The secrets that cases are made with.
struct Secrets {
    operator: String,
    good: String,
    revoked: String,
    expired: String,
    stopped: String,
    elsewhere: String,
    unknown: String,
    /// The id of the good key, and where the list of keys goes on.
    id: String,
    cursor: String,
}

/// A host that no answer may repeat.
const STRANGER: &str = "evil.example";
/// The time that a body may take here.
const BODY_TIMEOUT: &str = "1s";
/// Wrong keys of the right form, in the short form and in the long one, and what the memory may grow by meanwhile.
const STRANGERS: (usize, usize) = (3_000, 100_000);
const GROWTH_BYTES_MAX: u64 = 16 << 20;

/// One bad input, and the answers that it may get.
struct Case {
    /// The number of the item in the list of bad inputs.
    item: u8,
    what: String,
    sent: Vec<u8>,
    /// From the program itself.
    direct: &'static [u16],
    /// Through a proxy, which may refuse or mend it first; the same where it passes it on as it is.
    proxied: &'static [u16],
    /// The code of the program's problem; any where it is empty.
    code: &'static str,
}

impl Case {
    fn new(item: u8, what: impl Into<String>, sent: impl Into<Vec<u8>>, direct: &'static [u16]) -> Self {
        Self {
            item,
            what: what.into(),
            sent: sent.into(),
            direct,
            proxied: direct,
            code: "",
        }
    }

    fn code(self, code: &'static str) -> Self {
        Self { code, ..self }
    }

    fn proxied(self, proxied: &'static [u16]) -> Self {
        Self { proxied, ..self }
    }
}

/// What came back.
struct Heard {
    statuses: Vec<u16>,
    text: String,
    ended: bool,
}

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(setting)?;
    let folder = house.copy(setting)?;
    let start = Start::patient_with_guesses()
        .flag("limits-header-timeout", HEADER_TIMEOUT)
        .flag("limits-body-timeout", BODY_TIMEOUT)
        .flag("trusted-proxies", "127.0.0.0/8");
    let server = setting.start(folder.path(), &start)?;
    let secrets = Secrets::make(setting, &house, server.address())?;
    let cases: Vec<Case> = [
        credential::cases(&secrets),
        framing::cases(&secrets),
        api::cases(&secrets),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut items: Vec<u8> = cases.iter().map(|case| case.item).collect();
    items.sort_unstable();
    items.dedup();

    let mut wrongs = Wrongs::default();
    let door = Door {
        address: server.address(),
        of: |case| case.direct,
        codes: true,
    };
    door.try_all(&cases, &secrets, &mut wrongs);
    same_to_strangers(server.address(), &secrets, &mut wrongs)?;
    first_uses(server.address(), &house, &secrets, &mut wrongs);
    request_keys(setting, server.address(), &house, &mut wrongs)?;
    strangers(setting, &server, &house, &mut wrongs)?;
    let direct = Figure::new(
        format!(
            "{} bad inputs of {} items, to the program itself",
            cases.len(),
            items.len()
        ),
        wrongs.told(),
        "each gets the answer of the table, none a second one, and the next request is answered",
        wrongs.count() == 0,
    );

    let mut wrongs = Wrongs::default();
    let what = format!("the same {} bad inputs, through HAProxy", cases.len());
    let proxied = match Proxy::before(server.address(), folder.path()) {
        Ok(proxy) => {
            let door = Door {
                address: proxy.address,
                of: |case| case.proxied,
                codes: false,
            };
            door.try_all(&cases, &secrets, &mut wrongs);
            same_to_strangers(proxy.address, &secrets, &mut wrongs)?;
            Figure::new(
                what,
                wrongs.told(),
                "refused by one of the two, and nobody's next request is poisoned",
                wrongs.count() == 0,
            )
        }
        Err(error) => Figure::not_tried(what, format!("{error:#}")),
    };
    server.stop()?;
    setting.keep(folder.path(), "bad-input")?;
    let log = fs::read_to_string(crate::setting::log_of(folder.path()))?;
    let panics = log.matches("panicked").count();
    let calm = Figure::new(
        "panics in the log after all of them",
        panics.to_string(),
        "none",
        panics == 0,
    );
    Ok(vec![direct, proxied, calm])
}

impl Secrets {
    fn make(setting: &Setting, house: &House, address: SocketAddr) -> anyhow::Result<Self> {
        let mut olga = house.people.operator(address);
        let mut make = |name: &str, owner: usize, more: Value| {
            let mut body = json!({ "name": name, "owner": { "user": owner_name(owner) }, "scopes": ["orders:read"] });
            if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
                body.extend(more.clone());
            }
            let made = olga.must("POST", KEYS, Some(&body), 201)?;
            anyhow::Ok((
                text(&made, "/key/id"),
                text(&made, "/secret"),
                text(&made, "/key/created_at"),
            ))
        };
        let good = make("good", 0, json!({}))?;
        let revoked = make("revoked", 0, json!({}))?;
        let expired = make("expired", 0, json!({}))?;
        let stopped = make("stopped", 1, json!({}))?;
        let elsewhere = make("elsewhere", 0, json!({ "networks": ["10.0.0.0/8"] }))?;
        let unknown = make("unknown", 0, json!({}))?;
        olga.must(
            "POST",
            &format!("{KEYS}/{}/revoke", revoked.0),
            Some(&json!({ "cause": "x" })),
            200,
        )?;
        let ends = expired.2.parse::<jiff::Timestamp>()? + Duration::from_secs(1);
        let end = json!({ "expires_at": ends.to_string() });
        olga.must("PATCH", &format!("{KEYS}/{}", expired.0), Some(&end), 200)?;
        olga.must("POST", "/v1/projects/acme/users/u-1/suspend", None, 200)?;
        olga.must("DELETE", &format!("{KEYS}/{}", unknown.0), None, 204)?;
        let secrets = Self {
            operator: house.people.operator.clone(),
            good: good.1,
            revoked: revoked.1,
            expired: expired.1,
            stopped: stopped.1,
            elsewhere: elsewhere.1,
            unknown: unknown.1,
            id: good.0,
            cursor: text(
                &olga.must("GET", &format!("{KEYS}?limit=1"), None, 200)?,
                "/next_cursor",
            ),
        };
        let all = [
            &secrets.good,
            &secrets.revoked,
            &secrets.expired,
            &secrets.stopped,
            &secrets.elsewhere,
        ];
        setting.register(all)?;
        let gone = until(Duration::from_secs(20), || {
            let heard = say(address, get("/v1/self", &bearer(&secrets.expired)).as_bytes());
            heard.is_ok_and(|heard| heard.statuses == [401])
        });
        gone.context("a key does not expire")?;
        Ok(secrets)
    }
}

/// Where cases are tried, and which answers count there.
struct Door {
    address: SocketAddr,
    of: fn(&Case) -> &'static [u16],
    /// Whether problems are the program's own.
    codes: bool,
}

impl Door {
    fn try_all(&self, cases: &[Case], secrets: &Secrets, wrongs: &mut Wrongs) {
        let good = get("/v1/self", &format!("{}Connection: close\r\n", bearer(&secrets.good)));
        for case in cases {
            let name = format!("item {} ({})", case.item, case.what);
            let heard = match say(self.address, &case.sent) {
                Ok(heard) => heard,
                Err(error) => {
                    wrongs.add(format!("{name}: {error}"));
                    continue;
                }
            };
            let first = heard.statuses.first().copied().unwrap_or(CLOSED);
            let expected = (self.of)(case);
            if !expected.contains(&first) {
                wrongs.add(format!(
                    "{name}: {first}, must be one of {expected:?}: {:.200}",
                    heard.text
                ));
            }
            if heard.statuses.len() > 1 {
                wrongs.add(format!("{name}: {} answers to one request", heard.statuses.len()));
            }
            if first == CLOSED && !heard.ended {
                wrongs.add(format!("{name}: neither an answer nor an end"));
            }
            if self.codes && !case.code.is_empty() && !heard.text.contains(&format!("\"code\":\"{}\"", case.code)) {
                wrongs.add(format!("{name}: not `{}`: {:.300}", case.code, heard.text));
            }
            for word in [secrets.good.as_str(), secrets.operator.as_str(), STRANGER] {
                if heard.text.contains(word) {
                    wrongs.add(format!("{name}: the answer repeats what it must not"));
                }
            }
            if !say(self.address, good.as_bytes()).is_ok_and(|heard| heard.statuses == [200]) {
                wrongs.add(format!("{name}: the next request is not answered"));
            }
        }
    }
}

/// Whatever is wrong with a key, a stranger gets the same bytes.
fn same_to_strangers(address: SocketAddr, secrets: &Secrets, wrongs: &mut Wrongs) -> anyhow::Result<()> {
    let plain = |text: &str| {
        let lines = text.lines().filter(|line| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("date:") && !line.starts_with("x-request-id:")
        });
        let text: String = lines.collect();
        match text.split_once("\"request_id\":\"") {
            Some((before, after)) => format!("{before}{}", after.split_once('"').unwrap_or_default().1),
            None => text,
        }
    };
    let mut answers = Vec::new();
    for secret in [&secrets.unknown, &secrets.revoked, &secrets.expired, &secrets.stopped] {
        answers.push(plain(&say(address, get("/v1/self", &bearer(secret)).as_bytes())?.text));
    }
    if answers.iter().any(|answer| Some(answer) != answers.first()) {
        wrongs.add(format!("item 15: strangers are told different things: {answers:?}"));
    }
    Ok(())
}

/// Many first uses of one key at the same time.
fn first_uses(address: SocketAddr, house: &House, secrets: &Secrets, wrongs: &mut Wrongs) {
    let threads = 100;
    let good = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut gateway = house.people.gateway(address);
                    (0..10).all(|_| {
                        let answer = gateway.verdict("/v1/verify", &secrets.good, &["orders:read"]);
                        answer.is_ok_and(|answer| answer.code() == "valid")
                    })
                })
            })
            .collect();
        asked
            .into_iter()
            .map(|thread| thread.join().unwrap_or(false))
            .filter(|good| *good)
            .count()
    });
    if good != threads {
        wrongs.add(format!("item 19: {good} of {threads} clients were answered rightly"));
    }
}

/// A request key that is used for something else, and twice at once.
fn request_keys(setting: &Setting, address: SocketAddr, house: &House, wrongs: &mut Wrongs) -> anyhow::Result<()> {
    let wish = |name: &str| json!({ "name": name, "owner": { "user": owner_name(2) }, "scopes": ["orders:read"] });
    let headers = [("Idempotency-Key", "twice")];
    let answers = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8)
            .map(|_| {
                let ask = || {
                    let mut olga = house.people.operator(address);
                    olga.ask_with("POST", KEYS, Some(&wish("one")), &headers)
                };
                scope.spawn(ask)
            })
            .collect();
        let joined = asked.into_iter().map(|thread| thread.join());
        joined.filter_map(Result::ok).filter_map(Result::ok).collect::<Vec<_>>()
    });
    setting.register(
        answers
            .iter()
            .map(|answer| answer.text("/secret"))
            .filter(|secret| !secret.is_empty()),
    )?;
    let mut ids: Vec<&str> = answers.iter().map(|answer| answer.text("/key/id")).collect();
    ids.retain(|id| !id.is_empty());
    ids.sort_unstable();
    ids.dedup();
    if ids.len() != 1 || answers.len() != 8 {
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        wrongs.add(format!(
            "item 39: {} keys came of one request key: {statuses:?}",
            ids.len()
        ));
    }
    let other = house
        .people
        .operator(address)
        .ask_with("POST", KEYS, Some(&wish("other")), &headers)?;
    if (other.status, other.code()) != (422, "request_key_reused") {
        wrongs.add(format!("item 39: another question got {} {}", other.status, other.body));
    }
    Ok(())
}

/// Many keys of the right form that nobody knows.
fn strangers(setting: &Setting, server: &Process, house: &House, wrongs: &mut Wrongs) -> anyhow::Result<()> {
    let mut dice = Dice::new(setting.seed, 9_000);
    let mut gateway = house.people.gateway(server.address());
    let before = server.resident()?;
    let count = setting.form.of(STRANGERS.0, STRANGERS.1);
    for _ in 0..count.div_ceil(QUESTIONS) {
        let items: Vec<Value> = (0..QUESTIONS).map(|_| json!({ "credential": dice.secret() })).collect();
        let answer = gateway.ask("POST", BATCH, Some(&json!({ "items": items })))?;
        let results = answer.body.pointer("/results").and_then(Value::as_array);
        let unknown = results.map_or(0, |results| {
            results.iter().filter(|result| result["code"] == "unknown").count()
        });
        if unknown != QUESTIONS {
            wrongs.add(format!(
                "item 20: {unknown} of {QUESTIONS} strangers are unknown ({})",
                answer.status
            ));
            return Ok(());
        }
    }
    let growth = server.resident()?.saturating_sub(before);
    if growth > GROWTH_BYTES_MAX {
        wrongs.add(format!("item 20: {count} strangers cost {growth} bytes of memory"));
    }
    Ok(())
}

/// Sends bytes and hears what comes until the other side ends, or is silent after an answer.
fn say(address: SocketAddr, bytes: &[u8]) -> io::Result<Heard> {
    let mut stream = TcpStream::connect_timeout(&address, SILENCE)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_read_timeout(Some(SILENCE))?;
    // The other side may hang up in the middle, which is heard below.
    let _ = stream.write_all(bytes);
    let mut heard = Vec::new();
    let mut piece = [0; 16 << 10];
    let ended = loop {
        match stream.read(&mut piece) {
            Ok(0) => break true,
            Ok(read) => heard.extend_from_slice(piece.get(..read).unwrap_or_default()),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break false,
            Err(_) => break true,
        }
        if heard.len() > ANSWER_BYTES_MAX {
            break false;
        }
        // An answer is there; a second one would follow it closely.
        stream.set_read_timeout(Some(Duration::from_millis(40)))?;
    };
    let text = String::from_utf8_lossy(&heard).into_owned();
    let statuses = text
        .match_indices("HTTP/1.")
        .filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok());
    Ok(Heard {
        statuses: statuses.collect(),
        text,
        ended,
    })
}

fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}\r\n")
}

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n")
}

fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {length}\r\n\r\n{body}")
}

/// HAProxy before a server, as its manual sets it up; gone when it is dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    fn before(server: SocketAddr, folder: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let file = folder.join("haproxy.cfg");
        let settings = format!(
            "global\n  maxconn 2000\ndefaults\n  mode http\n  option forwardfor\n  timeout http-request 2s\n  \
             timeout connect 5s\n  timeout client 10s\n  timeout server 10s\nfrontend door\n  bind {address}\n  \
             default_backend keyholt\nbackend keyholt\n  http-reuse always\n  server keyholt {server}\n"
        );
        fs::write(&file, settings)?;
        let found = ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let program = found.context("HAProxy is not installed")?;
        let child = Command::new(program)
            .arg("-f")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let proxy = Self { child, address };
        let listens = until(Duration::from_secs(10), || TcpStream::connect(address).is_ok());
        listens.context("HAProxy does not listen")?;
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Nobody is left to tell when it had ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
