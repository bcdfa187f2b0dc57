//! What the keeper does by itself: follows other nodes' commits, writes usage down, forgets what is old.

use std::sync::Arc;
use std::time::Duration;

use keyholt_core::audit::Noun;
use keyholt_core::id::KeyId;
use keyholt_core::key::Key;
use keyholt_core::seal::Seal;
use keyholt_core::time::Span;
use keyholt_store::{FeedEntry, Limit, StoreError, TimeKept, Touched};
use tokio::time::MissedTickBehavior;

use super::usage::Pace;
use super::{Keeper, elapsed_ms};
use crate::keyring::ring::Integrity;
use crate::keyring::table::Full;

/// How often other nodes' commits are asked for.
const POLL: Duration = Duration::from_millis(50);
/// How often notes of usage are added up in memory.
const GATHER: Duration = Duration::from_millis(100);
/// How often old replays and hours of usage are forgotten.
const FORGET: Duration = Duration::from_secs(600);
/// How often signing keys are looked after, and recalled tokens forgotten.
const TEND: Duration = Duration::from_secs(60);
/// How often it is written down how late it is. A restart with a clock that was set back may lose so much of the time.
const KEEP_TIME: Duration = Duration::from_secs(60);
/// How often at most it is written down which secrets were reused.
const TELL: Duration = Duration::from_millis(100);
/// When that is tried again which could not be written.
const TELL_AGAIN: Duration = Duration::from_secs(1);
/// How often the digests of keys that were shown are renewed.
const RENEW: Duration = Duration::from_millis(500);
/// How often sealing anew is begun again where it was cut short.
const SEAL_ANEW: Duration = Duration::from_secs(10);
/// How long an `Idempotency-Key` is remembered.
pub(super) const REPLAYS_KEPT: Span = Span::hours(24);

/// The keeper's background work, to be run beside the doors.
pub struct Background {
    /// How often usage is written, or less often where that takes a noticeable share of the machine.
    pub flush_every: Duration,
}

impl Background {
    /// Works until the future is dropped. Call [`Keeper::rest`] afterwards, so that no usage is lost.
    pub async fn run(self, keeper: Arc<Keeper>) {
        tokio::join!(
            follow(&keeper),
            gather(&keeper),
            flush(&keeper, self.flush_every),
            forget(&keeper),
            tend(&keeper),
            keep_time(&keeper),
            tell(&keeper),
            renew(&keeper),
            seal_anew(&keeper)
        );
    }
}

async fn follow(keeper: &Keeper) {
    keeper.progress.until_following().await;
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
        if let Err(error) = keeper.usage.flush(&*keeper.store, &keeper.keyring, Pace::Steady).await {
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
        if let Err(error) = keeper.forget_sessions().await {
            tracing::debug!(%error, "old sessions are forgotten later");
        }
    }
}

async fn tend(keeper: &Keeper) {
    let mut tick = tokio::time::interval(TEND);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = keeper.tend_signing_keys().await {
            tracing::warn!(%error, "signing keys are looked after later");
        }
        keeper.keyring.date_turns(keeper.now());
        if let Err(error) = keeper.forget_recalled().await {
            tracing::debug!(%error, "recalled tokens are forgotten later");
        }
    }
}

async fn renew(keeper: &Keeper) {
    let mut tick = tokio::time::interval(RENEW);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = keeper.renew_shown().await {
            tracing::debug!(%error, "digests are renewed when their keys are shown again");
        }
    }
}

async fn seal_anew(keeper: &Keeper) {
    let mut tick = tokio::time::interval(SEAL_ANEW);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = keeper.seal_anew().await {
            tracing::warn!(%error, "what the previous master key sealed is sealed anew later");
        }
    }
}

async fn keep_time(keeper: &Keeper) {
    // Not at once: a clock that is wrong when the machine starts may be put right in the first minute.
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + KEEP_TIME, KEEP_TIME);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        keeper.keep_time().await;
    }
}

async fn tell(keeper: &Keeper) {
    let mut tick = tokio::time::interval(TELL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // In vain only where something is left over from before.
        let _ = tokio::time::timeout(TELL_AGAIN, keeper.reuses.noted()).await;
        keeper.tell_reuses().await;
    }
}

