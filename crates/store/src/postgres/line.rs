//! A connection that is kept up: opened again in the background whenever it breaks, and never waited for in vain.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row, Statement};

use super::address::Address;
use super::trouble;
use crate::{ANSWER_WITHIN, StoreError};

/// How long opening a connection may take, greeting and settings included.
const OPEN_WITHIN: Duration = Duration::from_secs(3);
/// The first pause before a connection is opened again.
const PAUSE_LEAST: Duration = Duration::from_millis(50);
/// The longest pause before a connection is opened again.
const PAUSE_MOST: Duration = Duration::from_millis(800);

/// What a connection is for; each has settings of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Duty {
    /// Commits.
    Write,
    /// Questions.
    Read,
    /// Usage counts, which may be lost in a power failure.
    Usage,
    /// Reading everything, which may take long as a whole.
    Load,
    /// Changing the schema, which may take long in one statement.
    Migrate,
    /// Writing a backup into an empty database.
    Fill,
}

impl Duty {
    /// Settings without which the connection is not used.
    fn required(self) -> &'static str {
        match self {
            // A node that stops in the middle of a transaction holds the feed's head: the server must end it, or every
            // other node waits for it.
            Self::Write => {
                "SET statement_timeout = '4s'; SET lock_timeout = '4s'; \
                 SET idle_in_transaction_session_timeout = '2s'; SET client_min_messages = 'error'; \
                 SELECT set_config('synchronous_commit', 'on', false) \
                 WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
            }
            Self::Read => {
                "SET statement_timeout = '4500ms'; SET lock_timeout = '2s'; SET client_min_messages = 'error'; \
                 SELECT set_config('synchronous_commit', 'on', false) \
                 WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')"
            }
            Self::Usage => {
                "SET statement_timeout = '4500ms'; SET lock_timeout = '2s'; SET client_min_messages = 'error'; \
                 SET synchronous_commit = off"
            }
            Self::Load => "SET statement_timeout = 0; SET client_min_messages = 'error'",
            Self::Fill => {
                "SET statement_timeout = 0; SET lock_timeout = '2s'; SET client_min_messages = 'error'; \
                 SET idle_in_transaction_session_timeout = '2s'"
            }
            Self::Migrate => {
                "SET statement_timeout = 0; SET lock_timeout = 0; SET client_min_messages = 'error'; \
                 SET idle_in_transaction_session_timeout = '2s'"
            }
        }
    }

    /// Settings that only make it faster, and that a relative of PostgreSQL may not know.
    fn wished(self) -> &'static [&'static str] {
        match self {
            // The writer looks rows up by index and nothing else. Its plans are made while the tables are still small,
            // and a scan that was right then would stay until statistics catch up.
            Self::Write => &[
                "SET plan_cache_mode = 'force_generic_plan'",
                "SET enable_seqscan = off",
                "SET enable_hashjoin = off",
                "SET enable_mergejoin = off",
                "SET jit = off",
            ],
            Self::Read | Self::Usage => &["SET jit = off"],
            Self::Load | Self::Migrate | Self::Fill => &[],
        }
    }
}

/// One open connection.
pub(super) struct Session {
    client: Client,
    statements: Mutex<HashMap<&'static str, Statement>>,
    waiting: AtomicUsize,
    condemned: Arc<Notify>,
    closed: watch::Receiver<bool>,
}

impl Session {
    /// Opens a connection.
    pub async fn open(address: &Address, duty: Duty) -> Result<Arc<Self>, StoreError> {
        match timeout(OPEN_WITHIN, Self::greet(address, duty)).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(error)) => Err(trouble::store_error(&error)),
            Err(_) => Err(trouble::silent(OPEN_WITHIN)),
        }
    }

    async fn greet(address: &Address, duty: Duty) -> Result<Arc<Self>, Error> {
        let (client, connection) = address.config.connect(address.tls.clone()).await?;
        let condemned = Arc::new(Notify::new());
        let (ended, closed) = watch::channel(false);
        let session = Arc::new(Self {
            client,
            statements: Mutex::default(),
            waiting: AtomicUsize::new(0),
            condemned: Arc::clone(&condemned),
            closed,
        });
        tokio::spawn(async move {
            tokio::select! {
                outcome = connection => if let Err(error) = outcome {
                    tracing::debug!(error = %trouble::words(&error), "a connection to PostgreSQL ended");
                },
                () = condemned.notified() => {}
            }
            // Dropped with the task: the socket closes, and whatever still waits for an answer is told so.
            let _ = ended.send(true);
        });
        session.client.batch_execute(duty.required()).await?;
        for wish in duty.wished() {
            if let Err(error) = session.client.batch_execute(wish).await
                && error.as_db_error().is_none()
            {
                return Err(error);
            }
        }
        Ok(session)
    }

    /// The connection itself, for what needs more than one question.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many questions are on the way.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether it is open still.
    pub fn is_up(&self) -> bool {
        !self.client.is_closed() && !*self.closed.borrow()
    }

    /// Gives the connection up: it cannot be known in which state it is.
    pub fn condemn(&self) {
        self.condemned.notify_one();
    }

    async fn closed(&self) {
        let mut closed = self.closed.clone();
        let _ = closed.wait_for(|closed| *closed).await;
    }

    /// A statement, prepared at its first use.
    pub async fn statement(&self, sql: &'static str) -> Result<Statement, Error> {
        let known = self
            .statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(sql)
            .cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        self.statements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(sql, statement.clone());
        Ok(statement)
    }

    /// Asks with a statement of the program, which is prepared once.
    pub async fn query(&self, sql: &'static str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, StoreError> {
        self.answer(async {
            let statement = self.statement(sql).await?;
            self.client.query(&statement, values).await
        })
        .await
    }

    /// Asks with a statement that was put together for this one question.
    pub async fn query_once(&self, sql: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Result<Vec<Row>, StoreError> {
        self.answer(self.client.query_typed(sql, values)).await
    }

    /// Changes with a statement of the program; tells how many rows it touched.
    pub async fn execute(&self, sql: &'static str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.statement(sql).await?;
        self.client.execute(&statement, values).await
    }

    /// Waits for an answer, but not longer than an answer may take.
    pub async fn answer<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let outcome = timeout(ANSWER_WITHIN, work).await;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        match outcome {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                if trouble::ends_session(&error) {
                    self.condemn();
                }
                Err(trouble::store_error(&error))
            }
            Err(_) => {
                self.condemn();
                Err(trouble::silent(ANSWER_WITHIN))
            }
        }
    }
}

