//! The disk fails, is full, or loses power: nothing is acknowledged that is not durable, and what can go on goes on.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::figure::{Figure, Wrongs};
use crate::house::{House, KEYS, copy_files, owner_name, text};
use crate::ledger::{Held, check};
use crate::setting::{Dice, Setting, Start, until};
use crate::workload::{Shock, Until, run};

/// Changes that a client asks for around a fault.
const CHANGES: usize = 30;
/// How long a client works at most.
const WORK_MAX: Duration = Duration::from_secs(20);
/// How soon after space returns a create must work.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// A disk that is soon full, and one whose power is cut.
const SMALL_DISK: &str = "size=12m";
const IMAGE_BYTES: u64 = 48 << 20;
/// Clients at work when the power goes.
const CLIENTS: usize = 3;
/// Acknowledged changes without which the cuts prove nothing, and how many times as many cuts a slow machine may take.
const ACKNOWLEDGED_MIN: usize = 200;
const CUTS_FACTOR: usize = 5;

pub(super) fn take(setting: &Setting) -> anyhow::Result<Vec<Figure>> {
    let house = House::build(setting)?;
    // Side by side: each has a disk or a folder of its own, and waits for it most of the time.
    type Part = fn(&Setting, &House) -> anyhow::Result<Vec<Figure>>;
    let parts: [Part; 4] = [one_fault, lasting_fault, full, power];
    thread::scope(|scope| {
        let parts = parts.map(|part| {
            scope.spawn({
                let house = &house;
                move || part(setting, house)
            })
        });
        let mut figures = Vec::new();
        for part in parts {
            figures.extend(part.join().map_err(|_| anyhow::anyhow!("a part panicked"))??);
        }
        Ok(figures)
    })
}

/// A server whose n-th sync fails; `+` lets all later ones fail too.
fn failing(number: usize, later: &str) -> Start {
    let inject = format!("inject=fsync,fdatasync:error=EIO:when={number}{later}");
    Start::through([
        "strace",
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync",
        "-e",
        &inject,
    ])
}

/// Every n-th sync fails once: what was acknowledged is there, and the server recovers by itself.
fn one_fault(setting: &Setting, house: &House) -> anyhow::Result<Vec<Figure>> {
    let points = setting.form.of(15, 80);
    let (mut wrongs, mut told, mut unstarted, mut acknowledged) = (Wrongs::default(), 0, 0, 0);
    let folder = house.copy(setting)?;
    let mut ledgers = vec![Vec::new()];
    for number in 1..=points {
        let mut dice = Dice::new(setting.seed, 7_000 + number as u64);
        match setting.start(folder.path(), &failing(number, "")) {
            Ok(mut server) => {
                let done = run(
                    server.address(),
                    &house.people.operator,
                    &mut ledgers,
                    &mut dice,
                    soon(),
                    Shock::GoesOn,
                );
                told += usize::from(done.doubtful + done.refused.len() > 0);
                acknowledged += done.acknowledged;
                // One fault concerns the changes of one transaction; a server that recovers makes all later ones.
                if done.acknowledged + 2 < CHANGES {
                    wrongs.add(format!(
                        "sync {number}: {} of {CHANGES} changes acknowledged",
                        done.acknowledged
                    ));
                }
                wrongs.join(done.wrongs);
                server.kill()?;
            }
            Err(error) if is_refusal(&error) => unstarted += 1,
            Err(error) => wrongs.add(format!("sync {number}: {error:#}")),
        }
        compare(setting, house, folder.path(), &mut ledgers, &mut wrongs)?;
    }
    setting.register(ledgers.iter().flatten().flat_map(Held::secrets))?;
    Ok(vec![Figure::new(
        format!("an I/O error at each of the first {points} syncs, one at a time, then kill -9"),
        format!(
            "{}; {acknowledged} changes acknowledged, {told} times a client was told, {unstarted} times the start was refused",
            wrongs.told()
        ),
        "nothing acknowledged lost, recovery without a restart",
        wrongs.count() == 0 && told > 0,
    )])
}