impl Keeper {
    /// Writes down how late it is.
    async fn keep_time(&self) {
        if let Err(error) = self.store.keep_time(self.now(), TimeKept::Onward).await {
            tracing::debug!(%error, "how late it is, is written down later");
        }
    }

    /// Brings the keyring up to the newest commit, whoever wrote it, and proves thereby that the view is whole.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        loop {
            // Taken before asking: the answer is at least as new as the question.
            let asked = elapsed_ms(&*self.clock);
            let seen = self.progress.seen();
            let entries = self.store.feed(seen, Limit::LARGEST).await?;
            let whole = entries.len() < Limit::LARGEST.entries();
            for entry in &entries {
                // What was written here is known already.
                if !self.progress.has(entry.number) {
                    self.take_in(entry).await?;
                }
                self.progress.seen_up_to(entry.number);
            }
            if whole {
                self.progress.proven_at(asked);
                return Ok(());
            }
        }
    }

    async fn take_in(&self, entry: &FeedEntry) -> Result<(), StoreError> {
        for touched in &entry.touched {
            let full = match touched.noun {
                Noun::Key => self.take_in_key(touched).await?,
                _ => self.take_in_record(touched).await?,
            };
            if full.is_err() {
                tracing::error!("the keyring is full: a key that another node made is not known on this one");
            }
        }
        Ok(())
    }

    async fn take_in_key(&self, touched: &Touched) -> Result<Result<(), Full>, StoreError> {
        let id = KeyId::from_uuid(touched.id);
        let turn = self.progress.begin();
        let stored = self.store.key(touched.project, id).await?;
        let stored = match stored {
            Some((key, seal)) => Some(self.as_it_is(key, &seal).await?),
            None => None,
        };
        Ok(turn.apply(|arrivals| match &stored {
            None => {
                arrivals.goes(touched.id);
                self.keyring.remove_key(id);
                Ok(())
            }
            Some(_) if arrivals.is_gone(touched.id) => Ok(()),
            Some((key, integrity)) => self.keyring.put_key(&key.row(&key.at_rest()), *integrity),
        }))
    }

    /// A key that another node wrote. Where it is not as Keyholt writes keys, this may be the node that is wrong.
    async fn as_it_is(&self, key: Key, seal: &Seal) -> Result<(Key, Integrity), StoreError> {
        if let Some((key, _)) = key.clone().opened(&self.seals.believed(), seal) {
            return Ok((key, Integrity::Sealed));
        }
        if !self.is_still_bound().await? {
            return Err(StoreError::Unavailable("it belongs to another master key".to_owned()));
        }
        self.alarm(Noun::Key, &key.id.to_string());
        Ok((key, Integrity::Broken))
    }

    async fn take_in_record(&self, touched: &Touched) -> Result<Result<(), Full>, StoreError> {
        let Touched { project, noun, id } = *touched;
        let turn = self.progress.begin();
        let stored = self.store.record(project, noun, id).await?;
        let opened = stored.map(|stored| self.opened(&stored));
        if matches!(opened, Some(Err(_))) && !self.is_still_bound().await? {
            return Err(StoreError::Unavailable("it belongs to another master key".to_owned()));
        }
        Ok(turn.apply(|arrivals| match opened {
            None => {
                arrivals.goes(id);
                self.keyring.remove_record(noun, id)
            }
            Some(_) if arrivals.is_gone(id) => Ok(()),
            Some(Ok(record)) => self.keyring.put(&record),
            Some(Err(_)) => {
                self.alarm(noun, &id.to_string());
                self.keyring.remove_record(noun, id)
            }
        }))
    }

    /// Writes down what is still in memory and closes the store.
    pub async fn rest(&self) {
        if let Err(error) = self.usage.flush(&*self.store, &self.keyring, Pace::AtOnce).await {
            tracing::warn!(%error, "usage of the last moments could not be written");
        }
        self.tell_reuses().await;
        self.keep_time().await;
        if self.usage.lost() > 0 {
            tracing::warn!(
                lost = self.usage.lost(),
                "uses were not counted because the store did not take them for too long"
            );
        }
        self.store.close().await;
    }
}
