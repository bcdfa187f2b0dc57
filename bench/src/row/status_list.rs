//! The status list among a million live tokens: how large it is, how long it takes to build, to take in and to look at.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use keyholt_core::actor::Actor;
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::text::Cause;
use keyholt_server::keeper::{Issuer, Keeper};
use keyholt_store::{Sqlite, Store};
use tokio::task::JoinSet;

use super::{Findings, Table};
use crate::data::{DataSet, Minter, Secrets, Seeded, keeper_on, source};
use crate::figure::{Figure, Limit, Unit, median, spread};
use crate::inside::processor_time;
use crate::offline::{List, Verifier, place};
use crate::setting::{Extent, Setting, free_address};

/// Keys that were revoked within the hour, one in so many; the last is what the limits are for.
const REVOKED: [Option<u64>; 3] = [None, Some(100), Some(20)];
/// Revokes under way at the same time.
const AT_ONCE: usize = 256;
/// A list is built anew at most so often.
const APART: Duration = Duration::from_millis(1_050);
/// Places that are looked at for the time of one look.
const LOOKS: u32 = 1_000_000;
/// Tokens whose places are read, to see that a list tells the truth.
const TRUE_TOKENS: usize = 100;
/// The stream of randomness of the places that are looked at.
const STREAM: u64 = u64::MAX - 2;
/// What a list may say of a revoked key: that its tokens are dead, or, where it shares its place, to ask.
const DEAD: [Option<u8>; 2] = [Some(1), Some(3)];

/// What was found with so many keys revoked.
#[derive(Default)]
struct Found {
    revoked: usize,
    bytes: usize,
    build_ms: Vec<f64>,
    take_in_ms: Vec<f64>,
    look_ns: Vec<f64>,
}

pub(super) fn measure(setting: &Setting) -> anyhow::Result<Findings> {
    let size = setting.extent.large;
    let copy = setting.set(size)?.copy(&setting.home)?;
    let all = setting.runtime.block_on(find(&copy.set, setting.extent.rounds))?;
    let worst = all.last().context("something was measured")?;
    let keys = Extent::word(size);
    let about = format!(
        "status list, {keys} live tokens, {} of their keys revoked within the hour",
        worst.revoked
    );
    let limited = |name: &str, what: &str, value, unit, most| {
        let what = format!("{about}: {what}");
        Figure::limited(&format!("status-list-{name}"), &what, value, unit, Limit::AtMost(most))
    };
    let told = |name: &str, what: &str, value, unit| {
        Figure::told(&format!("status-list-{name}"), &format!("{about}: {what}"), value, unit)
    };
    let figures = vec![
        limited(
            "size",
            "size as signed",
            worst.bytes as f64 / 1e3,
            Unit::Kilobytes,
            150.0,
        ),
        limited(
            "build",
            "building and signing it",
            median(&worst.build_ms),
            Unit::Milliseconds,
            50.0,
        ),
        told(
            "take-in",
            "checking its signature and unpacking it, once for each list",
            median(&worst.take_in_ms),
            Unit::Milliseconds,
        ),
        told(
            "check",
            "looking a token up in it",
            median(&worst.look_ns),
            Unit::Nanoseconds,
        ),
    ];
    let remark = "A token's place is that of its key, so the list grows with the keys that changed and not with the tokens that are \
                  about. Each list is built by the keeper after one more change, signed included, and read as a verifier reads it.";
    let columns = [
        "keys revoked within the hour",
        "kB",
        "build ms",
        "take in ms",
        "look up ns",
    ];
    let mut table = Table::new(
        format!("The status list of {keys} keys, a live token each"),
        &columns,
        remark,
    );
    for found in &all {
        table.line([
            found.revoked.to_string(),
            format!("{:.1}", found.bytes as f64 / 1e3),
            spread(&found.build_ms, 1),
            spread(&found.take_in_ms, 1),
            spread(&found.look_ns, 1),
        ]);
    }
    Ok(Findings {
        figures,
        tables: vec![table],
    })
}