/// From the n-th sync on all fail: there are never more acknowledgements than syncs that succeeded.
fn lasting_fault(setting: &Setting, house: &House) -> anyhow::Result<Vec<Figure>> {
    let points = setting.form.of(10, 60);
    let (mut wrongs, mut acknowledged, mut syncs, mut verified) = (Wrongs::default(), 0, 0, 0);
    for number in 1..=points {
        let folder = house.copy(setting)?;
        let mut ledgers = vec![Vec::new()];
        let mut dice = Dice::new(setting.seed, 7_500 + number as u64);
        match setting.start(folder.path(), &failing(number, "+")) {
            Ok(mut server) => {
                let done = run(
                    server.address(),
                    &house.people.operator,
                    &mut ledgers,
                    &mut dice,
                    soon(),
                    Shock::GoesOn,
                );
                acknowledged += done.acknowledged;
                syncs += number - 1;
                if done.acknowledged >= number {
                    wrongs.add(format!(
                        "{} acknowledgements after {} syncs",
                        done.acknowledged,
                        number - 1
                    ));
                }
                wrongs.join(done.wrongs);
                let gate = house.people.gateway.clone();
                let verdict =
                    house
                        .people
                        .gateway(server.address())
                        .verdict("/v1/verify", &gate, &["keyholt:verify"])?;
                if verdict.code() == "valid" {
                    verified += 1;
                } else {
                    wrongs.add(format!("verify does not go on: {}", verdict.body));
                }
                server.kill()?;
            }
            Err(error) if is_refusal(&error) => {}
            Err(error) => wrongs.add(format!("sync {number}: {error:#}")),
        }
        compare(setting, house, folder.path(), &mut ledgers, &mut wrongs)?;
        setting.register(ledgers.iter().flatten().flat_map(Held::secrets))?;
    }
    Ok(vec![Figure::new(
        format!("all syncs fail from the n-th on, n = 1 to {points}, then kill -9"),
        format!(
            "{}; {acknowledged} acknowledgements after at most {syncs} syncs, verify went on {verified} times",
            wrongs.told()
        ),
        "no acknowledgement without a sync, verify goes on",
        wrongs.count() == 0 && verified > 0 && acknowledged > 0,
    )])
}

/// The disk is full: verify goes on, creates get a clear error, and everything is well when there is room again.
fn full(setting: &Setting, house: &House) -> anyhow::Result<Vec<Figure>> {
    let what = "the disk is full";
    let disk = match Mounted::memory(setting) {
        Ok(disk) => disk,
        Err(error) => {
            return Ok(vec![Figure::not_tried(
                what,
                format!("no small disk can be mounted: {error:#}"),
            )]);
        }
    };
    let data = disk.path().join("data");
    fs::create_dir(&data)?;
    copy_files(house_files(house, setting)?.path(), &data)?;
    let server = setting.start(&data, &Start::default())?;
    let mut olga = house.people.operator(server.address());
    let mut gateway = house.people.gateway(server.address());
    let mut wrongs = Wrongs::default();
    let body = |name: &str| json!({ "name": name, "owner": { "user": owner_name(0) }, "scopes": ["orders:read"] });
    let mut keys = Vec::new();
    for number in 0..40 {
        let made = olga.must("POST", KEYS, Some(&body(&format!("k-{number}"))), 201)?;
        keys.push((text(&made, "/key/id"), text(&made, "/secret")));
    }
    setting.register(keys.iter().map(|(_, secret)| secret))?;
    let ballast = disk.path().join("ballast");
    fill_up(&ballast)?;
    let (mut creates, mut refusals) = (0, 0);
    while refusals < 5 && creates < 10_000 {
        let answer = olga.ask("POST", KEYS, Some(&body("more")))?;
        match (answer.status, answer.code()) {
            (201, _) => {
                setting.register([answer.text("/secret")])?;
                creates += 1;
            }
            (507, "storage_full") => refusals += 1,
            other => {
                wrongs.add(format!("a create on a full disk: {other:?}"));
                refusals += 1;
            }
        }
    }
    let (mut revoked, mut unrevoked) = (Vec::new(), 0);
    for (id, secret) in &keys[..20] {
        let answer = olga.ask(
            "POST",
            &format!("{KEYS}/{id}/revoke"),
            Some(&json!({ "cause": "leaked" })),
        )?;
        match (answer.status, answer.code()) {
            (200, _) => revoked.push(secret),
            (507, "storage_full") => unrevoked += 1,
            other => wrongs.add(format!("a revoke on a full disk: {other:?}")),
        }
    }
    for (number, (_, secret)) in keys.iter().enumerate() {
        let answer = gateway.verdict("/v1/verify", secret, &["orders:read"])?;
        let right = if revoked.contains(&secret) { "revoked" } else { "valid" };
        if answer.code() != right {
            wrongs.add(format!(
                "key {number} is `{}` on a full disk, must be `{right}`",
                answer.code()
            ));
        }
    }
    fs::remove_file(&ballast)?;
    let back = until(BACK_WITHIN * 4, || {
        olga.ask("POST", KEYS, Some(&body("after"))).is_ok_and(|answer| {
            let registered = setting.register([answer.text("/secret")]).is_ok();
            answer.status == 201 && registered
        })
    });
    server.stop()?;
    setting.keep(&data, "full")?;
    let back_shown = back.map_or("never".to_owned(), |back| format!("after {:.2} s", back.as_secs_f64()));
    Ok(vec![Figure::new(
        what,
        format!(
            "{}; {} verifies right, {} of {} revokes made, {refusals} creates told `storage_full`, creates work again {back_shown}",
            wrongs.told(),
            keys.len(),
            revoked.len(),
            revoked.len() + unrevoked
        ),
        "verifies and revokes go on, creates get 507, recovery without a restart",
        wrongs.count() == 0 && refusals >= 5 && unrevoked == 0 && back.is_some_and(|back| back <= BACK_WITHIN),
    )])
}

