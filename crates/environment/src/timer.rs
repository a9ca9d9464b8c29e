//! Timers finer than those of tokio, which count whole milliseconds and end about one late.

use std::time::Instant;

use crate::simulation::is_simulated;

/// Waits until `time`.
pub async fn until(time: Instant) {
    match is_simulated() {
        true => tokio::time::sleep_until(time.into()).await,
        false => drop(async_io::Timer::at(time).await),
    }
}
