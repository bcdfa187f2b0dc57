//! What only the SQLite store promises: files, modes, locks, full disks and sudden ends.

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use keyholt_core::bond::Bond;
use keyholt_core::id::KeyId;
use keyholt_core::revoke::revoke;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::Sqlite;
use crate::contract::dumps::dump_of;
use crate::contract::world::{World, cause};
use crate::{CommitError, EventNumber, Limit, Store, StoreError, Write};

async fn fresh() -> (Sqlite, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let store = Sqlite::open(&folder.path().join("keyholt.db")).expect("a new store");
    (store, folder)
}

crate::contract!(contract, fresh());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_walk_meets_every_key_that_stays_once() {
    let (store, _folder) = fresh().await;
    let multiply = async |key: KeyId, others: Vec<KeyId>| {
        let written = store.writer.run(move |connection| {
            connection.execute_batch(
                "CREATE TEMP TABLE one AS SELECT * FROM keys LIMIT 0; CREATE TEMP TABLE told AS SELECT * FROM abouts LIMIT 0",
            )?;
            connection.execute("INSERT INTO one SELECT * FROM keys WHERE id = ?1", [key.uuid()])?;
            connection.execute("INSERT INTO told SELECT * FROM abouts WHERE number = (SELECT number FROM one)", [])?;
            let last: i64 = connection.query_row("SELECT max(number) FROM keys", [], |row| row.get(0))?;
            let instant = connection.unchecked_transaction()?;
            for (number, other) in (last + 1..).zip(others) {
                let digest = [other.uuid().as_bytes().as_slice(), other.uuid().as_bytes()].concat();
                instant
                    .prepare_cached("UPDATE one SET number = ?1, id = ?2, current = ?3")?
                    .execute(params![number, other.uuid(), digest])?;
                instant.prepare_cached("UPDATE told SET number = ?1")?.execute([number])?;
                instant.prepare_cached("INSERT INTO keys SELECT * FROM one")?.execute([])?;
                instant.prepare_cached("INSERT INTO abouts SELECT * FROM told")?.execute([])?;
            }
            Ok(instant.commit()?)
        });
        written.await.expect("a hundred thousand rows");
    };
    crate::contract::keys::a_long_walk_meets_every_key_that_stays_once(&store, multiply).await;
}

/// Where a child process of a test finds its database.
const CHILD: &str = "KEYHOLT_STORE_TEST_CHILD";

/// This test once more, in a process of its own.
fn child(test: &str, database: &Path) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", &format!("sqlite::tests::{test}"), "--nocapture"])
        .env(CHILD, database)
        .stdout(Stdio::piped());
    command
}

#[expect(
    clippy::disallowed_methods,
    reason = "how a test tells its child process which database to write"
)]
fn as_child() -> Option<std::path::PathBuf> {
    std::env::var_os(CHILD).map(Into::into)
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn nobody_else_can_read_the_files_whatever_the_umask_is() {
    if let Some(database) = as_child() {
        let store = Sqlite::open(&database).expect("a new store");
        World::founded(&store).await;
        for name in [
            "keyholt.db",
            "keyholt.db-wal",
            "keyholt.db-shm",
            "keyholt.db.lock",
            "keyholt.db.reserve",
        ] {
            assert_eq!(mode(&database.with_file_name(name)), 0o600, "{name}");
        }
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let database = folder.path().join("data/inner/keyholt.db");
    let output = child("nobody_else_can_read_the_files_whatever_the_umask_is", &database)
        .output()
        .expect("a child");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for made in ["data", "data/inner"] {
        assert_eq!(mode(&folder.path().join(made)), 0o700, "{made}");
    }
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o644)).expect("a change of mode");
    Sqlite::open(&database).expect("the same store").close().await;
    assert_eq!(mode(&database), 0o600, "a file that was opened up is closed again");
}

