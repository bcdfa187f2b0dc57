//! The writer thread: takes what waits, writes it in one transaction, and answers when that is durable.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::apply::{self, Tip};
use super::error::{Failure, Refusal};
use super::log::Log;
use super::prepare::Prepared;
use super::reader::closed;
use super::reserve::Reserve;
use super::{Place, Role};
use crate::{CommitError, EventNumber, StoreError, Write};

/// Most requests in one transaction.
const GROUP_MAX: usize = 256;
/// Most jobs that wait; those who bring more wait to bring them.
const WAITING_MAX: usize = 1024;
/// After so many groups in a row, work that is not urgent gets a turn even while commits wait.
const PATIENCE: u32 = 64;

type Numbers = Result<Vec<EventNumber>, CommitError>;
/// Tells whether the connection is still good.
type Errand = Box<dyn FnOnce(Result<&mut Connection, StoreError>) -> Health + Send>;

/// Whether something may be written when the disk is nearly full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// It must be tried.
    Needed,
    /// It waits until there is room again.
    CanWait,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    Doubtful,
}

enum Job {
    /// Commits that somebody waits for.
    Commit(Vec<Prepared>, oneshot::Sender<Numbers>),
    /// Anything else that writes, in a transaction of its own.
    Errand(Errand, Weight),
}

/// The way to the writer thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Job(…)")
    }
}

impl Writer {
    pub(super) fn start(
        place: Arc<Place>,
        connection: Connection,
        threads: &mut Vec<JoinHandle<()>>,
    ) -> Result<Self, StoreError> {
        let (sender, jobs) = mpsc::channel(WAITING_MAX);
        let mut desk = Desk {
            jobs,
            connection: Some(connection),
            later: VecDeque::new(),
            reserve: Reserve::beside(&place.path),
            log: Log::default(),
            place,
        };
        let thread = std::thread::Builder::new().name("sqlite-write".to_owned());
        let spawned = thread.spawn(move || desk.work());
        threads.push(spawned.map_err(|error| StoreError::Unavailable(error.to_string()))?);
        Ok(Self {
            jobs: Mutex::new(Some(sender)),
        })
    }

    /// Writes commits and waits until they are durable.
    pub(super) async fn commit(&self, writes: Vec<Write>) -> Numbers {
        // Texts are made here, in the caller's time: the one writer has better things to do.
        let prepared = writes.iter().map(Prepared::new).collect::<Result<_, StoreError>>()?;
        let (answer, answered) = oneshot::channel();
        self.send(Job::Commit(prepared, answer)).await?;
        answered.await.unwrap_or_else(|_| Err(CommitError::Uncertain(closed())))
    }

    /// Does something with the writer's connection when no commit waits.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        errand: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send_errand(errand, Weight::Needed).await
    }

    /// The same, for what waits until there is room on the disk.
    pub(super) async fn run_with_room<T: Send + 'static>(
        &self,
        errand: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.send_errand(errand, Weight::CanWait).await
    }

    async fn send_errand<T: Send + 'static>(
        &self,
        errand: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
        weight: Weight,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let errand: Errand = Box::new(move |connection| {
            let done = connection.and_then(errand);
            let health = if matches!(done, Err(StoreError::Unavailable(_))) {
                Health::Doubtful
            } else {
                Health::Good
            };
            drop(answer.send(done));
            health
        });
        self.send(Job::Errand(errand, weight)).await?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Waits until all that was brought before is written.
    pub(super) async fn finish(&self) {
        drop(self.run(|_| Ok(())).await);
    }

    /// Takes no more jobs; the thread ends when it has done those that wait.
    pub(super) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        let sender = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.ok_or_else(closed)?.send(job).await.map_err(|_| closed())
    }
}

/// What the writer thread has before it. The connection goes before the place, and with that the lock on the file.
struct Desk {
    jobs: mpsc::Receiver<Job>,
    later: VecDeque<(Errand, Weight)>,
    reserve: Reserve,
    log: Log,
    /// None after the disk failed, until it could be opened again.
    connection: Option<Connection>,
    place: Arc<Place>,
}

