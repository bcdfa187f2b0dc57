//! The one writer of this node: takes what is queued, writes it in one transaction, answers everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use keyholt_core::audit::Noun;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Statement};

use super::line::{Line, Session};
use super::pipeline::in_order;
use super::plan::{Expect, Grouping, Plan, Step};
use super::ready::{Doing, Ready};
use super::trouble;
use crate::{CommitError, EventNumber, StoreError};

/// Most requests that wait for the writer.
const QUEUE_MOST: usize = 4096;
/// Most requests in one transaction.
const BATCH_MOST: usize = 256;
/// Most statements on the way at once.
const PIPELINE_MOST: usize = 64;
/// How long a request may wait for its turn.
const TURN_WITHIN: Duration = Duration::from_secs(2);
/// How long after it was asked for a commit is written, all attempts included; a little less than
/// [`crate::ANSWER_WITHIN`], so that the answer still arrives in that time.
const WRITTEN_WITHIN: Duration = Duration::from_millis(4500);
/// How often a transaction is tried that another one stood in the way of.
const ATTEMPTS_MAX: u32 = 5;

type Answer = Result<Vec<EventNumber>, CommitError>;

/// Commits that are to be written in one transaction, and who waits for them.
struct Request {
    commits: Vec<Ready>,
    asked: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Request {
    fn answer(self, answer: Answer) {
        // Nobody there means that the caller gave up; to it the commit is uncertain.
        let _ = self.answer.send(answer);
    }
}

/// The writer's desk.
pub(super) struct Writer {
    queue: mpsc::Sender<Request>,
    line: Arc<Line>,
    closing: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the writer on its connection.
    pub fn start(line: Line) -> Self {
        let line = Arc::new(line);
        let (queue, waiting) = mpsc::channel(QUEUE_MOST);
        let (closing, closed) = watch::channel(false);
        let task = tokio::spawn(write_all(Arc::clone(&line), waiting, closed));
        Self {
            queue,
            line,
            closing,
            task: Mutex::new(Some(task)),
        }
    }

    /// Writes commits: all or none.
    pub async fn commit(&self, commits: Vec<Ready>) -> Answer {
        if commits.is_empty() {
            return Ok(Vec::new());
        }
        // While there is no connection the queue must not fill up with people who wait for nothing.
        self.line.session()?;
        let asked = Instant::now();
        let (answer, answered) = oneshot::channel();
        let request = Request { commits, asked, answer };
        match timeout_at(asked + TURN_WITHIN, self.queue.send(request)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(closed().into()),
            Err(_) => return Err(busy().into()),
        }
        // The writer answers every request or drops it with its task; it never waits without a limit itself.
        answered.await.unwrap_or_else(|_| Err(CommitError::Uncertain(closed())))
    }

    /// Whether the connection is up.
    pub fn is_up(&self) -> Result<(), StoreError> {
        self.line.session().map(drop)
    }