#[tokio::test]
async fn one_process_has_the_file_and_lets_go_of_it() {
    let (store, folder) = fresh().await;
    let path = folder.path().join("keyholt.db");
    assert!(matches!(Sqlite::open(&path), Err(StoreError::InUse)));
    store.close().await;
    let again = Sqlite::open(&path).expect("a closed store is free");
    drop(again);
    Sqlite::open(&path).expect("a dropped store is free");
    assert!(
        matches!(store.ping().await, Err(StoreError::Unavailable(_))),
        "a closed store answers nothing"
    );
    assert!(matches!(
        store.commit(Vec::new()).await,
        Err(CommitError::Store(StoreError::Unavailable(_)))
    ));
    assert!(matches!(
        store.rebind(None, Bond::to([1; 32])).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(store.load(&mut |_| ()).await, Err(StoreError::Unavailable(_))));
    store.close().await;
}

#[tokio::test]
async fn a_dropped_store_has_kept_everything() {
    let (store, folder) = fresh().await;
    let mut world = World::founded(&store).await;
    let user = world.user(world.acme.id, "ada");
    let (_, owner) = world.enrolled(&store, user).await;
    world.key(&store, world.wish(owner, "kept")).await;
    store.rebind(None, Bond::to([4; 32])).await.expect("a new store");
    let before = dump_of(&store).await;
    drop(store);
    let store = Sqlite::open(&folder.path().join("keyholt.db")).expect("the same store");
    assert_eq!(dump_of(&store).await, before);
}

/// How many commits the killed process has acknowledged at least.
const ACKNOWLEDGED: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill() {
    if let Some(database) = as_child() {
        let store = Sqlite::open(&database).expect("a new store");
        let mut world = World::founded(&store).await;
        for batch in 0.. {
            let users: Vec<_> = (0..20)
                .map(|n| world.user(world.acme.id, &format!("u{batch}-{n}")))
                .collect();
            let commits = users.iter().map(|user| {
                let write = world.enrolment(user);
                async {
                    let number = store.commit(vec![write]).await.expect("a new user")[0];
                    let line = format!("acknowledged {} {}\n", number.0, user.id());
                    std::io::stdout()
                        .lock()
                        .write_all(line.as_bytes())
                        .expect("the parent listens");
                }
            });
            join_all(commits).await;
        }
    }
    let folder = TempDir::new().expect("a folder");
    let database = folder.path().join("keyholt.db");
    let mut process = child("what_was_acknowledged_survives_a_kill", &database)
        .spawn()
        .expect("a child");
    let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
    let mut acknowledged: Vec<(u64, String)> = Vec::new();
    let mut lines = lines.map(|line| line.expect("a line"));
    let mut take = |line: String| {
        let mut words = line.split(' ');
        if words.next() == Some("acknowledged") {
            let number = words.next().and_then(|number| number.parse().ok()).expect("a number");
            acknowledged.push((number, words.next().expect("an id").to_owned()));
        }
        acknowledged.len()
    };
    while take(lines.next().expect("the child goes on")) < ACKNOWLEDGED {}
    assert!(
        matches!(Sqlite::open(&database), Err(StoreError::InUse)),
        "another process has the file"
    );
    process.kill().expect("it is killed");
    process.wait().expect("it ends");
    // What was on its way through the pipe was acknowledged too; the last line may be torn.
    let rest: Vec<String> = lines.collect();
    for line in rest.into_iter().filter(|line| line.len() > 50) {
        take(line);
    }

    let store = Sqlite::open(&database).expect("the file is whole");
    let head = store.load(&mut |_| ()).await.expect("a load");
    let mut fed = Vec::new();
    while let Some(last) = store
        .feed(EventNumber(fed.len() as u64), Limit::LARGEST)
        .await
        .expect("a read")
        .into_iter()
        .map(|entry| {
            assert_eq!(entry.number.0, fed.len() as u64 + 1, "numbers have no gaps");
            fed.push(entry.touched);
            entry.number
        })
        .last()
    {
        assert!(last <= head);
    }
    for (number, id) in acknowledged {
        let touched = usize::try_from(number - 1)
            .ok()
            .and_then(|at| fed.get(at))
            .expect("an acknowledged commit");
        assert_eq!(touched[0].id.to_string(), id, "commit {number}");
    }
    let intact: String = Connection::open(&database)
        .and_then(|connection| connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)))
        .expect("a check");
    assert_eq!(intact, "ok");
}