/// The power goes while clients are at work; then the same with syncs that do nothing, to see that it would be noticed.
fn power(setting: &Setting, house: &House) -> anyhow::Result<Vec<Figure>> {
    let least = setting.form.of(6, 60);
    let mut outcome = Cuts::default();
    let mut cuts = 0;
    while cuts < least || (outcome.acknowledged < ACKNOWLEDGED_MIN && cuts < least * CUTS_FACTOR) {
        if let Err(error) = cut(setting, house, &Start::default(), cuts, &mut outcome) {
            if outcome.acknowledged == 0 {
                return Ok(vec![Figure::not_tried(
                    "the power is cut (ext4 on a loop device, shut down without flushing its log)",
                    format!("{error:#}"),
                )]);
            }
            return Err(error);
        }
        cuts += 1;
    }
    let honest = Figure::new(
        format!("the power is cut {cuts} times (ext4 on a loop device, shut down without flushing its log)"),
        format!(
            "{}; {} changes acknowledged",
            outcome.wrongs.told(),
            outcome.acknowledged
        ),
        format!("0 of at least {ACKNOWLEDGED_MIN} acknowledged changes lost"),
        outcome.wrongs.count() == 0 && outcome.acknowledged >= ACKNOWLEDGED_MIN,
    );
    let mut planted = Cuts::default();
    let lying = [
        "strace",
        "-f",
        "-qqq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fsync,fdatasync",
        "-e",
    ];
    let lying = lying.into_iter().chain(["inject=fsync,fdatasync:retval=0"]);
    let lying = Start::through(lying);
    for number in cuts..cuts + CUTS_FACTOR {
        cut(setting, house, &lying, number, &mut planted)?;
        if planted.wrongs.count() > 0 {
            break;
        }
    }
    let caught = Figure::new(
        "the same once more with a planted fault: a sync that only says that it was made",
        format!("{} lost changes found", planted.wrongs.count()),
        "the harness finds it",
        planted.wrongs.count() > 0,
    );
    Ok(vec![honest, caught])
}

#[derive(Debug, Default)]
struct Cuts {
    acknowledged: usize,
    wrongs: Wrongs,
}

