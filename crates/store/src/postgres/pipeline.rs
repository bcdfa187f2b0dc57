//! Several questions on one connection without waiting in between: sent in order, answered in order.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::future::BoxFuture;

/// Waits for all futures, and polls each of them for the first time in the order given.
///
/// A question goes out when its future is polled first, and here the order is the meaning: `BEGIN` before all else. The
/// usual joins promise no order. At every wake-up each unanswered question is asked again, so lists must be short.
pub(super) async fn in_order<T: Unpin>(mut futures: Vec<BoxFuture<'_, T>>) -> Vec<T> {
    let mut answers: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut waiting = false;
        for (future, answer) in futures.iter_mut().zip(&mut answers) {
            if answer.is_none() {
                match Pin::as_mut(future).poll(context) {
                    Poll::Ready(value) => *answer = Some(value),
                    Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn questions_are_asked_in_order_whichever_is_answered_first() {
        let asked = Mutex::new(Vec::new());
        let question = |number: usize| -> BoxFuture<'_, usize> {
            let asked = &asked;
            Box::pin(async move {
                asked.lock().unwrap().push(number);
                for _ in number..100 {
                    tokio::task::yield_now().await;
                }
                number
            })
        };
        let answers = in_order((0..100).map(question).collect()).await;
        let expected: Vec<usize> = (0..100).collect();
        assert_eq!(answers, expected);
        assert_eq!(*asked.lock().unwrap(), expected);
    }
}