impl Desk {
    fn work(&mut self) {
        let mut groups_in_a_row = 0;
        loop {
            let group = self.gather();
            let idle = group.is_empty() || self.jobs.is_empty();
            if !group.is_empty() {
                self.commit(group);
                self.tend_log();
                groups_in_a_row += 1;
            }
            if (idle || groups_in_a_row > PATIENCE)
                && let Some((errand, weight)) = self.later.pop_front()
            {
                if weight == Weight::CanWait && !self.reserve.is_whole() {
                    errand(Err(StoreError::Unavailable("there is no room on the disk".to_owned())));
                } else if errand(self.connection()) == Health::Doubtful {
                    self.connection = None;
                }
                self.tend_log();
                groups_in_a_row = 0;
            } else if self.jobs.is_closed() && self.jobs.is_empty() && self.later.is_empty() {
                self.log.wait();
                return;
            }
        }
    }

    fn tend_log(&mut self) {
        if let Some(connection) = &self.connection {
            self.log.tend(connection, &self.place);
        }
    }

    /// The commits that wait now; waits for a job only where there is nothing else to do.
    fn gather(&mut self) -> Vec<(Vec<Prepared>, oneshot::Sender<Numbers>)> {
        let mut group = Vec::new();
        let mut next = if self.later.is_empty() {
            self.jobs.blocking_recv()
        } else {
            self.jobs.try_recv().ok()
        };
        while let Some(job) = next {
            match job {
                Job::Commit(writes, answer) => group.push((writes, answer)),
                Job::Errand(errand, weight) => self.later.push_back((errand, weight)),
            }
            if group.len() >= GROUP_MAX || self.later.len() >= WAITING_MAX {
                break;
            }
            next = self.jobs.try_recv().ok();
        }
        group
    }

    fn commit(&mut self, group: Vec<(Vec<Prepared>, oneshot::Sender<Numbers>)>) {
        let (requests, answers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        for (answer, numbers) in answers.into_iter().zip(self.write(&requests)) {
            // Who went away meanwhile is told by the record itself.
            drop(answer.send(numbers));
        }
    }

    /// The answer to each request.
    fn write(&mut self, requests: &[Vec<Prepared>]) -> Vec<Numbers> {
        // One at a time: a small revocation may find room where a group did not.
        let apart = |desk: &mut Self| requests.chunks(1).flat_map(|alone| desk.write(alone)).collect();
        if !self.reserve.is_whole() && !requests.iter().all(|request| must_not_wait(request)) {
            return match requests {
                [_] => vec![Err(CommitError::Full)],
                _ => apart(self),
            };
        }
        match self.transaction(requests) {
            Ok(answers) => answers,
            Err(Failure::Full | Failure::NotWritten(_)) if requests.len() > 1 => apart(self),
            Err(Failure::Full) if requests.iter().all(|request| must_not_wait(request)) => {
                self.reserve.spend();
                self.begin_log_anew();
                match self.transaction(requests) {
                    Ok(answers) => answers,
                    Err(failure) => requests.iter().map(|_| Err(failure.told())).collect(),
                }
            }
            Err(failure) => requests.iter().map(|_| Err(failure.told())).collect(),
        }
    }

    /// Copies the log into the database, so that it can be written anew from its beginning.
    fn begin_log_anew(&mut self) {
        self.log.wait();
        let copied = self.connection().and_then(|connection| {
            let pragma = "PRAGMA wal_checkpoint(RESTART)";
            Ok(connection.query_row(pragma, [], |row| row.get::<_, i64>(0))?)
        });
        // Without it there is what was kept back.
        if !matches!(copied, Ok(0)) {
            tracing::warn!(?copied, "the log could not be begun anew");
        }
    }

    /// Writes all requests in one transaction; a conflict of one is its own affair.
    fn transaction(&mut self, requests: &[Vec<Prepared>]) -> Result<Vec<Numbers>, Failure> {
        let connection = self
            .connection()
            .map_err(|error| Failure::NotWritten(error.to_string()))?;
        let answers = write_all(connection, requests).and_then(|answers| {
            // A lone request that conflicted has been rolled back already.
            if !connection.is_autocommit() {
                connection
                    .execute_batch("COMMIT")
                    .map_err(|error| Failure::of_commit(&error))?;
            }
            Ok(answers)
        });
        if let Err(failure) = &answers {
            tracing::error!(?failure, "a transaction was not written");
            // Where SQLite rolled back by itself there is nothing left to roll back.
            let rolled_back = connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok();
            if !rolled_back || matches!(failure, Failure::Uncertain(_)) {
                self.connection = None;
            }
        }
        answers
    }

    /// The connection; after the disk failed, a new one.
    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                self.log.wait();
                reopen(&self.place)?
            }
        };
        Ok(self.connection.insert(connection))
    }
}

