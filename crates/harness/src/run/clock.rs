//! Wall-clock time.

use std::time::{SystemTime, UNIX_EPOCH};

/// The validity of payments signed now, ms.
pub(super) const VALIDITY_MS: u64 = 20 * 60 * 60 * 1_000;

/// Now, in ms since 1970.
pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