    /// Writes what is queued and ends.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
        self.line.hang_up();
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}

fn busy() -> StoreError {
    StoreError::Unavailable("too many changes are waiting".to_owned())
}

async fn write_all(line: Arc<Line>, mut waiting: mpsc::Receiver<Request>, mut closing: watch::Receiver<bool>) {
    let mut open = true;
    loop {
        let first = tokio::select! {
            biased;
            request = waiting.recv() => request,
            () = wait_for_close(&mut closing), if open => {
                // What is queued already is still written; nothing more comes in.
                open = false;
                waiting.close();
                continue;
            }
        };
        let Some(first) = first else { return };
        let mut batch = vec![first];
        while batch.len() < BATCH_MOST
            && let Ok(request) = waiting.try_recv()
        {
            batch.push(request);
        }
        let Ok(session) = line.session() else {
            batch
                .into_iter()
                .for_each(|request| request.answer(Err(trouble::down().into())));
            continue;
        };
        if let Err(why) = write_batch(&session, batch).await {
            session.condemn();
            tracing::warn!(%why, "the writer gives its connection up");
            // Whoever queued behind it has waited long enough.
            while let Ok(request) = waiting.try_recv() {
                request.answer(Err(StoreError::Unavailable(why.clone()).into()));
            }
        }
    }
}

async fn wait_for_close(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// Writes a batch and answers everybody in it; tells if the connection is lost.
async fn write_batch(session: &Session, batch: Vec<Request>) -> Result<(), String> {
    let (mut batch, late): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|request| request.asked.elapsed() < TURN_WITHIN);
    late.into_iter().for_each(|request| request.answer(Err(busy().into())));
    let Some(oldest) = batch.iter().map(|request| request.asked).min() else {
        return Ok(());
    };
    let deadline = oldest + WRITTEN_WITHIN;
    // Requests that wait at the same time have no order among them: changes of one kind side by side need fewer statements.
    batch.sort_by_key(|request| kind_of(&request.commits));
    let commits: Vec<&Ready> = batch.iter().flat_map(|request| &request.commits).collect();
    let alone = batch.len() == 1;
    let grouping = match commits.as_slice() {
        [only] if only.changes.len() <= 1 => Grouping::Apart,
        _ => Grouping::Together,
    };
    let outcome = write(session, &commits, grouping, deadline).await;
    drop(commits);
    match outcome {
        Ok(first) => {
            let mut next = first;
            for request in batch {
                let count = request.commits.len() as u64;
                request.answer(Ok((next..next + count).map(EventNumber).collect()));
                next += count;
            }
            Ok(())
        }
        Err(Failure::Refused(error)) if alone && grouping == Grouping::Apart => {
            batch
                .into_iter()
                .for_each(|request| request.answer(Err(error.clone().into())));
            Ok(())
        }
        Err(Failure::Refused(_)) => write_apart(session, batch, deadline).await,
        Err(Failure::Lost(why)) => {
            for request in batch {
                request.answer(Err(StoreError::Unavailable(why.clone()).into()));
            }
            Err(why)
        }
        Err(Failure::Unknown(why)) => {
            for request in batch {
                request.answer(Err(CommitError::Uncertain(StoreError::Unavailable(why.clone()))));
            }
            Err(why)
        }
    }
}

/// Writes each request in a transaction of its own, so that each gets its own answer.
async fn write_apart(session: &Session, batch: Vec<Request>, deadline: Instant) -> Result<(), String> {
    let mut lost = None;
    for request in batch {
        if let Some(why) = &lost {
            request.answer(Err(StoreError::Unavailable(String::clone(why)).into()));
            continue;
        }
        let commits: Vec<&Ready> = request.commits.iter().collect();
        let count = commits.len() as u64;
        match write(session, &commits, Grouping::Apart, deadline).await {
            Ok(first) => request.answer(Ok((first..first + count).map(EventNumber).collect())),
            Err(Failure::Refused(error)) => request.answer(Err(error.into())),
            Err(Failure::Lost(why)) => {
                request.answer(Err(StoreError::Unavailable(why.clone()).into()));
                lost = Some(why);
            }
            Err(Failure::Unknown(why)) => {
                request.answer(Err(CommitError::Uncertain(StoreError::Unavailable(why.clone()))));
                lost = Some(why);
            }
        }
    }
    lost.map_or(Ok(()), Err)
}

fn kind_of(commits: &[Ready]) -> u8 {
    let all = |wanted: Doing| {
        commits
            .iter()
            .flat_map(|commit| &commit.changes)
            .all(|change| change.doing == wanted)
    };
    match (all(Doing::Insert), all(Doing::Replace)) {
        (true, _) => 0,
        (false, true) => 1,
        (false, false) => 2,
    }
}

/// Why a transaction came to nothing, or to nobody knows what.
enum Failure {
    /// Something stands against it; the connection is fine.
    Refused(Refusal),
    /// The connection is of no more use, and nothing was written.
    Lost(String),
    /// The connection is of no more use, and it is not known whether it was written.
    Unknown(String),
}

/// What stands against a commit; unlike [`CommitError`] it can be told to several.
#[derive(Clone)]
enum Refusal {
    Stale(Noun),
    HandleTaken(Noun),
    SecretTaken,
    StaticTaken,
    ReplayTaken,
    TooManyKeys,
    MakerEnded,
    Full,
    Passing(String),
    Other(String),
}

impl From<Refusal> for CommitError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Stale(noun) => Self::Stale { noun },
            Refusal::HandleTaken(noun) => Self::HandleTaken { noun },
            Refusal::SecretTaken => Self::SecretTaken,
            Refusal::StaticTaken => Self::StaticTaken,
            Refusal::ReplayTaken => Self::ReplayTaken,
            Refusal::TooManyKeys => Self::TooManyKeys,
            Refusal::MakerEnded => Self::MakerEnded,
            Refusal::Full => Self::Full,
            Refusal::Passing(why) | Refusal::Other(why) => StoreError::Unavailable(why).into(),
        }
    }
}

