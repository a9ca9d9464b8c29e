//! Blocking look-ups: in the archive, or over all wallets.
//!
//! Each may use megabytes while it runs, so few run at once, and those of one tenant wait for each other: a caller that
//! asks for much makes nobody else wait for more than a few look-ups.

use cbdc_environment::thread;
use tokio::sync::Semaphore;

use crate::budget::Share;

/// Look-ups of this process that run at once.
const RUNNING_MAX: usize = 4;

static RUNNING: Semaphore = Semaphore::const_new(RUNNING_MAX);

/// The node stops: the look-up was not made.
#[derive(Debug)]
pub struct Stopping;

/// Runs a look-up on a blocking thread, once it is its turn.
pub async fn look_up<R: Send + 'static>(look: impl FnOnce() -> R + Send + 'static) -> Result<R, Stopping> {
    let line = Share::current().map(|share| share.look_ups());
    let own_turn = match line {
        Some(line) => Some(line.acquire_owned().await.map_err(|_| Stopping)?),
        None => None,
    };
    let turn = RUNNING.acquire().await.map_err(|_| Stopping)?;
    // Both permits stay with the look-up: it does not end when its caller gives up.
    let looked = thread::blocking(move || {
        let _turns = (own_turn, turn);
        look()
    });
    looked.await.map_err(|_| Stopping)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn few_run_at_once_even_if_their_callers_give_up() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let look = || {
            let (running, most) = (running.clone(), most.clone());
            look_up(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(5));
                running.fetch_sub(1, Ordering::SeqCst);
            })
        };
        for _ in 0..20 {
            let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), look()).await;
            drop(given_up);
        }
        futures::future::join_all((0..20).map(|_| look())).await;
        assert!(most.load(Ordering::SeqCst) <= RUNNING_MAX);
    }
}
