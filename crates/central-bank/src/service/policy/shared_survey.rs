//! Answers that are linear in the number of wallets, computed once for all callers at the same time.
//!
//! 1. Callers wait in turn. An answer whose computation began after the request arrived is returned as it is: it is no
//!    older than the request.
//! 2. Otherwise the answer is computed anew, but only once [`PART`] times the last computation's duration has passed
//!    since it ended. So such answers take at most a twentieth of the ledger's time, however many callers there are,
//!    and where they take no time nobody waits.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// The pause after a computation, in durations of that computation.
const PART: u32 = 19;

/// One kind of answer.
pub struct SharedSurvey<R>(Mutex<Option<Answer<R>>>);

struct Answer<R> {
    began: Instant,
    ended: Instant,
    answer: R,
}

impl<R> Default for SharedSurvey<R> {
    fn default() -> Self {
        SharedSurvey(Mutex::new(None))
    }
}

impl<R: Clone> SharedSurvey<R> {
    /// An answer whose computation began no earlier than now. `compute` runs only if it is needed.
    pub async fn ask<E>(&self, compute: impl Future<Output = Result<R, E>>) -> Result<R, E> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some(last) = &*last {
            if last.began >= asked {
                return Ok(last.answer.clone());
            }
            let pause = last.ended.duration_since(last.began).saturating_mul(PART).min(Duration::from_secs(10));
            tokio::time::sleep_until((last.ended + pause).into()).await;
        }
        let began = Instant::now();
        let answer = compute.await?;
        *last = Some(Answer { began, ended: Instant::now(), answer: answer.clone() });
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_share_few_computations_and_nobody_gets_an_older_answer() {
        let (survey, computed, world) = (SharedSurvey::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let compute = async || {
            computed.fetch_add(1, Ordering::SeqCst);
            let seen = world.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok::<_, Infallible>(seen)
        };
        let ask = async || {
            let Ok(answer) = survey.ask(compute()).await;
            answer
        };
        futures::future::join_all((0..1_000).map(|_| ask())).await;
        assert!(computed.load(Ordering::SeqCst) <= 2, "{computed:?}");
        world.store(7, Ordering::SeqCst);
        assert_eq!(ask().await, 7);
    }
}
