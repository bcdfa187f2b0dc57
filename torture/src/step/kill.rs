//! `kill -9` at every n-th write or sync system call of a server at work, and what its next start makes of it.

use std::path::Path;
use std::time::{Duration, Instant};

use keyholt_rig::process::Process;

use crate::caller::Caller;
use crate::figure::{Figure, Wrongs};
use crate::house::House;
use crate::ledger::{Held, check};
use crate::proxy::Liar;
use crate::setting::{Dice, Setting, Start};
use crate::workload::{Shock, Until, ask_again, run};

/// Clients at work at a time.
const CLIENTS: usize = 3;
/// Kills that one data folder lives through.
const KILLS_PER_FOLDER: usize = 12;
/// Changes of each client before a kill that did not come by itself is given from outside.
const CHANGES_MAX: usize = 40;
/// How long clients work at most.
const WORK_MAX: Duration = Duration::from_secs(5);
/// Folders that are tortured at the same time: the machine waits for the disk most of the time.
const LANES: usize = 3;

/// A system call to be killed at: the n-th of its kind in whichever thread comes to it first.
#[derive(Clone, Copy, Debug)]
struct Point {
    call: &'static str,
    number: usize,
}

/// The calls by which anything reaches the disk, and how many of each are tried in the short form and in the long one.
const CALLS: [(&str, usize, usize); 4] = [
    ("pwrite64", 160, 1600),
    ("fsync,fdatasync", 40, 400),
    ("ftruncate", 2, 10),
    ("write", 6, 40),
];

/// The call at which servers are killed whose revocations are acknowledged too early, and how often at most.
const LIED_AT: &str = "pwrite64";
const LIES_MAX: usize = 160;

/// What came of the kills.
#[derive(Debug, Default)]
struct Outcome {
    /// Kills at the point that was meant.
    at_point: usize,
    /// Kills from outside, because the point was never reached.
    elsewhere: usize,
    acknowledged: usize,
    doubtful: usize,
    wrongs: Wrongs,
}

/// Whose word the clients take for what was done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Servers,
    Liars,
}

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(setting)?;
    let points = points(setting);
    let outcome = in_lanes(setting, &house, &folders(&points), Word::Servers)?;
    let kills = outcome.at_point + outcome.elsewhere;
    let honest = Figure::new(
        format!(
            "kill -9 at {} write and sync system calls ({} more before the call was reached)",
            outcome.at_point, outcome.elsewhere
        ),
        format!(
            "{}; {} changes acknowledged, {} cut short by a kill",
            outcome.wrongs.told(),
            outcome.acknowledged,
            outcome.doubtful
        ),
        "nothing acknowledged lost, nothing resurrected, nothing half-made, one audit event for each change",
        outcome.wrongs.count() == 0 && kills >= points.len() && outcome.at_point * 10 >= points.len() * 7,
    );
    Ok(vec![honest, planted(setting, &house, &points)?])
}

/// Revocations that are acknowledged before they are made must be found out. Whether one is under way when a kill comes is a
/// matter of luck, so the kills go on until one is found lost.
fn planted(setting: &Setting, house: &House, points: &[Point]) -> anyhow::Result<Figure> {
    let points: Vec<Point> = points
        .iter()
        .copied()
        .filter(|point| point.call == LIED_AT)
        .take(LIES_MAX)
        .collect();
    let (mut kills, mut lost) = (0, 0);
    for folders in folders(&points).chunks(LANES) {
        let outcome = in_lanes(setting, house, folders, Word::Liars)?;
        kills += outcome.at_point + outcome.elsewhere;
        lost += outcome.wrongs.count();
        if lost > 0 {
            break;
        }
    }
    Ok(Figure::new(
        "such kills with a planted fault: revocations acknowledged before their commit",
        if lost > 0 {
            format!("found within {kills} kills")
        } else {
            format!("not found by {kills} kills")
        },
        "the harness finds it",
        lost > 0,
    ))
}

fn points(setting: &Setting) -> Vec<Point> {
    let of_call = |(call, short, long): (&'static str, usize, usize)| {
        (1..=setting.count(short, long)).map(move |number| Point { call, number })
    };
    CALLS.into_iter().flat_map(of_call).collect()
}

/// The points that each folder lives through, with its number.
fn folders(points: &[Point]) -> Vec<(usize, &[Point])> {
    points.chunks(KILLS_PER_FOLDER).enumerate().collect()
}

fn in_lanes(setting: &Setting, house: &House, folders: &[(usize, &[Point])], word: Word) -> anyhow::Result<Outcome> {
    let mut all = Outcome::default();
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let mine = folders.iter().copied().skip(lane).step_by(LANES);
                scope.spawn(move || {
                    let mut outcome = Outcome::default();
                    for (number, points) in mine {
                        let mut dice = Dice::new(setting.seed, number as u64);
                        one_folder(setting, house, points, word, &mut dice, &mut outcome)?;
                    }
                    anyhow::Ok(outcome)
                })
            })
            .collect();
        for lane in lanes {
            let outcome = lane.join().map_err(|_| anyhow::anyhow!("a lane panicked"))??;
            all.at_point += outcome.at_point;
            all.elsewhere += outcome.elsewhere;
            all.acknowledged += outcome.acknowledged;
            all.doubtful += outcome.doubtful;
            all.wrongs.join(outcome.wrongs);
        }
        anyhow::Ok(())
    })?;
    Ok(all)
}

