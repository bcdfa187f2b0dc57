//! The master key is replaced: what it made goes on working, is made anew bit by bit, and then the old one can go.

mod attacks;
mod story;

use std::sync::Arc;

use keyholt_core::bond::{BondError, Masters};
use keyholt_core::seal::MasterKey;
use keyholt_core::time::Span;
use keyholt_server::keeper::{Hanging, Keeper, OpenError, Parts};
use keyholt_store::{Sharing, Store};

use crate::house::{House, parts, source};

/// The house's own master key, by which everything begins.
const FIRST: u8 = 42;
const SECOND: u8 = 43;
const THIRD: u8 = 44;

fn masters(present: u8, previous: Option<u8>) -> Masters {
    Masters {
        present: MasterKey::new([present; 32]),
        previous: previous.map(|byte| MasterKey::new([byte; 32])),
    }
}

impl House {
    /// The same house after a restart with these master keys.
    async fn under(&self, present: u8, previous: Option<u8>) -> Self {
        self.try_under(Arc::clone(&self.store), present, previous)
            .await
            .unwrap()
    }

    async fn try_under(&self, store: Arc<dyn Store>, present: u8, previous: Option<u8>) -> Result<Self, OpenError> {
        let parts = Parts {
            masters: masters(present, previous),
            // Keepers after one another must not make the same ids and secrets.
            ..parts(
                Arc::clone(&store),
                Arc::clone(&self.clock),
                100 + u64::from(present) + u64::from(previous.unwrap_or(0)),
            )
        };
        Ok(Self {
            keeper: Arc::new(Keeper::open(parts).await?),
            store,
            ..self.clone()
        })
    }

    /// Lets the keeper seal all rows anew. Where other nodes could write, time has to pass until they cannot.
    async fn seal_anew(&self) {
        let keeper = Arc::clone(&self.keeper);
        let work = tokio::spawn(async move { keeper.seal_anew().await });
        while !work.is_finished() {
            if self.store.sharing() == Sharing::Shared {
                self.advance(Span::secs(1));
            }
            self.keeper.catch_up().await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        work.await.unwrap().unwrap();
        self.keeper.catch_up().await.unwrap();
    }

    async fn hanging(&self) -> Hanging {
        self.keeper.hanging(&self.olga()).await.unwrap()
    }

    /// How many secrets and passwords still hang on an earlier master key.
    async fn left(&self) -> (u64, u64) {
        let hanging = self.hanging().await;
        (hanging.digests, hanging.passwords)
    }

    fn recognises(&self, secret: &str) -> bool {
        self.keeper.authenticate(secret, source()).is_ok()
    }
}

fn bond_error<T>(opened: Result<T, OpenError>) -> BondError {
    match opened {
        Err(OpenError::Bond(error)) => error,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it started"),
    }
}