async fn find(set: &DataSet, rounds: usize) -> anyhow::Result<Vec<Found>> {
    // Tokens of keys that are going to be revoked, and of some that are not.
    let minted = Minter::open(set, free_address()?, 2 * TRUE_TOKENS)
        .await?
        .mint(2 * TRUE_TOKENS)
        .await?;
    let (dying, living) = minted.tokens.split_at(TRUE_TOKENS);
    let mut doomed: Vec<KeyId> = minted
        .clients
        .iter()
        .take(TRUE_TOKENS)
        .map(|client| client.key)
        .collect();
    let spared: Vec<KeyId> = minted
        .clients
        .iter()
        .skip(TRUE_TOKENS)
        .map(|client| client.key)
        .collect();

    let store = Arc::new(Sqlite::open(&set.database())?);
    let keeper = Arc::new(keeper_on(Arc::clone(&store) as Arc<dyn Store>).await?);
    let olga = keeper.authenticate(&set.facts.operator, source()?)?;
    let project = set.facts.project;
    let most = REVOKED
        .iter()
        .flatten()
        .map(|share| set.facts.count / share)
        .max()
        .unwrap_or(0);
    let secrets = Secrets::new()?;
    // Some more: one for a change before each list, and those that are spared do not count.
    let enough = most + (rounds * REVOKED.len() + minted.clients.len()) as u64;
    for number in set.working(enough) {
        let key = keeper.subject(&secrets.text(number), &source()?)?.key();
        if !doomed.contains(&key) && !spared.contains(&key) {
            doomed.push(key);
        }
    }
    let mut doomed = doomed.into_iter();
    let issuer = keeper.issuer(project).context("the project")?;
    let mut all = Vec::new();
    let mut revoked = 0;
    for share in REVOKED {
        let wanted = share.map_or(0, |share| set.facts.count / share);
        let more = usize::try_from(wanted)?.saturating_sub(revoked);
        revoked += revoke(&keeper, &olga, project, doomed.by_ref().take(more)).await?;
        let mut found = Found::default();
        for _ in 0..rounds {
            let one = revoke(&keeper, &olga, project, doomed.by_ref().take(1)).await?;
            ensure!(one == 1, "no key is left to revoke");
            revoked += one;
            tokio::time::sleep(APART).await;
            found.round(&keeper, &issuer).await?;
        }
        found.revoked = revoked;
        all.push(found);
    }
    let list = found_by(&keeper, &issuer)?.take_in(&keeper.status_list(&issuer).await?)?;
    is_true(&list, dying, living)?;
    drop(keeper);
    store.close().await;
    Ok(all)
}

/// Revokes keys, many at a time, and tells how many there were.
async fn revoke(
    keeper: &Arc<Keeper>,
    olga: &Actor,
    project: ProjectId,
    keys: impl Iterator<Item = KeyId>,
) -> anyhow::Result<usize> {
    let (mut under_way, mut count) = (JoinSet::new(), 0);
    for key in keys {
        count += 1;
        if under_way.len() == AT_ONCE {
            done(under_way.join_next().await)?;
        }
        let (keeper, olga, cause) = (Arc::clone(keeper), olga.clone(), Cause::new("measured")?);
        under_way.spawn(async move { keeper.revoke_key(&olga, project, key, cause, None).await.map(drop) });
    }
    while let Some(one) = under_way.join_next().await {
        done(Some(one))?;
    }
    Ok(count)
}

fn done<E: Into<anyhow::Error>>(one: Option<Result<Result<(), E>, tokio::task::JoinError>>) -> anyhow::Result<()> {
    match one {
        Some(revoked) => revoked?.map_err(Into::into),
        None => Ok(()),
    }
}

impl Found {
    /// Builds a list, takes it in, looks at it.
    async fn round(&mut self, keeper: &Keeper, issuer: &Issuer) -> anyhow::Result<()> {
        let began = Instant::now();
        let text = keeper.status_list(issuer).await?;
        self.build_ms.push(began.elapsed().as_secs_f64() * 1e3);
        self.bytes = text.len();
        let verifier = found_by(keeper, issuer)?;
        let before = processor_time();
        let list = verifier.take_in(&text)?;
        self.take_in_ms.push((processor_time() - before) / 1e6);
        let mut random = Seeded::stream(STREAM);
        let places: Vec<usize> = (0..LOOKS).map(|_| random.word() as usize % list.places()).collect();
        let before = processor_time();
        for place in &places {
            black_box(list.at(*place));
        }
        self.look_ns.push((processor_time() - before) / f64::from(LOOKS));
        Ok(())
    }
}

/// A verifier that found an issuer's key where it is published.
fn found_by(keeper: &Keeper, issuer: &Issuer) -> anyhow::Result<Verifier> {
    let published = issuer.published(keeper.now());
    Verifier::new(&published.first().context("a published key")?.public)
}

/// Sees that a list tells of revoked keys, and says nothing bad of nearly all others.
fn is_true(list: &List, dying: &[String], living: &[String]) -> anyhow::Result<()> {
    for token in dying {
        let said = list.at(place(token)?);
        ensure!(
            DEAD.contains(&said),
            "the list says {said:?} of a token whose key was revoked"
        );
    }
    let mut good = 0;
    for token in living {
        let said = list.at(place(token)?);
        ensure!(said != Some(1), "the list says of a good token that it is dead");
        good += usize::from(said == Some(0));
    }
    ensure!(
        good * 10 >= living.len() * 9,
        "the list says of {good} of {} good tokens that they are",
        living.len()
    );
    Ok(())
}
