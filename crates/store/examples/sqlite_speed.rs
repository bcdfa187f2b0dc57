//! Measures the SQLite store: commits, creators at once, start-up, pages and usage. `sqlite_speed [keys]`, 1 000 000 by default.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyholt_core::id::KeyId;
use keyholt_core::issue::{Life, Wish};
use keyholt_core::owner::Owner;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::text::{Description, Name, Tag};
use keyholt_core::time::{Moment, Span};
use keyholt_store::contract::world::World;
use keyholt_store::{KeyQuery, Loaded, Owners, Sqlite, StateFilter, Store, UsageDelta, UseOutcome, Write};

const CREATORS: usize = 64;
const OWNERS: usize = 100;

#[tokio::main]
async fn main() {
    let keys: usize = std::env::args()
        .nth(1)
        .and_then(|keys| keys.parse().ok())
        .unwrap_or(1_000_000);
    let folder = tempfile::tempdir().expect("a folder");
    let store = Arc::new(Sqlite::open(&folder.path().join("keyholt.db")).expect("a new store"));
    let mut world = World::founded(store.as_ref()).await;
    world.acme.policy.keys_per_owner = 1_000_000;
    let mut owners = Vec::new();
    for n in 0..OWNERS {
        let user = world.user(world.acme.id, &format!("user {n}"));
        owners.push(world.enrolled(store.as_ref(), user).await.1);
    }

    let mut ids = Vec::new();
    let singles = 2_000;
    let writes = make(&mut world, &owners, &mut ids, singles);
    let took = timed(async {
        for write in writes {
            store.commit(vec![write]).await.expect("a key");
        }
    })
    .await;
    println!(
        "one creator:        {:>9.0} keys/s, each acknowledged by itself",
        rate(singles, took)
    );

    let crowd = 40_000;
    let mut shares: Vec<Vec<Write>> = (0..CREATORS).map(|_| Vec::new()).collect();
    for (at, write) in make(&mut world, &owners, &mut ids, crowd).into_iter().enumerate() {
        shares[at % CREATORS].push(write);
    }
    let took = timed(async {
        let mut creators = tokio::task::JoinSet::new();
        for share in shares {
            let store = Arc::clone(&store);
            creators.spawn(async move {
                let mut longest = Duration::ZERO;
                for write in share {
                    let start = Instant::now();
                    store.commit(vec![write]).await.expect("a key");
                    longest = longest.max(start.elapsed());
                }
                longest
            });
        }
        let longest = creators.join_all().await.into_iter().max().unwrap_or_default();
        println!("{CREATORS} creators: the longest wait was {longest:?}");
    })
    .await;
    println!(
        "{CREATORS} creators at once: {:>9.0} keys/s, each acknowledged by itself",
        rate(crowd, took)
    );

    println!(
        "writer: {:?} of processor time for each key",
        cpu("sqlite-write") / (singles + crowd) as u32
    );

    let (mut imported, cpu_before) = (Duration::ZERO, cpu("sqlite-write"));
    let before = ids.len();
    while ids.len() < 50_000.min(keys) {
        imported += import(&mut world, store.as_ref(), &owners, &mut ids).await;
    }
    pages(&world, store.as_ref(), &owners, "50 000").await;
    while ids.len() < keys {
        imported += import(&mut world, store.as_ref(), &owners, &mut ids).await;
    }
    println!(
        "import:             {:>9.0} keys/s, 1000 in one transaction",
        rate(ids.len() - before, imported)
    );

    let each = (cpu("sqlite-write") - cpu_before) / (ids.len() - before).max(1) as u32;
    println!("writer: {each:?} of processor time for each imported key");

    for round in ["first", "second"] {
        let (mut seen, mut sealed) = (0_usize, 0_usize);
        let sealer = world.sealer.clone();
        let cpu_before = (cpu("sqlite-read"), cpu("sqlite_speed"));
        let took = timed(async {
            let each = &mut |loaded: Loaded<'_>| {
                if let Loaded::Key(row, seal) = loaded {
                    seen += 1;
                    sealed += usize::from(row.is_sealed_by(&sealer, &seal));
                }
            };
            store.load(each).await.expect("a load");
        })
        .await;
        assert_eq!(seen, sealed);
        println!("load, {round}: {seen} keys in {took:?}, every seal checked");
        let (reading, checking) = (cpu("sqlite-read") - cpu_before.0, cpu("sqlite_speed") - cpu_before.1);
        println!("  processor time: {reading:?} reading, {checking:?} checking seals");
    }
    pages(&world, store.as_ref(), &owners, "all").await;

    let noted: Vec<UsageDelta> = (0..10_000)
        .map(|_| UsageDelta {
            key: *world.dice.pick(&ids),
            hour: world.now.hour(),
            outcome: UseOutcome::Granted,
            count: 3,
            at: world.now,
            address: None,
        })
        .collect();
    for round in ["first", "second"] {
        let took = timed(async { store.note_usage(&noted).await.expect("usage is noted") }).await;
        println!("usage of 10 000 keys, {round}: {took:?}");
    }
    let size = std::fs::metadata(folder.path().join("keyholt.db"))
        .expect("the file")
        .len();
    println!("file: {} bytes for each key, event included", size / ids.len() as u64);
    store.close().await;
}

