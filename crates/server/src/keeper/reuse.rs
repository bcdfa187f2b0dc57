//! Reuse: that a secret was shown which had been taken out of use is noted beside the answer, and written a moment later.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use keyholt_core::actor::Source;
use keyholt_core::id::KeyId;
use keyholt_core::reuse::{Reuse, reuse};
use keyholt_core::text::RequestKey;
use keyholt_core::time::{Moment, Span};
use keyholt_core::verify::Dossier;
use tokio::sync::Notify;

use super::Keeper;

/// The reuse of a key from one source is told once in this time.
const TOLD_EVERY: Span = Span::hours(1);
/// Most pairs of key and source that are remembered. Beyond it nothing more is told until an hour has passed for some.
const REMEMBERED_MAX: usize = 10_000;

/// What was reused from where, and whether it is told already.
#[derive(Default)]
pub(super) struct Reuses {
    noted: Mutex<HashMap<(KeyId, Option<IpAddr>), Noted>>,
    more: Notify,
}

#[derive(Clone, Copy)]
struct Noted {
    reuse: Reuse,
    at: Moment,
    is_told: bool,
}

impl Reuses {
    /// Notes a reuse, unless that is done. Nobody waits here: where somebody else is at it, the next one will do.
    fn note(&self, reuse: Reuse, address: Option<IpAddr>, at: Moment) {
        let Ok(mut noted) = self.noted.try_lock() else { return };
        let pair = (reuse.key, address);
        let is_due = noted.get(&pair).is_none_or(|noted| noted.is_over(at));
        if is_due && (noted.len() < REMEMBERED_MAX || noted.contains_key(&pair)) {
            let is_told = false;
            noted.insert(pair, Noted { reuse, at, is_told });
            self.more.notify_one();
        }
    }

    /// Until there is something to be told.
    pub(super) async fn noted(&self) {
        self.more.notified().await;
    }

    /// What is to be told, and forgets what is over.
    fn untold(&self, now: Moment) -> Vec<(Option<IpAddr>, Noted)> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|_, noted| !noted.is_told || !noted.is_over(now));
        let untold = noted.iter().filter(|(_, noted)| !noted.is_told);
        untold.map(|((_, address), noted)| (*address, *noted)).collect()
    }

    fn told(&self, told: &[(Option<IpAddr>, Noted)]) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, told) in told {
            if let Some(noted) = noted.get_mut(&(told.reuse.key, *address)) {
                noted.is_told = true;
            }
        }
    }
}

impl Noted {
    fn is_over(&self, now: Moment) -> bool {
        self.at.plus(TOLD_EVERY) <= now
    }
}

impl Keeper {
    /// Notes that a secret was shown which had been taken out of use, if that is why it was denied.
    pub(super) fn note_reuse(&self, dossier: &Dossier<'_>, now: Moment, address: Option<IpAddr>) {
        if let Some(reuse) = reuse(dossier, now) {
            self.reuses.note(reuse, address, now);
        }
    }

    /// Writes noted reuses to the audit trail. What cannot be written now is written later.
    pub async fn tell_reuses(&self) {
        let untold = self.reuses.untold(self.now());
        let Ok(request) = RequestKey::new("background") else {
            return;
        };
        if untold.is_empty() {
            return;
        }
        let event = |(address, noted): &(Option<IpAddr>, Noted)| {
            let source = Source {
                address: *address,
                request: request.clone(),
            };
            noted.reuse.told(source, noted.at)
        };
        match self.commit(untold.iter().map(event).collect()).await {
            Ok(()) => {
                self.reuses.told(&untold);
                for (address, Noted { reuse, .. }) in &untold {
                    let (key, secret) = (reuse.key, reuse.end.as_str());
                    tracing::warn!(%key, secret, ?address, "a secret was shown that had been taken out of use");
                }
            }
            Err(error) => tracing::debug!(%error, "that secrets were reused is told later"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyholt_core::id::{ProjectId, UserId};
    use keyholt_core::owner::Owner;
    use keyholt_core::reuse::End;
    use uuid::Uuid;

    fn reuse_of(key: u128) -> Reuse {
        Reuse {
            key: KeyId::from_uuid(Uuid::from_u128(key)),
            project: ProjectId::from_uuid(Uuid::from_u128(1)),
            owner: Owner::User(UserId::from_uuid(Uuid::from_u128(2))),
            end: End::Revoked,
        }
    }

    #[test]
    fn whoever_shows_ever_so_many_dead_secrets_takes_no_more_memory_than_that() {
        let reuses = Reuses::default();
        let start = Moment::from_ms(0);
        for key in 0..REMEMBERED_MAX as u128 + 10 {
            reuses.note(reuse_of(key), None, start);
        }
        let told = reuses.untold(start);
        assert_eq!(told.len(), REMEMBERED_MAX);
        reuses.told(&told);
        assert_eq!(reuses.untold(start.plus(Span::secs(59 * 60))).len(), 0);
        let later = start.plus(TOLD_EVERY);
        assert_eq!(reuses.untold(later).len(), 0, "what is told is forgotten");
        reuses.note(reuse_of(1), None, later);
        assert_eq!(reuses.untold(later).len(), 1, "and there is room again");
    }

    #[test]
    fn nobody_waits_to_note_a_reuse() {
        let reuses = Reuses::default();
        let now = Moment::from_ms(0);
        let busy = reuses.noted.lock().unwrap();
        reuses.note(reuse_of(1), None, now);
        drop(busy);
        assert_eq!(reuses.untold(now).len(), 0, "the next one will do");
        reuses.note(reuse_of(1), None, now);
        assert_eq!(reuses.untold(now).len(), 1);
    }
}
