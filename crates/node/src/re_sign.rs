//! Re-signing with a new sequence number, if another record took the first one.
//!
//! A node signs its own commands while others sign with the same key, or after a crash that made it forget the numbers
//! it had used. [`Reason::shows_sequence_taken`](cbdc_ledger::Reason) says whether its command may be re-signed; only a
//! refusal that shows it may lead to another signature here, since a record of unknown status could settle as well as
//! the new one.

use std::future::Future;

/// The attempts at one intent, including the first. A wallet makes more: its numbers come from a replica that may lag,
/// while a node takes its own from a list of those that are in use.
const ATTEMPTS_MAX: usize = 8;

/// The result of signing one record and submitting it.
pub enum Attempt<T> {
    /// Nothing more is signed.
    Done(T),
    /// The record has not settled and never will. The intent is re-signed; this is the answer if it was the last
    /// attempt.
    SignAgain(T),
    /// The record may have settled, and the intent has an id under which it takes effect once. It is asked for again
    /// under that id, which signs another record only if the first never settles; this is the answer if it was the last
    /// attempt.
    AskAgain(T),
}

/// Repeats `attempt`, which signs one record and submits it, until it is done or was made eight times.
pub async fn sign_until_done<T, A>(mut attempt: impl FnMut() -> A) -> T
where
    A: Future<Output = Attempt<T>>,
{
    let mut attempts = 1;
    loop {
        match attempt().await {
            Attempt::SignAgain(_) | Attempt::AskAgain(_) if attempts < ATTEMPTS_MAX => attempts += 1,
            Attempt::Done(answer) | Attempt::SignAgain(answer) | Attempt::AskAgain(answer) => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn signed_until_done(free_after: usize, again: fn(bool) -> Attempt<bool>) -> (usize, bool) {
        let mut signed = 0;
        let is_free = sign_until_done(|| {
            signed += 1;
            let is_free = signed > free_after;
            async move { if is_free { Attempt::Done(true) } else { again(false) } }
        });
        let is_free = is_free.await;
        (signed, is_free)
    }

    #[tokio::test]
    async fn an_intent_is_signed_again_only_until_a_number_is_free_and_eight_times_at_most() {
        for again in [Attempt::SignAgain, Attempt::AskAgain] {
            assert_eq!(signed_until_done(0, again).await, (1, true));
            assert_eq!(signed_until_done(3, again).await, (4, true));
            assert_eq!(signed_until_done(7, again).await, (8, true));
            assert_eq!(signed_until_done(8, again).await, (8, false));
        }
    }
}