impl Refusal {
    fn told(told: &DbError, noun: Noun) -> Self {
        let why = format!("{} ({})", told.message(), told.code().code());
        match (told.code(), told.constraint()) {
            (code, Some("records_handle")) if *code == SqlState::UNIQUE_VIOLATION => Self::HandleTaken(noun),
            (code, Some("records_id" | "keys_id")) if *code == SqlState::UNIQUE_VIOLATION => Self::Stale(noun),
            (code, Some("keys_current" | "keys_retiring")) if *code == SqlState::UNIQUE_VIOLATION => Self::SecretTaken,
            (code, Some("keys_two_secrets")) if *code == SqlState::CHECK_VIOLATION => Self::SecretTaken,
            (code, Some("keys_static")) if *code == SqlState::UNIQUE_VIOLATION => Self::StaticTaken,
            (code, Some("replays_request")) if *code == SqlState::UNIQUE_VIOLATION => Self::ReplayTaken,
            (code, _) if *code == SqlState::DISK_FULL => Self::Full,
            _ if trouble::is_passing(told) => Self::Passing(why),
            _ => Self::Other(why),
        }
    }
}

/// Writes commits in one transaction; returns the number of the first.
async fn write(session: &Session, commits: &[&Ready], grouping: Grouping, deadline: Instant) -> Result<u64, Failure> {
    let plan = Plan::new(commits, grouping);
    for attempt in 1.. {
        if Instant::now() >= deadline {
            return Err(Failure::Refused(Refusal::Other(
                "too many changes are waiting".to_owned(),
            )));
        }
        let committing = AtomicBool::new(false);
        let outcome = timeout_at(deadline, transact(session, &plan, &committing)).await;
        match outcome {
            Ok(Err(Failure::Refused(Refusal::Passing(_)))) if attempt < ATTEMPTS_MAX => {}
            Ok(outcome) => return outcome.map(|head| head - commits.len() as u64 + 1),
            Err(_) => {
                let why = format!("PostgreSQL did not answer within {} ms", WRITTEN_WITHIN.as_millis());
                // Without a COMMIT the server undoes everything when it sees that the connection is gone.
                return Err(if committing.load(Ordering::Relaxed) {
                    Failure::Unknown(why)
                } else {
                    Failure::Lost(why)
                });
            }
        }
    }
    Err(Failure::Lost("no attempt was made".to_owned()))
}

