//! CPU time of this process's threads: the current one's by its clock, all by name from `/proc/self/task`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time that this thread has used.
pub fn own() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// CPU µs of the living threads, summed over threads of one name; empty without `/proc`. The kernel cuts names at 15
/// bytes.
pub fn by_name_us() -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return sums };
    for thread in threads.flatten() {
        // A thread that has ended meanwhile has no files.
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).ok();
        let (Some(name), Some(schedule)) = (read("comm"), read("schedstat")) else { continue };
        let run_ns: f64 = schedule.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
        *sums.entry(name.trim().to_owned()).or_insert(0.0) += run_ns / 1_000.0;
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_named_threads_work_is_counted_under_its_name_and_by_its_own_clock() {
        let work = || {
            let mut sum = 0_u64;
            while own() < Duration::from_millis(20) {
                sum = (0..10_000_u64).fold(sum, |sum, number| sum.wrapping_mul(31).wrapping_add(number));
            }
            (sum, by_name_us())
        };
        let (_, seen) = std::thread::Builder::new().name("busy-one".into()).spawn(work).unwrap().join().unwrap();
        assert!(seen["busy-one"] >= 10_000.0, "{seen:?}");
    }
}