/// What takes rights away, and must be possible when the disk is full.
const TAKING_AWAY: [&str; 7] = [
    "key.revoke",
    "key.suspend",
    "key.end_grace",
    "user.suspend",
    "team.suspend",
    "service.suspend",
    "project.suspend",
];

/// Whether every commit of a request takes rights away.
fn must_not_wait(request: &[Prepared]) -> bool {
    let taking_away = |commit: &Prepared| {
        let event = &commit.event;
        !event.refused && TAKING_AWAY.contains(&event.action.as_str())
    };
    request.iter().all(taking_away)
}

/// Opens the file again after the disk failed.
///
/// The system forgets a failed write after it told of it once. What the log still shows is therefore copied into the
/// database and made durable there, before anything is acknowledged that rests on it.
fn reopen(place: &Place) -> Result<Connection, StoreError> {
    let connection = place.connect(Role::Writer)?;
    let busy: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy == 0 {
        tracing::warn!("opened the database again after a failure of the disk");
        Ok(connection)
    } else {
        Err(StoreError::Unavailable(
            "readers are in the way of recovering from a failure of the disk".to_owned(),
        ))
    }
}

/// Writes all requests and leaves the transaction open.
///
/// Conflicts are rare, and a savepoint copies every page that is touched behind it: the first attempt does without.
fn write_all(connection: &Connection, requests: &[Vec<Prepared>]) -> Result<Vec<Numbers>, Failure> {
    run(connection, "BEGIN IMMEDIATE")?;
    let mut tip = read_tip(connection)?;
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        match write_one(connection, request, &mut tip) {
            Ok(numbers) => answers.push(Ok(numbers)),
            Err(Refusal::Conflict(error)) => {
                run(connection, "ROLLBACK")?;
                return if requests.len() == 1 {
                    Ok(vec![Err(error)])
                } else {
                    write_all_apart(connection, requests)
                };
            }
            Err(Refusal::Engine(error)) => return Err(Failure::before_commit(&error)),
        }
    }
    Ok(answers)
}

/// Writes all requests, each behind a savepoint, and leaves the transaction open.
fn write_all_apart(connection: &Connection, requests: &[Vec<Prepared>]) -> Result<Vec<Numbers>, Failure> {
    run(connection, "BEGIN IMMEDIATE")?;
    let mut tip = read_tip(connection)?;
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        run(connection, "SAVEPOINT request")?;
        let tip_before = tip;
        match write_one(connection, request, &mut tip) {
            Ok(numbers) => answers.push(Ok(numbers)),
            Err(Refusal::Conflict(error)) => {
                run(connection, "ROLLBACK TO request")?;
                tip = tip_before;
                answers.push(Err(error));
            }
            Err(Refusal::Engine(error)) => return Err(Failure::before_commit(&error)),
        }
        run(connection, "RELEASE request")?;
    }
    Ok(answers)
}

fn write_one(connection: &Connection, request: &[Prepared], tip: &mut Tip) -> Result<Vec<EventNumber>, Refusal> {
    request
        .iter()
        .map(|write| apply::write(connection, write, tip))
        .collect()
}

fn read_tip(connection: &Connection) -> Result<Tip, Failure> {
    Tip::read(connection).map_err(|error| Failure::before_commit(&error))
}

fn run(connection: &Connection, sql: &str) -> Result<usize, Failure> {
    let statement = connection.prepare_cached(sql);
    let done = statement.and_then(|mut statement| statement.execute([]));
    done.map_err(|error| Failure::before_commit(&error))
}
