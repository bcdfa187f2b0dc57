//! What the keeper does by itself: follows other nodes' commits, writes usage down, forgets what is old.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keyholt_core::audit::Noun;
use keyholt_core::id::KeyId;
use keyholt_core::time::Span;
use keyholt_store::{EventNumber, FeedEntry, Limit, Sharing, StoreError, Touched};
use tokio::time::MissedTickBehavior;

use super::{Keeper, elapsed_ms};
use crate::keyring::ring::Integrity;

/// How often other nodes' commits are asked for.
const POLL: Duration = Duration::from_millis(50);
/// How often notes of usage are added up in memory.
const GATHER: Duration = Duration::from_millis(100);
/// How often old replays and hours of usage are forgotten.
const FORGET: Duration = Duration::from_secs(600);
/// How long an `Idempotency-Key` is remembered.
pub(super) const REPLAYS_KEPT: Span = Span::hours(24);

/// The keeper's background work, to be run beside the doors.
pub struct Background {
    /// How often usage is written.
    pub flush_every: Duration,
}

impl Background {
    /// Works until the future is dropped. Call [`Keeper::rest`] afterwards, so that no usage is lost.
    pub async fn run(self, keeper: Arc<Keeper>) {
        tokio::join!(
            follow(&keeper),
            gather(&keeper),
            flush(&keeper, self.flush_every),
            forget(&keeper)
        );
    }
}

async fn follow(keeper: &Keeper) {
    if keeper.freshness.sharing == Sharing::Alone {
        return;
    }
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reachable = true;
    loop {
        tick.tick().await;
        match keeper.catch_up().await {
            Ok(()) if !reachable => {
                reachable = true;
                tracing::info!("the store answers again");
            }
            Ok(()) => {}
            Err(error) if reachable => {
                reachable = false;
                tracing::warn!(%error, "the store does not answer; verifying goes on until the view is too old");
            }
            Err(_) => {}
        }
    }
}

async fn gather(keeper: &Keeper) {
    let mut tick = tokio::time::interval(GATHER);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        keeper.usage.gather();
    }
}

async fn flush(keeper: &Keeper, every: Duration) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = keeper.usage.flush(&*keeper.store).await {
            tracing::debug!(%error, "usage is kept in memory until the store takes it");
        }
    }
}

async fn forget(keeper: &Keeper) {
    let mut tick = tokio::time::interval(FORGET);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = keeper.store.forget_before(keeper.now().minus(REPLAYS_KEPT)).await {
            tracing::debug!(%error, "old request keys are forgotten later");
        }
    }
}

impl Keeper {
    /// Brings the keyring up to the newest commit, whoever wrote it, and proves thereby that the view is whole.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        loop {
            // Taken before asking: the answer is at least as new as the question.
            let asked = elapsed_ms(&*self.clock);
            let seen = self.freshness.seen.load(Ordering::Acquire);
            let entries = self.store.feed(EventNumber(seen), Limit::LARGEST).await?;
            let whole = entries.len() < Limit::LARGEST.entries();
            for entry in &entries {
                self.take_in(entry).await?;
                self.freshness.seen.store(entry.number.0, Ordering::Release);
            }
            if whole {
                self.freshness.proven_ms.store(asked, Ordering::Release);
                return Ok(());
            }
        }
    }

    async fn take_in(&self, entry: &FeedEntry) -> Result<(), StoreError> {
        for Touched { project, noun, id } in entry.touched.iter().copied() {
            let full = match noun {
                Noun::Key => match self.store.key(project, KeyId::from_uuid(id)).await? {
                    None => {
                        self.keyring.remove_key(KeyId::from_uuid(id));
                        Ok(())
                    }
                    Some((key, seal)) => {
                        let at_rest = key.at_rest();
                        let row = key.row(&at_rest);
                        let sealed = row.is_sealed_by(&self.sealer, &seal);
                        if !sealed {
                            self.alarm(Noun::Key, &id.to_string());
                        }
                        self.keyring
                            .put_key(&row, if sealed { Integrity::Sealed } else { Integrity::Broken })
                    }
                },
                noun => match self.store.record(project, noun, id).await? {
                    None => self.keyring.remove_record(noun, id),
                    Some(stored) => match stored.open(&self.sealer) {
                        Ok(record) => self.keyring.put(&record),
                        Err(_) => {
                            self.alarm(noun, &id.to_string());
                            self.keyring.remove_record(noun, id)
                        }
                    },
                },
            };
            if full.is_err() {
                tracing::error!("the keyring is full: a key that another node made is not known on this one");
            }
        }
        Ok(())
    }

    /// Writes down what is still in memory and closes the store.
    pub async fn rest(&self) {
        if let Err(error) = self.usage.flush(&*self.store).await {
            tracing::warn!(%error, "usage of the last moments could not be written");
        }
        if self.usage.lost() > 0 {
            tracing::warn!(
                lost = self.usage.lost(),
                "uses were not counted because the store did not take them for too long"
            );
        }
        self.store.close().await;
    }
}