async fn transact(session: &Session, plan: &Plan<'_>, committing: &AtomicBool) -> Result<u64, Failure> {
    let client = session.client();
    let mut statements = Vec::with_capacity(plan.steps.len());
    for (step, noun) in &plan.steps {
        let prepared = session
            .statement(step.sql)
            .await
            .map_err(|error| stopped(&error, *noun))?;
        statements.push(prepared);
    }
    let mut head = 0;
    let mut steps = plan.steps.iter().zip(&statements).peekable();
    let mut begun = false;
    while steps.peek().is_some() {
        let mut nouns = Vec::with_capacity(PIPELINE_MOST);
        let mut questions: Vec<BoxFuture<'_, Result<Told, Error>>> = Vec::with_capacity(PIPELINE_MOST + 2);
        if !begun {
            begun = true;
            questions.push(Box::pin(async move {
                client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
                Ok(Told::Fine)
            }));
            nouns.push(Noun::Setup);
        }
        for ((step, noun), statement) in steps.by_ref().take(PIPELINE_MOST) {
            questions.push(Box::pin(ask(session, step, statement)));
            nouns.push(*noun);
        }
        if steps.peek().is_none() {
            questions.push(Box::pin(async move {
                // A COMMIT that waits for a synchronous standby must not be told off by a time-out: the server would then
                // report success without the standby.
                client.batch_execute("SET LOCAL statement_timeout = 0").await?;
                Ok(Told::Fine)
            }));
            nouns.push(Noun::Setup);
        }
        let answers = in_order(questions).await;
        for (answer, noun) in answers.into_iter().zip(nouns) {
            let refusal = match answer {
                Ok(Told::Fine) => continue,
                Ok(Told::Head(number)) => {
                    head = number;
                    continue;
                }
                Ok(Told::Stale) => Refusal::Stale(noun),
                Ok(Told::Clash) => Refusal::SecretTaken,
                Ok(Told::TooMany) => Refusal::TooManyKeys,
                Ok(Told::Ended) => Refusal::MakerEnded,
                Err(error) => match stopped(&error, noun) {
                    Failure::Refused(refusal) => refusal,
                    lost => return Err(lost),
                },
            };
            client.batch_execute("ROLLBACK").await.map_err(|error| lost(&error))?;
            return Err(Failure::Refused(refusal));
        }
    }
    committing.store(true, Ordering::Relaxed);
    client.batch_execute("COMMIT").await.map_err(|error| {
        match error.as_db_error() {
            // An error short of the end of the session is only ever raised before the commit is on disk.
            Some(told) if !trouble::is_last_word(told) && told.code().code() != "40003" => {
                Failure::Refused(Refusal::told(told, Noun::Setup))
            }
            _ => Failure::Unknown(trouble::words(&error)),
        }
    })?;
    Ok(head)
}

/// What an error before the COMMIT means.
fn stopped(error: &Error, noun: Noun) -> Failure {
    match error.as_db_error() {
        Some(told) if !trouble::ends_session(error) => Failure::Refused(Refusal::told(told, noun)),
        _ => lost(error),
    }
}

fn lost(error: &Error) -> Failure {
    Failure::Lost(trouble::words(error))
}

/// What the server said to one statement.
enum Told {
    Fine,
    Head(u64),
    Stale,
    Clash,
    TooMany,
    Ended,
}

async fn ask(session: &Session, step: &Step<'_>, statement: &Statement) -> Result<Told, Error> {
    let values: Vec<&(dyn ToSql + Sync)> = step.values.iter().map(|value| &**value as _).collect();
    let client = session.client();
    Ok(match &step.expect {
        Expect::Anything => {
            client.execute(statement, &values).await?;
            Told::Fine
        }
        Expect::Exactly(rows) => {
            if client.execute(statement, &values).await? == *rows {
                Told::Fine
            } else {
                Told::Stale
            }
        }
        Expect::Head => {
            let number: i64 = client.query_one(statement, &values).await?.try_get(0)?;
            Told::Head(number.cast_unsigned())
        }
        Expect::NoRow => match client.query(statement, &values).await?.is_empty() {
            true => Told::Fine,
            false => Told::Clash,
        },
        Expect::NoneEnded => match client.query(statement, &values).await?.is_empty() {
            true => Told::Fine,
            false => Told::Ended,
        },
        Expect::AtMost(allowed) => {
            let mut within = true;
            for (row, most) in client.query(statement, &values).await?.iter().zip(allowed) {
                within &= row.try_get::<_, i64>(0)? <= *most;
            }
            if within { Told::Fine } else { Told::TooMany }
        }
    })
}
