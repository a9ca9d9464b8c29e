//! Answers that are linear in the number of wallets, computed once for all callers at the same time.
//!
//! 1. Callers wait in turn. An answer whose computation began after the request arrived is returned as it is: it is no
//!    older than the request.
//! 2. Otherwise the answer is computed anew, but only once [`PART`] times the last computation's duration has passed
//!    since it ended. So such answers take at most a twentieth of the ledger's time, however many callers there are,
//!    and where they take no time nobody waits.
//! 3. A computation that has begun runs to its end and counts, even if it fails or its caller gives up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// The pause after a computation, in durations of that computation.
const PART: u32 = 19;
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// One kind of answer.
pub struct SharedSurvey<R>(Arc<Mutex<Option<Last<R>>>>);

/// The last computation.
struct Last<R> {
    began: Instant,
    ended: Instant,
    /// `None` where it failed.
    answer: Option<R>,
}

impl<R> Last<R> {
    /// The earliest start of the next computation.
    fn next_at(&self) -> Instant {
        self.ended + self.ended.duration_since(self.began).saturating_mul(PART).min(PAUSE_MAX)
    }
}

impl<R> Default for SharedSurvey<R> {
    fn default() -> Self {
        SharedSurvey(Arc::default())
    }
}

impl<R: Clone + Send + 'static> SharedSurvey<R> {
    /// An answer whose computation began no earlier than now; `None` if the node stops. `compute` runs only if it is
    /// needed.
    pub async fn ask<E: Send + 'static>(
        &self,
        compute: impl Future<Output = Result<R, E>> + Send + 'static,
    ) -> Option<Result<R, E>> {
        let asked = Instant::now();
        let mut last = self.0.clone().lock_owned().await;
        if let Some(last) = &*last {
            if let Some(answer) = last.answer.as_ref().filter(|_| last.began >= asked) {
                return Some(Ok(answer.clone()));
            }
            tokio::time::sleep_until(last.next_at().into()).await;
        }
        // The computation takes its turn along.
        let computing = tokio::spawn(async move {
            let began = Instant::now();
            let answer = compute.await;
            *last = Some(Last { began, ended: Instant::now(), answer: answer.as_ref().ok().cloned() });
            answer
        });
        computing.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_share_few_computations_and_nobody_gets_an_older_answer() {
        let survey = SharedSurvey::default();
        let (computed, world) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let ask = async || {
            let (computed, world) = (computed.clone(), world.clone());
            let compute = async move {
                computed.fetch_add(1, Ordering::SeqCst);
                let seen = world.load(Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
                Ok::<_, Infallible>(seen)
            };
            let Ok(answer) = survey.ask(compute).await.unwrap();
            answer
        };
        futures::future::join_all((0..1_000).map(|_| ask())).await;
        assert!(computed.load(Ordering::SeqCst) <= 2, "{computed:?}");
        world.store(7, Ordering::SeqCst);
        assert_eq!(ask().await, 7);
    }

    #[tokio::test]
    async fn whoever_gives_up_or_fails_does_not_shorten_the_pause() {
        let (survey, computed) = (SharedSurvey::default(), Arc::<AtomicUsize>::default());
        let compute = |fails: bool| {
            let computed = computed.clone();
            async move {
                computed.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(100)).await;
                if fails { Err("it failed") } else { Ok(()) }
            }
        };
        // The pause after the first computation is 1.9 s: all of these are within it.
        for round in 0..20 {
            drop(tokio::time::timeout(Duration::from_millis(5), survey.ask(compute(round % 2 == 0))).await);
        }
        assert_eq!(computed.load(Ordering::SeqCst), 1);
        let last = loop {
            if let Some(last) = survey.0.lock().await.take() {
                break last;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(last.answer.is_none() && last.next_at() - last.ended >= last.ended - last.began);
    }
}
