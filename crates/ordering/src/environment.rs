//! The environment of a member: its clock, its timers and its randomness.
//!
//! Everything in this crate that waits or draws asks here, so that a simulation can decide both. What is sent and
//! stored goes through the channels and the store that the caller passes in.

use std::fmt::Debug;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::time::Duration;

use tokio::time::Instant;

/// A timer that has been set.
pub type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Clock, timers and randomness.
pub trait Environment: Debug + Send + Sync + 'static {
    /// The time now, on a clock that never goes back.
    fn now(&self) -> Instant;

    /// A timer that ends at `time`.
    fn sleep_until(&self, time: Instant) -> Timer;

    /// A random number, any of 64 bits. It need not be unpredictable: it spreads members apart in time.
    fn random(&self) -> u64;
}

/// The machine's clock and timers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn sleep_until(&self, time: Instant) -> Timer {
        Box::pin(tokio::time::sleep_until(time))
    }

    fn random(&self) -> u64 {
        // Each `RandomState` has keys of its own.
        RandomState::new().build_hasher().finish()
    }
}

/// A timer that ends after `duration`.
pub(crate) fn sleep(environment: &dyn Environment, duration: Duration) -> Timer {
    environment.sleep_until(environment.now() + duration)
}

/// The result of `future`, unless `duration` passes first.
pub(crate) async fn within<T>(
    environment: &dyn Environment,
    duration: Duration,
    future: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        result = future => Some(result),
        () = sleep(environment, duration) => None,
    }
}