fn cut(setting: &Setting, house: &House, start: &Start, number: usize, outcome: &mut Cuts) -> anyhow::Result<()> {
    let mut disk = Mounted::image(setting)?;
    let data = disk.path().join("data");
    fs::create_dir(&data)?;
    copy_files(house_files(house, setting)?.path(), &data)?;
    // What was there before is there for good: the cut is about what comes now.
    ensure!(
        Command::new("sync").arg("-f").arg(&data).status()?.success(),
        "sync failed"
    );
    let mut ledgers: Vec<Vec<Held>> = vec![Vec::new(); CLIENTS];
    let mut dice = Dice::new(setting.seed, 8_000 + number as u64);
    let mut server = setting.start(&data, start)?;
    let address = server.address();
    let time = Duration::from_millis(400 + dice.below(400));
    let point = disk.path().to_owned();
    let dark = AtomicBool::new(false);
    let done = thread::scope(|scope| {
        let cutter = scope.spawn(|| {
            thread::sleep(time);
            dark.store(true, Ordering::SeqCst);
            shut_down(&point)
        });
        let until = Until {
            time: Instant::now() + time + Duration::from_millis(100),
            changes: usize::MAX,
        };
        let done = run(
            address,
            &house.people.operator,
            &mut ledgers,
            &mut dice,
            until,
            Shock::Dark(&dark),
        );
        cutter.join().map_err(|_| anyhow::anyhow!("the cutter panicked"))??;
        anyhow::Ok(done)
    })?;
    server.kill()?;
    drop(server);
    outcome.acknowledged += done.acknowledged;
    outcome.wrongs.join(done.wrongs);
    disk.mount_again()?;
    match compare(setting, house, &data, &mut ledgers, &mut outcome.wrongs) {
        Ok(()) => {}
        Err(error) => outcome
            .wrongs
            .add(format!("after the cut it does not start: {error:#}")),
    }
    setting.register(ledgers.iter().flatten().flat_map(Held::secrets))
}

fn soon() -> Until {
    Until {
        time: Instant::now() + WORK_MAX,
        changes: CHANGES,
    }
}

fn is_refusal(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("with exit status: 2 before it listened")
}

/// Compares the ledgers with an undisturbed server.
fn compare(
    setting: &Setting,
    house: &House,
    data: &Path,
    ledgers: &mut [Vec<Held>],
    wrongs: &mut Wrongs,
) -> anyhow::Result<()> {
    let server = setting.start(data, &Start::default())?;
    let mut all: Vec<Held> = ledgers.iter_mut().flat_map(std::mem::take).collect();
    let mut operator = house.people.operator(server.address());
    let mut gateway = house.people.gateway(server.address());
    wrongs.join(check(&mut all, &mut operator, &mut gateway)?);
    for held in all {
        if let Some(ledger) = ledgers.get_mut(held.owner) {
            ledger.push(held);
        }
    }
    server.stop()
}

fn house_files(house: &House, setting: &Setting) -> anyhow::Result<TempDir> {
    house.copy(setting)
}

fn fill_up(ballast: &Path) -> anyhow::Result<()> {
    let mut file = fs::File::create(ballast)?;
    let piece = vec![0; 4096];
    while file.write_all(&piece).is_ok() {}
    Ok(())
}

/// Shuts a file system down as a power failure would: nothing that is not on the disk yet gets there.
fn shut_down(mounted: &Path) -> anyhow::Result<()> {
    // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH.
    let program = "import fcntl, os, struct, sys; \
                   fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";
    let output = Command::new("python3").args(["-c", program]).arg(mounted).output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// A file system of one's own; unmounted when it is dropped.
struct Mounted {
    folder: TempDir,
    image: Option<PathBuf>,
}

impl Mounted {
    fn memory(setting: &Setting) -> anyhow::Result<Self> {
        let folder = setting.folder()?;
        command("mount", &["-t", "tmpfs", "-o", SMALL_DISK, "tmpfs"], folder.path())?;
        Ok(Self { folder, image: None })
    }

    fn image(setting: &Setting) -> anyhow::Result<Self> {
        let folder = setting.folder()?;
        let image = folder.path().with_extension("image");
        fs::File::create(&image)?.set_len(IMAGE_BYTES)?;
        let mounted = Self {
            folder,
            image: Some(image.clone()),
        };
        command("mkfs.ext4", &["-q", "-F"], &image)?;
        mounted.mount()?;
        Ok(mounted)
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn mount(&self) -> anyhow::Result<()> {
        let image = self.image.as_deref().and_then(Path::to_str).context("an image")?;
        command("mount", &["-o", "loop", image], self.path())
    }

    fn mount_again(&mut self) -> anyhow::Result<()> {
        let unmounted = until(Duration::from_secs(10), || command("umount", &[], self.path()).is_ok());
        ensure!(unmounted.is_some(), "the disk stays mounted");
        self.mount()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily, because a log may still be open; what is left goes with the process that has it open.
        let _ = command("umount", &["--lazy"], self.folder.path());
        if let Some(image) = &self.image {
            let _ = fs::remove_file(image);
        }
    }
}

fn command(program: &str, arguments: &[&str], path: &Path) -> anyhow::Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .arg(path)
        .output()
        .with_context(|| format!("{program} cannot be run"))?;
    if !output.status.success() {
        bail!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
