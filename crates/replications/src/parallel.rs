//! Runs on several threads, with results in the order of the runs for any number of threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of threads that the machine offers.
pub fn all_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Runs `run` for every number below `count` on at most `threads` threads.
pub fn map<T: Send>(count: usize, threads: usize, run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new((0..count).map(|_| None).collect::<Vec<Option<T>>>());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return;
                    }
                    let result = run(index);
                    results.lock().expect("no run panics while it stores its result")[index] = Some(result);
                }
            });
        }
    });
    let results = results.into_inner().expect("every thread has ended");
    results.into_iter().map(|result| result.expect("every index was taken once")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_runs() {
        let expected: Vec<usize> = (0..50).map(|index| index * index).collect();
        for threads in [1, 3, 16] {
            assert_eq!(map(50, threads, |index| index * index), expected);
        }
        assert!(map(0, 4, |index| index).is_empty());
    }
}