async fn allow_pages(store: &Sqlite, more: i64) {
    let limited = store.writer.run(move |connection| {
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let most = pages + more;
        Ok(connection.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(()))?)
    });
    limited.await.expect("a limit");
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing_half_written() {
    let (store, _folder) = fresh().await;
    let mut world = World::founded(&store).await;
    world.acme.policy.keys_per_owner = 10_000;
    let user = world.user(world.acme.id, "ada");
    let (_, owner) = world.enrolled(&store, user).await;
    let key = world.key(&store, world.wish(owner, "there")).await;
    let before = dump_of(&store).await;
    allow_pages(&store, 12).await;

    let many: Vec<Write> = (0..200)
        .map(|n| {
            let (_, commit) = world.issued(world.wish(owner, &format!("key {n}")));
            world.sealed(commit)
        })
        .collect();
    let full = store.commit(many.clone()).await;
    assert!(matches!(full, Err(CommitError::Full)), "{full:?}");
    assert_eq!(dump_of(&store).await, before);

    let (_, revocation) = revoke(&world.leave(world.acme.id), &key, cause("lost"), world.now).expect("a live key");
    let (large, small) = tokio::join!(store.commit(many.clone()), world.commit(&store, revocation));
    assert!(matches!(large, Err(CommitError::Full)), "{large:?}");
    assert_eq!(
        small.expect("a small change finds room beside a large one"),
        EventNumber(6)
    );

    allow_pages(&store, 10_000).await;
    let numbers = store.commit(many).await.expect("there is room again");
    assert_eq!((numbers[0], numbers.len()), (EventNumber(7), 200));
}

async fn pages_in_log(store: &Sqlite) -> i64 {
    let look =
        |connection: &mut Connection| Ok(connection.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))?);
    store.writer.run(look).await.expect("a look at the log")
}

#[tokio::test]
async fn the_store_goes_on_after_the_engine_failed() {
    let (store, _folder) = fresh().await;
    let mut world = World::founded(&store).await;
    let failed = store
        .writer
        .run(|_| Err::<(), _>(StoreError::Unavailable("the disk failed".to_owned())));
    assert!(failed.await.is_err());
    let user = world.user(world.acme.id, "ada");
    world.enrolled(&store, user).await;
    let pages = pages_in_log(&store).await;
    assert!(
        pages < 40,
        "what was there before had been moved into the database: {pages}"
    );
}

#[tokio::test]
async fn a_log_that_grew_long_is_begun_anew_while_commits_go_on() {
    let (store, _folder) = fresh().await;
    let mut world = World::founded(&store).await;
    let fill = "CREATE TABLE IF NOT EXISTS ballast (bytes BLOB); INSERT INTO ballast VALUES (zeroblob(4194304))";
    for _ in 0..20 {
        let filled = store.writer.run(move |connection| Ok(connection.execute_batch(fill)?));
        filled.await.expect("room for 4 MiB");
    }
    let mut commits = 0;
    let begun_anew = loop {
        let user = world.user(world.acme.id, &format!("user-{commits}"));
        world.enrolled(&store, user).await;
        commits += 1;
        let pages = pages_in_log(&store).await;
        if pages < 1000 || commits == 2000 {
            break pages < 1000;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(begun_anew, "after {commits} more commits");
}

#[tokio::test]
async fn files_that_are_not_ours_are_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("keyholt.db");
    std::fs::write(
        &path,
        "this is no database, but it is longer than a header of one hundred bytes: ".repeat(9),
    )
    .expect("a file");
    assert!(matches!(Sqlite::open(&path), Err(StoreError::Corrupt(_))));

    std::fs::remove_file(&path).expect("a file");
    let other = Connection::open(&path).expect("another program's database");
    other.execute_batch("CREATE TABLE things (name TEXT)").expect("a table");
    drop(other);
    assert!(matches!(Sqlite::open(&path), Err(StoreError::Corrupt(_))));

    std::fs::remove_file(&path).expect("a file");
    Sqlite::open(&path).expect("a new store").close().await;
    let newer = Connection::open(&path).expect("our database");
    newer
        .execute_batch("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
        .expect("a newer version");
    drop(newer);
    let opened = Sqlite::open(&path);
    assert!(
        matches!(opened, Err(StoreError::TooNew { found: 99, known: 1 })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn a_broken_row_is_told_and_not_skipped() {
    let (store, folder) = fresh().await;
    let mut world = World::founded(&store).await;
    let user = world.user(world.acme.id, "ada");
    let (_, owner) = world.enrolled(&store, user).await;
    let key = world.key(&store, world.wish(owner, "deploy")).await;
    let path = folder.path().join("keyholt.db");
    let intruder = Connection::open(&path).expect("the file");
    intruder
        .execute("UPDATE keys SET current = x'00'", [])
        .expect("a change");
    assert!(matches!(store.load(&mut |_| ()).await, Err(StoreError::Corrupt(_))));
    assert!(matches!(
        store.key(world.acme.id, key.id).await,
        Err(StoreError::Corrupt(_))
    ));
}
