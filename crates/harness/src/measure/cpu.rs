//! CPU time of processes, from `/proc/PID/stat`: user and system, all threads, living and joined; and of the whole
//! machine, from `/proc/stat`, which shows whether other programs used it meanwhile.
//!
//! The kernel counts in ticks of 10 ms: over a run of seconds the error is below one part in a hundred. A process that
//! is killed and restarted is two processes; the first is read before it ends.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

/// Linux reports these times in ticks of 1/100 s to user space on every architecture (`USER_HZ`).
const TICK_US: u64 = 10_000;

/// The reason why a process's CPU time could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// There is no such process, or no `/proc`.
    #[error("The CPU time of process {process} cannot be read from /proc: {source}.")]
    Unreadable {
        /// The process id.
        process: u32,
        /// The operating system's message.
        source: std::io::Error,
    },
    /// The file does not have the form described in proc(5).
    #[error("/proc/{process}/stat was expected to hold user and system ticks in fields 14 and 15; found `{found}`.")]
    Malformed {
        /// The process id.
        process: u32,
        /// The value found.
        found: String,
    },
}

/// CPU time that a process has used since it started.
///
/// # Errors
/// The process is gone or its file cannot be understood.
pub fn process_cpu_us(process: u32) -> Result<u64, CpuError> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))
        .map_err(|source| CpuError::Unreadable { process, source })?;
    ticks(&stat).map(|ticks| ticks * TICK_US).ok_or(CpuError::Malformed { process, found: stat })
}

/// CPU time that this process has used since it started.
///
/// # Errors
/// Like [`process_cpu_us`].
pub fn own_cpu_us() -> Result<u64, CpuError> {
    process_cpu_us(std::process::id())
}

/// User and system ticks. The command in field 2 may contain spaces and brackets, so fields count from its last
/// bracket.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// CPU time used on this machine since it started, including time taken by a hypervisor; `None` without `/proc`.
fn machine_cpu_us() -> Option<u64> {
    machine_ticks(&fs::read_to_string("/proc/stat").ok()?).map(|ticks| ticks * TICK_US)
}

/// The first line's ticks without idle, waiting for disks, and guests' (which are part of user).
fn machine_ticks(stat: &str) -> Option<u64> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let fields: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    let busy = fields.iter().enumerate().filter(|(index, _)| !matches!(index, 3 | 4 | 8..));
    Some(busy.map(|(_, ticks)| ticks).sum())
}

/// CPU time used between a start and a stop.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CpuSpent {
    /// CPU µs by process id.
    pub by_process_us: BTreeMap<u32, u64>,
    /// CPU µs of everything on the machine, if it could be read.
    pub machine_us: Option<u64>,
    /// Wall-clock time.
    pub elapsed_us: u64,
}

impl CpuSpent {
    /// The share of `cores` cores that the processes kept busy, and the share that everything else did.
    pub fn busy_shares(&self, cores: u32) -> (f64, f64) {
        let whole = self.elapsed_us.max(1) as f64 * f64::from(cores.max(1));
        let own: u64 = self.by_process_us.values().sum();
        let others = self.machine_us.map_or(0, |all| all.saturating_sub(own));
        (own as f64 / whole, others as f64 / whole)
    }
}

/// The CPU time of several processes between a start and a stop.
#[derive(Debug, Clone)]
pub struct CpuClock {
    started_us: BTreeMap<u32, u64>,
    machine_us: Option<u64>,
    started: Instant,
}

impl CpuClock {
    /// Starts the clock for these processes.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn start(processes: impl IntoIterator<Item = u32>) -> Result<Self, CpuError> {
        let read = |process| process_cpu_us(process).map(|us| (process, us));
        let started_us = processes.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { started_us, machine_us: machine_cpu_us(), started: Instant::now() })
    }

    /// CPU time used since the start, also by processes that were started `later`. Of those that have ended, `ended_us`
    /// has what was read just before.
    ///
    /// # Errors
    /// One of the processes is gone, and was not read before.
    pub fn stop(&self, later: &[u32], ended_us: &BTreeMap<u32, u64>) -> Result<CpuSpent, CpuError> {
        let from_nothing = later.iter().filter(|process| !self.started_us.contains_key(process));
        let started = self.started_us.iter().map(|(process, us)| (*process, *us));
        let read = |(process, started_us): (u32, u64)| {
            let now_us = ended_us.get(&process).map_or_else(|| process_cpu_us(process), |us| Ok(*us))?;
            Ok((process, now_us.saturating_sub(started_us)))
        };
        Ok(CpuSpent {
            by_process_us: started
                .chain(from_nothing.map(|process| (*process, 0)))
                .map(read)
                .collect::<Result<_, CpuError>>()?,
            machine_us: self.machine_us.zip(machine_cpu_us()).map(|(before, now)| now.saturating_sub(before)),
            elapsed_us: self.started.elapsed().as_micros() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_a_command_with_brackets() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 70 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(ticks(stat), Some(100));
        assert_eq!(ticks("42 (short) S 1 2"), None);
        assert_eq!(ticks("no brackets"), None);
    }

    #[test]
    fn what_others_use_is_told_apart() {
        assert_eq!(machine_ticks("cpu  10 1 5 1000 90 2 3 4 7 0\ncpu0 1 1 1\n"), Some(10 + 1 + 5 + 2 + 3 + 4));
        assert_eq!(machine_ticks("intr 1 2 3"), None);
        let spent = CpuSpent { by_process_us: [(1, 500), (2, 250)].into(), machine_us: Some(1_000), elapsed_us: 1_000 };
        assert_eq!(spent.busy_shares(2), (0.375, 0.125));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn work_between_start_and_stop_is_counted() {
        let me = std::process::id();
        let clock = CpuClock::start([me]).expect("this process is alive");
        let goal_us = own_cpu_us().expect("this process is alive") + 3 * TICK_US;
        let mut sum = 0_u64;
        while own_cpu_us().expect("this process is alive") < goal_us {
            sum = (0..10_000_u64).fold(sum, |sum, number| sum.wrapping_mul(31).wrapping_add(number));
        }
        let spent = clock.stop(&[], &BTreeMap::new()).expect("this process is alive");
        assert!(spent.by_process_us[&me] >= 3 * TICK_US, "{sum}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn processes_that_end_or_start_on_the_way_are_counted() {
        let me = std::process::id();
        let mut clock = CpuClock::start([me]).expect("this process is alive");
        clock.started_us = [(u32::MAX, 40)].into();
        assert!(clock.stop(&[], &BTreeMap::new()).is_err(), "it is gone, and nobody read it before");
        let spent = clock.stop(&[me, u32::MAX], &[(u32::MAX, 100)].into()).expect("it was read before it ended");
        assert_eq!(spent.by_process_us[&u32::MAX], 60);
        assert!(spent.by_process_us.contains_key(&me));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_does_not_exist_is_named() {
        let error = CpuClock::start([u32::MAX]).expect_err("no such process");
        assert!(error.to_string().contains("process 4294967295"), "{error}");
    }
}