/// A connection that is opened again whenever it breaks.
pub(super) struct Line {
    current: watch::Receiver<Option<Arc<Session>>>,
    keeper: JoinHandle<()>,
}

impl Line {
    /// Opens the connection; from then on it is kept up. The seed spreads the attempts of many nodes over time.
    pub async fn open(address: Arc<Address>, duty: Duty, seed: u64) -> Result<Self, StoreError> {
        let first = Session::open(&address, duty).await?;
        let (publish, current) = watch::channel(Some(first));
        let keeper = tokio::spawn(keep(address, duty, Pauses::new(seed), publish));
        Ok(Self { current, keeper })
    }

    /// The connection, if it is up.
    pub fn session(&self) -> Result<Arc<Session>, StoreError> {
        match &*self.current.borrow() {
            Some(session) if session.is_up() => Ok(Arc::clone(session)),
            _ => Err(trouble::down()),
        }
    }

    /// Closes the connection for good.
    pub fn hang_up(&self) {
        self.keeper.abort();
        if let Some(session) = &*self.current.borrow() {
            session.condemn();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hang_up();
    }
}

async fn keep(address: Arc<Address>, duty: Duty, mut pauses: Pauses, publish: watch::Sender<Option<Arc<Session>>>) {
    loop {
        let session = publish.borrow().clone();
        if let Some(session) = session {
            session.closed().await;
            publish.send_replace(None);
            tracing::warn!(?duty, "the connection to PostgreSQL is lost");
        }
        let attempt = Instant::now();
        match Session::open(&address, duty).await {
            Ok(session) => {
                pauses.restart();
                tracing::info!(?duty, "the connection to PostgreSQL is back");
                publish.send_replace(Some(session));
            }
            Err(error) => {
                tracing::debug!(?duty, %error, "PostgreSQL cannot be reached");
                // An attempt that took long was pause enough.
                let _ = timeout_at(attempt + pauses.next(), sleep(PAUSE_MOST * 2)).await;
            }
        }
    }
}

/// The pauses between attempts: doubling up to a limit, each shortened by chance so that nodes do not come in step.
struct Pauses {
    chance: u64,
    bound: Duration,
}

impl Pauses {
    fn new(seed: u64) -> Self {
        Self {
            chance: seed,
            bound: PAUSE_LEAST,
        }
    }

    fn restart(&mut self) {
        self.bound = PAUSE_LEAST;
    }

    fn next(&mut self) -> Duration {
        // SplitMix64: nobody gains by foretelling it.
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let half = self.bound / 2;
        let share = u32::try_from((mixed >> 33) & 0xFF).unwrap_or(0);
        let pause = half + half * share / 255;
        self.bound = (self.bound * 2).min(PAUSE_MOST);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ_between_nodes() {
        let (mut one, mut other) = (Pauses::new(1), Pauses::new(2));
        let ones: Vec<Duration> = (0..10).map(|_| one.next()).collect();
        let others: Vec<Duration> = (0..10).map(|_| other.next()).collect();
        assert_ne!(ones, others);
        assert!(ones.iter().all(|pause| *pause <= PAUSE_MOST));
        assert!(ones.first().is_some_and(|pause| *pause <= PAUSE_LEAST));
        assert!(ones.last().is_some_and(|pause| *pause >= PAUSE_MOST / 2));
        one.restart();
        assert!(one.next() <= PAUSE_LEAST);
    }
}