fn one_folder(
    setting: &Setting,
    house: &House,
    points: &[Point],
    word: Word,
    dice: &mut Dice,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let folder = house.copy(setting)?;
    let mut ledgers: Vec<Vec<Held>> = vec![Vec::new(); CLIENTS];
    for point in points {
        let Some(mut server) = start_traced(setting, folder.path(), *point)? else {
            // It was killed while it started; the next one finds what that left.
            outcome.at_point += 1;
            continue;
        };
        if !look(house, &server, &mut ledgers, dice, &mut outcome.wrongs) {
            // The kill came during the look: it is repeated where nothing disturbs it.
            await_end(&mut server)?;
            outcome.at_point += 1;
            look_undisturbed(setting, house, folder.path(), &mut ledgers, dice, &mut outcome.wrongs)?;
            continue;
        }
        let address = match word {
            Word::Servers => server.address(),
            Word::Liars => Liar::before(server.address())?.address(),
        };
        let until = Until {
            time: Instant::now() + WORK_MAX,
            changes: CHANGES_MAX,
        };
        let done = run(address, &house.people.operator, &mut ledgers, dice, until, Shock::Stops);
        outcome.acknowledged += done.acknowledged;
        outcome.doubtful += done.doubtful;
        outcome.wrongs.join(done.wrongs);
        if done.doubtful > 0 {
            await_end(&mut server)?;
            outcome.at_point += 1;
        } else {
            server.kill()?;
            outcome.elsewhere += 1;
        }
    }
    look_undisturbed(setting, house, folder.path(), &mut ledgers, dice, &mut outcome.wrongs)?;
    setting.register(ledgers.iter().flatten().flat_map(Held::secrets))?;
    setting.keep(folder.path(), &format!("kill-{:08x}", dice.throw() >> 32))
}

/// Starts a server that is killed at a system call; `None` if that came before it listened.
fn start_traced(setting: &Setting, data: &Path, point: Point) -> anyhow::Result<Option<Process>> {
    let Point { call, number } = point;
    let calls: Vec<&str> = CALLS.iter().map(|(call, ..)| *call).collect();
    let tracer = [
        "strace",
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        "-e",
        &format!("trace={}", calls.join(",")),
        "-e",
        "signal=none",
        "-e",
        &format!("inject={call}:signal=KILL:when={number}"),
    ]
    .map(str::to_owned);
    match setting.start(data, &Start::through(tracer)) {
        Ok(server) => Ok(Some(server)),
        Err(error) if format!("{error:#}").contains("signal: 9 (SIGKILL) before it listened") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Waits until a killed server is gone, and with it its lock on the data.
fn await_end(server: &mut Process) -> anyhow::Result<()> {
    let gone = crate::setting::until(Duration::from_secs(10), || matches!(server.ended(), Ok(Some(_))));
    if gone.is_none() {
        server.kill()?;
    }
    Ok(())
}

/// Compares the ledgers with the server. Tells whether it lived long enough to be compared.
fn look(house: &House, server: &Process, ledgers: &mut [Vec<Held>], dice: &mut Dice, wrongs: &mut Wrongs) -> bool {
    let mut operator = house.people.operator(server.address());
    let mut gateway = house.people.gateway(server.address());
    compare(ledgers, &mut operator, &mut gateway, dice, wrongs).is_ok()
}

fn look_undisturbed(
    setting: &Setting,
    house: &House,
    data: &Path,
    ledgers: &mut [Vec<Held>],
    dice: &mut Dice,
    wrongs: &mut Wrongs,
) -> anyhow::Result<()> {
    let server = setting.start(data, &Start::default())?;
    let mut operator = house.people.operator(server.address());
    let mut gateway = house.people.gateway(server.address());
    compare(ledgers, &mut operator, &mut gateway, dice, wrongs)?;
    server.stop()
}

/// Every second time, what is in doubt is asked for again first, as a client would after a crash.
fn compare(
    ledgers: &mut [Vec<Held>],
    operator: &mut Caller,
    gateway: &mut Caller,
    dice: &mut Dice,
    wrongs: &mut Wrongs,
) -> std::io::Result<()> {
    if dice.below(2) == 0 {
        for ledger in &mut *ledgers {
            wrongs.join(ask_again(operator, ledger)?);
        }
    }
    let mut all: Vec<Held> = ledgers.iter_mut().flat_map(std::mem::take).collect();
    let found = check(&mut all, operator, gateway);
    for held in all {
        if let Some(ledger) = ledgers.get_mut(held.owner) {
            ledger.push(held);
        }
    }
    wrongs.join(found?);
    Ok(())
}
