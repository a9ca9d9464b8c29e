//! The machine's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use cbdc_ledger::Timestamp;

/// The time that the machine's clock shows; 1970 if it is set before that.
pub fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