fn make(world: &mut World, owners: &[Owner], ids: &mut Vec<KeyId>, count: usize) -> Vec<Write> {
    let stages = ["test", "staging", "live"];
    (0..count)
        .map(|n| {
            world.later(i64::from(n % 4 == 0));
            let owner = *world.dice.pick(owners);
            let scopes = ScopeSet::parse(["orders:read", if n % 100 == 0 { "orders:write" } else { "users:read" }]);
            let tag = if n % 100 == 1 { "rare" } else { stages[n % 3] };
            let wish = Wish {
                name: Name::new(&format!("deploy {} {}", stages[n % 3], world.dice.below(1000))).expect("a name"),
                description: Description::new("Rolls out the shop every night").expect("a description"),
                tags: BTreeSet::from([Tag::new(tag).expect("a tag")]),
                access: Access::Only(scopes.expect("scopes")),
                life: if n % 100 == 2 {
                    Life::For(Span::days(30))
                } else {
                    Life::Never
                },
                ..world.wish(owner, "x")
            };
            let (key, commit) = world.issued(wish);
            ids.push(key.id);
            world.sealed(commit)
        })
        .collect()
}

async fn import(world: &mut World, store: &dyn Store, owners: &[Owner], ids: &mut Vec<KeyId>) -> Duration {
    let writes = make(world, owners, ids, 1000);
    timed(async { drop(store.commit(writes).await.expect("keys")) }).await
}

/// The time of the first page of a hundred, with each filter.
async fn pages(world: &World, store: &dyn Store, owners: &[Owner], of: &str) {
    let text = |text: &str| KeyQuery {
        text: Some(text.to_owned()),
        ..KeyQuery::default()
    };
    let later = Moment::from_ms(world.now.ms() + 1);
    for (name, query) in [
        ("no filter", KeyQuery::default()),
        (
            "owner",
            KeyQuery {
                owners: Owners::These(vec![owners[0]]),
                ..KeyQuery::default()
            },
        ),
        (
            "two owners",
            KeyQuery {
                owners: Owners::These(owners[..2].to_vec()),
                ..KeyQuery::default()
            },
        ),
        (
            "active",
            KeyQuery {
                state: Some(StateFilter::Active { now: world.now }),
                ..KeyQuery::default()
            },
        ),
        (
            "expired",
            KeyQuery {
                state: Some(StateFilter::Expired { now: world.now }),
                ..KeyQuery::default()
            },
        ),
        (
            "scope",
            KeyQuery {
                scope: "orders:write".parse().ok(),
                ..KeyQuery::default()
            },
        ),
        (
            "tag",
            KeyQuery {
                tag: Tag::new("rare").ok(),
                ..KeyQuery::default()
            },
        ),
        ("word", text("live")),
        ("beginning", text("9")),
        ("word and beginning", text("live 9")),
        (
            "tag and owner",
            KeyQuery {
                tag: Tag::new("rare").ok(),
                owners: Owners::These(vec![owners[0]]),
                ..KeyQuery::default()
            },
        ),
        (
            "created by",
            KeyQuery {
                created_by: Some(world.operator.key),
                ..KeyQuery::default()
            },
        ),
        (
            "unused since",
            KeyQuery {
                unused_since: Some(later),
                ..KeyQuery::default()
            },
        ),
        (
            "expiring before",
            KeyQuery {
                expiring_before: Some(later.plus(Span::days(90))),
                ..KeyQuery::default()
            },
        ),
    ] {
        let mut best = Duration::MAX;
        let mut found = 0;
        for _ in 0..20 {
            let start = Instant::now();
            found = black_box(store.keys(world.acme.id, &query).await.expect("a page"))
                .entries
                .len();
            best = best.min(start.elapsed());
        }
        println!("page of {of} keys, {name}: {best:?}, {found} found");
    }
}

/// Processor time of threads so far: what is left of a figure when the machine has other things to do.
fn cpu(threads: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let spent = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        name.starts_with(threads)
            .then(|| spent.split(' ').next()?.parse::<u64>().ok())
            .flatten()
    });
    Duration::from_nanos(nanos.sum())
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    work.await;
    start.elapsed()
}

fn rate(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
