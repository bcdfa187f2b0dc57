//! Whose seals the keeper believes: the present master key's, and those of the one before as long as rows are sealed anew.

use std::sync::Arc;

use arc_swap::ArcSwap;
use keyholt_core::audit::Noun;
use keyholt_core::bond::{Bond, Masters};
use keyholt_core::commit::Record;
use keyholt_core::key::{Key, KeyRow};
use keyholt_core::seal::{MasterKey, Seal, SealedBy, Sealer, Sealers};
use keyholt_core::secret::Age;
use keyholt_core::time::Moment;
use keyholt_store::{BrokenSeal, Store, StoreError, StoredRecord};

use super::{Keeper, OpenError, TRIES};

/// What seals are checked with.
pub(super) struct Seals {
    believed: ArcSwap<Sealers>,
    /// The check of the present master key.
    check: [u8; 32],
    /// The previous master key's, as long as that one is known: for what was handed out and comes back.
    previous: Option<Sealer>,
}

impl Seals {
    pub(super) fn new(masters: &Masters, bond: &Bond) -> Self {
        Self {
            believed: ArcSwap::from_pointee(bond.sealers(masters)),
            check: masters.present.check(),
            previous: masters.previous.as_ref().map(MasterKey::sealer),
        }
    }

    /// Whose seals are believed now.
    pub(super) fn believed(&self) -> Arc<Sealers> {
        self.believed.load_full()
    }

    /// Nothing is sealed with the previous master key any more: from now on its seals count no more than anybody's.
    pub(super) fn forget_previous(&self, present: &Sealer) {
        self.believed.store(Arc::new(Sealers::new(present.clone(), None)));
    }

    /// The previous master key's sealer, as long as that key is known.
    pub(super) fn previous(&self) -> Option<&Sealer> {
        self.previous.as_ref()
    }
}

/// Binds the store to the master keys, and tells how it is bound.
pub(super) async fn bind(store: &dyn Store, masters: &Masters) -> Result<Bond, OpenError> {
    for _ in 0..TRIES {
        let found = store.bond().await?;
        let bond = masters.tie(found.as_ref())?;
        if found == Some(bond) || store.rebind(found, bond).await? {
            return Ok(bond);
        }
        // Another node starts at the same moment: see what it made of it.
    }
    Err(StoreError::Unavailable("it is bound anew all the time".to_owned()).into())
}

impl Keeper {
    /// The record of a stored row, if it is as Keyholt wrote it. Whoever asks raises the alarm.
    pub(super) fn opened(&self, stored: &StoredRecord) -> Result<Record, BrokenSeal> {
        stored.opened(&self.seals.believed()).map(|(record, _)| record)
    }

    /// A stored key, if it is as Keyholt wrote it; raises an alarm if it is not.
    pub(super) fn genuine_key(&self, key: Key, seal: &Seal) -> Option<Key> {
        let id = key.id;
        let opened = key.opened(&self.seals.believed(), seal);
        if opened.is_none() {
            self.alarm(Noun::Key, &id.to_string());
        }
        opened.map(|(key, _)| key)
    }

    /// Whether the data still belong to this keeper's master key. Asked where a row is not as it would have written it.
    ///
    /// Another node may have been started with a new master key. Then no row is tampered with, and nothing that is written
    /// here would be believed there: this node knows nothing any more, and says so to everybody.
    pub(super) async fn is_still_bound(&self) -> Result<bool, StoreError> {
        let bond = self.store.bond().await?;
        let is_bound = bond.is_some_and(|bond| bond.check == self.seals.check);
        if !is_bound && self.progress.give_up() {
            tracing::error!(
                "the data belong to another master key by now; this node answers nothing until it is started with that one"
            );
        }
        Ok(is_bound)
    }
}

/// A row as the keyring takes it in: the digest that a secret had before is left out once no token can be tied to it.
pub(super) fn without_former(mut row: KeyRow<'_>, now: Moment) -> KeyRow<'_> {
    let is_former = row.retiring.is_some_and(|digest| digest.age() == Age::Former);
    if is_former && row.retiring_until.is_some_and(|until| until <= now.ms()) {
        (row.retiring, row.retiring_until) = (None, None);
    }
    row
}

/// Whether a row has to be sealed anew.
pub(super) fn is_previous(by: SealedBy) -> bool {
    by == SealedBy::Previous
}
