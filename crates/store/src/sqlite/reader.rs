//! Reader threads: each has a connection of its own and takes questions from one bounded queue.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{Place, Role};
use crate::StoreError;

/// Most questions that wait; those who ask more wait to ask.
const WAITING_MAX: usize = 256;

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the reader threads.
#[derive(Debug)]
pub(super) struct Readers {
    questions: Mutex<Option<mpsc::Sender<Question>>>,
}

impl Readers {
    pub(super) fn start(
        place: &Arc<Place>,
        role: Role,
        count: usize,
        threads: &mut Vec<JoinHandle<()>>,
    ) -> Result<Self, StoreError> {
        let (sender, questions) = mpsc::channel(WAITING_MAX);
        let questions = Arc::new(Mutex::new(questions));
        for at in 0..count {
            let connection = place.connect(role)?;
            let (place, questions) = (Arc::clone(place), Arc::clone(&questions));
            let thread = std::thread::Builder::new().name(format!("sqlite-read-{at}"));
            let spawned = thread.spawn(move || {
                answer(&questions, &connection);
                // The lock on the file goes after the connection.
                drop(connection);
                drop(place);
            });
            threads.push(spawned.map_err(|error| StoreError::Unavailable(error.to_string()))?);
        }
        Ok(Self {
            questions: Mutex::new(Some(sender)),
        })
    }

    /// Asks a question and waits for the answer.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(Box::new(move |connection| {
            if !answer.is_closed() {
                // Who went away meanwhile needs no answer.
                drop(answer.send(question(connection)));
            }
        }))
        .await?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Has a thread do something with its connection.
    pub(super) async fn send(&self, question: Question) -> Result<(), StoreError> {
        let sender = self.questions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.ok_or_else(closed)?.send(question).await.map_err(|_| closed())
    }

    /// Takes no more questions; the threads end when they have answered those that wait.
    pub(super) fn close(&self) {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn answer(questions: &Mutex<mpsc::Receiver<Question>>, connection: &Connection) {
    loop {
        let next = questions.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match next {
            Some(question) => question(connection),
            None => return,
        }
    }
}

/// What is said after the store was closed.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}
